"""The run of a verdict, the same for every kind: resolve, make cases, drive, judge, explain, make smaller, reproduce.

What a kind adds is in `refgrad.kinds`. The search for what a failing candidate is instead is handed in, so that this room
knows of no hypotheses.
"""

from __future__ import annotations

import dataclasses
import math
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from refgrad.candidates.protocol import REFUSALS, REFUSED, CandidateFault
from refgrad.errors import ArgumentError, CandidateError, TraceError
from refgrad.float_environment import candidate_notes
from refgrad.kinds.kind import Kind
from refgrad.kinds.record import Record, Wanted
from refgrad.kinds.table import kind_of
from refgrad.oracle.acceptance.findings import Fault, Output
from refgrad.oracle.acceptance.kept import keeping
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine import reproduce
from refgrad.oracle.engine.body_trial import check_body
from refgrad.oracle.engine.drive import drive
from refgrad.oracle.engine.environment import environment
from refgrad.oracle.engine.outcomes import CONFORMS, DIFFERS, UNEXPLAINED, UNJUDGED, Departure, why_unjudged
from refgrad.oracle.engine.request import Request, is_formula
from refgrad.oracle.engine.shrink import smallest
from refgrad.oracle.engine.situations import OUT_OF_REACH, OWN_ALONE, Exercised, exercise, hidden, undecided, undriven
from refgrad.oracle.engine.tally import Tally
from refgrad.oracle.engine.verdict import Verdict
from refgrad.oracle.inputs.cases import Cases
from refgrad.rule import Rule, stated
from refgrad.signals import pass_on

#: the policy's word for sums in short runs, and what is said where only longer ones allow a value
BLOCKED, LONGER = "blocked", "longer runs than blocked"
HOW = "the bound of sums='blocked' and inside that of sums='any'"


class Altered(Protocol):
    """A change of a rule, such as a hypothesis is."""

    def changed(self, rule: Any) -> Any:
        """The rule that is meant, where a candidate was told to be a rule."""

    def settable(self, named: frozenset[str]) -> frozenset[str]:
        """Of hyperparameters by name those whose other settings say something of it."""

    def wanted(self, policy: Policy) -> Wanted:
        """How outputs are judged under it, where the claim is judged under a policy."""


class Watch(Protocol):
    """What looks on while a claim is judged."""

    def __call__(self, claim: Claim, record: Record, output: Output, /) -> None:
        """An output of a record, as it was judged; ``claim`` is the claim as it is made in that situation."""


