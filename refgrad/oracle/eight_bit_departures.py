"""What a run with 8-bit state is instead: its state kept otherwise, another update, or both."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import ArgumentError
from refgrad.kinds.eight_bit import Claim, Way
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.engine.drive import Record
from refgrad.oracle.engine.steps import Outcome
from refgrad.oracle.engine.verdict import Departure
from refgrad.oracle.hypotheses.changes import Change, factors, named, policies
from refgrad.oracle.inputs.steps import SHAPE
from refgrad.oracle.mutants import mutations
from refgrad.quantizers.eight_bit import EightBit
from refgrad.quantizers.rows import RowQuantizer

#: steps of one leaf on which departures are looked for, before the best are judged on the whole run
SCREENED = 3


@dataclass(frozen=True)
class _Suspect:
    """Something that the run may be instead."""

    name: str
    sentence: str
    way: Way


def departures(claim: Claim, record: Record, outcome: Outcome, most: int = 2) -> tuple[Departure, ...]:
    """The suspects under which less is outside: looked for on one leaf, then judged on the whole run.

    Where the parameter is right, so is the update; where codes and scales are, so is what keeps the state.
    """
    wrong = {"." in name for name, c in outcome.counts.items() if c.outside}
    state = _screened(claim, record, _of_the_state(claim), most) if True in wrong else []
    update = _screened(claim, record, _of_the_update(claim), most) if False in wrong else []
    found: list[Departure] = []
    for suspect in (*state, *update, *(_both(s, u) for s in state[:1] for u in update[:1])):
        judged = _judged(claim, record, dataclasses.replace(suspect.way, parts=True))
        if judged is not None and judged.outside < outcome.outside:
            total = sum(c.total for c in judged.counts.values())
            found.append(Departure(suspect.name, suspect.sentence, judged.outside, total))
            if found[-1].explains:
                break
    return tuple(sorted(found, key=lambda d: d.outside))


def _both(state: _Suspect, update: _Suspect) -> _Suspect:
    """The state kept otherwise, and another update."""
    way = dataclasses.replace(
        update.way, change=lambda rule: update.way.change(state.way.change(rule)), given=state.way.given
    )
    return _Suspect(f"{state.name}, {update.name}", f"{state.sentence}, and {update.sentence}", way)


def _screened(claim: Claim, record: Record, suspects: Iterator[_Suspect], most: int) -> list[_Suspect]:
    """Those under which least is outside in the first steps of the first leaf; alone the first that explains the run."""
    seen: list[tuple[int, int, _Suspect]] = []
    for suspect in suspects:
        outcome = _judged(claim, record, suspect.way, [0], SCREENED)
        if outcome is None:
            continue
        if not outcome.outside:
            whole = _judged(claim, record, dataclasses.replace(suspect.way, parts=True))
            if whole is not None and not whole.outside:
                return [suspect]
        seen.append((outcome.outside, len(seen), suspect))
    return [suspect for _, _, suspect in sorted(seen, key=lambda s: s[:2])[:most]]


def _judged(
    claim: Claim, record: Record, way: Way, leaves: list[int] | None = None, steps: int = 10**9
) -> Outcome | None:
    try:
        return claim.judge(record, way, leaves, steps)
    except (ArgumentError, ArithmeticError, CandidateFault):
        return None  # the departure is not defined for these hyperparameters, or has other parts


def _of_the_state(claim: Claim) -> Iterator[_Suspect]:
    """How else slots may be kept."""
    policy, rule = claim.request.policy, claim.rule
    fields = [f for f in ("signed", "unsigned") if _uses(rule, f)]
    changes = {field: _maps(rule, field) for field in fields}
    both = [{f: o[name] for f, o in changes.items()} for name in _common(list(changes.values()))]
    single = (
        [{field: other} for field, others in changes.items() for other in others.values()] if len(fields) > 1 else []
    )
    for change in (*both, *single):
        name = ", ".join(f"{field}={other}" for field, other in change.items())
        yield _Suspect(name, f"slots kept otherwise: {name}", Way(functools.partial(_with, changes=change), policy))


def _of_the_update(claim: Claim) -> Iterator[_Suspect]:
    """Old state for new, named variants of the update rule, other numbers, mutants of its graph; by the parameter alone."""
    policy, rule = claim.request.policy, claim.rule
    yield _Suspect(
        "state quantized first",
        "the parameter comes of the slots after they are quantized again",
        Way(policy=policy, given="new codes", parts=False),
    )
    for change in (*named(rule.rule), *factors(rule.rule)):
        way = Way(functools.partial(_changed, change=change), policy, parts=False)
        yield _Suspect(change.name, change.sentence, way)
    for change in policies(policy):
        yield _Suspect(change.name, change.sentence, Way(policy=change.policy_of(policy), parts=False))
    for mutation in mutations([rule.rule.plan(SHAPE, t) for t in range(1, SCREENED + 1)]):
        if not mutation.model:
            change = Change(mutation.name, mutation.sentence, "mutant", mutations=(mutation,))
            yield _Suspect(mutation.name, mutation.sentence, Way(policy=policy, plans=change.plans, parts=False))


def _uses(rule: EightBit, field: str) -> bool:
    """Whether some slot is kept by one of the quantizers."""
    return any(rule.quantizer(n) is getattr(rule, field) for n in rule.quantized_slots((1 << 40,)))


def _common(names: list[dict[str, Any]]) -> list[str]:
    """What all have, in the order of the first."""
    return [n for n in names[0] if all(n in other for other in names)] if names else []


def _maps(rule: EightBit, field: str) -> dict[str, RowQuantizer]:
    """What else the slots may be quantized by, by the name of what differs."""
    own, other = getattr(rule, field), getattr(rule, "unsigned" if field == "signed" else "signed")
    found = {} if own == other else {"the other": other}
    return found | {n: q for n, q in own.variants() if n.startswith(("map=", "ties=", "search="))}


def _with(rule: EightBit, changes: Mapping[str, Any]) -> EightBit:
    return rule.replace(**changes)


def _changed(rule: EightBit, change: Change) -> EightBit:
    inner: Optimizer = rule.rule.replace(**change.rule)
    return rule.replace(rule=inner)
