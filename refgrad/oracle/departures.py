"""Known departures: when a run is not the rule, is it a named variant of it, or the rule under another policy?"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from refgrad.errors import ArgumentError
from refgrad.oracle.changes import Change, named, policies
from refgrad.oracle.policy import Policy
from refgrad.oracle.search import Search
from refgrad.oracle.verdict import Count, Departure
from refgrad.rule import Rule

#: the same observations judged with some hyperparameters changed, under a policy; None where they cannot be
Rejudge = Callable[[Mapping[str, Any], Policy], "Mapping[str, Count] | None"]

Counts = Mapping[str, Count]


def departures(rule: Rule, policy: Policy, rejudge: Rejudge, most: int = 5) -> tuple[Departure, ...]:
    """The run judged again under each single departure, and under pairs of the best if none explains it alone."""

    def judged(change: Change) -> Counts | None:
        return rejudge(change.rule, change.policy_of(policy))

    singles = _scored(judged, [*named(rule), *policies(policy)])
    found = singles
    if singles and not singles[0][1].explains:
        best = [change for change, _ in singles[:4]]
        pairs = [a + b for a, b in itertools.combinations(best, 2) if not a.clashes(b)]
        found = _sorted(singles + _scored(judged, pairs))
    return tuple(departure for _, departure in found[:most])


def searched(
    search: Search, judged: Callable[[Change], Counts], usual: Iterable[Change] = (), most: int = 3
) -> tuple[Departure, ...]:
    """The best of a search, mutants among them, judged on the whole run; none but the first if it explains the run.

    ``usual`` are changes so common that one which explains the run ends the search before it begins.
    """
    found = _scored(judged, usual)
    if found and found[0][1].explains:
        return (found[0][1],)
    for scored in search.run(deep=False).ranked[:most]:
        if scored.change.parts:
            found += _scored(judged, [scored.change])
            if found and found[-1][1].explains:
                break
    return tuple(departure for _, departure in _sorted(found))


def _scored(judged: Callable[[Change], Counts | None], changes: Iterable[Change]) -> list[tuple[Change, Departure]]:
    scored = []
    for change in changes:
        try:
            counts = judged(change)
        except (ArgumentError, ArithmeticError):
            continue  # the departure is not defined for these hyperparameters
        if counts is None:
            continue
        outside, total = sum(map(_unexplained, counts.values())), sum(c.total for c in counts.values())
        scored.append((change, Departure(change.name, change.sentence, outside, total)))
    return _sorted(scored)


def _unexplained(count: Count) -> int:
    """The elements outside; of a tensor that is undecided for the most part, which explains nothing, those as well."""
    return count.outside + (count.undecided if count.undecided > count.inside else 0)


def _sorted(scored: list[tuple[Change, Departure]]) -> list[tuple[Change, Departure]]:
    return sorted(scored, key=lambda pair: pair[1].outside)
