"""Judging an optimizer with 8-bit state: driven step by step, each step judged from the candidate's own codes."""

from __future__ import annotations

from refgrad.candidates.eight_bit import resolve
from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import ArgumentError, bad_argument
from refgrad.kinds.eight_bit import Claim
from refgrad.oracle.eight_bit_departures import departures
from refgrad.oracle.eight_bit_inputs import generate
from refgrad.oracle.engine import reproduce
from refgrad.oracle.engine.drive import Record
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.steps import Outcome
from refgrad.oracle.engine.verdict import LOCKED, Fault, Verdict
from refgrad.oracle.inputs.steps import Inputs
from refgrad.oracle.shrink import shrink as smallest
from refgrad.quantizers.eight_bit import EightBit

MODE = f"{LOCKED}, given the candidate's own codes"


def judge(request: Request) -> Verdict:
    """The verdict on a candidate that claims to be an optimizer with 8-bit state."""
    rule, given = request.rule, request.own(Inputs)
    assert isinstance(rule, EightBit)
    if request.state_names:
        raise bad_argument("state_names", request.state_names, "None: parts of slots are found by their names alone")
    claim = Claim(resolve(request.candidate, request.options, rule), rule, request)
    return _verdict(claim, claim.drive(given or generate(claim.subject, rule, request)))


def _verdict(claim: Claim, record: Record) -> Verdict:
    request, outcome, least = claim.request, Outcome(), None
    try:
        outcome = claim.judge(record, claim.way, measured=True)
    except (CandidateFault, ArgumentError) as fault:  # codes that stand for nothing are refused by the quantizer
        record.faults.append(Fault(getattr(fault, "kind", "structure"), record.steps, str(fault)))
    wrong = outcome.first is not None
    if wrong and request.shrink and outcome.failing is not None:
        least = reproduce.of_steps(smallest(record.inputs, *outcome.failing, claim.fails))
    made = reproduce.made_by_steps(record.inputs, least, claim.rule.rule)
    given = {"options": request.options, "policy": request.policy.changed()}
    return outcome.verdict(
        request.policy,
        record.faults,
        candidate=claim.subject.name,
        rule=str(claim.rule),
        mode=MODE,
        steps=record.steps,
        dtype=str(record.inputs.p[0].dtype),
        seed=record.inputs.seed,
        departures=departures(claim, record, outcome) if wrong and request.explain else (),
        counterexample=least,
        reproduce=reproduce.line(claim.subject.name, claim.rule, made, **given),
        notes=tuple(dict.fromkeys(record.notes)),
    )
