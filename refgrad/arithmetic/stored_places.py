"""Places in a formula at which a program may keep a number in a narrower format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from refgrad.arithmetic.bounded import Bounded
from refgrad.arithmetic.dtypes import as_dtype, format_of
from refgrad.arithmetic.subgradients import known_to_carriers
from refgrad.errors import bad_argument

_MET: ContextVar[set[str] | None] = ContextVar("_MET", default=None)


@known_to_carriers
def stored(x: Any, place: str) -> Any:
    """The array itself, at a place of a formula at which programs may round it.

    Args:
        x: an array of any float dtype, or what stands for one in a formula.
        place: a name for the place, by which ``Policy(stored={"p": "bfloat16"})`` says in which format it may be kept.

    Returns:
        The numbers of ``x``: which programs round there, is the policy's to say.

    Raises:
        ArgumentError: the place is no name.

    >>> stored(np.array([1.0, 2.0]), "p").tolist()
    [1.0, 2.0]
    """
    if not isinstance(place, str) or not place.isidentifier():
        raise bad_argument("the place of refgrad.stored", place, "a name, such as 'p'")
    met = _MET.get()
    if met is not None:
        met.add(place)
    at = getattr(x, "at_place", None)  # of arrays whose operations are off at random
    return x if at is None else at(place)


@contextmanager
def places_met() -> Iterator[set[str]]:
    """A set that is filled with the names of places that floats pass within."""
    met = set[str]()
    token = _MET.set(met)
    try:
        yield met
    finally:
        _MET.reset(token)


def rounded_or_not(x: Bounded, name: str) -> Bounded:
    """A number as it is, or rounded to the nearest of a format.

    Args:
        x: what is known of it.
        name: the format's.

    Returns:
        What holds both; of infinite bound where it may be beyond the largest number of the format.
    """
    facts = format_of(as_dtype(name))
    size = np.abs(x.value) + x.bound()
    error = x.bound() + facts.unit_roundoff * size + facts.smallest_subnormal
    beyond = np.isfinite(size) & (size > facts.largest)
    return Bounded(x.value, np.where(size == 0.0, 0.0, np.where(beyond, np.inf, error)))
