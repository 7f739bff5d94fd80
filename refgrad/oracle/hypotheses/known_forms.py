"""The forms of a rule that others are known to have, tried as a whole: several behaviours, numbers and roundings at once.

A framework's rule of the claim's name often differs from it in two or three ways, and is computed in float32 scalars with
subnormal numbers flushed besides. A search puts that together last, if it has the time; `refgrad.optimizers.elsewhere` knows it.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from refgrad.kinds.record import Record
from refgrad.optimizers import elsewhere
from refgrad.oracle.acceptance.judgement import OUTSIDE
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.hypotheses.changes import NONE, Change, named, policies
from refgrad.oracle.hypotheses.run_screen import UNDEFINED
from refgrad.oracle.hypotheses.scored import Scored
from refgrad.oracle.hypotheses.search import Search
from refgrad.rule import Rule


@dataclass(frozen=True)
class KnownForm:
    """What somebody's rule of the claim's name is, as one change of the claim, and where."""

    whose: str
    parts: tuple[Change, ...]


def known_forms(rule: Rule) -> Iterator[KnownForm]:
    """The forms that differ from the claim in a behaviour or number."""
    behaviours = {change.name: change for change in named(rule)}
    for whose, fields in elsewhere.ELSEWHERE.get(type(rule).__name__, {}).items():
        different = {n: value for n, value in fields.items() if value != getattr(rule, n)}
        parts = tuple(behaviours.get(f"{n}={value}") or _number(rule, n, value) for n, value in different.items())
        if parts:
            yield KnownForm(whose, parts)


def _number(rule: Rule, name: str, value: float) -> Change:
    return Change(f"{name}={value:g}", f"{name} is {value:g}, not {getattr(rule, name):g}", "value", {name: value})


def roundings(rule: Rule, policy: Policy) -> list[Change]:
    """What frameworks do besides to all of their rules: nothing; scalars in float32; subnormals flushed; both."""
    scalars = [c for c in named(rule) if c.name == "scalars=float32"]
    flushed = [c for c in policies(policy) if c.policy == {"subnormals": "either"}]
    return [NONE, *scalars, *flushed, *(a + b for a in scalars for b in flushed)]


def fitted_forms(search: Search) -> list[tuple[KnownForm, Scored]]:
    """Each known form under the roundings under which it does best, without parts of which nothing shows; the best first.

    The whole of it follows, since a run that is searched on may not show what all of it does.
    """
    best: list[tuple[KnownForm, Scored]] = []
    besides = roundings(search.screen.rule, search.screen.policy)
    alone = [r for r in besides if r.parts and (plain := _scored(search, [r])) is not None and plain.fits]
    for form in known_forms(search.screen.rule) if not alone else ():
        tried = [(rounding, _scored(search, (*form.parts, rounding))) for rounding in besides]
        judged = [(rounding, scored) for rounding, scored in tried if scored is not None]
        if judged:
            rounding, scored = min(judged, key=lambda pair: pair[1].rank)
            fewest = _fewest(search, form, rounding, scored)
            best += [(form, each) for each in ([fewest] if fewest is scored else [fewest, scored])]
    return sorted(best, key=lambda pair: pair[1].rank)


def _scored(search: Search, parts: Iterable[Change]) -> Scored | None:
    change = functools.reduce(operator.add, parts, NONE)
    search.score([change])
    return search.tried.get(change.key)


def _fewest(search: Search, form: KnownForm, rounding: Change, whole: Scored) -> Scored:
    """A form that fits without the parts of which nothing shows."""
    parts = list(form.parts)
    for part in form.parts if whole.fits else ():
        rest = [p for p in parts if p is not part]
        fewer = _scored(search, (*rest, rounding)) if rest else None
        if fewer is not None and fewer.fits:
            parts, whole = rest, fewer
    return whole


def wrong_leaves(claim: Claim, record: Record, change: Change) -> set[int]:
    """The parameters in which something is outside under a change; all of them where it cannot be judged."""
    try:
        rules = [change.changed(rule) for rule in record.rules]
        outputs = claim.kind.outputs(record, rules, change.wanted(claim.request.policy))
        return {o.leaf for o in outputs if bool((o.judged.status == OUTSIDE).any())}
    except UNDEFINED:
        return set(range(len(record.cases.arrays)))
