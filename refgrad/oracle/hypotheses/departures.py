"""Known departures: when a run is not the rule, is it a named variant of it, or the rule under another policy?"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from refgrad.errors import ArgumentError
from refgrad.oracle.acceptance.findings import Count
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.outcomes import Departure
from refgrad.oracle.hypotheses.changes import NONE, Change, named, policies
from refgrad.oracle.hypotheses.search import Search
from refgrad.rule import Rule

#: the same observations judged with some hyperparameters changed, under a policy; None where they cannot be
Rejudge = Callable[[Mapping[str, Any], Policy], "Mapping[str, Count] | None"]

Counts = Mapping[str, Count]


def departures(rule: Rule, policy: Policy, rejudge: Rejudge, most: int = 5) -> tuple[Departure, ...]:
    """The run judged again under each single departure, and under pairs of the best if none explains it alone."""

    def judged(change: Change) -> Counts | None:
        return rejudge(change.rule, change.policy_of(policy))

    claimed = judged(NONE) or {}
    singles = _scored(judged, [*named(rule), *policies(policy)], claimed)
    found = singles
    if singles and not singles[0][1].explains:
        best = [change for change, _ in singles[:4]]
        pairs = [a + b for a, b in itertools.combinations(best, 2) if not a.clashes(b)]
        found = _sorted(singles + _scored(judged, pairs, claimed))
    return tuple(departure for _, departure in found[:most])


def searched(
    search: Search, judged: Callable[[Change], Counts], usual: Iterable[Change] = (), most: int = 3
) -> tuple[Departure, ...]:
    """The best of a search, mutants among them, judged on the whole run; none but the first if it explains the run.

    ``usual`` are changes so common that one which explains the run ends the search before it begins.
    """
    claimed = judged(NONE) or {}
    found = _scored(judged, usual, claimed)
    if found and found[0][1].explains:
        return (found[0][1],)
    for scored in search.run(deep=False).ranked[:most]:
        if scored.change.parts:
            found += _scored(judged, [scored.change], claimed)
            if found and found[-1][1].explains:
                break
    return tuple(departure for _, departure in _sorted(found))


def _scored(
    judged: Callable[[Change], Counts | None], changes: Iterable[Change], claimed: Counts
) -> list[tuple[Change, Departure]]:
    """Changes with what is outside under them; ``claimed`` are the counts under none."""
    scored = []
    for change in changes:
        try:
            counts = judged(change)
        except (ArgumentError, ArithmeticError):
            continue  # the departure is not defined for these hyperparameters
        if counts is None:
            continue
        outside = sum(_unexplained(c, claimed.get(name, Count())) for name, c in counts.items())
        total = sum(c.total for c in counts.values())
        scored.append((change, Departure(change.name, change.sentence, outside, total)))
    return _sorted(scored)


def _unexplained(count: Count, claimed: Count) -> int:
    """The elements outside; of a tensor that a change leaves undecided for the most part, which explains nothing, those too.

    What is as undecided under the claim itself is not held against the change.
    """
    blurred = count.undecided > max(count.inside, claimed.undecided)
    return count.outside + (count.undecided if blurred else 0)


def _sorted(scored: list[tuple[Change, Departure]]) -> list[tuple[Change, Departure]]:
    return sorted(scored, key=lambda pair: pair[1].outside)
