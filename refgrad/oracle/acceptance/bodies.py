"""Judging a body that is run as it stands: its results against the enclosure of the same body on arrays that carry bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.dtypes import whole_numbers
from refgrad.arithmetic.explorer import Explorer, OpenChoice
from refgrad.arithmetic.ranged import Ranged
from refgrad.arithmetic.replacing import Losing
from refgrad.arithmetic.running_error import Bounded, Model, exact
from refgrad.errors import ArgumentError, TraceError
from refgrad.formula_forms import bodies
from refgrad.formulas import Formula
from refgrad.optimizers.transform import Transform, named_results
from refgrad.oracle.acceptance.comparing import compare, model_for
from refgrad.oracle.acceptance.judgement import INSIDE, UNDECIDED, Judged, outside
from refgrad.oracle.acceptance.policy import Policy

#: ways through a body's open choices that are explored; with more, a case is undecided
MOST_WAYS = 64

Arrays = Mapping[str, np.ndarray]
Results = Mapping[str, Any]


def named(result: Any) -> Results:
    """A transform's results by name: see `named_results`."""
    return named_results(result)


def ways(rule: Transform, arrays: Arrays, policy: Policy, until_nan: bool = False) -> list[dict[str, Bounded]] | None:
    """The acceptance sets of a transform's results, on each way through its open choices; None of too many, or of none.

    Args:
        rule: the transform.
        arrays: what it is handed.
        policy: what counts as correct.
        until_nan: whether none is found, and no more ways are gone, as soon as NaN decides on one of them.

    Raises:
        TraceError: the body uses an operation without a bound.
    """
    found: list[dict[str, Bounded]] = []
    for body in bodies(rule):
        each = _ways_of(body, arrays, model_for(policy, arrays[rule.primary].dtype), until_nan)
        if each is None:
            return None
        found += each
    return found


def _ways_of(
    body: Callable[..., Any], arrays: Arrays, model: Model, until_nan: bool
) -> list[dict[str, Bounded]] | None:
    """Those of one body."""
    pending: list[tuple[bool, ...]] = [()]
    found: list[dict[str, Bounded]] = []
    while pending:
        forced = pending.pop()
        explorer = Explorer(forced)
        given = _given(arrays, model, explorer)
        like = next(a for a in given if isinstance(a, Ranged))
        try:
            with np.errstate(all="ignore"):
                results = named(body(*given))
        except np.linalg.LinAlgError:  # a singular system, which some programs refuse and others make NaN of
            return None
        except OpenChoice:
            pending += [(*forced, False), (*forced, True)]
        else:
            found.append({n: like.lift(r) for n, r in results.items()})
        if until_nan and explorer.met_nan:
            return None
        if len(found) + len(pending) > MOST_WAYS:
            return None
    return found


def _given(arrays: Arrays, model: Model, explorer: Explorer) -> list[Any]:
    """What a body is handed: numbers that carry bounds, and labels as they are."""
    return [
        a.copy() if whole_numbers(a) else Ranged(exact(a.astype(np.float64), model), model, explorer)
        for a in arrays.values()
    ]


def tried(rule: Transform, arrays: Arrays) -> None:
    """Run a formula's body once, before any kernel is asked, so that what is wrong with it is not said of a kernel.

    Args:
        rule: the transform; what is no formula is left to its own tests.
        arrays: what it is handed.

    Raises:
        ArgumentError: it cannot be run, or not on arrays that carry bounds.
    """
    if not isinstance(rule, Formula):
        return
    try:
        rule.sketched(*arrays.values())
        ways(rule, arrays, Policy())
    except TraceError as error:
        raise ArgumentError(f"{type(rule).__name__}'s body cannot be judged: {error}") from error


def defined(rule: Transform, arrays: Arrays, policy: Policy) -> bool:
    """True if every program gives what is not finite among a transform's results: nothing is chosen by NaN, and nothing open.

    Args:
        rule: the transform.
        arrays: what it is handed.
        policy: what counts as correct.
    """
    dtype = arrays[rule.primary].dtype
    model, explorer = model_for(policy, dtype), Explorer()
    given = _given(arrays, model, explorer)
    like = next(a for a in given if isinstance(a, Ranged))
    try:
        with np.errstate(all="ignore"):
            results = [like.lift(r) for r in named(rule.apply(*given)).values()]
    except (
        OpenChoice,
        np.linalg.LinAlgError,
    ):  # the second of a system with NaN, which some programs solve and others refuse
        return False
    return not explorer.met_nan and all(np.all(np.isfinite(r.bound()) | np.isnan(r.value)) for r in results)


