"""The dialect C: C99 that is C++ too, to be compiled without contraction (``-ffp-contract=off``)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from refgrad.backends.dialect import Array

#: what C calls each type
TYPES = {
    "float32": "float",
    "float64": "double",
    "bool": "bool",
    **{f"{sign}int{width}": f"{sign}int{width}_t" for sign in ("", "u") for width in (8, 16, 32, 64)},
}
SYMBOL, ENTRY = "refgrad_kernel", "refgrad_entry"

#: what every file begins with; the bits of one type as another are copied, which compilers know to be a move
HEAD = """#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#ifdef __cplusplus
extern "C" {
#endif

static inline int32_t bits_float32_int32(float x) { int32_t y; memcpy(&y, &x, sizeof y); return y; }
static inline float bits_int32_float32(int32_t x) { float y; memcpy(&y, &x, sizeof y); return y; }
static inline int64_t bits_float64_int64(double x) { int64_t y; memcpy(&y, &x, sizeof y); return y; }
static inline double bits_int64_float64(int64_t x) { double y; memcpy(&y, &x, sizeof y); return y; }
"""
TAIL = """
#ifdef __cplusplus
}
#endif
"""
#: how an argument of each kind is read from eight bytes
_READ = {
    "integer": "((const int64_t *)at)[{0}]",
    "address": "((void *const *)at)[{0}]",
    "scalar": "((const double *)at)[{0}]",
}


class C:
    """C, of which each variable has a type."""

    name, end, closing = "c", ";", "}"

    def comment(self, text: str) -> str:
        """A line that is not run."""
        return f"/* {text} */"

    def select(self, condition: str, yes: str, no: str) -> str:
        """One of two values."""
        return f"{condition} ? {yes} : {no}"

    def both(self, a: str, b: str) -> str:
        """True where two conditions are."""
        return f"{a} && {b}"

    def either(self, a: str, b: str) -> str:
        """True where one of two conditions is."""
        return f"{a} || {b}"

    def negation(self, a: str) -> str:
        """True where a condition is not."""
        return f"!{a}"

    def call(self, function: str, kind: str, *args: str) -> str:
        """A function of the C library that is exact, or rounded once."""
        name = "fabs" if function == "abs" else function
        return f"{name}{'f' if kind == 'float32' else ''}({', '.join(args)})"

    def least(self, a: str, b: str) -> str:
        """The smaller of two integers."""
        return f"({a} < {b} ? {a} : {b})"

    def quotient(self, a: str, b: str) -> str:
        """The whole quotient of two integers."""
        return f"{a} / {b}"

    def cast(self, kind: str, x: str) -> str:
        """A value as another type."""
        return f"({TYPES[kind]})({x})"

    def bits(self, kind: str, x: str, as_kind: str) -> str:
        """The bits of a value as one of another type."""
        return f"bits_{kind}_{as_kind}({x})"

    def number(self, value: float, kind: str | None = None) -> str:
        """A constant, as hexadecimal digits, so that no decimal is rounded."""
        if kind is not None and "float" not in kind:
            return f"({TYPES[kind]}){value!r}"
        if value != value:
            return "NAN"
        if math.isinf(value):
            return "INFINITY" if value > 0 else "(-INFINITY)"
        text = float(value).hex()
        return f"({'float' if kind == 'float32' else 'double'}){text}" if kind else text

    def table(self, name: str, values: Sequence[float], kind: str) -> str:
        """An array of constants."""
        return f"static const {TYPES[kind]} {name}[] = {{{', '.join(self.number(v, kind) for v in values)}}};"

    def local(self, name: str, kind: str, length: int) -> str:
        """An array on the stack."""
        return f"{TYPES[kind]} {name}[{length}];"

    def index(self, place: str) -> str:
        """A place as an index."""
        return place

    def at(self, array: str, indices: Sequence[str], width: int) -> str:
        """An element of an array, whose rows follow each other."""
        return f"{array}[{indices[0]}]" if len(indices) == 1 else f"{array}[({indices[0]}) * {width} + ({indices[1]})]"

    def declared(self, names: Sequence[str], values: Sequence[str], kind: str) -> str:
        """Variables of one type."""
        return f"{TYPES[kind]} {', '.join(f'{n} = {v}' for n, v in zip(names, values, strict=True))};"

    def assigned(self, name: str, value: str) -> str:
        """A variable's other value."""
        return f"{name} = {value};"

    def loop(self, name: str, start: str, stop: str, step: int | str = 1) -> str:
        """What begins a loop over integers."""
        return f"for (int64_t {name} = {start}; {name} < {stop}; {name} += {step}) {{"

    def loop_over(self, name: str, values: Sequence[float]) -> tuple[list[str], str, list[str]]:
        """A loop over a table of constants."""
        table = f"static const double {name}_of[] = {{{', '.join(self.number(v) for v in values)}}};"
        return [table], self.loop(f"{name}_at", "0", str(len(values))), [f"{name} = {name}_of[{name}_at];"]

    def repeat(self, condition: str) -> str:
        """What begins a loop that runs while something holds."""
        return f"while ({condition}) {{"

    def when(self, condition: str) -> str:
        """What begins a branch."""
        return f"if ({condition}) {{"

    def otherwise(self) -> str:
        """What begins the other branch."""
        return "else {"

    def function(self, name: str, parameters: Sequence[str], kind: str) -> list[str]:
        """What begins a function."""
        return [f"static {TYPES[kind]} {name}({', '.join(f'{TYPES[kind]} {p}' for p in parameters)}) {{"]

    def gives(self, value: str) -> str:
        """What a function gives."""
        return f"return {value};"

    def kernel(self, integers: Sequence[str], arrays: Sequence[Array], scalars: Sequence[str]) -> tuple[str, list[str]]:
        """What begins a kernel."""
        given = [*(f"int64_t {n}" for n in integers), *(f"{TYPES[a.kind]} *{a.name}" for a in arrays)]
        return f"void {SYMBOL}({', '.join([*given, *(f'double {s}' for s in scalars)])}) {{", []

    def file(self, lines: Sequence[str], kinds: Sequence[str]) -> str:
        """A whole file: the kernel, and an entry that reads its arguments, eight bytes each, from one address."""
        read = ", ".join(self._read(kind, index) for index, kind in enumerate(kinds))
        entry = f"void {ENTRY}(const char *at) {{ {SYMBOL}({read}); }}"
        return "\n".join([HEAD, *lines, "", entry, TAIL])

    @staticmethod
    def _read(kind: str, index: int) -> str:
        """An argument; an address has its element's type in front of a colon."""
        kind, _, element = kind.partition(":")
        text = _READ[kind].format(index)
        return f"({TYPES[element]} *){text}" if element else text


DIALECT = C()
