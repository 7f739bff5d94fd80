"""How far an explanation is to be believed: a control that must fail, and how wide its acceptance sets are.

A hypothesis that fits a candidate explains it only if it could have failed to. The control is a program that the hypothesis
does not describe: the claimed rule itself, as refgrad has it, on the same cases. A hypothesis that fits this too takes in what
it does not describe, as bfloat16 arithmetic takes in everything that is right to eight bits, and says nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.candidates.protocol import Observation
from refgrad.errors import ArgumentError, CandidateError
from refgrad.kinds.record import Record
from refgrad.oracle.acceptance.findings import Output
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.hypotheses.protocol import Screen
from refgrad.oracle.hypotheses.run_screen import UNDEFINED
from refgrad.oracle.hypotheses.screens import judged, screen_like, screen_of

#: how many times as wide as the claim's the sets of an explanation may be, in the middle of a tensor, to be a fact
WIDER = 16.0

#: why what fits is no fact
FITS_THE_RULE = (
    "results of {rule} itself would lie within its acceptance sets too, so that these cannot tell the two apart"
)
IS_WIDER = "its acceptance sets are {times:.0f} times as wide as those of {rule}"


@dataclass(frozen=True, eq=False)
class Control:
    """The claimed rule itself, driven through the cases of a candidate that is something else.

    Attributes:
        claim: that the rule is itself.
        record: its run; of state and results what the candidate shows.
        theirs: the candidate's run.
    """

    claim: Claim
    record: Record
    theirs: Record | None = None
    _alike: dict[int, tuple[Screen, Screen]] = field(default_factory=dict)

    @cached_property
    def screen(self) -> Screen:
        """The same, as hypotheses are tried on it."""
        return screen_of(self.claim, self.record)

    def may_fit(self, change: Change, screen: Screen | None = None) -> bool:
        """True if a change fits what is looked at first of the rule itself.

        Args:
            change: of the rule.
            screen: what the candidate is looked at on, so that as much is looked at here.
        """
        return _fits((self.screen if screen is None else self._like(screen)).counts(change))

    def _like(self, screen: Screen) -> Screen:
        if id(screen) not in self._alike:
            made = None if self.theirs is None else screen_like(screen, self.claim, self.theirs, self.record)
            self._alike[id(screen)] = screen, made or self.screen
        return self._alike[id(screen)][1]

    def fits(self, change: Change) -> bool:
        """True if a change fits the whole run of the rule itself."""
        return _fits(judged(self.claim, self.record, change))

    def doubt(self, change: Change) -> str:
        """Why a change that fits a candidate is no fact; empty if it is one."""
        if not change.parts:
            return ""
        if self.fits(change):
            return FITS_THE_RULE.format(rule=self.claim.rule)
        times = self.wider(change)
        return IS_WIDER.format(rule=self.claim.rule, times=times) if times > WIDER else ""

    def wider(self, change: Change) -> float:
        """How many times as wide as the claim's the sets under a change are, in the middle of the tensor where it is most."""
        own, other = self._widths(NONE), self._widths(change)
        return max((width / own[name] for name, width in other.items() if name in own), default=1.0)

    def _widths(self, change: Change) -> Mapping[str, float]:
        rules = [change.changed(rule) for rule in self.record.rules]
        try:
            wanted = change.wanted(self.claim.request.policy)
            return widths(self.claim.kind.outputs(self.record, rules, wanted))
        except UNDEFINED:
            return {}


def control_of(claim: Claim, record: Record) -> Control | None:
    """The control of a claim; None if the rule cannot be driven through these cases, or is set otherwise in some of them.

    Args:
        claim: that a candidate is a rule.
        record: the candidate's run.
    """
    rules = list(dict.fromkeys(map(claim.kind.told, record.rules)))
    if len(rules) > 1:
        return None
    rule = record.rules[0]
    request = dataclasses.replace(claim.request, candidate=rule, rule=rule, options={}, state_names=None)
    try:
        own = dataclasses.replace(Claim.of(request), situation=claim.situation)
        run = own.drive(claim.kind.completed(rule, record.cases))
    except (ArgumentError, CandidateError):
        return None
    if run.faults or not run.answered:
        return None
    return Control(own, dataclasses.replace(run, seen=_shown(record.seen, run.seen)), record)


def _fits(counts: Any) -> bool:
    return bool(counts) and not any(c.outside for c in counts.values())


def _shown(theirs: list[Any], ours: list[Any]) -> list[Any]:
    """What the rule itself gave, as far as the candidate shows as much."""
    last = next((each for each in reversed(theirs) if each is not None), None)
    if isinstance(last, Observation):
        names = [set(state) for state in last.state]
        return [
            each and Observation(each.params, [_only(s, n) for s, n in zip(each.state, names, strict=True)])
            for each in ours
        ]
    if isinstance(last, Mapping):
        return [each and _only(each, set(last)) for each in ours]
    return ours


def _only(values: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {n: v for n, v in values.items() if n in names}


def widths(outputs: Iterable[Output]) -> dict[str, float]:
    """How wide acceptance sets are, by tensor: in the middle of those that are not zero, in parts of the numbers in them.

    One unit of the tensor's dtype is added, so that the sets of exact results have a width as well.
    """
    found: dict[str, list[np.ndarray]] = {}
    for output in outputs:
        low, high = (np.asarray(a, np.float64) for a in (output.judged.low, output.judged.high))
        with np.errstate(all="ignore"):
            part = (high - low) / np.maximum(np.abs(low), np.abs(high))
        least = 1.0 if output.unit == np.bool_ else float(dtypes.ulp(np.asarray(1.0), output.unit))
        found.setdefault(output.tensor, []).append(part[np.isfinite(part)] + least)
    return {name: float(np.median(np.concatenate(parts))) for name, parts in found.items() if sum(map(np.size, parts))}
