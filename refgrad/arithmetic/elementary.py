"""Elementary functions by fixed sequences of float64 operations, so that every backend gives the same bits.

Each is written once, on float64 arrays or on whatever else has arithmetic operators; ``ops`` has the few operations that
are no operators (`ArrayOperations` for NumPy; the kernels' sources have their own). One function of an argument that was
float32 is rounded once at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np


class ArrayOperations:
    """The operations on NumPy float64 arrays."""

    where = staticmethod(np.where)
    rint = staticmethod(np.rint)
    sqrt = staticmethod(np.sqrt)

    @staticmethod
    def scale(x: Any, k: Any) -> Any:
        """``x * 2**k`` for whole numbers ``k``; a NaN in ``k`` counts as zero."""
        return np.ldexp(x, np.where(np.isnan(k), 0.0, k).astype(np.int32))

    @staticmethod
    def split(x: Any) -> tuple[Any, Any]:
        """A positive normal number as ``(m, k)`` with x = m * 2**k and 1 <= m < 2; anything for others."""
        bits = np.asarray(x, np.float64).view(np.int64)
        mantissa = ((bits & 0xFFFFFFFFFFFFF) | (1023 << 52)).view(np.float64)
        return mantissa, ((bits >> 52) - 1023).astype(np.float64)

    @staticmethod
    def constant(like: Any, value: float) -> Any:
        """A constant for every element."""
        return np.full_like(like, value)

    @staticmethod
    def accumulate(parts: tuple[float, ...], state: tuple[Any, ...], body: Callable[..., tuple[Any, ...]]) -> Any:
        """``state = body(part, *state)`` for each part in turn."""
        for part in parts:
            state = body(part, *state)
        return state

    @staticmethod
    def far(x: Any, near: tuple[Any, ...], compute: Callable[..., tuple[Any, ...]]) -> tuple[Any, ...]:
        """``near`` where |x| is below `FAR`, else ``compute(x, ops)``."""
        far = ~(np.abs(x) < FAR)
        if not far.any():
            return near
        found = tuple(np.array(np.broadcast_to(n, x.shape), copy=True) for n in near)
        for into, value in zip(found, compute(x[far], ArrayOperations), strict=True):
            into[far] = value
        return found


LN2_HIGH, LN2_LOW = float.fromhex("0x1.62e42fefa3800p-1"), float.fromhex("0x1.ef35793c76730p-45")
INVERSE_LN2 = float.fromhex("0x1.71547652b82fep+0")
LN2 = math.log(2.0)


def _factorial(k: int) -> int:
    return 1 if k < 2 else k * _factorial(k - 1)


#: 1/k!, from k = 13 down to 0: the Taylor polynomial of exp; on |r| <= ln(2)/2 its truncation is below 5e-18
EXP_COEFFICIENTS = tuple(1.0 / float(_factorial(k)) for k in range(13, -1, -1))
#: beyond these the result of exp is infinity, or zero
EXP_LOW, EXP_HIGH = -746.0, 710.0


def _horner(x: Any, coefficients: tuple[float, ...]) -> Any:
    result = x * coefficients[0] + coefficients[1]
    for coefficient in coefficients[2:]:
        result = result * x + coefficient
    return result


def _reduce_by_ln2(x: Any, ops: Any) -> tuple[Any, Any]:
    """``(k, r)`` with x = k ln 2 + r and |r| at most ln(2)/2."""
    k = ops.rint(x * INVERSE_LN2)
    return k, (x - k * LN2_HIGH) - k * LN2_LOW


def exp(x: Any, ops: Any) -> Any:
    """e**x within 1.25 units in the last place: argument reduction by ln 2, then a Taylor polynomial by Horner's rule."""
    bounded = ops.where(x < EXP_LOW, EXP_LOW, x)
    bounded = ops.where(bounded > EXP_HIGH, EXP_HIGH, bounded)
    k, r = _reduce_by_ln2(bounded, ops)
    return ops.scale(_horner(r, EXP_COEFFICIENTS), k)


