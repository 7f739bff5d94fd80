"""The words of each language for what tapes need beside arithmetic: passes, stretches of memory, folds and sorts of a row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from refgrad.arithmetic.folding import BLOCK
from refgrad.arithmetic.operations import OPERATIONS
from refgrad.arithmetic.tape import FLOATS, WHOLE, Step
from refgrad.backends.c_dialect import TYPES
from refgrad.backends.dialect import Dialect
from refgrad.backends.writer import Writer

#: what stands between functions
BETWEEN: Mapping[str, tuple[str, ...]] = {"c": ("",), "numba": ("", ""), "cuda": ("",)}
#: what stands before a function that passes call
_OWN: Mapping[str, str] = {"c": "static ", "cuda": "static __device__ "}
#: how two terms of whole numbers, or of truth values, are joined
_OF_WHOLE: Mapping[str, str] = {"sum": "low + high", "any": "low | high", "all": "low & high"}


def mentions(text: str, word: str) -> bool:
    """True if a text has a word."""
    return re.search(rf"\b{word}\b", text) is not None


def constant(dialect: Dialect, value: float, kind: str) -> str:
    """A number of a type; infinities and NaN, too."""
    if dialect.name == "numba" and not np.isfinite(value):
        return f"{kind}({dialect.number(value)})"
    return dialect.number(value, kind)


def table(dialect: Dialect, name: str, values: Sequence[float], kind: str) -> str:
    """The line that makes a table; whole numbers stand as such, which C++ asks for."""
    if kind != "int64" or dialect.name == "numba":
        return dialect.table(name, [int(v) for v in values] if kind == "int64" else values, kind)
    words = "static __device__" if dialect.name == "cuda" else "static"
    return f"{words} const int64_t {name}[] = {{{', '.join(str(int(v)) for v in values)}}};"


def pass_head(dialect: Dialect, name: str, kind: str) -> list[str]:
    """What begins a pass, which is handed the two stretches of memory."""
    if dialect.name == "numba":
        return ["@function", f"def {name}({FLOATS}, {WHOLE}):"]
    words = 'extern "C" __global__ void' if dialect.name == "cuda" else "static void"
    return [f"{words} {name}({TYPES[kind]} *{FLOATS}, int64_t *{WHOLE}) {{"]


def loop(dialect: Any, name: str, stop: str) -> tuple[list[str], str]:
    """A loop over what a pass writes, which the threads of a grid share: lines before it, and what begins it."""
    return dialect.strided(name, stop) if dialect.name == "cuda" else ([], dialect.loop(name, "0", stop))  # type: ignore[no-any-return]


def pointer(dialect: Dialect, name: str, memory: str, start: int, kind: str) -> str:
    """The line that names a part of memory."""
    if dialect.name == "numba":
        return f"{name} = {memory}[{start}:]"
    return f"{TYPES[kind] if memory == FLOATS else 'int64_t'} *{name} = {memory} + {start};"


def function_head(dialect: Dialect, name: str, parameters: Mapping[str, str], kind: str | None) -> list[str]:
    """What begins a function of arrays.

    Args:
        dialect: the language.
        name: what it is called.
        parameters: each with its type, which an asterisk follows if it is an array.
        kind: the type of what it gives; None for nothing.
    """
    if dialect.name == "numba":
        return ["@function", f"def {name}({', '.join(parameters)}):"]
    given = ", ".join(f"{TYPES[k.rstrip('*')]} {'*' if k.endswith('*') else ''}{p}" for p, k in parameters.items())
    return [f"{_OWN[dialect.name]}{TYPES[kind] if kind else 'void'} {name}({given}) {{"]


def fold_name(op: str, memory: str) -> str:
    """What the function is called that folds a block of terms."""
    return f"fold_{op}" if memory == FLOATS else f"fold_{op}_of_whole"


def locals_of(dialect: Any, step: Step, kind: str) -> list[str]:
    """The arrays of a pass's own."""
    if step.kind in ("fold", "segments"):
        count = step.reads[0][1].size // step.size if step.kind == "fold" else step.reads[1][1].size
        of = kind if step.memory == FLOATS else "int64"
        arrays = [("terms", of, min(count, BLOCK))]
        if count > BLOCK or step.kind == "segments":
            arrays.append(("blocks", of, count // BLOCK + 1))
    elif step.kind == "order":
        count = step.shape[-1]
        arrays = [("terms", kind, count), ("order", "int64", count), ("other", "int64", count)]
    else:
        return []
    return [dialect.local(*array) for array in arrays]


@contextmanager
def gathering(w: Writer, fold: str, count: int, some: bool) -> Iterator[None]:
    """A loop over terms, in which ``terms[held]`` is set: each block of them becomes one number of ``blocks``.

    Args:
        w: where it is written.
        fold: the function that folds a block.
        count: how many terms there are.
        some: True if only some of them are terms; after one `add_term` is written.
    """
    w.declare(["held", "full"], ["0", "0"], "int64")
    with w.loop("k", "0", str(count)):
        yield
        if not some:
            add_term(w, fold)
    with w.block(w.dialect.when("held > 0")):
        w.do(f"blocks[{w.index('full')}] = {fold}(terms, held)")
        w.do("full += 1")


def add_term(w: Writer, fold: str) -> None:
    """One more term is there."""
    w.do("held += 1")
    with w.block(w.dialect.when(f"held == {BLOCK}")):
        w.do(f"blocks[{w.index('full')}] = {fold}(terms, held)")
        w.do("full += 1")
        w.do("held = 0")


def fold_function(dialect: Dialect, op: str, memory: str, kind: str) -> list[str]:
    """The function that folds terms, the upper half onto the lower until one is left."""
    kind = kind if memory == FLOATS else "int64"
    w = Writer(np.dtype(kind), dialect)
    *before, head = function_head(dialect, fold_name(op, memory), {"terms": f"{kind}*", "count": "int64"}, kind)
    with w.block(head):
        w.declare(["size", "half"], ["count", "1"], "int64")
        with w.block(dialect.repeat("2 * half < size")):
            w.do("half *= 2")
        with w.block(dialect.repeat("size > 1")):
            with w.loop("place", "0", "size - half"):
                lower, upper = (f"terms[{w.index(place)}]" for place in ("place", "place + half"))
                w.declare(["low", "high"], [lower, upper])
                w.do(f"{lower} = {_joined(w, op, memory)}")
            w.do("size = half")
            w.do("half = half >> 1")
        w.line(dialect.gives(f"terms[{w.index('0')}]"))
    return [*before, *w.lines, *BETWEEN[dialect.name]]


def _joined(w: Writer, op: str, memory: str) -> str:
    if memory == WHOLE:
        return _OF_WHOLE[op] if op in _OF_WHOLE else w.select("low > high", "low", "high")
    fold = OPERATIONS[op].fold
    assert fold is not None, f"{op} folds nothing"
    write = OPERATIONS[fold.op].write
    assert write is not None, f"no kernel has {fold.op}"
    return write(w, "low", "high")


def sort_function(dialect: Dialect, kind: str) -> list[str]:
    """The function that sorts the places of terms: ascending, equal ones as they stand, NaN last."""
    parameters = {"terms": f"{kind}*", "order": "int64*", "other": "int64*", "count": "int64"}
    *before, head = function_head(dialect, "merge_sorted", parameters, None)
    w = Writer(np.dtype(kind), dialect)
    with w.block(head):
        w.declare(["width"], ["1"], "int64")
        with w.block(dialect.repeat("width < count")):
            with w.loop("begin", "0", "count", "2 * width"):
                w.declare(["middle"], [dialect.least("(begin + width)", "count")], "int64")
                w.declare(["end"], [dialect.least("(begin + 2 * width)", "count")], "int64")
                w.declare(["left", "right"], ["begin", "middle"], "int64")
                with w.loop("to", "begin", "end"):
                    _merge(w)
            with w.loop("to", "0", "count"):
                w.do(f"order[{w.index('to')}] = other[{w.index('to')}]")
            w.do("width = 2 * width")
    return [*before, *w.lines, *BETWEEN[dialect.name]]


def _merge(w: Writer) -> None:
    """The next place of two sorted pieces: of the right one if its number is less."""
    w.declare(["from_right"], ["left >= middle"], "bool")
    with w.block(w.dialect.when(w.both("left < middle", "right < end"))):
        low, high = (f"terms[{w.index(f'order[{w.index(side)}]')}]" for side in ("left", "right"))
        w.declare(["low", "high"], [low, high])
        both = f"({w.both('high == high', 'low != low')})"
        w.do(f"from_right = {w.either('high < low', both)}")
    into = f"other[{w.index('to')}]"
    with w.block(w.dialect.when("from_right")):
        w.do(f"{into} = order[{w.index('right')}]")
        w.do("right += 1")
    with w.block(w.dialect.otherwise()):
        w.do(f"{into} = order[{w.index('left')}]")
        w.do("left += 1")
