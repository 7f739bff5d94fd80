"""A plan's kernels as one text that compiles as it stands: functions once, kernels by the names of passes, and a driver.

Kernels are those that refgrad runs, printed in the same dialects; arrays have a rule's names for them, and a head says which pass
reads and writes what. The driver calls the passes in their order, with the arrays that lie between them.
"""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from refgrad.arithmetic.scalar_math import Expr, python_source
from refgrad.backends import c_dialect, driver_source
from refgrad.backends.c_dialect import SYMBOL, C
from refgrad.backends.dialect import Array, Dialect, Numba
from refgrad.backends.launches import Call, Copy, Room, Step, reads_and_writes, steps
from refgrad.backends.outline import Outline
from refgrad.backends.program import program_of
from refgrad.errors import ArgumentError
from refgrad.tracing import Plan

_WORD = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_WORDS = """
alignas alignof and asm auto bitand bitor bool break case catch char class const constexpr continue decltype default delete do
double dynamic_cast else enum explicit export extern false float for friend goto if inline int long mutable namespace new noexcept
not nullptr operator or private protected public register reinterpret_cast restrict return short signed sizeof static
static_assert
static_cast struct switch template this throw true try typedef typeid typename union unsigned using virtual void volatile wchar_t
while xor
buffer malloc free memcpy fmod pow exp log sqrt tanh math np njit
function rows row_length n at room float32 float64 int32 int64 uint8
NAN INFINITY NULL main size_t int64_t
"""
#: words that no array is called: C's and C++'s own, and those of drivers
RESERVED = frozenset(_WORDS.split())
NOT_PRINTED = "has operations on matrices, or on whole rows, which are other programs"


class BareC(C):
    """C, of which lines alone are asked: the head stands once."""

    def file(self, lines: Sequence[str], kinds: Sequence[str]) -> str:
        """The lines as they are."""
        return "\n".join([*lines, ""])


class OnArrays(Numba):
    """Numba's Python whose kernels are handed arrays, and not addresses."""

    def kernel(self, integers: Sequence[str], arrays: Sequence[Array], scalars: Sequence[str]) -> tuple[str, list[str]]:
        """What begins a kernel."""
        return f"def {SYMBOL}({', '.join([*integers, *(a.name for a in arrays), *scalars])}):", []

    def local(self, name: str, kind: str, length: int) -> str:
        """An array of a kernel's own."""
        return f"{name} = np.empty({length}, np.{kind})"


BARE_C, ON_ARRAYS = BareC(), OnArrays()
#: dialects whose texts are put together, by language
DIALECTS: Mapping[str, Dialect] = {"c": BARE_C, "numba": ON_ARRAYS}


#: what heads say of how a text is used
USES: Mapping[str, tuple[str, ...]] = {
    "c": (
        "DRIVER() calls them in this order, in one thread; it gives 0, or 1 where there is no memory. All lengths are 1 or more.",
        "Arrays lie row after row. Compile with -ffp-contract=off and without -ffast-math: the bits are then refgrad's.",
    ),
    "numba": (
        "DRIVER() calls them in this order, in one thread, and gives what is no argument. All lengths are 1 or more.",
        "Arrays are C-contiguous. The bits are refgrad's.",
    ),
}


#: what stands between functions
BETWEEN: Mapping[str, tuple[str, ...]] = {"c": ("",), "numba": ("", ""), "cuda": ("",)}


