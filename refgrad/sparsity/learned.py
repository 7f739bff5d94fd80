"""Sparsity that is learned with the weights: reparametrizations with their gradients."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from refgrad.errors import bad_argument
from refgrad.rule import Choice, Citation, Positive, Range, Real, Rule


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) in float64, without overflow."""
    x = np.asarray(x, np.float64)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0 / (1.0 + small), small / (1.0 + small))


def sigmoid_slope(x: np.ndarray) -> np.ndarray:
    """The derivative of `sigmoid`: sigmoid(x) sigmoid(-x), which loses nothing where the sigmoid is near 1."""
    return sigmoid(x) * sigmoid(-np.asarray(x))


class Parametrization(Rule):
    """A function from trained parameters to the weights that a layer computes with, and its gradient. In float64."""

    kind = "parametrization"
    primary = "w"


class STR(Parametrization):
    """Soft threshold reparametrization: weights shrink towards zero by a learned amount.

    Forward: S(w, s) = sign(w) max(|w| - sigmoid(s), 0), one ``s`` a layer. Backward: dw = g 1{|w| > sigmoid(s)},
    ds = -sigmoid'(s) sum g sign(w) 1{|w| > sigmoid(s)}. Where |w| equals the threshold both are zero; the sign of zero is zero.
    Source: Kusupati et al. 2020, arXiv:2002.03231, equations 3 and 4.
    """

    citation = Citation(
        "Kusupati et al. 2020", "Soft Threshold Weight Reparameterization", "arXiv:2002.03231, equations 3 and 4"
    )

    def forward(self, w: np.ndarray, s: float) -> np.ndarray:
        """The weights that the layer computes with."""
        return np.sign(w) * np.maximum(np.abs(w) - sigmoid(np.asarray(s)), 0.0)

    def backward(self, w: np.ndarray, s: float, g: np.ndarray) -> tuple[np.ndarray, float]:
        """The gradients of ``w`` and of ``s``."""
        gate = float(sigmoid(np.asarray(s)))
        alive = np.abs(w) > gate
        return np.where(alive, g, 0.0), -float(sigmoid_slope(np.asarray(s))) * float(np.sum(g * np.sign(w) * alive))


class Powerpropagation(Parametrization):
    """Powerpropagation: weights that are small learn slowly, so that they stay small.

    Forward: w = sign(theta) |theta|^alpha. Backward: dtheta = alpha |theta|^(alpha - 1) dw, at zero too: 0 for alpha > 1, dw for
    alpha = 1 (automatic differentiation of theta |theta|^(alpha - 1) gives NaN there for alpha between 1 and 2).
    Source: Schwarz et al. 2021, arXiv:2110.00296, equations 1 and 2.
    """

    alpha: Annotated[float, Range(1.0, open_low=False)] = 2.0

    citation = Citation(
        "Schwarz et al. 2021", "Powerpropagation: A sparsity inducing weight reparameterisation", "arXiv:2110.00296"
    )

    def forward(self, theta: np.ndarray) -> np.ndarray:
        """The weights that the layer computes with."""
        return np.sign(theta) * np.abs(theta) ** self.alpha

    def backward(self, theta: np.ndarray, g: np.ndarray) -> np.ndarray:
        """The gradient of theta."""
        return self.alpha * np.abs(theta) ** (self.alpha - 1.0) * g

    def initial(self, w: np.ndarray) -> np.ndarray:
        """The theta that gives initial weights: sign(w) |w|^(1 / alpha)."""
        return np.sign(w) * np.abs(w) ** (1.0 / self.alpha)


