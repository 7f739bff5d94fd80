"""Statuses of several ways and of open decisions as one judgement, worked out by hand."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, UNDECIDED, Judged, outside, undecide, union

F32, F64, BF16 = np.dtype(np.float32), np.dtype(np.float64), np.dtype(ml_dtypes.bfloat16)
TINY = float(np.finfo(np.float32).smallest_normal)
INF, NAN = np.inf, np.nan


def judged(*status: int) -> Judged:
    """Statuses whose other fields tell from which way they are."""
    array = np.asarray(status, np.uint8)
    return Judged(array, array + 10.0, array - 0.5, array + 0.5)


def test_what_another_decision_may_change_is_undecided_if_it_is_inside() -> None:
    before = judged(INSIDE, INSIDE, OUTSIDE, UNDECIDED)
    after = undecide(before, np.asarray([True, False, True, True]))
    assert after.status.tolist() == [UNDECIDED, INSIDE, OUTSIDE, UNDECIDED]
    assert (after.truth is before.truth, after.low is before.low, after.high is before.high) == (True, True, True)
    assert undecide(before, None) is before


def test_a_row_is_undecided_if_any_of_its_elements_is() -> None:
    rows = Judged(*(np.zeros((2, 1)),) * 4)
    assert undecide(rows, np.asarray([[False, True], [False, False]])).status.tolist() == [[UNDECIDED], [INSIDE]]
    whole = Judged(*(np.zeros((1, 1)),) * 4)
    assert undecide(whole, np.asarray([[False, True], [False, False]])).status.tolist() == [[UNDECIDED]]


def test_a_union_takes_the_way_that_explains_more_outputs_and_all_of_them_from_it() -> None:
    """Element by element: the first is explained by the old way, the second by the new one, the third as well by either."""
    known = {"p": judged(INSIDE, OUTSIDE, OUTSIDE, INSIDE), "m": judged(INSIDE, OUTSIDE, INSIDE, UNDECIDED)}
    new = {"p": judged(OUTSIDE, UNDECIDED, INSIDE, UNDECIDED), "m": judged(INSIDE, INSIDE, OUTSIDE, INSIDE)}
    found = union(known, new)
    assert found["p"].status.tolist() == [INSIDE, UNDECIDED, OUTSIDE, INSIDE]
    assert found["m"].status.tolist() == [INSIDE, INSIDE, INSIDE, UNDECIDED]
    for name in known:
        assert found[name].truth.tolist() == (found[name].status + 10.0).tolist()
        assert found[name].low.tolist() == (found[name].status - 0.5).tolist()
        assert found[name].high.tolist() == (found[name].status + 0.5).tolist()
    assert union(None, new) is new
    assert {n: j.status.tolist() for n, j in union(known, known).items()} == {
        n: j.status.tolist() for n, j in known.items()
    }


def test_outputs_of_a_row_go_with_its_elements() -> None:
    """The row that has an element which the new way explains is taken from it."""
    elements = lambda *rows: Judged(*(np.asarray(rows, float),) * 4)  # noqa: E731
    known = {"p": elements([OUTSIDE, INSIDE], [INSIDE, INSIDE]), "v": elements([OUTSIDE], [INSIDE])}
    new = {"p": elements([INSIDE, INSIDE], [OUTSIDE, INSIDE]), "v": elements([UNDECIDED], [UNDECIDED])}
    found = union(known, new)
    assert found["v"].status.tolist() == [[UNDECIDED], [INSIDE]]
    assert found["p"].status.tolist() == [[INSIDE, INSIDE], [INSIDE, INSIDE]]


def test_how_many_are_outside() -> None:
    assert outside([]) == 0
    assert outside([judged(OUTSIDE, INSIDE, UNDECIDED), judged(OUTSIDE, OUTSIDE)]) == 3
