"""How kernels read and write arrays of narrower types than they work in: on the bits, without a header of CUDA's.

A number that is read is exact. One that is stored is rounded once, to nearest even, as NumPy and ml_dtypes do it: beyond the
largest number to infinity, or to NaN where a format has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from refgrad.arithmetic.minifloats import MINIFLOATS, Minifloat
from refgrad.arithmetic.steps import FormatCodes
from refgrad.backends.c_dialect import TYPES
from refgrad.backends.step_source import Kept
from refgrad.errors import bad_argument

#: the narrow formats that arrays may be stored in: those with a sign, a zero and a NaN
FORMATS = {name: form for name, form in MINIFLOATS.items() if form.signed and form.zero and form.nan_code is not None}
LEGAL = ("float64", "float32", *FORMATS, "uint32", "uint8")

_ENCODE = """static __device__ inline {code} to_{name}(float x) {{
    int32_t bits = bits_float32_int32(x), size = bits & 0x7FFFFFFF, field = size >> 23;
    int32_t significand = (size & 0x7FFFFF) | (field > 0 ? 0x800000 : 0), exponent = (field > 0 ? field : 1) - 127;
    int32_t below = exponent < {least} ? {least} - exponent : 0;
    int32_t shift = {shift} + below < 25 ? {shift} + below : 25;
    int32_t kept = significand >> shift, rest = significand & ((1 << shift) - 1);
    int32_t up = rest + (kept & 1) > (1 << (shift - 1)) ? 1 : 0;
    int32_t result = (exponent + below - ({least})) * {implicit} + kept + up;
    result = result > {largest} || size == 0x7F800000 ? {beyond} : result;
    result = size > 0x7F800000 ? {nan} : result;
    return ({code})(result | (bits < 0 && result >= {least_signed} ? {sign} : 0));
}}"""

_DECODE = """static __device__ inline float from_{name}({code} code) {{
    int32_t size = code & {all}, mantissa = size & {fraction}, field = size >> {mantissa_bits};
    int32_t small = mantissa == 0 ? 0 : bits_float32_int32((float)mantissa) - ({down} << 23);
    int32_t result = field == 0 ? small : ((field + {up}) << 23) | (mantissa << {shift});
    result = {special};
    return bits_int32_float32(result | (code & {sign} ? (int32_t)0x80000000 : 0));
}}"""

#: the format with the exponents of float32: its codes are the upper halves of float32's bits
_UPPER_HALF = """static __device__ inline float from_{name}({code} code) {{
    return bits_int32_float32((int32_t)((uint32_t)code << {shift}));
}}"""

#: float64 to float32, to odd: what a second rounding makes of it, it would make of the number itself
_ODD = """static __device__ inline float to_odd(double x) {
    float near = (float)x;
    double back = (double)near;
    int32_t bits = bits_float32_int32(near) - (fabs(back) > fabs(x) ? 1 : 0);
    return x == x && back != x ? bits_int32_float32(bits | 1) : near;
}"""


def kind_of(dtype: str) -> str:
    """The type that a kernel calls the elements of a stored array.

    Args:
        dtype: a name of `LEGAL`; of integers a kernel only reads.

    Raises:
        ArgumentError: kernels store no such type.

    >>> kind_of("bfloat16"), kind_of("float32")
    ('uint16', 'float32')
    """
    if dtype not in LEGAL:
        raise bad_argument("dtype", dtype, f"what CUDA kernels store: {', '.join(LEGAL)}")
    return str(FORMATS[dtype].code_dtype) if dtype in FORMATS else dtype


def read(dtype: str, kind: str, code: str) -> str:
    """The expression of a stored number.

    Args:
        dtype: how it is stored.
        kind: the working dtype.
        code: the expression of the element.
    """
    value = f"from_{dtype}({code})" if dtype in FORMATS else code
    return value if dtype == kind else f"({TYPES[kind]}){value}"


@dataclass(frozen=True)
class Number:
    """How an array of floats is stored.

    Args:
        dtype: a name of `LEGAL`.
    """

    dtype: str

    @property
    def kind(self) -> str:
        """The type of its elements, to a kernel."""
        return kind_of(self.dtype)

    def store(self, w: Any, target: str, x: str) -> None:
        """What stores ``x``."""
        w.do(f"{target} = {stored(self.dtype, w.kind, x)}")

    def load(self, w: Any, code: str) -> str:
        """The expression of what was stored as ``code``."""
        return read(self.dtype, w.kind, code)


@dataclass(frozen=True)
class Codes(Kept):
    """How whole numbers that stand for floats are stored, from either working dtype."""

    def store(self, w: Any, target: str, x: str) -> None:
        """What stores ``x``; a number of a format is one of float32."""
        if isinstance(self.record, FormatCodes):
            form = MINIFLOATS[self.record.format]
            if w.kind == "float64":
                x = w.set(f"{x}_single", f"(float){x}", "float32")
            if not form.zero:  # powers of two alone, of which the exponent's bits are the code
                code = f"{w.bits('float32', x, 'int32')} >> {23 - form.mantissa_bits}"
                w.do(f"{target} = {w.cast(self.kind, w.select(f'{x} == {x}', code, str(self.record.nan)))}")
                return
        super().store(w, target, x)


#: how the arrays of a kernel are stored, by name
Forms = Mapping[str, Number | Codes]


def stored(dtype: str, kind: str, x: str) -> str:
    """The expression of what is stored of a number.

    From float64, ml_dtypes rounds to float32 on the way, and NumPy, whose own float16 is, does not.

    Args:
        dtype: how it is stored.
        kind: the working dtype.
        x: the number.
    """
    if dtype not in FORMATS:
        return x if dtype == kind else f"({TYPES[dtype]}){x}"
    if kind == "float64":
        x = f"to_odd({x})" if dtype == "float16" else f"(float){x}"
    return f"to_{dtype}({x})"


def functions(forms: Iterable[Number | Codes], kind: str) -> list[str]:
    """The functions that reading and storing take.

    Args:
        forms: how arrays are stored.
        kind: the working dtype.
    """
    dtypes = {form.dtype for form in forms if isinstance(form, Number)}
    lines = [_ODD] if kind == "float64" and "float16" in dtypes else []
    for name in FORMATS:
        if name in dtypes:
            lines += [_decode(FORMATS[name]), _encode(FORMATS[name])]
    return [line for text in lines for line in text.split("\n")]


def _encode(form: Minifloat) -> str:
    return _ENCODE.format(
        name=form.name,
        code=TYPES[str(form.code_dtype)],
        least=form.least_exponent,
        shift=23 - form.mantissa_bits,
        implicit=1 << form.mantissa_bits,
        largest=form.largest_code,
        beyond=form.beyond_code("overflow"),
        nan=form.nan_code,
        sign=form.sign_code,
        least_signed=0 if form.has_minus_zero else 1,
    )


def _decode(form: Minifloat) -> str:
    facts = {"name": form.name, "code": TYPES[str(form.code_dtype)], "shift": 23 - form.mantissa_bits}
    if form.least_exponent == -126:
        return _UPPER_HALF.format(**facts)
    special = {
        "ieee": f"size >= {form.infinity_code} ? 0x7F800000 | (mantissa << {facts['shift']}) : result",
        "nan_at_end": f"size == {form.nan_code} ? 0x7FC00000 : result",
        "nan_at_minus_zero": f"code == {form.nan_code} ? 0x7FC00000 : result",
    }[form.specials]
    return _DECODE.format(
        **facts,
        all=form.sign_code - 1,
        fraction=(1 << form.mantissa_bits) - 1,
        mantissa_bits=form.mantissa_bits,
        down=form.mantissa_bits - form.least_exponent,
        up=127 - form.bias,
        special=special,
        sign=form.sign_code,
    )


def forms(
    arrays: Mapping[str, np.dtype], codes: Mapping[str, Codes] = MappingProxyType({})
) -> dict[str, Number | Codes]:
    """How arrays are stored, by name.

    Args:
        arrays: their dtypes.
        codes: those that hold codes.

    Raises:
        ArgumentError: kernels store no such type.
    """
    found: dict[str, Number | Codes] = {name: codes.get(name, Number(dtype.name)) for name, dtype in arrays.items()}
    for form in found.values():
        assert form.kind
    return found
