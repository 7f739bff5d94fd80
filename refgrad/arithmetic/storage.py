"""Rounding onto the grid of a narrower dtype as an operation of a rule: to nearest, or by chance with given random bits.

The numbers stay in the working dtype. By chance, a number of which a part r (0 <= r < 1, in units of the last place) would be
cut off goes up in magnitude where the random number n, whole and below 2**bits, has n + 1 <= r 2**bits: for exactly
floor(r 2**bits) of the 2**bits numbers, so that it is unbiased wherever r 2**bits is whole. For a given n the result never falls
as the argument rises.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import ml_dtypes
import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.carrier import Carrier
from refgrad.arithmetic.operations.op import Writer
from refgrad.rule import Choice, by

FORMATS = Choice(
    float32="the working precision: nothing is lost",
    bfloat16="eight significant bits, the exponents of float32",
    float16="eleven significant bits, numbers up to 65504",
)

CHANCE = Choice(
    below=by("up in magnitude where the random number is below what is cut off", "torchao"),
    carry=by("up in magnitude where the random number, added to the bits, carries into those that stay", "heavyball"),
)


@dataclass(frozen=True)
class Grid:
    """The numbers of a format, and how they are rounded to; ``bits`` are random, or none where it is to nearest.

    ``chance`` says which random numbers send a number up; there are as many either way.
    """

    format: str
    bits: int | None = None
    chance: str = "below"

    @cached_property
    def facts(self) -> dtypes.Format:
        """The facts of the format."""
        return dtypes.format_of(getattr(ml_dtypes, self.format, self.format))

    @cached_property
    def mantissa_bits(self) -> int:
        """Bits of a significand after the point."""
        return -int(np.log2(2 * self.facts.unit_roundoff))

    @cached_property
    def least_exponent(self) -> int:
        """The exponent of the smallest normal number."""
        return int(np.log2(self.facts.smallest_normal))

    def __call__(self, x: np.ndarray, random: Any = None) -> np.ndarray:
        """Of each element, in the dtype of ``x``; NaN and infinities stay."""
        with np.errstate(all="ignore"):
            wide = x.astype(np.float64)
            size, quantum = np.where(np.isfinite(wide), np.abs(wide), 0.0), self.unit(wide)
            scaled = size / quantum
            rounded = np.rint(scaled) if self.bits is None else self._by_chance(scaled, random)
            value = rounded * quantum
            value = np.where(value > self.facts.largest, np.inf, value)
            return np.where(np.isfinite(wide), np.copysign(value, wide), wide).astype(x.dtype)

    def unit(self, x: np.ndarray) -> np.ndarray:
        """The distance of the numbers around each of some float64 numbers; of what is not finite that of the smallest."""
        size = np.where(np.isfinite(x), np.abs(x), 0.0)
        exponent = np.maximum(np.frexp(size)[1] - 1, self.least_exponent)
        return np.ldexp(1.0, np.where(size > 0, exponent, self.least_exponent) - self.mantissa_bits)

    def _by_chance(self, scaled: np.ndarray, random: Any) -> np.ndarray:
        whole, count = np.floor(scaled), 2.0 ** (self.bits or 0)
        number = np.asarray(random, np.float64)
        number = number if self.chance == "below" else (count - 1.0) - number
        return whole + (number + 1.0 <= (scaled - whole) * count)

    def exactly(self, x: Fraction, random: int | None = None) -> Fraction | float:
        """Of one number, in exact arithmetic."""
        size, exponent = abs(x), self.least_exponent
        while size >= Fraction(2) ** (exponent + 1):
            exponent += 1
        scaled = size / Fraction(2) ** (exponent - self.mantissa_bits)
        whole = Fraction(round(scaled))
        if self.bits is not None and random is not None:
            whole, count = Fraction(scaled.__floor__()), 2**self.bits
            number = random if self.chance == "below" else count - 1 - random
            whole += number < ((scaled - whole) * count).__floor__()
        value = whole * Fraction(2) ** (exponent - self.mantissa_bits)
        sign = -1 if x < 0 else 1
        return sign * (float("inf") if value > self.facts.largest else value)

    def write(self, w: Writer, x: str, random: str | None = None) -> str:
        """What rounds ``x`` in a kernel: in float64, where all but the choice is exact."""
        r = w.result
        size, exponent, unit, scaled, whole = (f"{r}_{n}" for n in ("size", "exponent", "unit", "scaled", "whole"))
        least, middle, wide = str(self.least_exponent), w.plain(2.0**52), w.cast("float64", x)
        w.set(size, w.call("abs", wide, kind="float64"), "float64")
        w.set(exponent, f"({w.bits('float64', size, 'int64')} >> 52) - 1023", "int64")
        w.set(exponent, w.select(f"{exponent} > {least}", exponent, least))
        w.set(unit, w.bits("int64", f"({exponent} + {1023 - self.mantissa_bits}) << 52", "float64"), "float64")
        w.set(scaled, f"{size} / {unit}", "float64")
        w.set(whole, f"({scaled} + {middle}) - {middle}", "float64")
        if self.bits is not None and random is not None:
            count, one = 2.0**self.bits, w.plain(1.0)
            number = w.cast("float64", random)
            number = number if self.chance == "below" else f"({w.plain(count - 1.0)} - {number})"
            w.set(whole, w.select(f"{whole} > {scaled}", f"{whole} - {one}", whole))
            w.set(f"{r}_up", f"{number} + {one} <= ({scaled} - {whole}) * {w.plain(count)}", "bool")
            w.set(whole, w.select(f"{r}_up", f"{whole} + {one}", whole))
        value = w.set(f"{r}_value", f"{whole} * {unit}", "float64")
        infinity = w.plain(float("inf"))
        w.set(value, w.select(f"{value} > {w.plain(self.facts.largest)}", infinity, value))
        signed = w.cast(w.kind, w.call("copysign", value, wide, kind="float64"))
        return w.select(f"{size} < {infinity}", signed, x)


def to_grid(x: Any, grid: Grid, random: Any = None) -> Any:
    """An array, or any carrier, rounded onto a grid; ``random`` are whole numbers shaped like ``x``, in its dtype."""
    operands = (x,) if random is None else (x, random)
    return x._apply("round", *operands, rule=grid) if isinstance(x, Carrier) else grid(np.asarray(x), random)
