"""A change with what is outside under it, whether it fits what was seen, and which of several comes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from refgrad.oracle.acceptance.findings import Count, Counts
from refgrad.oracle.hypotheses.changes import Change

_ORDER = {"none": 0, "field": 1, "value": 2, "policy": 3, "rule": 4, "mutant": 5}


@dataclass(frozen=True, eq=False)
class Scored:
    """A change and the statuses of elements under it.

    Attributes:
        change: what is changed.
        counts: by output.
        claimed: the same under the claim itself, which a change is held against; empty if that could not be judged.
        loose: True if what the claimed rule itself gives is inside under the change too, so that it explains nothing.
    """

    change: Change
    counts: Counts
    claimed: Counts = field(default_factory=dict)
    loose: bool = False

    @property
    def outputs(self) -> Iterable[str]:
        """The outputs that are judged under the change or under the claim."""
        return {**self.claimed, **self.counts}

    @cached_property
    def outside(self) -> int:
        """Elements outside, and elements that the claim decides and the change does not."""
        return sum(map(self.unexplained, self.outputs))

    def unexplained(self, output: str) -> int:
        """The elements of an output that the change does not explain.

        Those outside; and, of an output that it leaves unjudged or undecided for the most part, those too: sets that are so
        wide that they take in everything explain nothing. What the claim leaves undecided as well is not held against it.
        """
        count, claimed, total = self.counts.get(output, Count()), self.claimed.get(output, Count()), self._total(output)
        left = total - count.inside - count.outside
        excused = claimed.undecided * total / max(claimed.total, 1)
        return count.outside + (left if left > max(count.inside, excused) else 0)

    def _total(self, output: str) -> int:
        """How many elements there are; of a run that is wrong only those that were looked at."""
        count, claimed = self.counts.get(output, Count()), self.claimed.get(output, Count())
        partly = count.total and any(c.outside for c in self.counts.values())
        return count.total if partly else max(count.total, claimed.total)

    @cached_property
    def wrong(self) -> float:
        """The share of elements that are not explained, averaged over outputs: one that is right as a whole counts much."""
        shares = [self.unexplained(n) / self._total(n) for n in self.outputs if self._total(n)]
        return sum(shares) / len(shares) if shares else 1.0

    @cached_property
    def fits(self) -> bool:
        """True if nothing is outside, and what the claim decides is decided."""
        return self.outside == 0 and any(c.inside for c in self.counts.values())

    @property
    def decided(self) -> float:
        """The shares of elements inside, summed over outputs."""
        return decided(self.counts)

    @cached_property
    def rank(self) -> tuple[float, ...]:
        """What comes first: what fits, exactly, of the claimed rule, and with the fewest changes."""
        c = self.change
        wide = bool(c.policy) or "scalars" in c.rule
        other = c.of is not None
        return (not self.fits, self.wrong, self.loose, c.model, c.precision, other, c.parts, wide, _ORDER[c.kind])


def decided(counts: Mapping[str, Count]) -> float:
    """The shares of elements inside, summed over outputs: how much of a run counts explain."""
    return sum(c.inside / c.total for c in counts.values() if c.total)
