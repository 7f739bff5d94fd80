"""What single PTX instructions compute, by their whole names: whatever is not here is refused by the interpreter.

Names, operands and rounding are those of "Parallel Thread Execution ISA", version 9.0. Floats are NumPy's, whose operations are
IEEE's, one rounding each; which payload a NaN has is left open there too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

#: the types by the letters behind the last point; untyped bits are unsigned
TYPES: dict[str, Any] = {
    "pred": np.bool_,
    "f32": np.float32,
    "f64": np.float64,
    **{f"{letter}{width}": getattr(np, f"uint{width}") for letter in "ub" for width in (8, 16, 32, 64)},
    **{f"s{width}": getattr(np, f"int{width}") for width in (8, 16, 32, 64)},
}


class Fault(Exception):
    """An instruction that is not known, or that does what no kernel may do."""


class Operation(NamedTuple):
    """One instruction that computes a value.

    Args:
        result: the type of its result.
        operands: the types of its operands.
        function: of arrays of these types, an array of that one.
    """

    result: str
    operands: tuple[str, ...]
    function: Callable[..., Any]


#: comparisons of numbers; of floats they are false where an operand is NaN
_COMPARISONS: dict[str, Any] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


def _unknown(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.isnan(a) | np.isnan(b)


def _float_rows() -> Iterator[tuple[str, Operation]]:
    for kind in ("f32", "f64"):
        pair = (kind, kind)
        for name, function in {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}.items():
            yield f"{name}.rn.{kind}", Operation(kind, pair, function)
        yield f"sqrt.rn.{kind}", Operation(kind, (kind,), np.sqrt)
        yield f"rcp.rn.{kind}", Operation(kind, (kind,), lambda a: a.dtype.type(1) / a)
        yield f"neg.{kind}", Operation(kind, (kind,), np.negative)
        yield f"abs.{kind}", Operation(kind, (kind,), np.abs)
        yield f"copysign.{kind}", Operation(kind, pair, lambda a, b: np.copysign(b, a))
        for name, function in _COMPARISONS.items():
            # NumPy's != alone is true of NaN, where PTX has two: `ne` is false and `neu` true
            yield f"setp.{name}.{kind}", Operation("pred", pair, _ordered(function))
            yield f"setp.{name}u.{kind}", Operation("pred", pair, _or_unknown(function))
        yield f"setp.num.{kind}", Operation("pred", pair, lambda a, b: ~_unknown(a, b))
        yield f"setp.nan.{kind}", Operation("pred", pair, _unknown)
    yield "cvt.f64.f32", Operation("f64", ("f32",), lambda a: a.astype(np.float64))
    yield "cvt.rn.f32.f64", Operation("f32", ("f64",), lambda a: a.astype(np.float32))
    for real in ("f32", "f64"):
        for whole in ("s32", "u32", "s64", "u64"):
            exact = real == "f64" and whole.endswith("32")
            yield f"cvt.rn.{real}.{whole}", Operation(real, (whole,), _as(real))
            if exact:
                yield f"cvt.{real}.{whole}", Operation(real, (whole,), _as(real))
            yield f"cvt.rzi.{whole}.{real}", Operation(whole, (real,), _cut(whole))


def _ordered(function: Any) -> Callable[..., Any]:
    return lambda a, b: function(a, b) & ~_unknown(a, b)


def _or_unknown(function: Any) -> Callable[..., Any]:
    return lambda a, b: function(a, b) | _unknown(a, b)


def _as(kind: str) -> Callable[..., Any]:
    return lambda a: a.astype(TYPES[kind])


def _cut(kind: str) -> Callable[..., Any]:
    """Toward zero; NaN to zero, what is beyond the type to its end."""
    facts = np.iinfo(TYPES[kind])

    def cut(a: np.ndarray) -> np.ndarray:
        whole = np.where(np.isnan(a), 0.0, np.trunc(a.astype(np.float64)))
        inside = (whole > float(facts.min)) & (whole < float(facts.max))
        ends = np.where(whole >= float(facts.max), facts.max, facts.min).astype(TYPES[kind])
        return np.where(inside, np.where(inside, whole, 0).astype(TYPES[kind]), ends)

    return cut


def _shifted(kind: str, left: bool) -> Callable[..., Any]:
    """By 32 or 64 bits and more, all are gone; of a negative number signs remain."""
    width = int(kind[1:])

    def shift(a: np.ndarray, by: np.ndarray) -> np.ndarray:
        places = np.minimum(by, width - 1).astype(a.dtype)
        if left:
            return np.where(by >= width, a.dtype.type(0), a << places)
        rest = a >> a.dtype.type(width - 1) if kind[0] == "s" else a.dtype.type(0)
        return np.where(by >= width, rest, a >> places)

    return shift


def _inserted(kind: str) -> Callable[..., Any]:
    """As many of the lowest bits of one number as the last one says, put into another from a place on."""
    shift = _shifted(kind, True)

    def insert(a: np.ndarray, into: np.ndarray, place: np.ndarray, count: np.ndarray) -> np.ndarray:
        place, count = place & np.uint32(255), count & np.uint32(255)
        ones = shift(~shift(np.invert(np.zeros_like(a)), count), place)
        return (into & ~ones) | (shift(a, place) & ones)

    return insert


def _quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Toward zero; what a card gives by zero is not said."""
    if not b.all():
        raise ZeroDivisionError("an integer is divided by zero")
    down = a // b
    return down + ((down * b != a) & ((a < 0) != (b < 0))).astype(a.dtype)


