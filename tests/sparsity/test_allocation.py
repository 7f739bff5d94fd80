"""Allocation: exact sums, the papers' formulas in fractions and many digits, jaxpruner."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refgrad.errors import ArgumentError
from refgrad.sparsity.allocation import erdos_renyi, lamp, lamp_scores, uniform

SHAPES = [(3, 3, 3, 16), (3, 3, 16, 32), (512, 10)]
shapes = st.lists(st.lists(st.integers(1, 40), min_size=2, max_size=4).map(tuple), min_size=1, max_size=6)

#: one rounding of float64, and how many an allocation of a few layers takes
UNIT, ROUNDINGS = 2.0**-53, 64


def paper(listed: list[tuple[int, ...]], sparsity: float) -> list[Fraction]:
    """ERK in fractions; only the zeros at the uniform sparsity are rounded down, in float64 as the code has it."""
    sizes = [math.prod(s) for s in listed]
    raw = [Fraction(sum(s), n) for s, n in zip(listed, sizes, strict=True)]
    dense: set[int] = set()
    while len(dense) < len(listed):
        rest = [i for i in range(len(listed)) if i not in dense]
        zeros = [math.floor(sparsity * n) for n in sizes]
        eps = Fraction(sum(sizes[i] - zeros[i] for i in rest) - sum(zeros[i] for i in dense)) / sum(
            raw[i] * sizes[i] for i in rest
        )
        if max(raw[i] for i in rest) * eps <= 1:
            return [Fraction(0) if i in dense else 1 - eps * raw[i] for i in range(len(listed))]
        dense |= {i for i in rest if raw[i] == max(raw[j] for j in rest)}
    return [Fraction(0)] * len(listed)


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.8, 0.9, 0.95, 1.0])
def test_erk_is_the_papers(sparsity: float) -> None:
    for found, exact in zip(erdos_renyi(SHAPES, sparsity), paper(SHAPES, sparsity), strict=True):
        assert abs(Fraction(found) - exact) <= Fraction(UNIT) * ROUNDINGS


@given(listed=shapes, sparsity=st.floats(0.0, 1.0))
def test_erk_keeps_as_many_as_asked(listed: list[tuple[int, ...]], sparsity: float) -> None:
    found = erdos_renyi(listed, sparsity)
    sizes = [math.prod(s) for s in listed]
    keep = sum(n - math.floor(sparsity * n) for n in sizes)
    assert abs(sum((1.0 - s) * n for s, n in zip(found, sizes, strict=True)) - keep) <= UNIT * ROUNDINGS * sum(sizes)
    assert all(-UNIT * ROUNDINGS <= s <= 1.0 for s in found)
    assert found[::-1] == pytest.approx(erdos_renyi(listed[::-1], sparsity), rel=0, abs=UNIT * ROUNDINGS)


def test_er_reads_two_dimensions_and_some_layers_stay_dense() -> None:
    er = erdos_renyi([(3, 3, 16, 32), (64, 64)], 0.9, kernel=False)
    assert (1 - er[0]) / (1 - er[1]) == pytest.approx((48 / 512) / (128 / 4096), rel=UNIT * ROUNDINGS)
    assert erdos_renyi(SHAPES, 0.8, dense=[0])[0] == 0.0
    assert uniform(SHAPES, 0.8, dense=[1]) == [0.8, 0.0, 0.8]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_jaxpruner_allocates_alike() -> None:
    distributions = pytest.importorskip("jaxpruner.sparsity_distributions", reason="jaxpruner is checked against")
    for sparsity in (0.5, 0.8, 0.9):
        theirs = distributions.get_sparsities_erdos_renyi(dict(enumerate(SHAPES)), sparsity)
        for i, found in enumerate(erdos_renyi(SHAPES, sparsity)):
            assert abs(found - float(theirs[i])) <= UNIT * ROUNDINGS


@given(w=hnp.arrays(np.float32, st.integers(1, 30), elements=st.floats(-1e4, 1e4, width=32)))
def test_lamp_scores_are_the_papers(w: np.ndarray) -> None:
    with mpmath.workdps(60):
        exact = [mpmath.mpf(float(x)) ** 2 for x in w]
        order = sorted(range(w.size), key=lambda i: (exact[i], i))
        for place, i in enumerate(order):
            rest = mpmath.fsum(exact[j] for j in order[place:])
            truth = float(exact[i] / rest) if rest else 0.0
            # squares of numbers that are tiny beside the largest may underflow to subnormal numbers
            assert abs(lamp_scores(w)[i] - truth) <= truth * UNIT * (w.size + 8) + 2.0**-1022


def test_lamp_leaves_no_layer_empty_and_does_not_see_scales() -> None:
    random = np.random.default_rng(0)
    ws = [random.standard_normal((20, 5)), random.standard_normal((40, 10))]
    assert max(lamp_scores(ws[0]).max(), lamp_scores(ws[1]).max()) == 1.0
    assert all(s < 1.0 for s in lamp(ws, 0.99))
    assert lamp([ws[0] * 1024.0, ws[1]], 0.7) == lamp(ws, 0.7)
    assert sum(round(s * w.size) for s, w in zip(lamp(ws, 0.7), ws, strict=True)) == round(0.7 * 500)
    assert lamp_scores(np.zeros((2, 2))).tolist() == [[0, 0], [0, 0]]
    assert lamp_scores(np.ones(4)).tolist() == [1 / 4, 1 / 3, 1 / 2, 1.0]


def test_errors() -> None:
    with pytest.raises(ArgumentError, match=r"sparsity is 2; legal: a number in \[0, 1\]"):
        erdos_renyi(SHAPES, 2)
    with pytest.raises(ArgumentError, match=r"shapes\[0\] is \(\)"):
        uniform([()], 0.5)
