"""Dimension, complexity, subspaces, transport and perceptual scales: equations, peers, properties."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from mpmath import mp, mpf

from refgrad import verify
from refgrad.errors import ArgumentError
from refgrad.gradients import (
    EntropicPlan,
    FastfoodParameters,
    LabelSharpness,
    LikelihoodDimension,
    MongeGap,
    OptimalPlan,
    PerceptualScale,
    ScaleDifferenceProbability,
    SinkhornDivergence,
    SinkhornPotentials,
    SpectralFisherInformation,
    SubspaceGradient,
    SubspaceParameters,
    TwoNeighborDimension,
)
from refgrad.gradients.complexity import (
    closest_distance,
    inductive_bias_bits,
    log_harmonics,
    resolution_degree,
)
from refgrad.gradients.perception import covariance_path, frequency_scale, gaussian_fisher_information
from refgrad.gradients.subspaces import intrinsic_dimension, walsh_hadamard
from refgrad.gradients.transport import costs, exact_transport, sinkhorn

LINE = np.array([[0.0], [1.0], [3.0], [7.0], [15.0]])


def near(found: Any, exact: Any, room: float = 1e-13) -> None:
    np.testing.assert_allclose(np.asarray(found, float), np.array(exact, dtype=float), rtol=room, atol=room)


def random(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def neighbors(points: np.ndarray) -> list[list[Any]]:
    """Distances of each point to the others in rising order, in 40 digits."""
    with mp.workdps(40):
        rows = [[mpf(float(v)) for v in row] for row in points]
        return [
            sorted(mp.sqrt(sum((a - b) ** 2 for a, b in zip(p, q, strict=True))) for j, q in enumerate(rows) if j != i)
            for i, p in enumerate(rows)
        ]


@pytest.mark.parametrize(("count", "features", "k"), [(5, 1, 3), (9, 4, 4), (12, 2, 5)])
def test_likelihood_dimension_is_its_equation(count: int, features: int, k: int) -> None:
    points = random(k).standard_normal((count, features))
    spreads = [sum(mp.log(row[k - 1] / t) for t in row[: k - 1]) for row in neighbors(points)]
    for numerator, top in (("likeliest", k - 1), ("unbiased", k - 2)):
        rule = LikelihoodDimension(neighbors=k, numerator=numerator)
        near(rule(points), 1 / (sum(s / top for s in spreads) / count))
        near(rule.replace(over_points="mean")(points), sum(top / s for s in spreads) / count)


@pytest.mark.parametrize(("count", "discard"), [(4, 0.1), (10, 0.1), (11, 0.35), (10, 0.0)])
def test_two_neighbor_dimension_is_its_equation(count: int, discard: float) -> None:
    points = random(count).standard_normal((count, 3))
    ratios = sorted(mp.log(row[1] / row[0]) for row in neighbors(points))
    for estimate, kept in (("fit", min(int(count * (1 - discard)), count - 1)), ("fit_but_last", count - 1)):
        y = [-mp.log(1 - mpf(i) / count) for i in range(1, kept + 1)]
        slope = sum(a * b for a, b in zip(ratios, y, strict=False)) / sum(a * a for a in ratios[:kept])
        near(TwoNeighborDimension(discard=discard, estimate=estimate)(points), slope)
    near(TwoNeighborDimension(estimate="likeliest")(points), count / sum(ratios))
    near(TwoNeighborDimension(estimate="unbiased")(points), (count - 1) / sum(ratios))


def test_dimensions_of_five_points_by_hand() -> None:
    near(LikelihoodDimension(neighbors=3)(LINE), 1.235797297426, 1e-12)
    near(LikelihoodDimension(neighbors=3, numerator="unbiased")(LINE), 0.617898648713, 1e-12)
    near(TwoNeighborDimension(estimate="likeliest")(LINE), 1.662148507356, 1e-12)


@pytest.mark.parametrize("rule", [LikelihoodDimension(), TwoNeighborDimension()])
def test_dimension_does_not_change_by_rigid_motion_scale_order_and_padding(rule: Any) -> None:
    points = random(3).standard_normal((10, 3))
    turn = scipy.stats.special_ortho_group.rvs(3, random_state=1)
    for moved in (points @ turn + 2.0, 8 * points, points[::-1], np.pad(points, ((0, 0), (0, 2)))):
        near(rule(moved), rule(points), 1e-11)
    assert rule(random(0).random((80, 1))) == pytest.approx(1, abs=0.4)


def test_fewer_points_than_neighbors_are_refused() -> None:
    with pytest.raises(ArgumentError, match="at least 4"):
        LikelihoodDimension(neighbors=3)(LINE[:3])


@pytest.mark.parametrize("pairs", ["difference", "different", "equal"])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_label_sharpness_is_the_largest_of_all_pairs(pairs: str, count: int) -> None:
    points, labels = random(count).standard_normal((count, 3)), random(count).integers(0, 3, count)
    points[-1] = points[0]
    score = {"difference": lambda a, b: abs(a - b), "different": lambda a, b: a != b, "equal": lambda a, b: a == b}
    found = [
        float(score[pairs](labels[i], labels[j])) / np.linalg.norm(points[i] - points[j])
        for i, j in itertools.permutations(range(count), 2)
        if np.any(points[i] != points[j])
    ]
    near(LabelSharpness(pairs=pairs)(points, labels), max(found, default=0.0))


def test_label_sharpness_of_two_classes_is_one_over_their_distance() -> None:
    points, labels = np.array([[0.0], [1.0], [5.0], [7.0]]), np.array([0, 0, 1, 1])
    assert LabelSharpness()(points, labels) == 0.25 == LabelSharpness()(points, 1 - labels)
    assert LabelSharpness(pairs="equal")(points, labels) == 1.0  # within a class, as the released code has it
    assert LabelSharpness()(2 * points, labels) == 0.125
    assert LabelSharpness()(points, 0 * labels) == 0.0


@pytest.mark.parametrize("n", [10.0, 1e6])
@pytest.mark.parametrize("m", [1.0, 2.0, 48.0])
def test_bits_of_inductive_bias_are_their_equation(n: float, m: float) -> None:
    given = {"radius": 9.5, "distance": 2.5, "outputs": 3.0, "product": 4.0, "bound": 1.5, "error": 0.2}
    r, delta, d, prod, b, err = map(mpf, given.values())
    with mp.workdps(50):
        m_, n_ = mpf(m), mpf(n)
        ln_w = mp.log(m_ / 6) / 2 + mp.log(r) - mp.log(n_) / m_
        ln_w += (mp.log(2) + (m_ + 1) / 2 * mp.log(mp.pi) + mp.log(prod) - mp.loggamma((m_ + 1) / 2)) / m_
        big = 2 * mp.pi * r / delta
        k = (mp.sqrt((m_ - 1) ** 2 + 4 * big**2) - (m_ - 1)) / 2
        e = mp.binomial(m_ + k, m_) + mp.binomial(m_ + k - 1, m_)
        each = mp.log(b, 2) + mp.log(d, 2) / 2 + mp.log(prod, 2) / 2 - mp.log(err, 2)
        each += mp.log(k * mp.sqrt(d) / r, 2) + ln_w / mp.log(2)
        exact = (2 * d * prod * e - n_ * d) * each
    near(inductive_bias_bits(examples=n, dimension=m, **given), exact, 1e-11)
    assert resolution_degree(m, 9.5, 2.5) == pytest.approx(float(k), rel=1e-14)


def test_harmonics_are_counted() -> None:
    # of degree k on the sphere in four dimensions there are (k + 1)**2
    assert math.exp(log_harmonics(3, 5)) == pytest.approx(sum((k + 1) ** 2 for k in range(6)), rel=1e-13)


def test_closest_distance_finds_the_edge_of_a_tail() -> None:
    distances = random(0).random(20_000) + 0.25
    found = closest_distance(distances, pairs=1e9, order=500)
    assert 0.1 < found <= distances.min()
    with pytest.raises(ArgumentError, match="order"):
        closest_distance([1.0], 1, order=1)
    with pytest.raises(ArgumentError, match=r"distances is 0\.0; legal: numbers in"):
        closest_distance([0.0, 1.0, 2.0], 1, order=1)


@pytest.mark.parametrize("count", [1, 2, 8, 64])
def test_walsh_hadamard_is_the_matrix_and_twice_a_multiple(count: int) -> None:
    x = random(count).standard_normal(count)
    near(walsh_hadamard(x), scipy.linalg.hadamard(count) @ x)
    near(walsh_hadamard(walsh_hadamard(x)), count * x)


def fastfood(count: int, length: int, seed: int, **how: Any) -> np.ndarray:
    """The map as a matrix, by columns."""
    draw = random(seed)
    rest = draw.integers(0, 2, length), draw.permutation(length), draw.standard_normal(length)
    rule, zero = FastfoodParameters(**how), np.zeros(count)
    return np.stack([rule(zero, unit, *rest) for unit in np.eye(length)], axis=1)


@pytest.mark.parametrize(("count", "length"), [(1, 1), (5, 8), (50, 64), (8, 8)])
def test_fastfood_is_its_matrices(count: int, length: int) -> None:
    draw = random(4)
    signs, order, gaussian = draw.integers(0, 2, length), draw.permutation(length), draw.standard_normal(length)
    hadamard = scipy.linalg.hadamard(length)
    matrix = hadamard @ np.diag(gaussian) @ np.eye(length)[order] @ hadamard @ np.diag(1.0 - 2.0 * signs)
    near(fastfood(count, length, 4, scale="orthonormal"), matrix[:count] / length)
    norm = math.sqrt(length * np.sum(gaussian**2)) * math.sqrt(count / length)
    near(fastfood(count, length, 4), matrix[:count] / norm)


def test_fastfood_has_columns_of_norm_one_where_nothing_is_cut_off() -> None:
    near(np.linalg.norm(fastfood(16, 16, 7), axis=0), np.ones(16))
    assert np.all(np.abs(np.linalg.norm(fastfood(50, 64, 7), axis=0) - 1) < 0.15)
    with pytest.raises(ArgumentError, match="power of two"):
        FastfoodParameters()(*map(np.zeros, (5, 3)), *(np.zeros(4, int),) * 2, np.zeros(4))


@pytest.mark.parametrize("norm", ["unit", "drawn"])
def test_the_subspaces_gradient_is_the_maps_adjoint(norm: str) -> None:
    draw = random(5)
    basis, u, v = draw.standard_normal((3, 7)), draw.standard_normal(3), draw.standard_normal(7)
    basis[1, 2:] = 0.0
    there = SubspaceParameters(norm=norm)(np.zeros(7), basis, u)
    near(there @ v, u @ SubspaceGradient(norm=norm)(basis, v))
    rows = basis / np.linalg.norm(basis, axis=1, keepdims=True) if norm == "unit" else basis
    near(SubspaceParameters(norm=norm)(v, basis, u), v + rows.T @ u)
    near(SubspaceParameters(norm=norm)(v, basis, 0 * u), v, 0)


def test_intrinsic_dimension_is_the_first_that_reaches_the_share() -> None:
    assert intrinsic_dimension([3, 1, 2], [0.9, 0.5, 0.89], 1.0) == 3
    assert intrinsic_dimension([1], [0.1], 1.0) is None
    with pytest.raises(ArgumentError, match="one a dimension"):
        intrinsic_dimension([1, 2], [0.1], 1.0)


def test_fisher_information_is_twice_the_curvature_of_the_divergence() -> None:
    draw, step = random(6), mpf(10) ** -12
    slope, variance, change = draw.standard_normal(4), draw.random(4) + 0.5, draw.standard_normal(4)
    with mp.workdps(60):
        total = mpf(0)
        for m, v, c in zip(slope.tolist(), variance.tolist(), change.tolist(), strict=True):
            there = mpf(v) + step * mpf(c)
            total += (mp.log(there / v) + (v + (step * m) ** 2) / there - 1) / 2
        exact = 2 * total / step**2
    near(SpectralFisherInformation()(slope, variance, change), exact, 1e-9)
    near(gaussian_fisher_information(slope, np.diag(variance), np.diag(change)), exact, 1e-9)


def test_fisher_information_does_not_change_by_a_linear_map() -> None:
    draw = random(8)
    slope, root, change, mix = (draw.standard_normal(s) for s in ((3,), (3, 3), (3, 3), (3, 3)))
    covariance, change = root @ root.T + np.eye(3), change + change.T
    inverse = np.linalg.inv(covariance)
    expected = slope @ inverse @ slope + 0.5 * np.trace(inverse @ change @ inverse @ change)
    near(gaussian_fisher_information(slope, covariance, change), expected, 1e-11)
    mapped = gaussian_fisher_information(mix @ slope, mix @ covariance @ mix.T, mix @ change @ mix.T)
    near(mapped, expected, 1e-9)
    with pytest.raises(ArgumentError, match="positive definite"):
        gaussian_fisher_information([1.0], [[-1.0]], [[1.0]])


def test_covariances_on_a_path_are_those_of_the_pinned_form() -> None:
    draw = random(9)
    a, b = (r @ r.T + 0.1 * np.eye(3) for r in draw.standard_normal((2, 3, 3)))
    near(covariance_path(a, b, 0), a, 1e-10)
    near(covariance_path(a, b, 1), b, 1e-10)
    root = scipy.linalg.sqrtm(b).real
    back = np.linalg.inv(root)
    q, t = back @ scipy.linalg.sqrtm(root @ a @ root).real, 0.3
    near(covariance_path(a, b, t), (t * root + (1 - t) * q) @ (t * root + (1 - t) * q).T, 1e-9)


def test_perceptual_scales_run_from_zero_to_one() -> None:
    information = random(1).random(9)
    scale, summed = PerceptualScale()(information), PerceptualScale(integral="sum")(information)
    speed = [mp.sqrt(float(i)) for i in information]
    steps = [(a + b) / 2 for a, b in itertools.pairwise(speed)]
    near(scale, [sum(steps[:i], mpf(0)) / sum(steps) for i in range(9)])
    near(summed, [sum(speed[: i + 1]) / sum(speed) for i in range(9)])
    assert scale[0] == 0 < summed[0]
    assert scale[-1] == summed[-1] == 1
    assert np.all(np.diff(scale) >= 0)
    near(PerceptualScale()(np.full(5, 3.0)), np.linspace(0, 1, 5))
    near(frequency_scale(np.array([2.0, 8.0]), 2.0, 8.0), [0, 1])


def test_differences_on_a_scale_are_compared_by_the_normal_distribution() -> None:
    scale, trials = np.array([0.0, 0.1, 0.5, 1.0]), random(2).integers(0, 4, (4, 20))
    a, b, c, d = (scale[t] for t in trials)
    expected = scipy.stats.norm.cdf((abs(d - c) - abs(b - a)) / 0.3)
    near(ScaleDifferenceProbability(sigma=0.3)(scale, *trials), expected)


def two_samples() -> tuple[np.ndarray, np.ndarray]:
    draw = random(0)
    return np.round(draw.standard_normal((12, 3)), 2), np.round(draw.standard_normal((12, 3)) + 0.5, 2)


@pytest.mark.parametrize("first", ["rows", "columns"])
@pytest.mark.parametrize("relative", ["absolute", "deviation", "mean"])
@pytest.mark.parametrize("cost", ["squared", "distance"])
def test_sinkhorn_potentials_are_their_equations(first: str, relative: str, cost: str) -> None:
    x, y = random(1).standard_normal((4, 2)), random(2).standard_normal((3, 2))
    rule = SinkhornPotentials(epsilon=0.3, relative=relative, cost=cost, first=first, iterations=2)
    with mp.workdps(40):
        c = mp.matrix(4, 3)
        for i, j in itertools.product(range(4), range(3)):
            c[i, j] = sum((mpf(float(p)) - mpf(float(q))) ** 2 for p, q in zip(x[i], y[j], strict=True))
            c[i, j] = c[i, j] if cost == "squared" else mp.sqrt(c[i, j])
        mean = sum(c) / 12
        spread = mp.sqrt(sum((v - mean) ** 2 for v in c) / 12)
        eps = mpf(0.3) * {"absolute": 1, "deviation": spread, "mean": mean}[relative]
        f, g = [mpf(0)] * 4, [mpf(0)] * 3

        def of_y() -> list[Any]:
            return [-eps * mp.log(3 * sum(mp.exp((f[i] - c[i, j]) / eps) for i in range(4))) for j in range(3)]

        for _ in range(2):
            g = of_y() if first == "columns" else g
            f = [-eps * mp.log(4 * sum(mp.exp((g[j] - c[i, j]) / eps) for j in range(3))) for i in range(4)]
            g = of_y() if first == "rows" else g
    found = rule(x, y)
    near(found[0], f, 1e-12)
    near(found[1], g, 1e-12)


def test_sinkhorn_converges_to_a_plan_and_exact_transport_is_its_limit() -> None:
    x, y = two_samples()
    found = sinkhorn(costs(x, y, "squared"), 0.5)
    assert found.residual < 1e-12
    ratio = (
        np.log(found.plan) + costs(x, y, "squared") / 0.5
    )  # f + g over epsilon: of rank two, alternating sums are zero
    near(ratio[1:, 1:] - ratio[:1, 1:] - ratio[1:, :1] + ratio[:1, :1], np.zeros((11, 11)), 1e-10)
    exact = exact_transport(costs(x, y, "squared")).cost
    assert exact <= found.cost
    assert sinkhorn(costs(x, y, "squared"), 0.05, most=3).residual > 1e-6  # says that it has not converged


@pytest.mark.parametrize("cost", ["squared", "distance"])
def test_monge_gaps_are_of_converged_costs(cost: str) -> None:
    x, y = two_samples()
    each = costs(x, y, cost)
    plan = sinkhorn(each, 0.5).plan
    divergence = np.sum(plan * each) + 0.5 * np.sum(plan * np.log(plan * 144))
    rule = MongeGap(epsilon=0.5, iterations=400, cost=cost)
    near(rule(x, y), np.mean(np.diag(each)) - divergence, 1e-10)
    near(rule.replace(form="entropy")(x, y) - rule(x, y), 2 * 0.5 * math.log(12), 1e-12)
    assert rule.replace(form="entropy")(x, y) >= 0.5 * math.log(12) - 1e-12  # the diagonal is a plan, of that entropy
    near(rule(x + 3.0, y + 3.0), rule(x, y), 1e-9)


def test_the_gap_of_a_convex_functions_gradient_is_zero_without_entropy() -> None:
    x, _ = two_samples()
    image = np.exp(x) + 2 * x
    each = costs(x, image, "squared")
    near(exact_transport(each).cost, np.mean(np.diag(each)), 1e-13)


def test_sinkhorn_divergence_is_symmetric_and_zero_at_equality() -> None:
    x, y = two_samples()
    rule = SinkhornDivergence(epsilon=0.5, iterations=400)
    near(rule(x, x), 0.0)
    near(rule(x, y), rule(y, x), 1e-10)
    assert rule(x, y) > 0
    with pytest.raises(ArgumentError, match="features"):
        rule(x, y[:, :2])


@pytest.mark.parametrize("first", ["rows", "columns"])
def test_divergences_of_plans_have_no_entropy(first: str) -> None:
    x, y = two_samples()
    own = {
        pair: sinkhorn(costs(*pair_of, "squared"), 5.0)
        for pair, pair_of in zip("abc", ((x, y), (x, x), (y, y)), strict=True)
    }
    rule = SinkhornDivergence(epsilon=5.0, iterations=2000, values="plan", first=first)
    near(rule(x, y), own["a"].cost - own["b"].cost / 2 - own["c"].cost / 2, 1e-9)
    assert rule(x, x) == pytest.approx(0.0, abs=1e-12)


def test_dimensions_are_those_of_scikit_dimension() -> None:
    """By scikit-dimension 0.5.0: `MLE().fit(x, n_neighbors=4, comb=...)`, "mle" and "mean", and `TwoNN(discard_fraction=0.1)`."""
    x, _ = two_samples()
    near(LikelihoodDimension(neighbors=4)(x), 1.9986311767605158)
    near(LikelihoodDimension(neighbors=4, over_points="mean")(x), 3.294484495116647)
    near(TwoNeighborDimension(discard=0.1)(x), 6.201568382359243)
    ratio = LikelihoodDimension(neighbors=4, numerator="unbiased")(x) / LikelihoodDimension(neighbors=4)(x)
    near(ratio, 2 / 3)


def test_potentials_and_gaps_are_those_of_ott_and_pot() -> None:
    """By ott 0.6.0 and POT 0.9.7: three iterations, epsilon 0.5, y first; gaps by `reg_ot_cost` and `ent_reg_cost`."""
    x, y = two_samples()
    f, g = SinkhornPotentials(epsilon=0.5, iterations=3, first="columns")(x, y)
    near(f[:3], [-0.6953912351183046, 0.23267402494163703, -0.8640198746662977], 1e-12)
    near(g[:3], [-0.4255082098736037, 2.2922089996839867, 1.4176618709094473], 1e-12)
    gap = MongeGap(epsilon=0.5, iterations=300, first="columns")
    near(gap(x, y), 3.2533861140979585, 1e-11)
    relative = gap.replace(relative="deviation", iterations=3)
    near(np.mean(np.sum((x - y) ** 2, axis=1)) - relative(x, y), 6.107442670233453, 1e-11)
    near(
        SinkhornPotentials(epsilon=0.5, iterations=3, first="columns", relative="deviation")(x, y)[0][0],
        -1.7036125328018779,
        1e-11,
    )
    near(sinkhorn(costs(x, y, "squared"), 0.5).cost, 3.9935327619853114, 1e-11)
    near(exact_transport(costs(x, y, "squared")).cost, 3.742941666666666)


@pytest.mark.slow
def test_plans_are_judged_by_what_they_satisfy() -> None:
    def in_turn(x: np.ndarray, y: np.ndarray, epsilon: float = 0.5) -> np.ndarray:
        """Sinkhorn's scaling of the kernel itself, in float64."""
        cost = np.sum((np.float64(x)[:, None] - np.float64(y)[None]) ** 2, axis=-1)
        kernel = np.exp(-cost / (epsilon * cost.mean()))
        v = np.ones(len(y))
        for _ in range(3000):
            u = 1 / len(x) / (kernel @ v)
            v = 1 / len(y) / (u @ kernel)
        return (u[:, None] * kernel * v).astype(x.dtype)

    right = verify(in_turn, EntropicPlan(), explain=False)
    assert right.conforms, str(right)
    wrong = verify(lambda x, y: in_turn(x, y, 0.55), EntropicPlan(), explain=False)
    assert wrong.outcome == "does not conform"

    def last_first(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        cost = costs(np.float64(x)[::-1], np.float64(y)[::-1], "squared")
        return exact_transport(cost).plan[::-1, ::-1].astype(x.dtype)

    assert verify(last_first, OptimalPlan(), explain=False).conforms
    wrong = verify(lambda x, y: np.eye(len(x), dtype=x.dtype) / np.float32(len(x)), OptimalPlan(), explain=False)
    assert wrong.outcome == "does not conform"
