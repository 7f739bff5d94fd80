"""`measure` takes a rule of every kind, as an instance, a class, a name or a target; a user's own too."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from refgrad.errors import ArgumentError, CandidateError
from refgrad.kinds.table import MODULES
from refgrad.optimizers import AdamW, Lion
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Positive, find
from refgrad.state import State, zeros_like_param
from refgrad.strength import Strength, measure
from refgrad.strength.measurement import Measured
from refgrad.strength.programs import KINDS


class Halves(Optimizer):
    """A user's own rule: half of the average, and half of the gradient."""

    lr: Positive = 1e-2
    state = State(m=zeros_like_param)

    def update(self, p, g, m, t):
        m = 0.9 * m + 0.1 * g
        return p - self.lr * (0.5 * m + 0.5 * np.sqrt(np.abs(g))), m


#: a rule of each kind
OF_KIND = {
    "optimizer": "Lion",
    "estimator": "IdentitySTE",
    "mask": "Magnitude",
    "mask-update": "SET",
    "quantizer": "FP4",
    "transform": "ZeroNaNs",
    "scaling": "BatchScaledRate",
    "8-bit-optimizer": "EightBit(rule=SGD(momentum=0.9))",
}


def test_there_is_a_rule_of_each_kind() -> None:
    assert set(OF_KIND) == set(KINDS) == set(MODULES)


@pytest.mark.slow
@pytest.mark.parametrize("kind", OF_KIND)
def test_a_rule_of_every_kind_is_measured(kind: str) -> None:
    found = measure(OF_KIND[kind], values=1)
    assert found.kind == kind
    assert found.programs is not None
    assert found.mutants is not None
    assert found.programs.values > 0
    assert found.programs.outside == 0
    assert found.mutants.made > 0
    assert found.mutants.survivors == ()
    assert found.mutants.rejected["refgrad"]["all"] == found.mutants.made


@pytest.mark.slow
def test_a_users_own_rule_is_measured() -> None:
    found = measure(Halves(lr=0.125), values=1)
    assert found.rule == "Halves(lr=0.125)"
    assert found.programs is not None
    assert found.programs.outside == 0
    assert found.mutants is not None
    assert found.mutants.made > 20
    # g and its size are multiplied by one half both, so that no mutant of either hides
    assert Counter(s.name for s in found.mutants.survivors) == Counter()


def test_rules_are_named_in_several_ways(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from refgrad.optimizers import Lion\nclass Mine(Lion):\n    pass\nmine = Mine(lr=0.5)\n")
    assert Measured.of(Lion()) == Measured("Lion", Lion(), Lion())
    assert Measured.of(Lion) == Measured.of("Lion") == Measured.of("refgrad.optimizers:Lion")
    assert Measured.of("Lion").for_programs == Lion(weight_decay=0.1)
    assert Measured.of("Lion(lr=0.5)").for_programs == Lion(lr=0.5)
    assert str(Measured.of(f"{file}:Mine").for_mutants) == "Mine(weight_decay=0.1)"
    assert str(Measured.of(f"{file}:mine").for_mutants) == "Mine(lr=0.5)"


@pytest.mark.parametrize(
    ("rule", "error", "text"),
    [
        ("AdamV", ArgumentError, "did you mean 'Adam'"),
        ("nothing.here:Rule", CandidateError, "there is no module"),
        ("math:sqrt", ArgumentError, "legal: a rule, a class of rules"),
        (3, ArgumentError, "legal: a rule, a class of rules"),
        ("GPTQ", ArgumentError, "has no graph"),
    ],
)
def test_what_cannot_be_measured_is_said(rule: object, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        measure(rule, values=1)  # type: ignore[arg-type]


def test_arguments_are_checked() -> None:
    with pytest.raises(ArgumentError, match="parts is 'all'; legal: programs, mutants, rewrites"):
        measure("Lion", parts=["all"])
    with pytest.raises(ArgumentError, match="values is 0; legal: a whole number from 1"):
        measure("Lion", values=0)


@pytest.mark.slow
def test_figures_are_data_and_text() -> None:
    rule = find("FP4")()
    found = measure(rule, values=1)
    assert isinstance(found, Strength)
    data = json.loads(found.to_json())
    assert data["rule"] == "FP4()"
    assert data["mutants"]["made"] == found.mutants.made  # type: ignore[union-attr]
    assert set(data) == {"rule", "kind", "programs", "mutants"}
    text = str(found)
    assert "FP4() (quantizer)" in text
    assert "0 outside" in text
    assert f"mutants accepted, of {data['mutants']['made']}: refgrad 0" in text


@pytest.mark.slow
def test_rewrites_are_handed_over() -> None:
    wrong = AdamW(lr=2e-3)
    found = measure("AdamW", parts=["rewrites"], rewrites=lambda cls: [(cls(), AdamW()), (cls(), wrong)])
    assert found.rewrites is not None
    assert found.rewrites.programs["all"] == 2
    assert found.rewrites.rejected["refgrad"]["all"] == 1


def test_the_example_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).parents[2] / "docs" / "strength.md"
    (example,) = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    exec(compile(example, str(page), "exec"), {})  # the page is ours
    assert capsys.readouterr().out == "0 values of right programs rejected, 0 mutants accepted\n"
