"""Estimators of categories and of vectors: each row ``x[i, ...]`` is one distribution, or one vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from refgrad.arithmetic.operations.functions import exp, log
from refgrad.arithmetic.primitives import tree_max, tree_sum
from refgrad.axes import ELEMENT
from refgrad.estimators.base import Estimator, Parameter, Parameters
from refgrad.estimators.choosing import Arrays, Choosing, Selection, Shown
from refgrad.estimators.policies import Written
from refgrad.rule import Citation, Positive, Range
from refgrad.sparsity.base import Unstructured


def softmax(x: Any) -> Any:
    """Of each row, by its largest number so that nothing overflows."""
    e = exp(x - tree_max(x, over="row"))
    return e / tree_sum(e, over="row")


def softmax_product(p: Any, v: Any) -> Any:
    """The Jacobian of softmax at its value p, times v: p v - p sum(p v)."""
    return p * v - p * tree_sum(p * v, over="row")


class GumbelSoftmax(Estimator):
    """softmax((x + G)/tau) with Gumbel noise G = -log(e), e being exponential noise.

    Source: Jang et al. 2017, arXiv:1611.01144; Maddison et al. 2017. The noise is divided by the temperature too.
    """

    tau: Positive = 1.0

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "odd": "the categories of a row compete",
        "even surrogate": "the categories of a row compete",
        "idempotent": "the categories of a row compete",
        "along the cotangent": "the categories of a row compete",
    }
    citation = Citation(
        "Jang et al. 2017",
        "Categorical Reparameterization with Gumbel-Softmax",
        "arXiv:1611.01144",
        read="package",
        source="torch 2.13.0 nn.functional.gumbel_softmax",
    )
    unspecified = (
        "how noise of zero or one is kept away: exponential noise is an argument here; whether the noise is "
        "divided by the temperature: it is, as in the paper"
    )
    parameters = Parameters(e=Parameter(ELEMENT, learned=False, legal=Range(0.0)))

    def forward(self, x: Any, e: Any) -> Any:  # type: ignore[override]
        return softmax((x - log(e)) / self.tau)

    def backward(self, cotangent: Any, x: Any, e: Any) -> Any:  # type: ignore[override]
        return softmax_product(self.forward(x, e), cotangent) / self.tau


class LargestOfRow(Unstructured):
    """The largest of each row (the first of equal ones) of (w + G)/tau, G = -log(e)."""

    tau: Positive = 1.0

    def scores(self, w: Any, e: Any) -> Any:  # type: ignore[override]
        return (w - log(e)) / self.tau

    def kept(self, size: int) -> int:
        return 1


class StraightThroughGumbel(Choosing):
    """One-hot of the largest x + G forward, the gradient of `GumbelSoftmax` backward.

    y = 1 at the largest entry of the row, else 0; dx is that of softmax((x + G)/tau). Between entries that are equal to within
    rounding either may be drawn; the reference takes the first. Source: Jang et al. 2017, arXiv:1611.01144, section 2.2.
    """

    tau: Positive = 1.0
    written: Written = "value"

    citation = Citation(
        "Jang et al. 2017",
        "Categorical Reparameterization with Gumbel-Softmax",
        "arXiv:1611.01144, section 2.2",
        read="package",
        source="torch 2.13.0 nn.functional.gumbel_softmax",
    )
    unspecified = "equal entries: the first here, not defined in torch"
    parameters = Parameters(
        e=Parameter(ELEMENT, learned=False, legal=Range(0.0)), mask=Parameter(ELEMENT, learned=False)
    )

    def forward(self, x: Any, e: Any, mask: Any) -> Any:  # type: ignore[override]
        if self.written == "value":
            return mask
        soft = softmax((x - log(e)) / self.tau)
        return mask + soft - soft

    def backward(self, cotangent: Any, x: Any, e: Any, mask: Any) -> Any:  # type: ignore[override]
        return softmax_product(softmax((x - log(e)) / self.tau), cotangent) / self.tau

    def selections(self, given: Arrays) -> dict[str, Selection]:
        """The draw."""
        return {"mask": Selection(LargestOfRow(granularity="row", tau=self.tau), {"w": given["x"], "e": given["e"]})}

    def shown(self, name: str, given: Arrays, seen: Arrays) -> Shown:
        """The draw is the value itself."""
        return Shown(seen["y"] > 0.5, np.zeros(seen["y"].shape, bool))


class ReinMax(Estimator):
    """A one-hot sample D of softmax(x) forward, second-order accurate gradient backward.

    dx = J(p1)(2 g) - J(p0)(g/2) with p0 = softmax(x), p1 = (softmax(x/tau) + D)/2 and J(p) v = p v - p sum(p v).
    Source: Liu et al. 2023, arXiv:2304.08612 The authors' notes write it as D + (2 p1 - p0/2) less the same detached.
    """

    tau: Positive = 1.0
    written: Written = "value"

    citation = Citation(
        "Liu et al. 2023",
        "Bridging Discrete and Backpropagation: Straight-Through and Beyond",
        "arXiv:2304.08612",
        read="authors' code",
        source="microsoft/ReinMax f140066",
    )
    unspecified = (
        "how the sample is drawn: it is an argument here; the temperature is in the second distribution alone, as "
        "in the paper"
    )
    parameters = Parameters(sample=Parameter(ELEMENT, learned=False, legal=Range(0.0, 1.0, False, False)))

    def forward(self, x: Any, sample: Any) -> Any:  # type: ignore[override]
        if self.written == "value":
            return sample
        soft = 2 * self._half(x, sample) - softmax(x) / 2
        return soft + (sample - soft)

    def _half(self, x: Any, sample: Any) -> Any:
        return (softmax(x / self.tau) + sample) / 2

    def backward(self, cotangent: Any, x: Any, sample: Any) -> Any:  # type: ignore[override]
        p0, p1 = softmax(x), self._half(x, sample)
        return softmax_product(p1, 2 * cotangent) - softmax_product(p0, cotangent / 2)


class RotationTrick(Estimator):
    """The vector x turned and scaled onto its code q, a linear map whose coefficients are constants of the gradient.

    y = (|q|/|x|) R x with R = I - 2 w w^T + 2 v u^T, u = x/|x|, v = q/|q|, w = (u + v)/|u + v|; dx = (|q|/|x|) R^T g.
    Source: Fifty et al. 2024, arXiv:2410.06424 A zero vector, or q opposite to x, gives NaN: the authors' code
    adds 1e-6 to norms.
    """

    citation = Citation(
        "Fifty et al. 2024",
        "Restructuring Vector Quantization with the Rotation Trick",
        "arXiv:2410.06424",
        read="authors' code",
        source="cfifty/rotation_trick 9910492, src/models/vq_vae.py get_very_efficient_rotation",
    )
    unspecified = (
        "vectors that are zero or opposite to their code: NaN here; the authors' code adds 1e-6 to norms and avoids it"
    )
    parameters = Parameters(q=Parameter(ELEMENT, learned=False))

    @staticmethod
    def _frame(x: Any, q: Any) -> tuple[Any, Any, Any, Any]:
        x_norm, q_norm = np.sqrt(tree_sum(x * x, over="row")), np.sqrt(tree_sum(q * q, over="row"))
        u, v = x / x_norm, q / q_norm
        middle = u + v
        return u, v, middle / np.sqrt(tree_sum(middle * middle, over="row")), q_norm / x_norm

    def forward(self, x: Any, q: Any) -> Any:  # type: ignore[override]
        u, v, w, ratio = self._frame(x, q)
        return ratio * (x - 2 * w * tree_sum(w * x, over="row") + 2 * v * tree_sum(u * x, over="row"))

    def backward(self, cotangent: Any, x: Any, q: Any) -> Any:  # type: ignore[override]
        u, v, w, ratio = self._frame(x, q)
        g = cotangent
        return ratio * (g - 2 * w * tree_sum(w * g, over="row") + 2 * u * tree_sum(v * g, over="row"))
