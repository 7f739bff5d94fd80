"""Learning-rate schedules as pure functions of ``t``, the number of steps taken so far: 0 at the first step.

The value goes to a rule as ``rule.replace(lr=...)``. Every argument that is a number may be a float, a fraction, or one of mpmath
for any precision, and a function returns what its numbers are; durations are in steps and need not be whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from refgrad.arguments import flag, function_of_one, several
from refgrad.errors import bad_argument
from refgrad.legal import Choice
from refgrad.schedule_numbers import POSITIVE, REAL, check, cos_pi, gated, part_of, power_of, root

Schedule = Callable[[Any], Any]

#: cycles that are gone through one by one; those of which there are more are counted by a logarithm
CYCLES_WALKED = 10_000


@gated
def constant(t: Any, *, base: Any) -> Any:
    """``base`` at every step.

    Args:
        t: steps taken so far.
        base: the value.

    Returns:
        ``base``.

    Raises:
        ArgumentError: an argument is no number, or ``t`` is negative.
    """
    return base


@gated
def linear(t: Any, *, base: Any, final: Any, total: Any, begin: Any = 0) -> Any:
    """From ``base`` to ``final`` in a straight line, and held there.

    Args:
        t: steps taken so far.
        base: the value up to ``begin``.
        final: the value from ``begin + total`` on.
        total: how many steps the line takes.
        begin: the step at which it begins.

    Returns:
        The value at ``t``, between ``base`` and ``final``.

    Raises:
        ArgumentError: ``t`` is negative, or ``total`` is not positive.

    >>> [linear(t, base=1.0, final=0.0, total=4) for t in range(6)]
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """
    return polynomial(t, base=base, final=final, total=total, begin=begin, power=1)


@gated
def polynomial(t: Any, *, base: Any, final: Any, total: Any, power: Any, begin: Any = 0) -> Any:
    """``(base - final) (1 - part)**power + final``, where ``part`` is the part of the steps that has passed, from 0 to 1.

    Args:
        t: steps taken so far.
        base: the value up to ``begin``.
        final: the value from ``begin + total`` on.
        total: how many steps it takes.
        power: the exponent; 1 is a straight line.
        begin: the step at which it begins.

    Returns:
        The value at ``t``, between ``base`` and ``final``.

    Raises:
        ArgumentError: ``t`` is negative, or ``total`` is not positive.

    >>> polynomial(2, base=1.0, final=0.0, total=4, power=2)
    0.25
    """
    return (base - final) * power_of(1 - part_of(t, total, begin), power) + final


@gated
def exponential(t: Any, *, base: Any, rate: Any, every: Any = 1, staircase: bool = False, begin: Any = 0) -> Any:
    """``base rate**((t - begin) / every)``, and ``base`` before ``begin``.

    Args:
        t: steps taken so far.
        base: the first value.
        rate: the factor of ``every`` steps.
        every: how many steps one factor takes.
        staircase: whether the exponent is rounded down, so that the value changes once in ``every`` steps.
        begin: the step at which it begins.

    Returns:
        The value at ``t``.

    Raises:
        ArgumentError: ``t`` is negative, or ``every`` is not positive.

    >>> [exponential(t, base=1.0, rate=0.5, every=2, staircase=True) for t in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    exponent = max(t - begin, 0) / every
    return base * power_of(rate, math.floor(exponent) if flag("staircase", staircase) else exponent)


@gated
def piecewise_constant(t: Any, *, base: Any, factors: Sequence[tuple[Any, Any]]) -> Any:
    """``base`` times every factor whose step has been reached.

    Args:
        t: steps taken so far.
        base: the first value.
        factors: pairs ``(step, factor)``, in any order.

    Returns:
        The value at ``t``.

    Raises:
        ArgumentError: an argument is no number, or ``t`` is negative.

    >>> [piecewise_constant(t, base=1.0, factors=[(2, 0.5), (3, 0.1)]) for t in range(4)]
    [1.0, 1.0, 0.5, 0.05]
    """
    for pair in several("factors", factors, "pairs (step, factor)", ordered=False):
        step, factor = _pair(pair)
        if t >= step:
            base = base * factor
    return base


@gated
def cosine(t: Any, *, base: Any, total: Any, final: Any = 0.0) -> Any:
    """Half a cosine from ``base`` to ``final``, and held there.

    Args:
        t: steps taken so far.
        base: the first value.
        total: how many steps the way down takes.
        final: the value from then on.

    Returns:
        The value at ``t``, between ``base`` and ``final``.

    Raises:
        ArgumentError: ``t`` is negative, or ``total`` is not positive.

    >>> cosine(5, base=1.0, total=10)
    0.5

    Source: Loshchilov & Hutter 2017, SGDR, arXiv:1608.03983, equation 5, one period.
    """
    return final + (base - final) * (1 + cos_pi(part_of(t, total))) / 2


@gated
def cosine_restarts(t: Any, *, base: Any, period: Any, growth: Any = 1, final: Any = 0.0) -> Any:
    """`cosine` again and again, each period longer than the one before.

    Args:
        t: steps taken so far.
        base: the value at the beginning of each period.
        period: how many steps the first period takes.
        growth: how many times as long each period is as the one before; 1 if all are alike.
        final: the value that each period runs towards.

    Returns:
        The value at ``t``, between ``base`` and ``final``.

    Raises:
        ArgumentError: ``t`` is negative, ``period`` is not positive, or ``growth`` is less than 1.

    >>> [cosine_restarts(t, base=1.0, period=2, growth=2) for t in (0, 1, 2, 4, 6)]
    [1.0, 0.5, 1.0, 0.5, 1.0]

    Source: Loshchilov & Hutter 2017, SGDR, arXiv:1608.03983, equation 5.
    """
    t, period = _within(t, period, growth)
    return cosine(t, base=base, total=period, final=final)


def _within(t: Any, period: Any, growth: Any) -> tuple[Any, Any]:
    """How far a step is in its period, and how long this one is."""
    for _ in range(CYCLES_WALKED):
        if t < period:
            return t, period
        t, period = t - period, period * growth
    if growth == 1:
        return t % period, period
    cycles = math.floor(math.log1p(float(t / period) * float(growth - 1)) / math.log(float(growth)))
    longest = float(period) * float(growth) ** cycles
    begin = (longest - float(period)) / float(growth - 1)
    return min(max(float(t) - begin, 0.0), longest), longest


@gated
def inverse_square_root(t: Any, *, base: Any, warmup: Any) -> Any:
    """Up in a straight line to ``base`` at step ``warmup`` (counted from 1), and down with the root of the step.

    ``base min(n / warmup, sqrt(warmup / n))`` with n = t + 1.

    Args:
        t: steps taken so far.
        base: the largest value; in the source ``d_model**-0.5 warmup**-0.5``.
        warmup: how many steps the way up takes.

    Returns:
        The value at ``t``, at most ``base``.

    Raises:
        ArgumentError: ``t`` is negative, or ``warmup`` is not positive.

    >>> [inverse_square_root(t, base=1.0, warmup=4) for t in (0, 3, 15)]
    [0.25, 1.0, 0.5]

    Source: Vaswani et al. 2017, arXiv:1706.03762, equation 3.
    """
    check("warmup", warmup, POSITIVE)
    n = t + 1
    return base * min(n / warmup, root(warmup / n))


#: how a decay runs from one to zero over its part
DECAYS: dict[str, Callable[[Any], Any]] = {
    "linear": lambda part: 1 - part,
    "cosine": lambda part: (1 + cos_pi(part)) / 2,
    "root": lambda part: 1 - root(part),
}
CYCLE_SHAPES = Choice(linear="in a straight line", cosine="along half a cosine")
SHAPES = Choice(**CYCLE_SHAPES.alternatives, root="one minus the root of the part that has passed")


@gated
def warmup_stable_decay(
    t: Any, *, base: Any, warmup: Any, stable: Any, decay: Any, final: Any = 0.0, shape: str = "linear"
) -> Any:
    """Up to ``base`` in ``warmup`` steps, held for ``stable``, down to ``final`` in ``decay`` steps, and held there.

    Args:
        t: steps taken so far.
        base: the largest value; the first is 0.
        warmup: how many steps the way up takes; may be 0.
        stable: how many steps ``base`` is held; may be 0.
        decay: how many steps the way down takes.
        final: the last value.
        shape: how the way down runs: "linear", "cosine" or "root" (one minus the root of the part that has passed).

    Returns:
        The value at ``t``, between 0 and ``base``, or ``base`` and ``final``.

    Raises:
        ArgumentError: ``t`` is negative, ``decay`` is not positive, or ``shape`` is unknown.

    >>> [warmup_stable_decay(t, base=1.0, warmup=2, stable=1, decay=2) for t in range(6)]
    [0.0, 0.5, 1.0, 1.0, 0.5, 0.0]

    Source: Hu et al. 2024, MiniCPM,
    arXiv:2404.06395, section 4.2; the root by Hägele et al. 2024, arXiv:2405.18392.
    """
    SHAPES.check("shape", shape)
    if t < warmup:
        return base * t / warmup
    return final + (base - final) * DECAYS[shape](part_of(t, decay, warmup + stable))


#: where a cycle's rise and its end are, of (total, rise): torch places both a step earlier than optax does
CYCLES: dict[str, Callable[[Any, Any], tuple[Any, Any]]] = {
    "last_step": lambda total, rise: (
        rise * total - 1,
        total - 1,
    ),  # the last of ``total`` values is the final one (torch)
    "whole": lambda total, rise: (
        math.floor(rise * total),
        total,
    ),  # the final value comes after ``total`` steps (optax)
}
ENDS = Choice(
    last_step="the rise ends, and the last value comes, a step earlier than there are steps (torch)",
    whole="the last value comes after as many steps as there are (optax)",
)


@gated
def one_cycle(
    t: Any,
    *,
    peak: Any,
    total: Any,
    rise: Any = 0.3,
    start_factor: Any = 25,
    final_factor: Any = 1e4,
    shape: str = "cosine",
    ends: str = "last_step",
) -> Any:
    """From a small value up to ``peak`` over a part of the steps, and down to a far smaller one.

    Args:
        t: steps taken so far.
        peak: the largest value.
        total: how many steps the cycle takes.
        rise: the part of them that leads up, from 0 to 1.
        start_factor: how many times as large ``peak`` is as the first value.
        final_factor: how many times as large the first value is as the last one.
        shape: how both ways run: "cosine" or "linear".
        ends: where the rise and the cycle end: "last_step" (torch) or "whole" (optax); see `CYCLES`.

    Returns:
        The value at ``t``, at most ``peak``.

    Raises:
        ArgumentError: ``t`` is negative, ``total`` is not positive, or ``shape`` or ``ends`` is unknown.

    >>> [one_cycle(t, peak=1.0, total=11, rise=0.5, start_factor=2, shape="linear", ends="whole") for t in (0, 5)]
    [0.5, 1.0]

    Source: Smith & Topin 2018,
    arXiv:1708.07120, with the two phases of fastai.
    """
    CYCLE_SHAPES.check("shape", shape)
    ENDS.check("ends", ends)
    first = peak / start_factor
    top, end = CYCLES[ends](total, rise)
    low, high, start, length = (first, peak, 0, top) if t <= top else (first / final_factor, peak, top, end - top)
    down = DECAYS[shape](part_of(t, length, start) if length > 0 else 1)
    return low + (high - low) * (1 - down if t <= top else down)


@gated
def triangular(t: Any, *, base: Any, peak: Any, up: Any, down: Any, gamma: Any = 1) -> Any:
    """From ``base`` to ``peak`` and back, again and again.

    Args:
        t: steps taken so far.
        base: the least value.
        peak: the largest value.
        up: how many steps the way up takes.
        down: how many steps the way down takes.
        gamma: the height over ``base`` is multiplied by ``gamma**t``; 1 if it stays.

    Returns:
        The value at ``t``, between ``base`` and ``peak`` where ``gamma`` is 1.

    Raises:
        ArgumentError: ``t`` is negative, or ``up`` or ``down`` is not positive.

    >>> [triangular(t, base=0.0, peak=1.0, up=2, down=2) for t in range(5)]
    [0.0, 0.5, 1.0, 0.5, 0.0]

    Source: Smith 2017, cyclical learning rates, arXiv:1506.01186, section 3.1 (``triangular`` and ``exp_range``).
    """
    within = t % (up + down)
    height = within / up if within <= up else 1 - (within - up) / down
    return base + (peak - base) * height * power_of(gamma, t)


@gated
def warmup(t: Any, *, steps: Any, base: Any, then: Schedule, start: Any = 0.0) -> Any:
    """From ``start`` to ``base`` in a straight line, and then another schedule.

    Args:
        t: steps taken so far.
        steps: how many steps the line takes.
        base: the value at its end.
        then: what comes after it, called with the steps since then.
        start: the first value.

    Returns:
        The value at ``t``: on the line before ``steps``, then what ``then`` returns.

    Raises:
        ArgumentError: ``t`` is negative, or ``steps`` is not positive while the line is asked for.

    >>> [warmup(t, steps=2, base=1.0, then=lambda s: 1.0 / (1 + s)) for t in range(4)]
    [0.0, 0.5, 1.0, 0.5]
    """
    function_of_one("then", then, "a number of steps")
    return join(
        t,
        schedules=[lambda s: linear(s, base=start, final=base, total=steps), then],
        boundaries=[steps],
    )


@gated
def join(t: Any, *, schedules: Sequence[Schedule], boundaries: Sequence[Any]) -> Any:
    """Several schedules one after the other; each is called with the steps since it began.

    Args:
        t: steps taken so far.
        schedules: functions of a number of steps.
        boundaries: the steps at which the second and all later ones begin, ascending: one less than there are schedules.

    Returns:
        What the schedule in force returns.

    Raises:
        ArgumentError: ``t`` is negative, or the numbers of schedules and boundaries do not go together.

    >>> [join(t, schedules=[lambda s: 10 + s, lambda s: 20 + s], boundaries=[2]) for t in range(4)]
    [10, 11, 20, 21]
    """
    schedules, boundaries = several("schedules", schedules, "schedules"), several("boundaries", boundaries, "steps")
    if len(boundaries) != len(schedules) - 1:
        raise bad_argument("boundaries", boundaries, f"{len(schedules) - 1}, one less than the schedules")
    boundaries = [check("boundaries", each, REAL) for each in boundaries]
    for each in schedules:
        function_of_one("schedules", each, "a number of steps")
    number = sum(t >= boundary for boundary in boundaries)
    return schedules[number](t - (boundaries[number - 1] if number else 0))


def _pair(pair: Any) -> tuple[Any, Any]:
    """A step and a factor."""
    parts = several("factors", pair, "pairs (step, factor)")
    if len(parts) != 2:
        raise bad_argument("factors", pair, "pairs (step, factor)")
    step, factor = (check("factors", part, REAL) for part in parts)
    return step, factor
