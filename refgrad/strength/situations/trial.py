"""A planted fault tried: is it refused by the default run, and if not, is it one?

A program with a fault is driven through the default run as `refgrad.verify` does it, situation after situation. Where it
gives the very bits of the right program, it is judged as that was, so that nothing is judged twice; the verdict is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refgrad.arithmetic.dtypes import as_dtype
from refgrad.candidates.protocol import CandidateFault, Observation
from refgrad.errors import ArgumentError, CandidateError
from refgrad.kinds.record import Driven, Record, Situation
from refgrad.oracle.engine.outcomes import why_unjudged
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.engine.tally import Tally
from refgrad.oracle.inputs.cases import Cases
from refgrad.rule import Rule
from refgrad.strength.situations.fault import Fault
from refgrad.strength.situations.left_out import reason
from refgrad.strength.situations.planting import program
from refgrad.strength.situations.probe import Probe

REFUSED, SURVIVES, UNJUDGED, EQUAL, OUT_OF_REACH = "refused", "survives", "unjudged", "equal", "out of reach"
LEFT_OUT = "left out"
ORDINARY = "ordinary cases"


@dataclass(frozen=True)
class Outcome:
    """What became of a fault.

    Attributes:
        fault: the fault.
        outcome: refused; survives, which should not be; unjudged, which is said to be no verdict; equal, no fault, since it
            gives what the right program gives; out of reach, for the reason that the fault states; or left out, for one of
            `refgrad.strength.situations.left_out`.
        where: what refused it, the first place of the probe that shows it, or the reason.
    """

    fault: Fault
    outcome: str
    where: str = ""


@dataclass
class _Stage:
    """A part of the default run, and what the right program gives there."""

    name: str
    claim: Claim
    cases: Cases
    bits: str
    wrong: bool = False
    tally: Tally | None = None


@dataclass
class _Run:
    """The default run of one claim, driven as far as it was needed."""

    claim: Claim
    stages: list[_Stage] = field(default_factory=list)
    more: Iterator[_Stage] = field(default_factory=lambda: iter(()))

    @classmethod
    def of(cls, rule: Rule, seed: int) -> _Run:
        claim = Claim.of(request(rule, program(rule, None), seed))
        run = cls(claim)
        run.more = run._made()
        return run

    def __iter__(self) -> Iterator[_Stage]:
        yield from self.stages
        for stage in self.more:
            self.stages.append(stage)
            yield stage

    def _made(self) -> Iterator[_Stage]:
        claim, asks = self.claim, self.claim.request
        cases = claim.cases()
        yield _Stage(ORDINARY, claim, cases, bits(claim.driven(cases)))
        asked = Driven(claim.subject, claim.named, asks.dtype, asks.seed)
        for situation in claim.kind.situations(claim.rule, asked):
            yield from self._taken(situation)

    def _taken(self, situation: Situation) -> Iterator[_Stage]:
        """The situation, or what is tried in its place."""
        for each in (situation, *situation.instead()):
            there = _there(self.claim, each.rule, self.claim.subject)
            try:
                record = there.drive(each.cases)
            except (ArgumentError, CandidateError):
                continue
            if not any(fault.kind == "raised" for fault in record.faults):
                yield _Stage(each.name, there, each.cases, bits(record))
                return


def _there(claim: Claim, rule: Rule, subject: Any) -> Claim:
    return Claim(claim.kind, subject, rule, claim.request)


def request(rule: Rule, candidate: Any, seed: int) -> Request:
    """What `refgrad.verify` asks by default, without a search for explanations."""
    return Request(candidate=candidate, rule=rule, dtype=as_dtype(rule.kept_in), seed=seed)


class Trial:
    """A rule into which faults are planted; what the right program gives is kept.

    >>> from refgrad.optimizers import Lion
    >>> from refgrad.strength.situations import planted
    >>> trial = Trial(Lion())
    >>> {trial.of(fault).outcome for fault in planted(Lion()) if fault.situation == "leaf"}
    {'refused'}
    """

    def __init__(self, rule: Rule, seed: int = 0) -> None:
        self.rule, self.seed = rule, seed
        self._own = _Run.of(rule, seed)
        self._probe = Probe(rule)

    def right(self) -> bool:
        """True if the right program conforms, in the same run."""
        for stage in self._own:
            _known(stage)
        return not any(stage.wrong for stage in self._own)

    def of(self, fault: Fault) -> Outcome:
        """What becomes of a fault."""
        try:
            return self._outcome(fault)
        except (ArgumentError, CandidateError) as error:  # it takes other arrays than the rule
            return Outcome(fault, EQUAL, f"cannot be run: {error}")

    def _outcome(self, fault: Fault) -> Outcome:
        run = self._own if fault.claim is None else _Run.of(fault.claim, self.seed)
        total = Tally()
        subject = _subject(run.claim, fault)
        for stage in run:
            there = _there(run.claim, stage.claim.rule, subject)
            record = there.drive(stage.cases)
            if bits(record) == stage.bits:
                total.merge(_known(stage))
                continue
            wrong, tally = _wrong(_Stage(stage.name, there, stage.cases, ""), record)
            if wrong:
                return Outcome(fault, REFUSED, stage.name)
            total.merge(tally)
            if stage.name == ORDINARY and not total.decided:
                break
        if fault.reach:
            return Outcome(fault, OUT_OF_REACH, fault.reach)
        if why_unjudged(total.counts, total.undecided_nan):
            return Outcome(fault, UNJUDGED)
        shown = self._probe.shows(fault)
        why = reason(self.rule, fault, shown) if shown else ""
        return Outcome(fault, LEFT_OUT if why else SURVIVES if shown else EQUAL, why or shown)


def _subject(claim: Claim, fault: Fault) -> Any:
    return claim.kind.resolve(program(claim.rule, fault), claim.rule, {}, None)


def _known(stage: _Stage) -> Tally:
    """What became of the right program there."""
    if stage.tally is None:
        stage.wrong, stage.tally = _wrong(stage, stage.claim.drive(stage.cases))
    return stage.tally


def _wrong(stage: _Stage, record: Record) -> tuple[bool, Tally]:
    """Whether the verdict on a run is that something is wrong, looked at until it is known; and what was counted."""
    tally, claim = Tally(), stage.claim
    restricts = stage.name != ORDINARY
    if any(not (restricts and fault.kind == "raised") for fault in record.faults):
        return True, tally
    try:
        for output in claim.kind.outputs(record, record.rules, claim.wanted):
            tally.add(output)
            if tally.outside or claim.kind.fault_of(record, output) is not None:
                return True, tally
    except CandidateFault:
        return True, tally
    return any(claim.kind.faults(record, claim.wanted)), tally


def bits(record: Record) -> str:
    """All that was seen, as a digest."""
    found = hashlib.blake2b(digest_size=16)
    for fault in record.faults:
        found.update(f"{fault.kind} {fault.step}".encode())
    for seen in record.seen:
        for name, value in _arrays(seen):
            array = np.asarray(value)
            found.update(f"{name} {array.shape} {array.dtype}".encode())
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _arrays(seen: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(seen, Observation):
        for p, state in zip(seen.params, seen.state, strict=True):
            yield "p", p
            yield from state.items()
    elif seen is not None:
        yield from seen.items()
