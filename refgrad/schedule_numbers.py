"""Numbers of schedules: what each argument may be, and functions of floats, fractions and numbers of mpmath alike."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from numbers import Real
from typing import Any, ParamSpec

import numpy as np

from refgrad.errors import bad_argument
from refgrad.float_environment import in_standard
from refgrad.legal import Range, as_number, as_whole

Arguments = ParamSpec("Arguments")

REAL, NOT_NEGATIVE, POSITIVE = Range(), Range(0.0, open_low=False), Range(0.0)

#: what each argument may be, by its name, which means the same in every schedule; a number stays what it is
LEGAL: Mapping[str, Range] = {
    **dict.fromkeys(("base", "final", "peak", "start", "begin", "rise"), REAL),
    **dict.fromkeys(("t", "warmup", "stable", "steps", "rate", "power", "gamma"), NOT_NEGATIVE),
    **dict.fromkeys(("total", "every", "period", "decay", "up", "down", "start_factor", "final_factor"), POSITIVE),
    "growth": Range(1.0, open_low=False),  # periods that shorten come to an end, and what follows has none
}

#: the largest exponent of an exact power of a fraction, whose digits grow with it
EXACT_POWER = 1_000


def gated(function: Callable[Arguments, Any]) -> Callable[Arguments, Any]:
    """A schedule that refuses what its arguments may not be, by their names (`LEGAL`).

    Args:
        function: the schedule.

    Returns:
        The schedule, which raises `ArgumentError` for an argument that is not legal.
    """

    @in_standard
    @functools.wraps(function)
    def run(*args: Arguments.args, **given: Arguments.kwargs) -> Any:
        first = tuple(check("t", value, LEGAL["t"]) for value in args[:1])
        named = {name: check(name, value, LEGAL[name]) if name in LEGAL else value for name, value in given.items()}
        return function(*first, *args[1:], **named)  # type: ignore[arg-type]

    return run


def check(name: str, value: Any, legal: Range) -> Any:
    """A number of any kind that lies in an interval: of Python's own, a fraction or a number of mpmath as it is.

    Numbers of NumPy and others are made Python's: those of few bits wrap around or are rounded to few digits when one computes
    with them, and a `Decimal` does not compute with floats.

    Args:
        name: what errors call it.
        value: what was handed in.
        legal: where it must lie.

    Raises:
        ArgumentError: it is no number, or lies elsewhere.
    """
    number = as_number(value)
    if number not in legal:
        raise bad_argument(name, value, f"a number in {legal}")
    if isinstance(value, Real) and not isinstance(value, np.number):
        return value
    whole = as_whole(value)
    return number if whole is None else whole


def power_of(base: Any, exponent: Any) -> Any:
    """A power of a number that is not negative; infinity where it is larger than any float."""
    if isinstance(base, Fraction) and exponent > EXACT_POWER:
        base = float(base)
    try:
        return base**exponent
    except OverflowError:
        return math.inf


def cos_pi(x: Any) -> Any:
    """The cosine of pi times x."""
    if isinstance(x, (int, float)):
        return math.cos(math.pi * x)
    import mpmath

    return mpmath.cos(mpmath.pi * x)


def root(x: Any) -> Any:
    """The square root."""
    return x**0.5 if isinstance(x, (int, float)) else x.sqrt() if hasattr(x, "sqrt") else x ** (type(x)(1) / 2)


def part_of(t: Any, total: Any, begin: Any = 0) -> Any:
    """How much of a duration has passed, from 0 to 1."""
    return min(max((t - begin) / total, 0), 1)
