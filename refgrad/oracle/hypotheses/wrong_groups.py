"""What groups that share a scale are where they are wrong, and no others: all zero, tiny, with NaN, led by a negative number.

The same as `refgrad.oracle.hypotheses.wrong_values`, of what is wrong by groups: a scale that is 0/0 or a largest number
without its magnitude.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.kinds.record import Record
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE
from refgrad.oracle.engine.outcomes import Departure
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.engine.tally import Tally
from refgrad.oracle.hypotheses.wrong_values import Condition, tallied, told_by


def _tiny(rows: np.ndarray) -> np.ndarray:
    return np.max(np.abs(rows.astype(np.float64)), axis=1) < dtypes.format_of(rows.dtype).smallest_normal


def _led_down(rows: np.ndarray) -> np.ndarray:
    largest = np.argmax(np.abs(rows), axis=1)
    return np.asarray(np.take_along_axis(rows, largest[:, None], axis=1)[:, 0] < 0)


def _every(mask: np.ndarray) -> np.ndarray:
    return np.asarray(np.all(mask, axis=1))


def _some(mask: np.ndarray) -> np.ndarray:
    return np.asarray(np.any(mask, axis=1))


#: of the rows of an array, the narrowest first
CONDITIONS: tuple[Condition, ...] = (
    Condition("of zeros", lambda rows: _every(rows == 0)),
    Condition("of numbers below the least normal one", _tiny),
    Condition("with NaN", lambda rows: _some(np.isnan(rows))),
    Condition("with an infinity", lambda rows: _some(np.isinf(rows))),
    Condition("with NaN or an infinity", lambda rows: _some(~np.isfinite(rows))),
    Condition("without a positive number", lambda rows: ~_some(rows > 0)),
    Condition("without a negative number", lambda rows: ~_some(rows < 0)),
    Condition("whose largest magnitude is that of a negative number", _led_down, 8),
)


def explain(claim: Claim, record: Record, tally: Tally) -> tuple[Departure, ...]:
    """Which groups are wrong; nothing of rules without groups, or where those that are wrong have nothing in common.

    Args:
        claim: who claims to be what.
        record: what was seen.
        tally: the same, judged.
    """
    counted = _counted(claim, record)
    total = sum(count.total for count in tally.counts.values())
    for condition in CONDITIONS:
        if condition.words in counted and told_by(condition, counted[condition.words]):
            words = f"in groups {condition.words}"
            return (Departure(words, f"groups {condition.words} are wrong, and no others that were seen", 0, total),)
    return ()


def _counted(claim: Claim, record: Record) -> dict[str, np.ndarray]:
    """By condition how many groups are wrong where it holds and elsewhere, and how many right; nothing without groups."""
    wrong, right = dict[int, np.ndarray](), dict[int, np.ndarray]()
    cut = dict[int, np.ndarray]()
    rule = claim.rule
    for output in claim.kind.outputs(record, list(record.rules), claim.wanted):
        leaf, status = output.leaf, output.judged.status
        x = record.cases.arrays[leaf][rule.primary]
        rows = cut[leaf] if leaf in cut else claim.kind.grouped(rule, x)
        if rows is None:
            return {}
        cut[leaf] = rows
        there, known = (_by_group(claim, status == which, x, len(rows)) for which in (OUTSIDE, INSIDE))
        if there is None or known is None:
            return {}
        wrong[leaf] = wrong.get(leaf, np.zeros(len(rows), bool)) | there
        right[leaf] = right.get(leaf, np.zeros(len(rows), bool)) | known
    found: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(4, int))
    for leaf, rows in cut.items():
        for condition in CONDITIONS if rows.size else ():
            with np.errstate(all="ignore"):
                found[condition.words] += tallied(condition.holds(rows), wrong[leaf], right[leaf] & ~wrong[leaf])
    return found


def _by_group(claim: Claim, status: np.ndarray, x: np.ndarray, groups: int) -> np.ndarray | None:
    """True of each group of which some element is so; None where an output is neither by elements nor by groups."""
    if status.size == groups:
        return np.asarray(status.reshape(groups))
    if status.size != x.size:
        return None
    rows = claim.kind.grouped(claim.rule, status.reshape(x.shape).astype(np.float32))
    return None if rows is None else _some(rows != 0)
