"""Values that carry a bound on their error: the operations of the enclosure (running error analysis, Wilkinson 1963).

A value is a float64 centre and a bound such that every program of the declared family gives, in the working precision,
a number within the bound of the centre. Rounding is charged to the magnitudes of terms, never to a result that they
cancelled to, so that it holds for every order; underflow is charged as an absolute error times the largest factor that
may yet multiply it. An infinite bound means that nothing can be said of that element.

The centre is itself computed in float64: `Model.charge` holds that error too, so that the bounds also stand for
float64 arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.dtypes import Format

Array = np.ndarray

#: relative error of one float64 operation, twice: once for a centre, once for the arithmetic on bounds
OWN = 2.0 * 2.0**-53


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
    """

    value: Array
    error: Array | None = None
    reach: Array | None = None
    least: float | None = None
    sure: Array | None = None
    norm: Array | None = None

    def known(self) -> Array:
        """Where the number is the centre itself."""
        if self.error is None:
            return np.ones(np.shape(self.value), bool)
        known = self.error == 0.0
        return known if self.sure is None else known | self.sure

    def reach_of_decision(self) -> Array:
        """The bound that a decision on this number must reckon with."""
        return self.bound() if self.sure is None else np.where(self.sure, 0.0, self.bound())

    def bound(self) -> Array:
        """The bound as an array."""
        return np.zeros(np.shape(self.value)) if self.error is None else self.error


@dataclass(frozen=True)
class Model:
    """The facts that bounds are made of: the working format, and what the policy allows.

    Attributes:
        unit_roundoff, smallest_normal, largest: those of the working format.
        underflow: the absolute error of one operation whose result underflows.
        roundings: how many roundings one operation may take.
        scalar_roundings: how many a scalar may take when it meets an array.
        any_order: whether declared sums may be added in any order; else along a balanced tree.
        flushes: whether subnormals may be flushed to zero.
        exact_scaling: whether a product with a power of two counts as exact; not so for approximate multiplications.
        cancelled: the unit roundoff in which a sum takes in what it takes out again, if it is another one: what is given back
            is no number of its own.
    """

    unit_roundoff: float
    underflow: float
    smallest_normal: float
    largest: float
    roundings: int
    scalar_roundings: int
    any_order: bool
    flushes: bool
    exact_scaling: bool = False
    cancelled: float | None = None

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
            sums == "any",
            flushes,
        )

    @property
    def charge(self) -> float:
        """The relative error of one operation."""
        return self.roundings * self.unit_roundoff + OWN


def exact(values: Array, model: Model) -> Bounded:
    """An array that is known; under flush-to-zero a subnormal may be read as zero.

    Args:
        values: float64.
        model: says whether subnormals may be flushed.
    """
    if model.flushes:
        lost = np.where(np.abs(values) < model.smallest_normal, np.abs(values), 0.0)
        return Bounded(values, lost if lost.any() else None)
    return Bounded(values)


def is_working(values: Array, model: Model) -> Array:
    """Where numbers are normal numbers of the working format, or zero: rounding leaves them as they are.

    Args:
        values: float64.
        model: has the format.
    """
    mantissa, _ = np.frexp(values)
    scaled = mantissa / model.unit_roundoff
    magnitude = np.abs(values)
    usual = (magnitude >= model.smallest_normal) & (magnitude <= model.largest)
    return (scaled == np.rint(scaled)) & (usual | (values == 0.0))


def scalar(value: float, error: float, model: Model) -> Bounded:
    """A scalar that meets an array: a number without axes, with its own error and its roundings to the working dtype.

    Args:
        value: the number as float64 has it.
        error: how far off it may be, as it was computed; one of the working format that has none stays what it is.
        model: what is charged.
    """
    if error == 0.0 and is_working(np.asarray(value), model):
        return Bounded(np.asarray(value))
    rounding = (model.scalar_roundings * model.unit_roundoff + OWN) * abs(value) + model.underflow * (value != 0)
    return Bounded(np.asarray(value), np.asarray(error + rounding))


