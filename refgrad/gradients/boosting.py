"""Networks that are boosted unit by unit: what a unit is fitted to, how far it is followed, and how units make a network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np

from refgrad.arithmetic.function_arguments import REAL, Labels, Numbers, Of, Several, gated
from refgrad.errors import bad_argument
from refgrad.legal import Flag
from refgrad.optimizers.transform import Transform, check_axes, check_same
from refgrad.rule import Choice, Citation, Positive, by

_EMAMI = Citation(
    "Emami & Martinez-Munoz 2019",
    "A Gradient Boosting Approach for Training Convolutional and Deep Neural Networks",
    "arXiv:1909.12098 (sequential training of neural networks with gradient boosting)",
    read="authors' code",
    source="GAA-UAM/GBNN b0b4cfa, by notes on it",
)


class BoostedRegressionStep(Transform):
    """A step of boosting for squared loss: the scores move by eta times the unit that was fitted to their residuals.

    ``target``, ``score``, ``unit`` [example]. Gives the next ``(score, residual)``; the residual is target - score, that of the
    next unit. Source: Emami & Martinez-Munoz 2019, arXiv:1909.12098.
    """

    eta: Positive = 1.0
    citation = _EMAMI
    shapes: ClassVar[Mapping[str, str]] = dict.fromkeys(("target", "score", "unit"), "example")
    lengths: ClassVar[Mapping[str, int]] = {"example": 6}
    unspecified = "the first score: the mean of the targets"

    def check(self, *arrays: np.ndarray) -> None:
        check_same(arrays[1], "score", arrays[0].shape, "the shape of target")
        check_same(arrays[2], "unit", arrays[0].shape, "the shape of target")

    def apply(self, target: Any, score: Any, unit: Any) -> Any:
        score = score + self.eta * unit
        return score, target - score


class BoostedBinaryStep(Transform):
    """A step of boosting for two classes: along the unit by Newton's step of log(1 + exp(-2 y F)).

    ``label`` [example], 0 for y = -1 and 1 for y = 1; ``score`` F and ``unit`` f [example]. r = 2 y / (1 + exp(2 y F)), rho =
    eta sum(r f) / sum(r f**2 (2 y - r)). Gives the next ``(score, residual)``. Source: Emami & Martinez-Munoz 2019,
    arXiv:1909.12098.
    """

    eta: Positive = 1.0
    citation = _EMAMI
    shapes: ClassVar[Mapping[str, str]] = {"label": "example below:2", "score": "example", "unit": "example"}
    lengths: ClassVar[Mapping[str, int]] = {"example": 6}
    unspecified = "a curvature of 0, of scores that are certain: no step"

    def check(self, *arrays: np.ndarray) -> None:
        check_same(arrays[1], "score", arrays[0].shape, "the shape of label")
        check_same(arrays[2], "unit", arrays[0].shape, "the shape of label")

    def apply(self, label: Any, score: Any, unit: Any) -> Any:
        sign = 2.0 * label - 1.0
        residual = _residual(sign, score)
        slope = np.sum(residual * unit)
        curvature = np.sum(residual * (unit * unit) * (2 * sign - residual))
        score = score + self.eta * np.where(curvature == 0, 0.0, slope / curvature) * unit
        return score, _residual(sign, score)


class BoostedSoftmaxStep(Transform):
    """A step of boosting for many classes: along the unit by one Newton step for all examples and classes.

    ``label`` [example]; ``score`` F and ``unit`` f [example, class]; p = softmax(F), r the labels' one-hot rows less p. rho = eta
    sum(f r) / sum(f**2 p (1 - p)). Gives the next ``(score, residual)``. Source: Emami & Martinez-Munoz 2019,
    arXiv:1909.12098.
    """

    eta: Positive = 1.0
    curvature: Annotated[
        str,
        Choice(
            diagonal=by("p (1 - p) of each class by itself", "published", "authors"),
            full="f^T (diag p - p p^T) f: the step is Newton's along the unit",
        ),
    ] = "diagonal"
    citation = _EMAMI
    shapes: ClassVar[Mapping[str, str]] = {
        "label": "example below:class",
        "score": "example class",
        "unit": "example class",
    }
    lengths: ClassVar[Mapping[str, int]] = {"example": 5, "class": 3}
    unspecified = "a curvature of 0: no step; the first score: zeros"

    def check(self, *arrays: np.ndarray) -> None:
        label, score, unit = arrays
        check_axes(score, "score", 2, "[example, class]")
        if not score.shape[1]:
            raise bad_argument("score.shape", score.shape, "one class at least")
        check_same(label, "label", score.shape[:1], "one an example")
        check_same(unit, "unit", score.shape, "the shape of score")

    def apply(self, label: Any, score: Any, unit: Any) -> Any:
        hot = np.equal(label[:, None], np.arange(score.shape[1])) * 1.0
        p = _softmax(score)
        along = np.sum(unit * unit * p * (1 - p))
        if self.curvature == "full":
            centred = unit - np.sum(p * unit, axis=1, keepdims=True)
            along = np.sum(p * centred * centred)
        score = score + self.eta * np.where(along == 0, 0.0, np.sum(unit * (hot - p)) / along) * unit
        return score, hot - _softmax(score)


def _residual(sign: Any, score: Any) -> Any:
    """2 y / (1 + exp(2 y F)), without overflow."""
    margin = 2 * sign * score
    small = np.exp(-np.abs(margin))
    return 2 * sign * np.where(margin > 0, small / (1 + small), 1 / (1 + small))


def _softmax(score: Any) -> Any:
    share = np.exp(score - np.max(score, axis=1, keepdims=True))
    return share / np.sum(share, axis=1, keepdims=True)


@gated(labels=Labels(-1, 1, axes=1, least=1))
def first_binary_score(labels: Any) -> float:
    """The constant score of two classes: log((1 + mean y) / (1 - mean y)) / 2.

    Args:
        labels: y, -1 or 1 [example].

    Returns:
        The score; infinite where there is one class alone.

    Raises:
        ArgumentError: a label is neither.

    >>> round(first_binary_score([1, 1, 1, -1]), 9)
    0.549306144
    """
    if not labels.all():
        raise bad_argument("labels", labels.tolist(), "-1 and 1")
    mean = float(np.mean(labels))
    return math.copysign(math.inf, mean) if abs(mean) == 1 else math.atanh(mean)


class Unit(NamedTuple):
    """A network of one hidden layer: output(x) = tanh(x hidden + bias) weights + offset.

    Args:
        hidden: [feature, unit].
        bias: [unit].
        weights: [unit] or [unit, output].
        offset: of the output.
    """

    hidden: np.ndarray
    bias: np.ndarray
    weights: np.ndarray
    offset: Any

    def __call__(self, x: Any) -> Any:
        return np.tanh(x @ self.hidden + self.bias) @ self.weights + self.offset


@gated(units=Several(Of(Unit), least=1), steps=Several(REAL), start=Numbers(), doubled=Flag("two classes"))
def assembled(units: Sequence[Unit], steps: Sequence[float], start: Any = 0.0, *, doubled: bool = False) -> Unit:
    """One network that gives the boosted score: hidden units side by side, output weights times each step.

    Args:
        units: the units, in order.
        steps: rho of each.
        start: the first score.
        doubled: True for two classes, whose logit is twice the score.

    Returns:
        The network. Source: Emami & Martinez-Munoz 2019, arXiv:1909.12098.

    Raises:
        ArgumentError: there is not one step a unit, or no unit.

    >>> one = Unit(np.ones((2, 1)), np.zeros(1), np.array([3.0]), 0.5)
    >>> float(assembled([one, one], [1.0, -1.0], 7.0)(np.array([0.2, 0.3])))
    7.0
    """
    if len(units) != len(steps):
        raise bad_argument("steps", len(steps), f"{len(units)} steps: one a unit, of one at least")
    factor = 2.0 if doubled else 1.0
    return Unit(
        np.concatenate([unit.hidden for unit in units], axis=1),
        np.concatenate([unit.bias for unit in units]),
        np.concatenate([factor * rho * unit.weights for unit, rho in zip(units, steps, strict=True)]),
        factor * (start + sum(rho * unit.offset for unit, rho in zip(units, steps, strict=True))),
    )
