"""Cases that tell right programs of gradients from published ones, and policies that hold across the room.

Other cases of this kind stand with their rules: goldens of Grad-CAM++ and of guidance, GradNorm's sign, BoostIn's leaf, leaves
refitted, label sharpness, trimmed means beside 1e20, contours of nudges, columns of Fastfood.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.optimize

import refgrad
from refgrad import gradients as g
from refgrad.gradients.convex_networks import activation_patterns, convex_relu
from refgrad.kinds.table import kind_of
from refgrad.optimizers.transform import Transform
from refgrad.rule import rules
from tests.gradients.judged import drawn, verdict

ROOM = Path(g.__file__).parent
RULES = [cls() for cls in rules(Transform).values() if cls.__module__.startswith("refgrad.gradients")]


# --- programs that are told apart


@pytest.mark.parametrize(
    "other", [{"neighbors": "more"}, {"distance": "distances"}, {"distance": "fourth"}], ids=lambda each: str(each)
)
def test_krum_of_random_rows_picks_another_row(other: dict[str, str]) -> None:
    """Eleven rows and three faults: of each published form another row wins in five percent of sets and more."""
    random, right, wrong = np.random.default_rng(0), g.Krum(faults=3), g.Krum(faults=3, **other)
    sets = random.standard_normal((300, 11, 4))
    assert np.mean([not np.array_equal(right(rows), wrong(rows)) for rows in sets]) > 0.05
    cases = refgrad.Cases([{"gradients": rows.astype(np.float32)} for rows in sets[:60]])
    assert refgrad.verify(wrong, right, inputs=cases, explain=False, shrink=False).outcome == "does not conform"


def test_several_krums_are_a_mean_and_no_sum() -> None:
    rows = np.random.default_rng(1).standard_normal((11, 4))
    mean, summed = (g.MultiKrum(faults=3, result=result)(rows) for result in ("mean", "sum"))
    ratio = summed / mean
    np.testing.assert_allclose(ratio, ratio[0])
    assert ratio[0] > 1


def test_a_start_of_centered_clipping_is_read() -> None:
    """As one package does not: it refuses every start, and begins at zero."""
    rows = np.random.default_rng(2).standard_normal((6, 3)).astype(np.float32)
    start = np.full(3, 5.0, np.float32)
    assert np.linalg.norm(g.CenteredClipping()(rows, start) - start) <= 1.0 + 1e-6
    rule = g.CenteredClipping()
    assert not verdict(lambda gradients, start: rule(gradients, 0 * start), rule).conforms


def test_divisors_of_the_likelihood_dimension_are_told_apart() -> None:
    """Normal points of four dimensions in ten, twenty neighbours: k - 1 and k - 2 are apart by a nineteenth."""
    random = np.random.default_rng(0)
    points = random.standard_normal((1500, 4)) @ np.linalg.qr(random.standard_normal((10, 10)))[0][:4]
    published, unbiased = (g.LikelihoodDimension(neighbors=20, numerator=n)(points) for n in ("likeliest", "unbiased"))
    assert published == pytest.approx(3.946, abs=0.1)
    assert unbiased == pytest.approx(published * 18 / 19, rel=1e-12)


def test_a_gap_of_scaled_costs_is_of_scaled_displacements_too() -> None:
    """Costs over ten are those of points over the root of ten: not a scaled cost taken from a plain displacement."""
    x = np.random.default_rng(3).standard_normal((8, 2))
    y = x + np.array([0.5, -0.25])
    plain, scaled = g.MongeGap(epsilon=0.5, iterations=300), g.MongeGap(epsilon=0.05, iterations=300)
    assert 10 * scaled(x / 10**0.5, y / 10**0.5) == pytest.approx(plain(x, y), rel=1e-9)
    entropy = plain.replace(form="entropy")
    assert entropy(x, x) >= 0.5 * np.log(8) - 1e-12  # of an identity too
    assert plain(x, x) <= 1e-12
    assert plain(x, x) >= -0.5 * np.log(8)


def test_reverse_divergence_weighs_every_example_alike() -> None:
    """The whole way: one number an example, and not one of all, of whose length a program asks."""
    rule = g.DistillationWeights(divergence="reverse_kl")
    logits, bins, averages = drawn(rule, 4, example=5)
    found = rule(logits, bins, averages)
    assert found["weights"].shape == (5,)
    np.testing.assert_allclose(found["weights"], 1.0, rtol=2e-6)


@pytest.mark.parametrize("steps", [1, 10, 1000])
def test_fishrs_averages_after_some_steps(steps: int) -> None:
    """From zero, of the same variances v: v (1 - c**n) / (1 - c), not debiased to v; neither the plain average."""
    gradients, average = drawn(g.Fishr(), 5)
    variance, average = gradients.var(axis=1), np.zeros_like(average)
    for _ in range(steps):
        found = g.Fishr()(gradients, average)
        average = found["average"]
    used = variance * (1 - 0.95**steps) / (1 - 0.95)
    assert found["penalty"] == pytest.approx(np.sum((used - used.mean(axis=0)) ** 2) / len(used), rel=1e-9)


def test_identical_domains_have_no_penalty_by_shared_probes_alone() -> None:
    random = np.random.default_rng(6)
    features, weight, labels = random.standard_normal((7, 2)), random.standard_normal((3, 2)), np.arange(7) % 3
    gradient = g.SoftmaxHeadGradient()(features, weight, labels).ravel()

    def diagonal(probes: np.ndarray) -> Any:
        products = [g.SoftmaxHeadHessianProduct()(features, weight, z.reshape(3, 2)).ravel() for z in probes]
        return g.HutchinsonEstimates()(probes, np.array(products))["diagonal"]

    shared, other = random.choice([-1.0, 1.0], (2, 30, 6))
    rule, twice = g.HessianAlignment(curvature_weight=1e-3), np.stack([gradient] * 2)
    assert rule(twice, np.stack([diagonal(shared)] * 2), diagonal(shared)) == 0
    assert rule(twice, np.stack([diagonal(shared)] * 2), diagonal(other)) > 1e-9


def test_as_many_stragglers_as_the_code_allows_are_not_waited_for() -> None:
    """Where "fewer than" stands for "at most", the master waits although everything that it needs is there."""
    draws, times = np.random.default_rng(0).standard_normal((2, 5)), np.array([0.1, 0.2, 9.0, 0.3, 9.0, 0.4])
    factors = g.GradientDecoding()(draws, times)
    assert not factors[[2, 4]].any()
    np.testing.assert_allclose(factors @ g.GradientCode()(draws), 1.0, atol=1e-12)
    late = np.array([[0.0, 0.0, 2.0, 2.0]])
    assert g.SelectiveRepeat(stragglers=2)(late, np.ones(1))["decoded"].tolist() == [0]
    assert g.SelectiveRepeat(stragglers=1)(late, np.ones(1))["decoded"].tolist() == [-1]


def test_the_bound_by_the_trace_is_one_of_single_examples() -> None:
    rows = np.random.default_rng(3).standard_normal((30, 4))
    hessian = rows.T @ rows / 30
    one, four, all_ = (g.critical_rate(rows, batch) for batch in (1, 4, 10**9))
    bound = 2 / np.trace(hessian)
    assert one < bound < four < all_
    assert all_ == pytest.approx(2 / np.linalg.eigvalsh(hessian)[-1], rel=1e-6)
    stable = np.abs(np.linalg.eigvals(g.second_moment_map(rows, 0.99 * four, 4))).max()
    assert stable < 1  # beyond the bound


@pytest.mark.slow
def test_all_sixteen_patterns_have_the_optimum_of_the_network() -> None:
    """The recovered network has the convex objective, and no descent from there finds a better one."""
    random = np.random.default_rng(0)
    x, target = random.standard_normal((8, 2)), random.standard_normal(8)
    patterns = activation_patterns(x, random.standard_normal((2, 4000)))
    assert patterns.shape[1] == 16
    found = convex_relu(x, target, patterns, beta=0.1, tolerance=1e-9, most=100_000)
    hidden, output = g.ConvexReLUNetwork()(found.positive, found.negative)

    def loss(flat: np.ndarray) -> float:
        first, second = flat[: hidden.size].reshape(hidden.shape), flat[hidden.size :]
        error = np.maximum(x @ first.T, 0) @ second - target
        return float(0.5 * error @ error + 0.05 * flat @ flat)

    start = np.concatenate([hidden.ravel(), output])
    assert loss(start) == pytest.approx(found.objective, rel=1e-6)
    trained = scipy.optimize.minimize(loss, start, method="L-BFGS-B").fun
    assert trained == pytest.approx(found.objective, rel=1e-6)
    assert convex_relu(x, target, patterns[:, ::2], beta=0.1).objective > found.objective + 1e-3


# --- policies of the room


def test_expanded_distances_are_refused_where_they_cancel() -> None:
    """Rows far from zero: |x|**2 + |y|**2 - 2 x y in the rows' precision picks a row that is no Krum."""

    def expanded(gradients: np.ndarray) -> np.ndarray:
        squares = np.sum(gradients * gradients, axis=1)
        distances = squares[:, None] + squares[None] - 2 * (gradients @ gradients.T)
        np.fill_diagonal(distances, 0)
        return gradients[np.argmin(np.sum(np.sort(distances, axis=1)[:, 1 : len(gradients) - 2], axis=1))]

    random = np.random.default_rng(7)
    near, far = (
        refgrad.Cases([{"gradients": (random.standard_normal((7, 4)) + shift).astype(np.float32)} for _ in range(20)])
        for shift in (0.0, 3000.0)
    )
    assert refgrad.verify(expanded, g.Krum(), inputs=near, explain=False).conforms
    assert refgrad.verify(expanded, g.Krum(), inputs=far, explain=False, shrink=False).outcome == "does not conform"


