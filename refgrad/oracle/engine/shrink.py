"""Making what fails smaller: the first smaller cases that still fail are gone on from, for as long as there are any."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from refgrad.kinds.kind import Kind
from refgrad.oracle.acceptance.findings import Output
from refgrad.oracle.inputs.cases import Cases

#: from cases to the first output that has a value outside, None if none has
Fails = Callable[[Cases], Output | None]
#: seconds that the search for the smallest failing cases may take
SECONDS = 3.0


def smallest(kind: Kind, rule: Any, cases: Cases, first: Output, fails: Fails, seconds: float = SECONDS) -> Cases:
    """Cases that fail, no larger than those given: greedy, and within a time.

    Args:
        kind, rule: say what is smaller, and legal.
        cases: what fails.
        first: the first output of these cases that has a value outside.
        fails: judges smaller ones.
        seconds: that this may take.
    """
    deadline = time.monotonic() + seconds
    starts = kind.shrunk_from(cases, first)
    best, found = starts[-1], None
    for start in starts:
        found = fails(start)
        if found is not None:
            best = start
            break
    while found is not None and time.monotonic() < deadline:
        index, found = found.index, None
        for candidate in kind.smaller(rule, best, index):
            if time.monotonic() > deadline:
                break
            found = fails(candidate)
            if found is not None:
                best = candidate
                break
    return best
