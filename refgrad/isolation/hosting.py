"""Which candidates are made in a process of their own, and the processes that wait for the next one."""

from __future__ import annotations

import atexit
import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from refgrad.errors import bad_argument
from refgrad.float_environment import guarding
from refgrad.isolation import program
from refgrad.isolation.host import MEMORY, Host
from refgrad.isolation.process import Child, surroundings
from refgrad.isolation.recipe import FailedThereError, NotMadeError, Recipe, importable, named
from refgrad.rule import Rule

Result = TypeVar("Result")

#: children that behaved and wait, with what they were started under
_IDLE: list[tuple[Any, Child]] = []

ISOLATED, NOT = "in a process of its own", "not isolated"
#: the value of ``isolate`` that takes no process in which another candidate was made, and leaves none
FRESH = "fresh"


@dataclass(frozen=True)
class Place:
    """Where a candidate ran.

    Attributes:
        isolation: that it was in a process of its own, or "not isolated" and why; empty where that was not asked for.
        environment: what the process says of itself.
        notes: of the process, and of what was printed there.
    """

    isolation: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def _now() -> Any:
    return os.getcwd(), tuple(sys.path), surroundings()


def possible() -> bool:
    """Whether this system has what isolation needs: groups of processes, and descriptors that a child is handed."""
    return os.name == "posix"


def begin() -> None:
    """Start a process for the next candidate, so that it imports while the caller does something else; none where none can be."""
    if possible() and not _IDLE:
        _IDLE.append((_now(), Child(MEMORY)))


def _taken() -> Child | None:
    now = _now()
    while _IDLE:
        under, child = _IDLE.pop()
        if under == now and child.process.poll() is None:
            return child
        child.end()
    return None


def target_of(candidate: Any) -> Any:
    """What a candidate can be made of in another process: a target, a recipe or a rule.

    Raises:
        NotMadeError: it cannot be made there; the text says why.
    """
    if isinstance(candidate, str | Rule):
        return candidate
    recipe = named(candidate) if not isinstance(candidate, Recipe) else candidate
    if recipe is None:
        raise NotMadeError(
            "the candidate was handed over as an object that has no name in a module; one that is named, as 'module:name', "
            "can be made again there"
        )
    if recipe.why:
        raise NotMadeError(recipe.why)
    if not importable(recipe):
        raise NotMadeError(f"there is no module {recipe.place!r} there")
    return recipe


def judged(
    candidate: Any, isolate: bool | str, time_limit: float, judge: Callable[[Any, Any], Result]
) -> tuple[Result, Place]:
    """What becomes of a candidate that is made in a process of its own, or here where it cannot even be asked for there.

    Args:
        candidate: as `refgrad.verify` takes it, or a recipe.
        isolate: as `refgrad.verify` takes it. A child has no say in where the candidate is made.
        time_limit: seconds that one question may take.
        judge: is handed the candidate, and what makes it elsewhere, as `refgrad.oracle.engine.request.Request.resolve`.

    Raises:
        FailedThereError: it was asked for in a process of its own, and making it failed.
        ArgumentError: ``isolate`` is neither true, false nor `FRESH`, or `FRESH` where there is no isolation.
    """
    if not isinstance(isolate, bool) and not (isinstance(isolate, str) and isolate == FRESH):
        raise bad_argument("isolate", isolate, f"True, False or {FRESH!r}")
    if not isolate:
        return judge(_here(candidate), None), Place()
    program.check_not_loading()
    if not possible():
        none = f"there is no isolation on {platform.system() or 'this system'}"
        if isolate == FRESH:
            raise bad_argument("isolate", isolate, f"True or False, since {none}; the candidate then runs here")
        return judge(_here(candidate), None), Place(f"{NOT}: {none}")
    try:
        return _hosted(target_of(candidate), isolate == FRESH, time_limit, judge)
    except NotMadeError as error:
        if isinstance(candidate, str):
            raise FailedThereError(error) from None
        why = str(error)
    return judge(_here(candidate), None), Place(f"{NOT}: {why}")


def _here(candidate: Any) -> Any:
    return candidate.here() if isinstance(candidate, Recipe) else candidate


def _hosted(target: Any, fresh: bool, time_limit: float, judge: Callable[[Any, Any], Result]) -> tuple[Result, Place]:
    host = Host(time_limit, child=None if fresh else _taken())
    try:
        with guarding():  # what the caller's thread does to numbers is nothing of the candidate's
            found = judge(target, host.resolve)
        environment, notes = host.surroundings()
    except NotMadeError as error:
        host.close()
        if fresh:
            raise FailedThereError(error) from None
        raise
    except BaseException:
        host.close()
        raise
    child = host.released()
    if child is not None and fresh:
        child.end()
    elif child is not None:
        _IDLE.append((_now(), child))
    return found, Place(ISOLATED, environment, tuple(notes))


@atexit.register
def end() -> None:
    """End the processes that wait."""
    while _IDLE:
        _IDLE.pop()[1].end()
