"""What estimators cost: BiPer's quantization error by its frequency, ReSTE's estimating error and gradient stability."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from refgrad.arithmetic.function_arguments import POSITIVE, REAL, Numbers, gated
from refgrad.arithmetic.operations.functions import power, sin
from refgrad.legal import Range


class QuantizationError(NamedTuple):
    """Errors per weight of replacing sin(frequency w) by gamma times its sign.

    ``absolute`` is the mean of |sin - sign|; ``squared`` the mean of its square; ``scaled`` the mean square with the best
    scale, which is gamma = mean |sin|.
    """

    absolute: float
    squared: float
    scaled: float


#: whose squares are neither infinite nor zero
_SQUARED = Range(1e-150, 1e150)


@gated(frequency=POSITIVE, b=POSITIVE)
def laplace_quantization_error(frequency: float, b: float) -> QuantizationError:
    """BiPer's error for weights with density e^(-|w|/b)/(2 b), in closed form.

    With u = frequency b: mean |sin| = u/(1 + u^2) coth(pi/(2 u)), mean sin^2 = 2 u^2/(1 + 4 u^2).

    Raises:
        ArgumentError: a number is not positive, or their product has no square in float64.

    >>> round(laplace_quantization_error(20.0, 0.05).scaled, 10)
    0.1027943537
    """
    u = _SQUARED.check("frequency * b", frequency * b)
    return _errors(u / (1 + u * u) / math.tanh(math.pi / (2 * u)), 2 * u * u / (1 + 4 * u * u))


@gated(w=Numbers(within=REAL, least=1), frequency=POSITIVE)
def quantization_error(w: np.ndarray, frequency: float) -> QuantizationError:
    """BiPer's error, measured on weights, in float64."""
    t = np.abs(sin(frequency * w))
    return _errors(float(np.mean(t)), float(np.mean(t * t)))


def _errors(magnitude: float, square: float) -> QuantizationError:
    return QuantizationError(1 - magnitude, square - 2 * magnitude + 1, square - magnitude**2)


@gated(z=Numbers(), o=POSITIVE)
def estimating_error(z: np.ndarray, o: float) -> float:
    """ReSTE's distance of the estimator from the sign: the 2-norm of sign(z) |z|^(1/o) - sign(z), in float64.

    Source: Wu et al. 2023, arXiv:2308.06689
    """
    size = np.abs(z)
    return float(np.sqrt(np.sum(np.where(size > 0, power(size, 1 / o) - 1, 0.0) ** 2)))


@gated(gradient=Numbers(least=2))
def gradient_stability(gradient: Any) -> float:
    """ReSTE's indicator of stability: the variance of the gradient's magnitudes, with n - 1, in float64.

    Source: Wu et al. 2023, arXiv:2308.06689; n - 1 is the authors' code's.
    """
    return float(np.var(np.abs(gradient), ddof=1))
