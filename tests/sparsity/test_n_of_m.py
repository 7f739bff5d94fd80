"""N:M masks: brute force over all masks, laws, the kernels' bits, tails, training with them."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refgrad.errors import ArgumentError
from refgrad.sparsity import ASP, MDGF, SDGF, SRSTE, NOfM
from tests.depth import examples

FLOATS = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0**-149, -(2.0**-126), 3.0e38]),
)
SPECIAL = np.asarray([0.0, -0.0, 1.0, -1.0, 2.0, np.nan, np.inf, -np.inf, 2.0**-149, 1e-40], np.float32)
weights = hnp.arrays(np.float32, (3, 8), elements=FLOATS)


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (3, 8), (1, 2)])
@examples(25)
@given(w=weights)
def test_no_mask_keeps_more(w: np.ndarray, n: int, m: int) -> None:
    kept = np.where(NOfM(n=n, m=m).mask(w), np.abs(w), 0)
    for group, chosen in zip(np.abs(w).reshape(-1, m), kept.reshape(-1, m), strict=True):
        best = max(sum(Fraction(float(group[i])) for i in subset) for subset in combinations(range(m), n))
        assert sum(Fraction(float(x)) for x in chosen) == best


@examples(25)
@given(w=weights, signs=hnp.arrays(bool, (3, 8)), power=st.integers(-20, 20))
def test_signs_and_powers_of_two_do_not_matter(w: np.ndarray, signs: np.ndarray, power: int) -> None:
    mask = NOfM().mask(w)
    assert np.array_equal(NOfM().mask(np.where(signs, -w, w)), mask)
    w = np.where(np.abs(w) < 2.0**-100, 0, np.clip(w, -(2.0**100), 2.0**100)).astype(np.float32)
    assert np.array_equal(NOfM().mask(np.ldexp(w, power)), NOfM().mask(w))


@examples(25)
@given(w=weights)
def test_counts_groups_and_both_readings(w: np.ndarray) -> None:
    mask = NOfM(n=3, m=8).mask(w)
    assert np.all(mask.reshape(-1, 8).sum(axis=1) == 3)
    assert np.array_equal(NOfM(n=5, m=8, n_is="pruned").mask(w), mask)
    assert NOfM(n=8, m=8).mask(w).all()
    assert not NOfM(n=0, m=8).mask(w).any()
    swapped = w.reshape(3, 2, 4)[:, ::-1].reshape(3, 8)
    assert np.array_equal(NOfM().mask(swapped), NOfM().mask(w).reshape(3, 2, 4)[:, ::-1].reshape(3, 8))


def test_ties_by_name() -> None:
    equal = np.ones((1, 4), np.float32)
    assert NOfM(ties="low").mask(equal).tolist() == [[True, True, False, False]]
    assert NOfM(ties="high").mask(equal).tolist() == [[False, False, True, True]]
    assert NOfM(ties="keep_all").mask(equal).all()
    assert not NOfM(ties="prune_all").mask(equal).any()
    zeros = np.asarray([[-0.0, 0.0, 0.0, -0.0]], np.float32)
    assert NOfM().mask(zeros).tolist() == [[True, True, False, False]]


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize(("n", "m", "ties", "nan"), [(2, 4, "low", "largest"), (1, 3, "high", "smallest")])
def test_kernels_give_the_same_masks(dtype: Any, n: int, m: int, ties: str, nan: str) -> None:
    w = np.random.default_rng(0).choice(SPECIAL, (12, 12 * m)).astype(dtype)
    rule = NOfM(n=n, m=m, ties=ties, nan_rank=nan)
    expected = rule.mask(w, backend="numpy")
    for threads in (1, 3):
        assert np.array_equal(rule.mask(w, backend="numba", threads=threads), expected)
    w.flags.writeable = False
    assert np.array_equal(rule.mask(w, backend="numba"), expected)
    # not contiguous: NumPy's way is taken
    assert np.array_equal(rule.mask(w.T, backend="numba"), rule.replace(along="first").mask(w).T)


def test_large_arrays_take_the_kernel_and_agree() -> None:
    w = np.random.default_rng(1).standard_normal((256, 512)).astype(np.float32)
    assert np.array_equal(NOfM().mask(w), NOfM().mask(w, backend="numpy"))


def test_along() -> None:
    w = np.random.default_rng(2).standard_normal((8, 8)).astype(np.float32)
    assert np.array_equal(NOfM(along="first").mask(w), NOfM().mask(np.ascontiguousarray(w.T)).T)
    straddling = np.random.default_rng(3).standard_normal((2, 6)).astype(np.float32)
    assert np.array_equal(NOfM(along="flat").mask(straddling).ravel(), NOfM().mask(straddling.reshape(1, 12)).ravel())
    kernel = np.random.default_rng(4).standard_normal((3, 8, 2, 2)).astype(np.float32)
    moved = np.ascontiguousarray(kernel.transpose(0, 2, 3, 1))
    assert np.array_equal(NOfM(along="channel").mask(kernel), NOfM().mask(moved).transpose(0, 3, 1, 2))


@pytest.mark.parametrize("columns", [5, 6, 7])
def test_tails(columns: int) -> None:
    w = np.random.default_rng(columns).standard_normal((3, columns)).astype(np.float32)
    with pytest.raises(ArgumentError, match=rf"length to be cut into groups is {columns}; legal: a multiple of m=4"):
        NOfM().mask(w)
    whole = NOfM().mask(np.ascontiguousarray(w[:, :4]))
    dense, filled = NOfM(tail="dense").mask(w), NOfM(tail="zeros").mask(w)
    assert np.array_equal(dense[:, :4], whole)
    assert dense[:, 4:].all()
    padded = np.concatenate([np.abs(w), np.full((3, 8 - columns), -1, np.float32)], axis=1)
    assert np.array_equal(filled, NOfM(measure="signed").mask(padded)[:, :columns])


def test_errors() -> None:
    with pytest.raises(ArgumentError, match=r"NOfM.n is 5; legal: a whole number from 0 to m=4"):
        NOfM(n=5)
    with pytest.raises(ArgumentError, match=r"w.ndim is 0; legal: at least 1"):
        NOfM().mask(np.float32(1.0))
    with pytest.raises(ArgumentError, match=r"w.dtype is 'int32'"):
        NOfM().mask(np.ones((1, 4), np.int32))
    with pytest.raises(ArgumentError, match=r"backend is 'nunba'; legal: .*; did you mean 'numba'"):
        NOfM().mask(np.ones((1, 4), np.float32), backend="nunba")
    assert NOfM().mask(np.zeros((0, 4), np.float32)).shape == (0, 4)
    assert NOfM().mask(np.zeros((3, 0), np.float32), backend="numba").shape == (3, 0)


def test_apex_sums_patterns_in_the_scores_precision() -> None:
    w = np.asarray([[1e8, 1, 2, 3], [1, 1e-9, 2e-9, 3e-9], [1, 2, 3, 4]], np.float32)
    assert ASP().mask(w).tolist()[0] == [True, False, False, True]
    sums = ASP(chosen_by="pattern_sums").mask(w).tolist()
    assert sums == [[True, True, False, False], [True, True, False, False], [False, False, True, True]]


@examples(25)
@given(w=weights, g=weights)
def test_sr_ste_is_the_gradient_of_the_masked_weights_and_a_decay(w: np.ndarray, g: np.ndarray) -> None:
    rule = SRSTE(decay=0.125)  # a power of two, so that the product is exact above the subnormal numbers
    w = np.where(np.abs(w) < 2.0**-100, 0, w).astype(np.float32)
    mask = rule.mask(w)
    assert np.array_equal(rule.forward(w, mask), w * mask)
    with np.errstate(over="ignore"):
        found = rule.backward(w, mask, g)
        for got, grad, weight, keep in zip(*(a.ravel() for a in (found, g, w, mask)), strict=True):
            exact = Fraction(float(grad)) + (0 if keep else Fraction(float(weight)) / 8)
            assert got == np.float32(float(exact)) or abs(exact) > Fraction(2) ** 127
        assert np.array_equal(SRSTE(decay=0.0).backward(w, mask, g), g)
    assert np.array_equal(SRSTE(decay=0.0, gradient="masked").backward(w, mask, g), np.where(mask, g, 0))


def test_mdgf_fades_from_dense_to_masked() -> None:
    w = np.random.default_rng(5).standard_normal((4, 8)).astype(np.float32)
    linear = MDGF(decay="linear", rate=0.25)
    mask = linear.mask(w)
    assert [linear.beta(t) for t in range(5)] == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert np.array_equal(linear.forward(w, mask, linear.beta(0)), w)
    assert np.array_equal(linear.forward(w, mask, linear.beta(2)), np.where(mask, w, w / 2))
    assert np.array_equal(linear.forward(w, mask, linear.beta(9)), np.where(mask, w, 0))
    assert np.array_equal(linear.backward(w, mask, w, linear.beta(2)), w)
    assert np.array_equal(
        MDGF(decay="linear", rate=0.25, gradient="scaled").backward(w, mask, w, 0.5), np.where(mask, w, w / 2)
    )


def test_mdgf_has_a_binary_mask_while_it_is_fine_tuned() -> None:
    rule = MDGF(rate=0.001, epochs=100, finetune_epochs=10)
    assert [rule.beta(500, epoch) for epoch in (0, 90, 91, 100)] == [rule.beta(500), rule.beta(500), 0.0, 0.0]
    assert MDGF().beta(500, 100) == MDGF().beta(500) > 0


def test_sdgf_patterns() -> None:
    assert dict(SDGF(n=1, m=16).patterns()) == {0: (15, 16), 20: (8, 16), 40: (4, 16), 60: (2, 16), 80: (1, 16)}
    rule = SDGF(n=1, m=8, epochs=300, dense_epochs=15, finetune_epochs=30)
    assert dict(rule.patterns()) == {15: (7, 8), 78: (4, 8), 142: (2, 8), 206: (1, 8)}
    assert dict(SDGF(n=1, m=8, form="geometric").patterns()) == {0: (8, 64), 25: (4, 32), 50: (2, 16), 75: (1, 8)}
    assert rule.at(14) is None
    found = [str(rule.at(epoch)) for epoch in (15, 77, 78, 299)]
    assert found == ["NOfM(n=7, m=8)", "NOfM(n=7, m=8)", "NOfM(n=4, m=8)", "NOfM(n=1, m=8)"]
    densify = SDGF(n=1, m=4, form="densify", epochs=120, dense_epochs=20, finetune_epochs=20)
    assert dict(densify.patterns()) == {20: (1, 32), 40: (1, 16), 60: (1, 8), 80: (1, 4)}
    custom = {40: (1, 4), 20: (3, 4)}
    assert [densify.at(epoch, custom) for epoch in (0, 19)] == [None, None]
    assert [densify.at(epoch, custom) for epoch in (20, 39)] == [NOfM(n=3, m=4)] * 2
    assert [densify.at(epoch, custom) for epoch in (40, 119)] == [NOfM(n=1, m=4)] * 2
    # 3:8 is never reached where the density is no power of two
    assert list(SDGF(n=3, m=8).patterns().values()) == [(7, 8), (4, 8)]
