"""Compressed gradients: means over all outcomes in rationals, the debts of error feedback, votes, and edges."""

from __future__ import annotations

import sys
from fractions import Fraction
from functools import partial
from itertools import permutations
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refgrad import backends
from refgrad.errors import ArgumentError
from refgrad.quantizers import NUQSGD, QSGD, OneBit, RandomK, SignSGD, TernGrad, TopK, error_feedback, majority_vote
from refgrad.quantizers.buckets import below
from tests.depth import examples

#: none so small that a quarter of it would be rounded
within = st.one_of(
    st.floats(-4, 4, width=32).filter(lambda v: v == 0 or abs(v) > 2.0**-100),
    st.sampled_from([0.0, -0.0, 4.0, -4.0]),
)
vectors = hnp.arrays(np.float32, st.integers(1, 12), elements=within).map(lambda v: np.append(v, np.float32(4)))


def outcomes(rule: Any, x: np.ndarray, chance: np.ndarray) -> tuple[list[Fraction], list[Fraction]]:
    """Both values of each element: with a uniform number just below the chance, and with the chance itself.

    Since an element goes up exactly where its uniform number is below the chance, the first has that probability.
    """
    below = np.nextafter(chance, -1.0).clip(0.0)
    up = rule.dequantize(rule.quantize(x, uniform=np.where(chance > 0, below, 0.0)))
    down = rule.dequantize(rule.quantize(x, uniform=chance.clip(0.0, 1 - 2.0**-53)))
    return [Fraction(float(v)) for v in up], [Fraction(float(v)) for v in down]


def means(rule: Any, x: np.ndarray, chance: np.ndarray) -> list[Fraction]:
    up, down = outcomes(rule, x, chance)
    return [a * Fraction(float(p)) + b * (1 - Fraction(float(p))) for a, b, p in zip(up, down, chance, strict=True)]


@pytest.mark.parametrize("order", ["share", "unit"])
@pytest.mark.parametrize("levels", [1, 4, 256])
@examples(40)
@given(x=vectors)
def test_qsgd_is_unbiased(levels: int, order: str, x: np.ndarray) -> None:
    """With a norm and a number of levels that are powers of two nothing is rounded, and the mean is the vector."""
    rule = QSGD(levels=levels, norm="max", order=order)
    y = np.abs(x).astype(np.float64) * levels / 4
    assert means(rule, x, y - np.floor(y)) == [Fraction(float(v)) for v in x]


@examples(40)
@given(
    x=hnp.arrays(np.float32, st.integers(1, 9), elements=st.floats(-4, 4, width=32).filter(lambda v: abs(v) > 2.0**-40))
)
def test_qsgd_with_the_euclidean_norm(x: np.ndarray) -> None:
    """The mean of the level is the rounded y, and the variance is within the paper's bound (lemma 3.1)."""
    rule = QSGD(levels=4)
    norm = rule.quantize(x)["norm"][0]
    squared = sum(Fraction(float(v)) ** 2 for v in x)
    assert abs(Fraction(float(norm)) ** 2 - squared) <= squared * ((1 + Fraction(1, 2**23)) ** 2 - 1)
    y = (np.float32(4) * (np.abs(x) / norm)).astype(np.float64)
    chance = y - np.floor(y)
    for p, v in zip(chance, y, strict=True):
        assert Fraction(float(p)) + int(np.floor(v)) == Fraction(float(v))
    for uniform, gone_up in ((np.nextafter(chance, -1).clip(0), chance > 0), (chance, np.zeros(x.size, bool))):
        codes = rule.quantize(x, uniform=uniform).codes
        assert np.array_equal(np.abs(codes), np.floor(y) + gone_up)
    variance = sum(Fraction(float(p)) * (1 - Fraction(float(p))) for p in chance) / 16
    assert variance <= Fraction(x.size, 16)
    assert (variance * 4) ** 2 <= x.size


@examples(40)
@given(x=vectors)
def test_terngrad_is_unbiased(x: np.ndarray) -> None:
    chance = np.abs(x).astype(np.float64) / 4
    assert means(TernGrad(), x, chance) == [Fraction(float(v)) for v in x]


def test_terngrad_clips_at_deviations_around_zero() -> None:
    """The mean is 3 and the deviation 1: magnitudes are limited to 2.5, not to 3 plus or minus 2.5."""
    x = np.float32([2, 4, 2, 4])
    quantized = TernGrad(clip=2.5).quantize(x, uniform=np.zeros(4))
    assert quantized["scale"].tolist() == [2.5]
    assert quantized.codes.tolist() == [1, 1, 1, 1]
    assert TernGrad(clip=2.5).quantize(x, uniform=np.full(4, 0.9)).codes.tolist() == [0, 1, 0, 1]


