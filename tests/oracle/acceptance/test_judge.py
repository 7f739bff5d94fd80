"""The parts of the judge on small arrays, with statuses and ends that were worked out by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad.arithmetic.running_error import Bounded
from refgrad.optimizers import SGD, Lion, MoMo, NAdam
from refgrad.oracle.acceptance.chunks import CHUNK
from refgrad.oracle.acceptance.judge import (
    INSIDE,
    OUTSIDE,
    UNDECIDED,
    Judged,
    Step,
    compare,
    conditioned,
    judge,
    judge_scalars,
    model_for,
    outside,
    undecide,
    union,
)
from refgrad.oracle.acceptance.policy import Policy
from refgrad.tracing import free_values

F32, F64, BF16 = np.dtype(np.float32), np.dtype(np.float64), np.dtype(ml_dtypes.bfloat16)
TINY = float(np.finfo(np.float32).smallest_normal)
INF, NAN = np.inf, np.nan


def statuses(truth: Any, error: Any, values: Any, dtype: np.dtype = F32, **policy: Any) -> list[int]:
    """The statuses of numbers against centres and bounds."""
    bound = None if error is None else np.asarray(error, float)
    with np.errstate(all="ignore"):
        found = compare(Bounded(np.asarray(truth, float), bound), np.asarray(values, float), dtype, Policy(**policy))
    assert found.status.shape == found.truth.shape == found.low.shape == found.high.shape == np.shape(values)
    return found.status.astype(int).tolist()


def judged(*status: int) -> Judged:
    """Statuses whose other fields tell from which way they are."""
    array = np.asarray(status, np.uint8)
    return Judged(array, array + 10.0, array - 0.5, array + 0.5)


def test_the_ends_of_a_set_are_in_it_and_the_next_numbers_are_not() -> None:
    """Of 2 +- 0.25; the numbers are float32 and so are the ends."""
    next_up, next_down = (
        float(np.nextafter(np.float32(2.25), np.float32(3))),
        float(np.nextafter(np.float32(1.75), np.float32(1))),
    )
    assert statuses([2.0] * 5, [0.25] * 5, [2.25, 1.75, 2.0, next_up, next_down]) == [
        INSIDE,
        INSIDE,
        INSIDE,
        OUTSIDE,
        OUTSIDE,
    ]
    assert statuses([2.0, 2.0], None, [2.0, next_up]) == [INSIDE, OUTSIDE]


def test_one_set_is_judged_against_every_value() -> None:
    assert statuses(1.0, 0.5, [[1.5, 2.0], [0.5, 0.25]]) == [[INSIDE, OUTSIDE], [INSIDE, OUTSIDE]]


def test_a_set_between_two_numbers_of_the_format_holds_those_that_its_ends_round_to() -> None:
    """1 + 2**-9 +- 2**-12 lies between the bfloat16 numbers 1 and 1 + 2**-7, and nearer to 1; 1.5 halves of a unit do not."""
    unit = 2.0**-7
    assert statuses([1 + unit / 4] * 2, [unit / 32] * 2, [1.0, 1 + unit], BF16) == [INSIDE, OUTSIDE]
    assert statuses([1 + unit / 2] * 3, [unit / 32] * 3, [1.0, 1 + unit, 1 + 2 * unit], BF16) == [
        INSIDE,
        INSIDE,
        OUTSIDE,
    ]
    assert statuses([1 + unit / 4], [unit / 32], [1.0], F64) == [OUTSIDE]


def test_a_number_of_a_set_in_a_wider_dtype_is_inside_whatever_the_others_are() -> None:
    """1 + 2**-9 is no bfloat16 number; another that is NaN, as it is to be, or outside makes no other of it."""
    wide, next_to_it = 1 + 2.0**-9, 1 + 2.0**-9 + 2.0**-20
    for truth, value, expected in ((1.0, 1.0, INSIDE), (NAN, NAN, INSIDE), (INF, INF, INSIDE), (1.0, 2.0, OUTSIDE)):
        assert statuses([wide, truth], [0.0, 0.0], [wide, value], BF16) == [INSIDE, expected]
        assert statuses([wide, truth], [0.0, 0.0], [next_to_it, value], BF16) == [OUTSIDE, expected]
    assert statuses([NAN, INF, INF], [0.0, NAN, 0.0], [1.0, 1.0, -INF], BF16) == [OUTSIDE] * 3


def test_nan_must_be_nan_and_an_infinity_that_infinity() -> None:
    truth = [NAN, NAN, 1.0, INF, INF, INF, -INF]
    values = [NAN, 1.0, NAN, INF, -INF, 1.0, -INF]
    expected = [INSIDE, OUTSIDE, OUTSIDE, INSIDE, OUTSIDE, OUTSIDE, INSIDE]
    assert statuses(truth, np.zeros(7), values) == expected


def test_an_infinity_may_be_nan_under_another_order() -> None:
    assert statuses([INF, -INF], [0.0, 0.0], [NAN, NAN]) == [INSIDE, INSIDE]


def test_nothing_is_said_where_a_bound_is_infinite_or_nan() -> None:
    assert statuses([0.0, 0.0, 1.0, 1.0], [INF, INF, NAN, 0.0], [5.0, NAN, 3.0, 3.0]) == [UNDECIDED] * 3 + [OUTSIDE]
    assert statuses([NAN, NAN], [INF, INF], [NAN, 1.0]) == [INSIDE, OUTSIDE]  # NaN whatever the bound is


def test_a_subnormal_number_where_all_are_flushed() -> None:
    values = [TINY, TINY / 2, 0.0]
    assert statuses([TINY / 2] * 3, [TINY] * 3, values, subnormals="flush") == [INSIDE, OUTSIDE, INSIDE]
    assert statuses([TINY / 2] * 3, [TINY] * 3, values) == [INSIDE] * 3


def test_the_ends_are_those_on_the_grid_or_of_the_set() -> None:
    with np.errstate(all="ignore"):
        inside = compare(Bounded(np.asarray([1.0]), np.asarray([0.1])), np.asarray([1.0]), F32, Policy())
        past = compare(Bounded(np.asarray([1.0]), np.asarray([0.1])), np.asarray([2.0]), F32, Policy())
        special = compare(Bounded(np.asarray([INF])), np.asarray([1.0]), F32, Policy())
    assert (inside.low, inside.truth, inside.high) == (0.9, 1.0, 1.1)
    assert (past.low, past.high) == (np.float32(0.9), np.float32(1.1))
    assert (special.low, special.high) == (INF, INF)


def test_a_deviation_of_a_known_norm_is_not_every_element_s() -> None:
    """Four elements may be off by one together: by a half each, or one of them by one; not each of them by one."""
    set_ = Bounded(np.zeros((2, 2)), np.ones((2, 2)), norm=np.ones((1, 1)))
    for values, expected in (
        ([[0.5, 0.5], [0.5, 0.5]], [[INSIDE] * 2] * 2),
        ([[1.0, 0.0], [0.0, 0.0]], [[INSIDE] * 2] * 2),
        ([[1.0, 1.0], [1.0, 1.0]], [[OUTSIDE] * 2] * 2),
        ([[1.0, 0.25], [0.25, 0.0]], [[OUTSIDE, INSIDE], [INSIDE, INSIDE]]),
    ):
        assert compare(set_, np.asarray(values), F32, Policy()).status.tolist() == expected
    # what elements may be off by themselves does not count against the norm
    own = set_._replace(error=np.full((2, 2), 1.5))
    assert compare(own, np.full((2, 2), 1.0), F32, Policy()).status.tolist() == [[INSIDE] * 2] * 2


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


def test_what_was_seen_goes_on_as_it_is_in_the_format_that_is_computed_in() -> None:
    """But where it is subnormal: a wider register had kept what was lost when it was stored."""
    values = np.asarray([1.0, TINY / 2, 0.0])
    for dtype in (F32, F64):
        model = model_for(Policy(subnormals="keep"), F32)
        assert conditioned(values[:1], dtype, model).error is None
        assert conditioned(values, dtype, model).bound().tolist() == [0.0, 2.0**-149, 2.0**-149]
        assert conditioned(values, dtype, model, as_stored=True).error is None


def test_a_narrow_number_may_have_been_used_before_it_was_rounded() -> None:
    """By one unit of bfloat16, 2**-7 of the power of two below; not where the rule itself rounds it."""
    model, values = model_for(Policy(subnormals="keep"), BF16), np.asarray([1.0, 1.5, -4.0])
    assert conditioned(values, BF16, model).bound().tolist() == [2.0**-7, 2.0**-7, 2.0**-5]
    assert conditioned(values, BF16, model, as_stored=True).error is None
    stored = model_for(Policy(subnormals="keep", precision="storage"), BF16)
    assert conditioned(values, BF16, stored).error is None


@pytest.mark.parametrize("subnormals", ["flush", "either"])
def test_a_number_that_may_have_been_flushed(subnormals: str) -> None:
    model = model_for(Policy(subnormals=subnormals), F32)
    found = conditioned(np.asarray([0.0, TINY / 4, TINY, -1.0]), F32, model)
    assert found.value.tolist() == [0.0, TINY / 4, TINY, -1.0]
    assert found.bound().tolist() == [TINY, TINY, 0.0, 0.0]
    assert conditioned(np.asarray([1.0, 2.0]), F32, model).error is None


def test_the_model_of_a_policy() -> None:
    assert model_for(Policy(), F32).unit_roundoff == model_for(Policy(), BF16).unit_roundoff == 2.0**-24
    assert model_for(Policy(), F64).unit_roundoff == 2.0**-53
    assert model_for(Policy(precision="storage"), BF16).unit_roundoff == 2.0**-8
    assert model_for(Policy(precision="storage"), BF16).cancelled == 2.0**-24
    assert model_for(Policy(), F32).cancelled is None


def test_how_many_are_outside() -> None:
    assert outside([]) == 0
    assert outside([judged(OUTSIDE, INSIDE, UNDECIDED), judged(OUTSIDE, OUTSIDE)]) == 3


def step_of(rule: Any, before: dict[str, Sequence[float]], after: dict[str, Sequence[float]]) -> Step:
    """The second step of a run on float32 vectors."""
    size = len(before["p"])
    plan = rule.plan((size,), 2)
    free = dict(zip(plan.free, free_values((size,), dict.fromkeys(rule.scalar_inputs(), 2.0)), strict=True))
    given = {n: Bounded(np.asarray(a, float)) for n, a in before.items()}
    return Step(plan, free, given, {n: np.asarray(a, np.float32) for n, a in after.items()})


def test_each_output_is_judged_given_those_that_were_seen() -> None:
    """SGD with momentum 1/2, b' = b / 2 + g: where a wrong b' was seen, p' = p - b' is right given that one."""
    before = {"p": [1.0, 1.0], "g": [0.25, 0.25], "buffer": [0.5, 0.5]}
    found, carried = judge(
        step_of(SGD(lr=1.0, momentum=0.5), before, {"p": [0.5, 0.0], "buffer": [0.5, 1.0]}), Policy()
    )
    assert found["buffer"].status.tolist() == [INSIDE, OUTSIDE]
    assert found["p"].status.tolist() == [INSIDE, INSIDE]
    assert carried == {}


def test_what_was_not_seen_is_carried_on() -> None:
    before = {"p": [1.0, 1.0], "g": [0.25, 0.25], "buffer": [0.5, 0.5]}
    found, carried = judge(step_of(SGD(lr=1.0, momentum=0.5), before, {"p": [0.5, 0.25]}), Policy())
    assert found["p"].status.tolist() == [INSIDE, OUTSIDE]
    assert carried["buffer"].value.tolist() == [0.5, 0.5]
    assert 0.0 <= carried["buffer"].bound().max() < 2.0**-20


@pytest.mark.parametrize("size", [CHUNK, CHUNK + 1, 2 * CHUNK + 1])
def test_a_large_tensor_is_judged_whole(size: int) -> None:
    """Chunk after chunk, around the same truths as a few elements by themselves; here the last one alone is wrong."""
    p, g, buffer = np.linspace(1.0, 2.0, size), np.linspace(-1.0, 1.0, size), np.full(size, 0.5)
    after = p - (buffer / 2 + g)
    after[-1] += 1
    found, carried = judge(
        step_of(SGD(lr=1.0, momentum=0.5), {"p": p, "g": g, "buffer": buffer}, {"p": after}), Policy()
    )
    assert found["p"].status.shape == (size,)
    assert np.flatnonzero(found["p"].status != INSIDE).tolist() == [size - 1]
    np.testing.assert_array_equal(carried["buffer"].value, np.float64(buffer / 2 + g))
    few = {n: a[-3:] for n, a in {"p": p, "g": g, "buffer": buffer}.items()}
    alone, _ = judge(step_of(SGD(lr=1.0, momentum=0.5), few, {"p": after[-3:]}), Policy())
    assert found["p"].truth[-3:].tolist() == alone["p"].truth.tolist()


def test_a_state_that_decisions_do_not_reach_is_carried_on_as_narrow_as_it_is() -> None:
    """The sign of Lion is open at the first element: either step is right there, and m' is known as well as elsewhere."""
    rule = Lion(lr=1.0, beta1=0.5, beta2=0.75)
    before = {"p": [1.0, 1.0], "g": [0.3, 0.3], "m": [-0.3, 0.3]}
    for p, expected in (
        ([0.0, 0.0], [UNDECIDED, INSIDE]),
        ([2.0, 0.0], [UNDECIDED, INSIDE]),
        ([1.5, 2.0], [OUTSIDE, OUTSIDE]),
    ):
        found, carried = judge(step_of(rule, before, {"p": p}), Policy())
        assert found["p"].status.tolist() == expected
        assert carried["m"].bound().max() < 1e-6


