"""Gradient descent for logistic regression, and the perceptrons that it becomes with large steps.

``z`` holds one row an example: y_i a_i, its inputs times its label of +1 or -1. A margin is <z_i, theta>.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Citation, Positive

_TYURIN = Citation(
    "Tyurin 2024",
    "From Logistic Regression to the Perceptron Algorithm",
    "arXiv:2412.08424, sections 3, 5 and 6",
    read="paper",
    source="arXiv:2412.08424: equations 2 and 3, theorems 5.2 and 5.3, sections 3 and 6",
    unreachable="the proofs of its appendix",
)


class _OnMargins(Transform):
    """A step of a linear classifier: from ``theta`` [d] and ``z`` [n, d] to the next ``theta``."""

    shapes: ClassVar[Mapping[str, str]] = {"theta": "d", "z": "n d"}

    def check(self, *arrays: np.ndarray) -> None:
        theta, z = arrays
        check_axes(z, "z", 2, "[examples, inputs]")
        check_count(z, "z", 1, "one row an example")
        check_same(theta, "theta", z.shape[1:], "one weight an input")


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


class LogisticDescent(_OnMargins):
    """Gradient descent on (1/n) sum log(1 + exp(-<z_i, theta>)). Source: Tyurin 2024, arXiv:2412.08424, equations 2 and 3."""

    lr: Positive = 1.0
    citation = _TYURIN
    unspecified = (
        "nothing: the gradient is exact; margins so large that exp under- or overflows are handled by the two- "
        "sided sigmoid"
    )

    def apply(self, theta: Any, z: Any) -> Any:
        return theta + self.lr * (sigmoid(-(z @ theta)) @ z) / len(z)


class NormalizedLogisticDescent(_OnMargins):
    """Gradient descent whose step is divided by the mean of sigmoid(-margin): a convex combination of the examples.

    theta + lr sum_i w_i z_i with w = softmax(log sigmoid(-margins)), which never divides by an underflowed sum. Source:
    Tyurin 2024, arXiv:2412.08424, section 6.
    """

    lr: Positive = 1.0
    citation = _TYURIN
    unspecified = (
        "an underflowed normalization: the weights are a softmax of logarithms here, which is the same quotient "
        "and never 0 / 0"
    )

    def apply(self, theta: Any, z: Any) -> Any:
        margins = z @ theta
        logs = -np.maximum(margins, 0.0) - np.log1p(np.exp(-np.abs(margins)))  # log sigmoid(-margin)
        weights = np.exp(logs - np.max(logs))
        return theta + self.lr * (weights @ z) / np.sum(weights)


class BatchPerceptron(_OnMargins):
    """Adds the mean over all n examples of those with a margin of at most zero.

    From theta = 0 the source's first step is half of it: there every margin is a tie. Source: Tyurin 2024,
    arXiv:2412.08424, section 3.
    """

    citation = _TYURIN
    unspecified = "ties: they count as errors, as in the source"

    def apply(self, theta: Any, z: Any) -> Any:
        wrong = (z @ theta <= 0).astype(z.dtype)
        half = 0.5 if not np.any(theta) else 1.0  # sigmoid(0) is 1/2
        return theta + half * (wrong @ z) / len(z)


class NormalizedBatchPerceptron(_OnMargins):
    """Adds the mean of the examples with a margin of at most zero. Source: Tyurin 2024, arXiv:2412.08424, theorem 5.3."""

    citation = _TYURIN
    unspecified = "a theta that separates: it stays"

    def apply(self, theta: Any, z: Any) -> Any:
        wrong = (z @ theta <= 0).astype(z.dtype)
        return theta + (wrong @ z) / max(float(np.sum(wrong)), 1.0)


class Perceptron(_OnMargins):
    """Adds the first example with a margin of at most zero. Source: Rosenblatt 1958; Tyurin 2024, theorem 5.2."""

    citation = _TYURIN
    unspecified = "which wrong example is taken: the first here"

    def apply(self, theta: Any, z: Any) -> Any:
        wrong = np.flatnonzero(z @ theta <= 0)
        return theta + z[wrong[0]] if len(wrong) else theta
