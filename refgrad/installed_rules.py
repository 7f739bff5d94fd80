"""Rules of installed packages, which say under the entry point group ``refgrad.rules`` what they have and where it stands."""

from __future__ import annotations

import functools
import importlib
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from refgrad.errors import ArgumentError, bad_argument

#: the group of entry points
GROUP = "refgrad.rules"


def names() -> list[str]:
    """The names that installed packages give their rules, sorted; none of them is imported."""
    return sorted({each.name for each in entries()})


def entries() -> list[EntryPoint]:
    """The entry points under which installed packages have rules, sorted by name and place; none of them is imported."""
    return sorted(entry_points(group=GROUP), key=lambda each: (each.name, each.value))


def installed(name: str, base: type) -> Any:
    """The rule that a package has under a name.

    Args:
        name: as the entry point is called.
        base: the class that all rules have.

    Returns:
        The rule's class; None if no package has one of the name.

    Raises:
        ArgumentError: two packages have one, the module cannot be imported, or what is found there is no rule.
    """
    places = {each.value: each for each in entry_points(group=GROUP, name=name)}
    if len(places) > 1:
        legal = " or ".join(repr(value) for value in sorted(places))
        raise ArgumentError(f"{len(places)} installed packages have a rule {name!r}; legal: {legal}")
    return next((_loaded(each, base) for each in places.values()), None)


def _loaded(entry: EntryPoint, base: type) -> Any:
    place = f"the entry point {entry.name!r} of {GROUP}"
    try:
        # `EntryPoint.load` has no words of its own for a name that is missing
        found = functools.reduce(getattr, filter(None, (entry.attr or "").split(".")), _module(entry))
    except Exception as error:
        raise ArgumentError(
            f"{place} is {entry.value!r}, and loading it raised {type(error).__name__}: {error}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise bad_argument(f"{place}, {entry.value!r},", found, "the class of a rule, as in 'package.module:MyRule'")
    return found


def _module(entry: EntryPoint) -> Any:
    return importlib.import_module(entry.module)
