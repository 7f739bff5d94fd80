"""Weight-only quantizers against rational arithmetic: grids, GPTQ's greedy solution, AWQ's and HQQ's searches."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refgrad.errors import ArgumentError
from refgrad.quantizers import AWQ, GPTQ, HQQ, RoundToNearest, hessian
from refgrad.quantizers.weights import inverse_factor
from tests.depth import examples
from tests.quantizers.exact_rounding import rounded

Rational = list[Fraction]
GRIDS = ("asymmetric", "symmetric", "symmetric_gptq", "awq")
weights = st.one_of(st.floats(-8, 8, width=32).filter(lambda v: v == 0 or abs(v) > 1e-6), st.integers(-4, 4).map(float))


def fractions(x: np.ndarray) -> Rational:
    return [Fraction(float(v)) for v in np.ravel(x)]


def grid(w: Rational, bits: int, kind: str) -> tuple[Fraction, int]:
    """Scale and zero of a group, every operation rounded to float32."""
    top = 2**bits - 1
    if kind == "awq":
        scale = rounded(max(rounded(max(w) - min(w)), Fraction(float(np.float32(1e-5)))) / top)
        return scale, max(0, min(top, -round(rounded(min(w) / scale))))
    low, high = min(*w, Fraction(0)), max(*w, Fraction(0))
    if kind != "asymmetric":
        high = max(-low, high)
        low = -high if low < 0 or kind == "symmetric" else low
    if low == high:
        low, high = Fraction(-1), Fraction(1)
    scale = rounded(rounded(high - low) / top)
    return scale, round(rounded(-low / scale)) if kind == "asymmetric" else 2 ** (bits - 1)


def code(v: Fraction, scale: Fraction, zero: int, bits: int) -> int:
    return max(0, min(2**bits - 1, round(rounded(v / scale)) + zero))


@pytest.mark.parametrize("kind", GRIDS)
@pytest.mark.parametrize("bits", [2, 4, 8])
@examples(30)
@given(x=hnp.arrays(np.float32, (2, 6), elements=weights))
def test_round_to_nearest(kind: str, bits: int, x: np.ndarray) -> None:
    rule = RoundToNearest(bits=bits, group=3, grid=kind)
    quantized = rule.quantize(x)
    values = rule.dequantize(quantized)
    for row in range(2):
        for group in range(2):
            w = fractions(x[row, 3 * group : 3 * group + 3])
            scale, zero = grid(w, bits, kind)
            assert Fraction(float(quantized["scale"][row, group])) == scale
            assert quantized["zero"][row, group] == zero
            codes = [code(v, scale, zero, bits) for v in w]
            assert quantized.codes[row, 3 * group : 3 * group + 3].tolist() == codes
            wanted = [rounded(scale * (q - zero)) for q in codes]
            assert fractions(values[row, 3 * group : 3 * group + 3]) == wanted


def test_departure_of_gptq_and_awq_on_one_sided_weights() -> None:
    """Rows without a negative weight clip at 7/15 of the largest (GPTQ's symmetric), or collapse (AWQ's)."""
    x = np.float32([[1, 0.5, 0.25]])
    assert RoundToNearest(grid="symmetric_gptq").round_trip(x)[0, 0] == np.float32(7) * (np.float32(1) / np.float32(15))
    assert RoundToNearest(grid="symmetric").round_trip(x)[0, 0] == np.float32(7) * (np.float32(2) / np.float32(15))
    collapsed = RoundToNearest(grid="awq").round_trip(np.float32([[1, 1.5, 2]]))
    assert len(set(collapsed[0].tolist())) == 1


def definite(random: np.random.Generator, size: int) -> np.ndarray:
    """A positive definite matrix of whole numbers."""
    a = random.integers(-3, 4, (size + 2, size))
    return (a.T @ a + np.eye(size, dtype=np.int64)).astype(np.float64)


def solved(a: list[Rational], b: Rational) -> Rational:
    """Gaussian elimination in rationals."""
    rows = [[*row, value] for row, value in zip(a, b, strict=True)]
    for i in range(len(rows)):
        pivot = next(r for r in range(i, len(rows)) if rows[r][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for r in range(len(rows)):
            if r != i:
                rows[r] = [v - rows[r][i] * p for v, p in zip(rows[r], rows[i], strict=True)]
    return [row[-1] for row in rows]


def greedy(w: Rational, h: list[Rational], scale: Fraction, zero: int, bits: int) -> tuple[list[int], Fraction]:
    """One weight after the other is rounded, after the others were moved to where the error is least, from scratch.

    Also returns how near to a tie a weight came, in steps.
    """
    codes: list[int] = []
    margin = Fraction(1)
    for j in range(len(w)):
        done, free = range(j), range(j, len(w))
        moved = [scale * (codes[i] - zero) - w[i] for i in done]
        right = [-sum((h[r][i] * moved[i] for i in done), Fraction(0)) for r in free]
        step = (w[j] + solved([[h[r][c] for c in free] for r in free], right)[0]) / scale
        margin = min(margin, abs(step - (step.__floor__() + Fraction(1, 2))))
        codes.append(max(0, min(2**bits - 1, round(step) + zero)))
    return codes, margin


@pytest.mark.parametrize("damping", [0.0, 0.25])
@examples(40)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 6))
def test_gptq_is_the_greedy_solution(damping: float, seed: int, size: int) -> None:
    random = np.random.default_rng(seed)
    h = definite(random, size)
    w = random.integers(-64, 65, (2, size)) / 32
    rule = GPTQ(bits=3, damping=damping)
    quantized = rule.quantize(w, hessian=h)
    mean = sum(fractions(np.diag(h)), Fraction(0)) / size * Fraction(damping)
    exact = [[Fraction(float(v)) + (mean if i == j else 0) for j, v in enumerate(row)] for i, row in enumerate(h)]
    for row in range(2):
        scale, zero = Fraction(float(quantized["scale"][row, 0])), int(quantized["zero"][row, 0])
        codes, margin = greedy(fractions(w[row]), exact, scale, zero, 3)
        assume(margin > Fraction(1, 2**30))  # float64 decides these alike: condition numbers are below 2**20
        assert quantized.codes[row].tolist() == codes


@pytest.mark.parametrize("size", [1, 5, 20])
def test_the_factor_by_its_residual(size: int) -> None:
    """U^T U H - I, exactly, within the backward error of a factorization and a triangular inverse."""
    h = definite(np.random.default_rng(size), size)
    u = inverse_factor(h, 0.0)
    assert not np.tril(u, -1).any()
    exact, given_h = ([[Fraction(float(v)) for v in row] for row in a] for a in (u, h))
    residual = times(times(list(zip(*exact, strict=True)), exact), given_h)
    upper = np.abs(np.linalg.cholesky(h[::-1, ::-1])[::-1, ::-1])
    bound = 4 * size * np.finfo(np.float64).eps * (np.abs(u.T) @ np.abs(u) @ upper @ upper.T)
    assert np.all(np.abs(np.float64([[float(v) for v in row] for row in residual]) - np.eye(size)) <= bound)


def times(a: Any, b: Any) -> list[Rational]:
    """The product of two matrices of rationals."""
    columns = list(zip(*b, strict=True))
    return [[sum((x * y for x, y in zip(row, column, strict=True)), Fraction(0)) for column in columns] for row in a]


@pytest.mark.parametrize("group", [0, 4])
@pytest.mark.parametrize("parameters", ["fresh", "stale", "static"])
def test_without_correlation_it_is_rounding_to_nearest(group: int, parameters: str) -> None:
    w = np.random.default_rng(1).standard_normal((6, 16))
    wanted = RoundToNearest(group=group).quantize(w)
    for h in (None, 8.0 * np.eye(16)):
        found = GPTQ(group=group, parameters=parameters).quantize(w, hessian=h)
        for part in wanted.arrays:
            assert np.array_equal(found[part], wanted[part]), part


def correlated(inputs: int, tokens: int = 300) -> np.ndarray:
    random = np.random.default_rng(2)
    return random.standard_normal((tokens, inputs)) @ random.standard_normal((inputs, inputs))


def test_act_order_is_the_same_on_sorted_inputs() -> None:
    x = correlated(12)
    h = hessian(x)
    order = np.argsort(-np.diag(h), kind="stable")
    w = np.random.default_rng(3).standard_normal((5, 12))
    found = GPTQ(act_order=True, group=4).quantize(w, hessian=h)
    wanted = GPTQ(group=4).quantize(w[:, order], hessian=h[np.ix_(order, order)])
    assert np.array_equal(found.codes[:, order], wanted.codes)
    assert np.array_equal(found["group_of"][order], wanted["group_of"])
    rule = GPTQ(group=4)
    assert np.array_equal(rule.dequantize(found)[:, order], rule.dequantize(wanted))


def loss(x: np.ndarray, w: np.ndarray, values: np.ndarray) -> float:
    return float(np.mean((x @ (values - w).T) ** 2))


@pytest.mark.parametrize("group", [0, 32])
@pytest.mark.parametrize("act_order", [False, True])
def test_outputs_are_nearer_than_those_of_rounding(group: int, act_order: bool) -> None:
    x, w = correlated(64), np.random.default_rng(4).standard_normal((16, 64))
    rule = GPTQ(group=group, act_order=act_order)
    values = rule.dequantize(rule.quantize(w, hessian=hessian(x)))
    assert loss(x, w, values) < loss(x, w, RoundToNearest(group=group).round_trip(w))


@pytest.mark.slow
def test_departure_of_the_authors_code_stale_grids() -> None:
    """Inside a block of 128 their grids do not see what the block has changed; groups of whole blocks are not affected."""
    x, w = correlated(256, 600), np.random.default_rng(5).standard_normal((8, 256))
    h = hessian(x)
    for group, same in ((128, True), (32, False)):
        one, other = (GPTQ(group=group, parameters=p).quantize(w, hessian=h) for p in ("fresh", "stale"))
        assert np.array_equal(one["scale"], other["scale"]) == same


def test_dead_inputs_cost_nothing() -> None:
    x = correlated(6)
    x[:, 2] = 0
    w = np.random.default_rng(6).standard_normal((3, 6))
    found = GPTQ(grid="asymmetric").quantize(w, hessian=hessian(x))
    values = GPTQ().dequantize(found)
    assert not values[:, 2].any()
    without = GPTQ().quantize(np.delete(w, 2, axis=1), hessian=hessian(np.delete(x, 2, axis=1)))
    assert np.array_equal(np.delete(found["scale"], [], axis=1), without["scale"])


def test_hessians_are_checked() -> None:
    w = np.ones((2, 3))
    for h in (np.eye(2), np.float64([[1, 2, 0], [0, 1, 0], [0, 0, 1]]), np.full((3, 3), np.nan)):
        with pytest.raises(ArgumentError, match="hessian"):
            GPTQ().quantize(w, hessian=h)
    with pytest.raises(ArgumentError, match="positive definite"):
        GPTQ(damping=0.0).quantize(w, hessian=np.ones((3, 3)))
    with pytest.raises(ArgumentError, match="activations"):
        hessian(np.ones(3))


def awq_loss(w: list[Rational], x: list[Rational], s: list[Any], bits: int) -> Any:
    """The mean squared error of the outputs for scales s, in fifty digits; grids and codes likewise."""
    total, top = mpmath.mpf(0), 2**bits - 1
    number = lambda v: mpmath.mpf(v.numerator) / v.denominator  # noqa: E731
    for row in w:
        scaled = [number(v) * f for v, f in zip(row, s, strict=True)]
        scale = max(max(scaled) - min(scaled), mpmath.mpf(10) ** -5) / top
        zero = max(0, min(top, -int(mpmath.nint(min(scaled) / scale))))
        codes = [max(0, min(top, int(mpmath.nint(v / scale)) + zero)) for v in scaled]
        values = [(q - zero) * scale / f for q, f in zip(codes, s, strict=True)]
        for token in x:
            total += sum(number(t) * (a - number(b)) for t, a, b in zip(token, values, row, strict=True)) ** 2
    return total / (len(w) * len(x))


@pytest.mark.parametrize("seed", range(4))
def test_awq_finds_the_best_exponent(seed: int) -> None:
    random = np.random.default_rng(seed)
    w, x = random.standard_normal((3, 6)), random.standard_normal((5, 6)) * np.exp(random.standard_normal(6))
    found = AWQ(bits=3).quantize(w, activations=x)
    with mpmath.workdps(50):
        size = [mpmath.fsum(abs(mpmath.mpf(v)) for v in column) / 5 for column in x.T.tolist()]
        losses, scales = [], []
        for step in range(20):
            s = [max(a ** (mpmath.mpf(step) / 20), mpmath.mpf(10) ** -4) for a in size]
            s = [v / mpmath.sqrt(max(s) * min(s)) for v in s]
            scales.append(s)
            losses.append(awq_loss([fractions(r) for r in w], [fractions(r) for r in x], s, 3))
        best = scales[losses.index(min(losses))]
        for got, wanted in zip(found["channel_scale"], best, strict=True):
            assert (
                abs(mpmath.mpf(float(got)) - wanted) <= 16 * np.finfo(np.float64).eps * wanted
            )  # a mean, a power, a root


def test_awq_without_activations_is_rounding() -> None:
    w = np.random.default_rng(7).standard_normal((4, 8)).astype(np.float32)
    assert np.array_equal(AWQ(group=4).round_trip(w), RoundToNearest(group=4, grid="awq").round_trip(w))
    x = correlated(8)
    one = AWQ(group=4, steps=1).quantize(w, activations=x)
    assert np.array_equal(one["channel_scale"], np.ones(8))


@pytest.mark.parametrize("clip", [False, True])
def test_awq_is_no_worse_than_rounding(clip: bool) -> None:
    """With one group an output each clip is judged by the whole error, so that neither search can lose."""
    random = np.random.default_rng(8)
    x, w = correlated(32) * np.exp(random.standard_normal(32)), random.standard_normal((8, 32))
    rule = AWQ(bits=3, clip=clip)
    values = rule.dequantize(rule.quantize(w, activations=x))
    assert loss(x, w, values) <= loss(x, w, RoundToNearest(bits=3, grid="awq").round_trip(w))
    if clip:
        unclipped = AWQ(bits=3)
        assert loss(x, w, values) <= loss(x, w, unclipped.dequantize(unclipped.quantize(w, activations=x)))


def hqq(w: list[Any], bits: int, iterations: int, round_zero: bool, kappa: str) -> tuple[list[int], Any]:
    """One group in sixty digits, and the least relative change of the error from step to step."""
    top = 2**bits - 1
    scale = mpmath.mpf(top) / (max(w) - min(w))
    zero, least, change, beta = -min(w) * scale, mpmath.inf, mpmath.mpf(1), mpmath.mpf(10)
    zero = mpmath.nint(zero) if round_zero else zero
    code = lambda z: [max(0, min(top, int(mpmath.nint(v * scale + z)))) for v in w]  # noqa: E731
    for _ in range(iterations):
        q = code(zero)
        left = [v - (c - zero) / scale for v, c in zip(w, q, strict=True)]
        shrunk = [
            mpmath.sign(e) * max(abs(e) - abs(e) ** mpmath.mpf("-0.3") / beta, 0) if e else mpmath.mpf(0) for e in left
        ]
        zero = mpmath.fsum(c - (v - e) * scale for c, v, e in zip(q, w, shrunk, strict=True)) / len(w)
        error = mpmath.fsum(map(abs, left)) / len(w)
        change = min(change, abs(error - least) / error) if least < mpmath.inf else change
        if not error < least:
            break
        least, beta = error, beta * mpmath.mpf(kappa)
    return code(zero), change


@pytest.mark.sample(quick=2, suite=8)
@pytest.mark.parametrize(("round_zero", "kappa"), [(True, "1"), (False, "1"), (False, "1.01"), (True, "1.5")])
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_hqq_step_by_step(bits: int, round_zero: bool, kappa: str) -> None:
    decided = 0
    for seed in range(12):
        w = 3 * np.random.default_rng(seed).standard_normal(15)
        with mpmath.workdps(60):
            wanted, change = hqq([mpmath.mpf(v) for v in w.tolist()], bits, 20, round_zero, kappa)
        if change > 2.0**-40:  # else rounding decides when to stop
            decided += 1
            rule = HQQ(bits=bits, group=15, axis=1, round_zero=round_zero, kappa=float(kappa))
            assert rule.quantize(w).codes.tolist() == wanted
    assert decided >= 6


def test_hqqs_defaults_are_its_packages() -> None:
    package = pytest.importorskip("hqq.core.quantize", reason="compares with the hqq package")
    for bits in (4, 3):
        given = package.hqq_base_quant_config(nbits=bits)["weight_quant_params"]
        assert given["group_size"] == HQQ().group
        assert given["axis"] == HQQ().axis
        assert given["round_zero"] == (bits == HQQ().bits and HQQ().round_zero)


@pytest.mark.parametrize("shape", [(256, 64), (32, 3, 64), (64, 48)])
@pytest.mark.parametrize(("group", "round_zero"), [(64, True), (64, False), (16, True)])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_hqq_beside_its_package(axis: int, bits: int, group: int, round_zero: bool, shape: tuple[int, ...]) -> None:
    """The same codes; what is decoded by twenty rounded steps in float32 on either side."""
    torch = pytest.importorskip("torch", reason="compares with the hqq package")
    package = pytest.importorskip("hqq.core.quantize", reason="compares with the hqq package")
    x = np.random.default_rng(10).standard_normal(shape).astype(np.float32)
    how = {"nbits": bits, "group_size": group, "axis": axis, "round_zero": round_zero}
    codes, meta = package.Quantizer.quantize(
        torch.from_numpy(x.copy()), bitpack=False, device="cpu", optimize=True, **how
    )
    rule = HQQ(bits=bits, axis=axis, group=group, round_zero=round_zero, quotient="reciprocal")
    found = rule.quantize(x)
    different = found.codes.reshape(-1) != codes.numpy().reshape(-1).astype(np.uint8)
    assert np.array_equal(found["scale"], meta["scale"].numpy().reshape(-1))
    # either mean of 64 numbers up to 2**bits is off by a few roundings a step: codes differ on ties so made alone; a group with
    # such a tie on the way goes on from another code
    zero = meta["zero"].numpy().reshape(-1)
    drift = np.abs(found["zero"] - zero)
    astray = drift > 20 * 64 * 2.0**-24 * 2**bits
    assert astray.sum() <= (0 if shape == (256, 64) else 1)
    rows = rule.grouped(x)
    place = rows / found["scale"][:, None] + zero[:, None]
    doubt = np.abs(place - np.floor(place) - 0.5) <= drift[~astray].max() + 2.0**-20 * 2**bits
    assert not (different & ~rule.joined(doubt | astray[:, None], x.shape).reshape(-1)).any()


@pytest.mark.parametrize("rule", [RoundToNearest(), RoundToNearest(grid="awq"), GPTQ(), AWQ(), HQQ(group=4)], ids=str)
def test_edges(rule: Any) -> None:
    assert not rule.round_trip(np.zeros((2, 4), np.float32)).any()
    assert rule.round_trip(np.zeros((0, 4), np.float32)).shape == (0, 4)
    poisoned = rule.round_trip(np.float32([[1, np.nan, 2, 3], [1, 2, 3, 4]]))
    assert np.isnan(poisoned[0]).all()
    assert np.isfinite(poisoned[1]).all()
    x = np.random.default_rng(2).standard_normal((4, 8)).astype(np.float32)
    assert rule.round_trip(x.T).shape == (8, 4)
    if not isinstance(rule, HQQ):
        with pytest.raises(ArgumentError, match=r"x\.shape"):
            rule.quantize(np.zeros(4, np.float32))
        with pytest.raises(ArgumentError, match="multiple"):
            rule.replace(group=3).quantize(np.zeros((2, 4), np.float32))


def test_hqq_keeps_constants() -> None:
    """S is 1 and z is -c: codes 0, decoded to c exactly."""
    x = np.full((2, 64), 1.7, np.float32)
    assert np.array_equal(HQQ(round_zero=False, iterations=0).round_trip(x), x)
    with pytest.raises(ArgumentError, match=r"x\.size"):
        HQQ(group=5).quantize(np.zeros((2, 4), np.float32))


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 0), (0, 8)])
@pytest.mark.parametrize("rule", [AWQ(group=4), AWQ(clip=False), RoundToNearest(group=4)], ids=str)
def test_matrices_without_numbers(rule: RoundToNearest, shape: tuple[int, int]) -> None:
    w, tokens = np.ones(shape, np.float32), np.ones((3, shape[1]), np.float32)
    found = rule.quantize(w, activations=tokens) if isinstance(rule, AWQ) else rule.quantize(w)
    assert rule.dequantize(found).shape == shape