def settle(value: Array, error: Array, model: Model) -> Bounded:
    """Settle overflow, and make a value of a centre and a bound.

    Args:
        value: the centre as float64 has it, which holds larger numbers than a narrower format.
        error: the bound.
        model: the format.

    Returns:
        Infinity where all of the set is beyond the largest number; an infinite bound where only some of it is.
    """
    magnitude = np.abs(value)
    if not np.max(magnitude + error, initial=0.0) <= model.largest:
        threshold = model.largest * (1.0 + model.unit_roundoff)
        surely = magnitude - error >= threshold
        value = np.where(surely & ~np.isnan(value), np.copysign(np.inf, value), value)
        maybe = ~surely & ~(magnitude + error <= model.largest) & ~np.isnan(value)
        error = np.where(surely, 0.0, np.where(maybe, np.inf, error))
        # the centre may itself have overflowed; a finite one keeps infinity minus infinity out of what follows
        value = np.where(maybe, np.clip(value, -model.largest, model.largest), value)
    return Bounded(value, error)


def total(terms: Sequence[tuple[int, Bounded]], interpolation: Array | None, model: Model) -> Bounded:
    """A sum of terms, added in any order.

    Args:
        terms: 1 or -1, and what it is the sign of; of shapes that broadcast against each other.
        interpolation: w (|a| + |b|) where the sum is (1 - w) a + w b, which is charged for its other form, a + w (b - a);
            else None.
        model: what is charged.

    Returns:
        The sum. Roundings are charged to the magnitudes of all terms together, once for each addition.
    """
    value: Array | float = 0.0
    magnitude: Array | float = 0.0
    error: Array | float = 0.0
    for sign, term in terms:
        value = value + term.value if sign > 0 else value - term.value
        magnitude = magnitude + np.abs(term.value)
        if term.error is not None:
            error = error + term.error
    spread = magnitude + error
    # the interpolation form may round where the sum itself does not
    exactly = _exact_sum(terms, np.asarray(value), model) if interpolation is None else None
    if interpolation is not None:
        spread = spread + interpolation
    error = error + (model.charge * (len(terms) - 1)) * spread
    if model.flushes:  # numbers that are normal may differ by one that is not
        small = np.abs(value) - error < model.smallest_normal if len(terms) == 2 else np.asarray(len(terms) > 1)
        error = error + np.where(small, (len(terms) - 1) * model.smallest_normal, 0.0)
    if len(terms) > 2 and not np.max(spread, initial=0.0) <= model.largest:  # another order may overflow on its way
        error = np.where(np.isfinite(value) & (spread > model.largest), np.inf, error)
    if model.flushes and len(terms) > 1:  # a sum of normal numbers may be subnormal, and flushed
        lost = np.where(np.abs(value) <= error + (len(terms) - 1) * model.underflow, model.underflow, 0.0)
        error = error + (len(terms) - 1) * lost
    settled = settle(np.asarray(value), np.asarray(error), model)._replace(sure=exactly, norm=_norm_of_sum(terms))
    reaches = [term.reach for _, term in terms if term.reach is not None]
    leasts = [term.least for _, term in terms if term.least is not None]
    if not leasts:
        return settled
    reach = None
    for each in reaches:
        reach = each if reach is None else np.maximum(reach, each)
    return settled._replace(reach=reach, least=min(leasts))


def given_back(total: Bounded, cancelled: Sequence[Bounded], model: Model) -> Bounded:
    """A sum in which other numbers were taken in and out again, each with two roundings of `Model.cancelled`.

    Args:
        total: the sum without them.
        cancelled: these numbers.
        model: what is charged.
    """
    error = total.bound()
    for term in cancelled:
        error = error + 2 * model.roundings * (model.cancelled or 0.0) * (np.abs(term.value) + term.bound() + error)
    return total._replace(error=error, sure=None)


def _exact_sum(terms: Sequence[tuple[int, Bounded]], value: Array, model: Model) -> Array | None:
    """Where a sum of two known numbers is a number of the working format, so that no program rounds it."""
    if len(terms) != 2 or model.flushes:
        return None
    (sign, a), (other, b) = terms
    both = a.known() & b.known()
    if not both.any():
        return None
    first, second = sign * a.value, other * b.value
    rest = value - first
    lost = (first - (value - rest)) + (second - rest)
    return both & (lost == 0.0) & is_working(value, model)


def _exact_product(above: Sequence[Bounded], below: Sequence[Bounded], value: Array, model: Model) -> Array | None:
    """Where all factors but one are known powers of two, so that only exponents change, in any order."""
    factors = [*above, *below]
    if model.flushes:
        return None
    known: Array = np.asarray(True)
    for factor in factors:
        known = known & factor.known()
    if not known.any():
        return None
    others: Array = np.asarray(0)
    for index, factor in enumerate(factors):
        mantissa, exponent = np.frexp(factor.value)
        power = (np.abs(mantissa) == 0.5) & (np.abs(exponent) < 64)
        known = known & (power | (index < len(above)))
        others = others + ~power
    # a centre of zero may have underflowed itself; the product of an exact zero is seen to by itself
    return known & (others <= 1) & is_working(value, model) & (value != 0.0)


