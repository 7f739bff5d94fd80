"""Ways through decisions: each element's own ones, as many as it has, and what is said of those that are not followed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic import enclosure, scalar_math
from refgrad.arithmetic.enclosure import Branch, Enclosure, most_ways, within
from refgrad.arithmetic.graph import Builder, Graph
from refgrad.arithmetic.primitives import gram, matmul, tree_max, tree_sum
from refgrad.arithmetic.running_error import Bounded
from refgrad.arithmetic.scalar_math import Scope
from refgrad.axes import ROW, TENSOR
from refgrad.oracle.acceptance.comparing import model_for
from refgrad.oracle.acceptance.policy import Policy

MODEL = model_for(Policy(), np.dtype(np.float32))
Function = Callable[..., dict[str, Any]]


def graph_of(function: Function, names: str, small: Mapping[str, str] | None = None) -> Graph:
    """A function of arrays, traced."""
    builder = Builder(Scope(), 2)
    made = function(*(builder.input(n) for n in names.split()))
    outputs = {name: builder.lift(value) for name, value in made.items()}
    return Graph(builder.live(outputs), outputs, {}, (), small or {})


def branches(
    function: Function,
    given: Mapping[str, Bounded],
    observed: Mapping[str, Bounded] | None = None,
    small: Mapping[str, str] | None = None,
) -> list[Branch]:
    """Every branch of a function of values with bounds."""
    graph = graph_of(function, " ".join(given), small)
    table = scalar_math.TABLES["float64"]
    scalars = [Bounded(np.asarray(float(scalar_math.evaluate(e, {}, table)))) for e in graph.scalars()]
    with np.errstate(all="ignore"):
        return list(Enclosure(graph, MODEL).branches(given, scalars, observed or {}))


def results(found: list[Branch], name: str, at: Any) -> set[float]:
    """The centres of an output's sets at one element."""
    return {float(b.sets[name].value[at]) for b in found}


def signs(*xs: Any) -> dict[str, Any]:
    """A number of which each digit to the base three is a sign."""
    return {"out": sum(3.0**k * np.sign(x) for k, x in enumerate(xs))}


def open_at(size: int, *places: int) -> Bounded:
    """Ones, except for numbers near zero in some places."""
    near = np.isin(np.arange(size), places)
    return Bounded(np.where(near, 0.25, 1.0)[None], np.where(near, 0.5, 0.0)[None])


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("n", [1, 2, 4, 6])
def test_an_element_is_followed_through_all_of_its_decisions(n: int) -> None:
    """One element is open at all signs, one at none, and one at each; there are as many branches as the first has ways."""
    found = branches(signs, {f"x{k}": open_at(n + 2, k, n) for k in range(n)})
    assert len(found) == 3**n
    sums = [np.stack([b.sets["out"].value[0] for b in found])]
    every = {sum(3.0**k * s for k, s in enumerate(each)) for each in product((-1, 0, 1), repeat=n)}
    total = sum(3.0**k for k in range(n))
    assert set(sums[0][:, n]) == every
    assert set(sums[0][:, n + 1]) == {total}
    for k in range(n):
        assert set(sums[0][:, k]) == {total, total - 3.0**k, total - 2 * 3.0**k}


def test_decisions_that_are_open_at_different_elements_do_not_multiply() -> None:
    found = branches(signs, {f"x{k}": open_at(8, k) for k in range(8)})
    assert len(found) == 3


def test_the_first_branch_is_that_of_the_centres() -> None:
    given = {"x": Bounded(np.asarray([[0.25, -0.25, 0.0]]), np.full((1, 3), 0.5))}
    first, *_ = branches(lambda x: {"s": np.sign(x), "c": np.where(x > 0, 1.0, 2.0)}, given)
    assert first.sets["s"].value.tolist() == [[1.0, -1.0, 0.0]]
    assert first.sets["c"].value.tolist() == [[1.0, 2.0, 2.0]]


def test_a_decision_that_only_one_way_reaches() -> None:
    """Where x may be above or below zero, the sign of y is open only above."""
    near = Bounded(np.asarray([[0.25]]), np.asarray([[0.5]]))
    found = branches(
        lambda x, y: {"out": np.sign(np.where(x > 0, y, 5.0)) + np.where(x > 0, 10.0, 20.0)}, {"x": near, "y": near}
    )
    assert results(found, "out", (0, 0)) == {11.0, 10.0, 9.0, 21.0}
    assert len(found) == 4


