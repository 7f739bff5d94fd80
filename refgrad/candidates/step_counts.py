"""Where an optimizer of a framework keeps how many steps it has taken: all of these places are set together.

A state that was saved late has the count there. What an optimizer counts elsewhere, where it cannot be found, is not set, so
that nothing is said of such an optimizer's late steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from refgrad.errors import CandidateError

#: parts of names that say that a number is a count of steps
COUNTING = frozenset({"step", "steps", "t", "iter", "iteration", "iterations", "count", "counter", "calls"})

#: a place: values by name, and the name
Place = tuple[MutableMapping[str, Any], str]


def places(optimizer: Any, taken: int, name: str) -> list[Place]:
    """Every place where an optimizer keeps how many steps it has taken.

    Args:
        optimizer: one of torch's interface: ``state``, a mapping for each parameter, ``param_groups``, and its own attributes.
        taken: how many steps it has taken.
        name: what errors call it.

    Returns:
        Each once. A number of a group that was zero at first and has risen to the steps taken counts them, whatever its name.

    Raises:
        CandidateError: some parameter has no such place, in its state, its group or the optimizer.
    """
    shared = [*_own(vars(optimizer), taken)]
    found = [*shared]
    for group in optimizer.param_groups:
        of_group = [*_own(group, taken), *_risen(group, getattr(optimizer, "defaults", {}), taken)]
        found += of_group
        for parameter in group["params"]:
            own = [*_own(optimizer.state.get(parameter, {}), taken)]
            if not (own or of_group or shared):
                raise CandidateError(f"the state of {name} has no count of steps that could be set")
            found += own
    return found


def set_counts(found: Iterable[Place], count: int) -> None:
    """Put a count in every place.

    Args:
        found: the places.
        count: how many steps were taken.
    """
    for values, key in found:
        if isinstance(values[key], (int, float)):
            values[key] = type(values[key])(count)
        else:
            values[key].fill_(count)


def _own(values: MutableMapping[str, Any], taken: int) -> Iterator[Place]:
    """The places among some values that are named for a count and hold it."""
    for key, value in values.items():
        if isinstance(key, str) and COUNTING & set(key.lower().split("_")) and _number(value) == taken:
            yield values, key


def _risen(group: MutableMapping[str, Any], first: Mapping[str, Any], taken: int) -> Iterator[Place]:
    """The places in a group of numbers with other names that were zero when it was made: what is set by users stays as it was."""
    named = {key for _, key in _own(group, taken)}
    for key, value in group.items():
        if key not in named and _number(first.get(key)) == 0 and _number(value) == taken:
            yield group, key


def _number(value: Any) -> float | None:
    """A number, or that of a tensor of one; None of anything else."""
    if isinstance(value, bool) or not (isinstance(value, (int, float)) or getattr(value, "numel", int)() == 1):
        return None
    return float(value)