@pytest.mark.parametrize("last", [False, True])
def test_any_of_several_right_members_of_a_tie_is_right(last: bool) -> None:
    corners = np.float32([[0, 0], [1, 0], [0, 1], [1, 1], [10, 10]])

    def program(gradients: np.ndarray) -> np.ndarray:
        return gradients[3 if last else 0]

    assert refgrad.verify(program, g.Krum(), inputs=refgrad.Cases([{"gradients": corners}]), explain=False).conforms
    far = refgrad.verify(
        lambda gradients: gradients[4], g.Krum(), inputs=refgrad.Cases([{"gradients": corners}]), explain=False
    )
    assert not far.conforms


def test_the_median_of_an_even_count_is_told_apart() -> None:
    rows = np.random.default_rng(8).standard_normal((10, 3))
    middle, lower = (g.CoordinateMedian(even=even)(rows) for even in ("middle", "lower"))
    np.testing.assert_array_equal(middle, np.median(rows, axis=0))
    np.testing.assert_array_equal(lower, np.sort(rows, axis=0)[4])


def test_a_row_that_is_not_finite_is_never_selected() -> None:
    rows = np.random.default_rng(9).standard_normal((11, 4))
    for bad in (np.nan, np.inf, -np.inf):
        rows[2, 1] = bad
        for rule in (g.Krum(faults=3), g.MultiKrum(faults=3), g.GradientElimination(faults=3)):
            assert np.isfinite(rule(rows)).all(), (rule, bad)