class ContinuousSparsification(Parametrization):
    """Continuous sparsification: a sigmoid gate that hardens as its temperature rises.

    Gate: sigmoid(beta s), beta = final^(epoch / (epochs - 1)); weights w gate / sigmoid(s0). Penalty: strength times the sum of
    gates. The ticket keeps s > 0; between rounds s becomes min(beta s, s0) (the authors' script has beta 1 by then).
    Source: Savarese et al. 2020, arXiv:1912.04427, section 3.
    """

    final: Annotated[float, Range(1.0, open_low=False)] = 200.0
    initial: Real = 0.0
    reset: Annotated[
        str,
        Choice(
            paper="s becomes min(beta s, s0) between rounds, beta being the final one",
            code="s becomes min(s, s0): the script sets beta back to 1 before (lolemacs/continuous-sparsification)",
        ),
    ] = "paper"

    citation = Citation(
        "Savarese et al. 2020", "Winning the Lottery with Continuous Sparsification", "arXiv:1912.04427, section 3"
    )

    def beta(self, epoch: int, epochs: int) -> float:
        """The temperature of an epoch, counted from 0: 1 at the first, ``final`` at the last."""
        if not 0 <= epoch < epochs:
            raise bad_argument("epoch", epoch, f"a whole number from 0 to below epochs={epochs}")
        return self.final ** (epoch / max(epochs - 1, 1))

    def forward(self, w: np.ndarray, s: np.ndarray, beta: float) -> np.ndarray:
        """The weights that the layer computes with."""
        return w * self.gate(s, beta)

    def gate(self, s: np.ndarray, beta: float) -> np.ndarray:
        """sigmoid(beta s) / sigmoid(s0)."""
        return sigmoid(beta * s) / float(sigmoid(np.asarray(self.initial)))

    def backward(
        self, w: np.ndarray, s: np.ndarray, beta: float, g: np.ndarray, strength: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """The gradients of ``w`` and ``s``, with that of strength times the sum of gates."""
        slope = beta * sigmoid_slope(beta * s) / float(sigmoid(np.asarray(self.initial)))
        return g * self.gate(s, beta), (g * w + strength) * slope

    @staticmethod
    def ticket(s: np.ndarray) -> np.ndarray:
        """The mask of the ticket."""
        return s > 0

    def next_round(self, s: np.ndarray) -> np.ndarray:
        """The gates' parameters that the next round starts from."""
        return np.minimum((self.final if self.reset == "paper" else 1.0) * s, self.initial)


class HardConcrete(Parametrization):
    """Hard concrete gates: exact zeros and ones with a gradient in between, so that the L0 norm can be trained.

    z = min(1, max(0, sbar)), sbar = sigmoid((log u - log(1 - u) + log_alpha) / beta) (zeta - gamma) + gamma. Probability that z
    is not zero: sigmoid(log_alpha - beta log(-gamma / zeta)), the penalty's term. At test time z is
    min(1, max(0, sigmoid(log_alpha) (zeta - gamma) + gamma)). The gradient is zero at and beyond 0 and 1.
    Source: Louizos et al. 2018, arXiv:1712.01312, equations 10 to 13.
    """

    beta: Positive = 2.0 / 3.0
    gamma: Annotated[float, Range(high=0.0)] = -0.1
    zeta: Annotated[float, Range(1.0)] = 1.1

    citation = Citation(
        "Louizos et al. 2018", "Learning Sparse Neural Networks through L0 Regularization", "arXiv:1712.01312"
    )

    def _stretched(self, log_alpha: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits = (np.log(u) - np.log1p(-u) + log_alpha) / self.beta
        return logits, sigmoid(logits) * (self.zeta - self.gamma) + self.gamma

    def sample(self, log_alpha: np.ndarray, u: np.ndarray) -> np.ndarray:
        """The gates for uniform numbers in (0, 1)."""
        return np.minimum(1.0, np.maximum(0.0, self._stretched(log_alpha, u)[1]))

    def backward(self, log_alpha: np.ndarray, u: np.ndarray, g: np.ndarray) -> np.ndarray:
        """The gradient of log_alpha from ``g``, that of the gates."""
        logits, stretched = self._stretched(log_alpha, u)
        inside = (stretched > 0.0) & (stretched < 1.0)
        return np.where(inside, g * sigmoid_slope(logits) * (self.zeta - self.gamma) / self.beta, 0.0)

    def probability(self, log_alpha: np.ndarray) -> np.ndarray:
        """That a gate is not zero."""
        return sigmoid(log_alpha - self.beta * math.log(-self.gamma / self.zeta))

    def probability_one(self, log_alpha: np.ndarray) -> np.ndarray:
        """That a gate is one."""
        return sigmoid(log_alpha - self.beta * math.log((1.0 - self.gamma) / (self.zeta - 1.0)))

    def at_test(self, log_alpha: np.ndarray) -> np.ndarray:
        """The gates without noise."""
        return np.minimum(1.0, np.maximum(0.0, sigmoid(log_alpha) * (self.zeta - self.gamma) + self.gamma))