@dataclass(frozen=True, eq=False)
class Claim:
    """A candidate that claims to be a rule, and how that is judged."""

    kind: Kind
    subject: Any
    rule: Rule
    request: Request
    #: that in which it is made, as `refgrad.kinds.record.Situation.name`; empty for ordinary cases
    situation: str = ""
    #: a change of the rule that it is told, under which what it gives is judged; None to judge it as that rule
    change: Altered | None = None
    #: is shown every output that is judged and measured, in ordinary cases and in situations
    watch: Watch | None = None

    @classmethod
    def of(cls, request: Request, rule: Rule | None = None) -> Claim:
        """The claim of a request, or that the candidate is another rule; the candidate is resolved."""
        rule = request.rule if rule is None else rule
        kind = kind_of(rule)
        resolve = request.resolve or kind.resolve
        subject = resolve(request.candidate, rule, request.options, request.state_names)
        return cls(kind, subject, rule, request)

    @property
    def wanted(self) -> Wanted:
        """How the claim itself is judged."""
        policy = self.request.policy
        return Wanted(policy) if self.change is None else self.change.wanted(policy)

    def meant(self, record: Record) -> list[Any]:
        """The rules that a record is judged as: what the candidate was told, changed if something is."""
        return list(record.rules if self.change is None else map(self.change.changed, record.rules))

    def faults(self, record: Record) -> Iterator[Fault]:
        """Faults that only the run as a whole shows."""
        return self.kind.faults(dataclasses.replace(record, rules=self.meant(record)), self.wanted)

    @property
    def named(self) -> frozenset[str]:
        """The hyperparameters that the candidate is told by name."""
        if self.request.resolve is not None:
            return frozenset(self.subject.named)
        return self.kind.named(self.subject, self.rule, self.request.candidate, self.request.options)

    def cases(self) -> Cases:
        """The caller's own cases, or generated ones, on which a user's rule was tried.

        Raises:
            ArgumentError: the rule's body raises, or gives other numbers when it is run again.
        """
        found, request = self.kind.own(self.rule, self.request.inputs), self.request
        if found is None:
            found = self.kind.generate(self.rule, request.steps, request.dtype, request.seed, self.subject)
        check_body(self.kind, self.rule, found)
        return found

    def drive(self, cases: Cases) -> Record:
        """The candidate driven through cases."""
        # one that was made elsewhere is limited there
        limit = self.request.time_limit if self.request.resolve is None else math.inf
        return drive(self.kind, self.subject, self.rule, cases, limit)

    def driven(self, cases: Cases) -> Record:
        """The same; where it refuses to be built with all of the generated cases, with those that it may take."""
        try:
            return self.drive(cases)
        except CandidateError as refused:
            fewer = None if self.request.inputs is not None else self.kind.fewer(cases)
            if fewer is None:
                raise
            record = self.drive(fewer)
            record.notes.append(f"judged on {self.kind.fewer_are}, because {refused}")
            return record

    def judge(
        self, record: Record, rules: Sequence[Any] | None = None, wanted: Wanted | None = None, measured: bool = False
    ) -> Tally:
        """Every output of a record, as the claim or as other rules.

        Args:
            record: what was seen.
            rules: what is judged against, in place of what the candidate was told.
            wanted: policy and plans, in place of the claim's.
            measured: True to measure distances, and to look for faults that only judging shows.
        """
        tally, wanted = Tally(), wanted or self.wanted
        try:
            for output in self.kind.outputs(record, list(rules or self.meant(record)), wanted):
                tally.add_measured(output) if measured else tally.add(output)
                if measured and self.watch is not None:
                    self.watch(self, record, output)
                fault = self.kind.fault_of(record, output) if measured else None
                tally.faults += [] if fault is None else [fault]
        except CandidateFault as fault:
            tally.faults.append(Fault(fault.kind, record.steps if self.kind.stepped else record.answered, str(fault)))
        except TraceError as error:
            tally.notes.append(f"{type(self.rule).__name__} cannot be judged: {error}")
        tally.settle()
        return tally

    def fails(self, cases: Cases) -> Output | None:
        """The first output with a value outside on some cases; None if there is none, or they are not taken."""
        try:
            return self.judge(self.drive(cases)).first
        except (ArgumentError, CandidateError):
            return None


def tally_of(kind: Kind, record: Record, rules: Sequence[Any], wanted: Wanted) -> Tally:
    """Every output of a record, as of some rules.

    Raises:
        CandidateFault: what was seen cannot be an answer of these rules.
    """
    return Tally().adding(kind.outputs(record, list(rules), wanted))


def drawn(claim: Claim) -> Claim:
    """The claim with its seed drawn, and its inputs made, now that the candidate has been loaded and cannot know them."""
    request = claim.request
    if request.draws_seed:
        request = dataclasses.replace(request, seed=secrets.randbits(31), draws_seed=False)
    if callable(request.inputs):
        request = dataclasses.replace(request, inputs=request.inputs(request.seed))
    return dataclasses.replace(claim, request=request)


#: from a claim that failed, its record and its tally to what it is instead; notes are added to the record
Explain = Callable[[Claim, Record, Tally], Iterable[Departure]]


def judge(request: Request, explain: Explain) -> Verdict:
    """The verdict on a request.

    Args:
        request: what was asked.
        explain: looks for what a candidate that fails is instead; called once, if that is asked for.
    """
    return judge_claim(drawn(Claim.of(request)), explain)


