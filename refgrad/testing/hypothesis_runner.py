"""What Hypothesis draws until a law is broken, and then makes smaller for a while."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any, TypeVar

from refgrad.testing.reports import SHRINKING, BrokenLawError, Enough

Drawn = TypeVar("Drawn")


def smallest(
    strategy: Any,
    broken: Callable[[Drawn], str],
    length: Callable[[Drawn], tuple[int, int]],
    *,
    examples: int,
    seed: int,
) -> tuple[Drawn, str] | None:
    """The shortest that was drawn of which ``broken`` says something, with what it says; None if there is none."""
    import hypothesis

    known: list[tuple[Drawn, str]] = []
    deadlines: list[float] = []

    # what a profile of the caller's says of phases and randomness does not count: a seed gives the same inputs everywhere
    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        derandomize=False,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.target, hypothesis.Phase.shrink),
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )
    @hypothesis.given(strategy)
    def attempt(drawn: Drawn) -> None:
        if deadlines and time.monotonic() > deadlines[0]:
            raise Enough
        message = broken(drawn)
        if message:
            known.append((drawn, message))
            deadlines.append(time.monotonic() + SHRINKING)
            raise BrokenLawError(message)

    with contextlib.suppress(BrokenLawError, Enough):
        attempt()
    return min(known, key=lambda found: length(found[0])) if known else None
