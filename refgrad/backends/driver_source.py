"""Drivers: the function of a text of kernels that calls them in their order, in C and in Python."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from refgrad.arithmetic import scalar_math
from refgrad.arithmetic.scalar_math import Expr, names_in
from refgrad.backends.c_dialect import DIALECT, TYPES
from refgrad.backends.launches import Call, Copy, Room, Step
from refgrad.backends.outline import Outline

#: what a text of Numba's kernels begins with
IMPORTS = (
    "import math",
    "",
    "import numpy as np",
    "from numba import float32, float64, int32, int64, njit, uint8",
    "",
    'function = njit(error_model="numpy", fastmath=False)',
    "",
    "",
)
#: how C writes what is no infix sign, of operands
_IN_C: Mapping[str, Callable[..., str]] = {
    "neg": lambda a: f"(-{a})",
    "mod": lambda a, b: f"fmod({a}, {b})",
    "pow": lambda a, b: f"pow({a}, {b})",
    "sqrt": lambda a: f"sqrt({a})",
    "exp": lambda a: f"exp({a})",
    "log": lambda a: f"log({a})",
    "tanh": lambda a: f"tanh({a})",
    "max": lambda a, b: f"({b} > {a} ? {b} : {a})",
    "min": lambda a, b: f"({b} < {a} ? {b} : {a})",
}


def in_c(expr: Expr, name: Callable[[str], str]) -> str:
    """A scalar expression in C, in float64.

    Args:
        expr: the expression.
        name: the text of a name.

    >>> in_c(Expr("pow", (Expr("name", ("n",)), Expr("const", (-0.5,)))), lambda n: f"(double){n}")
    'pow((double)n, -0x1.0000000000000p-1)'
    """
    if expr.op == "name":
        return name(expr.args[0])
    if expr.op == "const":
        return DIALECT.number(expr.args[0])
    parts = [in_c(a, name) for a in expr.args]
    if expr.op in _IN_C:
        return _IN_C[expr.op](*parts)
    return scalar_math.python_source(Expr(expr.op, tuple(Expr("name", (part,)) for part in parts)))


class Driver:
    """What drivers of all languages have.

    Args:
        dtype: the working dtype.
        outline: what is said of the arrays.
        named: what the text calls them.
        known: the values of names that the driver is not handed.
    """

    def __init__(self, dtype: np.dtype, outline: Outline, named: Mapping[str, str], known: Mapping[str, float]) -> None:
        self.kind, self.outline, self.named, self.known = str(dtype), outline, named, known

    def product(self, axes: Sequence[str]) -> str:
        """The product of the lengths of axes."""
        return " * ".join(self.named.get(axis, axis) for axis in axes) or "1"

    def folded(self, expr: Expr) -> Expr:
        """An expression in which what is made of known numbers is a number."""
        if expr.op == "const":
            return expr
        if names_in(expr) <= set(self.known):
            return Expr("const", (scalar_math.evaluate(expr, self.known, scalar_math.FLOAT64),))
        return expr if expr.op == "name" else Expr(expr.op, tuple(map(self.folded, expr.args)))

    def number(self, text: str) -> str:
        """A name of a plan as an expression of whole numbers and of what the driver is handed."""
        of_matrix = {"tensor_length": "n", "row_length": "row_length", "column_length": "rows"}
        axis = text.removeprefix("length_of_")
        return of_matrix.get(text) or self.named.get(axis if axis != text else text, text)

    def taken(self, found: Sequence[Step], given: Collection[str]) -> tuple[list[str], list[str], set[str]]:
        """The arrays that are handed in, those that are written, and those that are only read, by the text's names."""
        calls = [step for step in found if isinstance(step, Call)]
        writes = {a for call in calls for a in call.writes} | {step.to for step in found if isinstance(step, Copy)}
        own = {step.name for step in found if isinstance(step, Room)}
        handed = [f"{n}_" for n in self.outline.shapes if f"{n}_" in self.named and f"{n}_" not in own]
        handed += [f"{n}_" for n in given if f"{n}_" not in own and f"{n}_" not in handed]
        handed = [a for a in handed if a in self.named and a not in {f"{n}_" for n in self.outline.results}]
        results = [f"{n}_" for n in self.outline.results]
        return handed, [r for r in results if r not in handed], set(handed) - writes

    def indented(self, lines: Sequence[str]) -> list[str]:
        """Lines of the function's body."""
        return [f"    {line}" for line in lines]


