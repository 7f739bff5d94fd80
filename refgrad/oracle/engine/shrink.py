"""Making something smaller for as long as it still fails: the first smaller one that does is gone on from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

Thing = TypeVar("Thing")


def least(
    best: Thing, smaller: Callable[[Thing], Iterator[Thing]], fails: Callable[[Thing], bool], seconds: float
) -> Thing:
    """What fails, and of which nothing smaller was found that does; or what was reached within the seconds."""
    deadline = time.monotonic() + seconds
    changed = True
    while changed and time.monotonic() < deadline:
        changed = False
        for candidate in smaller(best):
            if time.monotonic() > deadline:
                break
            if fails(candidate):
                best, changed = candidate, True
                break
    return best
