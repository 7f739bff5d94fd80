"""Large arrays are judged chunk by chunk with what judging them whole says, whatever couples their elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.arithmetic.enclosure import Ambiguous
from refgrad.arithmetic.running_error import Bounded
from refgrad.axes import COLUMN, ELEMENT, ROW
from refgrad.estimators import ClippedSTE
from refgrad.optimizers import LAMB
from refgrad.oracle.acceptance import judge, screened_outputs, screening, stateless
from refgrad.oracle.acceptance.chunks import Cut, Gathered, together
from refgrad.oracle.inputs.steps import completed
from refgrad.rule import rules

#: elements of a chunk here, and shapes that have more
FEW, SHAPES = 96, [(24, 13), (5, 61), (310,)]


def told(candidate: Any, rule: Any, inputs: Any) -> tuple[Any, ...]:
    """All that is counted of a verdict, and what is found first."""
    verdict = refgrad.verify(candidate, rule, inputs=inputs, explain=False, shrink=False)
    first = None if verdict.first is None else str(verdict.first)
    return verdict.outcome, verdict.counts, verdict.faults, verdict.tightest, verdict.errors, first, verdict.by_step


def whole_and_cut(monkeypatch: pytest.MonkeyPatch, candidate: Any, rule: Any, inputs: Any) -> list[tuple[Any, ...]]:
    found = [told(candidate, rule, inputs)]
    for module in (judge, stateless, screening, screened_outputs):
        monkeypatch.setattr(module, "CHUNK", FEW)
    return [*found, told(candidate, rule, inputs)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", sorted(n for n, rule in rules().items() if rule.kind == "optimizer"))
@pytest.mark.sample(quick=24, suite=24)
def test_chunks_say_of_an_optimizer_what_the_whole_says(
    name: str, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    rule: Any = rules()[name]()
    random = np.random.default_rng(3)
    p, g, h = (random.standard_normal(shape).astype(np.float32) for _ in range(3))
    inputs = completed(refgrad.Inputs([p], [[g], [h]]), rule)
    other = rule.replace(lr=float(rule.lr) * 1.5) if "lr" in rule.numbers() else rule
    whole, cut = whole_and_cut(monkeypatch, other, rule, inputs)
    assert cut == whole


def test_chunks_say_of_an_estimator_what_the_whole_says(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    x, cotangent = (2 * random.standard_normal((24, 13)).astype(np.float32) for _ in range(2))
    cases = refgrad.Cases([{"x": x, "cotangent": cotangent}])
    for candidate in (ClippedSTE(), rules()["ArcTan"]()):
        monkeypatch.undo()
        whole, cut = whole_and_cut(monkeypatch, candidate, ClippedSTE(), cases)
        assert cut == whole


@pytest.mark.parametrize("zero", [False, True])
def test_a_decision_of_the_whole_tensor_that_is_open_is_judged_whole(
    zero: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LAMB asks whether the norm is zero: of numbers that are not it is no question, of some that may be flushed it is one."""
    cut = []
    original = judge._judge_in_chunks

    def watched(*how: Any) -> Any:
        try:
            found = original(*how)
        except Ambiguous:
            cut.append(False)
            raise
        cut.append(True)
        return found

    monkeypatch.setattr(judge, "_judge_in_chunks", watched)
    p = np.full((24, 13), 1e-39 if zero else 1.0, np.float32)
    inputs = refgrad.Inputs([p], [[np.ones_like(p)]])
    monkeypatch.setattr(judge, "CHUNK", FEW)
    policy = refgrad.Policy(subnormals="either")
    verdict = refgrad.verify(LAMB(), LAMB(), inputs=inputs, explain=False, shrink=False, policy=policy)
    assert not verdict.counts["p"].outside
    assert set(cut) == {not zero}


def test_what_has_the_axis_is_cut_and_the_rest_is_not() -> None:
    cut = Cut.of((6, 4), 8)
    assert [(c.start, c.stop) for c in cut.chunks()] == [(0, 2), (2, 4), (4, 6)]
    rows, columns, number = np.arange(6)[:, None], np.arange(4), np.float64(1.0)
    assert cut.part(rows, slice(2, 4)).tolist() == [[2], [3]]
    assert cut.part(columns, slice(2, 4)) is columns
    assert cut.part(np.asarray(number), slice(2, 4)).tolist() == 1.0
    assert (cut.cuts(ELEMENT), cut.cuts(ROW), cut.cuts(COLUMN)) == (True, True, False)
    long = Cut.of((2, 9), 4)
    assert (long.axis, long.step, long.cuts(ROW), long.cuts(COLUMN)) == (1, 2, False, True)
    assert Cut.of((1, 9, 5), 2).step == 1


def test_parts_are_gathered_and_numbers_joined() -> None:
    cut, elements = Cut.of((4, 2), 4), np.arange(8.0).reshape(4, 2)
    gathered = Gathered(cut)
    for chunk in cut.chunks():
        gathered.add("p", (elements[chunk], None), ELEMENT, chunk)
        gathered.add("column", (elements[:1],), COLUMN, chunk)
    (whole, nothing), (column,) = gathered.of("p", 2), gathered.of("column", 1)
    assert nothing is None
    assert np.array_equal(whole, elements)
    assert np.array_equal(column, elements[:1])
    known = Bounded(elements, elements / 8)
    parts = [cut.part_of(known, chunk) for chunk in cut.chunks()]
    again = together(parts, cut, ELEMENT)
    assert np.array_equal(again.value, elements)
    assert np.array_equal(again.bound(), elements / 8)
    assert together(parts, cut, COLUMN) is parts[0]
