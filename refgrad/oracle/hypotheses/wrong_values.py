"""What an input is where elements are wrong, and nowhere else: zero, negative, NaN, infinite.

The last that is told of a candidate which no change of the rule explains. It is no name of a fault, and true as it stands: it
says of the elements that were seen which ones are wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.candidates.protocol import Observation
from refgrad.kinds.record import Record
from refgrad.oracle.acceptance.findings import Output
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE
from refgrad.oracle.engine.outcomes import Departure
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.engine.tally import Tally

#: of the elements where a condition holds, how many must be wrong: what is wrong may be right by chance
SHARE = 0.6

Mask = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Condition:
    """What a number may be.

    Attributes:
        words: what completes "elements where g is ...".
        holds: where it is so.
        least: how many elements that are so must be wrong, and how many others right: few numbers are zero, half are negative.
    """

    words: str
    holds: Mask
    least: int = 2


def _subnormal(x: np.ndarray) -> np.ndarray:
    least = dtypes.format_of(x.dtype).smallest_normal
    return (x != 0) & (np.abs(x.astype(np.float64)) < least)


#: the narrowest first
CONDITIONS: tuple[Condition, ...] = (
    Condition("zero without a sign", lambda x: (x == 0) & ~np.signbit(x)),
    Condition("zero with a sign", lambda x: (x == 0) & np.signbit(x)),
    Condition("zero", lambda x: x == 0),
    Condition("NaN", np.isnan),
    Condition("infinite", np.isinf),
    Condition("NaN or infinite", lambda x: ~np.isfinite(x)),
    Condition("subnormal", _subnormal),
    Condition("negative", lambda x: x < 0, 16),
    Condition("positive", lambda x: x > 0, 16),
    Condition("negative or minus zero", lambda x: np.signbit(x) & ~np.isnan(x), 16),
)


def explain(claim: Claim, record: Record, tally: Tally) -> tuple[Departure, ...]:
    """Which values an input has where elements are wrong; nothing where wrong elements have no such value in common.

    Args:
        claim: who claims to be what.
        record: what was seen.
        tally: the same, judged.
    """
    counted = _counted(claim, record)
    total = sum(count.total for count in tally.counts.values())
    for condition in CONDITIONS:
        for name in counted:
            if told_by(condition, counted[name][condition.words]):
                words = f"where {name} is {condition.words}"
                return (Departure(words, f"elements {words} are wrong, and no others that were seen", 0, total),)
    return ()


def told_by(condition: Condition, counts: np.ndarray) -> bool:
    """True if all that is wrong is where a condition holds, and most of what is there is wrong.

    Args:
        condition: the condition.
        counts: as `tallied` gives them.
    """
    wrong_there, wrong_elsewhere, right_there, right_elsewhere = counts
    enough = min(wrong_there, right_elsewhere) >= condition.least
    return bool(enough and not wrong_elsewhere and wrong_there >= SHARE * (wrong_there + right_there))


def tallied(holds: np.ndarray, wrong: np.ndarray, right: np.ndarray) -> np.ndarray:
    """How many are wrong where something holds and elsewhere, and how many right."""
    return np.array([np.count_nonzero(each) for each in (wrong & holds, wrong & ~holds, right & holds, right & ~holds)])


def _counted(claim: Claim, record: Record) -> dict[str, dict[str, np.ndarray]]:
    """By input and condition how many elements are wrong where it holds and elsewhere, and how many right; of each element once.

    Nothing where something is wrong that is no element of the inputs, such as the scale of a group.
    """
    found: dict[str, dict[str, np.ndarray]] = defaultdict(lambda: defaultdict(lambda: np.zeros(4, int)))
    for (step, leaf), (wrong, right) in _statuses(claim, record).items():
        if wrong is None:
            return {}
        for name, array in _inputs(record, step, leaf, wrong.shape).items():
            for condition in CONDITIONS:
                with np.errstate(all="ignore"):
                    holds = condition.holds(array)
                found[name][condition.words] += tallied(holds, wrong, right)
    return found


def _statuses(claim: Claim, record: Record) -> dict[tuple[int, int], tuple[np.ndarray | None, np.ndarray]]:
    """By step and leaf which elements are wrong in some output, and which are right in all that were decided."""
    found: dict[tuple[int, int], tuple[np.ndarray | None, np.ndarray]] = {}
    for output in claim.kind.outputs(record, list(record.rules), claim.wanted):
        if not output.step:
            continue
        place = output.step, output.leaf
        shape = np.shape(record.cases.arrays[output.leaf][claim.rule.primary])
        wrong, right = _of(output)
        if wrong.shape != shape:
            if wrong.any():
                found[place] = None, right
            continue
        before = found.get(place)
        if before is None:
            found[place] = wrong, right
        elif before[0] is not None:
            found[place] = before[0] | wrong, (before[1] | right) & ~(before[0] | wrong)
    return found


def _of(output: Output) -> tuple[np.ndarray, np.ndarray]:
    return output.judged.status == OUTSIDE, output.judged.status == INSIDE


def _inputs(record: Record, step: int, leaf: int, shape: tuple[int, ...]) -> Mapping[str, np.ndarray]:
    """The arrays of numbers that one step of a leaf is made of, or one case."""
    return {
        name: np.asarray(array)
        for name, array in _all_inputs(record, step, leaf)
        if isinstance(array, np.ndarray) and array.shape == shape and dtypes.is_float(array.dtype)
    }


def _all_inputs(record: Record, step: int, leaf: int) -> Iterator[tuple[str, Any]]:
    if not record.cases.steps:
        yield from record.cases.arrays[leaf].items()
        return
    yield from record.cases.steps[step - 1][leaf].items()
    before = record.seen[step - 1]
    if isinstance(before, Observation):
        yield "p", before.params[leaf]
        yield from before.state[leaf].items()