def judge_claim(claim: Claim, explain: Explain) -> Verdict:
    """The verdict on a claim.

    Args:
        claim: the candidate, resolved, with its seed drawn.
        explain: as of `judge`.
    """
    request, run = claim.request, longer_runs(claim, examine(claim))
    departures: tuple[Departure, ...] = ()
    least: Cases | None = None
    claim, record, tally = run.claim, run.record, run.tally
    explained = tally.first is not None or any(fault.kind == "shape" for fault in (*record.faults, *tally.faults))
    if explained and request.explain and not record.unknown:
        departures = _explained(explain, claim, record, tally)
        if not departures and tally.first is not None and is_formula(claim.rule):
            record.notes.append(UNEXPLAINED)
    if tally.first is not None and request.shrink:
        least = _confirmed(claim, smallest(claim.kind, claim.rule, record.cases, tally.first, claim.fails), record)
    run.claim = dataclasses.replace(run.claim, request=request)  # as it was asked, whatever settled it
    return _verdict(run, departures, least)


def examine(claim: Claim) -> Judgement:
    """A claim on its cases and, where these are generated and nothing is wrong on them, in each situation of its kind."""
    record = claim.driven(claim.cases())
    refusal, restrictions = refusals(record, claim.kind.stepped)
    situations = exercise(claim) if claim.request.inputs is None and not refusal else None
    if situations is not None and not record.faults:
        situations.prepare()
    tally = claim.judge(record, measured=True)
    record.faults += claim.faults(record)
    run = Judgement(claim, record, tally, _judged_rule(claim, record), restrictions=restrictions, refusal=refusal)
    if situations is not None and not run.wrong and tally.decided:
        reached = set()
        for found in situations:
            run.add(found)
            reached.add(found.situation.name)
        if not run.wrong:  # what is wrong ends it before all are reached
            run.restrictions += undriven(claim, reached)
            run.restrictions += claim.kind.unreached(claim.rule, reached)
        run.restrictions += undecided(record, tally, "ordinary cases")
        run.restrictions += hidden(claim.rule, claim.named)
    return run


#: the share of ordinary cases that a candidate without state may refuse for reasons that it did not state beforehand
MOST_REFUSED = 0.5


def refusals(record: Record, stepped: bool) -> tuple[str, list[str]]:
    """What a candidate refused of its ordinary cases, which is no fault of the record any more.

    Args:
        record: what was seen.
        stepped: True of a kind with state, which goes on after no refusal.

    Returns:
        Why nothing can be said of it, empty if something can; and what it was not exercised on, a sentence each.
    """
    found = [fault for fault in record.faults if fault.kind in REFUSALS]
    if not found:
        return "", []
    record.faults[:] = [fault for fault in record.faults if fault.kind not in REFUSALS]
    undeclared = [fault for fault in found if fault.kind == REFUSED]
    said = (undeclared or found)[0].message.partition(" (on ")[0]
    if stepped:
        return f"it takes no ordinary cases, at step {found[0].step}: {said}", []
    if not record.answered:
        return f"it takes no ordinary case: {said}", []
    refused, asked = len(record.seen) - record.answered, len(record.seen)
    if undeclared and refused > MOST_REFUSED * asked:
        how = f"more than {MOST_REFUSED:.0%}, and not for what it says of itself"
        return f"it takes {asked - refused} of {asked} ordinary cases and refused {refused}, {how}: {said}", []
    names = dict.fromkeys(record.cases.name(i) for i, seen in enumerate(record.seen) if seen is None)
    return "", [f"ordinary cases: {', '.join(names)} ({said})"]