def product(sign: int, above: Sequence[Bounded], below: Sequence[Bounded], model: Model) -> Bounded:
    """A quotient of products, multiplied and divided in any order, with or without reciprocals.

    Args:
        sign: 1 or -1.
        above: the factors.
        below: the divisors, of shapes that broadcast against each other and against those of the factors.
        model: what is charged.

    Returns:
        The quotient. An exact zero among the factors makes an exact zero, unless a partial product may overflow before.
    """
    value = _quotient([b.value for b in above], [b.value for b in below])
    high = [np.abs(b.value) if b.error is None else np.abs(b.value) + b.error for b in above]
    low = [np.abs(b.value) if b.error is None else np.maximum(np.abs(b.value) - b.error, 0.0) for b in below]
    upper = _quotient(high, low)
    operations = len(above) + len(below) - 1
    error = (upper - np.abs(value)) + (model.charge * operations + 2 * operations * OWN) * upper
    error, reach, least = _partial_products(error, above, below, high, low, model)
    if model.exact_scaling:
        error = np.where(_only_scales(above, below, value, model) & np.isfinite(error), 0.0, error)
    for b in above:
        if np.any(b.value == 0.0):  # an exact zero makes zero in any order, unless a partial product may overflow
            error = np.where((b.value == 0.0) & (b.bound() == 0.0) & np.isfinite(error), 0.0, error)
    for b in below:
        if np.any(b.value == 0.0):  # an exact zero divides to an infinity or NaN in any order
            error = np.where((b.value == 0.0) & (b.bound() == 0.0), 0.0, error)
    sure = _exact_product(above, below, value, model)
    value, error = _uncertain_nan(value, error, (*above, *below))
    found = settle(value if sign > 0 else -value, error, model)
    return found._replace(reach=reach, least=least, sure=sure, norm=_norm_of_product(above, high, low))


def _norm_of_sum(terms: Sequence[tuple[int, Bounded]]) -> Array | None:
    norms = [term.norm for _, term in terms if term.norm is not None]
    return sum(norms[1:], norms[0]) if norms else None


def _norm_of_product(above: Sequence[Bounded], high: Sequence[Array], low: Sequence[Array]) -> Array | None:
    """The norm of a deviation that is multiplied by numbers; with any other factor nothing is known of it."""
    known = [b.norm for b in above if b.norm is not None]
    others = [np.asarray(h) for b, h in zip(above, high, strict=True) if b.norm is None] + [np.asarray(x) for x in low]
    if len(known) != 1 or any(factor.ndim for factor in others):
        return None
    return _quotient([known[0], *(h for b, h in zip(above, high, strict=True) if b.norm is None)], low) * (
        1.0 + 16 * OWN
    )


def _uncertain_nan(value: Array, error: Array, factors: Sequence[Bounded]) -> tuple[Array, Array]:
    """Nothing can be said where the centre is 0/0 or the like, but a factor that is not exact may be another number."""
    if not np.isnan(value).any():
        return value, error
    open_ = np.isnan(value) & ~reduce(np.logical_or, (np.isnan(b.value) for b in factors))
    open_ = open_ & reduce(np.logical_or, (b.bound() > 0.0 for b in factors))
    return np.where(open_, 0.0, value), np.where(open_, np.inf, error)


def _only_scales(above: Sequence[Bounded], below: Sequence[Bounded], value: Array, model: Model) -> Array:
    """Where all factors are exact, all but one of them powers of two, and the result is a normal number or zero."""
    powers = [np.frexp(np.abs(b.value))[0] == 0.5 for b in (*above, *below)]
    others = sum((~power).astype(np.int8) for power in powers[: len(above)])
    known = np.asarray(True)
    for fact in (*(b.bound() == 0.0 for b in (*above, *below)), *powers[len(above) :]):
        known = known & fact
    return known & (others <= 1) & ((np.abs(value) >= model.smallest_normal) | (value == 0.0))


def _quotient(above: Sequence[Array], below: Sequence[Array]) -> Array:
    result: Array = above[0] if above else np.asarray(1.0)
    for factor in above[1:]:
        result = result * factor
    for factor in below:
        result = result / factor
    return result


