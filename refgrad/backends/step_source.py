"""The lines of step functions in kernels: rounding to an integer, to a small format, to the nearest of few values.

What they compute has the bits that the records of `refgrad.arithmetic.steps` give; NaN stays NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.arithmetic.graph import Graph
from refgrad.arithmetic.minifloats import MINIFLOATS
from refgrad.arithmetic.steps import FormatCodes, Integer, Nearest, ToFormat, WholeCodes
from refgrad.backends import elementary_source

#: a table of more values is not written out as comparisons
MOST_VALUES = 16

#: of each working dtype: the integer of its width, the bits of its exponent, and those of its significand after the point
_LAYOUT: Mapping[str, tuple[str, int, int]] = {
    "float32": ("int32", 0x7F800000, 23),
    "float64": ("int64", 0x7FF0000000000000, 52),
}


def supports(graph: Graph) -> bool:
    """Whether every step function of elements in a graph has lines here; those of few numbers are run by NumPy."""
    return all(_writer(n.attribute) is not None for n in graph.nodes if n.op == "step" and n.level == "element")


def lines(record: Any, result: str, x: str, dtype: np.dtype) -> list[str]:
    """The lines that give the result of a step function of ``x``."""
    writer = _writer(record)
    assert writer is not None, f"no kernel has {record}"
    return writer(record, result, x, str(dtype))


@dataclass(frozen=True)
class Kept:
    """How codes are stored in an integer type, by the record that says what they are."""

    record: WholeCodes | FormatCodes

    @property
    def kind(self) -> str:
        """The type."""
        return self.record.kind

    def lines(self, target: str, x: str, dtype: np.dtype) -> list[str]:
        """The lines that store ``x``, a float32."""
        if isinstance(self.record, WholeCodes):
            scaled = x if self.record.unit == 1 else f"{x} * {dtype}({1 / self.record.unit!r})"
            return [f"{target} = {self.kind}({scaled} if {x} == {x} else {dtype}({self.record.nan}))"]
        form = MINIFLOATS[self.record.format]
        bias = (126 + form.least_exponent) << form.mantissa_bits
        bits, code = f"{x}_bits", f"{x}_code"
        small = f"abs({x}) < float32({2.0**form.least_exponent!r})"
        units = f"np.int32(abs({x}) * float32({2.0 ** (form.mantissa_bits - form.least_exponent)!r}))"
        return [
            f"{bits} = np.float32({x}).view(np.int32)",
            f"{code} = np.int32((({bits} & np.int32(0x7FFFFFFF)) >> {23 - form.mantissa_bits}) - {bias})",
            f"{code} = {units} if {small} else {code}",
            f"{code} = np.int32({code} | (np.int32({form.sign_code}) if {bits} < 0 else np.int32(0)))",
            f"{target} = {self.kind}({code} if {x} == {x} else np.int32(0))",
        ]


def _writer(record: Any) -> Callable[[Any, str, str, str], list[str]] | None:
    if isinstance(record, Integer):
        return _integer
    if isinstance(record, ToFormat):
        usual = record.mode == "nearest_even" and record.overflow == "saturate" and MINIFLOATS[record.format].zero
        return _format if usual else None
    if isinstance(record, Nearest):
        return _nearest if len(record.values) <= MOST_VALUES else None
    return None


def _integer(record: Integer, result: str, x: str, kind: str) -> list[str]:
    """A multiple of the unit, which is a power of two, then the nearer end where it is beyond one."""
    scaled, whole = f"{result}_scaled", f"{result}_near"
    found = [f"{scaled} = {x} / {kind}({record.unit!r})" if record.unit != 1 else f"{scaled} = {x}"]
    if record.ties == "even":
        found += elementary_source.rounding("rint", whole, scaled, np.dtype(kind))
    else:
        cut = f"{result}_cut"
        found += elementary_source.rounding("floor", cut, f"abs({scaled})", np.dtype(kind))
        found.append(f"{cut} = {cut} + one if abs({scaled}) - {cut} >= {kind}(0.5) else {cut}")
        found.append(f"{whole} = -{cut} if {scaled} < zero else {cut}")
    for end, sign in ((record.low, "<"), (record.high, ">")):
        if np.isfinite(end):
            found.append(f"{whole} = {kind}({end!r}) if {whole} {sign} {kind}({end!r}) else {whole}")
    return [*found, f"{result} = {whole} * {kind}({record.unit!r})" if record.unit != 1 else f"{result} = {whole}"]


def _format(record: ToFormat, result: str, x: str, kind: str) -> list[str]:
    """Adding and taking away a power of two, with 1.5 in front, rounds to the grid of the number's own exponent.

    What lies beyond the largest number becomes it first, so that the sum cannot overflow.
    """
    form = MINIFLOATS[record.format]
    integer, mask, bits = _LAYOUT[kind]
    size, power, large = f"{result}_size", f"{result}_power", f"{kind}({form.largest!r})"
    return [
        f"{size} = abs({x})",
        f"{size} = {large} if {size} > {large} else {size}",
        f"{power} = np.{integer}(np.{kind}({size}).view(np.{integer}) & np.{integer}({mask})).view(np.{kind})",
        f"{power} = {kind}({2.0**form.least_exponent!r}) if {power} < {kind}({2.0**form.least_exponent!r}) else {power}",
        f"{power} = {power} * {kind}({1.5 * 2.0 ** (bits - form.mantissa_bits)!r})",
        f"{size} = ({size} + {power}) - {power}",
        f"{size} = {large} if {size} > {large} else {size}",
        f"{result} = np.copysign({size}, {x})",
    ]


def _nearest(record: Nearest, result: str, x: str, kind: str) -> list[str]:
    """The value of the last threshold that lies below."""
    thresholds = [float(t) for t in record.thresholds(np.dtype(kind))]
    found = [f"{result} = {kind}({record.values[0]!r})"]
    for threshold, value in zip(thresholds, record.values[1:], strict=True):
        found.append(f"{result} = {kind}({value!r}) if {x} > {kind}({threshold!r}) else {result}")
    zero = record.values[record.zero]
    return [*found, f"{result} = {kind}({zero!r}) if {x} != {x} else {result}"]
