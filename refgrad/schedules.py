"""Learning-rate schedules as pure functions of ``t``, the number of steps taken so far: 0 at the first step.

The value goes to a rule as ``rule.replace(lr=...)``. Numbers may be floats, or mpmath's for any precision; a function
returns what its numbers are. Errors: `ArgumentError` for a negative ``t``, a duration that is not positive, or an unknown
shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from refgrad.errors import ArgumentError, bad_argument, nearest

Schedule = Callable[[Any], Any]


def _checked(t: Any, **durations: Any) -> None:
    if t < 0:
        raise bad_argument("t", t, "a number of steps from 0")
    for name, value in durations.items():
        if not value > 0:
            raise bad_argument(name, value, "a positive number of steps")


def _cos(x: Any) -> Any:
    """The cosine of pi times x."""
    if isinstance(x, (int, float)):
        return math.cos(math.pi * x)
    import mpmath

    return mpmath.cos(mpmath.pi * x)


def _root(x: Any) -> Any:
    return x**0.5 if isinstance(x, (int, float)) else x.sqrt() if hasattr(x, "sqrt") else x ** (type(x)(1) / 2)


def _part(t: Any, total: Any, begin: Any = 0) -> Any:
    """How much of a duration has passed, from 0 to 1."""
    return min(max((t - begin) / total, 0), 1)


def constant(t: Any, *, base: Any) -> Any:
    """``base`` at every step."""
    _checked(t)
    return base


def linear(t: Any, *, base: Any, final: Any, total: Any, begin: Any = 0) -> Any:
    """From ``base`` to ``final`` in a straight line over ``total`` steps after ``begin``, and held there."""
    return polynomial(t, base=base, final=final, total=total, begin=begin, power=1)


def polynomial(t: Any, *, base: Any, final: Any, total: Any, power: Any, begin: Any = 0) -> Any:
    """``(base - final) (1 - part)**power + final``, where ``part`` of ``total`` steps after ``begin`` have passed."""
    _checked(t, total=total)
    return (base - final) * (1 - _part(t, total, begin)) ** power + final


def exponential(t: Any, *, base: Any, rate: Any, every: Any = 1, staircase: bool = False, begin: Any = 0) -> Any:
    """``base rate**((t - begin) / every)``, with the exponent rounded down where ``staircase``; ``base`` before ``begin``."""
    _checked(t, every=every)
    exponent = max(t - begin, 0) / every
    return base * rate ** (math.floor(exponent) if staircase else exponent)


def piecewise_constant(t: Any, *, base: Any, factors: Sequence[tuple[Any, Any]]) -> Any:
    """``base`` times every factor of ``(step, factor)`` pairs whose step has been reached."""
    _checked(t)
    for step, factor in factors:
        if t >= step:
            base = base * factor
    return base


def cosine(t: Any, *, base: Any, total: Any, final: Any = 0.0) -> Any:
    """Half a cosine from ``base`` to ``final`` over ``total`` steps, and held there.

    Source: Loshchilov & Hutter 2017, SGDR, arXiv:1608.03983, equation 5, one period.
    """
    _checked(t, total=total)
    return final + (base - final) * (1 + _cos(_part(t, total))) / 2


def cosine_restarts(t: Any, *, base: Any, period: Any, growth: Any = 1, final: Any = 0.0) -> Any:
    """`cosine` again and again, each period ``growth`` times as long as the one before.

    Source: Loshchilov & Hutter 2017, SGDR, arXiv:1608.03983, equation 5.
    """
    _checked(t, period=period, growth=growth)
    while t >= period:
        t, period = t - period, period * growth
    return cosine(t, base=base, total=period, final=final)


def inverse_square_root(t: Any, *, base: Any, warmup: Any) -> Any:
    """Up in a straight line to ``base`` at step ``warmup`` (counted from 1), and down with the root of the step.

    ``base min(n / warmup, sqrt(warmup / n))`` with n = t + 1. Source: Vaswani et al. 2017, arXiv:1706.03762, equation 3, with
    ``base = d_model**-0.5 warmup**-0.5``.
    """
    _checked(t, warmup=warmup)
    n = t + 1
    return base * min(n / warmup, _root(warmup / n))


#: how a decay runs from one to zero over its part
DECAYS: dict[str, Callable[[Any], Any]] = {
    "linear": lambda part: 1 - part,
    "cosine": lambda part: (1 + _cos(part)) / 2,
    "root": lambda part: 1 - _root(part),
}


def warmup_stable_decay(
    t: Any, *, base: Any, warmup: Any, stable: Any, decay: Any, final: Any = 0.0, shape: str = "linear"
) -> Any:
    """Up to ``base`` in ``warmup`` steps, held for ``stable``, down to ``final`` in ``decay`` steps, and held there.

    ``shape`` is "linear", "cosine" or "root" (one minus the root of the part). Source: Hu et al. 2024, MiniCPM,
    arXiv:2404.06395, section 4.2; the root by Hägele et al. 2024, arXiv:2405.18392.
    """
    _checked(t, decay=decay)
    if shape not in DECAYS:
        raise ArgumentError(f"shape is {shape!r}; legal: {', '.join(DECAYS)}{nearest(shape, DECAYS)}")
    if t < warmup:
        return base * t / warmup
    return final + (base - final) * DECAYS[shape](_part(t, decay, warmup + stable))


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
    """From ``peak / start_factor`` up to ``peak`` over a part of the steps, and down to the first value over ``final_factor``.

    ``shape`` is "cosine" or "linear"; ``ends`` is "last_step" (torch) or "whole" (optax). Source: Smith & Topin 2018,
    arXiv:1708.07120, with the two phases of fastai.
    """
    _checked(t, total=total)
    if shape not in ("cosine", "linear"):
        raise bad_argument("shape", shape, "'cosine' or 'linear'")
    if ends not in CYCLES:
        raise bad_argument("ends", ends, "'last_step' or 'whole'")
    first = peak / start_factor
    top, end = CYCLES[ends](total, rise)
    low, high, start, length = (first, peak, 0, top) if t <= top else (first / final_factor, peak, top, end - top)
    down = DECAYS[shape](_part(t, length, start) if length > 0 else 1)
    return low + (high - low) * (1 - down if t <= top else down)


def triangular(t: Any, *, base: Any, peak: Any, up: Any, down: Any, gamma: Any = 1) -> Any:
    """From ``base`` to ``peak`` in ``up`` steps and back in ``down``, again and again; the height times ``gamma**t``.

    Source: Smith 2017, cyclical learning rates, arXiv:1506.01186, section 3.1 (``triangular`` and ``exp_range``).
    """
    _checked(t, up=up, down=down)
    within = t % (up + down)
    height = within / up if within <= up else 1 - (within - up) / down
    return base + (peak - base) * height * gamma**t


def warmup(t: Any, *, steps: Any, base: Any, then: Schedule, start: Any = 0.0) -> Any:
    """From ``start`` to ``base`` in a straight line over ``steps``, and ``then`` with the steps after them."""
    return join(
        t,
        schedules=[lambda s: linear(s, base=start, final=base, total=steps), then],
        boundaries=[steps],
    )


def join(t: Any, *, schedules: Sequence[Schedule], boundaries: Sequence[Any]) -> Any:
    """The schedule whose boundaries ``t`` lies between, called with the steps since the boundary before it."""
    _checked(t)
    if len(boundaries) != len(schedules) - 1:
        raise bad_argument("boundaries", list(boundaries), f"{len(schedules) - 1}, one less than the schedules")
    number = sum(t >= boundary for boundary in boundaries)
    return schedules[number](t - (boundaries[number - 1] if number else 0))
