"""Judging by perturbed runs: what a function allows is told by how far random errors of the working dtype carry through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.dtypes import whole_numbers
from refgrad.arithmetic.perturbed import Noise, Perturbed, runs
from refgrad.arithmetic.running_error import Bounded
from refgrad.errors import ArgumentError
from refgrad.oracle.acceptance.bodies import compared, named
from refgrad.oracle.acceptance.judgement import UNDECIDED, Judged
from refgrad.oracle.acceptance.policy import Policy

#: runs of a case: as many as have so many operations together, within limits
RUNS, FEWEST, OPERATIONS = 24, 8, 20_000
#: a run with errors may be so many times as long as the one without, and some operations longer
LONGER, SOME = 3, 100
#: what is allowed: so many root mean squares of what the runs are off by, so many times the largest, and roundings of the result
ROOT_MEAN_SQUARES, LARGEST, ROUNDINGS = 6.0, 2.0, 4.0

Arrays = Mapping[str, np.ndarray]


def judge_spread(rule: Any, arrays: Arrays, seen: Mapping[str, np.ndarray], policy: Policy) -> dict[str, Judged]:
    """The results of one case, judged by the spread of perturbed runs.

    Args:
        rule: a function in float64, as `refgrad.opaque` makes it.
        arrays: what it is handed.
        seen: what the candidate gave.
        policy: what counts as correct.

    Returns:
        Each result; where runs are NaN and others are not, nothing is decided.
    """
    dtype = policy.results_in(arrays[rule.primary].dtype)
    found = spreads(rule, arrays)
    judged = {n: compared(found[n][0], seen[n], dtype, policy) for n in seen}
    for name, (_, mixed) in found.items():
        status = np.where(mixed.reshape(judged[name].status.shape), UNDECIDED, judged[name].status)
        judged[name] = Judged(status.astype(np.uint8), *judged[name].parts()[1:])
    return judged


def spreads(rule: Any, arrays: Arrays) -> dict[str, tuple[Bounded, np.ndarray]]:
    """What a function allows for some arrays.

    Args:
        rule: a function in float64.
        arrays: what it is handed.

    Returns:
        By result the value in float64 with what it may be off by, and where some runs are NaN and others are not.
    """
    dtype = dtypes.working(arrays[rule.primary].dtype)
    unit = dtypes.format_of(dtype).unit_roundoff
    wide = [a.copy() if whole_numbers(a) else a.astype(np.float64) for a in arrays.values()]
    whole = rule.errors_of == "array"

    def of_inputs(array: np.ndarray, noise: Noise) -> np.ndarray:
        return noise.of(np.full_like(array, _largest(array)) if whole else array, of=array)

    with np.errstate(all="ignore"):
        own = named(rule.apply(*(a.copy() for a in wide)))
        tried = _seen_through(rule, wide, own, lambda count, most: runs(rule.apply, wide, unit, count, of_inputs, most))
        if tried is None:
            tried = [named(each) for each in runs(_of_plain(rule.apply), wide, unit, RUNS, of_inputs)]
        return {
            name: _spread(value, [each[name] for each in tried], unit, whole, rule.times) for name, value in own.items()
        }


def is_seen_through(rule: Any, arrays: Arrays) -> bool:
    """True if a function does its operations on arrays that are off at random; else its inputs alone are.

    Args:
        rule: a function in float64.
        arrays: what it is handed.
    """
    wide = [a.copy() if whole_numbers(a) else a.astype(np.float64) for a in arrays.values()]
    with np.errstate(all="ignore"):
        own = named(rule.apply(*(a.copy() for a in wide)))
        return _seen_through(rule, wide, own, lambda count, most: []) is not None


def _spread(value: Any, tried: list[Any], unit: float, whole: bool, times: float) -> tuple[Bounded, np.ndarray]:
    """What one result may be off by."""
    centre = np.asarray(value, np.float64)
    off = np.array([np.asarray(each, np.float64).view(np.ndarray) for each in tried]) - centre
    lost = np.isnan(off)
    infinite = np.isinf(centre)
    lost &= ~infinite
    off = np.where(np.isnan(off), 0.0, off)
    size = np.full_like(centre, _largest(centre)) if whole else np.abs(centre)
    allowed = (
        ROOT_MEAN_SQUARES * np.sqrt(np.mean(off * off, axis=0))
        + LARGEST * np.max(np.abs(off), axis=0, initial=0.0)
        + ROUNDINGS * unit * np.where(infinite, 0.0, size)
    )
    return Bounded(centre, np.asarray(times * allowed)), np.any(lost, axis=0) & ~np.isnan(centre)


def _largest(array: np.ndarray) -> float:
    finite = np.abs(array[np.isfinite(array)])
    return float(np.max(finite, initial=0.0))


def _seen_through(
    rule: Any, wide: list[np.ndarray], own: Mapping[str, Any], run: Callable[[int, int], list[Any]]
) -> list[Mapping[str, Any]] | None:
    """Runs in which every operation is off; None of a function that takes no such arrays or does nothing of NumPy's on them.

    None, too, where its loops do not end on them.
    """
    quiet = Noise(np.random.Generator(np.random.Philox(0)), 0.0)
    try:
        found = named(rule.apply(*(a.copy() if whole_numbers(a) else Perturbed.of(a.copy(), quiet) for a in wide)))
        if not quiet.met[0] or found.keys() != own.keys() or not all(_same(found[n], own[n]) for n in own):
            return None
        count = max(FEWEST, min(RUNS, OPERATIONS // max(quiet.met[0], 1)))
        return [named(each) for each in run(count, LONGER * quiet.met[0] + SOME)]
    except ArgumentError:
        return None


def _same(one: Any, other: Any) -> bool:
    return np.array_equal(np.asarray(one, np.float64), np.asarray(other, np.float64), equal_nan=True)


def _of_plain(body: Any) -> Any:
    """A function that is handed NumPy's own arrays, so that inputs alone are off."""
    return lambda *arrays: body(*(np.array(a, order="C") for a in arrays))
