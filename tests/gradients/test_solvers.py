"""Fixed points, directions, convex and boosted networks, search, functionals and points: equations, peers, properties."""

from __future__ import annotations

import itertools
import math
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import scipy.sparse.linalg
import scipy.spatial.transform
import scipy.special

from refgrad import Cases, verify
from refgrad.errors import ArgumentError
from refgrad.gradients import (
    BoostedBinaryStep,
    BoostedRegressionStep,
    BoostedSoftmaxStep,
    ClosestPoints,
    ConeOpacityReset,
    ConjugateDirectionLoss,
    ConjugateDirectionStep,
    ContourNudge,
    ConvexReLUNetwork,
    ConvexReLUObjective,
    ConvexReLUProgram,
    DensityControl,
    DirichletConcentration,
    EntangledKernel,
    EntangledWeights,
    GaussianGradientNorm,
    GaussianSplit,
    GroupSoftThreshold,
    GumbelArchitectureGradient,
    GumbelArchitectureWeights,
    HomeostaticLoss,
    ImplicitGradient,
    JacobianSymmetry,
    OneSidedNudge,
    OpacityReset,
    RecurrentBackpropagation,
    RenderingErrorMap,
    SobolevStep,
    WidthImportance,
)
from refgrad.gradients.boosting import Unit, assembled, first_binary_score
from refgrad.gradients.convex_networks import activation_patterns, convex_relu, most_patterns
from refgrad.gradients.directions import conjugate_directions
from refgrad.gradients.equilibrium import fixed_point
from refgrad.gradients.functionals import helmholtz
from refgrad.gradients.points import error_boxes
from refgrad.gradients.search import depth_program, linear_temperature


def near(found: Any, exact: Any, room: float = 1e-13) -> None:
    np.testing.assert_allclose(np.asarray(found, float), np.asarray(exact, float), rtol=room, atol=room)


def random(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def positive_definite(seed: int, count: int) -> np.ndarray:
    root = random(seed).standard_normal((count, count))
    return root @ root.T + 0.5 * np.eye(count)


def exactly(array: Any) -> Any:
    return np.array([Fraction(float(v)) for v in np.ravel(array)], object).reshape(np.shape(array))


# --- fixed points


@pytest.mark.parametrize(("count", "order"), [(1, 1), (2, 2), (4, 4), (8, 8)])
def test_a_contour_of_n_nudges_has_an_error_of_order_n(count: int, order: int) -> None:
    def state(beta: complex) -> complex:
        found = fixed_point(lambda u: np.tanh(0.3 * u + 0.5 + beta) - u, 0j, tolerance=1e-15)
        return complex(found.state)

    true = (1 - np.tanh(0.3 * state(0) + 0.5) ** 2) / (1 - 0.3 * (1 - np.tanh(0.3 * state(0) + 0.5) ** 2))
    errors = []
    for beta in (0.3, 0.15):
        if count == 1:
            found = OneSidedNudge(beta=beta)(np.array([state(0).real]), np.array([state(beta).real]))
        else:
            states = np.array([[state(beta * np.exp(2j * np.pi * k / count))] for k in range(count)])
            found = ContourNudge(beta=beta)(states.real.copy(), states.imag.copy())
        errors.append(abs(found[0] - true.real))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.6)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_contour_is_exact_of_polynomials(count: int) -> None:
    coefficients = random(count).standard_normal(count + 1)  # of degree N
    beta = 0.7 * np.exp(2j * np.pi * np.arange(count) / count)
    values = np.polynomial.polynomial.polyval(beta, coefficients)[:, None]
    near(ContourNudge(beta=0.7)(values.real.copy(), values.imag.copy()), [coefficients[1]])
    with pytest.raises(ArgumentError, match="at least 2"):
        ContourNudge()(np.zeros((1, 1)), np.zeros((1, 1)))


