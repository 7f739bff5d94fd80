"""Values that carry a bound on their error: the operations of the enclosure (running error analysis, Wilkinson 1963).

A value is a float64 centre and a bound such that every program of the declared family gives, in the working precision,
a number within the bound of the centre. Rounding is charged to the magnitudes of terms, never to a result that they
cancelled to, so that it holds for every order; underflow is charged as an absolute error times the largest factor that
may yet multiply it. An infinite bound means that nothing can be said of that element.

The centre is itself computed in float64: `Model.charge` holds that error too, so that the bounds also stand for
float64 arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from refgrad.arithmetic import dtypes, ends, infinities, nan_choices, overflow, summation
from refgrad.arithmetic.bounded import OWN as OWN
from refgrad.arithmetic.bounded import Array as Array
from refgrad.arithmetic.bounded import Bounded as Bounded
from refgrad.arithmetic.bounded import Model as Model
from refgrad.arithmetic.bounded import every, greatest
from refgrad.arithmetic.exactness import exact_sum, is_working
from refgrad.arithmetic.hulls import between as between
from refgrad.arithmetic.hulls import hull as hull
from refgrad.arithmetic.hulls import widest as widest
from refgrad.arithmetic.overflow import settle as settle
from refgrad.arithmetic.product_error import product as product


def exact(values: Array, model: Model) -> Bounded:
    """An array that is known; under flush-to-zero a subnormal may be read as zero.

    Args:
        values: float64.
        model: says whether subnormals may be flushed.

    Returns:
        The values, of no error where nothing may be flushed.
    """
    if model.flushes:
        lost = np.where(np.abs(values) < model.smallest_normal, np.abs(values), 0.0)
        if lost.any():  # it is what it is, or zero: never beyond either
            return Bounded(
                values,
                lost,
                low=np.where(lost > 0.0, np.minimum(values, 0.0), values),
                high=np.where(lost > 0.0, np.maximum(values, 0.0), values),
            )
    return Bounded(values)


def given(observed: Bounded, computed: Bounded, model: Model, where: Array | None = None) -> Bounded:
    """A number that was observed to within a bound, of which is also known what it was computed from.

    Args:
        observed: what was seen; its centre is what is stored.
        computed: what it may be by what it is computed of.
        model: says whether subnormals may be flushed.
        where: booleans, where that is to be reckoned with; None for everywhere.

    Returns:
        What is stored, or a number that both hold: the one that it was before it was stored.
    """
    if observed.error is None:
        return observed
    low, high = np.fmax(observed.lowest(), computed.lowest()), np.fmin(observed.highest(), computed.highest())
    known = (low <= high) & ~np.isnan(computed.value) & (True if where is None else where)
    low = np.where(known, np.minimum(low, observed.value), observed.lowest())
    high = np.where(known, np.maximum(high, observed.value), observed.highest())
    if model.flushes:  # a number that is subnormal may be read as zero
        below, above = (low < 0.0) & (high > -model.smallest_normal), (high > 0.0) & (low < model.smallest_normal)
        low, high = np.where(above, np.minimum(low, 0.0), low), np.where(below, np.maximum(high, 0.0), high)
    error = np.maximum(high - observed.value, observed.value - low)
    error = np.where(np.isnan(error), observed.error, error)
    if not error.any():
        return Bounded(observed.value)
    return Bounded(observed.value, error, low=low, high=high)


def scalar(value: float, error: float, model: Model) -> Bounded:
    """A scalar that meets an array: a number without axes, with its own error and its roundings to the working dtype.

    Args:
        value: the number as float64 has it.
        error: how far off it may be, as it was computed; one of the working format that has none stays what it is.
        model: what is charged.

    Returns:
        A value without axes.
    """
    if error == 0.0 and is_working(np.asarray(value), model):
        return Bounded(np.asarray(value))
    rounding = (model.scalar_roundings * model.unit_roundoff + OWN) * abs(value) + model.underflow * (value != 0)
    found = Bounded(np.asarray(value), np.asarray(error + rounding))
    if not error < abs(value) <= error + rounding:
        return found
    # rounding keeps the sign; and what is not zero is not to become zero, but where it is flushed: an eps that vanishes
    # protects nothing, and 0/0 of it is no right result in any format
    least = 0.0 if model.flushes else model.lost
    low, high = (least, value + found.bound()) if value > 0.0 else (value - found.bound(), -least)
    return found._replace(low=np.asarray(low), high=np.asarray(high))


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
    spread = magnitude + error if interpolation is None else magnitude + error + interpolation
    exactly = _exactly(terms, np.asarray(value), None if interpolation is None else np.asarray(spread), model)
    unrounded = None if exactly is None else exactly & (error == 0.0)
    error = error + (model.charge * (len(terms) - 1)) * spread
    flushed = _flushed_of_sum(len(terms) - 1, np.asarray(value), np.asarray(error), unrounded, model)
    error = error + flushed if model.flushes else error
    if len(terms) > 2 and not greatest(np.asarray(spread)) <= model.largest:  # another order may overflow on its way
        error = np.where(np.isfinite(value) & (spread > model.largest), np.inf, error)
    value, error = np.asarray(value), np.asarray(error)
    fits = overflow.fits(value, error, model)
    settled = Bounded(value, error) if fits else overflow.overflowed(value, error, model)
    settled = Bounded(settled.value, settled.error, sure=exactly, norm=_norm_of_sum(terms))
    if any(term.has_ends() for _, term in terms) or (not fits and np.isinf(settled.bound()).any()):
        settled = ends.of_sum(terms, settled, flushed, interpolation, model)
    if not fits:
        settled = settled._replace(overflowed=infinities.overflowed(settled, [term for _, term in terms]))
    reaches = [term.reach for _, term in terms if term.reach is not None]
    leasts = [term.least for _, term in terms if term.least is not None]
    if not leasts:
        return settled
    reach = None
    for each in reaches:
        reach = each if reach is None else np.maximum(reach, each)
    return settled._replace(reach=reach, least=min(leasts))


def _exactly(
    terms: Sequence[tuple[int, Bounded]], value: Array, interpolated: Array | None, model: Model
) -> Array | None:
    """Where a sum is exact; the interpolation form may round where the sum itself does not, unless all of it is zero."""
    if interpolated is None:
        return exact_sum(terms, value, model)
    if every(interpolated):
        return None
    exactly = exact_sum(terms, value, model)
    return None if exactly is None else exactly & (interpolated == 0.0)


def _flushed_of_sum(count: int, value: Array, error: Array, unrounded: Array | None, model: Model) -> Array | float:
    """What so many additions may lose where subnormals may be flushed: normal numbers may differ by one that is not."""
    if not model.flushes or not count:
        return 0.0
    lost = np.where((np.abs(value) - error < model.smallest_normal) | (count > 1), count * model.smallest_normal, 0.0)
    lost = lost + np.where(np.abs(value) <= error + lost + count * model.underflow, count * model.underflow, 0.0)
    # what is exact is zero or a normal number
    return lost if unrounded is None else np.where(unrounded, 0.0, lost)


def given_back(total: Bounded, cancelled: Sequence[Bounded], model: Model) -> Bounded:
    """A sum in which other numbers were taken in and out again, each with two roundings of `Model.cancelled`.

    Args:
        total: the sum without them.
        cancelled: these numbers.
        model: what is charged.

    Returns:
        The sum, with the error that they leave.
    """
    error = total.bound()
    for term in cancelled:
        error = error + 2 * model.roundings * (model.cancelled or 0.0) * (np.abs(term.value) + term.bound() + error)
    return Bounded(total.value, error, total.reach, total.least, norm=total.norm, overflowed=total.overflowed)


def _norm_of_sum(terms: Sequence[tuple[int, Bounded]]) -> Array | None:
    norms = [term.norm for _, term in terms if term.norm is not None]
    return sum(norms[1:], norms[0]) if norms else None


def absolute(x: Bounded, model: Model) -> Bounded:
    """The magnitude: errors pass through.

    Args:
        x: the value.
        model: what is charged.

    Returns:
        Numbers that are not negative, shaped like ``x``.
    """
    found = Bounded(np.abs(x.value), x.error, sure=x.sure)
    if x.error is None or not (x.has_ends() or (found.value < x.error).any()):
        return found
    least, most = ends.sizes(x)
    return found._replace(low=least, high=most, nan=x.may_be_nan())


def negative(x: Bounded, model: Model) -> Bounded:
    """The negative: errors pass through.

    Args:
        x: the value.
        model: what is charged.

    Returns:
        Numbers shaped like ``x``.
    """
    found = Bounded(-x.value, x.error, sure=x.sure, overflowed=x.overflowed)
    return found._replace(low=-x.highest(), high=-x.lowest(), nan=x.may_be_nan()) if x.has_ends() else found


def _extremum(choose: Callable[[Array, Array], Array]) -> Callable[[Bounded, Bounded, Model], Bounded]:
    def extremum(a: Bounded, b: Bounded, model: Model) -> Bounded:
        value = choose(a.value, b.value)
        if model.nan_open and np.isnan(value).any():
            numbers = extremum(nan_choices.number(a, b), nan_choices.number(b, a), replace(model, nan_open=False))
            return nan_choices.either(a, b, numbers)
        if a.error is None and b.error is None:
            return Bounded(value)
        high = choose(a.value + a.bound(), b.value + b.bound())
        low = choose(a.value - a.bound(), b.value - b.bound())
        sure = None if a.sure is None and b.sure is None else a.known() & b.known()
        found = Bounded(value, overflow.nan_to_zero(np.maximum(high - value, value - low)), sure=sure)
        keeps_sign = a.has_ends() or b.has_ends() or _across_zero(found, low, high)
        return ends.of_extremum(choose, a, b, found) if keeps_sign else found

    return extremum


def _across_zero(found: Bounded, low: Array, high: Array) -> bool:
    """True if a bound reaches beyond zero where an end does not: a variance that is clamped at zero has a root."""
    below, above = found.value - found.bound(), found.value + found.bound()
    return bool(((low >= 0.0) & (below < 0.0)).any() or ((high <= 0.0) & (above > 0.0)).any())


maximum = _extremum(np.maximum)
minimum = _extremum(np.minimum)


def select(condition: Array, a: Bounded, b: Bounded) -> Bounded:
    """One of two values, as `numpy.where`.

    Args:
        condition: booleans that were decided.
        a: the value where they are true.
        b: the value elsewhere; all of shapes that broadcast against each other.

    Returns:
        Numbers of the shape that all broadcast to.
    """
    sure = None if a.sure is None and b.sure is None else np.where(condition, a.known(), b.known())
    found = Bounded(np.where(condition, a.value, b.value), np.where(condition, a.bound(), b.bound()), sure=sure)
    if not (a.has_ends() or b.has_ends()):
        return found
    return found._replace(
        low=np.where(condition, a.lowest(), b.lowest()),
        high=np.where(condition, a.highest(), b.highest()),
        nan=np.where(condition, a.may_be_nan(), b.may_be_nan()),
    )


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
    high, low = dtypes.cast(x.highest(), name, rounding), dtypes.cast(x.lowest(), name, rounding)
    found = Bounded(value, overflow.nan_to_zero(np.maximum(high - value, value - low)))
    return found._replace(low=low, high=high, nan=x.may_be_nan()) if x.has_ends() else found


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
    value, error = np.where(unknown, 0.0, value), np.where(unknown, np.inf, overflow.nan_to_zero(error))
    return Bounded(value, None if not error.any() else error)


def loosened(x: Bounded, bits: int) -> Bounded:
    """A value of a rough operation.

    Args:
        x: the value of an exact one.
        bits: how many of it are right.

    Returns:
        The value of ``x``, with a larger error.
    """
    return Bounded(x.value, x.bound() + 2.0**-bits * (np.abs(x.value) + x.bound()))


def add_up(x: Bounded, axes: tuple[int, ...], terms: int, model: Model, sizes: Array | None = None) -> Bounded:
    """A declared sum of many terms, in the orders that the model says.

    Args:
        x: the terms.
        axes: the axes along which they are added, which are kept with the length one.
        terms: how many are added to one number.
        model: what is charged.
        sizes: the largest magnitude of each term, if it is at hand.

    Returns:
        The sums, of the shape of ``x`` but for those axes.
    """
    steps = summation.steps(terms, model)
    magnitude = np.sum(np.abs(x.value) + x.bound() if sizes is None else sizes, axis=axes, keepdims=True)
    relative = steps * model.of_adding + model.charge + max(terms, 1) * OWN
    error = np.sum(x.bound(), axis=axes, keepdims=True) + relative * magnitude
    flushed: Array | float = 0.0
    if model.flushes:  # zeros add up to zero
        flushed = np.where(magnitude > 0.0, steps * model.smallest_normal, 0.0)
    settled = settle(np.sum(x.value, axis=axes, keepdims=True), error + flushed, model)
    small = bool((np.abs(settled.value) < settled.bound()).any())
    return ends.of_terms(x, axes, settled, relative, flushed, model) if x.has_ends() or small else settled


def largest(x: Bounded, axes: tuple[int, ...], model: Model) -> Bounded:
    """The largest of many: errors pass through.

    Args:
        x: these numbers.
        axes: the axes along which the largest is taken, which are kept with the length one.
        model: what is charged.

    Returns:
        The largest ones, of the shape of ``x`` but for those axes.
    """
    value = np.max(x.value, axis=axes, keepdims=True, initial=-np.inf)
    high = np.max(x.value + x.bound(), axis=axes, keepdims=True, initial=-np.inf)
    low = np.max(x.value - x.bound(), axis=axes, keepdims=True, initial=-np.inf)
    found = Bounded(value, overflow.nan_to_zero(np.maximum(high - value, value - low)))
    return ends.of_largest(x, axes, found) if x.has_ends() else found