def test_every_small_constant_is_a_hyperparameter() -> None:
    """No number between 0 and 1e-4 stands in a body of a rule that is given by its steps."""
    found = []
    for path in sorted(ROOM.glob("*.py")):
        for rule in (n for n in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(n, ast.ClassDef)):
            for body in (n for n in rule.body if isinstance(n, ast.FunctionDef) and n.name == "apply"):
                found += [
                    f"{rule.name}: {n.value}"
                    for n in ast.walk(body)
                    if isinstance(n, ast.Constant) and isinstance(n.value, float) and 0 < n.value < 1e-4
                ]
    judged = {type(rule).__name__ for rule in RULES if not rule.by_steps}
    assert [each for each in found if each.partition(":")[0] not in judged] == []


def test_an_operation_that_is_lost_is_among_the_faults_that_are_planted() -> None:
    """As writes into a masked copy are: of every rule of steps something is left out somewhere, or taken as it is."""
    found = {str(r): [w for w, _, _ in kind_of(r).rewritten(r)] for r in RULES[::6] if r.by_steps}
    without = [name for name, words in found.items() if not any(w.startswith("no ") for w in words)]
    assert len(without) < len(found) / 10, without


def test_a_constant_map_is_zeros() -> None:
    assert not g.MinMaxMap()(np.full((2, 3), 5.0)).any()
    assert np.isnan(g.MinMaxMap(constant="undefined")(np.full((2, 3), 5.0))).all()


def test_randomness_is_handed_in() -> None:
    """No module of the room draws anything: noise, probes, permutations and draws are arrays that rules take."""
    for path in ROOM.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        drawing = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and ast.unparse(n) == "np.random"]
        assert not drawing, path.name


def test_sums_in_another_order_conform() -> None:
    def backwards(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        weights = [np.cumsum(each.ravel()[::-1])[-1] / np.float32(each[0].size * len(each)) for each in gradients]
        found = np.zeros_like(activations[0])
        for weight, each in list(zip(weights, activations, strict=True))[::-1]:
            found = found + weight * each
        return np.maximum(found, 0)

    found = refgrad.verify(backwards, g.GradCAM(), explain=False)
    assert found.conforms, str(found)
