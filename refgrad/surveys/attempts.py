"""Judging one implementation: as claimed, then with what has to be granted, then as its variant, then by a search."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from refgrad.errors import RefgradError
from refgrad.float_environment import standard
from refgrad.oracle.engine.outcomes import DIFFERS, UNJUDGED
from refgrad.oracle.engine.verdict import Verdict
from refgrad.oracle.verify import verify
from refgrad.rule import Flag, Rule
from refgrad.surveys import cell as c
from refgrad.surveys.cell import Attempt, Cell
from refgrad.surveys.implementations.record import Implementation

#: drivers that shield a candidate from nothing but what it does to its gradient
SHIELDS = {"drivers.on_copies": "gradient=copied"}

#: condition -> what it means, in a sentence
CONDITIONS: Mapping[str, str] = {
    "scalars=float32": "scalars are rounded to float32 at every operation",
    "subnormals=either": "subnormal numbers may be flushed to zero",
    "gradient=copied": "it is handed a copy of the gradient, because it writes into the gradient",
}


@dataclass
class Judge:
    """The attempts at one implementation."""

    row: Implementation
    seconds: float
    time_limit: float
    attempts: list[Attempt] = field(default_factory=list)

    def conditions(self) -> list[str]:
        """What may have to be granted."""
        found = [f"scalars={self.row.scalars}"] if self.row.scalars != self.row.claim.scalars else []
        found += [f"{n}={value}" for n, value in self.row.policy.items()]
        return found + ([SHIELDS[self.row.through]] if self.row.through in SHIELDS else [])

    def rule(self, variant: Mapping[str, Any], granted: list[str]) -> Rule:
        """The claim with named behaviours changed, under what is granted."""
        scalars = {"scalars": self.row.scalars} if f"scalars={self.row.scalars}" in granted else {}
        return self.row.claim.replace(**variant, **scalars)

    def policy(self, granted: list[str]) -> dict[str, Any]:
        """The fields of the policy that are granted."""
        return {n: value for n, value in self.row.policy.items() if f"{n}={value}" in granted}

    def bare(self, granted: list[str]) -> bool:
        """True if the target is driven without its shield."""
        return self.row.through in SHIELDS and SHIELDS[self.row.through] not in granted

    def verdict(self, what: str, variant: Mapping[str, Any], granted: list[str], **how: Any) -> Verdict:
        """One verdict, noted among the attempts."""
        row = self.row
        verdict = verify(
            row.target if self.bare(granted) else row.candidate(),
            self.rule(variant, granted),
            options=row.options,
            policy=self.policy(granted),
            inputs=row.own_inputs(),
            steps=row.steps,
            time_limit=self.time_limit,
            device=row.device or None,
            **{"shrink": False, "explain": False, **how},
        )
        total = verdict.total
        self.attempts.append(Attempt(what, verdict.outcome, total.outside, total.total))
        return verdict

    def fewest(self, variant: Mapping[str, Any], verdict: Verdict) -> tuple[list[str], Verdict]:
        """The conditions without which it does not conform, and the verdict under them."""
        granted = self.conditions()
        # without any the claim itself was found to fail
        for condition in list(granted) if variant or len(granted) > 1 else []:
            rest = [g for g in granted if g != condition]
            found = self.verdict(f"without {condition}", variant, rest)
            if found.conforms:
                granted, verdict = rest, found
        return granted, verdict

    def cell(self, outcome: str, verdict: Verdict, granted: list[str], changed: Mapping[str, Any], **told: Any) -> Cell:
        """The cell of an outcome."""
        row = self.row
        shielded = row.through in SHIELDS  # then the first line shows what the shield is for
        texts = ([repr(row.target)] if shielded else []) + ([] if self.bare(granted) else [row.candidate_text()])
        return dataclasses.replace(
            c.blank(row, outcome),
            conditions=tuple(granted),
            reproduce=c.reproduction(row, self.rule(changed, granted), self.policy(granted), *texts),
            attempts=tuple(self.attempts),
            report=str(verdict),
            errors=verdict.errors,
            tightest=c.tightest(verdict),
            **told,
        )


def judge(row: Implementation, seconds: float, time_limit: float) -> Cell:
    """What an implementation is found to be.

    Args:
        row: the implementation.
        seconds: that the search for what it is instead may take.
        time_limit: seconds that one of its steps may take.
    """
    start = time.monotonic()
    try:
        with standard():  # what a library leaves behind is not for the next row
            found = _judged(Judge(row, seconds, time_limit))
    except RefgradError as error:
        found = c.blank(row, c.UNJUDGED, str(error))
    return dataclasses.replace(found, seconds=round(time.monotonic() - start, 2))


def _judged(judge: Judge) -> Cell:
    verdict = claimed = judge.verdict("as claimed", {}, [])
    if verdict.conforms:
        return judge.cell(c.CONFORMS, verdict, [], {})
    if judge.row.claim.kind == "optimizer" and not judge.row.through and _only_mutates(verdict):
        judge.row = dataclasses.replace(judge.row, through="drivers.on_copies")
    row, granted = judge.row, judge.conditions()
    if granted:
        verdict = judge.verdict(f"under {', '.join(granted)}", {}, granted)
        if verdict.conforms:
            needed, verdict = judge.fewest({}, verdict)
            return judge.cell(c.CONFORMS, verdict, needed, {})
    if row.variant:
        named = ", ".join(f"{n}={value}" for n, value in row.variant.items())
        found = judge.verdict(f"as {named}", row.variant, granted)
        if found.conforms:
            needed, found = judge.fewest(row.variant, found)
            return judge.cell(
                c.VARIANT, found, needed, row.variant, variant=named, sentence=sentences(row.claim, row.variant)
            )
        if verdict.outcome == DIFFERS and found.total.outside < verdict.total.outside:
            verdict = found
    return _searched(judge, verdict if granted else claimed, granted)


def _only_mutates(verdict: Verdict) -> bool:
    return bool(verdict.faults) and all(f.kind == "mutated" for f in verdict.faults) and "torch" in verdict.environment


def _searched(judge: Judge, verdict: Verdict, granted: list[str]) -> Cell:
    """What is left to say of an implementation that is not what its row says."""
    fault = next((f for f in verdict.faults if f.kind in ("hung", "raised")), None)
    if fault is not None:
        return judge.cell(c.HUNG if fault.kind == "hung" else c.CRASHED, verdict, granted, {}, message=fault.message)
    if verdict.outcome == UNJUDGED:
        return judge.cell(c.UNJUDGED, verdict, granted, {}, message="; ".join(verdict.notes))
    verdict = judge.verdict("searched", {}, granted, explain=judge.seconds, shrink=True)
    known = verdict.explanation
    named = known is not None and not known.place
    if known is not None and named and not known.doubt and not verdict.faults:
        return judge.cell(c.VARIANT, verdict, granted, {}, variant=known.name, sentence=known.sentence)
    maybe = [f"it may be {known.name}, but {known.doubt}"] if known is not None and known.doubt else []
    if known is not None and not named:
        maybe = [known.sentence]
    message = "; ".join([*(f.message for f in verdict.faults), *maybe])
    return judge.cell(c.DIFFERS, verdict, granted, {}, message=message)


def sentences(claim: Rule, variant: Mapping[str, Any]) -> str:
    """What a variant's named behaviours are."""
    legal = claim.legal()
    told = []
    for name, value in variant.items():
        kind = legal.get(name)
        words = kind.said(bool(value)) if isinstance(kind, Flag) else getattr(kind, "sentences", {}).get(value)
        told.append(words or f"{name} is {value!r}, not {getattr(claim, name)!r}")
    return "; ".join(told)