def _partial_products(
    error: Array,
    above: Sequence[Bounded],
    below: Sequence[Bounded],
    high: Sequence[Array],
    low: Sequence[Array],
    model: Model,
) -> tuple[Array, Array | None, float]:
    """Charge what partial products may lose to underflow; nothing can be said where one may overflow.

    A factor that is itself a sum of products counts with their reach, because a product may be distributed over a sum.
    """
    least = most = 1.0
    for factor, known in zip(high, above, strict=True):
        least *= min(1.0, _smallest(factor), 1.0 if known.least is None else known.least)
        most *= max(1.0, _largest(factor))
    for factor in low:
        least *= min(1.0, float(1.0 / np.float64(_largest(factor))))
        most *= max(1.0, float(1.0 / np.float64(_smallest(factor))))
    if least >= model.smallest_normal and most <= model.largest:
        return error, None, least
    reach: Array = np.asarray(1.0)
    for factor, known in zip(high, above, strict=True):
        reach = reach * (np.maximum(factor, 1.0) if known.reach is None else np.maximum(factor, known.reach))
    for factor in low:
        reach = reach * np.maximum(1.0 / factor, 1.0)
    error = error + (model.underflow * (len(high) + len(low))) * reach
    if len(below) > 1:  # divisors may be multiplied first
        divisor = _quotient([np.maximum(np.abs(b.value) + b.bound(), 1.0) for b in below], [])
        error = np.where(divisor > model.largest, np.inf, error)
    return np.where(reach > model.largest, np.inf, error), reach, least


def _smallest(magnitudes: Array) -> float:
    """The smallest of them; NaN does not count, for the sake of those beside it."""
    least = float(np.min(magnitudes, initial=np.inf))
    return least if least == least else float(np.fmin.reduce(magnitudes, axis=None, initial=np.inf))


def _largest(magnitudes: Array) -> float:
    most = float(np.max(magnitudes, initial=0.0))
    return most if most == most else float(np.fmax.reduce(magnitudes, axis=None, initial=0.0))


def absolute(x: Bounded, model: Model) -> Bounded:
    """The magnitude: errors pass through.

    Args:
        x: the value.
        model: what is charged.
    """
    return Bounded(np.abs(x.value), x.error, sure=x.sure)


def negative(x: Bounded, model: Model) -> Bounded:
    """The negative: errors pass through.

    Args:
        x: the value.
        model: what is charged.
    """
    return Bounded(-x.value, x.error, sure=x.sure)


def _extremum(choose: Callable[[Array, Array], Array]) -> Callable[[Bounded, Bounded, Model], Bounded]:
    def extremum(a: Bounded, b: Bounded, model: Model) -> Bounded:
        value = choose(a.value, b.value)
        if a.error is None and b.error is None:
            return Bounded(value)
        high = choose(a.value + a.bound(), b.value + b.bound())
        low = choose(a.value - a.bound(), b.value - b.bound())
        sure = None if a.sure is None and b.sure is None else a.known() & b.known()
        return Bounded(value, _nan_to_zero(np.maximum(high - value, value - low)), sure=sure)

    return extremum


maximum = _extremum(np.maximum)
minimum = _extremum(np.minimum)


def _nan_to_zero(error: Array) -> Array:
    """Infinity minus itself is no error: both ends are the same infinity."""
    return np.where(np.isnan(error), 0.0, error)


def select(condition: Array, a: Bounded, b: Bounded) -> Bounded:
    """One of two values, as `numpy.where`.

    Args:
        condition: booleans that were decided.
        a: the value where they are true.
        b: the value elsewhere; all of shapes that broadcast against each other.
    """
    sure = None if a.sure is None and b.sure is None else np.where(condition, a.known(), b.known())
    return Bounded(np.where(condition, a.value, b.value), np.where(condition, a.bound(), b.bound()), sure=sure)


def cast(x: Bounded, name: str, rounding: str) -> Bounded:
    """A value rounded onto the grid of a narrower dtype.

    Args:
        x: the value.
        name: the dtype, as `refgrad.arithmetic.dtypes.cast` has it.
        rounding: how, likewise.

    Returns:
        What holds the roundings of both ends: rounding is monotone.
    """
    value = dtypes.cast(x.value, name, rounding)
    if x.error is None:
        return Bounded(value)
    high, low = dtypes.cast(x.value + x.error, name, rounding), dtypes.cast(x.value - x.error, name, rounding)
    return Bounded(value, _nan_to_zero(np.maximum(high - value, value - low)))


