"""The odometers: each element turns through its own decisions, the finest first."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from refgrad.arithmetic.choices import Choices
from refgrad.arithmetic.decisions import Decision
from refgrad.arithmetic.graph import Node
from refgrad.axes import COLUMN, ELEMENT, LEFT, ROW, TENSOR, Axes


def node(index: int, op: str = "lt", axes: Axes = ELEMENT) -> Node:
    return Node(index, op, (), None, axes)


def decision(open_: list[bool] | np.ndarray, outcomes: int = 2) -> Decision:
    """Its results are the choices themselves."""
    marks = np.asarray(open_)
    return Decision(np.zeros(marks.shape), marks, tuple(np.full(marks.shape, float(k)) for k in range(1, outcomes)))


def run(choices: Choices, decisions: dict[Node, Decision], turning: list[Node] | None = None) -> list[list[np.ndarray]]:
    """What each decision gives on every way."""
    found = []
    for _ in range(1000):
        found.append([np.array(choices.take(n, d)) for n, d in decisions.items()])
        if not choices.advance(list(decisions) if turning is None else turning):
            return found
    raise AssertionError("the odometers do not come to an end")


def ways(found: list[list[np.ndarray]], at: int) -> set[tuple[float, ...]]:
    return {tuple(float(each[at]) for each in way) for way in found}


def test_each_element_goes_through_all_of_its_ways_and_no_others() -> None:
    """Open at none, the first, the second, both, and all three, of which one has three outcomes."""
    opens = [[0, 1, 0, 1, 1], [0, 0, 1, 1, 1], [0, 0, 0, 0, 1]]
    counts = [2, 3, 2]
    nodes = [node(0), node(1, "sign"), node(2)]
    decisions = {n: decision(np.asarray(o, bool), c) for n, o, c in zip(nodes, opens, counts, strict=True)}
    found = run(Choices(), decisions)
    assert len(found) == 12
    for at in range(5):
        own = [range(c if o[at] else 1) for o, c in zip(opens, counts, strict=True)]
        assert ways(found, at) == {tuple(map(float, each)) for each in product(*own)}


def test_where_nothing_is_open_nothing_turns() -> None:
    choices = Choices()
    decisions = {node(0): decision([False, False])}
    assert len(run(choices, decisions)) == 1
    assert choices.open == {}
    assert choices.left(list(decisions)) == {}


def test_the_last_decision_turns_first_and_only_what_turned_is_named() -> None:
    choices, (a, b) = Choices(), (node(0), node(1))
    decisions = {a: decision([True]), b: decision([True])}
    for expected in ({b}, {a, b}, {b}, set()):
        for n, d in decisions.items():
            choices.take(n, d)
        assert choices.advance([a, b]) == expected
    assert [choices.digit(n) for n in (a, b)] == [0, 0]


def test_decisions_that_do_not_turn_stay_as_they_are() -> None:
    choices, (a, b) = Choices(), (node(0), node(1))
    found = run(choices, {a: decision([True]), b: decision([True])}, [a])
    assert ways(found, 0) == {(0.0, 0.0), (1.0, 0.0)}


def test_a_row_turns_when_its_elements_are_through() -> None:
    """Two rows of two elements; the first row is open, and one element of each."""
    row = decision(np.asarray([[True], [False]]))
    element = decision(np.asarray([[True, False], [True, False]]), 3)
    found = run(Choices(), {node(0, axes=ROW): row, node(1, "sign"): element})
    assert len(found) == 6
    pairs = lambda i, j: {(float(way[0][i, 0]), float(way[1][i, j])) for way in found}  # noqa: E731
    assert pairs(0, 0) == {(float(r), float(e)) for r in range(2) for e in range(3)}
    assert pairs(0, 1) == {(0.0, 0.0), (1.0, 0.0)}
    assert pairs(1, 0) == {(0.0, 0.0), (0.0, 1.0), (0.0, 2.0)}


@pytest.mark.parametrize(("outer", "inner"), [(TENSOR, ROW), (TENSOR, ELEMENT), (COLUMN, ELEMENT), (LEFT, ELEMENT)])
def test_what_has_fewer_axes_is_the_outer_loop(outer: Axes, inner: Axes) -> None:
    choices, (coarse, fine) = Choices(), (node(0, axes=outer), node(1, axes=inner))
    found = run(choices, {coarse: decision([True]), fine: decision([True])})
    assert [tuple(float(x[0]) for x in way) for way in found] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_decision_that_is_open_on_one_way_alone() -> None:
    """The second is open only where the first went its other way."""
    choices, (a, b) = Choices(), (node(0), node(1))
    found = []
    while True:
        first = choices.take(a, decision([True, True]))
        second = choices.take(b, decision(first == 1.0, 2))
        found.append([first, second])
        if not choices.advance([a, b]):
            break
    assert len(found) == 3
    assert ways(found, 0) == {(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)}


def test_what_is_left_is_told_by_decision() -> None:
    """After one way of three elements: the first has more of both, the second of one, the third of none."""
    choices, (a, b) = Choices(), (node(0), node(1))
    choices.take(a, decision([True, False, False]))
    choices.take(b, decision([True, True, False]))
    assert {n: marks.tolist() for n, marks in choices.left([a, b]).items()} == {
        a: [True, False, False],
        b: [True, True, False],
    }
    choices.advance([a, b])
    choices.take(a, decision([True, False, False]))
    choices.take(b, decision([True, True, False]))
    # the second is on its last way
    assert {n: marks.tolist() for n, marks in choices.left([a, b]).items()} == {
        a: [True, False, False],
        b: [True, False, False],
    }


def test_back_to_the_first_choices() -> None:
    choices, (a, b) = Choices(), (node(0), node(1))
    choices.take(a, decision([True])), choices.take(b, decision([True]))
    choices.advance([a, b])
    assert choices.digit(b) == 1
    assert choices.reset([a, b]) == {b}
    assert choices.digit(b) == 0
