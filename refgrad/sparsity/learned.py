"""Sparsity that is learned with the weights: estimators from trained parameters to the weights of a layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.operations.functions import exp, log, power
from refgrad.arithmetic.primitives import tree_sum
from refgrad.axes import ELEMENT, TENSOR
from refgrad.errors import bad_argument
from refgrad.estimators.base import Estimator, Parameter, Parameters
from refgrad.estimators.policies import Edge, passes
from refgrad.rule import Choice, Citation, NonNegative, Positive, Range, Real, by


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) in float64, without overflow."""
    x = np.asarray(x, np.float64)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0 / (1.0 + small), small / (1.0 + small))


def sigmoid_slope(x: np.ndarray) -> np.ndarray:
    """The derivative of `sigmoid`: sigmoid(x) sigmoid(-x), which loses nothing where the sigmoid is near 1."""
    return sigmoid(x) * sigmoid(-np.asarray(x))


def logistic(x: Any) -> Any:
    """1 / (1 + exp(-x)) in any arithmetic."""
    return 1 / (1 + exp(-x))


def logistic_slope(x: Any) -> Any:
    """The derivative of `logistic`, e/(1 + e)^2 with e = exp(-|x|), which neither overflows nor cancels."""
    e = exp(-np.abs(x))
    return e / ((1 + e) * (1 + e))


class STR(Estimator):
    """Soft threshold reparametrization: weights shrink towards zero by a learned amount.

    Forward: S(w, s) = sign(w) max(|w| - sigmoid(s), 0), one ``s`` a layer. Backward: dw = g 1{|w| > sigmoid(s)},
    ds = -sigmoid'(s) sum g sign(w) 1{|w| > sigmoid(s)}. Where |w| equals the threshold
    both are zero unless ``edge`` says otherwise; the sign of zero is zero.
    Source: Kusupati et al. 2020, arXiv:2002.03231, equations 3 and 4.
    """

    edge: Edge = "exclusive"

    citation = Citation(
        "Kusupati et al. 2020",
        "Soft Threshold Weight Reparameterization",
        "arXiv:2002.03231, equations 3 and 4",
        read="authors' code",
        source="RAIVNLab/STR cc74d38, utils/conv_type.py",
    )
    unspecified = (
        "the edge, where |w| equals the threshold: zero here; the threshold's function is the sigmoid, of which "
        "the source says it may be another"
    )
    parameters = Parameters(s=Parameter(TENSOR))

    def forward(self, x: Any, s: Any) -> Any:  # type: ignore[override]
        return np.sign(x) * np.maximum(np.abs(x) - logistic(s), 0.0)

    def backward(self, cotangent: Any, x: Any, s: Any) -> Any:  # type: ignore[override]
        size, threshold = np.abs(x), logistic(s)
        x_grad = passes(cotangent, size >= threshold if self.edge == "inclusive" else size > threshold)
        return x_grad, -logistic_slope(s) * tree_sum(x_grad * np.sign(x))


class Powerpropagation(Estimator):
    """Powerpropagation: weights that are small learn slowly, so that they stay small.

    Forward: w = sign(theta) |theta|^alpha. Backward: dtheta = alpha |theta|^(alpha - 1) dw, at zero too: 0 for alpha > 1, dw for
    alpha = 1 (automatic differentiation of theta |theta|^(alpha - 1) gives NaN there for alpha between 1 and 2).
    Source: Schwarz et al. 2021, arXiv:2110.00296, equations 1 and 2.
    """

    alpha: Annotated[float, Range(1.0, open_low=False)] = 2.0

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "idempotent": "a power of a power is another",
        "saturation": "the gradient passes everywhere",
    }
    citation = Citation(
        "Schwarz et al. 2021",
        "Powerpropagation: A sparsity inducing weight reparameterisation",
        "arXiv:2110.00296",
        read="authors' code",
        source="google-deepmind/deepmind-research 243aff2, powerpropagation/powerpropagation.ipynb PowerPropLinear",
    )
    unspecified = (
        "the derivative at zero: the limit, 0 for alpha above 1; automatic differentiation of theta "
        "|theta|**(alpha - 1) gives NaN for alpha below 2"
    )

    def forward(self, x: Any) -> Any:  # type: ignore[override]
        return np.sign(x) * power(np.abs(x), self.alpha)

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        if self.alpha == 1:
            return cotangent
        return self.alpha * power(np.abs(x), self.alpha - 1) * cotangent

    def initial(self, w: np.ndarray) -> np.ndarray:
        """The theta that gives initial weights: sign(w) |w|^(1 / alpha)."""
        return np.sign(w) * np.abs(w) ** (1.0 / self.alpha)


