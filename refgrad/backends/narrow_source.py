"""Lines of kernels that compute in float64 and see arrays of narrow formats: numbers of codes, and numbers on their grids."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from refgrad.arithmetic.dtypes import format_of
from refgrad.arithmetic.minifloats import MINIFLOATS, Minifloat
from refgrad.backends.writer import Writer

#: of float64: the bits of the significand, and the exponent's bias
_DIGITS, _BIAS = 52, 1023


@cache
def narrow(dtype: np.dtype) -> Minifloat | None:
    """The format of a dtype that kernels read as codes; None of any other, and of formats without sign or zero.

    Args:
        dtype: any.

    >>> narrow(np.dtype(np.float16)).mantissa_bits, narrow(np.dtype(np.float32))
    (10, None)
    """
    found = MINIFLOATS.get(str(dtype))
    return found if found is not None and found.signed and found.zero and dtype.isnative else None


def stored_kind(dtype: np.dtype) -> str:
    """The type by which a kernel sees an array: that of codes, if its format is narrow.

    Args:
        dtype: the array's.

    >>> stored_kind(np.dtype(np.float16)), stored_kind(np.dtype(np.float32))
    ('uint16', 'float32')
    """
    form = narrow(dtype)
    return str(dtype) if form is None else str(form.code_dtype)


def number_of_code(w: Writer, prefix: str, code: str, form: Minifloat) -> str:
    """The number that a code stands for, which float64 holds.

    Args:
        w: where it is written.
        prefix: what the names of its variables begin with.
        code: the code, an unsigned integer.
        form: the format.
    """
    code = w.set(f"{prefix}_code", w.cast("int64", code), "int64")
    size = w.set(f"{prefix}_size", f"{code} & {(1 << form.magnitude_bits) - 1}", "int64")
    bits = w.bits("int64", f"{size} << {_DIGITS - form.mantissa_bits}", "float64")
    value = w.set(f"{prefix}_value", f"{bits} * {w.plain(math.ldexp(1.0, _BIAS - form.bias))}")
    specials = []
    if form.infinity_code is not None:
        specials = [(f"{size} == {form.infinity_code}", math.inf), (f"{size} > {form.infinity_code}", math.nan)]
    elif form.specials == "nan_at_end":
        specials = [(f"{size} == {form.nan_code}", math.nan)]
    elif form.specials == "nan_at_minus_zero":
        specials = [(f"{code} == {form.nan_code}", math.nan)]
    for condition, special in specials:
        w.set(value, f"chosen({condition}, {w.plain(special)}, {value})")
    return f"chosen({code} >= {form.sign_code}, -{value}, {value})"


def on_grid(w: Writer, name: str, value: str, dtype: np.dtype) -> str:
    """A variable with a float64 number rounded to nearest, ties to even, as `refgrad.arithmetic.dtypes.round_to` does it.

    Args:
        w: where it is written.
        name: of the variable, with which those of others begin too.
        value: the number, a variable, of a magnitude no larger than the largest of the format.
        dtype: the format's.
    """
    facts = format_of(dtype)
    drop = _DIGITS + 1 + int(math.log2(facts.unit_roundoff))
    bits = w.set(f"{name}_bits", w.bits("float64", value, "int64"), "int64")
    near = f"({bits} + {(1 << (drop - 1)) - 1} + (({bits} >> {drop}) & 1)) & {-(1 << drop)}"
    near = w.set(f"{name}_near", w.bits("int64", near, "float64"))
    whole = w.plain(
        1.5 * 2.0**_DIGITS * facts.smallest_subnormal
    )  # the units of the sum are those of subnormal numbers
    small = w.set(f"{name}_small", f"({value} + {whole}) - {whole}")
    normal = f"{w.call('abs', value)} >= {w.plain(facts.smallest_normal)}"
    return w.set(name, f"chosen({normal}, {near}, {small})")