def test_outputs_that_depend_on_no_decision_are_not_open() -> None:
    """Neither are those that go on from what was observed."""
    near = Bounded(np.asarray([[0.25, 1.0]]), np.asarray([[0.5, 0.0]]))
    function: Function = lambda x, y: {"s": np.sign(x), "twice": 2.0 * np.sign(x), "y": y + 1.0}  # noqa: E731
    for branch in branches(function, {"x": near, "y": near}):
        assert {n: marks.tolist() for n, marks in branch.open.items()} == {n: [[True, False]] for n in ("s", "twice")}
    seen = {"s": Bounded(np.asarray([[-1.0, 1.0]]))}
    for branch in branches(function, {"x": near, "y": near}, seen):
        assert set(branch.open) == {"s"}
        assert branch.sets["twice"].value.tolist() == [[-2.0, 2.0]]


def test_rows_decide_for_all_of_their_elements() -> None:
    """Each row has a sign of its own, and each element one besides: three times three, whichever rows are open."""
    x = Bounded(
        np.asarray([[0.125, 0.125], [1.0, 1.0], [0.125, 0.125]]), np.asarray([[0.5], [0.0], [0.5]]) * np.ones(2)
    )
    y = Bounded(np.asarray([[0.25, 1.0]] * 3), np.asarray([[0.5, 0.0]] * 3))
    found = branches(lambda x, y: {"out": 10.0 * np.sign(tree_sum(x, "row")) + np.sign(y)}, {"x": x, "y": y})
    assert len(found) == 9
    nine = {10.0 * a + b for a in (-1, 0, 1) for b in (-1, 0, 1)}
    assert results(found, "out", (0, 0)) == results(found, "out", (2, 0)) == nine
    assert results(found, "out", (1, 0)) == {9.0, 10.0, 11.0}
    assert results(found, "out", (0, 1)) == {-9.0, 1.0, 11.0}


def test_a_tensor_decides_once_for_all() -> None:
    x = Bounded(np.full((1, 2), 0.125), np.full((1, 2), 0.5))
    y = Bounded(np.asarray([[0.25, 1.0]]), np.asarray([[0.5, 0.0]]))
    found = branches(lambda x, y: {"out": 10.0 * np.sign(tree_sum(x)) + np.sign(y)}, {"x": x, "y": y})
    by_shared: dict[Any, set[float]] = {}
    for branch in found:
        by_shared.setdefault(branch.shared, set()).update(branch.sets["out"].value.ravel().tolist())
    assert sorted(sorted(s) for s in by_shared.values()) == [[-11.0, -10.0, -9.0], [-1.0, 0.0, 1.0], [9.0, 10.0, 11.0]]


SUMMED: dict[str, Function] = {
    "sum of signs": lambda x, y: {"out": y + tree_sum(np.sign(x))},
    "sum of rows": lambda x, y: {"out": y * tree_sum(np.where(x > 0, y, 2.0 * y), "row")},
    "largest": lambda x, y: {"out": tree_max(np.where(x > 0, y, -y)) - y},
    "sum of a row's decisions": lambda x, y: {"out": y + tree_sum(np.sign(tree_max(x, "row")) * y)},
    "sum of sums": lambda x, y: {"out": tree_sum(y * np.sign(tree_sum(np.sign(x)) * y - 0.25)) + y},
    "product of matrices": lambda x, y: {"out": matmul(gram(np.where(x > 0, y, -2.0 * y), "left"), y) - y},
}


@pytest.mark.parametrize("name", SUMMED)
def test_what_couples_elements_takes_each_on_a_way_of_its_own(name: str) -> None:
    """For every place of the numbers within their bounds, the result is in the set of one branch, element by element."""
    random = np.random.default_rng(0)
    x = Bounded(np.round(random.standard_normal((2, 2)), 2), np.asarray([[2.0, 0.0], [2.0, 2.0]]))
    y = Bounded(np.round(random.standard_normal((2, 2)) + 3, 2))
    found = branches(SUMMED[name], {"x": x, "y": y})
    for places in product((-1.0, -0.4, 0.3, 1.0), repeat=4):
        at = x.value + x.bound() * np.reshape(places, (2, 2))
        out = SUMMED[name](at, y.value)["out"]
        inside = [np.abs(out - b.sets["out"].value) <= b.sets["out"].bound() for b in found]
        assert np.any(inside, axis=0).all()


