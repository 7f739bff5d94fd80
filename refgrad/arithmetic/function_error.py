"""Bounds on functions of one number, as in `running_error`: its error through the function, and what a library may be off by."""

from __future__ import annotations

import math

import numpy as np

from refgrad.arithmetic import ends
from refgrad.arithmetic.running_error import Array, Bounded, Model, settle


def sqrt(x: Bounded, model: Model) -> Bounded:
    """The square root, by the endpoints, so that zero is safe; NaN below zero."""
    value = np.sqrt(np.where(x.value >= -x.bound(), np.maximum(x.value, 0.0), x.value))
    value = np.where(np.isnan(x.value), np.nan, value)
    if x.error is None:
        return Bounded(value, np.where(np.isinf(value), 0.0, model.charge * value))
    least, most = x.lowest(), x.highest()
    high, low = np.sqrt(np.maximum(most, 0.0)), np.sqrt(np.maximum(least, 0.0))
    found = Bounded(value, np.maximum(high - value, value - low) + model.charge * high)
    if not (x.has_ends() or (found.value < found.bound()).any()):
        return found
    nan = x.may_be_nan() | ((least < 0.0) & ~np.isnan(value))
    return ends.fitted(found, low * (1.0 - model.charge), high * (1.0 + model.charge), nan, model)


def exp(x: Bounded, model: Model) -> Bounded:
    """The exponential; implementations are allowed four units in the last place besides the roundings."""
    value = np.exp(x.value)
    growth = np.expm1(x.bound())
    error = value * growth + (model.charge + 8.0 * model.unit_roundoff) * value * (1.0 + growth) + model.underflow
    found = settle(value, np.where(_infinite(x), 0.0, error), model)
    if not (x.has_ends() or (found.value < found.bound()).any()):
        return found
    return ends.fitted(found, np.zeros_like(value), found.highest(), x.may_be_nan(), model)


def _infinite(x: Bounded) -> Array:
    """Where an argument is infinity itself, of which every library knows what the function is."""
    return np.isinf(x.value) & (x.bound() == 0.0)


def _library(
    value: Array, carried: Array, fixed: Array, x: Bounded, model: Model, units: Array | float = 8.0
) -> Bounded:
    """A library's function: what its argument's error makes of it, and units in the last place that it may be off by.

    Where ``fixed`` says so, a known argument has a known value.
    """
    error = carried + (model.charge + units * model.unit_roundoff) * (np.abs(value) + carried) + model.underflow
    return settle(value, np.where((fixed | np.isinf(x.value)) & (x.bound() == 0.0), 0.0, error), model)


def sin(x: Bounded, model: Model) -> Bounded:
    """The sine; the sine of zero is zero."""
    value, e = np.sin(x.value), x.bound()
    carried = np.minimum(np.minimum(np.abs(np.cos(x.value)) * e + 0.5 * e * e, e), 2.0)
    return _library(value, carried, x.value == 0.0, x, model)


def cos(x: Bounded, model: Model) -> Bounded:
    """The cosine."""
    value, e = np.cos(x.value), x.bound()
    carried = np.minimum(np.minimum(np.abs(np.sin(x.value)) * e + 0.5 * e * e, e), 2.0)
    return _library(value, carried, np.asarray(False), x, model)


def tanh(x: Bounded, model: Model) -> Bounded:
    """The hyperbolic tangent; that of zero is zero."""
    value = np.tanh(x.value)
    return _library(value, np.minimum(x.bound(), 2.0), x.value == 0.0, x, model)


#: the error function of arrays of float64, within a few units in the last place
error_function = np.vectorize(math.erf, otypes=[np.float64])


def erf(x: Bounded, model: Model) -> Bounded:
    """The error function, whose slope is steepest at zero; that of zero is zero."""
    value = error_function(x.value)
    return _library(value, np.minimum(2.0 / math.sqrt(math.pi) * x.bound(), 2.0), x.value == 0.0, x, model)


def log(x: Bounded, model: Model) -> Bounded:
    """The natural logarithm; that of one is zero, of zero minus infinity."""
    value = np.log(x.value)
    room = x.value - x.bound()
    carried = np.where(room > 0.0, x.bound() / room, np.where(x.bound() > 0.0, np.inf, 0.0))
    return _library(value, carried, (x.value == 1.0) | (x.value == 0.0), x, model)


def exp2(x: Bounded, model: Model) -> Bounded:
    """Two to a power; a program may take e**(x log 2), whose exponent is rounded twice. That of zero is one."""
    value = np.exp2(x.value)
    carried = value * np.expm1(math.log(2.0) * x.bound())
    units = 8.0 + 2.0 * math.log(2.0) * np.where(np.isfinite(x.value), np.abs(x.value), 0.0)
    return _library(value, carried, (x.value == 0.0) | _infinite(x), x, model, units)


