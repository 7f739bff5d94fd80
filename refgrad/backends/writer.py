"""Writes a kernel down in a dialect: lines, blocks, and variables, each of which is declared where it is first set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from refgrad.arithmetic import elementary
from refgrad.backends import step_source
from refgrad.backends.dialect import NUMBA, Array, Dialect

#: from here on every float is whole; added to a smaller positive number and taken away again it rounds that, ties to even
WHOLE = {"float32": 2.0**23, "float64": 2.0**52}
#: as `WHOLE`, for numbers of either sign below 2**51, where the bits of the sum are looked at
TO_INTEGER = 1.5 * 2.0**52


class Writer:
    """Collects the lines of one kernel; it is also the ``ops`` of `refgrad.arithmetic.elementary`.

    Args:
        dtype: the working dtype.
        dialect: the language.
    """

    def __init__(self, dtype: np.dtype, dialect: Dialect = NUMBA) -> None:
        self.kind, self.dialect = str(dtype), dialect
        self.lines: list[str] = []
        #: what the operation that is being written calls its result: the names of its other variables begin so
        self.result = ""
        #: True where no argument is as large as `elementary.FAR`
        self.near = False
        #: tables of constants, by what they hold; they stand before all functions
        self.tables: dict[tuple[tuple[float, ...], str], str] = {}
        #: how arrays are read that are stored in another type, by name
        self.loads: Mapping[str, Callable[[Writer, str], str]] = {}
        self._count, self._scopes = 0, [set[str]()]
        self.select, self.both, self.either = dialect.select, dialect.both, dialect.either
        self.negation, self.cast, self.bits, self.index = dialect.negation, dialect.cast, dialect.bits, dialect.index

    # lines and blocks

    def line(self, text: str) -> None:
        """A line as it is."""
        self.lines.append("    " * (len(self._scopes) - 1) + text)

    def do(self, statement: str) -> None:
        """A statement."""
        self.line(statement + self.dialect.end)

    @contextmanager
    def block(self, head: str, first: Sequence[str] = ()) -> Iterator[None]:
        """What stands in a loop, a branch or a function; its variables are its own."""
        self.line(head)
        self._scopes.append(set())
        for line in first:
            self.line(line)
        yield
        self._scopes.pop()
        if self.dialect.closing:
            self.line(self.dialect.closing)

    @contextmanager
    def kernel(self, integers: Sequence[str], arrays: Sequence[Array], scalars: Sequence[str]) -> Iterator[None]:
        """The kernel itself."""
        with self.block(*self.dialect.kernel(integers, arrays, scalars)):
            yield

    def loop(self, name: str, start: str, stop: str, step: int | str = 1) -> Any:
        """A loop over integers."""
        return self.block(self.dialect.loop(name, start, stop, step))

    @contextmanager
    def places(self, start: str, stop: str) -> Iterator[None]:
        """A loop over elements: ``at`` counts them, and ``i`` is the same as an index that cannot be negative."""
        with self.loop("at", start, stop):
            self.set("i", self.dialect.index("at"), "int64")
            yield

    def table(self, values: Sequence[float], kind: str | None = None) -> str:
        """The name of a table of constants, of the working dtype unless another type is said."""
        return self.tables.setdefault((tuple(values), kind or self.kind), f"table{len(self.tables)}")

    def text(self) -> list[str]:
        """All lines, the tables behind the first one, which says what the kernel is."""
        tables = [self.dialect.table(name, values, kind) for (values, kind), name in self.tables.items()]
        return [*self.lines[:1], *tables, *self.lines[1:]]

    # variables

    def set(self, name: str, value: str, kind: str | None = None) -> str:
        """A variable with a value; of the working dtype unless another type is said."""
        if any(name in scope for scope in self._scopes):
            self.line(self.dialect.assigned(name, value))
        else:
            self._scopes[-1].add(name)
            self.line(self.dialect.declared([name], [value], kind or self.kind))
        return name

    def declare(self, names: Sequence[str], values: Sequence[str], kind: str | None = None) -> None:
        """Several new variables of one type."""
        self._scopes[-1].update(names)
        self.line(self.dialect.declared(names, values, kind or self.kind))

    def new(self, value: str, kind: str = "float64") -> Text:
        """A new variable of the operation that is being written."""
        self._count += 1
        return Text(self.set(f"{self.result}_{self._count}", value, kind), self)

    def begin(self, result: str) -> None:
        """From here on an operation is written that has this result."""
        self.result, self._count = result, 0

    # expressions

    def number(self, value: float, kind: str | None = None) -> str:
        """A constant of the working dtype, or of another type."""
        return self.dialect.number(value, kind or self.kind)

    def plain(self, value: float) -> str:
        """A float64 constant."""
        return self.dialect.number(value)

    def call(self, function: str, *args: str, kind: str | None = None) -> str:
        """A function that every dialect has: "sqrt", "abs" or "copysign"."""
        return self.dialect.call(function, kind or self.kind, *args)

    def whole(self, op: str, x: str, result: str | None = None) -> str:
        """The whole number that "rint", "floor" or "ceil" gives; a result of zero keeps the sign of its argument."""
        name, limit = f"{result or self.result}_whole", self.number(WHOLE[self.kind])
        size = self.call("abs", x)
        self.set(name, f"({size} + {limit}) - {limit}")
        self.set(name, self.select(f"{x} < zero", f"-{name}", name))
        if op != "rint":
            test, change = {"floor": (">", "- one"), "ceil": ("<", "+ one")}[op]
            self.set(name, self.select(f"{name} {test} {x}", f"{name} {change}", name))
        inside = self.select(f"{name} != zero", name, f"{x} * zero")
        return self.select(f"{size} < {limit}", f"({inside})", x)

    def step(self, x: str, record: Any) -> str:
        """What a function of `refgrad.arithmetic.steps` gives."""
        return step_source.write(self, x, record)

    # the operations of `refgrad.arithmetic.elementary`

    def where(self, condition: Any, yes: Any, no: Any) -> Text:
        """One of two values."""
        return self.new(self.select(str(condition), self.shown(yes), self.shown(no)))

    def constant(self, like: Any, value: float) -> Text:
        """A constant."""
        return self.new(self.shown(value))

    def sqrt(self, x: Text) -> Text:
        """The square root."""
        return self.new(self.call("sqrt", str(x), kind="float64"))

    def rint(self, x: Text) -> Text:
        """The nearest integer, ties to even; zero may lose its sign, which no function here looks at."""
        limit, magnitude = self.plain(WHOLE["float64"]), self.call("abs", str(x), kind="float64")
        size = self.new(f"({magnitude} + {limit}) - {limit}")
        near = self.new(self.select(f"{x} < {self.plain(0.0)}", f"-{size}", str(size)))
        return self.new(self.select(f"{magnitude} < {limit}", str(near), str(x)))

    def scale(self, x: Text, k: Text) -> Text:
        """``ldexp`` as two products, of which the first is exact; a NaN in ``k`` counts as zero."""
        middle = self.plain(TO_INTEGER)
        sum_, zero = self.bits("float64", f"{k} + {middle}", "int64"), self.bits("float64", middle, "int64")
        bits = self.new(f"{sum_} - {zero}", "int64")
        whole = self.new(self.select(f"{k} == {k}", str(bits), self.cast("int64", "0")), "int64")
        half = self.new(f"{whole} >> 1", "int64")
        first = self.new(f"{x} * {self.bits('int64', f'({half} + 1023) << 52', 'float64')}")
        return self.new(f"{first} * {self.bits('int64', f'({whole} - {half} + 1023) << 52', 'float64')}")

    def split(self, x: Text) -> tuple[Text, Text]:
        """Mantissa and exponent of a positive normal number."""
        bits = self.new(self.bits("float64", str(x), "int64"), "int64")
        mantissa = self.new(self.bits("int64", f"({bits} & {0xFFFFFFFFFFFFF}) | {1023 << 52}", "float64"))
        return mantissa, self.new(self.cast("float64", f"({bits} >> 52) - 1023"))

    def accumulate(self, parts: tuple[float, ...], state: tuple[Any, ...], body: Callable[..., tuple[Any, ...]]) -> Any:
        """A loop over constants."""
        held = [self.new(self.shown(value)) for value in state]
        part = self.new(self.plain(0.0))
        before, head, first = self.dialect.loop_over(str(part), parts)
        for line in before:
            self.line(line)
        with self.block(head, first):
            self._assign(held, body(part, *held))
        return tuple(held)

    def far(self, x: Text, near: tuple[Any, ...], compute: Callable[..., tuple[Any, ...]]) -> tuple[Any, ...]:
        """A branch for arguments that are not small, if there may be any."""
        if self.near:
            return near
        held = [self.new(self.shown(value)) for value in near]
        small = f"{self.call('abs', str(x), kind='float64')} < {self.plain(elementary.FAR)}"
        with self.block(self.dialect.when(self.negation(f"({small})"))):
            self._assign(held, compute(x, self))
        return tuple(held)

    def _assign(self, held: Sequence[Text], values: Sequence[Any]) -> None:
        for variable, value in zip(held, values, strict=True):
            self.set(str(variable), self.shown(value))

    def shown(self, value: Any) -> str:
        """An operand: a variable's name, or a number."""
        if isinstance(value, Text):
            return value.name
        text = self.plain(float(value))
        return f"({text})" if np.isfinite(value) else text


