"""What it is to be a kind of rule: the protocol between the oracle and the kinds.

Every question that the oracle answers goes the same way: a candidate is resolved, driven through cases, and each of its
outputs is judged in conditioning order; what was seen is counted, explained, made smaller and reproduced. The engine
(`refgrad.oracle.engine`) does all of that once. A kind says what differs, and nothing else:

* how a candidate is found (`Kind.resolve`), what it is driven with (`generate`, `checked`), and how it is asked (`questions`);
* which outputs are judged, from what, and in which order (`outputs`);
* what a smaller case is (`smaller`, `reduced`), and which other rules could have given the same answers (`comparable`);
* which graph its mutants are made of (`graph`), and which laws hold of it (`laws`).

For example a mask: ``resolve`` finds a function or a framework's pruning class; ``questions`` hands it each case's copies and
checks that a mask of zeros and ones came back; ``outputs`` gives the scores, if they were shown, and then the mask given the
scores; ``smaller`` cuts rows and columns and replaces magnitudes by 0, 1, 2; the ``graph`` is that of the scores.

To add a kind is to write one such class in a file of this room, and to name it in `refgrad.kinds.table`.
"""

from __future__ import annotations

import contextlib
import functools
from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from refgrad.candidates.arguments import named_by
from refgrad.candidates.resolve import load
from refgrad.errors import ArgumentError, bad_argument
from refgrad.kinds.record import Call, Driven, Graph, Question, Record, Situation, Wanted
from refgrad.oracle.acceptance.explicit_sets import Way
from refgrad.oracle.acceptance.findings import Counts, Fault, Output
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.inputs.cases import Arrays, Cases
from refgrad.oracle.inputs.extremes import extremes
from refgrad.oracle.inputs.settings import other_settings, settable, whole_settings
from refgrad.oracle.inputs.sizes import MANY
from refgrad.tracing import Plan, Plans, plan_for

#: the situation that every kind has whose rules take arrays of any shape
SHAPES = "shapes"
#: the situation of rows whose exponentials are all zero, or all infinite
FAR = "far from zero"
#: the situation of few numbers whose norm is just below and just above a number of the rule
NORMS = "norms near a bound"
#: the situation of a candidate that takes numbers by name: what 0, 1 and infinity hide
SETTING = "another setting"
#: the situations of kinds whose rules take what is no ordinary number
NOT_FINITE = ("NaN", "infinities")
#: steps or cases of another setting
FEW = 3