def opened(rule: Transform, arrays: Arrays, policy: Policy) -> bool:
    """True if a transform can be judged with every choice that is made by NaN left open, since NaN is not sorted.

    Args:
        rule: the transform.
        arrays: what it is handed.
        policy: what counts as correct.
    """
    return ways(rule, arrays, policy.opened(), until_nan=True) is not None


def judge_body(rule: Transform, arrays: Arrays, seen: Results, policy: Policy) -> dict[str, Judged] | None:
    """The results of one case judged; one way through the choices must explain all of them."""
    explored = ways(rule, arrays, policy)
    if explored is None:
        return None
    dtype = policy.results_in(arrays[rule.primary].dtype)
    judged = [{n: compared(sets[n], seen[n], dtype, policy) for n in seen} for sets in explored]
    best = min(judged, key=lambda way: outside(way.values()))
    return _as_written(rule, arrays, seen, _derivable(rule, arrays, seen, best))


def numbers_from_nan(rule: Any, arrays: Arrays) -> bool:
    """True if a program may give a number where a body makes NaN: of a derived gradient, unless NaN was handed in.

    That NaN is the derivation's: zero times an infinity that was handed in, or that a value is which overflows.
    """
    derived = getattr(rule, "gradient_of", None) is not None
    return derived and not any(np.isnan(np.asarray(a, np.float64)).any() for a in arrays.values())


def _derivable(rule: Transform, arrays: Arrays, seen: Results, judged: dict[str, Judged]) -> dict[str, Judged]:
    """Results that are undecided where the derivation of a gradient makes NaN of what holds none.

    Of infinities NaN is what most programs make too, and is inside; of numbers it is undecided.
    """
    if not numbers_from_nan(rule, arrays):
        return judged
    finite = all(np.isfinite(np.asarray(a, np.float64)).all() for a in arrays.values())
    found = {}
    for n, way in judged.items():
        number = np.isfinite(np.asarray(seen[n], np.float64)) | finite
        found[n] = replace(way, status=np.where(np.isnan(way.truth) & number, UNDECIDED, way.status))
    return found


def _as_written(rule: Transform, arrays: Arrays, seen: Results, judged: dict[str, Judged]) -> dict[str, Judged]:
    """Results in which what is undecided and no number is inside, where a body itself, as it is written, gives the same.

    A share that underflows may be zero in a program or not, so that of 0/0 no bound tells whether it is NaN. But the body in
    the arrays' own arithmetic is a program of the family, and no other is worse for giving the same. It is run twice, since
    libraries differ in what they make of the last subnormal numbers.
    """
    open_ = {n: (judged[n].status == UNDECIDED) & ~np.isfinite(np.asarray(seen[n], np.float64)) for n in judged}
    if not any(each.any() for each in open_.values()):
        return judged
    computed = dtypes.working(arrays[rule.primary].dtype)
    given = [np.array(a, a.dtype if whole_numbers(a) else computed) for a in arrays.values()]
    runs: list[Results] = []
    with np.errstate(all="ignore"):
        for body in bodies(rule):
            runs += [named(body(*(a.copy() for a in given))), named(Losing(rule).of(body, given))]
    found = {}
    for n, way in judged.items():
        own = [np.reshape(np.asarray(run[n], np.float64), way.status.shape) for run in runs]
        same = np.any([(got == seen[n]) | (np.isnan(got) & np.isnan(seen[n])) for got in own], axis=0)
        found[n] = replace(way, status=np.where(open_[n] & same, INSIDE, way.status))
    return found


def compared(acceptable: Bounded, seen: np.ndarray, dtype: np.dtype, policy: Policy) -> Judged:
    """One result against its set.

    Args:
        acceptable: the set.
        seen: what the candidate gave, of as many elements or of one that stands for all.
        dtype: that of the arrays.
        policy: what counts as correct.
    """
    one, shape = np.size(acceptable.value) == 1, seen.shape  # of one number axes may be more or fewer
    value = np.reshape(acceptable.value, shape) if one else np.broadcast_to(acceptable.value, shape)
    error = np.broadcast_to(acceptable.bound(), np.shape(acceptable.value)).reshape(np.shape(value))
    # a number of its own may be given in a wider dtype than that of the arrays
    kept = dtype if seen.dtype == dtype else dtypes.working(dtype)
    return compare(Bounded(value, error), seen.astype(np.float64), kept, policy)