def log2(x: Bounded, model: Model) -> Bounded:
    """The logarithm to base two; a program may divide that to base e. That of one is zero, of zero minus infinity."""
    value, room = np.log2(x.value), x.value - x.bound()
    slope = np.where(room > 0.0, x.bound() / (math.log(2.0) * room), np.where(x.bound() > 0.0, np.inf, 0.0))
    return _library(value, slope, (x.value == 1.0) | (x.value == 0.0), x, model)


def arctan(x: Bounded, model: Model) -> Bounded:
    """The angle of a tangent, between minus and plus a right angle; its slope falls with the distance from zero."""
    value, nearest = np.arctan(x.value), np.maximum(np.abs(x.value) - x.bound(), 0.0)
    carried = np.minimum(x.bound() / (1.0 + nearest * nearest), math.pi)
    return _library(value, np.where(x.bound() == np.inf, math.pi, carried), x.value == 0.0, x, model)


def arctan2(y: Bounded, x: Bounded, model: Model) -> Bounded:
    """The angle of a point; where it may lie on either side of the negative axis, or at the origin, any angle.

    A zero that is known has a sign that is known, which says the side, as it says the sign of an infinity in a division.
    """
    value, moved = np.arctan2(y.value, x.value), np.hypot(y.bound(), x.bound())
    room = np.hypot(y.value, x.value) - moved
    carried = np.where(moved > 0.0, np.where(room > 0.0, moved / room, np.inf), 0.0)
    across = (np.abs(y.value) <= y.bound()) & (x.lowest() <= 0.0)
    on_axis = (y.value == 0.0) & (y.bound() == 0.0) & ((x.bound() == 0.0) | (x.highest() < 0.0))
    carried = np.where(across & ~on_axis, 2.0 * math.pi, np.where(on_axis, 0.0, np.minimum(carried, 2.0 * math.pi)))
    fixed = (y.value == 0.0) & (y.bound() == 0.0) & (x.lowest() > 0.0)
    error = carried + (model.charge + 8.0 * model.unit_roundoff) * (np.abs(value) + carried) + model.underflow
    return settle(value, np.where(fixed, 0.0, error), model)


def _grown(of: Array, other: Array, e: Array) -> Array:
    """By how much a hyperbolic sine or cosine grows: that at an argument, the other one there, and the argument's error."""
    return np.where(e > 0.0, 2.0 * np.abs(of) * np.sinh(0.5 * e) ** 2 + np.abs(other) * np.sinh(e), 0.0)


def sinh(x: Bounded, model: Model) -> Bounded:
    """The hyperbolic sine; that of zero is zero."""
    value = np.sinh(x.value)
    return _library(value, _grown(value, np.cosh(x.value), x.bound()), x.value == 0.0, x, model)


def cosh(x: Bounded, model: Model) -> Bounded:
    """The hyperbolic cosine, as a library has it or as half of two exponentials; that of zero is one."""
    value = np.cosh(x.value)
    return _library(value, _grown(value, np.sinh(x.value), x.bound()), x.value == 0.0, x, model, 10.0)


def power(x: Bounded, exponent: Bounded, model: Model) -> Bounded:
    """x**exponent for x >= 0; a program may take e**(exponent log x)."""
    value = np.where(x.value < 0.0, np.nan, np.power(np.abs(x.value), exponent.value))
    room = x.value - x.bound()
    relative = np.abs(exponent.value) * x.bound() / room
    size = np.abs(np.log(np.abs(x.value)))
    grown = np.expm1(relative * (1.0 + relative) + size * exponent.bound())
    carried = np.where(room > 0.0, np.abs(value) * grown, np.where(x.bound() > 0.0, np.inf, 0.0))
    units = 8.0 + 2.0 * np.where(x.value > 0.0, np.abs(exponent.value) * size, 0.0)
    found = _library(value, carried, (x.value == 0.0) | (x.value == 1.0), x, model, units)
    if not (x.has_ends() or (found.value < found.bound()).any()):
        return found
    nan = x.may_be_nan() | (x.lowest() < 0.0)
    return ends.fitted(found, np.zeros_like(found.value), found.highest(), nan, model)


def power_of_two(x: Bounded, model: Model) -> Bounded:
    """2**k for a whole number k: no program rounds it, nor a k that is itself a sum of whole numbers."""
    value = np.exp2(x.value)
    return settle(value, value * (np.exp2(x.reach_of_decision()) - 1.0), model)
