"""What the measurement asks of a kind of rule: its cases, its random legal programs, its mutants, and refgrad's word on them."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from refgrad.oracle.acceptance.judge import Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.tally import Tally
from refgrad.strength import graph_programs
from refgrad.strength.other_judges import rejected_by
from refgrad.strength.rounding_styles import Style

Arrays = Mapping[str, np.ndarray]
Results = dict[str, np.ndarray]
#: what was judged, by name: statuses, and the values that they are of
Judgement = Mapping[str, tuple[Judged, np.ndarray]]
FLOAT32 = np.dtype(np.float32)
#: families of ordinary numbers, as tests draw them from a normal distribution
ORDINARY = ("ordinary", "normal")
#: the edge of a corner, on which it is decided which mutants count
EDGE = 4
#: seeds of the cases on which mutants that survive are tried again
MORE_SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class Case:
    """Arrays of one family of numbers: those that a candidate is handed, and those that the rule's graph reads."""

    family: str
    arrays: Arrays
    read: Arrays

    @property
    def ordinary(self) -> bool:
        """True if the numbers are ordinary."""
        return self.family in ORDINARY


class Mutants(NamedTuple):
    """The mutants that are tried, each with a name and a sentence; if they are a sample, of how many."""

    tried: Sequence[Any]
    sampled_of: int | None = None


class Programs(ABC):
    """A rule as the measurement sees it: one subclass a kind of rule.

    Args:
        rule: the rule.
    """

    #: the keys of this kind's figures in docs/strength.json: of random programs, of mutants
    parts: tuple[str, str] = ("case programs", "case mutants")
    #: so many cases decide which mutants count
    few = 3
    #: so many runs of random programs are enough, whatever values they give
    most_runs: float = math.inf
    #: so many rounds of cases are looked at for every mutant; the others only while refgrad has not rejected it
    always = 1

    def __init__(self, rule: Any) -> None:
        self.rule = rule

    @classmethod
    def why_not(cls, rule: Any) -> str | None:
        """Why no program of a rule of this kind can be made at random; None if one can."""
        return None

    @abstractmethod
    def cases(self, seed: int) -> Iterator[Any]:
        """The families that `refgrad.verify` generates, in float32."""

    @abstractmethod
    def legal(self, case: Any, random: np.random.Generator, style: Style) -> Any:
        """What a random legal program gives."""

    @abstractmethod
    def mutated(self, case: Any, mutation: Any) -> Any:
        """What the rule gives as it stands (None), or changed, each operation in float32."""

    @abstractmethod
    def mutants(self, cases: Sequence[Any], most: float = math.inf) -> Mutants:
        """The mutants that are others in real arithmetic on some case, at most so many of the graph's."""

    @abstractmethod
    def judged(self, case: Any, given: Any, policy: Policy) -> Tally:
        """What refgrad says of what a program gave; a `CandidateFault` for what the rule does not know."""

    def reference(self, case: Any) -> Any:
        """What the other judges compare with: the rule run as it stands."""
        return self.mutated(case, None)

    @abstractmethod
    def rejections(self, given: Any, reference: Any) -> Iterator[set[str]]:
        """The other judges that reject what was given, one set a program."""

    def judged_in_parts(self, case: Any, given: Any, policy: Policy) -> Iterator[Tally]:
        """The same, first of a part that shows most faults, if it is cheaper."""
        yield self.judged(case, given, policy)

    def enough(self, values: int) -> int:
        """How many values of random programs are enough where so many are asked for."""
        return values

    def batches(self, values: int) -> Iterator[Iterable[Any]]:
        """Cases of random programs, batch after batch, until so many values were judged."""
        for seed in itertools.count():
            yield self.cases(seed)

    def rounds(self) -> Iterator[list[Any]]:
        """The cases that mutants are tried on, round after round."""
        for seed in (0, *MORE_SEEDS):
            yield list(self.cases(seed))

    def share_of(self, output: str) -> str:
        """What the largest distance from the truth of an output is counted as."""
        return "results"


class CasePrograms(Programs):
    """A rule without state, whose cases are arrays, each judged by itself; by default its programs are of its graph."""

    @abstractmethod
    def judgement(self, case: Case, results: Results, policy: Policy) -> Judgement:
        """What refgrad says of the results of one case."""

    def legal(self, case: Case, random: np.random.Generator, style: Style) -> Results:
        return graph_programs.legal_program(self.rule, case.read, random, style)

    def mutated(self, case: Case, mutation: Any) -> Results:
        return graph_programs.mutated_program(self.rule, mutation, case.read)

    def mutants(self, cases: Sequence[Case], most: float = math.inf) -> Mutants:
        corners = [corner(case.read) for case in cases[: self.few]]
        return Mutants(graph_programs.graph_mutants(self.rule, corners, most))

    def judged(self, case: Case, given: Results, policy: Policy) -> Tally:
        tally = Tally()
        for name, (judged, values) in self.judgement(case, given, policy).items():
            tally.add(name, judged, values)
        return tally

    def rejections(self, given: Results, reference: Results) -> Iterator[set[str]]:
        pairs = [(given[n], reference[n]) for n in given if n in reference]
        yield set().union(*(rejected_by(np.asarray(a, np.float32), np.asarray(b, np.float32)) for a, b in pairs))


def corner(arrays: Arrays) -> Arrays:
    """The first rows and columns of each array."""
    shape = next(iter(arrays.values())).shape
    return {
        n: a[tuple(slice(0, EDGE if a.shape[i] == shape[i] else None) for i in range(min(a.ndim, 2)))].copy()
        for n, a in arrays.items()
    }