class Kind(ABC):
    """A kind of rule; one instance is shared by all who ask."""

    #: what `Rule.kind` says
    name: ClassVar[str]
    #: True if a run goes on in steps, the cases being its leaves; else each case is a question of its own
    stepped: ClassVar[bool] = False
    #: True if `Request.steps` is the number of cases or steps
    counted: ClassVar[bool] = True
    #: True if the results of a case cannot be judged with one of them exchanged
    results_hang_together: ClassVar[bool] = False
    #: True if what `departed` gives runs as a rule does, so that two departures can be told apart by what they compute
    departs_whole: ClassVar[bool] = False
    #: what inputs of one's own hold, for messages
    legal_inputs: ClassVar[str] = "refgrad.Cases"

    @abstractmethod
    def resolve(
        self, candidate: Any, rule: Any, options: Mapping[str, Any], state_names: Mapping[str, str] | None
    ) -> Any:
        """The candidate, ready to be asked; it has a ``name``.

        Raises:
            CandidateError: it cannot be found, or is nothing that can be checked as this kind.
        """

    @abstractmethod
    def generate(self, rule: Any, steps: int, dtype: np.dtype, seed: int, subject: Any = None) -> Cases:
        """Cases that reach where wrong code shows; ``subject`` is the candidate, where what it takes matters."""

    def named(self, subject: Any, rule: Any, thing: Any, options: Mapping[str, Any]) -> frozenset[str]:
        """The hyperparameters that a candidate is told by name; ``thing`` is what it was found from."""
        if hasattr(subject, "takes"):
            return frozenset(subject.takes(self.told(rule)))
        arrays = () if self.stepped else rule.takes()  # one of them may have a hyperparameter's name
        return named_by(load(thing) if isinstance(thing, str) else thing, rule, options).difference(arrays)

    def situations(self, rule: Any, asked: Driven) -> Iterator[Situation]:
        """What a candidate is driven through besides the generated cases, each time anew; a situation that fails ends it.

        Here shapes, and another setting of the numbers that it is told by name.
        """
        cases = self.sizes(rule, asked.dtype, asked.seed)
        if cases is not None:
            yield Situation(SHAPES, cases, rule, left_out="" if self.stepped else _beyond(cases, rule.primary))
            takes, finite = (functools.partial(f, rule) for f in (self._takes, self._finite))
            more = None if self.stepped else extremes(cases, rule.primary, takes, finite)
            if more is not None:
                yield Situation("extremes", more, rule)
            far = None if self.stepped else self.far(rule, cases)
            if far is not None:
                yield Situation(FAR, far, rule)
        first, *others = other_settings(rule, settable(rule, asked.named), asked.named) or [None]
        if first is not None:
            yield replace(next(self._set([first], asked)), instead=functools.partial(self._set, others, asked))
        for other in whole_settings(rule, asked.named):
            with contextlib.suppress(ArgumentError):  # there are no arrays for it
                yield from (each for each in self._set([other], asked) if self._taken(other, each.cases))

    def unreached(self, rule: Any, reached: Container[str]) -> Iterator[str]:
        """What no situation of a run reached that a situation of the kind may, as a sentence each."""
        return iter(())

    def far(self, rule: Any, cases: Cases) -> Cases | None:
        """Cases with rows far from zero, of kinds whose rules may take exponentials; None of others."""
        return None

    def _set(self, rules: list[Any], asked: Driven) -> Iterator[Situation]:
        yield from (Situation(SETTING, self.few(rule, asked), rule) for rule in rules)

    def _taken(self, rule: Any, cases: Cases) -> bool:
        """True if a rule takes cases, or has state, so that its cases are made for it."""
        return self.stepped or any(self._takes(rule, arrays) for arrays in cases.arrays)

    def _takes(self, rule: Any, arrays: Arrays) -> bool:
        """True if a rule without state takes the arrays of a case."""
        try:
            self.literal(rule, arrays)  # type: ignore[attr-defined]
        except (ArgumentError, ArithmeticError, IndexError, ValueError):
            return False
        return True

    def _finite(self, rule: Any, arrays: Arrays) -> bool:
        """True if it takes them, and has finite numbers for them."""
        if not self._takes(rule, arrays):
            return False
        with np.errstate(all="ignore"):
            found = self.literal(rule, arrays)  # type: ignore[attr-defined]
        return all(np.isfinite(np.asarray(each, np.float64)).all() for each in found)

    def promised(self, subject: Any) -> tuple[str, ...]:
        """The situations that the documentation promises of the kind; a verdict names those that a rule does not have."""
        return ()

    def shown_otherwise(self, rule: Any) -> list[Any]:
        """Named variants of a rule that a candidate may answer in another form than the rule, so that they are tried apart."""
        return []

    def few(self, rule: Any, asked: Driven) -> Cases:
        """Fewer cases than `generate` makes by default, for another setting of the rule."""
        return self.generate(rule, FEW, asked.dtype, asked.seed, asked.subject)

    def sizes(self, rule: Any, dtype: np.dtype, seed: int) -> Cases | None:
        """Cases of few numbers in many shapes that the rule takes; None if it takes one shape alone."""
        return None

    def checked(self, rule: Any, cases: Cases) -> Cases:
        """A caller's own cases, completed; `ArgumentError` if the rule cannot take them."""
        return cases

    def own(self, rule: Any, inputs: Any) -> Cases | None:
        """A caller's ``inputs`` as cases, checked; None if there are none.

        Raises:
            ArgumentError: they are no `Cases`, or none that the rule takes.
        """
        if inputs is None:
            return None
        if not isinstance(inputs, Cases):
            raise bad_argument("inputs", inputs, f"{self.legal_inputs}, or None")
        return self.checked(rule, inputs)

    def record(self, rule: Any, cases: Cases) -> Record:
        """A record of nothing yet."""
        return Record(cases, [rule])

    @abstractmethod
    def questions(self, subject: Any, record: Record, call: Call) -> Iterator[Question]:
        """What a candidate is asked, in order; what each gives is appended to ``record.seen`` before the next is made.

        Each question hands out copies, and raises a `CandidateFault` for an answer that is none.
        """

    def begun(self, subject: Any, rule: Any, cases: Cases) -> Any:
        """Have a candidate that is in another process begin with cases of which it will be asked; others do nothing."""
        return None

    @abstractmethod
    def outputs(self, record: Record, rules: list[Any], wanted: Wanted) -> Iterator[Output]:
        """Every output that was seen, judged as if it were of some rules, in conditioning order.

        Raises:
            CandidateFault: what was seen cannot be an answer of these rules.
        """

    def apart(self, record: Record, rules: list[Any], wanted: Wanted) -> Iterator[Output]:
        """Every output, judged whatever the others are: what a comparison with a tolerance, which knows of no order, sees.

        Here as in `outputs`, where outputs depend on no others, or on codes and choices that are compared exactly.
        """
        return self.outputs(record, rules, wanted)

    def whole(self, rule: Any, record: Record) -> Record:
        """The record as it is judged, once the candidate was asked all."""
        return record

    #: what `fewer` leaves, for a note
    fewer_are: ClassVar[str] = ""

    def fewer(self, cases: Cases) -> Cases | None:
        """The generated cases that a candidate may take which refuses to be built with all; None if there are no others."""
        return None

    def completed(self, rule: Any, cases: Cases) -> Cases:
        """The cases with what the rule takes and they do not have."""
        return cases

    def expected(self, rule: Any) -> tuple[str, ...]:
        """The outputs that the rule has, so that the verdict can name those that the candidate did not give."""
        return ()

    def essential(self, rule: Any) -> tuple[str, ...]:
        """The outputs without which nothing can be said of a candidate, whatever else it gives."""
        return ()

    def fault_of(self, record: Record, output: Output) -> Fault | None:
        """A fault that an output of the claim itself shows, besides values outside."""
        return None

    def faults(self, record: Record, wanted: Wanted) -> Iterator[Fault]:
        """Faults that only the run as a whole shows; notes on them are added to the record."""
        return iter(())

    def notes(self, subject: Any, record: Record, counts: Counts) -> Iterator[str]:
        """What is not judged, and why."""
        return iter(())

    def unlike(self, rule: Any, record: Record, policy: Policy) -> Iterator[str]:
        """What is no refusal, and yet no accident, of a candidate that conforms: a sentence each."""
        return iter(())

    def ways(self, rule: Any, record: Record, policy: Policy, given: Container[str]) -> list[Way]:
        """The sets on every way through the decisions of the last step or case that was seen, where a graph tells them.

        Args:
            rule: what is judged as.
            record: what was seen.
            policy: what counts as correct.
            given: the outputs on which later ones are conditioned.

        Returns:
            The ways, that of the centres first; none where only what was seen can be judged.
        """
        return []

    def computed_from(self, rule: Any, record: Record) -> Mapping[str, frozenset[str]]:
        """Of each result of the last step the others that it is computed from, and judged given, whatever their order."""
        return {}

    def judged_as_seen(self, rule: Any, record: Record) -> frozenset[str]:
        """The results of the last step or case that are not unique, so that what was seen of them is judged by residuals."""
        return frozenset()

    def exactly(self, rule: Any, record: Record, digits: int) -> dict[str, Any]:
        """The results of the last step or case in exact arithmetic, given the outputs that were seen.

        Args:
            rule: what is judged as.
            record: what was seen.
            digits: decimal digits of the arithmetic.

        Returns:
            Arrays of mpmath numbers, for the results that have an exact path, and are unique.
        """
        return {}

    @abstractmethod
    def mode(self, tensors: Iterable[str], record: Record) -> str:
        """How reports call the way in which these tensors were judged."""

    def comparable(self, rule: Any, other: Any, record: Record) -> bool:
        """True if what was seen of a candidate that claims to be a rule could be judged as another's."""
        return bool(rule.takes().keys() == other.takes().keys() and rule.gives().keys() == other.gives().keys())

    @abstractmethod
    def smaller(self, rule: Any, cases: Cases, index: tuple[int, ...]) -> Iterator[Cases]:
        """Cases that are smaller than one, or simpler; ``index`` is that of the element that was found outside."""

    def shrunk_from(self, cases: Cases, first: Output) -> list[Cases]:
        """What making smaller starts from, the smallest first: the first that fails is gone on from."""
        return [cases.only(first.leaf)]

    def reduced(self, record: Record) -> Cases | None:
        """The cases on which hypotheses are tried by asking again, where that is cheaper; None to use the record itself."""
        return None

    def couples(self, record: Record) -> bool:
        """True if elements cannot be judged apart, because outputs depend on whole arrays."""
        return True

    def told(self, rule: Any) -> Any:
        """The rule that a candidate is told to be: the rule, or the one within it whose state it says how to keep."""
        return rule

    def retold(self, rule: Any, told: Any) -> Any:
        """The rule with another in that place, as a candidate says that it was told for one of its leaves."""
        return told

    def departures(self, rule: Any) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Departures that only this kind has: a name, a sentence, and keywords for `Wanted.how`."""
        return iter(())

    def told_departures(self, rule: Any, record: Record) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Departures that only this kind has and whose numbers a run tells: as `departures`."""
        return iter(())

    def rewritten(self, rule: Any) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Mutants of a rule without a graph, which are made of its text: as `departures`."""
        return iter(())

    def grouped(self, rule: Any, array: np.ndarray) -> np.ndarray | None:
        """An array as groups that share something, such as a scale: one a row; None of rules without groups."""
        return None

    def graph(self, rule: Any, arrays: Arrays) -> Graph | None:
        """What the rule's graph takes of a case; None if the rule has no graph, so that it has no mutants."""
        return None

    def traced(self, rule: Any, record: Record, plans: Plans = plan_for) -> list[Plan]:
        """The plans that a record takes under a rule, which mutants are made of; none if the rule has no graph."""
        graph = self.graph(rule, record.cases.arrays[0])
        return [] if graph is None else [graph.plan(rule, plans)]

    def literal(self, rule: Any, arrays: Arrays, plans: Plans = plan_for) -> list[np.ndarray]:
        """The rule's results for a case in float64, to tell whether two hypotheses are the same function."""
        found = self.graph(rule, {n: np.asarray(a, np.float64) for n, a in arrays.items()})
        if found is None:
            raise ArgumentError(f"{rule} has no graph")
        results = found.evaluated(rule, plans)
        return [np.broadcast_to(np.asarray(results[n], np.float64), found.shape) for n in sorted(results)]

    def laws(self, rule: Any) -> tuple[Any, ...]:
        """The laws of the kind, and of this rule."""
        return ()


def _beyond(cases: Cases, primary: str) -> str:
    """What sizes are not among some cases; empty where one is beyond blocks and counters of 16 bits."""
    most = max((arrays[primary].size for arrays in cases.arrays), default=0)
    return "" if most > MANY else f"arrays of more than {most:,} elements"
