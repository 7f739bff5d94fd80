"""Judging an optimizer: driven step by step, each step judged from the candidate's own previous state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from refgrad.arithmetic import dtypes
from refgrad.candidates.names import check_stated
from refgrad.candidates.protocol import Candidate
from refgrad.candidates.resolve import resolve
from refgrad.errors import ArgumentError, CandidateError
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance import stochastic_rounding
from refgrad.oracle.acceptance.judge import how_matrices
from refgrad.oracle.engine import reproduce
from refgrad.oracle.engine import verdict as v
from refgrad.oracle.engine.drive import Record, drive
from refgrad.oracle.engine.joint_leaf import joined
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.steps import Outcome, judge_record, locked_steps
from refgrad.oracle.engine.verdict import Counterexample, Verdict
from refgrad.oracle.hypotheses import departures as known
from refgrad.oracle.hypotheses.changes import Change, named, policies
from refgrad.oracle.hypotheses.screen import Screen, small_run
from refgrad.oracle.hypotheses.search import Search
from refgrad.oracle.inputs.steps import Inputs, generate
from refgrad.oracle.shrink import shrink as smallest
from refgrad.tracing import known_plans


def judge(request: Request) -> Verdict:
    """The verdict on a candidate that claims to be an optimizer."""
    rule = request.rule
    assert isinstance(rule, Optimizer)
    given = request.own(Inputs)
    stated = check_stated(request.state_names, rule.slots(), str(rule))
    subject = resolve(request.candidate, request.options, stated)
    claim = _Claim(subject, rule, request, stated)
    if given is not None:
        return _verdict(claim, claim.drive(given))
    return _verdict(claim, _driven(claim, generate(request.steps, request.dtype, request.seed, rule)))


@dataclass(frozen=True)
class _Claim:
    """Who claims to be which rule, and how that is judged."""

    subject: Candidate
    rule: Optimizer
    request: Request
    stated: Mapping[str, str]

    def drive(self, inputs: Inputs) -> Record:
        record = drive(self.subject, self.rule, inputs, self.request.time_limit)
        return joined(record, self.rule) if self.rule.scope == "tree" else record

    def judge(self, record: Record, measured: bool = False) -> Outcome:
        return judge_record(record, record.rules, self.request.policy, measured=measured)

    def fails(self, inputs: Inputs) -> bool:
        """Whether some value is outside on these inputs, of those that the candidate takes."""
        try:
            return self.judge(self.drive(inputs)).first is not None
        except (ArgumentError, CandidateError):
            return False


def _driven(claim: _Claim, made: Inputs) -> Record:
    """A run on generated inputs; on the matrices alone where a candidate refuses to be built with the other leaves."""
    matrices = made.leaves(lambda name, p: p.ndim == 2)
    try:
        return claim.drive(made)
    except CandidateError as refused:
        if len(matrices.p) == len(made.p):
            raise
        record = claim.drive(matrices)
        record.notes.append(f"judged on matrices alone, because {refused}")
        return record


def _verdict(claim: _Claim, record: Record) -> Verdict:
    request = claim.request
    outcome = claim.judge(record, measured=True)
    wrong = outcome.first is not None
    if record.unknown:
        _judge_chance(claim, record)
    sought = wrong and request.explain and not record.unknown
    departures = _departures(claim, record, request.explain) if sought else ()
    counterexample = None
    if wrong and request.shrink and outcome.failing is not None:
        counterexample = reproduce.of_steps(smallest(record.inputs, *outcome.failing, claim.fails))
    return outcome.verdict(
        request.policy,
        record.faults,
        candidate=claim.subject.name,
        rule=str(claim.rule),
        mode=v.LOCKED if outcome.locked else v.FREE,
        steps=record.steps,
        dtype=str(record.inputs.p[0].dtype),
        seed=record.inputs.seed,
        departures=departures,
        counterexample=counterexample,
        reproduce=_reproduce(claim, record, counterexample),
        notes=tuple(dict.fromkeys([*record.notes, *_how(record)])),
    )


def _judge_chance(claim: _Claim, record: Record) -> None:
    """Whether bits that are not known are fair: a fault if not, and a note on how many roundings say so."""
    count, fault = stochastic_rounding.judge(
        locked_steps(record, record.rules, claim.request.policy), claim.request.policy
    )
    record.faults.extend([] if fault is None else [fault])
    record.notes.append(f"{count} roundings by chance were looked at for a bias and for bits that are used twice")


def _how(record: Record) -> list[str]:
    """How operations on matrices were judged, of all plans that the run took."""
    pairs = zip(record.rules, record.inputs.p, strict=True)
    return how_matrices(plan.graph for rule, p in pairs for plan in known_plans(rule, p.ndim))


def _departures(claim: _Claim, record: Record, seconds: float) -> tuple[v.Departure, ...]:
    """What the run is instead, as far as a search that looks at a few elements finds it in time."""

    def judged(change: Change) -> Mapping[str, v.Count]:
        rules = [rule.replace(**change.rule) for rule in record.rules]
        return judge_record(record, rules, change.policy_of(claim.request.policy), change.plans).counts

    narrow = dtypes.working(record.inputs.p[0].dtype) != record.inputs.p[0].dtype
    # on a narrow grid mutants hide among the roundings of what most implementations do there
    usual = [c for c in policies(claim.request.policy) if narrow and c.policy == {"precision": "storage"}]
    if "round" in record.rules[0].plan(record.inputs.p[0].shape, 1).graph.counts():
        # a rule that says how it is stored: another way of that says more than wider bounds, which take in all of them
        usual = [*named(claim.rule), *usual]
    search = Search(Screen(_looked_at(claim, record), claim.request.policy), seconds=seconds)
    found = known.searched(search, judged, usual)
    if search.stopped:
        record.notes.append(f"the search for what it is instead was ended after {seconds:g} seconds")
    return found


def _looked_at(claim: _Claim, record: Record) -> Record:
    """The run that the search looks at; the whole one where a candidate refuses to be built with smaller leaves."""
    try:
        return small_run(record, claim.drive)
    except CandidateError:
        return record


def _reproduce(claim: _Claim, record: Record, least: Counterexample | None) -> str:
    """A line of Python that gives this verdict again."""
    given = {"options": claim.request.options, "policy": claim.request.policy.changed(), "state_names": claim.stated}
    made = reproduce.made_by_steps(record.inputs, least, claim.rule)
    return reproduce.line(claim.subject.name, claim.rule, made, **given)