def longer_runs(claim: Claim, run: Judgement) -> Judgement:
    """A run; where values are outside and the policy says "blocked", the candidate judged anew by sums in any order.

    What is then inside is right, and a note says how many elements only longer runs allow.

    Args:
        claim: what is claimed.
        run: the claim under the policy that is asked for.
    """
    request = claim.request
    if request.policy.sums != BLOCKED or not run.tally.outside:
        return run
    records: list[tuple[Claim, Record]] = []
    watch = claim.watch

    def looking(claim: Claim, record: Record, output: Output) -> None:
        if not records or records[-1][1] is not record:
            records.append((claim, record))
        if watch is not None:
            watch(claim, record, output)

    any_order = dataclasses.replace(request, policy=dataclasses.replace(request.policy, sums="any"))
    found = examine(dataclasses.replace(claim, request=any_order, watch=looking))
    longer: Counter[str] = Counter()
    for asked, record in records:
        blocked = asked.judge(record, wanted=dataclasses.replace(asked.wanted, policy=request.policy))
        anyhow = asked.judge(record)
        for name, counted in blocked.counts.items():
            longer[name] += counted.outside - anyhow.counts[name].outside
    found.notes += [
        f"{LONGER}: {count} elements of {name} are outside {HOW}" for name, count in longer.items() if count > 0
    ]
    return found


def _confirmed(claim: Claim, least: Cases, record: Record) -> Cases | None:
    """The smallest cases that fail, run again in a candidate that is found anew; None, with a note, if they are not printed.

    A candidate that goes wrong by what it remembers of other runs may be right on them, and one that goes wrong between its
    parameters is right on each of them alone.
    """
    try:
        fresh = dataclasses.replace(Claim.of(claim.request, claim.rule), situation=claim.situation)
        failed = fresh.fails(reproduce.as_printed(least)) is not None
    except (ArgumentError, CandidateError):
        failed = False
    if not failed:
        record.notes.append("there is no smallest input: what was found does not fail in a candidate that is made anew")
    elif len(least.arrays) > 1:
        record.notes.append(
            f"there is no smallest input: no parameter fails alone, and {len(least.arrays)} together do"
        )
    return least if failed and len(least.arrays) == 1 else None


@dataclass(eq=False)
class Judgement:
    """What a verdict is made of: the run in which something is wrong, else the first, and what all of them came to.

    Attributes:
        claim, record, tally: of that run.
        judged: the rule of the first run, as it was judged.
        before: what came of the runs before it.
        where: the situation of that run, if it is not the first, and the rule that it claims to be there.
        situations: how many cases each situation had that the candidate was exercised in, by name.
        restrictions: what it was not exercised on.
        refusal: why nothing can be said of a candidate that refuses what all others take; empty of others.
    """

    claim: Claim
    record: Record
    tally: Tally
    judged: str = ""
    where: str = ""
    before: Tally = field(default_factory=Tally)
    situations: dict[str, int] = field(default_factory=dict)
    restrictions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refusal: str = ""

    @property
    def wrong(self) -> bool:
        """True if a value is outside, or something is wrong besides values."""
        return bool(self.tally.outside or self.tally.faults or self.record.faults)

    def add(self, found: Exercised) -> None:
        """A situation: where something is wrong in it, it is what the verdict is about from here on."""
        self.restrictions += found.restriction()
        if found.record is None:
            return
        self.situations[found.situation.name] = len(found.record.cases.arrays) - len(found.refused)
        if found.wrong:
            self.notes += self.record.notes
            self.before.merge(self.tally)
            self.claim, self.record, self.tally = found.claim, found.record, found.tally
            there = stated(found.situation.rule)
            self.where = f"{found.situation.name}, as {there}" if there != self.judged else found.situation.name
        else:
            self.before.merge(found.tally)

    def unseen(self) -> Iterator[str]:
        """The outputs that the rule has and the candidate did not give."""
        wanted, seen = self.claim.kind.expected(self.claim.rule), self.total().counts
        handed = getattr(self.claim.subject, "given", ())
        missing = [name for name in wanted if name not in seen and name not in handed]
        if self.refusal:
            yield self.refusal
            return
        if not (missing and seen):
            return
        them = "them" if len(missing) > 1 else "it"
        if self.record.faults or self.total().faults:  # it may well give them
            yield f"{', '.join(missing)}: nothing of {them} was judged, since the candidate went wrong before"
        else:
            yield f"{', '.join(missing)}: the candidate does not show {them}"

    def settings(self) -> Iterator[str]:
        """Where the candidate is set otherwise than is claimed, and what is claimed and cannot be read of it."""
        yield from dict.fromkeys(self.record.settings)
        rule = self.claim.rule
        known = self.claim.named | self.record.read
        for name in sorted(n for n in rule.claimed & rule.reads() if n in rule.legal() and n not in known):
            yield f"{name}={getattr(rule, name)!r} is claimed and cannot be read of the candidate, which is judged at it"

    @property
    def unjudged(self) -> str:
        """Why too little is known for "conforms" though nothing is wrong; empty if it is not."""
        if self.refusal:
            return "it refused what all others take"
        total = self.total()
        lacking = [name for name in self.claim.kind.essential(self.claim.rule) if name not in total.counts]
        if lacking and total.counts:
            return f"nothing of {', '.join(lacking)} was seen, without which it is no {self.claim.kind.name}"
        return why_unjudged(total.counts, total.undecided_nan)

    def total(self) -> Tally:
        """All runs together."""
        total = Tally()
        total.merge(self.before)
        total.merge(self.tally)
        return total


