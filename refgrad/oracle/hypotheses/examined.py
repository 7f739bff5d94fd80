"""Whether what explains a run is what `verify` would call the candidate: it is judged so on its own cases, in every situation.

A hypothesis is found on the cases of the claim. The candidate is that only if it is judged so as any claim is: on cases that
reach the decisions of what it is said to be, and in the situations in which a program that is right on ordinary cases may be
wrong.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from refgrad.errors import CandidateError
from refgrad.kinds.record import Record
from refgrad.oracle.engine.run import Claim, Judgement, examine
from refgrad.oracle.hypotheses.changes import Change
from refgrad.oracle.hypotheses.run_screen import UNDEFINED
from refgrad.rule import Rule

#: where no situation is named
OWN_CASES = "cases of its own"


def examined(claim: Claim, record: Record, change: Change) -> Judgement | None:
    """A candidate judged as a hypothesis has it, as `verify` judges; None of the caller's own inputs, or if it cannot be.

    Args:
        claim: that the candidate is a rule.
        record: its run.
        change: of that rule, under which nothing of the run is outside.
    """
    if claim.request.inputs is not None or record.unknown:
        return None
    told = record.rules[0]
    if _is_told(claim, told, change) and _scope(change.changed(told)) != _scope(told):
        return None  # what is told to be a rule of one parameter is driven as that
    try:
        return examine(_claimed(claim, record.rules[0], change))
    except (*UNDEFINED, CandidateError):
        return None


def examined_in_float64(claim: Claim, change: Change) -> Judgement | None:
    """The same on generated cases in float64, whose sets are narrow enough to tell what float32 does not; None if it cannot be.

    Args:
        claim: that the candidate is a rule.
        change: of that rule.
    """
    if claim.request.inputs is not None:
        return None
    wide = dataclasses.replace(claim, request=dataclasses.replace(claim.request, dtype=np.dtype(np.float64)))
    try:
        return examined(wide, wide.drive(wide.cases()), change)
    except (*UNDEFINED, CandidateError):
        return None


def contradiction(run: Judgement | None) -> str:
    """Why a candidate is not what explains its run; empty if it is, as far as is known."""
    if run is None:
        return ""
    if run.wrong:
        return f"it is not so where it is driven through {run.where or OWN_CASES}"
    return run.unjudged


def _claimed(claim: Claim, told: Rule, change: Change) -> Claim:
    """The claim to be what a hypothesis says; told as before, if it is told a number that is another there.

    A candidate that is told its rate by name and takes twice the rate is no rule of twice the rate: told that, it would
    take four times as much.
    """
    rule, request = change.changed(told), claim.request
    if _is_told(claim, told, change):
        return dataclasses.replace(Claim.of(request, told), change=change)
    return Claim.of(dataclasses.replace(request, rule=rule, policy=change.policy_of(request.policy)))


def _is_told(claim: Claim, told: Rule, change: Change) -> bool:
    """True if a candidate is told to be the claimed rule, and judged as that changed."""
    rule = change.changed(told)
    return bool(change.mutations or change.how) or told_otherwise(claim, told, rule) or _untold(claim, told, rule)


def _scope(rule: Rule) -> str:
    return getattr(rule, "scope", "leaf")


def told_otherwise(claim: Claim, one: Rule, other: Rule) -> bool:
    """True if a candidate that was told to be one rule is told another number by name where it is told to be another."""
    own, new = (claim.kind.told(rule).hyperparameters() for rule in (one, other))
    return any(n in own and n in new and own[n] != new[n] for n in claim.named)


def _untold(claim: Claim, one: Rule, other: Rule) -> bool:
    """True if a candidate asks by name for a number of one rule that another, such as a rule around it, does not call so."""
    own, new = (claim.kind.told(rule).hyperparameters() for rule in (one, other))
    return any(n in own and n not in new for n in claim.named)
