"""Which candidates are made in a process of their own, and the processes that wait for the next one."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from refgrad.errors import bad_argument
from refgrad.isolation.host import MEMORY, Child, Host

#: children that behaved and wait, with what they were started under
_IDLE: list[tuple[Any, Child]] = []

ISOLATED = "in a process of its own"
#: the value of ``isolate`` that takes no process in which another candidate was made, and leaves none
FRESH = "fresh"


def _now() -> Any:
    return os.getcwd(), tuple(sys.path), dict(os.environ)


def begin() -> None:
    """Start a process for the next candidate, so that it imports while the caller does something else."""
    _IDLE.append((_now(), Child(MEMORY)))


def _taken() -> Child | None:
    now = _now()
    while _IDLE:
        under, child = _IDLE.pop()
        if under == now and child.process.poll() is None:
            return child
        child.end()
    return None


def why_not(candidate: Any) -> str:
    """Why a candidate cannot be made in another process; empty if it can."""
    if os.name != "posix":
        return "this system has no processes of the kind that is needed"
    if not isinstance(candidate, str):
        return (
            "the candidate was handed over as an object; one that is named, as 'module:name', can be made again there"
        )
    return ""


@contextmanager
def hosted(candidate: Any, isolate: bool | str, time_limit: float) -> Iterator[Host | None]:
    """A host for a candidate, whose process is kept for the next one if it behaved; None where it is made here.

    Raises:
        ArgumentError: ``isolate`` is neither true, false nor `FRESH`.
    """
    if not isinstance(isolate, bool) and isolate != FRESH:
        raise bad_argument("isolate", isolate, f"True, False or {FRESH!r}")
    if not isolate or why_not(candidate):
        yield None
        return
    host = Host(time_limit, child=None if isolate == FRESH else _taken())
    try:
        yield host
    except BaseException:
        host.close()
        raise
    if isolate == FRESH:
        host.close()
        return
    child = host.released()
    if child is not None:
        _IDLE.append((_now(), child))


@atexit.register
def end() -> None:
    """End the processes that wait."""
    while _IDLE:
        _IDLE.pop()[1].end()