def tanh(x: Any, ops: Any) -> Any:
    """The hyperbolic tangent within three units in the last place: e/(e + 2) with e = exp(2|x|) - 1 without cancellation."""
    size = abs(x)
    bounded = ops.where(size > 22.0, 22.0, size)  # from there on it is one in float64
    k, r = _reduce_by_ln2(bounded + bounded, ops)
    power = ops.scale(ops.constant(bounded, 1.0), k)
    grown = power * (r * _horner(r, EXP_COEFFICIENTS[:-1])) + (power - 1.0)
    result = grown / (grown + 2.0)
    result = ops.where(size < 1e-9, size, result)
    return ops.where(x < 0.0, -result, ops.where(x == 0.0, x, result))


def expm1(x: Any, ops: Any) -> Any:
    """e**x - 1 within four units in the last place, without cancellation; from 40 on it is e**x."""
    bounded = ops.where(x < EXP_LOW, EXP_LOW, x)
    bounded = ops.where(bounded > 41.0, 41.0, bounded)
    k, r = _reduce_by_ln2(bounded, ops)
    power = ops.scale(ops.constant(bounded, 1.0), k)
    result = power * (r * _horner(r, EXP_COEFFICIENTS[:-1])) + (power - 1.0)
    return ops.where(x == 0.0, x, ops.where(x > 40.0, exp(x, ops), result))


def exp2(x: Any, ops: Any) -> Any:
    """2**x within two units in the last place; exact of whole numbers."""
    bounded = ops.where(x < -1100.0, -1100.0, x)
    bounded = ops.where(bounded > 1100.0, 1100.0, bounded)
    k = ops.rint(bounded)
    return ops.scale(_horner((bounded - k) * LN2, EXP_COEFFICIENTS), k)


#: 2/(2k + 1), from k = 10 down to 0: the series of log((1 + s)/(1 - s)) over s; on |s| <= 0.1716 its truncation is below 1e-18
LOG_COEFFICIENTS = tuple(2.0 / (2 * k + 1) for k in range(10, -1, -1))
SQRT2 = float.fromhex("0x1.6a09e667f3bcdp+0")
SMALLEST_NORMAL = 2.0**-1022


def _mantissa_and_exponent(x: Any, ops: Any) -> tuple[Any, Any]:
    """The logarithm of a mantissa between the roots of a half and of two, and the exponent of two beside it."""
    tiny = x < SMALLEST_NORMAL
    mantissa, k = ops.split(ops.where(tiny, x * 2.0**54, x))
    k = ops.where(tiny, k - 54.0, k)
    large = mantissa > SQRT2
    mantissa = ops.where(large, mantissa * 0.5, mantissa)
    k = ops.where(large, k + 1.0, k)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    return s * _horner(s * s, LOG_COEFFICIENTS), k


def _of_positive(x: Any, result: Any, ops: Any) -> Any:
    """A logarithm: what was computed above zero; minus infinity of zero, NaN below."""
    result = ops.where(x > 0.0, ops.where(x < np.inf, result, x), ops.where(x == 0.0, -np.inf, np.nan))
    return ops.where(x == x, result, x)


def log(x: Any, ops: Any) -> Any:
    """The natural logarithm within two units in the last place; minus infinity of zero, NaN below."""
    part, k = _mantissa_and_exponent(x, ops)
    return _of_positive(x, k * LN2_HIGH + (k * LN2_LOW + part), ops)


def log2(x: Any, ops: Any) -> Any:
    """The logarithm to base two within two units in the last place; exact of powers of two."""
    part, k = _mantissa_and_exponent(x, ops)
    return _of_positive(x, k + part * INVERSE_LN2, ops)