def text(plan: Plan, dtype: np.dtype, outline: Outline, language: str) -> str:
    """The text of a plan's kernels with a driver.

    Args:
        plan: the plan.
        dtype: the working dtype.
        outline: what is said of its arrays.
        language: "c" or "numba".

    Raises:
        ArgumentError: the plan's graph has an operation on matrices, or a step function, which no such text has.
    """
    program = program_of(plan, dtype, dialect=DIALECTS[language])
    if program.loop is None and not program.passes:
        raise ArgumentError(f"{outline.name} has no kernel that can be printed: it {NOT_PRINTED}")
    found = with_places(steps(program, outline.name), outline)
    if plan.rule.scalars != "float64":
        found, outline = handed_scalars(found, plan, outline)
    named = Names(found, outline)
    calls = [step for step in found if isinstance(step, Call)]
    head = [outline.title, *outline.notes, "", *reads_and_writes(calls, named.arrays), ""]
    head += [line.replace("DRIVER", outline.name) for line in USES[language]]
    numbers = values_of(plan)
    makes = driver_source.CDriver if language == "c" else driver_source.NumbaDriver
    driver = makes(dtype, outline, named.arrays, numbers).lines(found, program.plan.graph.inputs())
    body = gathered(calls, named, language)
    if language == "c":
        begun = c_dialect.HEAD.replace("#include <string.h>", "#include <stdlib.h>\n#include <string.h>")
        return "\n".join([*comment(head), begun, *body, *driver, c_dialect.TAIL])
    return "\n".join([*(f"# {line}".rstrip() for line in head), *driver_source.IMPORTS, *body, *driver, ""])


def handed_scalars(found: Sequence[Step], plan: Plan, outline: Outline) -> tuple[list[Step], Outline]:
    """A driver that is handed scalars: they are computed in another arithmetic than its own."""
    every = list(dict.fromkeys(plan.graph.scalars()))
    words = {expr: f"scalar_{i}" for i, expr in enumerate(every) if expr.op != "const"}
    names = {expr: Expr("name", (word,)) for expr, word in words.items()}
    notes = [f"{word} is {python_source(expr)}, each operation in {plan.rule.scalars}" for expr, word in words.items()]
    made = [s._replace(scalars=tuple(names.get(e, e) for e in s.scalars)) if isinstance(s, Call) else s for s in found]
    return made, replace(outline, numbers=tuple(words.values()), notes=(*outline.notes, *notes))


def comment(lines: Iterable[str]) -> list[str]:
    """Lines that are not run, in C."""
    first, *rest = lines
    return [f"/* {first}".rstrip(), *(f"   {line}".rstrip() for line in rest), "*/"]


def with_places(found: Sequence[Step], outline: Outline) -> list[Step]:
    """What a driver does, with room for the places along axes that it makes."""
    return [*(Room(f"{name}_", axis) for name, axis in outline.places.items()), *found]


class Names:
    """What arrays, axes and numbers are called in the text: as the rule calls them, where no kernel has the word.

    Args:
        found: what the driver does.
        outline: what is said of the arrays.
    """

    def __init__(self, found: Sequence[Step], outline: Outline) -> None:
        self._taken = {word for step in found if isinstance(step, Call) for word in _words_of(step)} | RESERVED
        #: of each name of an axis, a number, or an array of a driver, the text's
        self.arrays: dict[str, str] = {}
        own = ("rows", "row_length") if outline.rows == ("rows",) else ()
        for word in (*outline.lengths, *outline.numbers):
            self.arrays[word] = word if word in own else self._free(word)
        rooms = [step.name for step in found if isinstance(step, Room)]
        copied = [step.to for step in found if isinstance(step, Copy)]
        driver = [name for step in found if isinstance(step, Call) for _, name in step.arrays]
        for name in dict.fromkeys([*(f"{n}_" for n in outline.shapes), *rooms, *copied, *driver]):
            self.arrays[name] = name if name == "buffer" else self._free(name.removesuffix("_"))

    def _free(self, word: str) -> str:
        while word in self._taken or keyword.iskeyword(word):
            word += "_"
        self._taken.add(word)
        return word


def _words_of(call: Call) -> set[str]:
    """The words of a kernel that are not its arrays, and of the functions beside it their names."""
    parts = {_defined(piece): piece for piece in pieces(call.source.text)}
    return {*_WORD.findall(parts[SYMBOL])} - {kernel for kernel, _ in call.arrays} | {name for name in parts if name}