class ContinuousSparsification(Estimator):
    """Continuous sparsification: a sigmoid gate that hardens as its temperature rises.

    Gate: sigmoid(beta s), beta = final^(epoch / (epochs - 1)); weights w gate / sigmoid(s0). Penalty: strength times the sum of
    gates. The ticket keeps s > 0; between rounds s becomes min(beta s, s0) (the authors' script has beta 1 by then).
    Source: Savarese et al. 2020, arXiv:1912.04427, section 3.
    """

    final: Annotated[float, Range(1.0, open_low=False)] = 200.0
    initial: Real = 0.0
    strength: NonNegative = 0.0
    reset: Annotated[
        str,
        Choice(
            paper=by("s becomes min(beta s, s0) between rounds, beta being the final one", "published"),
            code=by(
                "s becomes min(s, s0): the script sets beta back to 1 before",
                "authors: lolemacs/continuous-sparsification",
            ),
        ),
    ] = "paper"

    citation = Citation(
        "Savarese et al. 2020",
        "Winning the Lottery with Continuous Sparsification",
        "arXiv:1912.04427, section 3",
        read="authors' code",
        source="lolemacs/continuous-sparsification 5bd4039, models/layers.py",
    )
    unspecified = (
        "what the score becomes between rounds: min(beta s, s0) as printed; the script sets beta back first, so "
        "that it is min(s, s0) (reset=code)"
    )
    parameters = Parameters(s=Parameter(ELEMENT), beta=Parameter(TENSOR, learned=False, legal=Range(0.0)))

    def beta(self, epoch: int, epochs: int) -> float:
        """The temperature of an epoch, counted from 0: 1 at the first, ``final`` at the last."""
        if not 0 <= epoch < epochs:
            raise bad_argument("epoch", epoch, f"a whole number from 0 to below epochs={epochs}")
        return self.final ** (epoch / max(epochs - 1, 1))

    def forward(self, x: Any, s: Any, beta: Any) -> Any:  # type: ignore[override]
        return x * self.gate(s, beta)

    def gate(self, s: Any, beta: Any) -> Any:
        """sigmoid(beta s) / sigmoid(s0)."""
        return logistic(beta * s) / self._first()

    def backward(self, cotangent: Any, x: Any, s: Any, beta: Any) -> Any:  # type: ignore[override]
        slope = beta * logistic_slope(beta * s) / self._first()
        toward = cotangent * x if self.strength == 0 else cotangent * x + self.strength
        return cotangent * self.gate(s, beta), toward * slope

    def _first(self) -> Any:
        return 1 / (1 + np.exp(-self.initial))

    @staticmethod
    def ticket(s: np.ndarray) -> np.ndarray:
        """The mask of the ticket."""
        return s > 0

    def next_round(self, s: np.ndarray) -> np.ndarray:
        """The gates' parameters that the next round starts from."""
        return np.minimum((self.final if self.reset == "paper" else 1.0) * s, self.initial)


class HardConcrete(Estimator):
    """Hard concrete gates: exact zeros and ones with a gradient in between, so that the L0 norm can be trained.

    z = min(1, max(0, sbar)), sbar = sigmoid((log u - log(1 - u) + log_alpha) / beta) (zeta - gamma) + gamma. Probability that z
    is not zero: sigmoid(log_alpha - beta log(-gamma / zeta)), the penalty's term. At test time z is
    min(1, max(0, sigmoid(log_alpha) (zeta - gamma) + gamma)). The gradient is zero at and beyond 0 and 1;
    ``x`` is log_alpha.
    Source: Louizos et al. 2018, arXiv:1712.01312, equations 10 to 13.
    """

    beta: Positive = 2.0 / 3.0
    gamma: Annotated[float, Range(high=0.0)] = -0.1
    zeta: Annotated[float, Range(1.0)] = 1.1

    citation = Citation(
        "Louizos et al. 2018",
        "Learning Sparse Neural Networks through L0 Regularization",
        "arXiv:1712.01312",
        read="authors' code",
        source="AMLab-Amsterdam/L0_regularization 39a5fe6, l0_layers.py",
    )
    unspecified = (
        "the gradient where a gate meets 0 or 1: zero here (edge); the noise is an argument; stretch and "
        "temperature are the source's experiments'"
    )
    parameters = Parameters(u=Parameter(ELEMENT, learned=False, legal=Range(0.0, 1.0)))

    def _stretched(self, x: Any, u: Any) -> tuple[Any, Any]:
        logits = (log(u) - log(1 - u) + x) / self.beta
        return logits, logistic(logits) * (self.zeta - self.gamma) + self.gamma

    def forward(self, x: Any, u: Any) -> Any:  # type: ignore[override]
        return np.minimum(1.0, np.maximum(0.0, self._stretched(x, u)[1]))

    def backward(self, cotangent: Any, x: Any, u: Any) -> Any:  # type: ignore[override]
        logits, stretched = self._stretched(x, u)
        inside = (stretched > 0) & (stretched < 1)
        return passes(cotangent * logistic_slope(logits) * ((self.zeta - self.gamma) / self.beta), inside)

    def probability(self, log_alpha: np.ndarray) -> np.ndarray:
        """That a gate is not zero."""
        return sigmoid(log_alpha - self.beta * math.log(-self.gamma / self.zeta))

    def probability_one(self, log_alpha: np.ndarray) -> np.ndarray:
        """That a gate is one."""
        return sigmoid(log_alpha - self.beta * math.log((1.0 - self.gamma) / (self.zeta - 1.0)))

    def at_test(self, log_alpha: np.ndarray) -> np.ndarray:
        """The gates without noise."""
        return np.minimum(1.0, np.maximum(0.0, sigmoid(log_alpha) * (self.zeta - self.gamma) + self.gamma))
