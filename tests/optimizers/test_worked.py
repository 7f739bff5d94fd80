"""Three steps of every optimizer on three numbers, by equations that are no part of refgrad."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpmath import mpf

from refgrad import optimizers as o
from refgrad.optimizers.base import Optimizer
from refgrad.rule import rules
from tests.optimizers.worked import page
from tests.optimizers.worked.by_hand import Example, P, by_refgrad, follow
from tests.optimizers.worked.examples import EXAMPLES

PAGE = Path(__file__).parents[2] / "docs" / "worked-examples.md"
#: optimizers without a worked example, each with the reason
WITHOUT: dict[str, str] = {}
#: what was worked out elsewhere than here, of the first of the three numbers: the rule, and it after each step
KNOWN: list[tuple[Any, tuple[str, str, str]]] = [
    (o.Adan(), ("0.999000", "0.999404901", "0.999491624")),
    (o.NAdam(algorithm="paper"), ("0.997377802", "0.998284933", "0.995683277")),
    (o.LaProp(), ("0.990000", "0.989163", "0.988259")),
    (o.ScheduleFreeAdamW(weight_decay=0.1, correction="rate"), ("0.997492", "0.998591", "0.996741")),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example.rule))
def test_refgrad_gives_the_numbers_that_were_worked_out(example: Example) -> None:
    """In float64 to 1e-12 of the larger of the number and 1."""
    for by_hand, ours in zip(follow(example), by_refgrad(example), strict=True):
        for a, b in zip(by_hand, ours, strict=True):
            assert abs(a - mpf(b)) <= mpf("1e-12") * max(1, abs(a))


def test_no_optimizer_lacks_one() -> None:
    assert set(rules(Optimizer)) - {example.name for example in EXAMPLES} == set(WITHOUT)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example.rule))
def test_it_shows_that_something_moves(example: Example) -> None:
    """A rule that still stands after its first step moves by its third."""
    assert len({str(p) for p in follow(example)}) > 1


@pytest.mark.slow
def test_examples_of_one_rule_differ() -> None:
    """Where sources differ, a reader sees by which numbers."""
    for name in {example.name for example in EXAMPLES}:
        numbers = [str(follow(example)) for example in EXAMPLES if example.name == name]
        assert len(set(numbers)) == len(numbers), name


@pytest.mark.parametrize("rule", ["DAdaptAdam", "Prodigy"])
def test_an_estimate_of_the_distance_grows(rule: str) -> None:
    for example in (example for example in EXAMPLES if example.name == rule):
        p = np.asarray(P)
        state = example.rule.init(p)
        for g in example.gradients[:-1]:
            p, state = example.rule.step(p, np.asarray(g), state)
        assert state["d"] > 1.5 * example.rule.d0


@pytest.mark.parametrize(("rule", "known"), KNOWN, ids=str)
def test_the_numbers_of_others(rule: Any, known: tuple[str, str, str]) -> None:
    found = [p[0] for e in EXAMPLES if e.rule == rule for p in follow(e)]
    assert len(found) == 3
    for number, text in zip(found, known, strict=True):
        assert abs(number - mpf(text)) <= mpf(10) ** -len(text.partition(".")[2])


@pytest.mark.slow
def test_the_page_is_that_of_the_equations() -> None:
    assert PAGE.read_text(encoding="utf-8") == page.text(), (
        "run python -m tests.optimizers.worked > docs/worked-examples.md"
    )


#: rules whose examples have the numbers of another rule's, with the reason
SAME: dict[frozenset[str], str] = {}


@pytest.mark.slow
def test_an_example_of_a_rule_is_none_of_another() -> None:
    """What a rule is about shows in its numbers: no two rules have the same, unless a reason stands here."""
    names: dict[str, set[str]] = {}
    for example in EXAMPLES:
        names.setdefault(str(follow(example)[-1]), set()).add(example.name)
    assert {frozenset(n) for n in names.values() if len(n) > 1} == set(SAME)
