"""Worked examples of functions of gradients, on a few numbers in fifty digits; other rules of the room have theirs in tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from refgrad import gradients as g
from refgrad.oracle.acceptance.bodies import named
from tests.worked.example import Example

#: gradients of five workers, of which the last is wrong
WORKERS = np.asarray([[0.5, -0.25], [-0.25, 1.0], [1.0, 0.375], [0.25, 0.75], [10.0, -8.0]])
ACTIVATIONS = np.asarray([[[1.0, 2.0], [0.0, 1.0]], [[0.5, 0.25], [1.5, 0.0]]])
SLOPES = np.asarray([[[1.0, -1.0], [0.5, 0.0]], [[-0.25, 0.75], [0.5, 1.0]]])
X, Y, SIGMA = np.asarray([0.0, 1.0, 3.0, 4.0]), np.asarray([1.0, 1.5, 4.0, 4.5]), np.asarray([0.5, 0.25, 0.5, 1.0])


def total(x: Any) -> Any:
    return mpmath.fsum(np.ravel(x).tolist())


def mean(x: Any) -> Any:
    return total(x) / np.size(x)


def median(r: Any, gradients: Any) -> dict[str, Any]:
    return {"result": [sorted(column)[2] for column in gradients.T]}


def trimmed(r: Any, gradients: Any) -> dict[str, Any]:
    return {"result": [mean(sorted(column)[r.faults : len(column) - r.faults]) for column in gradients.T]}


def krum(r: Any, gradients: Any) -> dict[str, Any]:
    def score(row: Any) -> Any:
        distances = sorted(total((row - other) ** 2) for other in gradients)
        return total(distances[1 : len(gradients) - r.faults - 1])

    return {"result": min(gradients, key=score)}


def clipped_towards(r: Any, gradients: Any, start: Any) -> dict[str, Any]:
    for _ in range(r.rounds):
        lengths = [mpmath.sqrt(total((row - start) ** 2)) for row in gradients]
        parts = [(row - start) * min(1, mpf(r.radius) / n) for row, n in zip(gradients, lengths, strict=True)]
        start = start + sum(parts) / len(parts)
    return {"result": start}


def grad_cam(r: Any, activations: Any, gradients: Any) -> dict[str, Any]:
    summed = sum(mean(slopes) * channel for channel, slopes in zip(activations, gradients, strict=True))
    return {"result": np.maximum(summed, mpf(0))}


def grad_cam_plus_plus(r: Any, activations: Any, gradients: Any) -> dict[str, Any]:
    summed = 0 * activations[0]
    for channel, slopes in zip(activations, gradients, strict=True):
        weight = mpf(0)
        for slope in np.ravel(slopes):
            if slope > 0:
                weight += slope * slope**2 / (2 * slope**2 + slope**3 * total(channel))
        summed = summed + weight * channel
    return {"result": np.maximum(summed, mpf(0))}


def resized(r: Any, maps: Any) -> dict[str, Any]:
    rows, columns = maps.shape

    def place(i: int, before: int, after: int) -> Any:
        return min(max((i + mpf(1) / 2) * before / after - mpf(1) / 2, mpf(0)), mpf(before - 1))

    def at(y: int, x: int) -> Any:
        there = place(y, rows, r.height), place(x, columns, r.width)
        return total(
            [
                max(1 - abs(there[0] - i), 0) * max(1 - abs(there[1] - j), 0) * maps[i, j]
                for i in range(rows)
                for j in range(columns)
            ]
        )

    return {"result": [at(y, x) for y in range(r.height) for x in range(r.width)]}


def traced(r: Any, train: Any, test: Any, rate: Any) -> dict[str, Any]:
    return {
        "result": [
            total([rate[c] * total(train[c, i] * test[c, q]) for c in range(len(rate))])
            for i in range(train.shape[1])
            for q in range(test.shape[1])
        ]
    }


def guided(r: Any, conditional: Any, unconditional: Any) -> dict[str, Any]:
    return {"result": unconditional + mpf(r.scale) * (conditional - unconditional)}


def line(r: Any, x: Any, y: Any, sigma: Any) -> dict[str, Any]:
    weights = 1 / sigma**2
    middle = [total(weights * values) / total(weights) for values in (x, y)]
    spread = total(weights * (x - middle[0]) ** 2)
    slope = total(weights * (x - middle[0]) * (y - middle[1])) / spread
    return {"slope": slope, "intercept": middle[1] - slope * middle[0], "error": 1 / mpmath.sqrt(spread)}


def efficiency(r: Any, observed: Any, predicted: Any) -> dict[str, Any]:
    return {"result": 1 - total((observed - predicted) ** 2) / total((observed - mean(observed)) ** 2)}


def scored(r: Any, weights: Any, biases: Any, operation: Any, score: Any) -> dict[str, Any]:
    found = []
    for op, last in enumerate(score):
        edges = [i for i, own in enumerate(operation) if own == op]
        norms = [mpmath.sqrt(total(rows[i] ** 2)) for rows in (weights, biases) for i in edges]
        found.append((last + total(norms) / len(edges)) / 2 if norms and total(norms) else last)
    return {"result": found}


def private_step(r: Any, p: Any, last: Any, gradients: Any, previous: Any, estimate: Any, noise: Any) -> dict[str, Any]:
    radius = mpf(r.radius) * mpmath.sqrt(total((p - last) ** 2))
    apart = gradients - previous
    clipped = [row * min(1, radius / mpmath.sqrt(total(row**2))) for row in apart]
    estimate = estimate + sum(clipped) / len(clipped) + radius * mpf(r.noise_scale) * noise
    return {"p": p - mpf(r.lr) * estimate, "estimate": estimate}


TABLE: list[tuple[Any, dict[str, np.ndarray], Callable[..., dict[str, Any]]]] = [
    (g.CoordinateMedian(), {"gradients": WORKERS}, median),
    (g.TrimmedMean(faults=1), {"gradients": WORKERS}, trimmed),
    (g.Krum(faults=1), {"gradients": WORKERS}, krum),
    (g.CenteredClipping(rounds=2), {"gradients": WORKERS, "start": np.asarray([0.25, 0.25])}, clipped_towards),
    (g.GradCAM(), {"activations": ACTIVATIONS, "gradients": SLOPES}, grad_cam),
    (g.GradCAMPlusPlus(), {"activations": ACTIVATIONS, "gradients": SLOPES}, grad_cam_plus_plus),
    (g.BilinearResize(height=3, width=3), {"maps": ACTIVATIONS[0]}, resized),
    (
        g.CheckpointInfluence(),
        {"train": SLOPES, "test": ACTIVATIONS, "rate": np.asarray([0.5, 0.25])},
        traced,
    ),
    (g.WeightedLine(), {"x": X, "y": Y, "sigma": SIGMA}, line),
    (g.NashSutcliffe(), {"observed": Y, "predicted": X + 0.75}, efficiency),
    (
        g.PathScore(),
        {
            "weights": WORKERS[:3],
            "biases": np.asarray([[0.5], [0.25], [1.0]]),
            "operation": np.asarray([0, 2, 0]),
            "score": np.asarray([0.5, 0.25, 1.0]),
        },
        scored,
    ),
    (
        g.PrivateLocalStep(),
        {
            "p": np.asarray([1.0, -0.5]),
            "last": np.asarray([0.75, -0.25]),
            "gradients": WORKERS[:3],
            "previous": WORKERS[1:4],
            "estimate": np.asarray([0.5, 0.25]),
            "noise": np.asarray([-0.75, 1.25]),
        },
        private_step,
    ),
]


def formula(rule: Any, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """What the table's formula gives."""
    return next(f for r, _, f in TABLE if r == rule)(rule, *arrays.values())


def ours(rule: Any, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The same by refgrad."""
    return dict(named(rule(*arrays.values())))


EXAMPLES = tuple(Example(rule, given, formula, ours, (function,)) for rule, given, function in TABLE)