def test_random_k_is_unbiased_only_with_its_factor() -> None:
    x = np.float32([1, -2, 4, 8])
    totals = {}
    for scaled in ("unbiased", "none"):
        rule = RandomK(ratio=0.5, scaled=scaled)
        found = [rule.dequantize(rule.quantize(x, uniform=np.float64(p) / 4)) for p in permutations(range(4))]
        totals[scaled] = (np.sum(found, axis=0) / len(found)).tolist()
    assert totals["unbiased"] == x.tolist()
    assert totals["none"] == (x / 2).tolist()


def test_top_k_takes_the_lowest_index_on_ties_and_nan_first() -> None:
    assert TopK(ratio=0.5).quantize(np.float32([3, -3, 3, 1]))["indices"].tolist() == [0, 1]
    assert TopK(ratio=0.5).quantize(np.float32([3, np.inf, np.nan, -4]))["indices"].tolist() == [1, 2]
    assert TopK(ratio=0.25).quantize(np.float32([3, np.inf, np.nan, -4]))["indices"].tolist() == [2]
    assert TopK(ratio=1e-6).quantize(np.float32([0, 0]))["indices"].tolist() == [0]


def test_top_k_beside_torch() -> None:
    torch = pytest.importorskip("torch", reason="compares with torch.topk")
    x = np.random.default_rng(1).standard_normal(1000).astype(np.float32)
    wanted = torch.from_numpy(np.abs(x)).topk(100).indices.sort().values.numpy()
    assert np.array_equal(TopK(ratio=0.1).quantize(x)["indices"], wanted)


@examples(40)
@given(
    grads=hnp.arrays(np.float64, (6, 8), elements=st.integers(-1000, 1000).map(float)),
    ratio=st.sampled_from([0.1, 0.4, 1.0]),
)
def test_what_is_sent_and_what_is_owed_is_the_sum(grads: np.ndarray, ratio: float) -> None:
    """On whole numbers nothing is rounded."""
    for rule in (TopK(ratio=ratio), RandomK(ratio=ratio)):
        error, sent = np.zeros(8), np.zeros(8)
        for g in grads:
            quantized, error = error_feedback(rule, g, error)
            sent += rule.dequantize(quantized)
        assert np.array_equal(sent + error, grads.sum(axis=0))


@pytest.mark.parametrize(
    "rule", [SignSGD(scaled="mean"), SignSGD(scaled="rms", zero="plus"), OneBit(), QSGD(), TernGrad()], ids=str
)
def test_the_debt_is_off_by_two_roundings_a_step(rule: Any) -> None:
    grads = np.random.default_rng(3).standard_normal((30, 5, 4)).astype(np.float32)
    error, sent = np.zeros((5, 4), np.float32), np.zeros((5, 4))
    allowed = np.zeros((5, 4))
    for g in grads:
        p = g + error
        quantized, error = error_feedback(rule, g, error)
        sent += rule.dequantize(quantized)  # exact in float64, up to its own rounding
        allowed += (np.abs(p) + np.abs(error)) * 2.0**-24 + np.abs(sent) * 2.0**-50
    assert np.all(np.abs(sent + error - grads.sum(axis=0, dtype=np.float64)) <= allowed)


def test_signs_and_their_scales() -> None:
    x = np.float32([1, -2, 0, -0.0, 5])
    assert SignSGD().quantize(x).codes.tolist() == [1, -1, 0, 0, 1]
    assert SignSGD(zero="plus").quantize(x).codes.tolist() == [1, -1, 1, 1, 1]
    assert SignSGD(scaled="mean").quantize(np.float32([1, -2, 0, 5]))["scale"].tolist() == [2.0]
    assert SignSGD(scaled="rms").quantize(np.float32([3, -4, 0, 0]))["scale"].tolist() == [2.5]


def test_votes() -> None:
    votes = [np.int8([1, 1, -1, 0]), np.int8([1, -1, -1, 0]), np.int8([-1, 0, -1, 0])]
    assert majority_vote(votes).tolist() == [1, 0, -1, 0]
    assert majority_vote(votes, even="plus").tolist() == [1, 1, -1, 1]
    with pytest.raises(ArgumentError, match="even"):
        majority_vote(votes, even="minus")


@examples(30)
@given(x=hnp.arrays(np.float64, (4, 3), elements=st.integers(-64, 64).map(lambda v: v * 12.0)))
def test_one_bit_means_are_least_squares(x: np.ndarray) -> None:
    """Sums over columns of four multiples of twelve are exact, so that residuals of either side add up to zero."""
    rule = OneBit()
    quantized = rule.quantize(x)
    residual = x - rule.dequantize(quantized)
    for side in (0, 1):
        assert np.array_equal((residual * (quantized.codes == side)).sum(axis=0), np.zeros(3))
    assert np.array_equal(quantized.codes, (x >= 0).astype(np.uint8))


