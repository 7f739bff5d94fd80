"""Task gradients: equations in exact numbers, goldens, other programs' numbers, properties, verdicts."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import refgrad
from refgrad.errors import ArgumentError
from refgrad.gradients import BranchCalibration, GradNorm, ImpartialGradient, TaskGradientNormalization
from refgrad.oracle.inputs.transforms import generate

mp.dps = 60
SHAPES = [(1, 1), (2, 3), (3, 3), (4, 9)]


def drawn(tasks: int, parameters: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng([tasks, parameters, seed])
    positive = (random.uniform(0.2, 2.0, tasks) for _ in range(3))
    return (random.standard_normal((tasks, parameters)), *positive)


def wide(array: np.ndarray) -> list[Any]:
    """An array as nested lists of numbers of 60 digits."""
    return [wide(row) if row.ndim else mpf(float(row)) for row in array]


def size(row: list[Any]) -> Any:
    return mp.sqrt(mp.fsum(x * x for x in row))


def grad_norm(rule: GradNorm, g: Any, w: Any, losses: Any, initial: Any) -> dict[str, Any]:
    """GradNorm in numbers of 60 digits, logits stepped as logits."""
    tasks = len(w)
    norm = [size(row) for row in g]
    ratio = [a / b for a, b in zip(losses, initial, strict=True)]
    mean = mp.fsum(ratio) / tasks
    middle = mp.fsum(a * b for a, b in zip(w, norm, strict=True)) / tasks
    power = mpf(rule.alpha) * (1 if rule.exponent == "alpha" else -1)
    targets = [middle * (r / mean) ** power for r in ratio]
    gap = [a * b - t for a, b, t in zip(w, norm, targets, strict=True)]
    share = 1 if rule.reduction == "sum" else mpf(1) / tasks
    gradient = [share * mp.sign(d) * n for d, n in zip(gap, norm, strict=True)]
    rate = mpf(rule.lr)
    if rule.parameters == "logits":
        jacobian = [[w[i] * ((i == j) - w[j] / tasks) for j in range(tasks)] for i in range(tasks)]
        gradient = [mp.fsum(jacobian[i][j] * gradient[j] for j in range(tasks)) for i in range(tasks)]
        stepped = [mp.exp(mp.log(x) - rate * d) for x, d in zip(w, gradient, strict=True)]
    else:
        stepped = [x - rate * d for x, d in zip(w, gradient, strict=True)]
    total = mp.fsum(stepped)
    return {
        "targets": targets,
        "loss": share * mp.fsum(abs(d) for d in gap),
        "gradient": gradient,
        "weights": [x * tasks / total for x in stepped],
    }


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("alpha", [0.0, 0.12, 1.5])
@pytest.mark.parametrize("rule", [GradNorm(), *(v for _, v in GradNorm().variants())], ids=str)
def test_grad_norm_is_its_equations(rule: GradNorm, alpha: float, shape: tuple[int, int]) -> None:
    gradients, weights, losses, initial = drawn(*shape)
    weights = weights * shape[0] / weights.sum()
    rule = rule.replace(alpha=alpha)
    found, wanted = (
        rule(gradients, weights, losses, initial),
        grad_norm(rule, *map(wide, (gradients, weights, losses, initial))),
    )
    if shape[0] == 1:  # the norm is its target, and rounding decides the sign of nothing
        assert found["weights"] == pytest.approx(np.ones(1), rel=1e-15)
        return
    for name, value in found.items():
        np.testing.assert_allclose(value, np.array(wanted[name], float), rtol=1e-13, atol=1e-15, err_msg=name)


def test_the_sign_of_the_exponent_is_a_golden() -> None:
    """The second numbers are those of gradnorm-pytorch 0.2.3."""
    sizes, ratio = np.array([2.0, 1.0, 0.5]), np.array([1.6875, 0.9375, 0.375])
    given = (np.diag(sizes), np.ones(3), ratio, np.ones(3))
    np.testing.assert_allclose(GradNorm()(*given)["targets"], [2.557, 1.059, 0.268], atol=5e-4)
    package = GradNorm(exponent="minus_alpha", reduction="mean", lr=0.1)(*given)
    np.testing.assert_allclose(package["targets"], PACKAGE["targets"], rtol=2e-7)
    np.testing.assert_allclose(package["weights"], PACKAGE["weights"], rtol=2e-7)
    assert package["loss"] == pytest.approx(PACKAGE["loss"], rel=2e-7)


#: gradnorm-pytorch 0.2.3, three losses of gradients of norms 2, 1, 0.5, weights 1, loss ratios 1.6875, 0.9375, 0.375
PACKAGE: dict[str, Any] = {
    "targets": [0.5322076, 1.2852566, 5.0804234],
    "weights": [0.9385475, 1.0391061, 1.0223463],
    "loss": 2.1111574172973633,
}


def test_grad_norm_has_its_properties() -> None:
    gradients, weights, losses, initial = drawn(4, 6)
    usual, scaled = GradNorm()(gradients, weights, losses, initial), GradNorm()(8 * gradients, weights, losses, initial)
    np.testing.assert_array_equal(scaled["targets"], 8 * usual["targets"])
    assert scaled["loss"] == 8 * usual["loss"]
    assert usual["weights"].sum() == pytest.approx(4, rel=1e-15)
    even = GradNorm(alpha=0.0)(gradients, weights, losses, initial)["targets"]
    np.testing.assert_allclose(even, even[0], rtol=1e-15)
    order = [2, 0, 3, 1]
    turned = GradNorm()(*(a[order] for a in (gradients, weights, losses, initial)))
    np.testing.assert_allclose(turned["weights"], usual["weights"][order], rtol=1e-13)
    same = GradNorm()(np.eye(4), np.ones(4), initial, initial)
    assert same["loss"] == 0
    np.testing.assert_array_equal(same["gradient"], 0)


def test_the_gradient_of_the_weights_is_autograds() -> None:
    torch = pytest.importorskip("torch")
    gradients, weights, losses, initial = map(torch.tensor, drawn(4, 6))
    logits = torch.log(weights / weights.sum()).requires_grad_()
    scaled = 4 * torch.softmax(logits, 0)
    norm = (scaled[:, None] * gradients).norm(dim=1)
    ratio = losses / initial
    target = (norm.mean() * (ratio / ratio.mean()) ** 1.5).detach()
    (norm - target).abs().sum().backward()
    found = GradNorm(parameters="logits")(*(x.detach().numpy() for x in (gradients, scaled, losses, initial)))
    np.testing.assert_allclose(found["gradient"], logits.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("shape", [*SHAPES, (7, 11)], ids=str)
def test_impartial_projections_are_equal(shape: tuple[int, int]) -> None:
    gradients = drawn(*shape)[0]
    found = ImpartialGradient()(gradients)
    g = mp.matrix(gradients.tolist())
    norm = mp.matrix([size(row) for row in wide(gradients)])
    solution = mp.lu_solve(g * g.T, norm)
    total = mp.fsum(solution)
    np.testing.assert_allclose(found["weights"], [float(x / total) for x in solution], rtol=1e-9)
    assert found["weights"].sum() == pytest.approx(1, rel=1e-12)
    projections = gradients @ found["direction"] / np.linalg.norm(gradients, axis=1)
    np.testing.assert_allclose(projections, projections[0], rtol=1e-9)
    longer = gradients.copy()
    longer[0] *= 4
    parallel = ImpartialGradient()(longer)["direction"]
    cosine = parallel @ found["direction"] / np.linalg.norm(parallel) / np.linalg.norm(found["direction"])
    assert abs(cosine) == pytest.approx(1, rel=1e-9)


def test_an_impartial_gradient_is_torchjds() -> None:
    """torchjd 0.18.0; the formula of differences, which LibMTL has, gives the same weights."""
    found = ImpartialGradient()(np.array([[1.0, 0.0], [0.0, 2.0]]))
    np.testing.assert_allclose(found["weights"], [2 / 3, 1 / 3], rtol=1e-15)
    np.testing.assert_allclose(found["direction"], [2 / 3, 2 / 3], rtol=1e-15)
    gradients = drawn(4, 9)[0]
    unit = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    apart, turned = gradients[0] - gradients[1:], unit[0] - unit[1:]
    rest = gradients[0] @ turned.T @ np.linalg.inv(apart @ turned.T)
    np.testing.assert_allclose(ImpartialGradient()(gradients)["weights"], [1 - rest.sum(), *rest], rtol=1e-10)


def test_more_tasks_than_parameters_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"gradients\.shape is \(3, 2\); legal: \(3, 3\)"):
        ImpartialGradient()(np.ones((3, 2)))


@pytest.mark.parametrize("reference", ["mean", "largest", "geometric"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_calibrated_branches_have_one_norm(shape: tuple[int, int], reference: str) -> None:
    rule, gradients = BranchCalibration(reference=reference), drawn(*shape)[0]
    norm = [size(row) for row in wide(gradients)]
    middle = {
        "mean": mp.fsum(norm) / len(norm),
        "largest": max(norm),
        "geometric": mp.exp(mp.fsum(map(mp.log, norm)) / len(norm)),
    }
    wanted = [[x * middle[reference] / n for x in row] for row, n in zip(wide(gradients), norm, strict=True)]
    found = rule(gradients)
    np.testing.assert_allclose(found, np.array(wanted, float), rtol=1e-13)
    np.testing.assert_allclose(rule(found), found, rtol=1e-13)
    np.testing.assert_allclose(rule(gradients[::-1]), found[::-1], rtol=1e-13)
    np.testing.assert_allclose(rule(4 * gradients), 4 * found, rtol=1e-13)


def test_a_branch_of_zeros_stays_zero() -> None:
    gradients = np.array([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_array_equal(BranchCalibration()(gradients), [[1.5, 2.0], [0.0, 0.0]])


@pytest.mark.parametrize("alpha", [0.0, 1.0, 1.5])
def test_task_gradients_have_grad_norms_targets(alpha: float) -> None:
    gradients, _, losses, initial = drawn(3, 5)
    targets = grad_norm(GradNorm(alpha=alpha), *map(wide, (gradients, np.ones(3), losses, initial)))["targets"]
    norm = [size(row) for row in wide(gradients)]
    rows = wide(gradients)
    wanted = [mp.fsum(rows[i][k] * targets[i] / norm[i] for i in range(3)) for k in range(5)]
    found = TaskGradientNormalization(alpha=alpha)(gradients, losses, initial)
    np.testing.assert_allclose(found, np.array(wanted, float), rtol=1e-13)


def weighted_norms(gradients: Any, weights: Any, losses: Any, initial: Any, alpha: Any, wrong: str = "") -> Any:
    """GradNorm as a program would have it."""
    tasks = np.float32(len(weights))
    sizes = np.linalg.norm(weights[:, None] * gradients, axis=1)
    ratio = losses / (np.float32(1) if wrong == "initial losses" else initial)
    relative = ratio / (np.sum(ratio) if wrong == "mean" else np.mean(ratio))
    target = np.mean(sizes) * relative ** np.float32(-alpha if wrong == "sign" else alpha)
    gap = sizes - target
    gradient = np.sign(gap) * np.linalg.norm(gradients, axis=1) * (weights if wrong == "weighted" else np.float32(1))
    stepped = weights - np.float32(0.025) * gradient
    new = stepped if wrong == "renormalization" else stepped * tasks / np.sum(stepped)
    return {"targets": target, "loss": np.sum(np.abs(gap)), "gradient": gradient, "weights": new}


def by_gram_matrix(gradients: Any, wrong: str = "") -> Any:
    gram = gradients @ gradients.T
    right = np.diag(gram) if wrong == "squares" else np.sqrt(np.diag(gram))
    try:
        solution = np.linalg.solve(gram, right)
    except np.linalg.LinAlgError:
        solution = np.full_like(right, np.nan)
    weights = solution if wrong == "sum" else solution / np.sum(solution)
    return {"weights": weights, "direction": weights @ gradients}


def to_mean_norm(gradients: Any, wrong: str = "") -> Any:
    norm = np.linalg.norm(gradients, axis=1, keepdims=True)
    middle = np.median(norm) if wrong == "median" else np.mean(norm)
    divisor = norm + np.float32(1e-3) if wrong == "eps" else np.where(norm == 0, np.float32(1), norm)
    return gradients / divisor * middle


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "program", "wrong"),
    [
        (GradNorm(), weighted_norms, ("sign", "mean", "initial losses", "weighted", "renormalization")),
        (ImpartialGradient(), by_gram_matrix, ("squares", "sum")),
        (BranchCalibration(), to_mean_norm, ("median", "eps")),
    ],
    ids=lambda v: getattr(v, "__name__", None) or str(v),
)
def test_programs_are_told_apart(rule: Any, program: Any, wrong: tuple[str, ...]) -> None:
    verdict = refgrad.verify(program, rule, explain=False)
    assert verdict.conforms, str(verdict)
    for fault in wrong:
        wrong_program = partial(program, wrong=fault)
        ordinary = generate(rule, 12, "float32", 0)
        verdict = refgrad.verify(wrong_program, rule, inputs=ordinary, explain=False)
        assert not verdict.conforms, fault
