"""Judging an answer by the condition that right ones satisfy, whatever way led to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.dtypes import whole_numbers
from refgrad.gradients.solved import Conditions, Solved
from refgrad.oracle.acceptance.bodies import named
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, UNDECIDED, Judged

Arrays = Mapping[str, np.ndarray]


def judge_condition(rule: Solved, arrays: Arrays, seen: Arrays) -> dict[str, Judged]:
    """The results of one case judged by a rule's condition.

    Where they do not satisfy it they are outside; a bound that is not finite is not satisfied. They are undecided where the
    rule's own answer, rounded as they are, does not either (of numbers that overflow, say), and where they are that answer.
    NaN is inside where the rule's own is NaN, and nowhere else.

    Args:
        rule: the rule.
        arrays: what it was handed.
        seen: its results, of the shapes and dtypes that the rule's own have.

    Returns:
        Each result; its truth is the rule's own answer in float64.
    """
    own = _own(rule, arrays)
    rounded = {n: _rounded(own[n], seen[n].dtype) for n in seen}
    held, possible = _held(rule, arrays, seen), _held(rule, arrays, rounded)
    return {n: _judged(np.asarray(a), own[n], rounded[n], held[n], possible[n]) for n, a in seen.items()}


def missed(rule: Solved, arrays: Arrays, seen: Arrays) -> Iterator[str]:
    """Each condition that results do not satisfy, as a sentence with its numbers.

    Args:
        rule, arrays, seen: as of `judge_condition`.
    """
    for name, (quantity, bound) in _conditions(rule, arrays, seen).items():
        sizes, most = np.broadcast_arrays(np.abs(np.asarray(quantity, float)), np.asarray(bound, float))
        over = ~(sizes <= most) & np.isfinite(most)
        if over.any():
            worst = np.unravel_index(
                np.argmax(np.where(over, np.nan_to_num(sizes - most, nan=np.inf), -1.0)), over.shape
            )
            yield f"{name} is {sizes[worst]:.3g}; legal: at most {most[worst]:.3g}"


def _judged(seen: np.ndarray, own: np.ndarray, rounded: np.ndarray, held: np.ndarray, possible: np.ndarray) -> Judged:
    held = held & ~(
        np.isnan(seen) & ~np.isnan(own)
    )  # a condition with comparisons may hold of NaN for want of anything larger
    status = np.where(held, INSIDE, np.where(possible & (seen != rounded), OUTSIDE, UNDECIDED))
    status = np.where(np.isnan(own) & np.isnan(seen), INSIDE, status)
    # of an answer that is right the ends are as far from the rule's own as it is: whatever lies there was not looked at
    with np.errstate(invalid="ignore"):
        off = np.where(held, np.abs(seen.astype(np.float64) - own), 0.0)
    return Judged(status, own, np.fmin(rounded, own - off), np.fmax(rounded, own + off))


def _own(rule: Solved, arrays: Arrays) -> dict[str, np.ndarray]:
    """The rule's answer in float64."""
    with np.errstate(all="ignore"):
        found = named(rule(*_wide(arrays)))
    return {n: np.asarray(a, np.float64) for n, a in found.items()}


def _wide(arrays: Arrays) -> list[np.ndarray]:
    return [a if whole_numbers(a) else np.asarray(a, np.float64) for a in arrays.values()]


def _rounded(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return np.asarray(dtypes.round_to(values, dtype), np.float64) if dtypes.is_float(dtype) else values


def _conditions(rule: Solved, arrays: Arrays, seen: Arrays) -> Conditions:
    dtype = dtypes.as_dtype(next(a for a in arrays.values() if not whole_numbers(a)).dtype)
    answers = [np.asarray(a, np.float64) for a in seen.values()]
    with np.errstate(all="ignore"):
        return rule.condition(*_wide(arrays), *answers, dtypes.format_of(dtype).unit_roundoff)


def _held(rule: Solved, arrays: Arrays, seen: Arrays) -> dict[str, np.ndarray]:
    """Where the condition holds, in the shape of each result."""
    found = {n: np.ones(np.shape(a), bool) for n, a in seen.items()}
    for quantity, bound in _conditions(rule, arrays, seen).values():
        within = np.asarray((np.abs(quantity) <= bound) & np.isfinite(bound))
        parts = [n for n, a in found.items() if within.ndim and a.shape[: within.ndim] == within.shape]
        for n in parts:
            found[n] &= within.reshape(within.shape + (1,) * (found[n].ndim - within.ndim))
        if not parts:
            for each in found.values():
                each &= within.all()
    return found
