"""Where elements are wrong: the tail of an array, all beyond a place, or the first ones alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refgrad.kinds.kind import SHAPES
from refgrad.kinds.record import Record
from refgrad.oracle.acceptance.judgement import OUTSIDE
from refgrad.oracle.engine.outcomes import Departure
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.engine.tally import Tally

#: lengths of blocks whose tail may be forgotten: vector widths, warps, blocks of threads
WIDTHS = tuple(sorted({*(2**k for k in range(1, 17)), *range(96, 1025, 32)}, key=lambda n: (n & (n - 1) != 0, n)))
#: of the elements of which a place says that they are wrong, how many must be: some are right by chance
SHARE = 0.8
#: elements at most that are the first ones of an array
FIRST = 64


def explain(claim: Claim, record: Record, tally: Tally) -> tuple[Departure, ...]:
    """What is wrong in a situation of a candidate that conforms on ordinary cases: the place of the elements, or the situation.

    Args:
        claim: who claims to be what, and in which situation.
        record: what was seen there.
        tally: the same, judged.
    """
    total = sum(count.total for count in tally.counts.values())
    leaves = list(wrong_elements(claim, record).values()) if claim.situation == SHAPES else []
    for name, sentence in _places(leaves):
        return (Departure(name, sentence, 0, total),)
    return ()


def first_ones(claim: Claim, record: Record, tally: Tally) -> tuple[Departure, ...]:
    """The same of ordinary cases, whose arrays have no tail: the first elements of each, if these alone are wrong."""
    leaves = list(wrong_elements(claim, record).values())
    count = max((int(np.flatnonzero(wrong)[-1]) + 1 for wrong in leaves if wrong.any()), default=0)
    parts = [wrong[: min(count, wrong.size)] for wrong in leaves]
    if not count or count > FIRST or sum(int(p.sum()) for p in parts) < SHARE * sum(p.size for p in parts):
        return ()
    name = "the first element" if count == 1 else f"the first {count} elements"
    sentence = f"{name} of an array {'is' if count == 1 else 'are'} wrong, and no others"
    return (Departure(name, sentence, 0, sum(c.total for c in tally.counts.values())),)


def wrong_elements(claim: Claim, record: Record) -> dict[int, np.ndarray]:
    """For each leaf or case which of its elements are wrong in some output of that size, flat."""
    primary = claim.rule.primary
    found: dict[int, np.ndarray] = {}
    for output in claim.kind.outputs(record, list(record.rules), claim.wanted):
        shape = record.cases.arrays[output.leaf][primary].shape if output.leaf < len(record.cases.arrays) else ()
        if output.judged.status.size == int(np.prod(shape)) and output.step:
            wrong = (output.judged.status == OUTSIDE).ravel()
            found[output.leaf] = found.get(output.leaf, np.zeros(wrong.shape, bool)) | wrong
    return {leaf: wrong for leaf, wrong in sorted(found.items()) if wrong.size}


def _places(leaves: list[np.ndarray]) -> Iterator[tuple[str, str]]:
    """Names and sentences of the places that hold all that is wrong, and little that is not."""
    if not any(wrong.any() for wrong in leaves):
        return
    for width in WIDTHS:
        if _fits([(wrong, wrong.size // width * width) for wrong in leaves]) and _are_tails(leaves, width):
            yield f"tail of {width}", f"the last n % {width} of an array's n elements are wrong, and no others"
            return
    first = min(int(wrong.argmax()) for wrong in leaves if wrong.any())
    if first and _fits([(wrong, min(first, wrong.size)) for wrong in leaves]):
        yield f"from {first} on", f"elements from number {first} of an array on are wrong, and no others"


def _are_tails(leaves: list[np.ndarray], width: int) -> bool:
    """True if an array that is longer than its tail is wrong, and the tail of none is mostly right."""
    tails = [wrong[wrong.size // width * width :] for wrong in leaves]
    longer = any(tail.any() and tail.size < wrong.size for tail, wrong in zip(tails, leaves, strict=True))
    return longer and all(tail.mean() >= SHARE / 2 for tail in tails if tail.size)


def _fits(parts: list[tuple[np.ndarray, int]]) -> bool:
    """True if nothing is wrong before a place in each array, and nearly all is from there on."""
    if any(wrong[:start].any() for wrong, start in parts):
        return False
    rest = [wrong[start:] for wrong, start in parts]
    return sum(int(r.sum()) for r in rest) >= SHARE * sum(r.size for r in rest) and any(r.size for r in rest)