def log1p(x: Any, ops: Any) -> Any:
    """The logarithm of one more within four units in the last place: that of the rounded sum, mended by what was rounded off."""
    total = x + 1.0
    result = log(total, ops) + (x - (total - 1.0)) / total
    result = ops.where(x == -1.0, -np.inf, ops.where(x == np.inf, x, result))
    return ops.where(x == 0.0, x, result)


def power(x: Any, exponent: Any, ops: Any) -> Any:
    """``x**exponent`` for x >= 0 as exp(exponent log x), within 2 + 2 |exponent log x| units in the last place.

    Zero to a negative power is infinity, anything to the power zero is one; NaN below zero.
    """
    result = exp(exponent * log(x, ops), ops)
    return ops.where(exponent == 0.0, 1.0, result)


#: erf(x)/x in powers of x**2, from the 18th down: the Taylor series; below one its truncation is below 2e-19
ERF_COEFFICIENTS = tuple(
    (-1) ** n * 2.0 / math.sqrt(math.pi) / (math.factorial(n) * (2 * n + 1)) for n in range(18, -1, -1)
)
#: erfc(z) exp(z**2) for z from 1 to 6, in powers of u from the 18th down, 1/(1 + z/2) = (11 + 5 u)/24: the polynomial through
#: the function at Chebyshev's points, within 6e-19 of it
_ERFC = (
    "0x1.5a1b173683edep-46",
    "0x1.400d2cef4e0e0p-43",
    "-0x1.1eafab637b6fep-40",
    "-0x1.1e639546ec2f5p-43",
    "0x1.87ec95f1a378fp-36",
    "-0x1.43d110af9e194p-34",
    "-0x1.27951f0e122a6p-32",
    "0x1.68a4908883055p-29",
    "-0x1.438d031d04ed6p-31",
    "-0x1.2ce04da86e7c5p-24",
    "0x1.5f1cb8479d6fep-23",
    "0x1.09b139e71b929p-19",
    "-0x1.ec9d234b29105p-18",
    "-0x1.52ddf80153e70p-14",
    "0x1.9d6e4a4675652p-13",
    "0x1.6e44c72762f06p-8",
    "0x1.3be3609c853acp-5",
    "0x1.4b8edae15a041p-3",
    "0x1.c57cd9cd3f3a9p-3",
)
ERFC_COEFFICIENTS = tuple(map(float.fromhex, _ERFC))


def erf(x: Any, ops: Any) -> Any:
    """The error function within three units in the last place: its series below one, above it one less the complement."""
    size = abs(x)
    small = x * _horner(x * x, ERF_COEFFICIENTS)
    z = ops.where(size > 6.0, 6.0, size)  # from there on it is one in float64
    u = (1.0 / (1.0 + 0.5 * z) * 24.0 - 11.0) / 5.0
    large = 1.0 - exp(-(z * z), ops) * _horner(u, ERFC_COEFFICIENTS)
    return ops.where(size < 1.0, small, ops.where(x < 0.0, -large, large))


def power_of_two(k: Any, ops: Any) -> Any:
    """2**k for a whole number k, exactly as far as the format reaches."""
    bounded = ops.where(k < -1100.0, -1100.0, k)
    bounded = ops.where(bounded > 1100.0, 1100.0, bounded)
    return ops.where(k == k, ops.scale(ops.constant(bounded, 1.0), bounded), k)


# ---------------------------------------------------------------------------------------------------- sine and cosine

_BITS = 1400