def test_a_sum_of_what_is_decided_is_as_narrow_as_its_terms() -> None:
    near = Bounded(np.asarray([[0.25, 0.25, 1.0]]), np.asarray([[0.5, 0.5, 0.0]]))
    (found,) = {
        (float(b.sets["s"].value[0, 0]), float(b.sets["s"].bound()[0, 0]))
        for b in branches(lambda x: {"s": tree_sum(np.sign(x))}, {"x": near}, small={"s": TENSOR})
    }
    assert found[0] == 1.0
    assert 2.0 <= found[1] < 2.0 + 1e-5


def followed(monkeypatch: pytest.MonkeyPatch, ways: int) -> None:
    monkeypatch.setattr(enclosure, "most_ways", lambda size: ways)


def test_ways_that_are_not_followed_may_lead_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three elements the first has 27 ways, the second three, the third one; only of the first is nothing known."""
    followed(monkeypatch, 5)
    given = {f"x{k}": open_at(3, 0, *([1] if k == 2 else [])) for k in range(3)}
    given["y"] = open_at(3, 0, 1, 2)

    def function(*xs: Any) -> dict[str, Any]:
        return {**signs(*xs[:3]), "y": xs[3] + 1.0}

    *several, last = branches(function, given)
    assert len(several) == 5
    assert all(np.isfinite(b.sets[n].bound()).all() for b in several for n in ("out", "y"))
    assert np.isinf(last.sets["out"].bound()).tolist() == [[True, False, False]]
    assert np.isfinite(last.sets["out"].value).all()
    assert np.isfinite(last.sets["y"].bound()).all()
    assert results(several, "out", (0, 1)) == {13.0, 4.0, -5.0}


def test_a_limit_that_is_just_reached_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {f"x{k}": open_at(2, 0) for k in range(2)}
    followed(monkeypatch, 9)
    assert all(np.isfinite(b.sets["out"].bound()).all() for b in branches(signs, given))
    followed(monkeypatch, 8)
    assert np.isinf(branches(signs, given)[-1].sets["out"].bound()).tolist() == [[True, False]]


def test_a_sum_of_what_was_not_followed_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    followed(monkeypatch, 5)
    given = {f"x{k}": open_at(3, 0) for k in range(3)}
    found = branches(lambda *xs: {"s": tree_sum(signs(*xs)["out"], "row")}, given, small={"s": ROW})
    assert all(np.isinf(b.sets["s"].bound()).all() for b in found)


@pytest.mark.parametrize("ways", [5, 6, 8])
def test_ways_of_a_tensor_that_are_not_followed_are_a_group_of_their_own(
    monkeypatch: pytest.MonkeyPatch, ways: int
) -> None:
    """Of three times three. All that is open is unknown in it, also where an element has been through all of its ways."""
    followed(monkeypatch, ways)
    x = Bounded(np.full((1, 2), 0.125), np.full((1, 2), 0.5))
    y = Bounded(np.asarray([[0.25, 1.0]]), np.asarray([[0.5, 0.0]]))
    found = branches(lambda x, y: {"out": 10.0 * np.sign(tree_sum(x)) + np.sign(y), "s": np.sign(y)}, {"x": x, "y": y})
    rest = [b for b in found if b.shared == enclosure.REST]
    assert len(rest) == (ways < 7)
    for branch in rest:
        assert np.isinf(branch.sets["out"].bound()).all()
        assert np.isinf(branch.sets["s"].bound()).tolist() == [[True, False]]
    # of the way of the tensor that was begun, nothing is known of what its element has left
    begun = [np.isinf(b.sets["s"].bound()).tolist() for b in found if b.shared != enclosure.REST]
    assert ([[True, False]] in begun) == (ways % 3 != 0)
    assert [[True, True]] not in begun


def agreeing(found: list[Branch], results: Mapping[str, np.ndarray]) -> bool:
    """True if results lie in the sets of one group of branches, each element in those of any one branch of the group."""

    def inside(branch: Branch) -> np.ndarray:
        sets = ((branch.sets[n], r) for n, r in results.items())
        # an element of all outputs is on one way
        return np.logical_and.reduce(np.broadcast_arrays(*(np.abs(r - s.value) <= s.bound() for s, r in sets)))

    groups = {b.shared for b in found}
    return any(np.any([inside(b) for b in found if b.shared == group], axis=0).all() for group in groups)


@pytest.mark.parametrize("switched", [False, True])
@pytest.mark.parametrize("ways", range(1, 11))
def test_whatever_is_followed_no_right_result_is_condemned(
    monkeypatch: pytest.MonkeyPatch, ways: int, switched: bool
) -> None:
    """A decision of the tensor, one of each element, one more that another one switches, and a sum over what is decided.

    What a way that was not followed would have led to is unknown at all that is open, not only at what is left to decide.
    """
    followed(monkeypatch, ways)

    def function(x: Any, y: Any) -> dict[str, Any]:
        wide, own = np.sign(tree_sum(x)), np.sign(y)
        return {
            "out": 10.0 * wide + own + (np.sign(np.where(x > 0, y, 5.0)) if switched else 0.0),
            "s": own,
            "row": tree_sum(own * np.where(wide > 0, 3.0, 2.0), "row") + y,
        }

    x = Bounded(np.full((1, 2), 0.125), np.full((1, 2), 0.5))
    y = Bounded(np.asarray([[0.25, 1.0]]), np.asarray([[0.5, 0.0]]))
    found = branches(function, {"x": x, "y": y})
    for places in product((-1.0, -0.25, 0.0, 1.0), (-1.0, -0.25, 1.0), (-1.0, -0.5, 1.0)):
        results = function(x.value + x.bound() * places[:2], y.value + y.bound() * places[2])
        assert agreeing(found, results), places


def test_a_stack_of_tensors_has_decisions_of_each() -> None:
    """Three tensors along the first axis, two of which are open: their decisions are not shared."""
    graph = graph_of(lambda x: {"out": x + 10.0 * np.sign(tree_sum(x))}, "x")
    scalars = [Bounded(np.asarray(10.0))]
    x = Bounded(np.full((3, 1, 2), 0.125), np.asarray([0.5, 0.0, 0.5]).reshape(3, 1, 1) * np.ones((3, 1, 2)))
    found = list(Enclosure(graph, MODEL, 1).branches({"x": x}, scalars, {}))
    assert len(found) == 3
    assert {b.shared for b in found} == {()}
    assert [sorted({round(float(b.sets["out"].value[i, 0, 0])) for b in found}) for i in range(3)] == [
        [-10, 0, 10],
        [10],
        [-10, 0, 10],
    ]


def test_how_far_elements_are_followed() -> None:
    """At least 512 ways however large the array is, and the 6561 of eight signs in one of 64 elements."""
    assert most_ways(10**9) == most_ways(32768) == enclosure.LEAST_WAYS == 512
    assert most_ways(64) >= 3**8


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2, 3), [[True, False, False], [False, False, False]]),
        ((2, 1), [[True], [False]]),
        ((1, 3), [[True, False, False]]),
        ((1, 1), [[True]]),
        ((), True),
        ((2, 2), True),
    ],
)
def test_marks_of_what_is_one_number_a_row_a_column_or_a_tensor(shape: tuple[int, ...], expected: Any) -> None:
    marks = np.zeros((2, 3), bool)
    marks[0, 0] = True
    assert within(marks, shape).tolist() == expected
    assert not within(np.zeros((2, 3), bool), shape).any()


def test_an_average_is_charged_both_roundings_of_its_interpolation_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """x + w (y - x) rounds the difference and the product, which are w (|x| + |y|) at most; w is the smaller weight."""
    charged, total = [], enclosure.bounds.total
    monkeypatch.setattr(
        enclosure.bounds, "total", lambda terms, extra, model: charged.append(extra) or total(terms, extra, model)
    )
    given = {"x": Bounded(np.asarray([3.0, -1.0])), "y": Bounded(np.asarray([-5.0, -2.0]))}
    graph = graph_of(lambda x, y: {"m": 0.75 * x + 0.25 * y}, "x y")
    scalars = [Bounded(np.asarray(0.75)), Bounded(np.asarray(0.25))]
    list(Enclosure(graph, MODEL).branches(given, scalars, {}))
    assert [extra.tolist() for extra in charged] == [[2 * 0.25 * 8.0, 2 * 0.25 * 3.0]]