class Text:
    """A float64 value of a kernel, or a condition, by the name of the variable that holds it."""

    def __init__(self, name: str, writer: Writer) -> None:
        self.name, self.writer = name, writer

    def __str__(self) -> str:
        return self.name

    def __neg__(self) -> Text:
        return self.writer.new(f"-{self}")

    def __abs__(self) -> Text:
        return self.writer.new(self.writer.call("abs", str(self), kind="float64"))

    def __or__(self, other: Any) -> Text:
        return self.writer.new(self.writer.either(str(self), str(other)), "bool")


def _binary(sign: str, kind: str) -> tuple[Callable[..., Text], Callable[..., Text]]:
    def forward(self: Text, other: Any) -> Text:
        return self.writer.new(f"{self} {sign} {self.writer.shown(other)}", kind)

    def reflected(self: Text, other: Any) -> Text:
        return self.writer.new(f"{self.writer.shown(other)} {sign} {self}", kind)

    return forward, reflected


for _name, _sign in [("add", "+"), ("sub", "-"), ("mul", "*"), ("truediv", "/")]:
    _forward, _reflected = _binary(_sign, "float64")
    setattr(Text, f"__{_name}__", _forward)
    setattr(Text, f"__r{_name}__", _reflected)
for _name, _sign in [("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">="), ("eq", "=="), ("ne", "!=")]:
    setattr(Text, f"__{_name}__", _binary(_sign, "bool")[0])
