"""One case: arrays, the sets of what is right of them, and how results are judged by these alone, as a reader's program does."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from refgrad.arithmetic import exact
from refgrad.errors import RefgradError
from refgrad.golden.inputs import Sample, plain
from refgrad.kinds.table import kind_of
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.sets import OutputSet, record_of, sets
from refgrad.rule import Rule

#: ways through open decisions that a case holds at most: those with more are left out
MOST_WAYS = 8
#: decimal digits in which truths are computed again: others than they are written with
MORE_DIGITS = 75

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
        nan_open: True if the sets leave open what comparisons, signs and maxima make of NaN.
        may_meet: True if infinities may meet in one program and not in another, so that NaN is right wherever it comes out.
    """

    rule: Rule
    family: str
    dtype: str
    arrays: Mapping[str, np.ndarray]
    numbers: Mapping[str, float]
    sets: Mapping[str, OutputSet]
    whole: bool
    nan_open: bool = False
    may_meet: bool = False

    @property
    def policy(self) -> dict[str, str]:
        """What differs from the usual policy, as a file has it."""
        return {
            **({"decisions_on_nan": "open"} if self.nan_open else {}),
            **({"nan": "right"} if self.may_meet else {}),
        }

    @property
    def id(self) -> str:
        """The rule's name and a digest of rule, version and inputs: the same for the same case alone, and never used again."""
        total = hashlib.sha256(repr((repr(self.rule), self.dtype, sorted(self.numbers.items()))).encode())
        if self.rule.revision > 1:
            total.update(f"version {self.rule.revision}".encode())
        for name, array in sorted(self.arrays.items()):
            total.update(f"{name}{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        return f"{type(self.rule).__name__}-{total.hexdigest()[:12]}"


def case_of(rule: Rule, drawn: Sample, dtype: str) -> Case | None:
    """The case of some arrays; None if the rule does not take them, or too much is open there.

    Args:
        rule: with its hyperparameters.
        drawn: the arrays.
        dtype: of the arrays.
    """
    rule = rule if drawn.rule is None else drawn.rule
    try:
        found = sets(rule, drawn.arrays, policy=Policy().opened() if drawn.nan_open else None)
    except (RefgradError, ArithmeticError, LookupError, TypeError, ValueError):  # it does not take these arrays
        return None
    ends = [end for each in found.values() for pair in each.admissible for end in pair]
    if any(len(each.admissible) > MOST_WAYS for each in found.values()):
        return None
    if drawn.finite:
        truths = [each.truth for each in found.values()]  # zero over zero is none, whatever the ends say
        if not all(np.isfinite(e).all() for e in [*ends, *truths]):
            return None
    else:
        found = _agreed(rule, found, drawn)
        if not found or not any(np.isfinite(end).any() for each in found.values() for end in each.admissible[0]):
            return None
    found = _steady(rule, drawn.arrays, found)
    arrays, numbers = plain(drawn.arrays)
    whole = not _elementwise(rule, found)
    return Case(rule, drawn.family, dtype, arrays, numbers, found, whole, drawn.nan_open, drawn.may_meet)


def _steady(rule: Rule, arrays: Mapping[str, Any], found: Mapping[str, OutputSet]) -> dict[str, OutputSet]:
    """The sets, without exact results that are others in more digits: an edge is met there but for the rounding of digits."""
    wanted = [name for name, each in found.items() if each.exact is not None]
    again = kind_of(rule).exactly(rule, record_of(rule, arrays), MORE_DIGITS) if wanted else {}

    def steady(name: str, each: OutputSet) -> bool:
        return name in again and np.array_equal(
            exact.to_odd(np.reshape(again[name], each.truth.shape)), each.truth, equal_nan=True
        )

    return {
        n: replace(each, exact=None, truth=each.low) if n in wanted and not steady(n, each) else each
        for n, each in found.items()
    }


def _agreed(rule: Rule, found: Mapping[str, OutputSet], drawn: Sample) -> dict[str, OutputSet]:
    """The outputs that programs agree on, as far as what they are given is among them; each with sets that have ends.

    Sets that leave out what the rule itself gives say nothing. The exact path counts where it says what the sets do: it knows
    of no NaN that comparisons and maxima leave out.
    """
    outputs, whole = drawn.outputs, not _elementwise(rule, found)
    kept: dict[str, OutputSet] = {}
    for name, each in found.items():
        pairs = [*each.admissible, *([each.wide] if each.wide is not None else [])]
        sound = all((np.isnan(low) == np.isnan(high)).all() and not (low > high).any() for low, high in pairs)
        # codes are judged as the numbers that they stand for, which the rule's own answer has not
        coded = rule.kind == "quantizer" or each.reference.size != each.low.size
        own = each.low if coded else np.asarray(each.reference, np.float64).reshape(each.low.shape)
        right = within(own, each.admissible, drawn.may_meet).all()
        told = (outputs is None or name in outputs) and all(n in kept for n in each.given if n != name)
        if sound and right and told and not _one_or_none(each, kept, whole):
            kept[name] = each if each.contains(each.truth).all() else replace(each, exact=None, truth=each.low)
    return kept


def _one_or_none(each: OutputSet, kept: Mapping[str, OutputSet], whole: bool) -> bool:
    """True if the ends where nothing is given ought to hold NaN and numbers, which no two ends do.

    Where what is given is NaN in every program, it is given bit by bit, and they do not count.
    """
    if each.wide is None or not each.given:
        return False
    some = np.logical_or.reduce([np.isnan(low) for low, _ in each.admissible]) & ~np.isnan(each.wide[0])
    given = [kept[n] for n in each.given if n in kept]
    if whole or any(other.low.shape != each.low.shape for other in given):
        return bool(some.any())
    none = [np.logical_and.reduce([np.isnan(low) for low, _ in other.admissible]) for other in given]
    return bool((some & ~np.logical_and.reduce([np.ones(some.shape, bool), *none])).any())


def _elementwise(rule: Any, found: Mapping[str, OutputSet]) -> bool:
    """True if each element of an output depends on the same element of those before it alone."""
    if rule.kind == "mask":
        return bool(rule.elementwise)
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
        right = within(values, each.admissible, case.may_meet)
        wide = within(values, [each.wide], case.may_meet) if each.wide is not None else np.ones(values.shape, bool)
        unjudged = np.zeros(values.shape, bool) if each.wide is not None else np.broadcast_to(~given, values.shape)
        found[name] = Judged(~np.where(given, right, wide), unjudged)
    return found


def _given(case: Case, each: OutputSet, results: Results) -> np.ndarray:
    """Where everything that an output is conditioned on is what the case has."""
    same = [_alike(np.asarray(results[n], np.float64).reshape(case.sets[n].low.shape), case.sets[n].reference)
            for n in each.given if n in results]  # fmt: skip
    missing = any(n not in results for n in each.given)
    if missing or not same:
        return np.asarray(not missing)
    return np.logical_and.reduce(same) if not case.whole else np.asarray(all(s.all() for s in same))


def _alike(values: np.ndarray, reference: Any) -> np.ndarray:
    """Where numbers are the same, or both NaN."""
    wide = np.asarray(reference, np.float64)
    return np.asarray((values == wide) | (np.isnan(values) & np.isnan(wide)))


def within(values: np.ndarray, admissible: Any, nan: bool = False) -> np.ndarray:
    """Which numbers lie in one of some sets: between its ends, or NaN where these are NaN or one infinity.

    Args:
        values: numbers in float64.
        admissible: the ends of each set.
        nan: True if NaN is right wherever it comes out.
    """
    found = np.isnan(values) if nan else np.zeros(values.shape, bool)
    for low, high in admissible:
        none = np.isnan(low) | (np.isinf(low) & (low == high))
        found |= (values >= low) & (values <= high) | (none & np.isnan(values))
    return found
