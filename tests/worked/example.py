"""What a worked example is: a rule, what it is handed, and the equation that says what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np

from refgrad.rule import Rule

#: decimal digits in which equations are followed
DIGITS = 50
#: a matrix of six numbers that are exact in binary, and another
X = ((1.0, -0.5, 2.0), (0.25, -1.5, 0.75))
G = ((0.5, -0.25, 1.0), (-0.25, 1.0, 0.5))


@dataclass(frozen=True)
class Example:
    """A rule on a few numbers.

    Args:
        rule: the rule with its hyperparameters.
        given: what it is handed, by name: float64 arrays.
        equation: from the rule (for its hyperparameters alone) and the same by name, as object arrays of mpmath numbers, to
            the results by name.
        ours: the same by refgrad: from the rule and the arrays to the results by name.
        shown: the functions that the page prints; the equation itself if there are none.
    """

    rule: Rule
    given: Mapping[str, np.ndarray]
    equation: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]]
    ours: Callable[[Any, Mapping[str, np.ndarray]], Mapping[str, Any]]
    shown: tuple[Callable[..., Any], ...] = ()

    @property
    def name(self) -> str:
        """The rule's name."""
        return type(self.rule).__name__

    def by_hand(self) -> dict[str, list[Any]]:
        """The results of the equation, as flat lists."""
        with mpmath.workdps(DIGITS):
            return {
                n: flat(v) for n, v in self.equation(self.rule, {n: exact(a) for n, a in self.given.items()}).items()
            }

    def by_refgrad(self) -> dict[str, list[Any]]:
        """The results of the rule in float64, as flat lists."""
        return {n: flat(v) for n, v in self.ours(self.rule, self.given).items()}


def exact(a: np.ndarray) -> np.ndarray:
    """Floats as mpmath numbers."""
    with np.errstate(invalid="ignore"):  # NaN is a number here too
        return np.frompyfunc(lambda x: mpmath.mpf(float(x)), 1, 1)(np.asarray(a, dtype=object))


def flat(values: Any) -> list[Any]:
    """Numbers of any nesting in a row; booleans as 0 and 1, fractions and floats as mpmath numbers."""
    return [number(x) for x in np.asarray(values, dtype=object).ravel()]


def number(x: Any) -> Any:
    """One number as mpmath's."""
    if isinstance(x, Fraction):
        return mpmath.mpf(x.numerator) / x.denominator
    return x if isinstance(x, mpmath.mpf) else mpmath.mpf(float(x))
