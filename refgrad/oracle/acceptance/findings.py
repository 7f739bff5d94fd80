"""What is found of a candidate: counts of elements, one element outside its set, and faults besides values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.oracle.acceptance.judgement import OUTSIDE, UNDECIDED, Judged


@dataclass(frozen=True)
class Count:
    """How many elements of one tensor are inside, outside, or undecided (every answer seen is acceptable)."""

    inside: int = 0
    outside: int = 0
    undecided: int = 0

    @property
    def total(self) -> int:
        """All elements that were judged."""
        return self.inside + self.outside + self.undecided

    def __add__(self, other: Count) -> Count:
        return Count(self.inside + other.inside, self.outside + other.outside, self.undecided + other.undecided)


Counts = Mapping[str, Count]


@dataclass(frozen=True)
class AtStep:
    """The elements of one tensor at one step or case: how many are inside and outside, and the largest error over allowed."""

    count: Count = Count()
    largest: float = 0.0

    def __add__(self, other: AtStep) -> AtStep:
        return AtStep(self.count + other.count, max(self.largest, other.largest))


@dataclass(frozen=True)
class Finding:
    """One element outside its acceptance set.

    ``tensor`` is ``p``, a state slot or a result, ``leaf`` the path in the pytree; ``low`` and ``high`` bound the acceptance
    set; ``ulps`` is the distance from the truth in units in the last place of the truth (infinite for a wrong class, such
    as NaN); ``inputs`` are the values that the element was computed from (``t`` among them).
    """

    step: int
    tensor: str
    leaf: str
    index: tuple[int, ...]
    dtype: str
    value: float
    truth: float
    low: float
    high: float
    ulps: float
    inputs: Mapping[str, float]


#: characters of a fault's message
TOLD = 4000


@dataclass(frozen=True)
class Fault:
    """Something wrong besides a value: ``kind`` is a key of `FAULTS`, ``step`` the step or case.

    A message may have a candidate's words, of which no more than `TOLD` characters are kept.
    """

    kind: str
    step: int
    message: str

    def __post_init__(self) -> None:
        if len(self.message) > TOLD:
            object.__setattr__(self, "message", f"{self.message[:TOLD]} ...")


FAULTS: Mapping[str, str] = {
    "raised": "the candidate raised an exception",
    "shape": "an output has another shape than its parameter",
    "dtype": "an output has another dtype than its input had",
    "mutated": "the candidate changed its gradient or, though it is pure, its inputs",
    "aliased": "the candidate's state changes when the caller reuses the gradient's memory",
    "structure": "the candidate returned something that is not what the rule returns",
    "resumed": "the candidate's state is not the same once it was saved and loaded",
    "situation": "right on ordinary cases, and wrong in a situation that `verify` drives besides",
    "hung": "the candidate did not return in time",
    "crashed": "the candidate raised what ends a program: SystemExit, GeneratorExit or KeyboardInterrupt",
    "biased": "stochastic rounding does not go up as often as the distances say, each time anew",
    "count": "a mask keeps another number of entries than the rule says",
}


def count(judged: Judged) -> Count:
    """How many elements have which status."""
    inside, outside, undecided = np.bincount(judged.status.ravel(), minlength=3)[:3]
    return Count(int(inside), int(outside), int(undecided))


def tightness(judged: Judged, values: np.ndarray) -> float:
    """The largest distance from the truth over half the width of what is acceptable, of what is decided."""
    with np.errstate(all="ignore"):
        half = (judged.high - judged.low) / 2
        ratio = np.abs(values.astype(np.float64) - judged.truth) / half
    usable = (half > 0) & np.isfinite(ratio) & (judged.status != UNDECIDED)
    return float(np.max(ratio, where=usable, initial=0.0))


@dataclass(frozen=True)
class Output:
    """One output of a candidate, judged.

    Attributes:
        step: the step that it came out of, or the case, counted from 1; 0 for the state before the first step.
        leaf: which of the cases it belongs to, counted from 0.
        tensor: ``p``, a slot of the state, or a result of the rule.
        judged: the status of each element, and its acceptance set.
        values: what was seen, shaped like the statuses.
        unit: the dtype whose units in the last place distances are counted in; bool where there are none.
        origin: from an element's index to what it was computed from, by name.
    """

    step: int
    leaf: int
    tensor: str
    judged: Judged
    values: np.ndarray
    unit: np.dtype
    origin: Callable[[tuple[int, ...]], Mapping[str, float]]

    @property
    def index(self) -> tuple[int, ...]:
        """The index of the first element outside, if one at least is."""
        return tuple(int(i) for i in np.argwhere(self.judged.status == OUTSIDE)[0])

    def finding(self, path: str) -> Finding:
        """The first element outside, if one at least is; ``path`` is what the case or leaf is called."""
        judged, index = self.judged, self.index
        value, (truth, low, high) = float(self.values[index]), judged.at(index)
        off = math.inf if self.unit == np.bool_ else ulps(value, truth, self.unit)
        origin = dict(self.origin(index))
        return Finding(self.step, self.tensor, path, index, str(self.unit), value, truth, low, high, off, origin)


def ulps(value: float, truth: float, unit: np.dtype) -> float:
    """The distance of a value from the truth in units in the last place of the truth; infinite where there is none."""
    with np.errstate(all="ignore"):
        distance = abs(value - truth) / float(dtypes.ulp(np.asarray(truth), unit))
    return float(distance) if np.isfinite(distance) else math.inf