def test_recurrent_backpropagation_adds_up_a_series_and_converges() -> None:
    jacobian, gradient = 0.3 * random(1).standard_normal((4, 4)) - np.eye(4), random(2).standard_normal(4)
    term, total = exactly(gradient), 0 * exactly(gradient)
    step = exactly(np.eye(4)) + exactly(jacobian).T
    for count in range(1, 5):
        total, term = total + term, step @ term
        near(RecurrentBackpropagation(iterations=count)(jacobian, gradient), total)
    solved = ImplicitGradient()(jacobian, gradient)
    near(jacobian.T @ solved + gradient, np.zeros(4))
    near(RecurrentBackpropagation(iterations=300)(jacobian, gradient), solved, 1e-10)
    assert np.isnan(ImplicitGradient()(np.zeros((1, 1)), np.ones(1))).all()
    assert math.isnan(fixed_point(lambda u: u * u, 3.0).residual) or fixed_point(lambda u: u, 1.0, most=5).residual > 1


def test_homeostatic_loss_is_zero_of_symmetric_jacobians() -> None:
    jacobian, probes = random(3).standard_normal((4, 4)), random(4).standard_normal((20_000, 4))
    assert HomeostaticLoss(value="exact")(np.array([[0.0, 1], [-1, 2]]), np.zeros((1, 2))) == 2.0
    exact = HomeostaticLoss(value="exact")(jacobian, probes)
    assert HomeostaticLoss()(jacobian, probes) == pytest.approx(exact, rel=0.05)
    one = probes[:3]
    terms = [e @ jacobian.T @ jacobian @ e - e @ jacobian @ jacobian @ e for e in one]
    near(HomeostaticLoss()(jacobian, one), np.mean(terms) / 4)
    symmetric = jacobian + jacobian.T
    near(HomeostaticLoss()(symmetric, one), 0.0)
    assert JacobianSymmetry()(symmetric) == 1.0
    assert JacobianSymmetry()(jacobian - jacobian.T) == 0.0
    parts = np.linalg.norm((jacobian + jacobian.T) / 2), np.linalg.norm((jacobian - jacobian.T) / 2)
    near(JacobianSymmetry()(jacobian), parts[0] / sum(parts))


# --- directions


