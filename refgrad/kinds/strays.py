"""Steps of a long run that are furthest from the rule: all are looked at in float64, and few of them are judged.

To judge a step costs far more than to take it. Whatever stretch of a run is wrong, the step that is furthest from the rule
is one of those where it is, so that judging that one finds it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from refgrad.errors import ArgumentError, TraceError
from refgrad.rule import Rule
from refgrad.tracing import literal

Distances = Mapping[str, float]

#: steps that are judged of each output: a step may be far away because numbers cancel there, and right
MOST = 3


def strays(leaves: Iterable[Callable[[int], Distances]], steps: Iterable[int]) -> frozenset[int]:
    """Of some steps those at which an output is furthest from what the rule makes of the candidate's own state.

    Args:
        leaves: for each parameter what says by output how far a step is from the rule, such as `Leaf.distances`.
        steps: counted from 1.

    Returns:
        Few of the steps.
    """
    found: dict[str, dict[int, float]] = {}
    steps = tuple(steps)
    for distances in leaves:
        for t in steps:
            for name, far in distances(t).items():
                known = found.setdefault(name, {})
                known[t] = max(far, known.get(t, 0.0))
    return frozenset(t for known in found.values() for t in heapq.nlargest(MOST, known, key=lambda t: (known[t], -t)))


def distances(
    rule: Rule, before: Mapping[str, np.ndarray], scalar_values: Mapping[str, float], after: Mapping[str, np.ndarray]
) -> Distances:
    """By output the largest distance from the rule in float64, over the largest number that stands there.

    Args:
        rule: the rule.
        before: what it takes, by name.
        scalar_values: its numbers of the step.
        after: what was seen after the step.

    Returns:
        Distances of the outputs that were seen; none where the rule's body cannot be run on what it is given.
    """
    wide = {name: np.asarray(array, np.float64) for name, array in before.items()}
    try:
        made = literal(rule, wide, scalar_values)
    except (ArgumentError, TraceError, ArithmeticError, ValueError):
        return {}
    return {name: _furthest(wide.get(name), made[name], seen) for name, seen in after.items() if name in made}


@np.errstate(all="ignore")
def _furthest(before: Any, truth: Any, seen: np.ndarray) -> float:
    seen, truth = seen.astype(np.float64), np.asarray(truth, np.float64)
    size = np.maximum(np.abs(seen), np.abs(truth))
    if before is not None and np.shape(before) == seen.shape:
        size = np.maximum(size, np.abs(before))
    same = (seen == truth) | (np.isnan(seen) & np.isnan(truth))
    far = np.where(np.isfinite(seen) & np.isfinite(truth), np.abs(seen - truth) / size, np.inf)
    return float(np.where(same, 0.0, far).max(initial=0.0))
