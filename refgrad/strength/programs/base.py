"""What the measurement asks of a kind of rule besides what the oracle asks: random legal programs, and mutants.

The cases that programs are run on and refgrad's word on them are those of the kind itself (`refgrad.kinds`).
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from refgrad.kinds.record import Results
from refgrad.kinds.stateless import Answer, Stateless
from refgrad.kinds.table import kind_of
from refgrad.oracle.acceptance.findings import Count
from refgrad.oracle.acceptance.judgement import Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.screened_outputs import summary
from refgrad.oracle.engine.tally import Tally
from refgrad.oracle.inputs.cases import Arrays
from refgrad.strength import graph_programs
from refgrad.strength.other_judges import rejected_by
from refgrad.strength.rounding_styles import Style

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
    #: so many runs of random programs are enough, whatever values they give
    most_runs: float = math.inf
    #: so many rounds of cases are looked at for every mutant; the others only while refgrad has not rejected it
    always = 1

    def __init__(self, rule: Any) -> None:
        self.rule = rule
        self.kind: Any = kind_of(rule)

    @classmethod
    def why_not(cls, rule: Any) -> str | None:
        """Why no program of a rule of this kind can be made at random; None if one can."""
        return None

    @abstractmethod
    def cases(self, seed: int) -> Iterator[Any]:
        """The families that `refgrad.verify` generates, in float32."""

    @abstractmethod
    def legal(self, case: Any, random: np.random.Generator, style: Style) -> Any:
        """What a random legal program gives.

        Args:
            case: one of `cases` or `batches`.
            random: where the program's choices come from.
            style: what the program may do, and how it rounds.
        """

    @abstractmethod
    def mutated(self, case: Any, mutation: Any) -> Any:
        """What the rule gives, each operation in float32.

        Args:
            case: one of `cases` or `rounds`.
            mutation: what is changed, one of `mutants`; None for the rule as it stands.
        """

    @abstractmethod
    def mutants(self, cases: Sequence[Any], most: float = math.inf) -> Mutants:
        """The mutants that are others in real arithmetic on some case.

        Args:
            cases: the cases of the first round.
            most: how many mutants of the rule's graph are looked at.
        """

    @abstractmethod
    def judged(self, case: Any, given: Any, policy: Policy) -> Tally:
        """What refgrad says of what a program gave.

        Raises:
            CandidateFault: it has something that the rule does not know, such as a code.
        """

    def reference(self, case: Any) -> Any:
        """What the other judges compare with: the rule run as it stands."""
        return self.mutated(case, None)

    @abstractmethod
    def rejections(self, given: Any, reference: Any) -> Iterator[set[str]]:
        """The other judges that reject what was given, one set a program; ``reference`` is what they compare with."""

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

    #: so many cases are generated of a kind that makes as many as one likes, and decide which mutants count
    few = 3
    kind: Stateless

    def cases(self, seed: int) -> Iterator[Case]:
        made = self.kind.generate(self.rule, self.few, FLOAT32, seed)
        for name, arrays in zip(made.names, made.arrays, strict=True):
            graph = self.kind.graph(self.rule, arrays)
            yield Case(name, arrays, arrays if graph is None else graph.arrays)

    def legal(self, case: Case, random: np.random.Generator, style: Style) -> Results:
        return graph_programs.legal_program(self.rule, case.read, random, style)

    def mutated(self, case: Case, mutation: Any) -> Results:
        return graph_programs.mutated_program(self.rule, mutation, case.read)

    def mutants(self, cases: Sequence[Case], most: float = math.inf) -> Mutants:
        corners = [corner(case.read) for case in cases[: self.few]]
        return Mutants(graph_programs.graph_mutants(self.rule, corners, most))

    def judged(self, case: Case, given: Results, policy: Policy) -> Tally:
        return tally((n, *judged) for n, judged in self.answer(case, given, policy).items())

    def answer(self, case: Case, given: Results, policy: Policy) -> Answer:
        """What the kind says of the results of one case."""
        return self.kind.judge(self.rule, case.arrays, given, policy)

    def rejections(self, given: Results, reference: Results) -> Iterator[set[str]]:
        pairs = [(given[n], reference[n]) for n in given if n in reference]
        yield set().union(*(rejected_by(np.asarray(a, np.float32), np.asarray(b, np.float32)) for a, b in pairs))


def tally(outputs: Iterable[tuple[str, Judged, np.ndarray]]) -> Tally:
    """Outputs added up: how many elements have which status, and how near the ends of their sets they came."""
    found = Tally()
    for name, judged, values in outputs:
        each = summary(judged, values)
        found.counts[name] = found.counts.get(name, Count()) + each.counted
        found.tightest[name] = max(found.tightest.get(name, 0.0), each.tightest)
    return found


def corner(arrays: Arrays) -> Arrays:
    """The first rows and columns of each array."""
    shape = next(iter(arrays.values())).shape
    return {
        n: a[tuple(slice(0, EDGE if a.shape[i] == shape[i] else None) for i in range(min(a.ndim, 2)))].copy()
        for n, a in arrays.items()
    }