def _explained(explain: Explain, claim: Claim, record: Record, tally: Tally) -> tuple[Departure, ...]:
    """What the candidate is instead; a search that fails costs the explanation, not the verdict."""
    try:
        with keeping():
            return tuple(explain(claim, record, tally))
    except Exception as error:  # whatever it is, the verdict stands without it
        pass_on(error)
        record.notes.append(f"the search for what it is instead failed with {type(error).__name__}: {error}")
        return ()


def _judged_rule(claim: Claim, record: Record) -> str:
    """The rule that was judged: with what the candidate's own settings say that the claim does not."""
    rules = list(dict.fromkeys(map(stated, record.rules)))
    return rules[0] if len(rules) == 1 else stated(claim.rule)


def _verdict(run: Judgement, departures: tuple[Departure, ...], least: Cases | None) -> Verdict:
    claim, record, total, first = run.claim, run.record, run.total(), run.tally.first
    cases, faults = record.cases, (*record.faults, *total.faults)
    notes = (*run.notes, *record.notes, *total.notes, *claim.kind.notes(claim.subject, record, total.counts))
    wrong = bool(total.outside or faults)
    unjudged = "" if wrong else run.unjudged
    if unjudged:
        notes = (unjudged, *notes)
    elif not wrong:
        notes = (*claim.kind.unlike(claim.rule, record, claim.request.policy), *notes)
    outcome = DIFFERS if wrong else UNJUDGED if unjudged else CONFORMS
    unreached = OUT_OF_REACH if claim.request.inputs is None else OWN_ALONE
    return Verdict(
        outcome=outcome,
        candidate=claim.subject.name,
        rule=run.judged,
        policy=claim.request.policy.changed(),
        mode=claim.kind.mode(total.counts, record),
        steps=record.steps if claim.kind.stepped else record.answered,
        dtype=str(cases.arrays[0][claim.rule.primary].dtype),
        seed=cases.seed,
        counts=total.counts,
        first=None if first is None else first.finding(cases.name(first.leaf)),
        faults=faults,
        departures=departures,
        counterexample=None if least is None else reproduce.counterexample(least, claim.rule),
        reproduce=reproduce.line(claim, cases, least),
        tightest=total.tightest,
        errors=total.errors,
        by_step=run.tally.by_step,
        environment=environment(),
        situations=run.situations,
        situation=run.where,
        unexercised=tuple(
            dict.fromkeys([*getattr(claim.subject, "unexercised", ()), *run.unseen(), *run.restrictions])
        ),
        out_of_reach=unreached if outcome == CONFORMS else "",
        settings=tuple(run.settings()),
        notes=tuple(dict.fromkeys([*notes, *candidate_notes()])),
    )