RANDOM = [QSGD(), QSGD(norm="max", bucket=5), TernGrad(), TernGrad(clip=2.5), RandomK(ratio=0.5)]
RULES = [*RANDOM, SignSGD(scaled="mean"), OneBit(), TopK(ratio=0.5)]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_edges(rule: Any) -> None:
    assert not rule.round_trip(np.zeros((3, 4), np.float32)).any()
    assert rule.round_trip(np.zeros((0, 4), np.float32)).shape == (0, 4)
    lone = rule.round_trip(np.asarray(2.0, np.float64))
    assert lone == (0.0 if getattr(rule, "clip", 0) else 2.0)  # one element deviates by nothing
    assert np.isnan(rule.round_trip(np.float32([[np.nan, 1.0], [0.5, 0.25]]))).any()
    x = np.random.default_rng(2).standard_normal((7, 3)).astype(np.float32)
    apart = np.repeat(x, 2, axis=1)[:, ::2]  # the same numbers, not side by side in memory
    assert np.array_equal(rule.round_trip(apart), rule.round_trip(x))
    assert rule.round_trip(x.T).shape == (3, 7)


@pytest.mark.parametrize("rule", RANDOM, ids=str)
def test_uniforms_are_checked(rule: Any) -> None:
    x = np.ones(3, np.float32)
    for uniform in (np.zeros(2), np.float64([0, 0.5, 1.0]), np.float64([0, -0.1, 0])):
        with pytest.raises(ArgumentError, match="uniform"):
            rule.quantize(x, uniform=uniform)


def test_bucket_scales_are_apart() -> None:
    x = np.float32([1, 0, 0, 0, 0, 8, 0])
    quantized = QSGD(bucket=3, norm="max").quantize(x)
    assert quantized["norm"].tolist() == [1, 8, 0]
    assert np.array_equal(QSGD(bucket=3, norm="max").round_trip(x), x)


def test_infinities_poison_their_bucket_alone() -> None:
    found = QSGD(bucket=2).round_trip(np.float32([np.inf, 1, 3, 4]))
    assert np.isnan(found[:2]).all()
    assert np.isfinite(found[2:]).all()


def test_errors_of_error_feedback() -> None:
    with pytest.raises(ArgumentError, match="error"):
        error_feedback(TopK(), np.ones((2, 3), np.float32), np.zeros(3, np.float64))


@pytest.mark.slow
@pytest.mark.sample(quick=2, suite=2)
@pytest.mark.parametrize(
    "rule", [QSGD(), QSGD(bucket=100, norm="max", order="unit"), NUQSGD(bucket=100), NUQSGD(norm="max")], ids=str
)
def test_kernels_give_the_parts_and_values_of_buckets(rule: QSGD | NUQSGD) -> None:
    """With uniforms at the chances themselves and beside them; a bucket of zeros, a poisoned one, and a short one."""
    random = np.random.default_rng(3)
    for kind in (np.float32, np.float64):
        x = (random.standard_normal(5030) * np.exp2(random.integers(-30, 4, 5030))).astype(kind)
        x[200:300] = 0.0
        if rule.bucket:
            x[[410, 777]] = np.inf, np.nan
        chance = random.integers(0, 2**24, x.size) * 2.0**-24
        for u in (chance, np.nextafter(chance, 1), np.maximum(np.nextafter(chance, -1), 0), chance * 2.0**-130):
            kept = {}
            for least in (0, sys.maxsize):
                with mock.patch.object(backends, "WORTH_COMPILING", least):
                    made = rule.quantize(x, uniform=u)
                    kept[least] = [*made.arrays.values(), rule.dequantize(made)]
            assert [a.dtype for a in kept[0]] == [a.dtype for a in kept[sys.maxsize]]
            assert all(map(partial(np.array_equal, equal_nan=True), kept[0], kept[sys.maxsize]))


def test_uniforms_are_rounded_down_to_float32() -> None:
    tiny = np.float64([0.0, 2.0**-149, 2.0**-150, 1.5 * 2.0**-149, 1e-300])
    for u in (np.random.default_rng(0).random(1000), 1 - 2.0 ** -np.arange(1.0, 54.0), tiny, np.float64(0.3)):
        near = below(u)
        assert near.dtype == np.float32
        assert near.shape == np.shape(u)
        assert ((near <= u) & (np.nextafter(near, np.float32(2)) > u)).all()
