"""The languages that kernels are written in: how each has what they do not have in common.

Arithmetic, comparisons, shifts and indices are written alike in all of them. What a kernel computes is said once, by a `Writer`
(`refgrad.backends.writer`), which asks its dialect for the words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Array(NamedTuple):
    """An array that a kernel is handed, by the address of its first element.

    Args:
        name: what the kernel calls it.
        kind: the type of its elements, such as "float32".
        shape: its lengths, as expressions.
    """

    name: str
    kind: str
    shape: tuple[str, ...]


class Dialect(Protocol):
    """One language. Types are NumPy's names: "float32", "float64", "int64", "uint8", "bool"."""

    #: its name
    name: str
    #: what ends a statement, and the line that ends a block, if there is one
    end: str
    closing: str

    def comment(self, text: str) -> str:
        """A line that is not run."""

    def select(self, condition: str, yes: str, no: str) -> str:
        """One of two values."""

    def both(self, a: str, b: str) -> str:
        """True where two conditions are."""

    def either(self, a: str, b: str) -> str:
        """True where one of two conditions is."""

    def negation(self, a: str) -> str:
        """True where a condition is not."""

    def call(self, function: str, kind: str, *args: str) -> str:
        """A function of numbers of a float type that is exact or rounded once: "sqrt", "abs" or "copysign"."""

    def least(self, a: str, b: str) -> str:
        """The smaller of two integers."""

    def quotient(self, a: str, b: str) -> str:
        """The whole quotient of two integers that are not negative."""

    def cast(self, kind: str, x: str) -> str:
        """A value as another type."""

    def bits(self, kind: str, x: str, as_kind: str) -> str:
        """The bits of a value of one type as one of another type, which is as wide."""

    def number(self, value: float, kind: str | None = None) -> str:
        """A constant: of a type, or a float64 that stands among others."""

    def table(self, name: str, values: Sequence[float], kind: str) -> str:
        """The line that makes a table of constants, outside of all functions."""

    def local(self, name: str, kind: str, length: int) -> str:
        """The line that makes an array of a kernel's own, whose numbers are not set, of a constant length."""

    def index(self, place: str) -> str:
        """A place, which is not negative, as an index."""

    def at(self, array: str, indices: Sequence[str], width: int) -> str:
        """An element of an array; a second index is below the width."""

    def declared(self, names: Sequence[str], values: Sequence[str], kind: str) -> str:
        """The statement that gives new variables their first values."""

    def assigned(self, name: str, value: str) -> str:
        """The statement that gives a variable another value."""

    def loop(self, name: str, start: str, stop: str, step: int | str = 1) -> str:
        """What begins a loop over integers."""

    def loop_over(self, name: str, values: Sequence[float]) -> tuple[list[str], str, list[str]]:
        """A loop over float64 constants: lines before it, what begins it, and lines that come first in it."""

    def repeat(self, condition: str) -> str:
        """What begins a loop that runs while something holds."""

    def when(self, condition: str) -> str:
        """What begins a branch."""

    def otherwise(self) -> str:
        """What begins the other branch."""

    def function(self, name: str, parameters: Sequence[str], kind: str) -> list[str]:
        """What begins a function of numbers of a type that gives such a number."""

    def gives(self, value: str) -> str:
        """The statement that ends a function with its result."""

    def kernel(self, integers: Sequence[str], arrays: Sequence[Array], scalars: Sequence[str]) -> tuple[str, list[str]]:
        """What begins a kernel, and the lines that come first in it: it is called with integers, addresses, and float64."""

    def file(self, lines: Sequence[str], kinds: Sequence[str]) -> str:
        """The text of a file that holds a kernel, whose parameters are of these kinds: "integer", "address" or "scalar"."""


def address(name: str) -> str:
    """What a kernel calls the address of what it calls ``name``."""
    return f"{name}_at"


