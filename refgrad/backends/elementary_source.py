"""The elementary functions as lines of a kernel: `refgrad.arithmetic.elementary`, run on values that write themselves down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refgrad.arithmetic import elementary
from refgrad.arithmetic.operations import OPERATIONS

#: from here on every float is whole; added to a smaller positive number and taken away again it rounds that, ties to even
WHOLE = {"float32": 2.0**23, "float64": 2.0**52}
#: as `WHOLE`, for numbers of either sign below 2**51, where the bits of the sum are looked at
TO_INTEGER = 1.5 * 2.0**52


#: the functions whose reduction of a large argument is a branch, which keeps a loop from being vectorized
BRANCHING = frozenset({"sin", "cos"})


def lines(op: str, result: str, operands: list[str], dtype: np.dtype, near: bool = False) -> list[str]:
    """The lines that compute a function of float64 arithmetic and round it to a working dtype.

    ``near`` says that no argument of `BRANCHING` functions is as large as `elementary.FAR`.
    """
    writer = Writer(result, near)
    wide = [writer.new(f"float64({x})") for x in operands]
    value = OPERATIONS[op].in_float64(dtype)(*wide, writer)
    return [*writer.lines, f"{result} = {dtype}({value})"]


def function_name(op: str) -> str:
    """What a kernel calls a function that it defines."""
    return f"elementary_{op}"


def definition(op: str, dtype: np.dtype) -> list[str]:
    """A function of its own, compiled once however often the kernel calls it."""
    operands = ["a", "b"][: OPERATIONS[op].arity]
    body = [*lines(op, "value", operands, dtype), "return value"]
    return ["@function", f"def {function_name(op)}({', '.join(operands)}):", *("    " + line for line in body)]


def rounding(op: str, result: str, x: str, dtype: np.dtype) -> list[str]:
    """The lines of rint, floor and ceil; a result of zero keeps the sign of its argument."""
    kind = str(dtype)
    limit, whole = f"{kind}({WHOLE[kind]!r})", f"{result}_whole"
    found = [f"{whole} = (abs({x}) + {limit}) - {limit}", f"{whole} = -{whole} if {x} < zero else {whole}"]
    if op != "rint":
        test, change = {"floor": (">", "- one"), "ceil": ("<", "+ one")}[op]
        found.append(f"{whole} = {whole} {change} if {whole} {test} {x} else {whole}")
    return [*found, f"{result} = ({whole} if {whole} != zero else {x} * zero) if abs({x}) < {limit} else {x}"]


class Text:
    """A float64 value of a kernel, by the name of the variable that holds it."""

    def __init__(self, name: str, writer: Writer) -> None:
        self.name, self.writer = name, writer

    def __str__(self) -> str:
        return self.name

    def __neg__(self) -> Text:
        return self.writer.new(f"-{self}")

    def __abs__(self) -> Text:
        return self.writer.new(f"abs({self})")


def _binary(sign: str) -> tuple[Callable[..., Text], Callable[..., Text]]:
    def forward(self: Text, other: Any) -> Text:
        return self.writer.new(f"{self} {sign} {shown(other)}")

    def reflected(self: Text, other: Any) -> Text:
        return self.writer.new(f"{shown(other)} {sign} {self}")

    return forward, reflected


for _name, _sign in [("add", "+"), ("sub", "-"), ("mul", "*"), ("truediv", "/"), ("or", "or")]:
    _forward, _reflected = _binary(_sign)
    setattr(Text, f"__{_name}__", _forward)
    setattr(Text, f"__r{_name}__", _reflected)
for _name, _sign in [("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">="), ("eq", "=="), ("ne", "!=")]:
    setattr(Text, f"__{_name}__", _binary(_sign)[0])


def shown(value: Any) -> str:
    """An operand: a variable's name, or a number."""
    if isinstance(value, Text):
        return value.name
    number = float(value)
    if np.isfinite(number):
        return f"({number!r})"
    return "np.nan" if np.isnan(number) else "np.inf" if number > 0 else "(-np.inf)"


class Writer:
    """Collects the lines; it is also the ``ops`` of `elementary`."""

    def __init__(self, prefix: str, near: bool = False) -> None:
        self.prefix, self.near, self.lines = prefix, near, list[str]()
        self._count, self._depth = 0, 0

    def new(self, expression: str) -> Text:
        """A new variable that holds an expression."""
        self._count += 1
        text = Text(f"{self.prefix}_{self._count}", self)
        self._write(f"{text} = {expression}")
        return text

    def _write(self, line: str) -> None:
        self.lines.append("    " * self._depth + line)

    def where(self, condition: Any, yes: Any, no: Any) -> Text:
        """One of two values."""
        return self.new(f"{shown(yes)} if {condition} else {shown(no)}")

    def constant(self, like: Any, value: float) -> Text:
        """A constant."""
        return self.new(shown(value))

    def rint(self, x: Text) -> Text:
        """The nearest integer, ties to even; zero may lose its sign, which no function here looks at."""
        limit = WHOLE["float64"]
        size = self.new(f"(abs({x}) + {limit!r}) - {limit!r}")
        near = self.new(f"-{size} if {x} < 0.0 else {size}")
        return self.new(f"{near} if abs({x}) < {limit!r} else {x}")

    def scale(self, x: Text, k: Text) -> Text:
        """``ldexp`` as two products, of which the first is exact; a NaN in ``k`` counts as zero."""
        bits = self.new(f"np.float64({k} + {TO_INTEGER!r}).view(np.int64) - np.float64({TO_INTEGER!r}).view(np.int64)")
        whole = self.new(f"{bits} if {k} == {k} else int64(0)")
        half = self.new(f"{whole} >> 1")
        first = self.new(f"{x} * np.int64(({half} + 1023) << 52).view(np.float64)")
        return self.new(f"{first} * np.int64(({whole} - {half} + 1023) << 52).view(np.float64)")

    def split(self, x: Text) -> tuple[Text, Text]:
        """Mantissa and exponent of a positive normal number."""
        bits = self.new(f"np.float64({x}).view(np.int64)")
        mantissa = self.new(f"np.int64(({bits} & {0xFFFFFFFFFFFFF}) | {1023 << 52}).view(np.float64)")
        return mantissa, self.new(f"float64(({bits} >> 52) - 1023)")

    def accumulate(self, parts: tuple[float, ...], state: tuple[Any, ...], body: Callable[..., tuple[Any, ...]]) -> Any:
        """A loop over constants."""
        held = [self.new(shown(value)) for value in state]
        part = self.new("0.0")
        self._write(f"for {part} in ({', '.join(map(repr, parts))},):")
        self._depth += 1
        for variable, value in zip(held, body(part, *held), strict=True):
            self._write(f"{variable} = {shown(value)}")
        self._depth -= 1
        return tuple(held)

    def far(self, x: Text, near: tuple[Any, ...], compute: Callable[..., tuple[Any, ...]]) -> tuple[Any, ...]:
        """A branch for arguments that are not small, if there may be any."""
        if self.near:
            return near
        held = [self.new(shown(value)) for value in near]
        self._write(f"if not (abs({x}) < {elementary.FAR!r}):")
        self._depth += 1
        for variable, value in zip(held, compute(x, self), strict=True):
            self._write(f"{variable} = {shown(value)}")
        self._depth -= 1
        return tuple(held)
