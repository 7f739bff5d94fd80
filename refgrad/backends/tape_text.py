"""A tape as one text that stands by itself: its passes, and a driver that calls them on arrays of the lengths it was made for."""

from __future__ import annotations

import keyword
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from refgrad.arithmetic.tape import FLOATS, WHOLE, Packed
from refgrad.backends import c_dialect, tape_words
from refgrad.backends.c_dialect import TYPES
from refgrad.backends.cuda.dialect import DIALECT as CUDA
from refgrad.backends.cuda.dialect import HEAD as CUDA_HEAD
from refgrad.backends.dialect import Dialect
from refgrad.backends.driver_source import IMPORTS
from refgrad.backends.tape_source import Pass, Printer
from refgrad.backends.whole_source import BARE_C, ON_ARRAYS, RESERVED, comment

DIALECTS: Mapping[str, Dialect] = {"c": BARE_C, "numba": ON_ARRAYS, "cuda": CUDA}
#: words that passes have
OWN = frozenset(
    {*RESERVED, FLOATS, WHOLE, "zero", "one", "held", "full", "terms", "blocks", "order", "other", "k", "total"}
)
OWN |= {"label", "column", "best", "place", "next"}
#: threads of a block, in the launches that heads say
THREADS = 256


@dataclass(frozen=True)
class Given:
    """An array of a driver.

    Args:
        name: what it is called.
        memory: where its numbers go, or come from.
        start: the first of their places.
        shape: its lengths.
    """

    name: str
    memory: str
    start: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


def free_name(word: str) -> str:
    """A name that no language has a meaning for."""
    found = "".join(c if c.isalnum() and c.isascii() else "_" for c in word)
    found = found if found.isidentifier() else f"v_{found}"
    return f"{found}_" if found in OWN or keyword.iskeyword(found) else found


def text(tape: Packed, name: str, title: Sequence[str], language: str) -> str:
    """The text.

    Args:
        tape: the steps; each result is a stretch of its own.
        name: what the driver is called.
        title: what stands first in its head.
        language: "c", "numba" or "cuda".
    """
    dialect = DIALECTS[language]
    printer = Printer(tape, name, dialect)
    body = [*printer.text(), *_constants(tape, name, dialect)]
    inputs, results = given(tape)
    passes = [f"{p.name}: {p.times} times, {p.said}" for p in printer.passes]
    lines = [*title, "", *_said(tape, inputs, results), "", *passes, ""]
    kind = str(tape.working)
    if language == "numba":
        driver = _in_python(tape, name, printer.passes, inputs, results)
        return "\n".join([*(f"# {line}".rstrip() for line in lines), *IMPORTS, *body, *driver, ""])
    if language == "c":
        begun = c_dialect.HEAD.replace("#include <string.h>", "#include <stdlib.h>\n#include <string.h>")
        driver = _in_c(tape, name, printer.passes, inputs, results, TYPES[kind])
        return "\n".join([*comment([*lines, *_USE_OF_C]), begun, *body, *driver, c_dialect.TAIL])
    launches = [_launch(f"{name}_constants", 1), *(_launch(p.name, p.times) for p in printer.passes)]
    lines += [
        "Both lie on the device. Launch in this order:",
        "",
        *(f"  {line}" for line in launches),
        "",
        *_USE_OF_CUDA,
    ]
    begun = CUDA_HEAD.replace("#endif", "#else\n#include <stdint.h>\n#endif", 1)
    return "\n".join([*comment(lines), begun, *body, ""])


_USE_OF_C = (
    "The driver gives 0, or 1 where there is no memory. Arrays lie row after row. Compile with -ffp-contract=off and without",
    "-ffast-math: the bits are then refgrad's.",
)
_USE_OF_CUDA = (
    "Any number of blocks is right, and any of threads. Compile without contraction and fast functions (--fmad=false): the bits",
    "are then refgrad's.",
)


def given(tape: Packed) -> tuple[list[Given], list[Given]]:
    """The arrays that a driver is handed, and those that it gives."""
    places = {s.name: s.start for stretches in tape.stretches.values() for s in stretches}
    inputs = [Given(name, memory, places[name], shape) for name, memory, _, shape in tape.inputs]
    results = [
        Given(name, memory, int(p.flat[0]) if p.size else 0, p.shape) for name, (memory, p) in tape.results.items()
    ]
    return inputs, results


def _said(tape: Packed, inputs: Sequence[Given], results: Sequence[Given]) -> list[str]:
    """Where arrays lie in memory."""
    kinds = {FLOATS: str(tape.working), WHOLE: "int64"}
    found = [f"{memory}: {tape.length(memory)} of {kind}" for memory, kind in kinds.items()]
    for arrays, says in ((inputs, "is handed in"), (results, "is given")):
        found += [f"{a.name} of shape {a.shape} {says}: {a.memory}, from {a.start} on" for a in arrays]
    return found


