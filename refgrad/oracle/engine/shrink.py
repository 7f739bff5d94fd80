"""Making what fails smaller: the first smaller cases that still fail are gone on from, for as long as there are any."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from refgrad.kinds.kind import Kind
from refgrad.oracle.acceptance.findings import Output
from refgrad.oracle.inputs.cases import Cases

#: seconds that the search for the smallest failing cases may take
SECONDS = 3.0


def smallest(kind: Kind, rule: Any, cases: Cases, first: Output, fails: Callable[[Cases], Output | None]) -> Cases:
    """Cases that fail, no larger than those given: greedy, and within a time.

    Args:
        kind, rule: say what is smaller, and legal.
        cases: what fails.
        first: the first output of these cases that has a value outside.
        fails: the first such output of other cases, None if there is none.
    """
    for start in kind.shrunk_from(cases, first):
        found = fails(start)
        if found is not None:
            return least(kind, rule, start, found.index, lambda smaller: _index(fails(smaller)), SECONDS)
    return kind.shrunk_from(cases, first)[-1]


def _index(found: Output | None) -> tuple[int, ...] | None:
    return None if found is None else found.index


def least(
    kind: Kind,
    rule: Any,
    best: Cases,
    index: tuple[int, ...],
    fails: Callable[[Cases], tuple[int, ...] | None],
    seconds: float,
) -> Cases:
    """What fails, and of which nothing smaller was found that does; or what was reached within the seconds.

    Args:
        kind, rule: say what is smaller, and legal.
        best: what fails.
        index: of an element that is wrong.
        fails: the index of one of other cases that is wrong, None if there is none.
        seconds: that this may take.
    """
    deadline, found = time.monotonic() + seconds, True
    while found and time.monotonic() < deadline:
        found = False
        for smaller in kind.smaller(rule, best, index):
            if time.monotonic() > deadline:
                break
            at = fails(smaller)
            if at is not None:
                best, index, found = smaller, at, True
                break
    return best
