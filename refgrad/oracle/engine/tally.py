"""What judging adds up: statuses by tensor, how near the ends they came, distances from the truth, and what was found first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.oracle.acceptance.judge import OUTSIDE, UNDECIDED, Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.ulp_errors import Errors, measure
from refgrad.oracle.engine import verdict as v
from refgrad.oracle.engine.environment import environment
from refgrad.oracle.engine.verdict import Count, Fault, Finding, Verdict


@dataclass
class Tally:
    """What became of a run; ``first`` is the first value outside, which the judge of the kind describes."""

    counts: dict[str, Count] = field(default_factory=dict)
    tightest: dict[str, float] = field(default_factory=dict)
    errors: dict[str, Errors] = field(default_factory=dict)
    first: Finding | None = None

    @property
    def outside(self) -> int:
        """How many elements of all tensors are outside."""
        return sum(c.outside for c in self.counts.values())

    def add(self, name: str, judged: Judged, values: np.ndarray, unit: np.dtype | None = None) -> bool:
        """One tensor of one step or case; distances too, in ulps of a dtype if one is given.

        Returns:
            Whether the first value outside is one of these.
        """
        self.counts[name] = self.counts.get(name, Count()) + count(judged)
        self.tightest[name] = max(self.tightest.get(name, 0.0), tightness(judged, values))
        if unit is not None:
            self.errors[name] = self.errors.get(name, Errors()) + measure(judged, values, unit)
        return self.first is None and bool((judged.status == OUTSIDE).any())

    def verdict(self, policy: Policy, faults: Sequence[Fault], **rest: Any) -> Verdict:
        """The verdict on a run of which this is all; ``rest`` are the fields that only the judge of the kind knows."""
        decided = sum(c.inside + c.outside for c in self.counts.values())
        return Verdict(
            outcome=v.DIFFERS if self.outside or faults else v.CONFORMS if decided else v.UNJUDGED,
            policy=policy.changed(),
            faults=tuple(faults),
            counts=self.counts,
            first=self.first,
            tightest=self.tightest,
            errors=self.errors,
            environment=environment(),
            **rest,
        )


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


def finding(
    step: int,
    tensor: str,
    leaf: str,
    judged: Judged,
    values: np.ndarray,
    unit: np.dtype,
    inputs: Callable[[tuple[int, ...]], Mapping[str, float]],
) -> Finding:
    """The first element outside of some that were judged.

    Args:
        step, tensor, leaf: where it stands, as in `Finding`.
        judged, values: the statuses, and what they are of; one element at least is outside.
        unit: the dtype whose units in the last place its distance is counted in; bool where there are none.
        inputs: what the element at an index was computed from.
    """
    index = tuple(int(i) for i in np.argwhere(judged.status == OUTSIDE)[0])
    value, truth = float(values[index]), float(judged.truth[index])
    low, high = float(judged.low[index]), float(judged.high[index])
    ulps = math.inf if unit == np.bool_ else _ulps(value, truth, unit)
    return Finding(step, tensor, leaf, index, str(unit), value, truth, low, high, ulps, dict(inputs(index)))


def _ulps(value: float, truth: float, unit: np.dtype) -> float:
    with np.errstate(all="ignore"):
        distance = abs(value - truth) / float(dtypes.ulp(np.asarray(truth), unit))
    return float(distance) if np.isfinite(distance) else math.inf