def test_scalar_slots_are_judged_in_the_dtype_that_they_are_kept_in() -> None:
    """NAdam keeps the product of its momenta; a float32 of it is right, and so is no number that is a millionth off."""
    rule = NAdam()
    step = step_of(rule, {n: [1.0] for n in ("p", "g", "m", "v")}, {"p": [1.0]})
    (name,) = step.plan.graph.scalar_outputs
    truth = float(step.plan.scalar_outputs(*step.free.values())[0])
    for value, dtype, expected in (
        (truth, F64, INSIDE),
        (float(np.float32(truth)), F32, INSIDE),
        (float(np.float32(truth)), F64, OUTSIDE),
        (truth * (1 + 1e-6), F32, OUTSIDE),
    ):
        found = judge_scalars(step, {name: (value, dtype)}, Policy())
        assert found[name].status == expected, (value, dtype)
        assert found[name].low <= truth <= found[name].high
    assert judge_scalars(step, {}, Policy()) == {}


@pytest.mark.parametrize(
    ("subnormals", "expected"),
    [("keep", [INSIDE, OUTSIDE]), ("either", [INSIDE, INSIDE]), ("flush", [OUTSIDE, INSIDE])],
    ids=["keep", "either", "flush"],
)
def test_a_scalar_slot_may_be_flushed(subnormals: str, expected: list[Any]) -> None:
    """The average of a subnormal loss, kept and flushed; one that is not small stays what it is."""
    rule = MoMo(start="zero", beta=0.5, scalars="float32")
    before = {n: [1.0] for n in ("p", "g", "m", "gamma")}
    for loss, values in ((TINY / 8, (TINY / 16, 0.0)), (1.0, (0.5, 0.0))):
        step = step_of(rule, before, {"p": [1.0]})
        step = dataclasses.replace(step, free={**step.free, "loss": loss, "average_loss": 0.0})
        found = [
            judge_scalars(step, {"average_loss": (v, F32)}, Policy(subnormals=subnormals))["average_loss"].status
            for v in values
        ]
        assert found == (expected if loss < 1.0 else [INSIDE, OUTSIDE])
