"""A number that is known to within a bound, and the facts that bounds are made of.

The bound is the same to both sides of a centre. Where it says nothing, or reaches where no program's number is, the ends
say what is known besides: that a root is not negative, that a divisor is at least its eps, that nothing is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from refgrad.arithmetic.dtypes import Format

Array = np.ndarray

#: relative error of one float64 operation, twice: once for a centre, once for the arithmetic on bounds
OWN = 2.0 * 2.0**-53


def some(marks: Array) -> bool:
    """True if any of some booleans is; `numpy.any` by itself takes longer on the few that there mostly are."""
    return np.logical_or.reduce(marks, axis=None)  # type: ignore[no-any-return]


def every(marks: Array) -> bool:
    """True if all of some booleans are, or all of some numbers are not zero."""
    return np.logical_and.reduce(marks, axis=None)  # type: ignore[no-any-return]


def greatest(magnitudes: Array) -> float:
    """The largest of some magnitudes, zero if there are none; NaN if one is."""
    return np.maximum.reduce(magnitudes, axis=None, initial=0.0)  # type: ignore[no-any-return]


class Bounded(NamedTuple):
    """A number that is known to within a bound; an array of them.

    Attributes:
        value: the centre, float64.
        error: the bound, float64, broadcasting against the centre; None if the number is the centre.
        reach: the product of those factors (or reciprocal divisors) that exceed one, and
        least: a lower bound on every partial product: what a product needs to know of a sum of products that it may be
            distributed over.
        sure: where every program that computes this very number gives the centre, which is what a decision needs to know.
            (The bound may yet be larger, for programs that never compute it because they distribute a product over it.)
        norm: how much of the bound is one deviation of the whole matrix, as the Frobenius norm of that deviation: not every
            element can be so far off.
        low, high: ends that no program's number is beyond, sharper than the bound; where it is NaN, they say nothing.
        nan: where some program's number may be NaN though the centre is not; only where the bound is infinite. With None it
            may be wherever the bound is infinite.
        overflowed: where it is infinite though nothing that it is made of is: a product that is distributed over it need not be.
    """

    value: Array
    error: Array | None = None
    reach: Array | None = None
    least: float | None = None
    sure: Array | None = None
    norm: Array | None = None
    low: Array | None = None
    high: Array | None = None
    nan: Array | None = None
    overflowed: Array | None = None

    def known(self) -> Array:
        """Where the number is the centre itself."""
        if self.error is None:
            return np.ones(np.shape(self.value), bool)
        known = self.error == 0.0
        return known if self.sure is None else known | self.sure

    def reach_of_decision(self) -> Array:
        """The bound that a decision on this number must reckon with."""
        return self.bound() if self.sure is None else np.where(self.sure, 0.0, self.bound())

    def ends_of_decision(self) -> tuple[Array, Array]:
        """The ends that a decision on this number must reckon with."""
        low, high = self.lowest(), self.highest()
        if self.sure is None:
            return low, high
        return np.where(self.sure, self.value, low), np.where(self.sure, self.value, high)

    def bound(self) -> Array:
        """The bound as an array."""
        return np.zeros(np.shape(self.value)) if self.error is None else self.error

    def has_ends(self) -> bool:
        """True if more is known of it than its bound."""
        return self.low is not None or self.high is not None or self.nan is not None

    def lowest(self) -> Array:
        """What no program's number is below; NaN where the centre is."""
        if self.error is None:
            return self.value
        low = self.value - self.error
        return low if self.low is None else np.maximum(low, self.low)

    def highest(self) -> Array:
        """What no program's number is above; NaN where the centre is."""
        if self.error is None:
            return self.value
        high = self.value + self.error
        return high if self.high is None else np.minimum(high, self.high)

    def may_be_nan(self) -> Array:
        """Where some program's number may be NaN."""
        if self.error is None:
            return np.isnan(self.value)
        return np.isnan(self.value) | (~np.isfinite(self.error) if self.nan is None else self.nan)

    def mapped(self, function: Callable[[Array], Array]) -> Bounded:
        """What is known of each number, in another order or shape.

        Args:
            function: moves the elements of an array.
        """
        shape = np.broadcast_shapes(*(np.shape(a) for a in self._of_elements() if a is not None))
        value = function(np.broadcast_to(self.value, shape))
        error, low, high, nan = (
            None if a is None else function(np.broadcast_to(a, shape)) for a in self._of_elements()[1:]
        )
        return Bounded(value, error, low=low, high=high, nan=nan)

    def _of_elements(self) -> tuple[Array | None, ...]:
        return self.value, self.error, self.low, self.high, self.nan


@dataclass(frozen=True)
class Model:
    """The facts that bounds are made of: the working format, and what the policy allows.

    Attributes:
        unit_roundoff, smallest_normal, largest: those of the working format.
        underflow: the absolute error of one operation whose result underflows.
        roundings: how many roundings one operation may take.
        scalar_roundings: how many a scalar may take when it meets an array.
        sums: in which orders declared sums may be added: "any", "pairwise", "online" or "blocked".
        flushes: whether subnormals may be flushed to zero.
        exact_scaling: whether a product with a power of two counts as exact; not so for approximate multiplications.
        cancelled: the unit roundoff in which a sum takes in what it takes out again, if it is another one: what is given back
            is no number of its own.
        of_sums: the model of sums over elements, of the terms that are made for them alone, and of the numbers made of them
            that are one a row, a column or a tensor, if these are computed in another format.
        added_in: the unit roundoff in which sums are added up before they are rounded to the working format, if that is another.
        stored: places of a formula at which programs may round, each with the name of a format.
        nan_open: whether comparisons, signs, maxima and minima of NaN may give what any program makes of them.
    """

    unit_roundoff: float
    underflow: float
    smallest_normal: float
    largest: float
    roundings: int
    scalar_roundings: int
    sums: str
    flushes: bool
    exact_scaling: bool = False
    cancelled: float | None = None
    of_sums: Model | None = None
    added_in: float | None = None
    nan_open: bool = False
    stored: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, facts: Format, roundings: int, scalar_roundings: int, subnormals: str, sums: str) -> Model:
        """A model of a working format.

        Args:
            facts: the format.
            roundings: a policy's field of this name.
            scalar_roundings: a policy's field of this name.
            subnormals: a policy's field of this name.
            sums: a policy's field of this name.
        """
        flushes = subnormals != "keep"
        lost = facts.smallest_normal if flushes else facts.smallest_subnormal
        return cls(
            facts.unit_roundoff,
            roundings * lost,
            facts.smallest_normal,
            facts.largest,
            roundings,
            scalar_roundings,
            sums,
            flushes,
        )

    @property
    def lost(self) -> float:
        """What one rounding loses at most where it underflows."""
        return self.underflow / self.roundings

    @property
    def of_adding(self) -> float:
        """The relative error of one addition of a sum."""
        return self.unit_roundoff if self.added_in is None else self.added_in

    @property
    def charge(self) -> float:
        """The relative error of one operation."""
        return self.roundings * self.unit_roundoff + OWN
