"""What frameworks call a rule is said of it, and is what the table of implementations found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import refgrad
from refgrad.cli import main
from refgrad.optimizers.elsewhere import ELSEWHERE, sentences
from refgrad.rule import rules
from refgrad.surveys.implementations import known

FRAMEWORKS = ("torch", "optax", "keras")
#: found by another test than the survey's, or read
OTHERWISE = {
    "kron_torch.Kron": "tests/optimizers/test_kron.py",
    "the authors' SophiaG": "read",
}
ENTRIES = [(rule, name, changes) for rule, others in ELSEWHERE.items() for name, changes in others.items()]


@pytest.mark.parametrize(("rule", "name", "changes"), ENTRIES, ids=str)
def test_it_was_found(rule: str, name: str, changes: dict[str, Any]) -> None:
    other = rules()[rule]().replace(**changes)
    assert other != rules()[rule]()
    target = name.partition("(")[0]
    found = [r.variant for r in known() if type(r.claim).__name__ == rule and r.target.replace(":", ".") == target]
    assert name in OTHERWISE or dict(changes) in [dict(variant) for variant in found]


def test_every_framework_is_named() -> None:
    """Each of its rules that is not its paper's is in the table."""
    rows = {
        (type(r.claim).__name__, r.target.replace(":", "."))
        for r in known()
        if r.package in FRAMEWORKS and r.claim.kind == "optimizer" and r.variant and not r.claim.inputs()
    }
    said = {(rule, name.partition("(")[0]) for rule, name, _ in ENTRIES}
    assert rows - said == {("AMSGrad", "torch.optim.AdamW")} | {(r, t) for r, t in rows if r in ("LBFGS", "Mechanic")}


def test_show_says_it() -> None:
    shown = CliRunner().invoke(main, ["show", "AMSGrad"]).output
    assert "torch.optim.Adam(amsgrad=True) is AMSGrad(order='torch')" in shown.partition("Update at step")[0]


def test_the_first_lines_of_a_failing_verdict_say_it() -> None:
    def step(p: np.ndarray, g: np.ndarray, lr: float = 1e-3) -> np.ndarray:
        return p - np.float32(lr) * g

    verdict = refgrad.verify(step, refgrad.optimizers.RAdam(), shrink=False, explain=False, steps=2)
    assert sentences("RAdam")[0] == "torch.optim.RAdam is RAdam(threshold='torch', eps_placement='uncorrected')"
    assert sentences("RAdam")[0] in str(verdict).split("Elements")[0].split("Faults")[0]
    assert "is RAdam(" not in str(
        refgrad.verify(step, refgrad.optimizers.SGD(lr=1e-3), shrink=False, explain=False, steps=2)
    )
