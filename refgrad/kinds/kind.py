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

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from refgrad.arithmetic import exact, floats
from refgrad.candidates.arguments import named_by
from refgrad.candidates.faults import check_kept, copies
from refgrad.candidates.protocol import STRIDED, CandidateFault
from refgrad.candidates.resolve import load
from refgrad.errors import ArgumentError, bad_argument
from refgrad.oracle.acceptance import no_numbers
from refgrad.oracle.acceptance.explicit_sets import Way
from refgrad.oracle.acceptance.findings import Counts, Fault, Output
from refgrad.oracle.acceptance.judge import Judged, admitted, met
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.inputs.cases import Arrays, Cases
from refgrad.oracle.inputs.extremes import extremes
from refgrad.oracle.inputs.settings import other_settings
from refgrad.oracle.inputs.sizes import MANY
from refgrad.tracing import Plan, Plans, free_values, plan_for

#: how reports call a run whose state is read wholly, one whose state is not, and answers that stand alone
LOCKED, FREE, CASES = "step-locked", "free-running", "case by case"
#: the situation that every kind has whose rules take arrays of any shape
SHAPES = "shapes"
#: the situation of a candidate that takes numbers by name: what 0, 1 and infinity hide
SETTING = "another setting"
#: the situations of kinds whose rules take what is no ordinary number
NOT_FINITE = ("NaN", "infinities")
#: steps or cases of another setting
FEW = 3

Results = Mapping[str, np.ndarray]
#: the results of one case, each with its statuses and the values that were judged, in conditioning order
Answer = Mapping[str, tuple[Judged, np.ndarray]]
#: runs an action, named for the message, and returns what it returns; `CandidateFault` "hung" if it takes too long
Call = Callable[[Callable[[], Any], str], Any]
#: asks a candidate once, and gives what was seen
Question = Callable[[], Any]


@dataclass
class Record:
    """What a candidate did: what was seen after each question, and what it did wrong besides values.

    Attributes:
        cases: what it was driven with.
        rules: the rule as it was told, one a leaf for a kind with state, else one.
        seen: what each question gave, None where it was not answered.
        faults, notes: what went wrong besides values, and what is worth knowing of the run.
        settings: where the candidate's own settings are not those that are claimed.
        read: the hyperparameters that could be read from the candidate.
        unknown: random bits that the rule takes and the candidate draws by itself.
    """

    cases: Cases
    rules: list[Any]
    seen: list[Any] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    read: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()

    @property
    def answered(self) -> int:
        """How many questions were answered."""
        return sum(each is not None for each in self.seen)

    @property
    def steps(self) -> int:
        """How many steps were completed of a kind with state, whose first question is only for a look."""
        return max(self.answered - 1, 0)


@dataclass(frozen=True)
class Wanted:
    """How outputs are to be judged: under which policy and plans, and with a kind's own keywords (see `Kind.departures`)."""

    policy: Policy = field(default_factory=Policy)
    plans: Plans = plan_for
    how: Mapping[str, Any] = field(default_factory=dict)


class Driven(NamedTuple):
    """Who is driven through situations, and with what.

    Attributes:
        subject: the candidate.
        named: the rule's hyperparameters that it is told by name.
        dtype, seed: of the arrays.
    """

    subject: Any
    named: frozenset[str]
    dtype: np.dtype
    seed: int


@dataclass(frozen=True, eq=False)
class Situation:
    """What happens to a program in use and does not show on ordinary cases: odd shapes, another setting, a step left out.

    A candidate that raises there is restricted, not wrong: the verdict says first what it was not exercised on.

    Attributes:
        name: what reports call it.
        cases: what the candidate is driven with.
        rule: what it claims to be there: the claim, or the claim with other settings.
        instead: what is tried in its place, in turn, where the candidate takes nothing of it.
        alike: whether its steps are all alike, so that who takes the first and raises at another is wrong, not restricted.
        left_out: what is not among the cases, and why; empty if nothing is.
    """

    name: str
    cases: Cases
    rule: Any
    instead: Callable[[], Iterator[Situation]] = lambda: iter(())
    alike: bool = False
    left_out: str = ""


class Graph(NamedTuple):
    """What a rule's traced body takes of a case: arrays by name, and the shape and number of axes that it is traced for."""

    arrays: Arrays
    shape: tuple[int, ...]

    def plan(self, rule: Any, plans: Plans = plan_for) -> Plan:
        """The plan of a rule for these arrays."""
        return plans(rule, len(self.shape), free_values(self.shape, {}))

    def evaluated(self, rule: Any, plans: Plans = plan_for) -> dict[str, np.ndarray]:
        """The results of that plan in float64."""
        plan, wide = self.plan(rule, plans), {n: np.asarray(a, np.float64) for n, a in self.arrays.items()}
        return floats.evaluate(plan.graph, wide, list(plan.scalars(*free_values(self.shape, {}))))

    def exactly(self, rule: Any, digits: int, outcomes: exact.Outcomes | None = None) -> dict[str, Any]:
        """The results of that plan in exact arithmetic: arrays of mpmath numbers.

        Args:
            rule: whose plan.
            digits: decimal digits of the arithmetic.
            outcomes: decisions that go another way than those of exact numbers, as of `refgrad.arithmetic.exact.evaluate`.
        """
        plan = self.plan(rule)
        names = {**rule.numbers(), **dict(zip(plan.free, free_values(self.shape, {}), strict=True))}
        return exact.evaluate(
            plan.graph, {n: self.arrays[n] for n in plan.graph.inputs()}, names, digits, None, outcomes
        )


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
        return named_by(load(thing) if isinstance(thing, str) else thing, rule, options)

    def situations(self, rule: Any, asked: Driven) -> Iterator[Situation]:
        """What a candidate is driven through besides the generated cases, each time anew; a situation that fails ends it.

        Here shapes, and another setting of the numbers that it is told by name.
        """
        cases = self.sizes(rule, asked.dtype, asked.seed)
        if cases is not None:
            yield Situation(SHAPES, cases, rule, left_out="" if self.stepped else _beyond(cases, rule.primary))
            more = None if self.stepped else extremes(cases, rule.primary, functools.partial(self._takes, rule))
            if more is not None:
                yield Situation("extremes", more, rule)
        first, *others = other_settings(rule, asked.named & rule.reads()) or [None]
        if first is not None:
            yield replace(next(self._set([first], asked)), instead=functools.partial(self._set, others, asked))

    def _set(self, rules: list[Any], asked: Driven) -> Iterator[Situation]:
        yield from (Situation(SETTING, self.few(rule, asked), rule) for rule in rules)

    def _takes(self, rule: Any, arrays: Arrays) -> bool:
        """True if a rule without state takes the arrays of a case."""
        try:
            self.literal(rule, arrays)  # type: ignore[attr-defined]
        except (ArgumentError, ArithmeticError, IndexError, ValueError):
            return False
        return True

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

    def fault_of(self, record: Record, output: Output) -> Fault | None:
        """A fault that an output of the claim itself shows, besides values outside."""
        return None

    def faults(self, record: Record, wanted: Wanted) -> Iterator[Fault]:
        """Faults that only the run as a whole shows; notes on them are added to the record."""
        return iter(())

    def notes(self, subject: Any, record: Record, counts: Counts) -> Iterator[str]:
        """What is not judged, and why."""
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


def judged_of(cases: Cases, outputs: Iterable[Output]) -> Iterator[Output]:
    """The outputs that cases are about; where NaN leaves what programs give open, none of them is undecided."""
    for output in outputs:
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