@pytest.mark.parametrize("projection", ["classical", "modified"])
def test_a_conjugate_step_is_its_equations(projection: str) -> None:
    matrix, draw = positive_definite(0, 4), random(1)
    x, right, suggested, last = (draw.standard_normal(s) for s in ((4,), (4,), (4,), (2, 4)))
    a, q, p = exactly(matrix), exactly(suggested), exactly(last)
    direction = q
    for each in p:
        of = q if projection == "classical" else direction
        direction = direction - each * ((of @ a @ each) / (each @ a @ each))
    beta = direction @ (exactly(right) - a @ exactly(x)) / (direction @ a @ direction)
    found = ConjugateDirectionStep(projection=projection)(matrix, x, right, suggested, last)
    near(found[0], exactly(x) + beta * direction, 1e-11)
    near(found[1], direction, 1e-12)
    if projection == "modified":
        near(last[1] @ matrix @ found[1], 0.0, 1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_directions_of_the_residual_are_conjugate_gradients(seed: int) -> None:
    matrix, right = positive_definite(seed, 12), random(seed).standard_normal(12)
    iterates: list[np.ndarray] = []
    scipy.sparse.linalg.cg(matrix, right, rtol=1e-9, callback=lambda x: iterates.append(x.copy()))
    ours = conjugate_directions(matrix, right, lambda r: r, tolerance=1e-9)
    their = [np.linalg.norm(right - matrix @ x) for x in iterates[:5]]
    near(ours.residuals[1:6], their, 1e-6)
    assert np.linalg.norm(matrix @ ours.x - right) <= 1e-9 * np.linalg.norm(right)


def test_directions_of_the_inverse_end_after_one_step_whatever_their_scale() -> None:
    matrix, right = positive_definite(1, 6), random(1).standard_normal(6)
    for scale in (1.0, -3.0):
        found = conjugate_directions(matrix, right, lambda r, s=scale: s * np.linalg.solve(matrix, r))
        assert len(found.residuals) == 2
        assert found.residuals[1] < 1e-10
    nothing = ConjugateDirectionStep()(matrix, right, right, np.zeros(6), np.zeros((2, 6)))
    near(nothing[0], right, 0)


def test_errors_in_the_matrixs_norm_do_not_grow() -> None:
    matrix, right = positive_definite(2, 8), random(2).standard_normal(8)
    true, x, draw = np.linalg.solve(matrix, right), np.zeros(8), random(3)
    before, last = math.inf, np.zeros((2, 8))
    for _ in range(12):
        x, direction = ConjugateDirectionStep()(matrix, x, right, draw.standard_normal(8), last)
        last, error = np.stack([last[1], direction]), (x - true) @ matrix @ (x - true)
        assert error <= before * (1 + 1e-12)
        before = error


def test_the_loss_of_directions_lies_between_zero_and_the_residual() -> None:
    matrix, draw = positive_definite(4, 5), random(5)
    right, suggested = draw.standard_normal((3, 5)), draw.standard_normal((3, 5))
    a, terms = exactly(matrix), []
    for b, f in zip(exactly(right), exactly(suggested), strict=True):
        left = b - a @ f * ((f @ b) / (f @ a @ f))
        terms.append(left @ left)
    near(ConjugateDirectionLoss()(matrix, right, suggested), sum(terms) / 3, 1e-12)
    near(ConjugateDirectionLoss()(matrix, right, np.linalg.solve(matrix, right.T).T), 0.0, 1e-12)
    near(ConjugateDirectionLoss()(matrix, right, 0 * right), np.mean(np.sum(right**2, axis=1)))


# --- convex programs of networks


def example(count: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = random(0)
    x, target = draw.standard_normal((count, 2)), draw.standard_normal(count)
    return x, target, activation_patterns(x, draw.standard_normal((2, 4000)))


def test_patterns_are_all_and_each_once() -> None:
    x, _, patterns = example()
    assert patterns.shape == (8, most_patterns(8, 2)) == (8, 16)
    assert len({tuple(column) for column in patterns.T}) == 16
    assert not {tuple(1 - column) for column in patterns.T} - {tuple(column) for column in patterns.T}
    assert activation_patterns(x, np.zeros((2, 1))).tolist() == [[1]] * 8  # of 0 ReLU's derivative is 1


def test_the_convex_optimum_is_that_of_the_network() -> None:
    x, target, patterns = example()
    found = convex_relu(x, target, patterns, beta=0.2, tolerance=1e-6)
    assert found.residual <= 1e-6
    assert found.violation < 1e-5
    hidden, output = ConvexReLUNetwork()(found.positive, found.negative)
    score = np.maximum(x @ hidden.T, 0) @ output
    network = 0.5 * np.sum((score - target) ** 2) + 0.1 * (np.sum(hidden**2) + np.sum(output**2))
    assert network == pytest.approx(found.objective, abs=1e-4)
    draw = random(1)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w1, w2 = flat[:16].reshape(8, 2), flat[16:]
        z = x @ w1.T
        error = np.maximum(z, 0) @ w2 - target
        of_z = error[:, None] * w2 * (z > 0)
        value = 0.5 * error @ error + 0.1 * flat @ flat
        return value, np.concatenate([(of_z.T @ x).ravel(), np.maximum(z, 0).T @ error]) + 0.2 * flat

    trained = [
        scipy.optimize.minimize(loss, draw.standard_normal(24), jac=True, method="L-BFGS-B").fun for _ in range(8)
    ]
    assert min(trained) > found.objective - 1e-5
    assert min(trained) == pytest.approx(found.objective, abs=0.02)
    fewer = convex_relu(x, target, patterns[:, ::2], beta=0.2, tolerance=1e-6)
    assert fewer.objective >= found.objective - 1e-5
    large = convex_relu(x, target, patterns, beta=100.0)
    assert not large.positive.any()
    assert large.objective == pytest.approx(0.5 * np.sum(target**2))


def by_slsqp(x: np.ndarray, target: np.ndarray, patterns: np.ndarray, beta: float = 0.1) -> dict[str, np.ndarray]:
    """The program by SciPy: from a point off its kinks, with constraints."""
    count, features, sides = patterns.shape[1], x.shape[1], 2 * patterns - 1

    def parts(flat: np.ndarray) -> np.ndarray:
        return flat.reshape(2, count, features)

    def objective(flat: np.ndarray) -> float:
        v, w = parts(flat)
        error = (patterns * (x @ (v - w).T)).sum(1) - target
        return float(0.5 * error @ error + beta * np.sqrt((parts(flat) ** 2).sum(2) + 1e-18).sum())

    legal = {
        "type": "ineq",
        "fun": lambda flat: np.concatenate([(sides * (x @ each.T)).ravel() for each in parts(flat)]),
    }
    start = 0.1 * random(0).standard_normal(2 * count * features)
    options = {"maxiter": 2000, "ftol": 1e-15}
    found = scipy.optimize.minimize(objective, start, method="SLSQP", constraints=[legal], options=options)
    return dict(zip(("positive", "negative"), parts(found.x), strict=True))


@pytest.mark.slow
def test_a_convex_program_is_judged_by_its_dual() -> None:
    draw, rule = random(2), ConvexReLUProgram()
    x, target = draw.standard_normal((5, 2)), draw.standard_normal(5)
    patterns = activation_patterns(x, draw.standard_normal((2, 4)))
    arrays = {"x": x, "target": target, "patterns": patterns}
    inputs = Cases([arrays])
    assert verify(by_slsqp, rule, inputs=inputs, explain=False).conforms
    own = rule(*arrays.values())
    best = ConvexReLUObjective()(*arrays.values(), *own.values())[0]
    assert ConvexReLUObjective()(*arrays.values(), *by_slsqp(*arrays.values()).values())[0] == pytest.approx(
        best, abs=1e-6
    )

    def other_beta(x: np.ndarray, target: np.ndarray, patterns: np.ndarray) -> dict[str, np.ndarray]:
        return ConvexReLUProgram(beta=0.11)(x, target, patterns)

    def unconstrained(x: np.ndarray, target: np.ndarray, patterns: np.ndarray) -> dict[str, np.ndarray]:
        free = np.concatenate([patterns[:, [i]] * x for i in range(patterns.shape[1])], axis=1)
        v = np.linalg.lstsq(free, target)[0].reshape(-1, x.shape[1])
        return {"positive": v, "negative": 0 * v}

    def exchanged(x: np.ndarray, target: np.ndarray, patterns: np.ndarray) -> dict[str, np.ndarray]:
        found = rule(x, target, patterns)
        return {"positive": found["negative"], "negative": found["positive"]}

    def nothing(x: np.ndarray, target: np.ndarray, patterns: np.ndarray) -> dict[str, np.ndarray]:
        return {name: 0 * each for name, each in rule(x, target, patterns).items()}

    for wrong in (other_beta, unconstrained, exchanged, nothing):
        found = verify(wrong, rule, inputs=inputs, explain=False, shrink=False)
        assert found.outcome == "does not conform", wrong.__name__
    assert "on the wrong side of an example" in str(verify(unconstrained, rule, inputs=inputs, explain=False))


def test_the_bound_of_the_dual_is_the_optimum() -> None:
    x, target, patterns = example()
    found = convex_relu(x, target, patterns, beta=0.2, tolerance=1e-6)
    _, (gap, most) = (
        ConvexReLUProgram(beta=0.2).condition(x, target, patterns, found.positive, found.negative, 2.0**-53).values()
    )
    assert gap <= most
    for scale in (0.9, 1.1):
        _, (gap, most) = (
            ConvexReLUProgram(beta=0.2)
            .condition(x, target, patterns, scale * found.positive, scale * found.negative, 2.0**-53)
            .values()
        )
        assert gap > most


def test_the_objective_is_its_equation() -> None:
    x, target, patterns = example(4)
    v, w = random(5).standard_normal((2, patterns.shape[1], 2))
    ex, ev, ew, total, least = exactly(x), exactly(v), exactly(w), -exactly(target), [Fraction(0)]
    for i, column in enumerate(patterns.T):
        total = total + column * (ex @ (ev[i] - ew[i]))
        least += [value for each in (ev[i], ew[i]) for value in (2 * column - 1) * (ex @ each)]
    norms = sum(np.linalg.norm(row) for each in (v, w) for row in each)
    objective, violation = ConvexReLUObjective(beta=0.3)(x, target, patterns, v, w)
    near(objective, float(total @ total) / 2 + 0.3 * norms)
    near(violation, float(-min(least)))


def test_group_soft_threshold_is_the_proximal_step() -> None:
    rows = random(2).standard_normal((5, 3))
    rows[0], rows[1] = 0.0, 0.01
    found = GroupSoftThreshold(beta=0.5)(rows)
    assert not found[:2].any()
    for row, near_ in zip(rows[2:], found[2:], strict=True):  # 0 is a subgradient of |u - row|**2 / 2 + beta |u|
        near(near_ - row + 0.5 * near_ / np.linalg.norm(near_), np.zeros(3), 1e-12)
    near(GroupSoftThreshold(beta=0.0)(rows), rows)
    assert np.isnan(GroupSoftThreshold()(np.array([[np.nan, 0.1]]))).all()  # as np.maximum(0, 1 - beta / |row|)
    hidden, output = ConvexReLUNetwork()(rows, 2 * rows)
    near(hidden * np.abs(output[:, None]), np.concatenate([rows, 2 * rows]), 1e-12)
    assert np.all(output[:5] >= 0)
    assert np.all(output[5:] <= 0)
    assert not hidden[0].any()


# --- boosting


def test_boosted_steps_are_newtons_along_the_unit() -> None:
    draw = random(3)
    label, score, unit = draw.integers(0, 2, 9), draw.standard_normal(9), 0.1 * draw.standard_normal(9)
    sign, h = 2.0 * label - 1, 1e-4

    def loss(step: float) -> float:
        return float(np.sum(np.logaddexp(0, -2 * sign * (score + step * unit))))

    first, second = (loss(h) - loss(-h)) / (2 * h), (loss(h) - 2 * loss(0) + loss(-h)) / h**2
    rho = -first / second
    found, residual = BoostedBinaryStep(eta=0.5)(label, score, unit)
    near(found, score + 0.5 * rho * unit, 1e-5)
    near(residual, 2 * sign * scipy.special.expit(-2 * sign * found), 1e-14)


@pytest.mark.parametrize("curvature", ["diagonal", "full"])
def test_a_softmax_step_is_newtons_with_the_named_curvature(curvature: str) -> None:
    draw = random(4)
    label, score, unit = draw.integers(0, 3, 6), draw.standard_normal((6, 3)), draw.standard_normal((6, 3))
    p, hot = scipy.special.softmax(score, axis=1), np.eye(3)[label]
    if curvature == "diagonal":
        second = np.sum(unit**2 * p * (1 - p))
    else:
        second = sum(f @ (np.diag(q) - np.outer(q, q)) @ f for f, q in zip(unit, p, strict=True))
    found, residual = BoostedSoftmaxStep(curvature=curvature, eta=0.7)(label, score, unit)
    near(found, score + 0.7 * np.sum(unit * (hot - p)) / second * unit, 1e-12)
    near(residual, hot - scipy.special.softmax(found, axis=1), 1e-13)


def test_the_assembled_network_gives_the_staged_score() -> None:
    draw = random(6)
    x, target = draw.standard_normal((20, 3)), draw.standard_normal(20)
    score, units = np.full(20, target.mean()), []
    losses = [np.sum((target - score) ** 2)]
    for _ in range(5):
        hidden, bias = draw.standard_normal((3, 2)), draw.standard_normal(2)
        design = np.column_stack([np.tanh(x @ hidden + bias), np.ones(20)])
        *weights, offset = np.linalg.lstsq(design, target - score, rcond=None)[0]
        units.append(Unit(hidden, bias, np.array(weights), offset))
        score, residual = BoostedRegressionStep()(target, score, units[-1](x))
        near(residual, target - score, 0)
        losses.append(np.sum(residual**2))
    assert np.all(np.diff(losses) <= 1e-12)
    near(assembled(units, [1.0] * 5, target.mean())(x), score, 1e-12)
    near(assembled(units, [1.0] * 5, target.mean(), doubled=True)(x), 2 * score, 1e-12)
    with pytest.raises(ArgumentError, match="one a unit"):
        assembled(units, [1.0])


def test_the_first_score_of_two_classes_is_half_the_logit_of_their_share() -> None:
    near(2 * first_binary_score([1, -1, -1]), scipy.special.logit(1 / 3))
    assert first_binary_score([-1, -1]) == -math.inf
    with pytest.raises(ArgumentError, match="-1 and 1"):
        first_binary_score([0, 1])


# --- search


def test_entangled_weights_are_the_sum_of_padded_parts() -> None:
    draw = random(7)
    weights, shares = draw.standard_normal((4, 3)), draw.dirichlet(np.ones(5))
    rows, columns = draw.integers(0, 4, 5), draw.integers(0, 3, 5)
    total = np.zeros((4, 3))
    for share, r, c in zip(shares, rows + 1, columns + 1, strict=True):
        total[:r, :c] += share * weights[:r, :c]
    found = EntangledWeights()(weights, shares, rows, columns)
    near(found, total)
    near(found[0, 0], weights[0, 0])
    x = draw.standard_normal(3)  # mixing of outputs, padded, is the output of mixed weights
    near(found @ x, sum(s * np.pad(weights[: r + 1, : c + 1] @ x[: c + 1], (0, 3 - r))
                        for s, r, c in zip(shares, rows, columns, strict=True)))  # fmt: skip


@pytest.mark.parametrize("crop", ["centered", "corner"])
def test_entangled_kernels_are_the_sum_of_crops(crop: str) -> None:
    draw, total = random(8), np.zeros((5, 5))
    kernel, shares = draw.standard_normal((5, 5)), draw.random(3)
    for share, size in zip(shares, (1, 3, 5), strict=True):
        start = (5 - size) // 2 if crop == "centered" else 0
        inside = slice(start, start + size)
        total[inside, inside] += share * kernel[inside, inside]
    near(EntangledKernel(crop=crop)(kernel, shares, np.array([0, 2, 4])), total)


def test_gumbel_weights_take_one_choice_and_have_the_softmaxs_gradient() -> None:
    torch = pytest.importorskip("torch")
    draw = random(9)
    alpha, noise, upstream = draw.standard_normal((3, 6))
    a = torch.tensor(alpha, requires_grad=True)
    p = torch.softmax((torch.log_softmax(a, 0) + torch.tensor(noise)) / 0.7, 0)
    hard = torch.zeros(6, dtype=torch.float64)
    hard[int(p.argmax())] = 1.0
    value = hard + p - p.detach()
    value.backward(torch.tensor(upstream))
    weights, share = GumbelArchitectureWeights(tau=0.7)(alpha, noise)
    near(weights, value.detach().numpy())
    near(share, p.detach().numpy())
    near(GumbelArchitectureGradient(tau=0.7)(alpha, noise, upstream), a.grad.numpy(), 1e-12)
    elu = torch.nn.functional.elu(torch.tensor(alpha)) + 1
    near(DirichletConcentration()(alpha), elu.numpy())


def test_the_importance_of_widths() -> None:
    weights, inputs = random(1).standard_normal((3, 4)), random(2).standard_normal((5, 4))
    product = np.abs(weights) * np.linalg.norm(inputs, axis=0)
    for over, axis in (("inputs", 1), ("outputs", 0)):
        importance, kept = WidthImportance(over=over, keep=2)(weights, inputs)
        near(importance, product.sum(axis=axis))
        assert set(np.flatnonzero(kept)) == set(np.argsort(product.sum(axis=axis))[-2:])


@pytest.mark.parametrize(("layers", "removed"), [(1, 1), (5, 2), (6, 6)])
def test_the_depth_program_is_optimal_where_metrics_add_up(layers: int, removed: int) -> None:
    costs = random(layers).random(layers)
    found = depth_program(lambda out: float(sum(costs[i] for i in out)), layers, removed)
    for count, strategy in enumerate(found.strategies):
        assert len(strategy) == len(set(strategy)) == count
        best = min(itertools.combinations(range(layers), count), key=lambda out: sum(costs[i] for i in out))
        assert strategy == best
    assert np.all(np.diff(np.nan_to_num(found.metrics[:, 1:], posinf=1e9), axis=0) <= 0)
    assert np.all(np.isinf(np.triu(found.metrics, 1)[np.triu_indices(layers + 1, 1, removed + 1)]))


def test_the_depth_program_never_takes_nan_and_extends_stored_strategies() -> None:
    assert depth_program(lambda out: math.nan, 3, 2).strategies == [(), (), ()]
    good = {(2,): 1.0, (1,): 5.0, (0,): 4.0, (1, 2): 9.0, (0, 2): 8.0, (0, 1): 0.0}
    assert depth_program(lambda out: good[out], 3, 2).strategies[2] == (0, 2)  # (0, 1) extends no stored one
    with pytest.raises(ArgumentError, match="from 0 to 3"):
        depth_program(lambda out: 0.0, 3, 4)
    assert [linear_temperature(e, 1) for e in (0,)] == [10.0]


# --- functionals


@pytest.mark.parametrize("gradient", ["sobolev", "plain"])
def test_a_sobolev_step_is_the_gradient_of_the_discrete_energy(gradient: str) -> None:
    rule = SobolevStep(eta=0.25, quartic=0.3, mass=0.7, gradient=gradient)
    u, force = random(0).standard_normal((2, 6))
    numeric = np.array([(rule.energy(u + d, force) - rule.energy(u - d, force)) / 2e-5 for d in 1e-5 * np.eye(6)]) * 7
    change = np.linalg.solve(helmholtz(6), numeric) if gradient == "sobolev" else numeric
    near(rule(u, force), u - 0.25 * change, 1e-6)


def test_a_mode_of_the_quadratic_energy_shrinks_by_its_factor() -> None:
    places = np.arange(1, 10) / 10
    for k in (1, 4):
        mode = np.sin(k * np.pi * places)
        square = (2 * 10 * math.sin(k * math.pi / 20)) ** 2  # of the second difference
        found = SobolevStep(eta=0.5, quartic=0.0, mass=0.0)(mode, 0 * mode)
        near(found, (1 - 0.5 * square / (1 + square)) * mode, 1e-12)


def test_the_energy_falls_to_a_stationary_point() -> None:
    rule, force, u = SobolevStep(eta=0.5), np.ones(7), np.zeros(7)
    energies = [rule.energy(u, force)]
    for _ in range(60):
        u = rule(u, force)
        energies.append(rule.energy(u, force))
    assert np.all(np.diff(energies) <= 1e-14)
    near(rule.functional_gradient(u, force), np.zeros(7), 1e-9)
    with pytest.raises(ArgumentError, match="from 1"):
        helmholtz(0)


# --- points


def test_gradient_norms_are_means_over_views_that_see_the_point() -> None:
    gradients, visible = random(1).standard_normal((3, 4, 2)), np.array([[1, 0, 1, 0], [1, 0, 0, 1], [0, 0, 1, 1]])
    found = GaussianGradientNorm(width=8, height=6, views=2)(gradients, visible)
    for point in range(4):
        norms = [
            2 * math.hypot(4 * g[0], 3 * g[1]) for g, v in zip(gradients[:, point], visible[:, point], strict=True) if v
        ]
        near(found[point], sum(norms) / len(norms) if norms else 0.0)


def test_clones_and_splits_are_disjoint_and_exactly_the_high_ones() -> None:
    draw = random(2)
    gradient, scale, opacity = draw.random(50) * 4e-4, draw.random((50, 3)) * 0.02, draw.random(50) * 0.01
    scale[:5, 0] = 0.2
    found = DensityControl()(gradient, scale, opacity)
    assert not np.any(found["clone"] * found["split"])
    assert np.array_equal(found["clone"] + found["split"], gradient >= 2e-4)
    assert np.array_equal(found["prune"] == 1, (opacity < 0.005) | (scale.max(axis=1) > 0.1))
    assert np.array_equal(OpacityReset()(opacity), np.minimum(opacity, 0.01))


def test_split_points_are_turned_by_their_quaternions() -> None:
    draw = random(3)
    position, scale, rotation, noise = draw.standard_normal((4, 3)), draw.random((4, 3)), *map(
        draw.standard_normal, ((4, 4), (2, 4, 3))
    )  # fmt: skip
    turn = scipy.spatial.transform.Rotation.from_quat(np.roll(rotation, -1, axis=1)).as_matrix()
    places, scales = GaussianSplit()(position, scale, rotation, noise)
    near(places, position + np.einsum("pij,npj->npi", turn, scale * noise), 1e-12)
    near(scales, np.stack([scale / 1.6] * 2))


def test_closest_points_join_lines_at_right_angles_and_meet_where_they_cross() -> None:
    draw = random(4)
    a, da, b, db = draw.standard_normal((4, 5, 3))
    near_a, near_b = ClosestPoints()(a, da, b, db)
    gap = near_b - near_a
    near(np.sum(gap * da, axis=1), np.zeros(5), 1e-11)
    near(np.sum(gap * db, axis=1), np.zeros(5), 1e-11)
    near(np.cross(near_a - a, da), np.zeros((5, 3)), 1e-11)
    meeting = a + 2 * da
    near_a, near_b = ClosestPoints()(a, da, meeting - 3 * db, db)
    near(near_a, meeting, 1e-10)
    near(near_b, meeting, 1e-10)


def test_only_opaque_points_in_front_of_the_zone_are_reset() -> None:
    draw = random(5)
    points, opacity = draw.standard_normal((300, 3)), draw.random(300) * np.where(np.arange(300) % 2, 1, 0.012)
    camera, center, half = np.array([-4.0, 0, 0]), np.array([0.5, 0, 0]), np.array([0.6, 0.8, 0.7])
    expected = opacity.copy()
    inside = np.all(np.abs(points - center) < half, axis=1)
    least = sorted(opacity[inside], reverse=True)[int(0.7 * inside.sum()) - 1]
    height, radius = 4.5, 0.6
    for i, point in enumerate(points):
        along = (point - camera)[0]
        distance = math.dist(point, camera)
        angle = math.acos(along / distance)
        if angle <= math.atan(radius / height) and distance <= height - radius and opacity[i] > least:
            expected[i] = 0.01  # a fainter point too
    found = ConeOpacityReset()(points, opacity, camera, center, half)
    near(found, expected, 0)
    assert 0 < np.sum(found != opacity) < 300
    near(ConeOpacityReset()(points, opacity, camera, center + 99, half), opacity, 0)


def test_the_error_map_does_not_see_brightness() -> None:
    rendered, photograph = random(6).random((2, 3, 40))
    error, mask = RenderingErrorMap(eps=1e-12)(rendered, 3 * rendered)
    near(error, np.zeros(40), 1e-10)
    error, mask = RenderingErrorMap()(rendered, photograph)
    scaled = rendered / (rendered.mean() + 0.01) - photograph / (photograph.mean() + 0.01)
    near(error, np.abs(scaled).sum(axis=0))
    assert np.array_equal(mask == 1, error > np.quantile(error, 0.4))
    assert mask.sum() == 24


def test_implicit_gradients_are_judged_by_their_equation() -> None:
    def by_factors(jacobian: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        try:
            return np.asarray(scipy.linalg.solve(jacobian, -gradient, transposed=True))
        except scipy.linalg.LinAlgError:
            return np.full_like(gradient, np.nan)

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", scipy.linalg.LinAlgWarning)
        assert verify(by_factors, ImplicitGradient(), explain=False).outcome == "conforms"
        wrong = verify(lambda jacobian, gradient: by_factors(jacobian.T, gradient), ImplicitGradient(), explain=False)
    assert wrong.outcome == "does not conform"


@pytest.mark.parametrize("share", [0.0, 0.5, 0.85])
@pytest.mark.parametrize("shape", [(12, 8), (7, 9), (3, 1), (0, 4)])
def test_boxes_hold_every_patch_of_errors_tightly(shape: tuple[int, int], share: float) -> None:
    mask = (np.random.default_rng(sum(shape)).random(shape) < 0.6).astype(int)
    kept = {
        (r // 2, c // 2)
        for r in range(0, shape[0], 2)
        for c in range(0, shape[1], 2)
        if np.mean(mask[r : r + 2, c : c + 2]) > share
    }
    groups = []
    while kept:  # by spreading from one patch to those around it
        group, new = set(), {min(kept)}
        while new:
            group |= new
            around = {(r + i, c + j) for r, c in new for i in (-1, 0, 1) for j in (-1, 0, 1)}
            new = (around & kept) - group
        kept -= group
        rows, columns = zip(*group, strict=True)
        ends = min(2 * max(rows) + 2, shape[0]), min(2 * max(columns) + 2, shape[1])
        groups.append([2 * min(rows), 2 * min(columns), *ends])
    assert error_boxes(mask, patch=2, share=share).tolist() == groups


def test_labels_of_masks_are_told() -> None:
    with pytest.raises(ArgumentError, match="mask"):
        error_boxes(np.full((2, 2), 3))