def _integer_rows() -> Iterator[tuple[str, Operation]]:
    for width in (16, 32, 64):
        bits = f"b{width}"
        for name, function in {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}.items():
            yield f"{name}.{bits}", Operation(bits, (bits, bits), function)
        yield f"not.{bits}", Operation(bits, (bits,), np.invert)
        if width > 16:
            yield f"bfi.{bits}", Operation(bits, (bits, bits, "u32", "u32"), _inserted(bits))
        for name in ("eq", "ne"):
            yield f"setp.{name}.{bits}", Operation("pred", (bits, bits), _COMPARISONS[name])
        yield f"shl.{bits}", Operation(bits, (bits, "u32"), _shifted(bits, True))
        for letter in "su":
            kind = f"{letter}{width}"
            pair = (kind, kind)
            for name, function in {"add": np.add, "sub": np.subtract, "mul.lo": np.multiply}.items():
                yield f"{name}.{kind}", Operation(kind, pair, function)
            yield f"div.{kind}", Operation(kind, pair, _quotient)
            yield f"rem.{kind}", Operation(kind, pair, lambda a, b: a - b * _quotient(a, b))
            yield f"min.{kind}", Operation(kind, pair, np.minimum)
            yield f"max.{kind}", Operation(kind, pair, np.maximum)
            yield f"shr.{kind}", Operation(kind, (kind, "u32"), _shifted(kind, False))
            yield f"mad.lo.{kind}", Operation(kind, (*pair, kind), lambda a, b, c: a * b + c)
            for name, function in _COMPARISONS.items():
                yield f"setp.{name}.{kind}", Operation("pred", pair, function)
        yield f"neg.s{width}", Operation(f"s{width}", (f"s{width}",), np.negative)
    for letter, width in [(letter, width) for letter in "su" for width in (16, 32)]:
        narrow, wide = f"{letter}{width}", f"{letter}{2 * width}"
        yield f"mul.wide.{narrow}", Operation(wide, (narrow, narrow), _product(wide))
        yield f"mad.wide.{narrow}", Operation(wide, (narrow, narrow, wide), lambda a, b, c: a.astype(c.dtype) * b + c)


def _product(wide: str) -> Callable[..., Any]:
    return lambda a, b: a.astype(TYPES[wide]) * b.astype(TYPES[wide])


def _other_rows() -> Iterator[tuple[str, Operation]]:
    for name, function in {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}.items():
        yield f"{name}.pred", Operation("pred", ("pred", "pred"), function)
    yield "not.pred", Operation("pred", ("pred",), np.logical_not)
    for kind in ("b16", "b32", "b64", "s16", "s32", "s64", "u16", "u32", "u64", "f32", "f64"):
        yield f"selp.{kind}", Operation(kind, (kind, kind, "pred"), lambda a, b, c: np.where(c, a, b))
        yield f"mov.{kind}", Operation(kind, (kind,), lambda a: a)
    yield "mov.pred", Operation("pred", ("pred",), lambda a: a)
    whole = [f"{letter}{width}" for letter in "su" for width in (8, 16, 32, 64)]
    for to in whole:
        for of in whole:
            yield f"cvt.{to}.{of}", Operation(to, (of,), _as(to))
    yield "cvta.to.global.u64", Operation("u64", ("u64",), lambda a: a)  # one address space stands for all


OPERATIONS: dict[str, Operation] = dict((*_float_rows(), *_integer_rows(), *_other_rows()))
