"""What frameworks call a rule is said of it, and is what the table of implementations found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import refgrad
from refgrad.cli import main
from refgrad.legal import Choice, Flag
from refgrad.optimizers.elsewhere import ELSEWHERE, sentences
from refgrad.oracle.inputs.steps import completed
from refgrad.rule import rules
from refgrad.surveys.implementations import known

FRAMEWORKS = ("torch", "optax", "keras")
#: found by another test than the survey's, or read
OTHERWISE = {
    "kron_torch.Kron": "tests/optimizers/test_kron.py",
    "the authors' SophiaG": "read",
    **dict.fromkeys(
        (f"the authors' {name}" for name in ("Adan", "Grams", "LaProp", "MARS", "RAdam", "c_adamw.AdamW", "diffgrad")),
        "tests/optimizers/authors.py",
    ),
}
ENTRIES = [(rule, name, changes) for rule, others in ELSEWHERE.items() for name, changes in others.items()]


@pytest.mark.parametrize(("rule", "name", "changes"), ENTRIES, ids=str)
def test_it_was_found(rule: str, name: str, changes: dict[str, Any]) -> None:
    other = rules()[rule]().replace(**changes)
    assert other != rules()[rule]()
    target = name.partition("(")[0]
    found = [r for r in known() if type(r.claim).__name__ == rule and r.target.replace(":", ".") == target]
    assert target in OTHERWISE or any(named(r.claim.replace(**r.variant), r.variant) == changes for r in found)


def named(rule: Any, variant: Mapping[str, Any]) -> dict[str, Any]:
    """The behaviours of a rule that are not its class's own, and the numbers of a variant; not what it computes scalars in."""
    own = type(rule)()
    behaviours = {n for n, legal in rule.legal().items() if isinstance(legal, Choice | Flag) and n != "scalars"}
    return {n: getattr(rule, n) for n in {*behaviours, *variant} if getattr(rule, n) != getattr(own, n)}


def test_what_authors_call_a_rule_was_run() -> None:
    pytest.importorskip("torch", reason="runs code of authors in torch")
    from tests.optimizers.authors import ROWS

    run = [(type(row.rule).__name__, row.rule) for row in ROWS]
    for rule, name, changes in ENTRIES:
        if OTHERWISE.get(name.partition("(")[0]) == "tests/optimizers/authors.py":
            assert any(n == rule and changes.items() <= r.hyperparameters().items() for n, r in run), name


def test_every_framework_is_named() -> None:
    """Each of its rules that is not its paper's is in the table."""
    rows = {
        (type(r.claim).__name__, r.target.replace(":", "."))
        for r in known()
        if r.package in FRAMEWORKS and r.claim.kind == "optimizer" and r.variant and not r.claim.inputs()
    }
    said = {(rule, name.partition("(")[0]) for rule, name, _ in ENTRIES}
    assert rows - said == {("AMSGrad", "torch.optim.AdamW")} | {(r, t) for r, t in rows if r in ("LBFGS", "Mechanic")}


#: rules whose default is the paper's, where what people run by that name is another of its behaviours
SURPRISING = ("AMSGrad", "AdamP", "SGDP", "Rprop", "RAdam", "Yogi", "GaLore", "Sophia", "Shampoo", "PSGDKron")


@pytest.mark.parametrize("rule", SURPRISING)
def test_show_says_it(rule: str) -> None:
    assert sentences(rule)
    shown = CliRunner().invoke(main, ["show", rule]).output.partition("Update at step")[0]
    assert all(sentence in " ".join(shown.split()) for sentence in sentences(rule))


@pytest.mark.parametrize("rule", SURPRISING)
def test_a_verdict_that_fails_says_it_before_any_figure(rule: str) -> None:
    claim = rules()[rule]()
    matrix = np.float32([[0.5, -0.25, 0.75], [1.0, 2.0, -1.5]])
    cases = completed(refgrad.Inputs.of(matrix, [matrix]), claim)
    verdict = refgrad.verify(claim.replace(lr=3 * claim.lr), claim, inputs=cases, shrink=False, explain=False)
    assert not verdict.conforms
    assert all(sentence in str(verdict).split("Elements")[0] for sentence in sentences(rule))


def test_the_first_lines_of_a_failing_verdict_say_it() -> None:
    def step(p: np.ndarray, g: np.ndarray, lr: float = 1e-3) -> np.ndarray:
        return p - np.float32(lr) * g

    verdict = refgrad.verify(step, refgrad.optimizers.RAdam(), shrink=False, explain=False, steps=2)
    assert sentences("RAdam")[0] == "torch.optim.RAdam is RAdam(threshold='torch', eps_placement='uncorrected')"
    assert sentences("RAdam")[0] in str(verdict).split("Elements")[0].split("Faults")[0]
    assert "is RAdam(" not in str(
        refgrad.verify(step, refgrad.optimizers.SGD(lr=1e-3), shrink=False, explain=False, steps=2)
    )


def row_of(rule: str, name: str, changes: Mapping[str, Any]) -> Any:
    """The implementation that a line is about; None if it is not installed, or the table has none."""
    target = name.partition("(")[0]
    rows = (r for r in known() if type(r.claim).__name__ == rule and r.target.replace(":", ".") == target)
    return next(
        (r for r in rows if named(r.claim.replace(**r.variant), r.variant) == changes and not r.missing()), None
    )


#: lines that no short run of a matrix is explained by, each with the reason
UNTOLD = {
    "torch.optim.Muon": "in bfloat16 nearly all is undecided",
    "optax.contrib.galore": "its state has other axes, which is a fault and no difference of numbers",
}


@pytest.mark.slow
@pytest.mark.sample(suite=4)
@pytest.mark.parametrize(("rule", "name", "changes"), ENTRIES, ids=str)
def test_a_verdict_on_it_names_it(rule: str, name: str, changes: dict[str, Any]) -> None:
    """Though it is several parts, or a number, away from its claim: before any figure, and as what explains it."""
    row = row_of(rule, name, changes)
    if row is None:
        pytest.skip(f"{name} is not installed, or was not run by the table")
    claim = row.claim.replace(**{n: getattr(rules()[rule](), n) for n in changes})
    matrix = np.random.Generator(np.random.Philox(1)).standard_normal((12, 4, 6)).astype(np.float32)
    inputs = completed(refgrad.Inputs.of(np.ones((4, 6), np.float32), list(matrix)), claim)
    verdict = refgrad.verify(row.candidate(), claim, options=row.options, inputs=inputs, shrink=False, explain=30)
    if verdict.conforms:  # on these numbers nothing of it shows
        return
    assert any(line.strip().startswith(f"{name} is {rule}(") for line in str(verdict).split("Elements")[0].splitlines())
    first = str(verdict).split("\n\n")[0]
    assert name in UNTOLD or re.search("^(agrees with|may be) what is known of ", first, re.MULTILINE), str(verdict)


@pytest.mark.parametrize(("default", "outcome"), [("float32", "does not conform"), ("float64", "conforms")])
def test_torchs_nadam_in_float64_has_a_product_in_torchs_default_dtype(default: str, outcome: str) -> None:
    torch = pytest.importorskip("torch", reason="judges torch.optim.NAdam")
    matrix = np.random.Generator(np.random.Philox(1)).standard_normal((4, 4, 6))
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, default))
    try:
        verdict = refgrad.verify(
            torch.optim.NAdam,
            refgrad.optimizers.NAdam(),
            inputs=refgrad.Inputs.of(matrix[0], list(matrix), "float64"),
            shrink=False,
            explain=False,
        )
    finally:
        torch.set_default_dtype(before)
    assert verdict.outcome == outcome
