"""Programs of a scaling with the batch size: its formulas, which have no graph, run as they stand on numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from refgrad.strength.programs.base import ORDINARY, Case
from refgrad.strength.programs.transform import BodyPrograms


class ScalingPrograms(BodyPrograms):
    """The numbers that are made of a batch size, in float64."""

    #: all cases decide which mutants count: each is a few numbers
    few = 1000
    #: each formula has a handful of operations, of which a few ways to round are soon all tried
    most_runs = 1_000

    def cases(self, seed: int) -> Iterator[Case]:
        """A case a batch size; those are ordinary numbers, all of them."""
        return (replace(case, family=ORDINARY[0]) for case in super().cases(seed))
