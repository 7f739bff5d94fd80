"""One case: arrays, the sets of what is right of them, and how results are judged by these alone, as a reader's program does."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from refgrad.errors import RefgradError
from refgrad.golden.inputs import Sample, plain
from refgrad.kinds.table import kind_of
from refgrad.oracle.sets import OutputSet, sets
from refgrad.rule import Rule, short_name

#: ways through open decisions that a case holds at most: those with more are left out
MOST_WAYS = 8

Results = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Case:
    """A case.

    Attributes:
        rule: with its hyperparameters.
        family: what the numbers are like.
        dtype: of the arrays.
        arrays, numbers: what the rule is handed.
        sets: by output, what is acceptable, in conditioning order.
        whole: True if an output depends on all elements of those before it, so that these count as given only if all are.
    """

    rule: Rule
    family: str
    dtype: str
    arrays: Mapping[str, np.ndarray]
    numbers: Mapping[str, float]
    sets: Mapping[str, OutputSet]
    whole: bool

    @property
    def id(self) -> str:
        """The rule's name and a digest of rule and inputs: the same for the same case alone, so that none is used again."""
        total = hashlib.sha256(repr((repr(self.rule), self.dtype, sorted(self.numbers.items()))).encode())
        for name, array in sorted(self.arrays.items()):
            total.update(f"{name}{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        return f"{short_name(type(self.rule))}-{total.hexdigest()[:12]}"


def case_of(rule: Rule, drawn: Sample, dtype: str) -> Case | None:
    """The case of some arrays; None if the rule does not take them, or too much is open there.

    Args:
        rule: with its hyperparameters.
        drawn: the arrays.
        dtype: of the arrays.
    """
    try:
        found = sets(rule, drawn.arrays)
    except (RefgradError, ArithmeticError, LookupError, TypeError, ValueError):  # it does not take these arrays
        return None
    ends = [end for each in found.values() for pair in each.admissible for end in pair]
    if any(len(each.admissible) > MOST_WAYS for each in found.values()) or not all(np.isfinite(e).all() for e in ends):
        return None
    arrays, numbers = plain(drawn.arrays)
    return Case(rule, drawn.family, dtype, arrays, numbers, found, not _elementwise(rule, found))


def _elementwise(rule: Any, found: Mapping[str, OutputSet]) -> bool:
    """True if each element of an output depends on the same element of those before it alone."""
    if len({each.low.shape for each in found.values()}) > 1 or kind_of(rule).name != "optimizer":
        return False
    return rule.scope != "tree" and not rule.plan((2, 2), 1).graph.couples() and not rule.plan((2, 2), 1).graph.matrix()


class Judged(NamedTuple):
    """What is said of one output: which elements are outside, and which nothing is said of."""

    outside: np.ndarray
    unjudged: np.ndarray


def judge(case: Case, results: Results) -> dict[str, Judged]:
    """Results judged by the case alone, as docs/golden.md says.

    Where all that an output is conditioned on is what the case has, bit by bit, its narrow set counts; else the wide one, and
    where there is none nothing is said.

    Args:
        case: what is right.
        results: outputs by name, numbers in the shapes of the sets; those that are missing are not judged.
    """
    found: dict[str, Judged] = {}
    for name, each in case.sets.items():
        if name not in results:
            continue
        values = np.asarray(results[name], np.float64).reshape(each.low.shape)
        given = _given(case, each, results)
        right = _within(values, each.admissible)
        wide = _within(values, [each.wide]) if each.wide is not None else np.ones(values.shape, bool)
        unjudged = np.zeros(values.shape, bool) if each.wide is not None else np.broadcast_to(~given, values.shape)
        found[name] = Judged(~np.where(given, right, wide), unjudged)
    return found


def _given(case: Case, each: OutputSet, results: Results) -> np.ndarray:
    """Where everything that an output is conditioned on is what the case has."""
    same = [np.asarray(results[n], np.float64).reshape(case.sets[n].low.shape) == case.sets[n].reference
            for n in each.given if n in results]  # fmt: skip
    missing = any(n not in results for n in each.given)
    if missing or not same:
        return np.asarray(not missing)
    return np.logical_and.reduce(same) if not case.whole else np.asarray(all(s.all() for s in same))


def _within(values: np.ndarray, admissible: Any) -> np.ndarray:
    found = np.zeros(values.shape, bool)
    for low, high in admissible:
        found |= (values >= low) & (values <= high)
    return found
