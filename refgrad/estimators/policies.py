"""The named behaviours that estimators share: sign at zero, of NaN, and whether a window holds its edge."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.estimators.base import Estimator
from refgrad.rule import Choice, by

SignAtZero = Annotated[
    str,
    Choice(
        plus=by("the sign of zero is +1", "published: a codomain of {-1, +1}", "larq", "brevitas"),
        minus="the sign of zero is -1 (sign as x > threshold)",
        zero=by("the sign of zero is 0", "torch: sign", "NumPy: sign"),
    ),
]
SignOfNan = Annotated[
    str,
    Choice(
        propagate=by("the sign of NaN is NaN", "NumPy: sign"),
        zero=by("the sign of NaN is 0", "torch: sign"),
        minus="the sign of NaN is -1 (what x >= 0 makes of it)",
    ),
]
Edge = Annotated[
    str,
    Choice(
        inclusive=by("the gradient passes at the edge of the window", "torch: clamp"),
        exclusive=by("the gradient is zero at the edge of the window", "torch: hardtanh"),
    ),
]
StepOfNan = Annotated[
    str,
    Choice(
        zero=by("a neuron whose potential is NaN does not fire", "spikingjelly", "snntorch"),
        propagate="the step of NaN is NaN",
    ),
]
Ties = Annotated[
    str,
    Choice(
        even=by(
            "halves are rounded to the even neighbour", "NumPy: rint", "torch: round", "JAX: round", "TensorFlow: round"
        ),
        away="halves are rounded away from zero (round of C and CUDA)",
        up="halves are rounded up (floor(x + 1/2), without the rounding of that sum)",
    ),
]
Written = Annotated[
    str,
    Choice(
        value=by("the value is what the step gives", "published"),
        detached="the value is soft + (hard - soft), soft being what autograd goes through: its roundings may differ from hard "
        "(the usual code with detach or stop_gradient)",
    ),
]
StepAtZero = Annotated[
    str,
    Choice(
        one=by("a neuron at its threshold fires", "spikingjelly: x >= 0"),
        zero=by("a neuron at its threshold does not fire", "snntorch: x > 0", "norse: x > 0"),
    ),
]


def signed(x: Any, at_zero: str, of_nan: str) -> Any:
    """The sign under the policies."""
    sign = np.sign(x)
    if at_zero == "plus":
        sign = np.where(x >= 0, 1.0, np.minimum(sign, -1.0))
    elif at_zero == "minus":
        sign = np.where(x > 0, 1.0, np.minimum(sign, -1.0))
    if of_nan == "propagate":
        return sign
    return np.where(sign == sign, sign, 0.0 if of_nan == "zero" else -1.0)


def passes(cotangent: Any, condition: Any) -> Any:
    """The cotangent where a condition holds, else zero."""
    return np.where(condition, cotangent, 0.0)


def within(x: Any, limit: Any, edge: str) -> Any:
    """True where x is below a limit, or at it where the edge is inclusive."""
    return x <= limit if edge == "inclusive" else x < limit


def rounded(x: Any, ties: str) -> Any:
    """The nearest whole number under a member of `Ties`; what is left of x above a whole number below it is exact."""
    if ties == "even":
        return np.rint(x)
    size = np.abs(x) if ties == "away" else x
    below = np.floor(size)
    near = np.where(size - below >= 0.5, below + 1, below)
    return np.where(x < 0, -near, near) if ties == "away" else near


class Binarizer(Estimator):
    """Forward the sign; a subclass writes the surrogate gradient."""

    sign_at_zero: SignAtZero = "plus"
    sign_of_nan: SignOfNan = "propagate"

    def forward(self, x: Any, *parameters: Any) -> Any:
        """The sign of ``x``."""
        return signed(x, self.sign_at_zero, self.sign_of_nan)


class Spike(Estimator):
    """Forward the unit step of ``x``, the membrane potential less its threshold; a subclass writes the surrogate."""

    step_at_zero: StepAtZero = "one"
    step_of_nan: StepOfNan = "zero"

    def forward(self, x: Any, *parameters: Any) -> Any:
        """One where the neuron fires, else zero."""
        fires = x >= 0 if self.step_at_zero == "one" else x > 0
        step = np.where(fires, 1.0, 0.0)
        return step if self.step_of_nan == "zero" else np.where(x == x, step, x)
