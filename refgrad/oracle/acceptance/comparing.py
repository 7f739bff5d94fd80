"""One observed output against its acceptance set, element by element, under the rounding model of a policy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.running_error import Bounded, Model
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, UNDECIDED, Judged
from refgrad.oracle.acceptance.policy import Policy


def model_for(policy: Policy, dtype: np.dtype) -> Model:
    """The rounding model of a policy for arrays of a dtype.

    Args:
        policy: what counts as correct.
        dtype: that of the parameter; a narrow one is computed in float32, unless the policy's ``precision`` is another.

    Returns:
        The model, in the format that is computed in.
    """
    wide = _model(dtypes.working(dtype), policy)
    if policy.precision == "wide" or dtypes.working(dtype) == dtype:
        return wide
    of_sums = wide if policy.precision == "sums" else None
    return replace(_model(dtype, policy), cancelled=wide.unit_roundoff, of_sums=of_sums)


def _model(computed_in: np.dtype, policy: Policy) -> Model:
    facts = dtypes.format_of(computed_in)
    model = Model.of(facts, policy.roundings, policy.scalar_roundings, policy.subnormals, policy.sums)
    model = replace(model, stored=policy.stored) if policy.stored else model
    if policy.accumulate != "own":
        of_sums = dtypes.format_of(np.dtype(policy.accumulate)).unit_roundoff
        model = replace(model, added_in=of_sums) if of_sums < facts.unit_roundoff else model
    return replace(model, nan_open=True) if policy.nan_open else model


def conditioned(values: np.ndarray, dtype: np.dtype, model: Model, as_stored: bool = False) -> Bounded:
    """An observed output to go on from.

    A narrow one may have been used before it was rounded for storage. So may any other in a wider register, which matters
    where it underflowed; and a number that was subnormal until it was stored as zero, where subnormals may be flushed.

    Args:
        values: what was seen, float64.
        dtype: what it is stored in.
        model: of the format that is computed in.
        as_stored: whether the rule itself rounds it, so that it is used as it is stored.

    Returns:
        The number that went on, with its error: one unit in the last place of a narrow dtype, or where it is subnormal
        what may have been lost there; else none.
    """
    if as_stored and not model.flushes:
        return Bounded(values)
    if as_stored or dtypes.format_of(dtype).unit_roundoff <= model.unit_roundoff:
        small = np.abs(values) < model.smallest_normal
        return Bounded(values, np.where(small, model.lost, 0.0) if small.any() else None)
    return Bounded(values, dtypes.ulp(values, dtype))


def compare(acceptable: Bounded, values: np.ndarray, dtype: np.dtype, policy: Policy) -> Judged:
    """Inside, outside or undecided, element by element; NaN and infinities by class.

    Args:
        acceptable: the acceptance set, which broadcasts to the output's shape.
        values: the output, float64.
        dtype: what it is stored in: the correctly rounded result of anything in the set is acceptable. A number of the set that
            came in a wider dtype is too, whatever the others are.
        policy: whether subnormals are kept.

    Returns:
        Statuses, the truth, and the least and the largest that are acceptable, shaped like the output. Of what is outside where
        NaN is acceptable beside numbers, the truth is NaN, and the ends are those of the numbers.
    """
    shape = values.shape
    truth = np.broadcast_to(acceptable.value, shape)
    error = np.broadcast_to(acceptable.bound(), shape)
    inside, low, high = _against_bounds(acceptable, values, dtype, policy)
    if _all_plain(inside, low, high, policy):
        return Judged(np.zeros(shape, np.uint8), truth, low, high)
    undefined = np.isnan(error) & ~np.isnan(truth)
    low, high = np.where(undefined, -np.inf, low), np.where(undefined, np.inf, high)
    # the correctly rounded result of anything in the set is acceptable, and so is a number of the set itself, in a wider dtype
    held = (values >= low) & (values <= high) & np.isfinite(truth)
    low, high = dtypes.round_to(low, dtype), dtypes.round_to(high, dtype)
    infinite = (low == high) & np.isinf(low) & ~np.isnan(truth)
    truth = np.where(infinite, low, truth)
    endless = ~np.isfinite(error) & ~np.isnan(truth) & ~(np.isfinite(low) & np.isfinite(high)) & ~infinite
    nan = np.isnan(values)
    inside = (values >= low) & (values <= high)
    special = ~np.isfinite(truth)
    if special.any():
        low, high = np.where(special, truth, low), np.where(special, truth, high)
        # where it is infinity, another order of evaluation may meet infinity minus infinity
        inside = np.where(special, (values == truth) | nan, inside)
    inside = inside | held
    if policy.subnormals == "flush":
        inside &= (values == 0) | ~(np.abs(values) < dtypes.format_of(dtype).smallest_normal)
    status = np.where(inside, np.where(endless, UNDECIDED, INSIDE), OUTSIDE)
    if nan.any():  # where nothing tells whether it may be NaN, nothing is decided
        unknown = nan & endless if acceptable.nan is None else np.asarray(False)
        # beside infinity another order of evaluation may meet infinity minus infinity
        admitted = nan & (np.broadcast_to(acceptable.may_be_nan(), shape) | np.isinf(low) | np.isinf(high))
        status = np.where(unknown, UNDECIDED, np.where(admitted, INSIDE, status))
    if acceptable.nan is not None:  # told of what is neither NaN nor a number that is admissible
        truth = np.where((status == OUTSIDE) & acceptable.may_be_nan(), np.nan, truth)
    return Judged(status.astype(np.uint8), truth, low, high)


def plainly(acceptable: Bounded, values: np.ndarray, dtype: np.dtype, policy: Policy) -> Judged | None:
    """As `compare`, where all elements are within finite bounds as they are, so that none is told of on a grid.

    Args:
        acceptable: what is right, with its bound.
        values: what was given.
        dtype: the dtype that values were rounded to.
        policy: what is let be.

    Returns:
        The judgement; None where some element is outside, is no number, or has an open bound.
    """
    inside, low, high = _against_bounds(acceptable, values, dtype, policy)
    if not _all_plain(inside, low, high, policy):
        return None
    return Judged(np.zeros(values.shape, np.uint8), np.broadcast_to(acceptable.value, values.shape), low, high)


def _against_bounds(
    acceptable: Bounded, values: np.ndarray, dtype: np.dtype, policy: Policy
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where values are within their bounds, and these."""
    truth = np.broadcast_to(acceptable.value, values.shape)
    error = np.broadcast_to(acceptable.bound(), values.shape)
    low, high = _ends(acceptable, truth, error, policy)
    inside = (values >= low) & (values <= high)
    if acceptable.norm is not None and dtypes.working(dtype) == dtype:
        return _within_norm(acceptable.norm, values - truth, error, truth, (inside, low, high))
    return inside, low, high


