"""Tables of values that codes stand for, normalized to a largest magnitude of one."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache

import numpy as np

from refgrad.arithmetic.function_arguments import Numbers, gated
from refgrad.errors import bad_argument
from refgrad.legal import Flag, Whole

Values = tuple[float, ...]

#: whether there are negative values, and bits of a code: with one of them there is a sign and nothing else
SIGNED, BITS = Flag("there are negative values"), Whole(2, 16)


def _float32(values: list[Fraction]) -> Values:
    """Exact numbers, sorted and each rounded once to float32."""
    return tuple(float(np.float32(float(v))) for v in sorted(values))


@gated(signed=SIGNED, total_bits=BITS)
@cache
def dynamic(signed: bool = True, total_bits: int = 8) -> Values:
    """The dynamic map: a decimal exponent by the number of leading zero bits, the rest a linear fraction.

    For the exponents 10**(i + 2 - total_bits), i from 0, the interval from 0.1 to 1 is cut into equal parts, twice as
    many for each next i; the values are their midpoints. Zero and one are added, and with a sign the negatives of all
    but one: 1 has the code that minus zero would have. Dettmers et al. 2022, 2.3; Dettmers 2016, arXiv:1511.04561.

    Args:
        signed: whether there are negative values.
        total_bits: bits of a code.

    Returns:
        The values, sorted.

    Raises:
        ArgumentError: an argument is not legal.
    """
    exponent_bits = total_bits - 1
    found = [Fraction(0), Fraction(1)]
    for i in range(exponent_bits):
        parts = 2 ** (i + total_bits - exponent_bits - signed)
        for k in range(parts):
            middle = Fraction(1, 10) + Fraction(9, 10) * Fraction(2 * k + 1, 2 * parts)
            value = middle * Fraction(10) ** (i + 1 - exponent_bits)
            found += [value, -value] if signed else [value]
    return _float32(found)


@gated(signed=SIGNED, total_bits=BITS)
@cache
def dynamic_float32(signed: bool = True, total_bits: int = 8) -> Values:
    """`dynamic` as bitsandbytes computes it: a float32 linspace by fused operations, and each product rounded.

    Args:
        signed: whether there are negative values.
        total_bits: bits of a code.

    Returns:
        The values, sorted.

    Raises:
        ArgumentError: an argument is not legal.
    """
    exponent_bits = total_bits - 1
    found = [0.0, 1.0]
    for i in range(exponent_bits):
        parts = 2 ** (i + total_bits - exponent_bits - signed)
        ends = _linspace_float32(0.1, 1.0, parts + 1)
        middles = ((ends[:-1] + ends[1:]) / np.float32(2)).astype(np.float32)
        power = np.float32(10.0 ** (i + 1 - exponent_bits))
        values = (power * middles).astype(np.float32).tolist()
        found += values + ([-v for v in values] if signed else [])
    return tuple(sorted(found))


def _linspace_float32(low: float, high: float, count: int) -> np.ndarray:
    """From both ends inwards, each point one fused multiply-add in float32."""
    first, last = np.float32(low), np.float32(high)
    width = np.float64(np.float32(np.float32(last - first) / np.float32(count - 1)))
    k = np.arange(count, dtype=np.float64)
    up, down = np.float64(first) + width * k, np.float64(last) - width * (count - 1 - k)
    return np.where(k < count // 2, up, down).astype(np.float32)


@gated(signed=SIGNED, total_bits=BITS)
@cache
def linear(signed: bool = True, total_bits: int = 8) -> Values:
    """Equal steps: k / 127 for k from -127 to 127, or k / 255 from 0 to 255 (for 8 bits).

    Args:
        signed: whether there are negative values.
        total_bits: bits of a code.

    Returns:
        The values, sorted.

    Raises:
        ArgumentError: an argument is not legal.
    """
    top = 2 ** (total_bits - signed) - 1
    return _float32([Fraction(k, top) for k in range(-top if signed else 0, top + 1)])


@gated(sample=Numbers(least=1), total_bits=Whole(1, 16))
def quantile(sample: np.ndarray, total_bits: int = 8) -> Values:
    """The quantile map of a sample: means of neighbouring quantiles, divided by the largest magnitude.

    q_i = (Q(i / (2**k + 1)) + Q((i + 1) / (2**k + 1))) / 2 for i from 0 to 2**k - 1, Q interpolating linearly between
    order statistics. Dettmers et al. 2022, 1.3, equation 5; one has to be among them, so that they are divided.

    Args:
        sample: numbers.
        total_bits: bits of a code.

    Returns:
        The values, sorted, each once.

    Raises:
        ArgumentError: the sample is empty, not finite, or zero.
    """
    sample = sample.ravel()
    if not np.isfinite(sample).all() or not sample.any():
        raise bad_argument("sample", sample[:3], "finite numbers, not all of them zero")
    count = 2**total_bits
    edges = np.quantile(sample, np.arange(count + 1) / (count + 1))
    middles = (edges[:-1] + edges[1:]) / 2
    largest = np.abs(middles).max()
    return tuple(float(v) for v in np.unique((middles / largest if largest else middles).astype(np.float32)))


#: NF4: Dettmers et al. 2023, arXiv:2305.14314, appendix E
NF4: Values = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)

#: FP4 of bitsandbytes: magnitudes by the three low bits of a code, in twelfths but for the subnormal one
FP4_MAGNITUDES = tuple(float(np.float32(v)) for v in (0, 0.0625 / 12, 8 / 12, 1, 4 / 12, 6 / 12, 2 / 12, 3 / 12))

#: AF4 for blocks of 64: Yoshida 2023, arXiv:2306.06965, table 1
AF4: Values = tuple(
    float(np.float32(v))
    for v in (
        -1.0,
        -0.69441008,
        -0.51243739,
        -0.3736951,
        -0.25607552,
        -0.14982478,
        -0.04934812,
        0.0,
        0.04273164,
        0.12934483,
        0.21961274,
        0.31675666,
        0.42563882,
        0.55496234,
        0.72424863,
        1.0,
    )
)

#: the maps of `Blockwise`, by name
MAPS: dict[str, Callable[[], Values]] = {
    "dynamic": lambda: dynamic(True),
    "dynamic_unsigned": lambda: dynamic(False),
    "bitsandbytes": lambda: dynamic_float32(True),
    "bitsandbytes_unsigned": lambda: dynamic_float32(False),
    "linear": lambda: linear(True),
    "linear_unsigned": lambda: linear(False),
    "dynamic_4bit": lambda: dynamic_float32(True, 4),
    "linear_4bit": lambda: tuple(k / 16 for k in range(1, 17)),
}