def _arctangent_of_reciprocal(n: int) -> int:
    """atan(1/n) times 2**(_BITS + 20), by its series."""
    term = (1 << (_BITS + 20)) // n
    total, k, sign = term, 1, 1
    while term:
        term //= n * n
        k, sign = k + 2, -sign
        total += sign * (term // k)
    return total


#: by Machin's formula, pi/4 = 4 atan(1/5) - atan(1/239)
_HALF_PI = Fraction(8 * _arctangent_of_reciprocal(5) - 2 * _arctangent_of_reciprocal(239), 1 << (_BITS + 20))
_TWO_OVER_PI = 1 / _HALF_PI


def _parts(value: Fraction, widths: tuple[int, ...], scale: int = 0) -> tuple[float, ...]:
    """A number below two as a sum of floats of so many bits each, the last one rounded; all times ``2**scale``."""
    found, position = [], 1
    for width in widths:
        position -= width
        step = Fraction(2) ** position
        part = Fraction(value // step) * step
        found.append(float(part * 2**scale))
        value -= part
    return (*found, float(value * 2**scale))


#: pi/2 in parts of 31 bits (and the rest), so that products with whole numbers below 2**22 are exact
HALF_PI_PARTS = _parts(_HALF_PI, (31, 31, 31))
#: pi/2 as the sum of two floats
HALF_PI_HIGH = float(_HALF_PI)
HALF_PI_LOW = float(_HALF_PI - Fraction(HALF_PI_HIGH))
TWO_OVER_PI = float(_TWO_OVER_PI)
#: arguments are multiplied by this before, and 2/pi is divided by it, so that nothing overflows or is lost
SHRINK = 2.0**-300
#: 2/pi in parts of 24 bits, so that products with 27 bits are exact
TWO_OVER_PI_PARTS = _parts(_TWO_OVER_PI, (25,) + (24,) * 50, 300)[:-1]
#: below this the argument is reduced by parts of pi/2, above it by parts of 2/pi
FAR = 2.0**20


def _two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """The sum and its error, exactly (Knuth)."""
    total = a + b
    rest = total - a
    return total, (a - (total - rest)) + (b - rest)


def _quick_two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """As `_two_sum` where |a| is not below |b| (Dekker)."""
    total = a + b
    return total, b - (total - a)


def _halves(a: Any) -> tuple[Any, Any]:
    """Two numbers of 26 bits (Veltkamp)."""
    shifted = a * 134217729.0
    high = shifted - (shifted - a)
    return high, a - high


def _two_product(a: Any, b: Any) -> tuple[Any, Any]:
    """The product and its error, exactly (Dekker); no fused operation is used."""
    product = a * b
    a1, a2 = _halves(a)
    b1, b2 = _halves(b)
    return product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2


def _times(a: tuple[Any, Any], b: tuple[Any, Any]) -> tuple[Any, Any]:
    """The product of two double-double numbers."""
    product, rest = _two_product(a[0], b[0])
    return _quick_two_sum(product, rest + (a[0] * b[1] + a[1] * b[0]))


def _plus(a: tuple[Any, Any], b: tuple[Any, Any]) -> tuple[Any, Any]:
    """The sum of two double-double numbers."""
    total, rest = _two_sum(a[0], b[0])
    low, more = _two_sum(a[1], b[1])
    total, rest = _quick_two_sum(total, rest + low)
    return _quick_two_sum(total, rest + more)


def _quarter_turns_far(x: Any, ops: Any) -> tuple[Any, Any, Any]:
    """As `_quarter_turns`, for any finite number however large.

    Half of x times a part of 2/pi is exact, and so is dropping multiples of four from it; what is left is added up in
    three floats.
    """
    first, second = _halves(x * SHRINK)

    def add(part: Any, total: Any, middle: Any, rest: Any) -> tuple[Any, Any, Any]:
        for half in (first, second):
            term = half * part
            term = term - 4.0 * ops.rint(term * 0.25)
            total, carry = _two_sum(total, term)
            middle, carry = _two_sum(middle, carry)
            rest = rest + carry
        return total, middle, rest

    zero = ops.constant(x, 0.0)
    total, middle, rest = ops.accumulate(TWO_OVER_PI_PARTS, (zero, zero, zero), add)
    k = ops.rint(total)
    total, middle = _two_sum(total - k, middle)
    total, middle = _two_sum(total, middle + rest)
    high, low = _times((total, middle), (HALF_PI_HIGH, HALF_PI_LOW))
    return k - 4.0 * ops.rint(k * 0.25), high, low


def _quarter_turns(x: Any, ops: Any) -> tuple[Any, Any, Any]:
    """``(k, high, low)`` with x = k pi/2 + high + low and |high| at most pi/4."""
    k = ops.rint(x * TWO_OVER_PI)
    first, second, third, last = HALF_PI_PARTS
    high, low = _two_sum(x - k * first, -(k * second))
    high, carry = _two_sum(high, -(k * third))
    high, low = _quick_two_sum(high, low + carry)
    high, low = _quick_two_sum(high, low - k * last)
    return ops.far(x, (k - 4.0 * ops.rint(k * 0.25), high, low), _quarter_turns_far)


def _split_constant(value: Fraction) -> tuple[float, float]:
    high = float(value)
    return high, float(value - Fraction(high))


#: (-1)^k/(2k + 1)! and (-1)^k/(2k)! as pairs of floats, k from 0
SINE = tuple(_split_constant(Fraction((-1) ** k, _factorial(2 * k + 1))) for k in range(14))
COSINE = tuple(_split_constant(Fraction((-1) ** k, _factorial(2 * k))) for k in range(14))
#: coefficients from this one on are used as single floats: their terms are below 2**-36 of the sum
SINGLE = 6


#: arctangents of 1/2, 1, 2 and infinity as pairs of floats, each with the number from which on it is the nearest
_HALF = Fraction(_arctangent_of_reciprocal(2), 1 << (_BITS + 20))
ANGLES = tuple(
    (start, _split_constant(angle))
    for start, angle in ((0.236, _HALF), (0.721, _HALF_PI / 2), (1.387, _HALF_PI - _HALF), (4.236, _HALF_PI))
)
#: (-1)^k/(2k + 1), from k = 13 down to 1: the series of the arctangent; below 0.2361 its truncation is below 2e-18
ARCTANGENT = tuple((-1.0) ** k / (2 * k + 1) for k in range(13, 0, -1))


def _angle(size: Any, ops: Any) -> tuple[Any, Any]:
    """The arctangent of a number that is not negative, in two parts: a known angle, and the series of the rest."""
    rest, high, low = size, ops.constant(size, 0.0), ops.constant(size, 0.0)
    for (start, angle), apart in zip(
        ANGLES,
        (
            (2.0 * size - 1.0) / (2.0 + size),
            (size - 1.0) / (1.0 + size),
            (size - 2.0) / (1.0 + 2.0 * size),
            -1.0 / size,
        ),
        strict=True,
    ):
        here = size > start
        rest, high, low = ops.where(here, apart, rest), ops.where(here, angle[0], high), ops.where(here, angle[1], low)
    square = rest * rest
    return high, low + (rest * square * _horner(square, ARCTANGENT) + rest)


def arctan(x: Any, ops: Any) -> Any:
    """The arctangent within three units in the last place."""
    high, low = _angle(abs(x), ops)
    result = high + low
    return ops.where(x < 0.0, -result, ops.where(x == 0.0, x, result))


def arctan2(y: Any, x: Any, ops: Any) -> Any:
    """The angle of a point (x, y), within four units in the last place; signs of zeros count as they do in NumPy."""
    over, under = abs(y), abs(x)
    ratio = ops.where(over == np.inf, ops.where(under == np.inf, 1.0, over), over / under)
    high, low = _angle(ops.where(over == 0.0, over, ratio), ops)
    left = ops.where(x == 0.0, 1.0 / x, x) < 0.0
    result = ops.where(left, (2.0 * HALF_PI_HIGH - high) + (2.0 * HALF_PI_LOW - low), high + low)
    result = ops.where(x == x, result, x)
    return ops.where(ops.where(y == 0.0, 1.0 / y, y) < 0.0, -result, ops.where(y == y, result, y))


def _half_of_a_large_power(size: Any, ops: Any) -> Any:
    """Half of e**size without overflow on the way."""
    root = exp(size * 0.5, ops)
    return (0.5 * root) * root


def sinh(x: Any, ops: Any) -> Any:
    """The hyperbolic sine within five units in the last place, without cancellation."""
    size = abs(x)
    grown = expm1(size, ops)
    result = ops.where(size > 40.0, _half_of_a_large_power(size, ops), 0.5 * (grown + grown / (grown + 1.0)))
    return ops.where(x < 0.0, -result, ops.where(x == 0.0, x, result))


def cosh(x: Any, ops: Any) -> Any:
    """The hyperbolic cosine within five units in the last place."""
    size = abs(x)
    power = exp(size, ops)
    return ops.where(size > 40.0, _half_of_a_large_power(size, ops), 0.5 * power + 0.5 / power)


def _series(square: tuple[Any, Any], coefficients: tuple[tuple[float, float], ...], ops: Any) -> tuple[Any, Any]:
    """A polynomial in a double-double number, its small terms in float64."""
    tail = _horner(square[0], tuple(c for c, _ in reversed(coefficients[SINGLE:])))
    result = (tail, ops.constant(tail, 0.0))
    for pair in reversed(coefficients[:SINGLE]):
        result = _plus(_times(result, square), pair)
    return result


def _turned(k: Any, sine: Any, cosine: Any, ops: Any) -> Any:
    """The sine of k quarter turns more, k from -2 to 2."""
    odd = (k == 1.0) | (k == -1.0)
    value = ops.where(odd, cosine, sine)
    return ops.where((k == 2.0) | (k == -2.0) | (k == -1.0), -value, value)


def _sine_after(x: Any, more: float, ops: Any) -> Any:
    k, high, low = _quarter_turns(x, ops)
    angle = (high, low)
    square = _times(angle, angle)
    sine, cosine = _times(_series(square, SINE, ops), angle), _series(square, COSINE, ops)
    k = k + more
    k = ops.where(k > 2.0, k - 4.0, k)
    return _turned(k, sine[0] + sine[1], cosine[0] + cosine[1], ops)


def sin(x: Any, ops: Any) -> Any:
    """The sine in double-double arithmetic, rounded once: right but where it lies within 2**-30 units of a midpoint."""
    return ops.where(abs(x) < 2.0**-27, x, _sine_after(x, 0.0, ops))


def cos(x: Any, ops: Any) -> Any:
    """The cosine, as `sin`."""
    return _sine_after(x, 1.0, ops)


def _short_quarter_turns_far(x: Any, ops: Any) -> tuple[Any, Any]:
    k, high, low = _quarter_turns_far(x, ops)
    return k, high + low


def _short_quarter_turns(x: Any, ops: Any) -> tuple[Any, Any]:
    """``(k, r)`` for an argument that was float32, r being right to float64."""
    k = ops.rint(x * TWO_OVER_PI)
    first, second, third, last = HALF_PI_PARTS
    r = ((x - k * first) - k * second) - k * (third + last)
    return ops.far(x, (k - 4.0 * ops.rint(k * 0.25), r), _short_quarter_turns_far)


def _short_sine_after(x: Any, more: float, ops: Any) -> Any:
    k, r = _short_quarter_turns(x, ops)
    square = r * r
    sine = r + r * (square * _horner(square, tuple(c for c, _ in reversed(SINE[1:9]))))
    cosine = _horner(square, tuple(c for c, _ in reversed(COSINE[:10])))
    k = k + more
    k = ops.where(k > 2.0, k - 4.0, k)
    return _turned(k, sine, cosine, ops)


def sin_of_float32(x: Any, ops: Any) -> Any:
    """The sine of a float32 in float64 arithmetic, to be rounded to float32."""
    return ops.where(x == 0.0, x, _short_sine_after(x, 0.0, ops))


def cos_of_float32(x: Any, ops: Any) -> Any:
    """The cosine of a float32, as `sin_of_float32`."""
    return _short_sine_after(x, 1.0, ops)
