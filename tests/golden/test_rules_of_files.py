"""Golden files of rules that are not refgrad's: a class, a formula, on the command line and read again."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import refgrad
from refgrad.cli import golden as commands
from refgrad.errors import ArgumentError
from refgrad.golden import checking, making, reading
from refgrad.golden.levels import LEVELS
from refgrad.golden.records import GoldenError
from refgrad.golden.rules_of_files import known_rules, own_rules
from refgrad.optimizers import SGD
from refgrad.rule import rules

pytest.importorskip("safetensors")

#: a class with a named behaviour, and a formula, as somebody writes them in a file
MINE = """
from typing import Annotated

import numpy as np
import refgrad
from refgrad.optimizers import Optimizer
from refgrad.rule import Choice, Citation, NonNegative


class Halved(Optimizer):
    lr: NonNegative = 0.5
    divided: Annotated[str, Choice(once="by two", twice="by four")] = "once"

    citation = Citation("You 2026", "Half a step", "equation 1")

    def update(self, p, g, t):
        return (p - self.lr * g / (2 if self.divided == "once" else 4),)


@refgrad.formula(x="batch feature", weight="feature")
def scaled_rows(x, weight, *, eps: refgrad.Positive = 1e-3):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * weight
"""


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file, and beside it what is made of it."""
    folder = tmp_path_factory.mktemp("mine")
    file = folder / "halves_of_mine.py"
    file.write_text(textwrap.dedent(MINE))
    found = run("make", f"{file}:Halved", f"{file}:scaled_rows", "--out", str(folder / "golden"))
    assert found.return_value == 0, found.output
    return file


def run(*words: str) -> Any:
    return CliRunner().invoke(commands.golden, words, standalone_mode=False)


@pytest.mark.slow
def test_files_of_a_class_and_of_a_formula_are_made_and_verified(mine: Path) -> None:
    at = ("--at", str(mine.parent / "golden"))
    found = run("verify", f"{mine}:Halved", f"{mine}:scaled_rows", *at)
    assert found.return_value == 0, found.output
    assert run("lint", *at).output == "well-formed\n"
    halved = reading.read(mine.parent / "golden", "Halved").document
    assert {each["variant"] for each in halved["cases"]} >= {"", "divided=twice"}
    assert {each["flag"] for each in halved["wrong"]} >= {"OtherVariant"}
    rows = reading.read(mine.parent / "golden", "scaled_rows").document
    assert rows["source"] == "a formula without a citation"
    assert rows["cases"]
    assert rows["mutants"] > 10
    assert rows["not_refused"] == []


@pytest.mark.slow
def test_a_case_of_a_rule_that_is_not_here_is_shown_and_not_verified(mine: Path) -> None:
    folder = mine.parent / "golden"
    id_ = reading.read(folder, "Halved").document["cases"][0]["id"]
    shown = run("show", id_, "--at", str(folder)).output
    assert f"{id_}: Halved(divided=once, lr=0x1.0000000000000p-1" in shown
    assert list(checking.verify(folder)) == []
    assert checking.unknown(folder) == ["Halved", "scaled_rows"]
    found = run("verify", "--at", str(folder))
    assert found.return_value == 2
    assert (
        "Halved, scaled_rows; legal: rules of your own by their files too, as in `refgrad golden verify mine"
        in found.stderr
    )
    told = list(checking.problems(reading.read(folder, "Halved")))
    assert "named by its file, as in mine.py:Halved" in told[0]


@pytest.mark.slow
def test_a_rule_of_ones_own_is_made_anew(mine: Path, tmp_path: Path) -> None:
    """It may be another than when its files were made."""
    folder = Path(shutil.copytree(mine.parent / "golden", tmp_path / "golden"))
    found = run("make", f"{mine}:Halved", "BatchScaledRate", "--out", str(folder))
    assert found.output.splitlines()[-1].startswith("2 rules made")
    assert (
        run("make", f"{mine}:Halved", "BatchScaledRate", "--out", str(folder))
        .output.splitlines()[-1]
        .startswith("1 rule made")
    )


def test_what_a_file_names_is_looked_for_among_rules_that_were_handed_in_alone(tmp_path: Path) -> None:
    assert known_rules() == rules()
    for name in ("Halved", "halves_of_mine:Halved", "os:system"):
        with pytest.raises(GoldenError, match="there is no rule"):
            making.built(name, {})
        with pytest.raises(GoldenError, match="there is no rule"):
            making.make(tmp_path, LEVELS["smoke"], [name])


def test_two_rules_of_one_name_and_a_name_of_no_file_are_refused() -> None:
    first, second = (type("Mine", (SGD,), {}) for _ in range(2))
    assert own_rules([SGD, first, first]) == {"Mine": first}
    for classes in ([first, second], [type("SGD", (SGD,), {})]):
        with pytest.raises(ArgumentError, match="one that no other rule has"):
            own_rules(classes)
    with pytest.raises(ArgumentError, match="letters of ASCII"):
        own_rules([type("Größe", (SGD,), {})])


def test_a_rule_of_which_no_case_can_be_made_is_said(tmp_path: Path) -> None:
    @refgrad.formula(x="feature")
    def never(x):  # type: ignore[no-untyped-def]
        return x / (x - x)

    with pytest.raises(GoldenError, match="never: no case can be made of it"):
        making.make(tmp_path, LEVELS["smoke"], ["never"], own={"never": never})
