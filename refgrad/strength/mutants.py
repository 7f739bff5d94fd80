"""Mutants of a rule, run in float32 and judged by refgrad and by the comparisons that tests use; all should be rejected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from refgrad.candidates.protocol import CandidateFault
from refgrad.oracle.acceptance.policy import Policy
from refgrad.strength.figures import MutantFigures, Survivor
from refgrad.strength.other_judges import OTHER_JUDGES
from refgrad.strength.programs import Programs
from refgrad.strength.programs.base import Mutants
from refgrad.strength.rejections import JUDGES, REFGRAD, Rejections

#: a case, and the rule run on it as it stands
Known = list[tuple[Any, Any]]


def measure_mutants(programs: Programs, chosen: Sequence[Any] | None = None) -> MutantFigures:
    """Mutants, judged by every judge.

    Args:
        programs: the rule as the measurement sees it; see `refgrad.strength.programs.programs_of`.
        chosen: the mutants; by default every one that is another in real arithmetic.
    """
    rounds = _Rounds(programs)
    mutants = programs.mutants([case for case, _ in next(iter(rounds))]) if chosen is None else Mutants(chosen)
    rejections, impossible, survivors = Rejections(), 0, []
    for mutation in mutants.tried:
        trial = _Trial(programs, mutation)
        try:
            trial.run(rounds)
        except (ArithmeticError, ValueError):
            impossible += 1  # it cannot be run with these hyperparameters
            continue
        rejections.add(trial.ordinary, trial.anywhere)
        if REFGRAD not in trial.anywhere:
            survivors.append(Survivor(mutation.name, mutation.sentence, trial.share))
    made = rejections.programs["all"]
    return MutantFigures(made, impossible, rejections.rejected, tuple(survivors), mutants.sampled_of)


class _Rounds:
    """The rounds of cases that mutants are tried on, made when they are first needed."""

    def __init__(self, programs: Programs) -> None:
        self.programs, self.more, self.known = programs, programs.rounds(), list[Known]()

    def __iter__(self) -> Iterator[Known]:
        yield from self.known
        for cases in self.more:
            self.known.append([(case, self.programs.reference(case)) for case in cases])
            yield self.known[-1]


class _Trial:
    """One mutant, and the judges that rejected it: on ordinary numbers, and on any."""

    def __init__(self, programs: Programs, mutation: Any) -> None:
        self.programs, self.mutation = programs, mutation
        self.ordinary: set[str] = set()
        self.anywhere: set[str] = set()
        #: the largest error over what is allowed
        self.share = 0.0

    def run(self, rounds: _Rounds) -> None:
        """Round after round; those after the first only while refgrad has not rejected the mutant."""
        for number, known in enumerate(rounds):
            if REFGRAD in self.anywhere and number >= self.programs.always:
                break
            for case, reference in known:
                with np.errstate(all="ignore"):
                    self._judge(case, reference)

    def _judge(self, case: Any, reference: Any) -> None:
        known = self.ordinary if case.ordinary else self.anywhere
        if len(known) == len(JUDGES):
            return
        given = self.programs.mutated(case, self.mutation)
        found: set[str] = set()
        if not known >= set(OTHER_JUDGES):
            for judges in self.programs.rejections(given, reference):
                found |= judges
                if len(found) == len(OTHER_JUDGES):
                    break
        if REFGRAD not in known and self._outside(case, given):
            found.add(REFGRAD)
        self.anywhere |= found
        if case.ordinary:
            self.ordinary |= found

    def _outside(self, case: Any, given: Any) -> bool:
        """True if refgrad finds some value outside."""
        try:
            for tally in self.programs.judged_in_parts(case, given, Policy()):
                self.share = max([self.share, *tally.tightest.values()])
                if tally.outside:
                    return True
        except CandidateFault:  # codes that the rule does not know
            return True
        return False
