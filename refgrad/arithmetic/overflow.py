"""What is beyond the largest number of a format: infinity, or nothing can be said."""

from __future__ import annotations

import numpy as np

from refgrad.arithmetic.bounded import Array, Bounded, Model, greatest


def settle(value: Array, error: Array, model: Model) -> Bounded:
    """Settle overflow, and make a value of a centre and a bound.

    Args:
        value: the centre as float64 has it, which holds larger numbers than a narrower format.
        error: the bound.
        model: the format.

    Returns:
        Infinity where all of the set is beyond the largest number; an infinite bound where only some of it is.
    """
    return Bounded(value, error) if fits(value, error, model) else overflowed(value, error, model)


def fits(value: Array, error: Array, model: Model) -> bool:
    """True if nothing in a set may overflow, so that its bound is finite too."""
    return bool(greatest(np.abs(value) + error) <= model.largest)


def overflowed(value: Array, error: Array, model: Model) -> Bounded:
    """What a centre and a bound are where something may overflow; as of `settle`."""
    magnitude = np.abs(value)
    threshold = model.largest * (1.0 + model.unit_roundoff)
    surely = magnitude - error >= threshold
    value = np.where(surely & ~np.isnan(value), np.copysign(np.inf, value), value)
    maybe = ~surely & ~(magnitude + error <= model.largest) & ~np.isnan(value)
    error = np.where(surely, 0.0, np.where(maybe, np.inf, error))
    # the centre may itself have overflowed; a finite one keeps infinity minus infinity out of what follows
    return Bounded(np.where(maybe, np.clip(value, -model.largest, model.largest), value), error)


def nan_to_zero(error: Array) -> Array:
    """Infinity minus itself is no error: both ends are the same infinity."""
    return np.where(np.isnan(error), 0.0, error)