class CDriver(Driver):
    """A driver in C, which gives 0, or 1 where there is no memory for what lies between passes."""

    def lines(self, found: Sequence[Step], given: Collection[str]) -> list[str]:
        """The function.

        Args:
            found: what it does.
            given: the arrays that the plan reads.
        """
        handed, results, only_read = self.taken(found, given)
        kind = TYPES[self.kind]
        arrays = [f"{'const ' if a in only_read else ''}{kind} *{self.named[a]}" for a in (*handed, *results)]
        numbers = [f"int64_t {self.named[a]}" for a in self.outline.lengths]
        numbers += [f"double {self.named[a]}" for a in self.outline.numbers]
        lines = [f"int {self.outline.name}({', '.join([*numbers, *arrays])}) {{"]
        lines += self.indented([*self._lengths(), *self._rooms(found)])
        for name, axis in self.outline.places.items():
            lines.append(f"    for (int64_t at = 0; at < {self.named.get(axis, axis)}; at += 1) {{")
            lines += [f"        {self.named[name + '_']}[at] = ({kind})at;", "    }"]
        for step in found:
            if isinstance(step, Call):
                lines.append(f"    {step.name}({', '.join(self._arguments(step))});")
            elif isinstance(step, Copy):
                lines += self._copy(step, kind)
        if any(isinstance(step, Room) for step in found):
            lines.append("    free(room);")
        return [*lines, "    return 0;", "}"]

    def _lengths(self) -> list[str]:
        rows = [] if self.outline.rows == ("rows",) else [f"rows = {self.product(self.outline.rows)}"]
        length = (
            [] if self.outline.columns == ("row_length",) else [f"row_length = {self.product(self.outline.columns)}"]
        )
        return [f"int64_t {', '.join([*rows, *length, 'n = rows * row_length'])};", "(void)row_length;"]

    def _rooms(self, found: Sequence[Step]) -> list[str]:
        rooms = [step for step in found if isinstance(step, Room)]
        if not rooms:
            return []
        kind, sizes = TYPES[self.kind], [self.named.get(room.length, room.length) for room in rooms]
        lines = [f"{kind} *room = ({kind} *)malloc((size_t)({' + '.join(sizes)}) * sizeof({kind}));"]
        lines += ["if (room == NULL) {", "    return 1;", "}"]
        before = "room"
        for room, size in zip(rooms, sizes, strict=True):
            lines.append(f"{kind} *{self.named[room.name]} = {before};")
            before = f"{self.named[room.name]} + {size}"
        return lines

    def scalar(self, expr: Expr) -> str:
        """A scalar in float64."""
        whole = {*self.outline.numbers}
        return in_c(self.folded(expr), lambda n: self.number(n) if n in whole else f"(double){self.number(n)}")

    def _arguments(self, call: Call) -> list[str]:
        return [*call.integers, *(self.named[a] for _, a in call.arrays), *map(self.scalar, call.scalars)]

    def _copy(self, step: Copy, kind: str) -> list[str]:
        of = f"{self.named[step.of]}[at]" if isinstance(step.of, str) else f"({kind})({self.scalar(step.of)})"
        head = f"    for (int64_t at = 0; at < {step.length}; at += 1) {{"
        return [head, f"        {self.named[step.to]}[at] = {of};", "    }"]


class NumbaDriver(Driver):
    """A driver in Python. It makes the arrays of results, and gives them; arrays that a rule overwrites it overwrites."""

    def lines(self, found: Sequence[Step], given: Collection[str]) -> list[str]:
        """The function.

        Args:
            found: what it does.
            given: the arrays that the plan reads.
        """
        handed, results, only_read = self.taken(found, given)
        read = {self.named[a] for a in only_read}
        parameters = [self.named[a] for a in (*self.outline.lengths, *self.outline.numbers, *handed)]
        lines = [f"def {self.outline.name}({', '.join(parameters)}):"]
        body = [f"rows, row_length = {self.product(self.outline.rows)}, {self.product(self.outline.columns)}"]
        body.append("n = rows * row_length")
        for name in (self.named[a] for a in handed):
            array = f"np.ascontiguousarray({name}, np.{self.kind})" if name in read else name
            body.append(f"{name} = {array}.reshape(-1)")
        for name in results:
            axes = self.outline.shapes[name.removesuffix("_")]
            body.append(f"{self.named[name]} = np.empty({self.product(axes)}, np.{self.kind})")
        for step in found:
            if isinstance(step, Room):
                body += self._room(step)
            elif isinstance(step, Call):
                arguments = [self._whole(x) for x in step.integers]
                arguments += [*(self.named[a] for _, a in step.arrays), *map(self.scalar, step.scalars)]
                body.append(f"{step.name}({', '.join(arguments)})")
            else:
                of = f"{self.named[step.of]}[:{step.length}]" if isinstance(step.of, str) else self.scalar(step.of)
                body.append(f"{self.named[step.to]}[:{step.length}] = {of}")
        shaped = [f"{self.named[n]}.reshape({self._shape(n)})" for n in results]
        return [*lines, *self.indented([*body, *([f"return {', '.join(shaped)}"] if shaped else [])])]

    def _shape(self, name: str) -> str:
        return ", ".join(self.named.get(a, a) for a in self.outline.shapes[name.removesuffix("_")]) or "()"

    def _whole(self, text: str) -> str:
        return text.replace(" / ", " // ")

    def _room(self, room: Room) -> list[str]:
        name, places = self.named[room.name], {f"{n}_" for n in self.outline.places}
        length = self.named.get(room.length, self._whole(room.length))
        if room.name in places:
            return [f"{name} = np.arange({length}).astype(np.{self.kind})"]
        return [f"{name} = np.empty({length}, np.{self.kind})"]

    def scalar(self, expr: Expr) -> str:
        """A scalar in float64."""
        return self._python(self.folded(expr))

    def _python(self, expr: Expr) -> str:
        if expr.op == "name":
            return f"float({self.number(expr.args[0])})"
        if expr.op == "const":
            value = expr.args[0]
            return repr(value) if np.isfinite(value) else f"float({str(value)!r})"
        parts = [self._python(a) for a in expr.args]
        if expr.op in ("sqrt", "exp", "log", "tanh"):
            return f"math.{expr.op}({parts[0]})"
        return scalar_math.python_source(Expr(expr.op, tuple(Expr("name", (part,)) for part in parts)))
