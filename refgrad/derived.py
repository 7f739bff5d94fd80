"""What follows from a frozen object: worked out once, and kept with the object but not part of it.

A rule or a plan is a value. Its fields are all that equality, hash, repr, pickles and copies see; its slots, graphs, sources
and compiled kernels follow from the fields. `derived` keeps them in one store an object, which no copy carries over.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

from refgrad.float_environment import in_standard

Owner = TypeVar("Owner", bound="Frozen")
Value = TypeVar("Value")


class Frozen:
    """Base of a frozen dataclass from which things are derived.

    A copy, by ``copy``, by ``pickle`` or in another process, is made by the class from the fields alone.
    """

    __slots__ = ("_derived",)

    #: what was derived so far, by the function that derives it
    _derived: dict[Callable[[Any], Any], Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        new = super().__new__(cls)
        object.__setattr__(new, "_derived", {})
        return new

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _made, (type(self), _fields(self))


def derived(make: Callable[[Owner], Value]) -> Callable[[Owner], Value]:
    """The function, run once for each object that it is called with.

    Args:
        make: a method of a `Frozen` class, or a function of one `Frozen` object. It depends on the object's fields alone. A
            result that can be changed, such as a dict, is the same one at every call, so that it can be filled.

    Returns:
        A function of the same object, which keeps its results with it.

    >>> from refgrad.optimizers import SGD
    >>> @derived
    ... def noted(rule):
    ...     return []
    >>> rule = SGD()
    >>> noted(rule).append("used once")
    >>> noted(rule), noted(SGD())
    (['used once'], [])
    """

    @functools.wraps(make)
    def kept(owner: Owner) -> Value:
        try:
            return owner._derived[make]
        except KeyError:
            pass
        made = in_standard(make)(owner)  # it is kept, and must not depend on who came first
        return owner._derived.setdefault(make, made)  # of two threads, both get what the first one made

    return kept


def unchecked(thing: Owner, changes: Mapping[str, Any]) -> Owner:
    """A copy with some fields changed to values that the class's own checks never see, such as a tracer's scalars.

    Args:
        thing: the object.
        changes: new values of fields, by name.

    Returns:
        The copy.
    """
    new = type(thing).__new__(type(thing))
    for name, value in (_fields(thing) | dict(changes)).items():
        object.__setattr__(new, name, value)
    return new


def _fields(thing: Any) -> dict[str, Any]:
    return {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing)}


def _made(cls: type[Owner], fields: Mapping[str, Any]) -> Owner:
    return cls(**fields)
