"""The formats without a search once more, number by number in rationals, written as the format's description reads."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refgrad.quantizers import gguf
from tests.depth import examples
from tests.quantizers.exact_rounding import half_away, rounded, to_half

Numbers = list[Fraction]
HALF = Fraction(1, 2)


def stored_half(x: Fraction) -> bytes:
    return struct.pack("<e", math.copysign(float(to_half(x)), x))  # what is rounded to zero keeps its sign


def nibbles(codes: list[int]) -> bytes:
    return bytes(codes[i] % 16 + 16 * (codes[i + 16] % 16) for i in range(16))


def fifth_bits(codes: list[int]) -> bytes:
    return struct.pack("<I", sum((q >> 4) << i for i, q in enumerate(codes)))


def signed(x: Numbers, levels: int) -> tuple[Fraction, list[int]]:
    m = next(v for v in x if abs(v) == max(map(abs, x)))
    d = rounded(m / -levels)
    inverse = rounded(1 / d)
    shifted = [rounded(rounded(v * inverse) + levels + HALF) for v in x]
    return d, [min(2 * levels - 1, math.floor(v)) for v in shifted]


def ranged(x: Numbers, levels: int) -> tuple[Fraction, Fraction, list[int]]:
    low = min(x)
    d = rounded(rounded(max(x) - low) / levels)
    inverse = rounded(1 / d) if d else Fraction(0)
    steps = [rounded(rounded(rounded(v - low) * inverse) + HALF) for v in x]
    return d, low, [min(levels, math.floor(v)) for v in steps]


def symmetric(x: Numbers, levels: int) -> tuple[Fraction, list[int]]:
    d = rounded(max(map(abs, x)) / levels)
    inverse = rounded(1 / d)
    return d, [half_away(rounded(v * inverse)) for v in x]


def q4_0(x: Numbers) -> bytes:
    d, q = signed(x, 8)
    return stored_half(d) + nibbles(q)


def q5_0(x: Numbers) -> bytes:
    d, q = signed(x, 16)
    return stored_half(d) + fifth_bits(q) + nibbles(q)


def q4_1(x: Numbers) -> bytes:
    d, low, q = ranged(x, 15)
    return stored_half(d) + stored_half(low) + nibbles(q)


def q5_1(x: Numbers) -> bytes:
    d, low, q = ranged(x, 31)
    return stored_half(d) + stored_half(low) + fifth_bits(q) + nibbles(q)


def q8_0(x: Numbers) -> bytes:
    d, q = symmetric(x, 127)
    return stored_half(d) + struct.pack("<32b", *q)


def tq2_0(x: Numbers) -> bytes:
    d, q = symmetric(x, 1)
    trits = [v + 1 for v in q]
    stored = [
        sum(trits[128 * half + byte + 32 * n] << 2 * n for n in range(4)) for half in range(2) for byte in range(32)
    ]
    return bytes(stored) + stored_half(d)


def tq1_0(x: Numbers) -> bytes:
    d, q = symmetric(x, 1)
    trits = [v + 1 for v in q]

    def byte(first: int, run: int, count: int) -> int:
        digits = [trits[first + n * run] for n in range(count)] + [0] * (5 - count)
        return math.ceil(Fraction(sum(t * 3 ** (4 - n) for n, t in enumerate(digits)) * 256, 243))

    stored = [byte(i, 32, 5) for i in range(32)] + [byte(160 + i, 16, 5) for i in range(16)]
    return bytes(stored + [byte(240 + i, 4, 4) for i in range(4)]) + stored_half(d)


FORMATS: list[tuple[gguf.BlockFormat, Callable[[Numbers], bytes]]] = [
    (gguf.Q4_0(), q4_0),
    (gguf.Q4_1(), q4_1),
    (gguf.Q5_0(), q5_0),
    (gguf.Q5_1(), q5_1),
    (gguf.Q8_0(), q8_0),
    (gguf.TQ1_0(), tq1_0),
    (gguf.TQ2_0(), tq2_0),
]
#: magnitudes for which no scale overflows binary16; ties are common among the small integers
elements = st.one_of(
    st.floats(-30000, 30000, width=32),
    st.integers(-64, 64).map(float),
    st.sampled_from([0.0, 2.0**-149, -(2.0**-126), 2.0**-24, 0.5]),
)


def blocks(size: int) -> st.SearchStrategy[np.ndarray]:
    few = st.lists(elements, min_size=1, max_size=32)
    return few.map(lambda found: np.resize(np.float32(found), size)) | hnp.arrays(np.float32, size, elements=elements)


@pytest.mark.parametrize(("rule", "restated"), FORMATS, ids=lambda v: getattr(v, "__name__", str(v)))
@examples(25)
@given(data=st.data())
def test_the_bytes_are_those_of_exact_arithmetic(
    rule: gguf.BlockFormat, restated: Callable[[Numbers], bytes], data: st.DataObject
) -> None:
    x = data.draw(blocks(rule.block).filter(lambda a: np.max(np.abs(a)) >= 2.0**-100)) + np.float32(0)
    assert rule.pack(rule.quantize(x)).tobytes() == restated([Fraction(float(v)) for v in x])


@pytest.mark.parametrize("rule", [rule for rule, _ in FORMATS], ids=str)
def test_decoding_is_value_times_scale_plus_minimum(rule: gguf.BlockFormat) -> None:
    """Each operation rounded once, on every code."""
    random = np.random.default_rng(5)
    codes = np.resize(np.arange(len(rule.values), dtype=np.uint8), rule.block)[None]
    arrays = {"codes": codes, **{n: np.float16(random.standard_normal(1)) for n in rule.parts if n != "codes"}}
    scale = Fraction(float(arrays["scale"][0]))
    minimum = Fraction(float(arrays["minimum"][0])) if "minimum" in arrays else None
    for got, code in zip(rule.decode(arrays, (rule.block,)), codes[0], strict=True):
        want = rounded(Fraction(float(rule.values[code])) * scale)
        assert Fraction(float(got)) == (want if minimum is None else rounded(want + minimum))
