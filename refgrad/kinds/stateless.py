"""Kinds whose candidates are functions: each case is a question, and each answer is judged alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from refgrad.candidates.faults import check_kept, copies
from refgrad.candidates.protocol import STRIDED, CandidateFault
from refgrad.errors import bad_argument
from refgrad.kinds.kind import Kind
from refgrad.kinds.record import CASES, Call, Question, Record, Results, Wanted
from refgrad.oracle.acceptance import no_numbers
from refgrad.oracle.acceptance.findings import Output
from refgrad.oracle.acceptance.judgement import Judged, admitted, met
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.inputs.cases import Arrays, Cases
from refgrad.tracing import Plans, plan_for

#: the results of one case, each with its statuses and the values that were judged, in conditioning order
Answer = Mapping[str, tuple[Judged, np.ndarray]]


def judged_of(cases: Cases, outputs: Iterable[Output]) -> Iterator[Output]:
    """The outputs that cases are about; where NaN leaves what programs give open, none of them is undecided."""
    for output in outputs:
        settled = not cases.may_meet and output.judged.no_number is None
        if settled and cases.outputs is None:  # so that large values are not widened
            yield replace(output, judged=admitted(output.judged)) if cases.nan_open else output
            continue
        values = np.asarray(output.values, np.float64)
        if cases.outputs is not None and output.tensor not in cases.outputs:
            looked_at = no_numbers.alone(output.judged, values)
            if looked_at is not None:
                yield replace(output, judged=looked_at)
            continue
        judged = admitted(output.judged) if cases.nan_open else output.judged
        judged = met(judged, values) if cases.may_meet and output.unit != np.bool_ else judged
        yield replace(output, judged=no_numbers.refused(judged, values))


class Stateless(Kind):
    """A kind whose candidates are functions: each case is a question, and each answer is judged alone."""

    def resolve(
        self, candidate: Any, rule: Any, options: Mapping[str, Any], state_names: Mapping[str, str] | None
    ) -> Any:
        """The candidate; ``state_names`` make no sense."""
        if state_names:
            raise bad_argument("state_names", dict(state_names), f"None: a rule of the kind {self.name} has no state")
        return self.find(candidate, options)

    @abstractmethod
    def find(self, candidate: Any, options: Mapping[str, Any]) -> Any:
        """The candidate that a thing is."""

    @abstractmethod
    def start(self, subject: Any, rule: Any, call: Call) -> Callable[[Arrays], Any]:
        """The candidate ready to be asked: a function from a case's arrays, which it may keep, to whatever it returns."""

    def handed(self, rule: Any, arrays: Arrays) -> Arrays:
        """What of a case a candidate is handed."""
        return arrays

    @abstractmethod
    def results(self, rule: Any, arrays: Arrays, returned: Any, name: str) -> Results:
        """What a candidate returned, as results by name in the rule's shapes; a `CandidateFault` if it is none."""

    @abstractmethod
    def judge(self, rule: Any, arrays: Arrays, seen: Results, policy: Policy, plans: Plans = plan_for) -> Answer:
        """The results of one case, judged in conditioning order; a `CandidateFault` if they are none."""

    def no_numbers(self, rule: Any, arrays: Arrays, seen: Results) -> Mapping[str, np.ndarray]:
        """By result where no program gives a number, of a case with NaN or infinities; nowhere by default."""
        return {}

    def read(self, rule: Any, arrays: Arrays, seen: Results, how: Mapping[str, Any]) -> tuple[Arrays, Results]:
        """A case and its results with a departure of the kind's own undone, for the rule to judge (see `Kind.departures`)."""
        return arrays, seen

    def departed(self, rule: Any, how: Mapping[str, Any]) -> Any:
        """The rule as it is judged under a departure of the kind's own (see `Kind.rewritten`)."""
        return rule

    def questions(self, subject: Any, record: Record, call: Call) -> Iterator[Question]:
        """One a case; a candidate in another process is handed all of them at once, and goes on by itself."""
        rule, started = record.rules[0], list[Callable[[Arrays], Any]]()
        elsewhere = self.begun(subject, rule, record.cases)

        def ask(arrays: Arrays) -> Results:
            if elsewhere is not None:
                return self.results(rule, arrays, elsewhere(), subject.name)
            if not started:
                started.append(self.start(subject, rule, call))
            given = self.handed(rule, arrays)
            handed = copies(given, _strided(subject))
            returned = started[0](handed)
            check_kept(handed, given, subject.name)
            return self.results(rule, arrays, returned, subject.name)

        for arrays in record.cases.arrays:
            yield lambda arrays=arrays: ask(arrays)  # type: ignore[misc]

    def begun(self, subject: Any, rule: Any, cases: Cases) -> Callable[[], Any] | None:
        """What gives the answers in turn of a candidate that is in another process; here as it asks for them."""
        begin = getattr(subject, "begin_cases", None)
        if begin is None or not cases.arrays:
            return None
        given = [self.handed(rule, arrays) for arrays in cases.arrays]
        found: Callable[[], Any] = begin(
            rule, given, [self.forms(rule, each) for each in cases.arrays], _strided(subject)
        )
        return found

    def forms(self, rule: Any, arrays: Arrays) -> Any:
        """What `start` has to know of a case beside its arrays, none of it an expected value; None if nothing."""
        return None

    def foresee(self, rule: Any, arrays: Arrays, forms: Any) -> None:
        """Take the `forms` of the case that is asked for next, where this is not the process that judges."""

    def outputs(self, record: Record, rules: list[Any], wanted: Wanted) -> Iterator[Output]:
        """The results of each case that was answered."""
        yield from judged_of(record.cases, self._outputs(record, rules, wanted))

    def _outputs(self, record: Record, rules: list[Any], wanted: Wanted) -> Iterator[Output]:
        (rule,), policy = rules, wanted.policy.opened() if record.cases.nan_open else wanted.policy
        for number, (arrays, seen) in enumerate(zip(record.cases.arrays, record.seen, strict=False)):
            if seen is None or not arrays[rule.primary].size:  # no number was computed
                continue
            arrays, seen = self.read(rule, arrays, seen, wanted.how)
            answer = self.judge(self.departed(rule, wanted.how), arrays, seen, policy, wanted.plans)
            if record.cases.nan_open or record.cases.may_meet:
                looked_at = no_numbers.looked_at(
                    {n: j for n, (j, _) in answer.items()}, self.no_numbers(rule, arrays, seen)
                )
                answer = {n: (looked_at[n], values) for n, (_, values) in answer.items()}
            for name, (judged, values) in answer.items():
                unit = self.unit(rule, name, arrays, values)
                yield Output(number + 1, number, name, judged, values, unit, self._origin(rule, arrays, values))

    def exactly(self, rule: Any, record: Record, digits: int) -> dict[str, Any]:
        """Those of the rule's graph, where it has one for its results as they are seen."""
        seen = record.seen[-1]
        graph = self.graph(rule, self.conditioned(rule, record.cases.arrays[-1], seen))
        if graph is None:
            return {}
        found = graph.exactly(rule, digits)
        shapes = {n: np.shape(a) for n, a in seen.items()}
        return {n: np.broadcast_to(a, shapes[n]) for n, a in found.items() if n in shapes}

    def conditioned(self, rule: Any, arrays: Arrays, seen: Results) -> Arrays:
        """A case with what its results show of the candidate's own choices, where it makes some."""
        return arrays

    def mode(self, tensors: Iterable[str], record: Record) -> str:
        """Case by case; kinds that judge one output given another say so."""
        return CASES

    def unit(self, rule: Any, name: str, arrays: Arrays, values: np.ndarray) -> np.dtype:
        """The dtype whose units in the last place distances are counted in; bool where there are none."""
        return values.dtype

    def beside(self, rule: Any, arrays: Arrays, values: np.ndarray) -> Arrays:
        """The arrays of a case that have a number for each element of a result."""
        shape = arrays[rule.primary].shape
        return {n: a for n, a in arrays.items() if values.shape == shape and broadcasts(a, shape)}

    def _origin(self, rule: Any, arrays: Arrays, values: np.ndarray) -> Callable[[tuple[int, ...]], dict[str, float]]:
        def origin(index: tuple[int, ...]) -> dict[str, float]:
            like = self.beside(rule, arrays, values)
            at = {n: float(np.broadcast_to(a, values.shape)[index]) for n, a in like.items()}
            return at or {n: float(a.reshape(-1)[0]) for n, a in arrays.items() if a.size == 1}

        return origin


def _strided(subject: Any) -> bool:
    return STRIDED in getattr(subject, "abilities", ())


def broadcasts(array: np.ndarray, shape: tuple[int, ...]) -> bool:
    """True if an array has the shape, or can be broadcast to it."""
    return array.ndim <= len(shape) and all(a in (1, b) for a, b in zip(array.shape[::-1], shape[::-1], strict=False))


def misshapen(what: str, shape: tuple[int, ...], legal: tuple[int, ...]) -> CandidateFault:
    """The fault of a result of another shape."""
    return CandidateFault("shape", f"{what} has shape {shape}; legal: {legal}")