def rounded(grid: Callable[..., Array], x: Bounded, random: Bounded | None = None) -> Bounded:
    """A value rounded onto a grid.

    Args:
        grid: ``grid(values, random)``, float64 of the same shape; it rises with both.
        x: the value.
        random: the random numbers that decide, as far as they are known; None where there are none.

    Returns:
        What holds the roundings of all ends. Its centre is the middle of what is admissible, so that numbers beside that are not.
    """
    reach = x.reach_of_decision()
    numbers = [None] if random is None else [random.value - random.bound(), random.value + random.bound()]
    ends = [grid(end, number) for end in (x.value - reach, x.value + reach) for number in numbers]
    low, high = np.minimum.reduce(ends), np.maximum.reduce(ends)
    unknown = ~np.isfinite(reach) & ~np.isnan(x.value)
    value = np.where(low == high, low, np.where(np.isfinite(low + high), low / 2 + high / 2, x.value))
    error = np.where(low == high, 0.0, high / 2 - low / 2)
    value, error = np.where(unknown, 0.0, value), np.where(unknown, np.inf, _nan_to_zero(error))
    return Bounded(value, None if not error.any() else error)


def loosened(x: Bounded, bits: int) -> Bounded:
    """A value of a rough operation.

    Args:
        x: the value of an exact one.
        bits: how many of it are right.
    """
    return Bounded(x.value, x.bound() + 2.0**-bits * (np.abs(x.value) + x.bound()))


def add_up(x: Bounded, axes: tuple[int, ...], terms: int, model: Model) -> Bounded:
    """A declared sum of many terms, in any order or along a balanced tree, as the model says.

    Args:
        x: the terms.
        axes: the axes along which they are added, which are kept with the length one.
        terms: how many are added to one number.
        model: what is charged.
    """
    steps = max(terms - 1, 0) if model.any_order else math.ceil(math.log2(terms)) + 1 if terms > 1 else 0
    magnitude = np.sum(np.abs(x.value) + x.bound(), axis=axes, keepdims=True)
    relative = steps * model.unit_roundoff + model.charge + max(terms, 1) * OWN
    error = np.sum(x.bound(), axis=axes, keepdims=True) + relative * magnitude
    if model.flushes:
        error = error + steps * model.smallest_normal
    return settle(np.sum(x.value, axis=axes, keepdims=True), error, model)


def largest(x: Bounded, axes: tuple[int, ...], model: Model) -> Bounded:
    """The largest of many: errors pass through.

    Args:
        x: these numbers.
        axes: the axes along which the largest is taken, which are kept with the length one.
        model: what is charged.
    """
    value = np.max(x.value, axis=axes, keepdims=True, initial=-np.inf)
    high = np.max(x.value + x.bound(), axis=axes, keepdims=True, initial=-np.inf)
    low = np.max(x.value - x.bound(), axis=axes, keepdims=True, initial=-np.inf)
    return Bounded(value, _nan_to_zero(np.maximum(high - value, value - low)))


def widest(known: tuple[Array, Array] | None, x: Bounded) -> tuple[Array, Array]:
    """The ends of what holds several values.

    Args:
        known: the lowest and the highest number of those before, if there were any.
        x: one more.

    Returns:
        The lowest and the highest number of all; minus and plus infinity where nothing is known of one, or where one is NaN
        and another is not.
    """
    unknown = ~np.isfinite(x.bound()) & ~np.isnan(x.value)
    low, high = np.where(unknown, -np.inf, x.value - x.bound()), np.where(unknown, np.inf, x.value + x.bound())
    if known is None:
        return low, high
    some = np.isnan(low) != np.isnan(known[0])
    return np.where(some, -np.inf, np.minimum(low, known[0])), np.where(some, np.inf, np.maximum(high, known[1]))


def between(low: Array, high: Array) -> Bounded:
    """All numbers from one to another.

    Args:
        low: the lowest.
        high: the highest.

    Returns:
        The middle of them, with an infinite bound where only one of the ends is infinite; NaN where both are NaN.
    """
    middle = high / 2 + low / 2
    error = _nan_to_zero((high / 2 - low / 2) + (np.abs(high) + np.abs(low)) * OWN)
    endless = (high != low) & (np.isinf(high) | np.isinf(low)) & ~np.isnan(high) & ~np.isnan(low)
    return Bounded(np.where(endless, 0.0, middle), np.where(endless, np.inf, error))


def hull(values: Sequence[Bounded]) -> Bounded:
    """The smallest interval that holds all of several values.

    Args:
        values: at least one.

    Returns:
        What `between` makes of their ends; any number where one is NaN and another is not.
    """
    ends = None
    for value in values:
        ends = widest(ends, value)
    assert ends is not None
    return between(*ends)
