"""Rounding to a small format as the standard says it: one number at a time, in exact arithmetic.

The numbers of the format are listed as whole multiples of the smallest, the two that enclose what is rounded are found,
and the mode chooses between them. This is one of two independent ways; the other, on arrays, is `rounding`.
"""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction
from functools import cache
from math import copysign, inf, isinf, isnan
from typing import Any

from refgrad.arithmetic.minifloats import Minifloat
from refgrad.errors import bad_argument


@cache
def multiples(form: Minifloat) -> tuple[int, ...]:
    """The non-negative numbers of a format by code, in units of its last place at the smallest exponent.

    One more follows: what would come after the largest, if exponents had no end.
    """
    numbers = []
    for code in range(form.largest_code + 2):
        field, mantissa = divmod(code, 2**form.mantissa_bits)
        if form.zero and field == 0:
            numbers.append(mantissa)
        else:
            numbers.append((2**form.mantissa_bits + mantissa) * 2 ** (field - form.zero))
    return tuple(numbers)


def unit(form: Minifloat) -> Fraction:
    """The last place at the smallest exponent."""
    return Fraction(2) ** (form.least_exponent - form.mantissa_bits)


#: random bits as a whole number, and how many there are
Chance = tuple[int, int]


def round_exactly(
    x: float | Fraction, form: Minifloat, mode: str, overflow: str = "overflow", random: int = 0, bits: int = 32
) -> int:
    """The code of a number rounded to a format.

    Args:
        x: a number, an infinity or NaN; a `Fraction` for what no float holds.
        form: the format.
        mode: a member of `minifloats.ROUNDINGS`.
        overflow: a member of `minifloats.OVERFLOWS`.
        random: for the mode "stochastic", a whole number from 0, less than ``2**bits``.
        bits: how many random bits there are.

    Raises:
        ArgumentError: NaN, and the format has none.
    """
    negative = x < 0 if isinstance(x, Fraction) else copysign(1.0, x) < 0
    sign = form.sign_code if negative else 0
    if (isinstance(x, float) and isnan(x)) or (not form.signed and x < 0) or (not form.zero and x == 0):
        if form.nan_code is None:
            raise bad_argument("x", x, f"a number, because {form.name} has no NaN")
        return form.nan_code if form.specials == "nan_at_minus_zero" else form.nan_code | sign
    if isinstance(x, float) and isinf(x):
        return _signed(form.beyond_code(overflow), sign, form)
    return _signed(_finite(abs(x), negative, form, mode, overflow, (random, bits)), sign, form)


def _signed(code: int, sign: int, form: Minifloat) -> int:
    """A code with its sign, where it can have one."""
    if form.specials == "nan_at_minus_zero" and code in (0, form.nan_code):
        return code
    return code | sign


def _finite(size: Any, negative: bool, form: Minifloat, mode: str, overflow: str, chance: Chance) -> int:
    """The code of a magnitude, a float or a `Fraction`: ``above / below`` units."""
    above, below = size.as_integer_ratio()
    above <<= form.mantissa_bits - form.least_exponent
    numbers, largest = multiples(form), form.largest_code
    code = max(bisect_right(numbers, above // below) - 1, 0)
    beyond = code > largest
    if not beyond:
        low, gap = numbers[code], numbers[code + 1] - numbers[code]
        past = above - low * below
        if past > 0 and goes_up(past, gap * below, low // gap % 2 == 1, negative, mode, chance):
            beyond = code == largest
            code += 1
    if not beyond:
        return code
    never = {"toward_zero", "odd", "up" if negative else "down"}
    return largest if mode in never else form.beyond_code(overflow)


def goes_up(past: int, gap: int, odd: bool, negative: bool, mode: str, chance: Chance) -> bool:
    """True if a magnitude goes to the larger of two neighbours.

    It lies ``past`` beyond the smaller one, more than 0 and less than ``gap``; ``odd`` tells whether the smaller one has
    an odd significand.
    """
    random, bits = chance
    match mode:
        case "nearest_even":
            return 2 * past > gap or (2 * past == gap and odd)
        case "nearest_away":
            return 2 * past >= gap
        case "toward_zero":
            return False
        case "up":
            return not negative
        case "down":
            return negative
        case "odd":
            return not odd
        case "stochastic":
            return random < past * 2**bits // gap
    raise bad_argument("mode", mode, "a member of ROUNDINGS")


def value_exactly(code: int, form: Minifloat) -> Fraction | float:
    """The number that a code stands for; an infinity or NaN as a float."""
    magnitude = code & (2**form.magnitude_bits - 1)
    negative = bool(code & form.sign_code)
    if code == form.sign_code and form.specials == "nan_at_minus_zero":
        return float("nan")
    if magnitude > form.largest_code:
        return (-inf if negative else inf) if magnitude == form.infinity_code else float("nan")
    return (-1 if negative else 1) * multiples(form)[magnitude] * unit(form)
