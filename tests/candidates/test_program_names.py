"""What a program is told of a rule by name: of every rule whose kind is asked so."""

from __future__ import annotations

from typing import Any

import pytest

import refgrad
from refgrad.candidates import program_names
from refgrad.estimators import ClippedSTE
from refgrad.rule import rules

SOME = [cls for cls in rules().values() if cls.kind in program_names.KINDS]


@pytest.mark.sample(quick=20)
@pytest.mark.parametrize("cls", SOME, ids=lambda cls: cls.__name__)
def test_every_rule_says_what_a_program_may_take(cls: type) -> None:
    rule = cls()
    names = program_names.takeable(rule)
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)
    assert program_names.names_of(cls)[0] == cls.__name__
    if rule.kind in program_names.GIVES:
        takes = [name for name in names if name not in getattr(rule, "parts", ())]
        needed, legal = program_names.GIVES[rule.kind](rule, takes)
        assert set(needed) <= set(legal)
        assert program_names.wrong_names(rule, takes, legal or ["any"]) == ""


@refgrad.formula(x="n")
def doubled_and_halved(x):  # type: ignore[no-untyped-def]
    return x * 2.0, x * 0.5


@refgrad.formula(x="n")
def doubled_alone(x):  # type: ignore[no-untyped-def]
    return x * 2.0


@pytest.mark.parametrize(
    ("rule", "gives", "says"),
    [
        (doubled_and_halved, ["result[0]", "result[1]"], ""),
        (doubled_and_halved, ["y"], "gives 'y', .*; legal: result[0], result[1]"),
        (doubled_and_halved, ["result[0]"], "gives no 'result[1]'; legal: result[0], result[1]"),
        (doubled_alone, ["anything"], ""),
        (doubled_alone, ["y", "z"], "gives y, z; legal: one name, since doubled_alone() has one result"),
    ],
    ids=["several", "another name", "one lacks", "any name", "too many"],
)
def test_results_of_a_formula_have_the_names_that_it_gives_them(rule: Any, gives: list[str], says: str) -> None:
    first, _, last = says.partition(".*")
    found = program_names.wrong_names(rule(), ["x"], gives)
    assert found.startswith(first)
    assert found.endswith(last)


def test_an_estimator_without_its_gradient_is_none() -> None:
    assert program_names.wrong_names(ClippedSTE(), ["x", "cotangent"], ["x_grad"]) == ""
    assert "gives no 'x_grad'" in program_names.wrong_names(ClippedSTE(), ["x"], ["y"])