def _constants(tape: Packed, name: str, dialect: Dialect) -> list[str]:
    """The pass that sets the numbers that are known."""
    kind, lines = str(tape.working), list[str]()
    sets = []
    for memory, numbers in tape.constants.items():
        if numbers:
            known = f"{name}_known_{memory}"
            finite = [n if np.isfinite(n) else 0.0 for n in numbers]  # NVRTC has no infinity among constants
            lines.append(tape_words.table(dialect, known, finite, kind if memory == FLOATS else "int64"))
            start = next(s.start for s in tape.stretches[memory] if s.name == f"constants_of_{memory}")
            sets.append((memory, start, len(numbers), known))
    *before, head = tape_words.pass_head(dialect, f"{name}_constants", kind)
    lines += [*before, head]
    for memory, start, count, known in sets:
        lines.append(f"    {dialect.loop('at', '0', str(count))}")
        lines.append(f"        {memory}[{start} + at] = {known}[at]{dialect.end}")
        lines += [f"    {dialect.closing}"] if dialect.closing else []
    for memory, start, _, _ in sets:
        for place, number in enumerate(tape.constants[memory], start):
            if not np.isfinite(number):
                lines.append(f"    {memory}[{place}] = {tape_words.constant(dialect, number, kind)}{dialect.end}")
    if not sets:
        lines.append("    pass" if dialect.name == "numba" else f"    (void){FLOATS}; (void){WHOLE};")
    return [*lines, *([dialect.closing] if dialect.closing else []), *tape_words.BETWEEN[dialect.name]]


def _in_python(
    tape: Packed, name: str, passes: Sequence[Pass], inputs: Sequence[Given], results: Sequence[Given]
) -> list[str]:
    lines = [f"def {name}({', '.join(a.name for a in inputs)}):"]
    lines.append(f"    {FLOATS} = np.zeros({max(tape.length(FLOATS), 1)}, np.{tape.working})")
    lines.append(f"    {WHOLE} = np.zeros({max(tape.length(WHOLE), 1)}, np.int64)")
    for a in inputs:
        lines.append(f"    {a.memory}[{a.start}:{a.start + a.size}] = np.reshape({a.name}, {a.size})")
    lines += [f"    {p}({FLOATS}, {WHOLE})" for p in (f"{name}_constants", *(p.name for p in passes))]
    shaped = [f"{a.memory}[{a.start}:{a.start + a.size}].reshape({a.shape})" for a in results]
    return [*lines, f"    return {', '.join(shaped)}"]


def _in_c(
    tape: Packed, name: str, passes: Sequence[Pass], inputs: Sequence[Given], results: Sequence[Given], kind: str
) -> list[str]:
    of = {FLOATS: kind, WHOLE: "int64_t"}
    taken = [f"const {of[a.memory]} *{a.name}" for a in inputs] + [f"{of[a.memory]} *{a.name}" for a in results]
    lines = [f"int {name}({', '.join(taken)}) {{"]
    for memory, own in of.items():
        lines.append(f"    {own} *{memory} = ({own} *)calloc({max(tape.length(memory), 1)}, sizeof({own}));")
    lines += [f"    if ({FLOATS} == NULL || {WHOLE} == NULL) {{", f"        free({FLOATS});", f"        free({WHOLE});"]
    lines += ["        return 1;", "    }"]
    size = "    memcpy({to}, {of}, {count} * sizeof *{memory});"
    for a in inputs:
        lines.append(size.format(to=f"{a.memory} + {a.start}", of=a.name, count=a.size, memory=a.memory))
    lines += [f"    {p}({FLOATS}, {WHOLE});" for p in (f"{name}_constants", *(p.name for p in passes))]
    for a in results:
        lines.append(size.format(to=a.name, of=f"{a.memory} + {a.start}", count=a.size, memory=a.memory))
    return [*lines, f"    free({FLOATS});", f"    free({WHOLE});", "    return 0;", "}"]


def _launch(name: str, count: int) -> str:
    return f"{name}<<<{max(-(-count // THREADS), 1)}, {THREADS if count > 1 else 1}>>>({FLOATS}, {WHOLE});"


def arrays_of(tape: Packed, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Arrays as a driver takes them: of the working dtype, or of int64, row after row."""
    kinds = {FLOATS: tape.working, WHOLE: np.dtype(np.int64)}
    return [np.ascontiguousarray(a, kinds[one[1]]) for a, one in zip(arrays, tape.inputs, strict=True)]
