"""Functions that rise in steps: rounding to an integer, to a format, to the nearest of a table.

Each is a record that can be applied to arrays, and to one exact number. What it gives never falls as its argument rises,
so that where an argument is known to within a bound the results at both ends of it are all that is admissible.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from refgrad.arithmetic import rounding, rounding_exact
from refgrad.arithmetic.carrier import Carrier
from refgrad.arithmetic.minifloats import MINIFLOATS
from refgrad.arithmetic.table_search import Search
from refgrad.errors import bad_argument
from refgrad.rule import Choice, by

TIES = Choice(
    lower=by("the midpoint is exact; a tie goes to the lower code", "published: argmin"),
    upper="the midpoint is exact; a tie goes to the upper code",
    even="the midpoint is exact; a tie goes to the even code",
    bitsandbytes=by(
        "the midpoint is rounded to float32; a tie with that goes to the even code",
        "bitsandbytes: of 8 bits on CUDA, csrc/kernels.cu line 160, dQuantize",
    ),
    bitsandbytes_4bit=by(
        "the midpoint is rounded to float32; a tie with that goes to the lower code",
        "bitsandbytes: of NF4, on CUDA by csrc/kernels.cu line 110, dQuantizeNF4, and on a CPU",
    ),
)

#: those whose midpoints are rounded to float32
ROUNDED_MIDPOINTS = ("bitsandbytes", "bitsandbytes_4bit")


class Step(Protocol):
    """A step function; equal records are the same function."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Of each element, in the dtype of ``x``; NaN becomes what the record says."""

    def exactly(self, x: Fraction) -> Fraction | float:
        """Of one number, in exact arithmetic."""

    def adjacent(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """True where there is no result between two results, the first of which is the lower one."""


def step(x: Any, rule: Step) -> Any:
    """A step function of an array or of any carrier."""
    return x._apply("step", x, rule=rule) if isinstance(x, Carrier) else rule(np.asarray(x))


@dataclass(frozen=True)
class Integer:
    """The nearest integer from ``low`` to ``high``. NaN stays.

    ``ties`` sends a tie to the "even" one, "away" from zero, or "up": to the larger one, as floor(x + 1/2) without a rounding.
    ``unit`` is a power of two of which multiples are taken in place of integers.
    """

    ties: str = "even"
    low: float = -math.inf
    high: float = math.inf
    unit: float = 1.0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        kind = x.dtype.type
        x = x / kind(self.unit)
        if self.ties == "even":
            whole = np.rint(x)
        elif self.ties == "up":
            whole = np.floor(x)
            whole = np.where(x - whole >= 0.5, whole + kind(1), whole)  # the difference is exact, or more than a half
        else:
            whole = np.trunc(x)  # x - whole is exact, where floor(|x| + 0.5) would round
            whole = np.where(np.isfinite(x), whole + np.copysign(np.abs(x - whole) >= 0.5, x), x).astype(x.dtype)
        return np.minimum(np.maximum(whole, kind(self.low)), kind(self.high)) * kind(self.unit)

    def exactly(self, x: Fraction) -> Fraction | float:
        """Of one number, in exact arithmetic."""
        x = x / Fraction(self.unit)
        if self.ties == "even":
            whole = Fraction(round(x))
        elif self.ties == "up":
            whole = Fraction(math.floor(x + Fraction(1, 2)))
        else:
            whole = Fraction(math.floor(abs(x) + Fraction(1, 2)) * (-1 if x < 0 else 1))
        return (self.low if whole < self.low else self.high if whole > self.high else whole) * Fraction(self.unit)

    def adjacent(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """True where they are neighbouring multiples of the unit."""
        return high - low <= self.unit


@dataclass(frozen=True)
class ToFormat:
    """The value in a small format. NaN stays, where the format has one."""

    format: str
    mode: str = "nearest_even"
    overflow: str = "saturate"

    def __call__(self, x: np.ndarray) -> np.ndarray:
        form = MINIFLOATS[self.format]
        values = rounding.round_to_format(np.where(np.isnan(x), 0.0, x), form, self.mode, self.overflow)
        return np.where(np.isnan(x), np.nan, values).astype(x.dtype)

    def exactly(self, x: Fraction) -> Fraction | float:
        """Of one number, in exact arithmetic."""
        form = MINIFLOATS[self.format]
        return rounding_exact.value_exactly(rounding_exact.round_exactly(x, form, self.mode, self.overflow), form)

    def adjacent(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """True where what lies half-way between them is rounded to one of them."""
        middle = low / 2 + high / 2
        down, up = (rounding.round_to_format(middle, MINIFLOATS[self.format], m, "saturate") for m in ("down", "up"))
        return (down <= low) & (up >= high)


@dataclass(frozen=True)
class SharedScale:
    """The power of two that a block of OCP MX is divided by, from its largest magnitude; see `SCALE_RULES`.

    It lies between 2**-127 and 2**127; zero gives 2**-127, NaN and infinity give NaN.
    """

    #: the largest number of the element format, and the power of two that it is at least
    largest: float
    largest_exponent: int
    mantissa_bits: int
    rule: str = "floor"

    def __call__(self, x: np.ndarray) -> np.ndarray:
        significand, exponent = np.frexp(np.where(np.isfinite(x), x, 1.0))  # 0.5 <= significand < 1, or zero
        exponent = exponent - 1 - self.largest_exponent
        if self.rule == "ceil":
            exponent = exponent + (significand > 0.5)
        elif self.rule == "even":
            exponent = exponent + (significand >= 1 - 2.0 ** -(self.mantissa_bits + 2))
        elif self.rule == "rceil":
            exponent = exponent + (significand > np.frexp(self.largest)[0])
        elif self.rule == "nearest":
            exponent = exponent - (significand <= self.last_rounded_down(x.dtype))
        scale = np.ldexp(1.0, np.where(x > 0, np.clip(exponent, -127, 127), -127))
        return np.where(np.isfinite(x), scale, np.nan).astype(x.dtype)

    def last_rounded_down(self, dtype: Any) -> float:
        """For `nearest`: the greatest significand whose power of two is a half of that of `largest`.

        The step lies at the significand of `largest` divided by the root of two, which no number of a dtype is. Every
        element format's significand is above the root of a half, so that no power is rounded up.
        """
        significand, digits = Fraction(math.frexp(self.largest)[0]), np.finfo(dtype).nmant + 1
        square = significand**2 / 2 * 4**digits
        return math.ldexp(math.isqrt(math.floor(square)), -digits)

    def exactly(self, x: Fraction) -> Fraction:
        """Of one number, in exact arithmetic: by trying the powers in turn."""
        emax, power = self.largest_exponent, Fraction(2)
        fits = {
            "floor": lambda e: x < power ** (e + emax + 1),
            "ceil": lambda e: x <= power ** (e + emax),
            "even": lambda e: x < power ** (e + emax + 1) * (1 - power ** -(self.mantissa_bits + 2)),
            "rceil": lambda e: x <= power**e * Fraction(self.largest),
            "nearest": lambda e: x**2 < 2 * (power**e * Fraction(self.largest)) ** 2,
        }[self.rule]
        return power ** next((e for e in range(-127, 127) if fits(e)), 127)

    def adjacent(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """True where they are neighbouring powers of two."""
        return high <= 2 * low


SCALE_RULES = Choice(
    floor=by(
        "2**(floor(log2 amax) - emax): the largest elements may saturate",
        "published: the specification",
        "microxcaling",
        "torchao",
    ),
    ceil="2**(ceil(log2 amax) - emax): nothing saturates",
    even="floor, of amax rounded to the element's mantissa bits, half up",
    rceil="the least power of two by which nothing saturates: 2**ceil(log2(amax / largest))",
    nearest=by(
        "2**round(log2(amax / largest)): the largest elements of about half of all blocks saturate",
        "elsewhere: MLX to 0.31",
    ),
)


#: of a number the part by which it may be another once it is rounded to float64, and more
FAR_FROM = 2.0**-50


@dataclass(frozen=True)
class Nearest:
    """The nearest of ascending float32 values, by a rule for ties. NaN becomes the value nearest to zero."""

    values: tuple[float, ...]
    ties: str = "lower"

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.values, x.dtype)[self.rank(x)]

    def rank(self, x: np.ndarray) -> np.ndarray:
        """Which of the values it is, counted from 0."""
        rank = _search(self, x.dtype)(x)
        return np.where(np.isnan(x), self.zero, rank)

    def over(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What it gives at lower ends, and where it gives the same all the way to upper ends."""
        rank = self.rank(low)
        last = np.append(self.thresholds(low.dtype), low.dtype.type(np.inf)).take(rank)
        return np.asarray(self.values, low.dtype).take(rank), (high <= last) & (low <= high)

    @cached_property
    def zero(self) -> int:
        """The place of the value nearest to zero."""
        return int(np.argmin(np.abs(self.values)))

    @cached_property
    def middles(self) -> tuple[float, ...]:
        """Halfway between each two neighbours, exactly: float64 has the halves of sums of float32 values of like size."""
        return tuple((a + b) / 2 for a, b in pairwise(self.values))

    def thresholds(self, dtype: Any) -> np.ndarray:
        """For each two neighbours the largest number of a dtype that does not go to the upper one; read-only."""
        return _thresholds(self, np.dtype(dtype))

    def _tie_goes_up(self, lower: Any) -> Any:
        """True where a tie of a code with the next goes to that."""
        if self.ties in ("lower", "upper", "bitsandbytes_4bit"):
            return lower >= 0 if self.ties == "upper" else lower < 0
        return lower % 2 == 1

    def exactly(self, x: Fraction) -> Fraction:
        """Of one number, in exact arithmetic: by its distances from the two values around it."""
        if self.ties in ROUNDED_MIDPOINTS:
            raise bad_argument("ties", self.ties, "a rule with exact midpoints")
        near = float(x)
        place = bisect_left(self.middles, near)
        around = self.middles[max(place - 1, 0) : place + 1]
        if all(abs(near - middle) > abs(near) * FAR_FROM for middle in around):  # as nearly all are
            return Fraction(self.values[place])
        upper = bisect_right(self.values, x)  # Python compares floats with fractions exactly
        if upper in (0, len(self.values)):
            return Fraction(self.values[max(upper - 1, 0)])
        below, above = map(Fraction, self.values[upper - 1 : upper + 1])
        lower = bisect_left(self.values, below)
        goes_up = above - x < x - below or (above - x == x - below and bool(self._tie_goes_up(lower)))
        return above if goes_up else below

    def adjacent(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """True where they are neighbours in the table."""
        table = np.unique(np.asarray(self.values, np.float64))
        return np.searchsorted(table, high) - np.searchsorted(table, low) <= 1


@lru_cache(maxsize=64)
def _thresholds(of: Nearest, dtype: np.dtype) -> np.ndarray:
    """Those of a record: a search among hypotheses asks for the same ones thousands of times."""
    lower, upper = np.asarray(of.values[:-1]), np.asarray(of.values[1:])
    middle = (lower + upper) / 2  # exact in float64, whose significands hold those of float32 at their distance
    if of.ties in ROUNDED_MIDPOINTS:
        middle = ((lower + upper) * 0.5).astype(np.float32).astype(np.float64)
    goes_up = of._tie_goes_up(np.arange(len(lower)))
    low = middle.astype(dtype)
    low = np.where(low.astype(np.float64) > middle, np.nextafter(low, dtype.type(-np.inf)), low)
    at = low.astype(np.float64) == middle
    found: np.ndarray = np.where(at & goes_up, np.nextafter(low, dtype.type(-np.inf)), low).astype(dtype)
    found.flags.writeable = False
    return found


@lru_cache(maxsize=64)
def _search(of: Nearest, dtype: np.dtype) -> Search:
    return Search(_thresholds(of, dtype))


@dataclass(frozen=True)
class NearestCode:
    """The number by which the nearest value is kept: what kernels that store codes compute in place of the value."""

    nearest: Nearest
    numbers: tuple[int, ...]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.numbers, x.dtype)[self.nearest.rank(x)]


@dataclass(frozen=True)
class Ranks:
    """How many of ascending bounds lie below a number, added to the first code. NaN stays.

    ``wide`` are the bounds of float64 numbers, where they are others than those of float32.
    """

    bounds: tuple[float, ...]
    first: int = 0
    wide: tuple[float, ...] = ()

    def __call__(self, x: np.ndarray) -> np.ndarray:
        rank = np.searchsorted(self._bounds(x.dtype), x, side="left")
        return np.where(np.isnan(x), np.nan, rank + self.first).astype(x.dtype)

    def thresholds(self, dtype: Any) -> np.ndarray:
        """For each bound the largest number of a dtype that is not above it."""
        dtype, bounds = np.dtype(dtype), self._bounds(dtype)
        near = bounds.astype(dtype)
        return np.where(near.astype(np.float64) > bounds, np.nextafter(near, dtype.type(-np.inf)), near).astype(dtype)

    def _bounds(self, dtype: Any) -> np.ndarray:
        return self._arrays[bool(self.wide) and np.dtype(dtype) == np.float64]

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(self.bounds, np.float64), np.asarray(self.wide, np.float64)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The codes."""
        return tuple(range(self.first, self.first + len(self.bounds) + 1))

    def exactly(self, x: Fraction) -> Fraction:
        """Of one number that float32 holds."""
        return Fraction(bisect_left(self.bounds, x) + self.first)

    def adjacent(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """True where they are neighbours."""
        return high - low <= 1


#: below this the power of two near a number is one of every working dtype
LARGE = 2.0**127


@dataclass(frozen=True)
class _Bits:
    """How the bits of a float dtype stand for a number."""

    kind: np.dtype
    mantissa: int
    bias: int

    @property
    def normal(self) -> tuple[int, int]:
        """The bits of the least and of the largest normal number above zero."""
        return 1 << self.mantissa, ((2 * self.bias + 1) << self.mantissa) - 1


_BITS = {
    np.dtype(np.float32): _Bits(np.dtype(np.int32), 23, 127),
    np.dtype(np.float64): _Bits(np.dtype(np.int64), 52, 1023),
}


@dataclass(frozen=True)
class Exponent:
    """The exponent of the power of two near a magnitude m 2**k, 1 <= m < 2: k, and k + 1 from ``boundary`` on.

    It is decided by the significand, exactly. Of zero it is minus infinity; infinity, NaN and negative numbers stay.

    Args:
        boundary: the significand from which on the next power is the near one; 2 for none.
        power: True for the power in place of its exponent; zero stays.
    """

    boundary: float = 2.0
    power: bool = False

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if x.size == 1 and 0 < (one := x.item()) < LARGE:
            return self._one(one, x)
        if x.dtype not in _BITS or x.size < 2:
            return self._any(x)
        bits = x.view(_BITS[x.dtype].kind)
        least, most = _BITS[x.dtype].normal
        if rounding.all_within(bits, least, most):
            return self._normal(x, bits)
        normal = (bits >= least) & (bits <= most)
        found = self._normal(x, bits)
        found[~normal] = self._any(x[~normal])
        return found

    def _normal(self, x: np.ndarray, bits: np.ndarray) -> np.ndarray:
        """Of normal numbers above zero, by their bits: what is added carries into the exponent from the boundary on."""
        facts = _BITS[x.dtype]
        added = (1 << facts.mantissa) - math.ceil((self.boundary - 1.0) * (1 << facts.mantissa))
        if self.power:
            return ((bits + added) & -(1 << facts.mantissa)).view(x.dtype)
        return (((bits + added) >> facts.mantissa) - facts.bias).astype(x.dtype)

    def _any(self, x: np.ndarray) -> np.ndarray:
        """Of any numbers."""
        significand, exponent = np.frexp(x)
        near = exponent - 1
        if self.boundary < 2:
            near += significand.astype(np.float64) >= self.boundary / 2
        given, nothing = (np.ldexp(1.0, near), 0.0) if self.power else (near, -np.inf)
        return np.where((x > 0) & (x < np.inf), given, np.where(x == 0, nothing, x)).astype(x.dtype)

    def _one(self, one: float, like: np.ndarray) -> np.ndarray:
        """Of one finite number above zero, as scales of a tensor are: NumPy's functions take longer than their arithmetic."""
        significand, exponent = math.frexp(one)
        near = exponent - 1 + (self.boundary < 2 and significand >= self.boundary / 2)
        found = np.empty(like.shape, like.dtype)
        found.fill(math.ldexp(1.0, near) if self.power else near)
        return found

    def exactly(self, x: Fraction) -> Fraction | float:
        """Of one number, in exact arithmetic."""
        if not x:
            return Fraction(0) if self.power else -math.inf
        k = x.numerator.bit_length() - x.denominator.bit_length()
        k -= x < Fraction(2) ** k
        k += x >= Fraction(self.boundary) * Fraction(2) ** k
        return Fraction(2) ** k if self.power else Fraction(k)

    def adjacent(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """True where they are neighbouring powers of two, or exponents."""
        return high <= 2 * low if self.power else high - low <= 1


def signed(magnitudes: Sequence[float], above: bool) -> tuple[float, ...]:
    """The bounds by which numbers of both signs are ranked as their magnitudes are.

    Args:
        magnitudes: ascending float64 numbers above zero.
        above: True where a magnitude must be above a bound to be beyond it, False where it may be equal.

    >>> signed([1.0, 2.0], above=True)[1:3] == (math.nextafter(-1.0, -math.inf), 1.0)
    True
    """
    below = [math.nextafter(m, -math.inf) for m in magnitudes]
    if above:
        return (*(math.nextafter(-m, -math.inf) for m in reversed(magnitudes)), *magnitudes)
    return (*(-m for m in reversed(magnitudes)), *below)


@dataclass(frozen=True)
class OnGrid:
    """The nearest of ascending float32 values to the nearest of 65536 equal steps from -1 to 1: as bitsandbytes' CPU code.

    The place on the grid is found in float32, each operation rounded; a place has the code of as many float32 midpoints as
    lie below it. NaN becomes the lowest value.
    """

    values: tuple[float, ...]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.values, x.dtype)[self.rank(x)]

    def rank(self, x: np.ndarray) -> np.ndarray:
        """Which of the values it is, counted from 0."""
        with np.errstate(invalid="ignore"):
            one = np.minimum(np.maximum(x.astype(np.float32), np.float32(-1)), np.float32(1))
            place = ((one + np.float32(1)) * np.float32(0.5) * np.float32(65535) + np.float32(0.5)).astype(np.int64)
        return np.where(np.isnan(x), 0, self._codes[np.where(np.isnan(x), 0, place)])

    @cached_property
    def _codes(self) -> np.ndarray:
        values = np.asarray(self.values, np.float32)
        middle = np.float32(0.5) * (values[:-1] + values[1:])
        return np.searchsorted(middle, np.float32(-1) + np.arange(0, 131072, 2).astype(np.float32) / np.float32(65535))

    def exactly(self, x: Fraction) -> Fraction:
        """Of one number that float32 holds."""
        return Fraction(float(self(np.asarray([float(x)], np.float32))[0]))

    def adjacent(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """True where they are neighbours among the values that places have."""
        table = np.unique(np.asarray(self.values, np.float64)[self._codes])
        return np.searchsorted(table, high) - np.searchsorted(table, low) <= 1


@dataclass(frozen=True)
class WholeCodes:
    """Results that are kept as whole numbers of a unit, in an integer type; NaN as a number of its own."""

    kind: str
    nan: int = 0
    unit: float = 1.0


@dataclass(frozen=True)
class FormatCodes:
    """Results that are numbers of a small format, kept as its codes; NaN as a code of its own, or as that of zero."""

    format: str
    kind: str = "uint8"
    nan: int = 0


@dataclass(frozen=True)
class TableCodes:
    """Codes that are places in a table of numbers, from 0 on; negative ones of ``int8``, whose table has 256, from its end."""

    values: tuple[float, ...]
    kind: str = "uint8"

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Kernels are looked up by it at each call, and a table may be long."""
        return hash((self.values, self.kind))

    def array(self, dtype: Any) -> np.ndarray:
        """The table in a dtype; read-only."""
        return _tables(self, np.dtype(dtype))


@lru_cache(maxsize=64)
def _tables(of: TableCodes, dtype: np.dtype) -> np.ndarray:
    """Those of a record."""
    table = np.asarray(of.values, dtype)
    table.flags.writeable = False
    return table
