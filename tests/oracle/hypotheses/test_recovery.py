"""Hyperparameters solved for: the number that was used, and the interval that the data leave."""

from __future__ import annotations

import pytest

from refgrad.optimizers import LAMB, SGD, AdamW, RMSprop
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.hypotheses.recovery import recover
from refgrad.oracle.hypotheses.residuals import names_by_way, problem_of
from tests.oracle.hypotheses.runs import hidden, screen_of


def told(
    used: Optimizer, claimed: Optimizer, output: str = "p", change: Change = NONE
) -> dict[str, tuple[float, float, float]]:
    problem = problem_of(screen_of(used, claimed), change, output)
    assert problem is not None
    found = recover(problem, {}, True, lambda: False)
    assert found is not None
    return {r.name: (r.low, r.value, r.high) for r in found if r.value != r.claimed}


@pytest.mark.parametrize(
    ("used", "claimed", "output"),
    [
        (AdamW(lr=3.3e-3), AdamW(), "p"),
        (AdamW(beta2=0.95), AdamW(), "v"),
        (SGD(lr=0.1, momentum=0.83), SGD(lr=0.1, momentum=0.9), "buffer"),
        (RMSprop(alpha=0.93), RMSprop(), "v"),
        (LAMB(lr=0.02), LAMB(), "p"),
    ],
    ids=str,
)
def test_one_number(used: Optimizer, claimed: Optimizer, output: str) -> None:
    output = output if output in claimed.slots() or output == "p" else next(iter(claimed.slots()))
    found = told(used, claimed, output)
    wrong = {n: v for n, v in used.numbers().items() if v != claimed.numbers()[n]}
    assert {n: value for n, (_, value, _) in found.items()} == wrong
    for name, value in wrong.items():
        low, _, high = found[name]
        assert low <= value <= high
        assert high - low < 1e-3 * value


def test_two_numbers_at_once() -> None:
    found = told(AdamW(lr=3e-3, weight_decay=0.2), AdamW())
    assert {n: value for n, (_, value, _) in found.items()} == {"lr": 3e-3, "weight_decay": 0.2}


def test_numbers_besides_a_change() -> None:
    inside = Change("inside", "", rule={"eps_placement": "inside"})
    used, claimed = AdamW(lr=3e-3, eps=1e-3, eps_placement="inside"), AdamW(eps=1e-3)
    assert told(used, claimed, change=inside)["lr"][1] == 3e-3


def test_no_number_makes_it_right() -> None:
    problem = problem_of(screen_of(AdamW(weight_decay=-0.0, lr=1e-3), SGD(momentum=0.9)), NONE, "p")
    assert problem is None or recover(problem, {}, True, lambda: False) is None


def test_no_time_is_taken_that_there_is_not() -> None:
    problem = problem_of(screen_of(AdamW(lr=3.3e-3), AdamW()), NONE, "p")
    assert problem is not None
    assert recover(problem, {}, True, lambda: True) is None


def test_all_that_was_seen_tells_where_state_is_hidden() -> None:
    problem = problem_of(screen_of(hidden(AdamW(lr=3.3e-3)), AdamW()), NONE, "p")
    assert problem is not None
    found = recover(problem, {}, True, lambda: False)
    assert found is not None
    assert {r.name: r.value for r in found if r.value != r.claimed} == {"lr": 3.3e-3}


def test_names_that_reach_an_output_by_values_and_by_decisions() -> None:
    from refgrad.optimizers import Lion

    graph = Lion().plan((3, 3), 1).graph
    valued, decided = names_by_way(graph, "p")
    assert "lr" in valued
    assert "beta1" in decided - valued
