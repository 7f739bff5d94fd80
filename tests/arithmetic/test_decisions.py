"""What signs, comparisons and roundings may give of numbers with a bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic.decisions import Decision, near, step
from refgrad.arithmetic.operations import OPERATIONS, OUTCOMES
from refgrad.arithmetic.running_error import Bounded
from refgrad.arithmetic.steps import Integer, Nearest

OF_ELEMENTS = [name for name in OUTCOMES if OPERATIONS[name].kind == "element"]
COMPARE = [name for name in OF_ELEMENTS if OPERATIONS[name].boolean]
ROUND = ["rint", "floor", "ceil"]


def decide(op: str, attribute: Any, args: list[Bounded]) -> Decision:
    return OPERATIONS[op].decided(args, attribute)


def bounded(values: Any, errors: Any = None) -> Bounded:
    return Bounded(np.asarray(values, float), None if errors is None else np.asarray(errors, float))


def given(decision: Decision, count: int) -> list[set[float]]:
    """By element, what it gives under each choice."""
    taken = [np.broadcast_to(decision.taken(np.int8(k)), np.shape(decision.result)) for k in range(count)]
    return [{float(t[i]) for t in taken} for i in range(len(decision.result))]


@pytest.fixture(autouse=True)
def quietly() -> Iterator[None]:
    """As the judge does: infinities meet."""
    with np.errstate(all="ignore"):
        yield


def test_a_sign_has_three_outcomes_as_far_as_they_are_in_reach() -> None:
    x = bounded(
        [1.0, 0.25, -0.25, 0.0, 0.5, -0.5, 0.0, np.nan, np.inf], [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.0, 0.5, np.inf]
    )
    decision = decide("sign", None, [x])
    every, none = {-1.0, 0.0, 1.0}, {0.0}
    assert decision.open.tolist() == [False, True, True, True, True, True, False, False, True]
    assert decision.result[:7].tolist() == [1, 1, -1, 0, 1, -1, 0]
    found = given(decision, 3)
    assert found[:7] == [{1.0}, every, every, every, {0.0, 1.0}, {-1.0, 0.0}, none]
    assert all(np.isnan(v) for v in found[7])


@pytest.mark.parametrize("op", COMPARE)
def test_a_comparison_is_open_where_the_bounds_meet(op: str) -> None:
    a = bounded([1.0, 1.0, 1.0, 1.0, np.nan], [0.25, 0.25, 0.0, 0.0, 0.25])
    b = bounded([2.0, 1.25, 1.0, 2.0, 1.0], [0.5, 0.0, 0.0, 0.0, 0.25])
    decision = decide(op, None, [a, b])
    assert decision.open.tolist() == [False, True, False, False, False]
    result = OPERATIONS[op].on([a.value, b.value])
    assert decision.taken(0).tolist() == result.tolist()
    assert decision.taken(1).tolist() == [not r if i == 1 else r for i, r in enumerate(result.tolist())]


def test_exact_numbers_that_are_equal_decide_and_a_bound_that_is_nan_does_not() -> None:
    one = bounded([1.0])
    assert near(one, one).tolist() == [False]
    assert near(bounded([1.0], [np.nan]), one).tolist() == [True]
    assert near(bounded([5.0], [np.inf]), one).tolist() == [True]


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("rint", [{1.0}, {1.0, 2.0}, {0.0, 1.0}, {2.0}]),
        ("floor", [{0.0, 1.0}, {1.0}, {0.0}, {1.0, 2.0}]),
        ("ceil", [{1.0, 2.0}, {2.0}, {1.0}, {2.0, 3.0}]),
    ],
)
def test_a_rounding_goes_to_either_neighbour(op: str, expected: list[set[float]]) -> None:
    decision = decide(op, None, [bounded([1.0, 1.5, 0.5, 2.0], [0.125] * 4)])
    assert given(decision, 2) == expected
    assert decision.result.tolist() == OPERATIONS[op].on([np.asarray([1.0, 1.5, 0.5, 2.0])]).tolist()
    assert decision.error is not None
    assert not decision.error.any()


@pytest.mark.parametrize("op", ROUND)
def test_many_whole_numbers_are_one_interval(op: str) -> None:
    decision = decide(op, None, [bounded([10.0, 0.25, np.inf], [3.0, np.inf, 0.0])])
    assert not decision.open.any()
    assert decision.error is not None
    assert decision.error[0] >= 3.0
    assert decision.error[1] == np.inf
    assert (decision.result[2], decision.error[2]) == (np.inf, 0.0)


@pytest.mark.parametrize(
    ("function", "between"),
    [(Integer(), [0.0, 1.0]), (Nearest((-1.0, 0.0, 0.25, 1.0)), [0.0, 0.25])],
    ids=["integer", "table"],
)
def test_a_step_gives_either_end_or_all_that_lies_between(function: Callable[..., Any], between: list[float]) -> None:
    """At the middle of two neighbours, far from it, across several, and where nothing is known."""
    middle = sum(between) / 2
    decision = decide("step", function, [bounded([middle, 1.0, 0.25, 0.3], [1e-3, 1e-3, 5.0, np.inf])])
    assert decision.open.tolist() == [True, False, False, False]
    assert given(decision, 2)[:2] == [set(between), {1.0}]
    low, high = function(np.asarray([-4.75, 5.25]))
    assert decision.error is not None
    assert decision.error[:2].tolist() == [0.0, 0.0]
    assert decision.result[2] - decision.error[2] <= low < high <= decision.result[2] + decision.error[2]
    assert decision.error[3] == np.inf
    assert not decide("step", function, [bounded([middle])]).open.any()


#: numbers at the edge of a decision
EDGES = {"sign": 0.0, "rint": 0.5, "floor": 1.0, "ceil": 1.0, "step": 0.5, **dict.fromkeys(COMPARE, 0.0)}


@pytest.mark.parametrize("op", OF_ELEMENTS)
def test_every_operation_that_decides_says_how_many_outcomes_it_has(op: str) -> None:
    args = [bounded([EDGES[op]], [0.25])] * (2 if op in COMPARE else 1)
    decision = decide(op, Integer(), args)
    assert decision.open.all()
    assert len(decision.others) == OUTCOMES[op] - 1
    assert len(given(decision, OUTCOMES[op])[0]) == OUTCOMES[op]
    # a choice that there is not is the centre's
    assert decision.taken(np.int8(OUTCOMES[op])).tolist() == decision.result.tolist()


def test_a_step_of_a_number_that_no_program_rounds_is_decided() -> None:
    """A code of x / s + z with s a power of two: a tie is that tie, though a sum of other numbers is rounded."""
    function = Integer("even")
    near = Bounded(np.asarray([118.5]), np.asarray([1e-4]))
    assert step(near, function).open[0]
    exact = step(near._replace(sure=np.asarray([True])), function)
    assert not exact.open[0]
    assert exact.result[0] == 118.0


class _Plain:
    """A table whose steps are searched for at every end."""

    def __init__(self, of: Nearest) -> None:
        self.of, self.adjacent = of, of.adjacent

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.of(x)


def _unlike(function: Nearest) -> int:
    """Parts of decisions on many numbers, near thresholds and far, that are others where each end is searched for."""
    random, count = np.random.default_rng(0), 20_000
    value = random.choice([*function.thresholds(np.float64), 0.0, np.inf, np.nan, 5.0], count)
    value = value + random.choice([0.0, 1e-9, -1e-9, 1e-3, 0.1], count)
    error = random.choice([0.0, 1e-9, 2e-9, 1e-3, 0.3, np.inf, np.nan], count, p=[0.2, 0.2, 0.2, 0.2, 0.1, 0.05, 0.05])
    within = Bounded(value, error)
    beside = Bounded(
        value, error, low=np.maximum(value - error, 0.2), high=value + error
    )  # some centres are beyond an end
    wrong = 0
    for x in (within, beside, Bounded(value), Bounded(np.full(count, 0.01), np.full(count, 1e-9))):
        found, want = step(x, function), step(x, _Plain(function))
        pairs = [(found.result, want.result), (found.open, want.open), (found.error, want.error)]
        pairs += zip(found.others, want.others, strict=True)
        wrong += sum(not np.array_equal(np.asarray(a, float), np.asarray(b, float), equal_nan=True) for a, b in pairs)
    return wrong


TABLE = Nearest((-1.0, -0.25, 0.0, 0.125, 0.5, 1.0))


def test_a_table_that_is_searched_once_decides_as_one_that_is_searched_at_every_end() -> None:
    assert _unlike(TABLE) == 0


@pytest.mark.parametrize("planted", [lambda low, high: low <= high, lambda low, high: high < np.inf])
def test_a_fault_in_what_is_searched_once_is_seen(planted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Nearest, "over", lambda self, low, high: (self(low), planted(low, high)))
    assert _unlike(TABLE) > 0
