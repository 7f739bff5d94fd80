"""Codebooks: Lloyd's algorithm beside two other implementations, the exact optimum beside all partitions."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refgrad.errors import ArgumentError
from refgrad.quantizers import KMeans, OptimalCodebook, ProductQuantizer
from refgrad.quantizers.codebooks import exact_partition, lloyd, moderate, nearest_centre
from tests.depth import examples

small = st.lists(st.integers(-50, 50), min_size=1, max_size=9)


def spread(part: list[int]) -> Fraction:
    """The sum of squared distances to the mean."""
    mean = Fraction(sum(part), len(part))
    return sum(((v - mean) ** 2 for v in part), Fraction(0))


def cost(ordered: list[int], begins: list[int]) -> Fraction:
    ends = [*begins[1:], len(ordered)]
    return sum((spread(ordered[a:b]) for a, b in zip(begins, ends, strict=True)), Fraction(0))


@examples(150)
@given(values=small, clusters=st.integers(1, 5))
def test_the_partition_is_the_best_of_all(values: list[int], clusters: int) -> None:
    """Costs of whole numbers differ by more than float64 loses on them, so that the minimum must be exact."""
    ordered = sorted(values)
    clusters = min(clusters, len(ordered))
    begins = exact_partition(np.float64(ordered), clusters).tolist()
    every = ([0, *rest] for rest in combinations(range(1, len(ordered)), clusters - 1))
    assert cost(ordered, begins) == min(cost(ordered, choice) for choice in every)


def error(x: np.ndarray, rule: KMeans | OptimalCodebook) -> Fraction:
    return sum((Fraction(float(d)) ** 2 for d in (x - rule.round_trip(x))), Fraction(0))


@examples(50)
@given(
    values=st.lists(st.integers(-1000, 1000), min_size=4, max_size=40), start=st.sampled_from(["linear", "quantile"])
)
def test_lloyd_ends_where_nothing_moves_and_never_beats_the_optimum(values: list[int], start: str) -> None:
    x = np.float64(values)
    rule = KMeans(clusters=4, start=start)
    quantized = rule.quantize(x)
    points, centres = x[:, None], quantized["codebook"][:, None]
    assert np.array_equal(np.sort(lloyd(points, centres, 1)[0][:, 0]), quantized["codebook"])
    best = error(x, OptimalCodebook(clusters=4))
    slack = Fraction(1, 2**40) * sum(Fraction(v) ** 2 for v in values)  # centres are rounded to 53 bits
    assert best <= error(x, rule) + slack


@examples(50)
@given(values=st.lists(st.integers(-1000, 1000), min_size=2, max_size=30))
def test_no_iteration_makes_it_worse(values: list[int]) -> None:
    """On quarters of whole numbers centres are exact only now and then; costs are taken of the centres as they are."""
    points = np.float64(values)[:, None]
    centres, before = np.linspace(min(values), max(values), 3)[:, None], None
    for _ in range(6):
        codes = nearest_centre(points, centres)
        now = sum((Fraction(v) - Fraction(float(centres[c, 0]))) ** 2 for v, c in zip(values, codes, strict=True))
        assert before is None or now <= before + Fraction(1, 2**30)
        before, centres = now, lloyd(points, centres, 1)[0]


def mixture(axes: int) -> np.ndarray:
    """Clouds around five centres, far enough apart that no point is in doubt."""
    random = np.random.default_rng(8)
    centres = 10 * np.arange(5)[:, None] * np.ones(axes)
    return np.concatenate([c + random.standard_normal((40, axes)) for c in centres])


def close(found: np.ndarray, wanted: np.ndarray, points: np.ndarray) -> bool:
    """Two means of the same points, each off by at most a rounding an addition."""
    bound = 2 * len(points) * np.finfo(np.float64).eps * np.abs(points).max()
    return bool(np.all(np.abs(found - wanted) <= bound))


@pytest.mark.parametrize("axes", [1, 3])
def test_lloyd_beside_scipy(axes: int) -> None:
    vq = pytest.importorskip("scipy.cluster.vq", reason="compares with SciPy's k-means")
    points = mixture(axes)
    start = points[[3, 50, 90, 130, 170]]
    centres, codes = lloyd(points, start, 20)
    wanted, labels = vq.kmeans2(points, start, iter=21, minit="matrix")
    assert np.array_equal(codes, labels)
    assert close(centres, wanted, points)


@pytest.mark.slow
@pytest.mark.parametrize("axes", [1, 3])
def test_lloyd_beside_scikit_learn(axes: int) -> None:
    cluster = pytest.importorskip("sklearn.cluster", reason="compares with scikit-learn's k-means")
    points = mixture(axes)
    start = points[[3, 50, 90, 130, 170]]
    centres, codes = lloyd(points, start, 50)
    theirs = cluster.KMeans(5, init=start, n_init=1, max_iter=50, tol=0.0, algorithm="lloyd").fit(points)
    assert np.array_equal(codes, theirs.labels_)
    assert close(centres, theirs.cluster_centers_, points)


@pytest.mark.slow
def test_departure_of_scikit_learn_at_an_empty_cluster() -> None:
    """A centre without points stays here; scikit-learn moves it to the point that is farthest from its own centre."""
    cluster = pytest.importorskip("sklearn.cluster", reason="compares with scikit-learn's k-means")
    points, start = np.float64([[0], [1], [10], [11]]), np.float64([[0.5], [10.5], [100]])
    assert lloyd(points, start, 1)[0][:, 0].tolist() == [0.5, 10.5, 100.0]
    theirs = cluster.KMeans(3, init=start, n_init=1, max_iter=1, tol=0.0, algorithm="lloyd").fit(points)
    assert 100.0 not in theirs.cluster_centers_


def test_the_lower_centre_on_ties() -> None:
    assert nearest_centre(np.float64([[1], [3]]), np.float64([[0], [2], [4]])).tolist() == [0, 1]


def test_gradient_of_the_centres() -> None:
    codes, g = np.uint8([0, 2, 0, 1]), np.float32([1, 2, 4, 8])
    assert KMeans(clusters=4).gradient(codes, g).tolist() == [5, 8, 2, 0]


def test_enough_centres_are_exact() -> None:
    x = np.float32([3, 1, 4, 1, 5, 9])
    assert np.array_equal(OptimalCodebook(clusters=6).round_trip(x), x)
    assert np.array_equal(OptimalCodebook(clusters=200).round_trip(x), x)
    assert OptimalCodebook(clusters=1).round_trip(x)[0] == np.float32(23 / 6)


def test_product_quantizer_works_on_each_part_alone() -> None:
    x = np.random.default_rng(6).standard_normal((60, 6)).astype(np.float32)
    rule = ProductQuantizer(subspaces=3, clusters=8)
    quantized = rule.quantize(x)
    assert quantized["codebooks"].shape == (3, 8, 2)
    assert quantized.codes.shape == (60, 3)
    for part in range(3):
        own = ProductQuantizer(subspaces=1, clusters=8).quantize(np.ascontiguousarray(x[:, 2 * part : 2 * part + 2]))
        assert np.array_equal(own["codebooks"][0], quantized["codebooks"][part])
        assert np.array_equal(own.codes[:, 0], quantized.codes[:, part])


def test_distances_from_tables_are_distances_to_what_is_stored() -> None:
    """On whole numbers every sum is exact, in whatever order."""
    x = np.random.default_rng(7).integers(-9, 10, (20, 4)).astype(np.float64)
    rule = ProductQuantizer(subspaces=2, clusters=20, iterations=0)
    quantized = rule.quantize(x)
    query = np.float64([1, -2, 3, 4])
    wanted = ((rule.dequantize(quantized) - query) ** 2).sum(axis=1)
    assert np.array_equal(rule.distances(query, quantized.arrays), wanted)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_kernels_take_the_values_that_codes_say(dtype: type) -> None:
    x = np.random.default_rng(5).standard_normal((129, 257)).astype(dtype)
    for rule in (KMeans(clusters=200, iterations=1), KMeans(clusters=1)):
        stored = rule.quantize(x)
        values = stored.arrays["codebook"][stored.arrays["codes"]].astype(dtype)
        assert rule.dequantize(stored).tobytes() == values.tobytes()
        by_kernel = rule._by_kernel(stored.arrays, x.shape, np.dtype(dtype))
        assert by_kernel is not None
        assert by_kernel.tobytes() == values.tobytes()
        assert rule.restore(rule.opened(stored.arrays, x.shape)).astype(dtype).tobytes() == values.tobytes()


def test_bad_input() -> None:
    for rule in (KMeans(), OptimalCodebook(), ProductQuantizer(subspaces=1)):
        with pytest.raises(ArgumentError, match="NaN or infinities"):
            rule.quantize(np.float32([[1, np.nan]]))
    with pytest.raises(ArgumentError, match=r"x\.shape"):
        ProductQuantizer(subspaces=3).quantize(np.zeros((2, 4)))
    assert KMeans().round_trip(np.zeros((0, 3), np.float32)).shape == (0, 3)
    assert KMeans().round_trip(np.asarray(2.5, np.float32)) == np.float32(2.5)
    stored = KMeans(clusters=2).quantize(np.float32([1, 2]))
    stored.arrays["codes"][0] = 7
    with pytest.raises(ArgumentError, match="codes"):
        KMeans(clusters=2).dequantize(stored)


@pytest.mark.parametrize("power", [1023, 700, 490, -420, -700, -1000])
@pytest.mark.parametrize(
    "rule",
    [
        KMeans(clusters=4),
        KMeans(clusters=4, start="quantile"),
        OptimalCodebook(clusters=4),
        ProductQuantizer(clusters=4),
    ],
    ids=str,
)
def test_numbers_whose_squares_are_no_floats_have_the_same_codebook(rule: Any, power: int) -> None:
    x = np.random.default_rng(1).uniform(-1.0, 1.0, (8, 16)).astype(np.float32).astype(np.float64)
    usual, far = rule.quantize(x), rule.quantize(np.ldexp(x, power))
    assert np.array_equal(usual.codes, far.codes)
    rounded = 0.0 if power > -900 else 2.0**-1074  # of what is subnormal
    assert np.abs(far[rule.parts[0]] - np.ldexp(usual[rule.parts[0]], power)).max() <= rounded


def test_the_largest_numbers_have_centres() -> None:
    largest = np.finfo(np.float64).max
    for x in (np.full(9, largest), np.asarray([-largest, largest] * 8)):
        for rule in (KMeans(clusters=2), OptimalCodebook(clusters=2)):
            assert np.array_equal(np.sign(rule.round_trip(x)), np.sign(x))
            assert np.isfinite(rule.round_trip(x)).all()
    assert moderate(np.zeros(3))[1] == moderate(np.zeros(0))[1] == 0
