"""The batch-size tests restated in sixty digits, and their laws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refgrad import optimizers as o
from refgrad.errors import ArgumentError
from tests.depth import examples
from tests.optimizers.tracked import CHARGE, Tracked, dot, holds, largest, lift, mean, root, total

TESTS = [o.NormTest, o.InnerProductTest, o.AugmentedInnerProductTest, o.CoordinateTest]
GRADIENTS = np.random.default_rng(5).standard_normal((9, 4)) + 0.7


def variance(terms: list[Any]) -> Tracked:
    centre = mean(terms)
    return total((lift(t) - centre) * (lift(t) - centre) for t in terms) / (len(terms) - 1)


def columns(rows: Any) -> list[list[Any]]:
    return [list(c) for c in zip(*rows, strict=True)]


def needed(name: str, g: np.ndarray, h: Any) -> Tracked:
    rows = [[float(x) for x in row] for row in g]
    centre = [mean(c) for c in columns(rows)]
    square = dot(centre, centre)
    allowed = lift(h.threshold) * h.threshold
    along = [dot(row, centre) for row in rows]
    if name == "NormTest":
        return total(variance(c) for c in columns(rows)) / (allowed * square)
    if name == "CoordinateTest":
        asked = [variance(c) / (allowed * m * m) for c, m in zip(columns(rows), centre, strict=True)]
        result = asked[0]
        for each in asked[1:]:
            result = largest(result, each)
        return result
    inner = variance(along) / (allowed * square * square)
    if name == "InnerProductTest":
        return inner
    rest = [
        [lift(x) - a / square * m for x, m in zip(row, centre, strict=True)] for row, a in zip(rows, along, strict=True)
    ]
    spread = total(variance(c) for c in columns(rest))
    return largest(inner, spread / (lift(h.orthogonality) * h.orthogonality * square))


@pytest.mark.parametrize("cls", TESTS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("threshold", [0.1, 0.5])
def test_the_sources_equations(cls: Any, threshold: float) -> None:
    test = cls(threshold=threshold)
    holds(test(GRADIENTS), needed(cls.__name__, GRADIENTS, test))


def test_the_norm_test_is_split_by_the_other_two() -> None:
    """The trace of the covariance is its part along the mean and the rest."""
    whole = o.NormTest(threshold=0.5)(GRADIENTS)
    along = o.InnerProductTest(threshold=0.5)(GRADIENTS)
    rest = o.AugmentedInnerProductTest(threshold=0.999999, orthogonality=0.5)(GRADIENTS)
    bound = 4 * GRADIENTS.size * float(CHARGE) * GRADIENTS.size * whole
    assert along <= whole
    assert abs(whole - along - rest) <= bound


@pytest.mark.parametrize("cls", TESTS, ids=lambda c: c.__name__)
@examples(30)
@given(
    g=hnp.arrays(np.float64, (5, 3), elements=st.floats(-100, 100).filter(lambda x: x == 0 or abs(x) > 1e-3)),
    power=st.integers(-20, 20),
)
def test_a_power_of_two_changes_nothing(cls: Any, g: np.ndarray, power: int) -> None:
    a, b = cls()(g), cls()(np.ldexp(g, power))
    assert a == b or (math.isnan(a) and math.isnan(b))


@pytest.mark.parametrize("cls", TESTS, ids=lambda c: c.__name__)
def test_the_next_size(cls: Any) -> None:
    test = cls()
    same = np.ones((4, 3))
    assert test(same) == 0.0
    assert test.next_size(same, 8, 64) == 8
    assert test.next_size(np.full((4, 3), np.nan), 8, 64) == 8
    assert test.next_size(np.asarray([[1.0, 1.0], [-1.0, -1.0]]), 8, 64) in (
        8,
        64,
    )  # 0 / 0 keeps, infinity is the largest
    grown = test.next_size(GRADIENTS, 2, 10**6)
    assert grown == math.ceil(test(GRADIENTS))
    assert test.next_size(GRADIENTS, 2, grown - 1) == grown - 1
    with pytest.raises(ArgumentError, match="a batch size from 2 to largest=4"):
        test.next_size(GRADIENTS, 8, 4)
    with pytest.raises(ArgumentError, match="at least 2 along the first axis"):
        test(np.ones((1, 3)))


def test_one_coordinate_asks_for_no_less_than_all() -> None:
    assert o.CoordinateTest()(GRADIENTS) >= o.NormTest()(GRADIENTS)


@examples(30)
@given(g=hnp.arrays(np.float64, (3, 6), elements=st.floats(-1e6, 1e6)))
def test_a_step_of_adagrad_norm_is_no_longer_than_lr(g: np.ndarray) -> None:
    rule = o.AdaGradNorm(lr=0.25)
    p = np.zeros(6)
    state = rule.init(p)
    for row in g:
        new, state = rule.step(p, row, state, backend="numpy")
        assert np.sqrt(np.sum((new - p) ** 2)) <= 0.25 * (1 + 20 * float(CHARGE))
        p = np.zeros(6)


@pytest.mark.parametrize("kind", ["norm", "coordinate", "inner_product"])
def test_adadagrad_is_adagrad_and_a_test(kind: str) -> None:
    p, s = np.asarray([1.0, -2.0, 0.5, 3.0]), np.asarray([0.5, 0.25, 1.0, 2.0])
    new, total_, asked = o.AdAdaGrad(lr=0.5, threshold=0.25, test=kind)(p, GRADIENTS, s)
    want, state = o.Adagrad(lr=0.5).step(p, np.mean(GRADIENTS, axis=0), {"t": 0, "s": s}, backend="numpy")
    assert np.array_equal(new, want)
    assert np.array_equal(total_, state["s"])
    test = {"norm": o.NormTest, "coordinate": o.CoordinateTest, "inner_product": o.InnerProductTest}[kind]
    assert asked == test(threshold=0.25)(GRADIENTS)


def test_adadagrad_norm_is_adagrad_norm_and_the_norm_test() -> None:
    p, s = np.asarray([1.0, -2.0, 0.5, 3.0]), np.asarray([0.5])
    new, total_, asked = o.AdAdaGradNorm(lr=0.5)(p, GRADIENTS, s)
    centre = [mean(c) for c in columns(GRADIENTS.tolist())]
    square = float(s[0]) + dot(centre, centre)
    holds(total_, [square])
    holds(new, [lift(a) - 0.5 * b / root(square) for a, b in zip(p, centre, strict=True)])
    assert asked == o.NormTest()(GRADIENTS)