def renamed(source: str, words: Mapping[str, str]) -> str:
    """A text in which some words are others."""
    return _WORD.sub(lambda found: words.get(found[0], found[0]), source)


def gathered(calls: Sequence[Call], named: Names, language: str) -> list[str]:
    """The lines of all kernels: functions and tables once, each kernel by its name.

    Args:
        calls: the calls of the kernels.
        named: what the text calls arrays.
        language: "c", in which arrays that are only read are said to be constant, "numba" or "cuda".
    """
    lines, known = list[str](), dict[str, str]()
    for call in calls:
        words = {kernel: named.arrays[driver] for kernel, driver in call.arrays}
        words |= {word: f"{call.name}_{word}" for word in set(re.findall(r"\btable\d+\b", call.source.text))}
        words[SYMBOL] = call.name
        for piece in pieces(renamed(call.source.text, words)):
            name = _defined(piece)
            if name is None or known.get(name) == piece:
                continue  # the head says what comments of kernels do
            assert name not in known, f"two functions are called {name}"
            known[name] = piece
            lines += [_kernel(piece, call, named, language) if name == call.name else piece, *BETWEEN[language]]
    return lines


def _kernel(piece: str, call: Call, named: Names, language: str) -> str:
    """A kernel as the text has it: compiled by Numba, or with constant arrays."""
    piece = without_unused(piece)
    if language == "numba":
        return f"@function\n{piece}"
    first, _, rest = piece.partition("\n")
    for array in (named.arrays[a] for a in call.reads if a not in call.writes):
        first = re.sub(rf"(\w+) \*{array}\b", rf"const \1 *{array}", first)
    return f"{first}\n{rest}"


_CONSTANTS = (
    (re.compile(r"^( *\w+ )zero = (\S+), one = ([^;]+);$", re.MULTILINE), r"\1zero = \2;\n\1one = \3;"),
    (re.compile(r"^( *)zero, one = (\S+), (\S+)$", re.MULTILINE), r"\1zero = \2\n\1one = \3"),
)
_VARIABLE = re.compile(r"^ +(?:\w+ )?(\w+) = [^=].*$")


def without_unused(piece: str) -> str:
    """A kernel without variables that it does not use, which compilers would tell of."""
    lines = _apart(piece).splitlines()
    while True:
        counts = Counter(_WORD.findall("\n".join(lines)))
        kept = [line for line in lines if (found := _VARIABLE.match(line)) is None or counts[found[1]] > 1]
        if len(kept) == len(lines):
            return "\n".join(kept)
        lines = kept


def _apart(piece: str) -> str:
    """A kernel whose two constants are each on a line of its own."""
    for found, said in _CONSTANTS:
        piece = found.sub(said, piece, count=1)
    return piece


def pieces(source: str) -> list[str]:
    """The parts of a text that stand at its margin: comments, tables, functions and kernels."""
    found: list[list[str]] = []
    for line in source.splitlines():
        within = line.startswith((" ", "}")) or (found and found[-1][-1].startswith("@")) or line.startswith("#pragma")
        if line and within:
            found[-1].append(line)
        elif line:
            found.append([line])
    return ["\n".join(lines) for lines in found]


def _defined(piece: str) -> str | None:
    """The name of a function or table that a part of a text defines; None of a comment."""
    first = next((line for line in piece.splitlines() if not line.startswith("@")), "")
    if first.startswith(("/*", "#")):
        return None
    head = first.partition("(")[0] if "{" in first or first.startswith("def ") else first
    found = _WORD.findall(head.partition("[")[0].partition("=")[0])
    return found[-1] if found else None


def values_of(plan: Plan) -> dict[str, float]:
    """The numbers of a plan that its driver is not handed: hyperparameters, by name."""
    return {n: float(v) for n, v in plan.names(dict.fromkeys(plan.free, 0.0)).items() if n not in plan.free}