class Numba:
    """Python, as Numba compiles it."""

    name, end, closing = "numba", "", ""

    def comment(self, text: str) -> str:
        """A line that is not run."""
        return f"# {text}"

    def select(self, condition: str, yes: str, no: str) -> str:
        """One of two values."""
        return f"{yes} if {condition} else {no}"

    def both(self, a: str, b: str) -> str:
        """True where two conditions are."""
        return f"{a} and {b}"

    def either(self, a: str, b: str) -> str:
        """True where one of two conditions is."""
        return f"{a} or {b}"

    def negation(self, a: str) -> str:
        """True where a condition is not."""
        return f"not {a}"

    def call(self, function: str, kind: str, *args: str) -> str:
        """A function of numbers; `abs` is Python's own."""
        return f"{'' if function == 'abs' else 'np.'}{function}({', '.join(args)})"

    def least(self, a: str, b: str) -> str:
        """The smaller of two integers."""
        return f"min({a}, {b})"

    def quotient(self, a: str, b: str) -> str:
        """The whole quotient of two integers."""
        return f"{a} // {b}"

    def cast(self, kind: str, x: str) -> str:
        """A value as another type."""
        return f"{kind}({x})"

    def bits(self, kind: str, x: str, as_kind: str) -> str:
        """The bits of a value as one of another type."""
        return f"np.{kind}({x}).view(np.{as_kind})"

    def number(self, value: float, kind: str | None = None) -> str:
        """A constant."""
        if kind is not None:
            return f"{kind}({value!r})"
        if value != value:
            return "np.nan"
        return repr(value) if abs(value) != float("inf") else "np.inf" if value > 0 else "(-np.inf)"

    def table(self, name: str, values: Sequence[float], kind: str) -> str:
        """A global array, which Numba takes for constant."""
        return f"{name} = np.array([{', '.join(self.number(v) for v in values)}], np.{kind})"

    def local(self, name: str, kind: str, length: int) -> str:
        """An array on the stack, of which compilers know that nothing else is stored there."""
        return f"{name} = carray(local_{kind}({length}), ({length},))"

    def index(self, place: str) -> str:
        """A place as an index: without a sign, so that loops over it are vectorized; Numba counts negative ones from the end."""
        return f"np.uint64({place})"

    def at(self, array: str, indices: Sequence[str], width: int) -> str:
        """An element of an array."""
        return f"{array}[{', '.join(indices)}]"

    def declared(self, names: Sequence[str], values: Sequence[str], kind: str) -> str:
        """Variables need no declaration."""
        return f"{', '.join(names)} = {', '.join(values)}"

    def assigned(self, name: str, value: str) -> str:
        """A variable's other value."""
        return f"{name} = {value}"

    def loop(self, name: str, start: str, stop: str, step: int | str = 1) -> str:
        """What begins a loop over integers."""
        if step != 1:
            return f"for {name} in range({start}, {stop}, {step}):"
        return f"for {name} in range({stop if start == '0' and stop.isidentifier() else f'{start}, {stop}'}):"

    def loop_over(self, name: str, values: Sequence[float]) -> tuple[list[str], str, list[str]]:
        """A loop over constants."""
        return [], f"for {name} in ({', '.join(map(repr, values))},):", []

    def repeat(self, condition: str) -> str:
        """What begins a loop that runs while something holds."""
        return f"while {condition}:"

    def when(self, condition: str) -> str:
        """What begins a branch."""
        return f"if {condition}:"

    def otherwise(self) -> str:
        """What begins the other branch."""
        return "else:"

    def function(self, name: str, parameters: Sequence[str], kind: str) -> list[str]:
        """What begins a function."""
        return ["@function", f"def {name}({', '.join(parameters)}):"]

    def gives(self, value: str) -> str:
        """What a function gives."""
        return f"return {value}"

    def kernel(self, integers: Sequence[str], arrays: Sequence[Array], scalars: Sequence[str]) -> tuple[str, list[str]]:
        """What begins a kernel: addresses become arrays."""
        names = [*integers, *(address(a.name) for a in arrays), *scalars]
        shapes = [", ".join(a.shape) + ("," if len(a.shape) == 1 else "") for a in arrays]
        first = [f"{a.name} = carray({address(a.name)}, ({shape}))" for a, shape in zip(arrays, shapes, strict=True)]
        return f"def kernel({', '.join(names)}):", first

    def file(self, lines: Sequence[str], kinds: Sequence[str]) -> str:
        """The lines as they are."""
        return "\n".join([*lines, ""])


NUMBA = Numba()
