"""Step functions in kernels: rounding to an integer, to a small format, to the nearest of few values, to a shared power of two.

What they compute has the bits that the records of `refgrad.arithmetic.steps` give; NaN stays NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.arithmetic.graph import Graph
from refgrad.arithmetic.minifloats import MINIFLOATS
from refgrad.arithmetic.operations.op import Writer
from refgrad.arithmetic.steps import (
    Exponent,
    FormatCodes,
    Integer,
    Nearest,
    NearestCode,
    Ranks,
    SharedScale,
    TableCodes,
    ToFormat,
    WholeCodes,
)
from refgrad.backends import table_search

#: of each working dtype: the integer of its width, the bits of its exponent, and those of its significand after the point
_LAYOUT: Mapping[str, tuple[str, int, int]] = {
    "float32": ("int32", 0x7F800000, 23),
    "float64": ("int64", 0x7FF0000000000000, 52),
}


def supports(graph: Graph) -> bool:
    """True if every step function in a graph has lines here."""
    return all(writes(n.attribute) for n in graph.nodes if n.op == "step")


def writes(record: Any) -> bool:
    """True if a step function has lines here.

    Args:
        record: the function.
    """
    return _writer(record) is not None


@dataclass(frozen=True)
class Kept:
    """How codes are stored in an integer type and read from it, by the record that says what they are."""

    record: WholeCodes | FormatCodes | TableCodes

    @property
    def kind(self) -> str:
        """The type."""
        return self.record.kind

    def store(self, w: Writer, target: str, x: str) -> None:
        """What stores ``x``; a code of a format is that of a float32."""
        assert not isinstance(self.record, TableCodes), "codes of a table are read alone"
        known = f"{x} == {x}"
        if isinstance(self.record, WholeCodes):
            scaled = x if self.record.unit == 1 else f"{x} * {w.number(1 / self.record.unit)}"
            w.do(f"{target} = {w.cast(self.kind, w.select(known, scaled, w.number(self.record.nan)))}")
            return
        form = MINIFLOATS[self.record.format]
        bias, shift = (126 + form.least_exponent) << form.mantissa_bits, 23 - form.mantissa_bits
        bits, code, size = f"{x}_bits", f"{x}_code", w.call("abs", x)
        integer = lambda text: w.cast("int32", text)  # noqa: E731
        units = integer(f"{size} * {w.number(2.0 ** (form.mantissa_bits - form.least_exponent))}")
        w.set(bits, w.bits("float32", x, "int32"), "int32")
        w.set(code, integer(f"(({bits} & {integer(str(0x7FFFFFFF))}) >> {shift}) - {bias}"), "int32")
        w.set(code, w.select(f"{size} < {w.number(2.0**form.least_exponent)}", units, code))
        sign = w.select(f"{bits} < 0", integer(str(form.sign_code)), integer("0"))
        w.set(code, integer(f"{code} | ({sign})"))
        w.do(f"{target} = {w.cast(self.kind, w.select(known, code, integer(str(self.record.nan))))}")

    def load(self, w: Writer, code: str) -> str:
        """What ``code`` stands for."""
        if isinstance(self.record, WholeCodes):
            whole = w.cast(w.kind, code)
            return whole if self.record.unit == 1 else f"{whole} * {w.number(self.record.unit)}"
        place = w.cast("uint8", code) if self.kind == "int8" else code
        return f"{w.table(values_of(self.record))}[{place}]"


@dataclass(frozen=True)
class Rounded:
    """How floats are stored in another float type than the working dtype: rounded once, to nearest.

    Args:
        kind: the type.
    """

    kind: str

    def store(self, w: Writer, target: str, x: str) -> None:
        """What stores ``x``."""
        w.do(f"{target} = {w.cast(self.kind, x)}")

    def load(self, w: Writer, code: str) -> str:
        """The expression of what was stored as ``code``."""
        return w.cast(w.kind, code)


def values_of(record: FormatCodes | TableCodes) -> tuple[float, ...]:
    """The number that each code stands for, in their order."""
    return record.values if isinstance(record, TableCodes) else tuple(MINIFLOATS[record.format].values.tolist())


def write(w: Writer, x: str, record: Any) -> str:
    """The expression that gives the result of a step function of ``x``."""
    writer = _writer(record)
    assert writer is not None, f"no kernel has {record}"
    return writer(w, x, record)


def _writer(record: Any) -> Callable[[Writer, str, Any], str] | None:
    if isinstance(record, Integer):
        return _integer
    if isinstance(record, ToFormat):
        usual = record.mode == "nearest_even" and record.overflow == "saturate" and MINIFLOATS[record.format].zero
        return _format if usual else None
    if isinstance(record, (Nearest, NearestCode, Ranks)):
        return _ranked
    if isinstance(record, SharedScale):
        return _shared_scale
    if isinstance(record, Exponent):
        return _exponent
    return None


def _ranked(w: Writer, x: str, record: Nearest | NearestCode | Ranks) -> str:
    """What is given at the rank of a number among thresholds."""
    dtype = np.dtype(w.kind)
    if isinstance(record, Ranks):
        return table_search.ranked(w, x, record.thresholds(dtype), record.numbers, None)
    nearest, given = (record, record.values) if isinstance(record, Nearest) else (record.nearest, record.numbers)
    return table_search.ranked(w, x, nearest.thresholds(dtype), given, given[nearest.zero])


def _integer(w: Writer, x: str, record: Integer) -> str:
    """A multiple of the unit, which is a power of two, then the nearer end where it is beyond one."""
    scaled, whole = f"{w.result}_scaled", f"{w.result}_near"
    w.set(scaled, f"{x} / {w.number(record.unit)}" if record.unit != 1 else x)
    if record.ties == "even":
        w.set(whole, w.whole("rint", scaled, whole))
    elif record.ties == "up":
        cut = f"{w.result}_cut"
        w.set(cut, w.whole("floor", scaled, cut))
        w.set(whole, w.select(f"{scaled} - {cut} >= {w.number(0.5)}", f"{cut} + one", cut))
    else:
        cut, size = f"{w.result}_cut", w.call("abs", scaled)
        w.set(cut, w.whole("floor", size, cut))
        w.set(cut, w.select(f"{size} - {cut} >= {w.number(0.5)}", f"{cut} + one", cut))
        w.set(whole, w.select(f"{scaled} < zero", f"-{cut}", cut))
    for end, sign in ((record.low, "<"), (record.high, ">")):
        if np.isfinite(end):
            w.set(whole, w.select(f"{whole} {sign} {w.number(end)}", w.number(end), whole))
    return f"{whole} * {w.number(record.unit)}" if record.unit != 1 else whole


def _format(w: Writer, x: str, record: ToFormat) -> str:
    """Adding and taking away a power of two, with 1.5 in front, rounds to the grid of the number's own exponent.

    What lies beyond the largest number becomes it first, so that the sum cannot overflow.
    """
    form = MINIFLOATS[record.format]
    integer, mask, bits = _LAYOUT[w.kind]
    size, power, large = f"{w.result}_size", f"{w.result}_power", w.number(form.largest)
    w.set(size, w.call("abs", x))
    w.set(size, w.select(f"{size} > {large}", large, size))
    exponent = f"{w.bits(w.kind, size, integer)} & {w.cast(integer, str(mask))}"
    w.set(power, w.bits(integer, exponent, w.kind))
    least = w.number(2.0**form.least_exponent)
    w.set(power, w.select(f"{power} < {least}", least, power))
    w.set(power, f"{power} * {w.number(1.5 * 2.0 ** (bits - form.mantissa_bits))}")
    w.set(size, f"({size} + {power}) - {power}")
    w.set(size, w.select(f"{size} > {large}", large, size))
    return w.call("copysign", size, x)


def _shared_scale(w: Writer, x: str, record: SharedScale) -> str:
    """A power of two by the exponent of a number, and by its significand from 1/2 up to 1."""
    exponent, significand = _split(w, x, record.largest_exponent, 1)
    largest = float(np.finfo(w.kind).max)
    rounds_up = {
        "ceil": f"{significand} > {w.number(0.5)}",
        "even": f"{significand} >= {w.number(1 - 2.0 ** -(record.mantissa_bits + 2))}",
        "rceil": f"{significand} > {w.number(float(np.frexp(record.largest)[0]))}",
    }.get(record.rule)
    if rounds_up is not None:
        w.set(exponent, w.select(rounds_up, f"{exponent} + 1", exponent), "int64")
    if record.rule == "nearest":
        rounded_down = f"{significand} <= {w.number(record.last_rounded_down(w.kind))}"
        w.set(exponent, w.select(rounded_down, f"{exponent} - 1", exponent), "int64")
    w.set(exponent, w.select(f"{exponent} < -127", "-127", exponent), "int64")
    w.set(exponent, w.select(f"{exponent} > 127", "127", exponent), "int64")
    w.set(exponent, w.select(f"{x} > zero", exponent, "-127"), "int64")
    scale = w.cast(w.kind, w.bits("int64", f"({exponent} + 1023) << 52", "float64"))
    return w.select(f"{w.call('abs', x)} <= {w.number(largest)}", scale, w.cast(w.kind, w.plain(np.nan)))


def _split(w: Writer, x: str, least: int, halvings: int) -> tuple[str, str]:
    """The names of a number's exponent less another one, and of its significand, which is from 1 up to 2 and then halved.

    The number is made normal first; of what is not above zero, or not finite, neither means anything.
    """
    integer, mask, bits = _LAYOUT[w.kind]
    bias, tiny = mask >> bits + 1, 2.0 ** (1 - (mask >> bits + 1))
    named = {name: f"{w.result}_{name}" for name in ("normal", "bits", "exponent", "significand")}
    normal, pattern, exponent, significand = named.values()
    whole = lambda value: w.cast(integer, str(value))  # noqa: E731
    w.set(normal, w.select(f"{x} < {w.number(tiny)}", f"{x} * {w.number(2.0**64)}", x))
    w.set(pattern, w.bits(w.kind, normal, integer), integer)
    w.set(exponent, f"{w.cast('int64', f'{pattern} >> {bits}')} - {bias + least}", "int64")
    w.set(exponent, w.select(f"{x} < {w.number(tiny)}", f"{exponent} - 64", exponent), "int64")
    own = f"({pattern} & {whole((1 << bits) - 1)}) | {whole((bias - halvings) << bits)}"
    w.set(significand, w.bits(integer, own, w.kind))
    return exponent, significand


def _exponent(w: Writer, x: str, record: Exponent) -> str:
    """The exponent, or one more where the significand is not below the boundary."""
    exponent, significand = _split(w, x, 0, 0)
    if record.boundary < 2:
        least = np.dtype(w.kind).type(record.boundary)
        if float(least) < record.boundary:
            least = np.nextafter(least, least + 1)
        more = f"{significand} >= {w.number(float(least))}"
        w.set(exponent, w.select(more, f"{exponent} + 1", exponent), "int64")
    known = w.both(f"{x} > zero", f"{x} <= {w.number(float(np.finfo(w.kind).max))}")
    if record.power:  # the product of two normal powers, so that it may be subnormal, or infinite
        half, given = f"{w.result}_half", f"{w.result}_power"
        w.set(half, f"{exponent} >> 1", "int64")
        powers = [w.bits("int64", f"({k} + 1023) << 52", "float64") for k in (half, f"({exponent} - {half})")]
        w.set(given, w.cast(w.kind, f"{powers[0]} * {powers[1]}"))
        return w.select(known, given, x)
    at_zero = w.select(f"{x} == zero", w.cast(w.kind, w.plain(-np.inf)), x)
    return w.select(known, w.cast(w.kind, exponent), f"({at_zero})")