def _all_plain(inside: np.ndarray, low: np.ndarray, high: np.ndarray, policy: Policy) -> bool:
    """True if all are within bounds, which are finite."""
    finite = high.max(initial=0.0) < np.inf and low.min(initial=0.0) > -np.inf
    return bool(inside.all()) and bool(finite) and policy.subnormals != "flush"


def _ends(acceptable: Bounded, truth: np.ndarray, error: np.ndarray, policy: Policy) -> tuple[np.ndarray, np.ndarray]:
    """The bound where it says enough, since it is that of programs written otherwise as well; else what is known besides."""
    bounded = np.isfinite(acceptable.bound()) & (policy.subnormals == "keep")
    with np.errstate(invalid="ignore"):  # an infinity of which nothing is known
        low, high = truth - error, truth + error
        if bounded.all():
            return low, high
        return np.where(bounded, low, acceptable.lowest()), np.where(bounded, high, acceptable.highest())


def _within_norm(
    norm: np.ndarray,
    off: np.ndarray,
    error: np.ndarray,
    truth: np.ndarray,
    known: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is inside, and the ends, where elements may be off by a matrix of a known norm besides bounds of their own.

    Where the norm of what their own bounds leave over is larger, those that are off by more than their share are outside.
    """
    inside, low, high = known
    own = np.maximum(error - norm, 0.0)
    over = np.maximum(np.abs(off) - own, 0.0)
    axes = tuple(i for i, n in enumerate(norm.shape) if n == 1)
    total = np.sqrt(np.sum(over * over, axis=axes, keepdims=True))
    share = norm / np.sqrt(max(1.0, float(np.prod([off.shape[i] for i in axes]))))
    wrong = (total * (1.0 - off.size * 2.0**-52) > norm) & (over > share)
    reach = own + share
    return inside & ~wrong, np.where(wrong, truth - reach, low), np.where(wrong, truth + reach, high)
