"""A tape printed as one text: a function a pass, each a loop over what it writes, in the words of a dialect.

Elements that have one shape and need nothing of each other are computed in one loop. Where an element lies is written as an
expression of its indices where places advance evenly, and read from a table of places elsewhere. A fold joins its terms by the
tree of `refgrad.arithmetic.folding`; a row is sorted by merging.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np

from refgrad.arithmetic.folding import BLOCK
from refgrad.arithmetic.operations import OPERATIONS
from refgrad.arithmetic.tape import FLOATS, WHOLE, Packed, Step, Stretch
from refgrad.backends import source, tape_words
from refgrad.backends.dialect import Dialect
from refgrad.backends.whole_source import without_unused
from refgrad.backends.writer import Writer


class Pass(NamedTuple):
    """A function of the text.

    Args:
        name: what it is called.
        times: how many numbers, or rows, it goes through.
        said: what it does, in a line.
    """

    name: str
    times: int
    said: str


class Printer:
    """Prints the passes of a tape.

    Args:
        tape: the steps.
        name: what passes are called after.
        dialect: the language.
    """

    def __init__(self, tape: Packed, name: str, dialect: Dialect) -> None:
        self.tape, self.name, self.dialect = tape, name, dialect
        self.w = Writer(tape.working, dialect)
        self.passes: list[Pass] = []
        self.lines: list[str] = []
        self.readers = self._readers()

    def _readers(self) -> dict[tuple[str, int], list[int]]:
        """Which steps read what a step writes; results are read by step -1."""
        found: dict[tuple[str, int], list[int]] = {}
        every = [(number, read) for number, step in enumerate(self.tape.steps) for read in step.reads]
        for number, (memory, places) in [*every, *((-1, read) for read in self.tape.results.values())]:
            if places.size:
                for start in np.unique(self.starts(memory, places)):
                    found.setdefault((memory, int(start)), []).append(number)
        return found

    def starts(self, memory: str, places: np.ndarray) -> np.ndarray:
        """Where the stretches begin that places are in."""
        begins = np.array([s.start for s in self.tape.stretches[memory]])
        return begins[np.searchsorted(begins, np.ravel(places), side="right") - 1]  # type: ignore[no-any-return]

    def stretch(self, memory: str, places: np.ndarray) -> Stretch | None:
        """The one stretch that all places are in, if there is one."""
        begins = np.unique(self.starts(memory, places))
        if len(begins) != 1:
            return None
        return next(s for s in reversed(self.tape.stretches[memory]) if s.start == begins[0] and s.size)

    def text(self) -> list[str]:
        """The functions: those that passes call, and the passes."""
        for group in self._groups():
            if group[0][1].kind == "element":
                self._elements(group)
            else:
                self._other(*group[0])
        functions = self._functions()
        tables = [tape_words.table(self.dialect, n, values, kind) for (values, kind), n in self.w.tables.items()]
        return [*tables, *([""] if tables else []), *functions, *self.lines]

    def _groups(self) -> list[list[tuple[int, Step]]]:
        """Steps that are computed in one loop."""
        groups: list[list[tuple[int, Step]]] = []
        held: dict[tuple[str, int], Step] = {}
        for number, step in enumerate(self.tape.steps):
            joins = bool(groups) and step.kind == "element" and groups[-1][0][1].kind == "element"
            joins = joins and groups[-1][0][1].shape == step.shape and all(self._fits(held, *r) for r in step.reads)
            if not joins:
                groups.append([])
                held = {}
            groups[-1].append((number, step))
            held[step.memory, step.to] = step
        return groups

    def _fits(self, held: Mapping[tuple[str, int], Step], memory: str, places: np.ndarray) -> bool:
        """True if what is read is of no other element of the loop."""
        for start in np.unique(self.starts(memory, places)):
            step = held.get((memory, int(start)))
            if step is not None and not np.array_equal(places.ravel(), np.arange(step.to, step.to + step.size)):
                return False
        return True

    # -------------------------------------------------------------------------------- where an element lies

    def address(self, memory: str, places: np.ndarray, indices: Sequence[tuple[str, int]]) -> str:
        """An element of memory, by the indices of a loop.

        Args:
            memory: which.
            places: where each element lies, of the shape that the indices go through.
            indices: each index and how many places of the shape it counts.
        """
        stretch = self.stretch(memory, places)
        name, start = (
            (stretch.name, stretch.start) if stretch and not stretch.name.startswith("constants") else (memory, 0)
        )
        return f"{name}[{self.w.index(self._index(places - start, indices))}]"

    def _index(self, places: np.ndarray, indices: Sequence[tuple[str, int]]) -> str:
        counts, at = [], 0
        for _, axes in indices:
            counts.append(math.prod(places.shape[at : at + axes]))
            at += axes
        even = _evenly(places.reshape(counts))
        if even is not None:
            return _sum_of(even[0], [(f, n) for f, (n, _) in zip(even[1], indices, strict=True)])
        even = _evenly(places)
        if even is None:
            table = self.w.table([float(p) for p in places.ravel()], "int64")
            flat = [(math.prod(counts[i + 1 :]), n) for i, (n, _) in enumerate(indices)]
            return f"{table}[{self.w.index(_sum_of(0, flat))}]"
        found, at = [], 0
        for name, axes in indices:
            own = places.shape[at : at + axes]
            for axis in range(axes):
                if even[1][at + axis]:
                    found.append((even[1][at + axis], self._coordinate(name, own, axis)))
            at += axes
        return _sum_of(even[0], found)

    def _coordinate(self, name: str, shape: Sequence[int], axis: int) -> str:
        """An index along one axis, of the index that counts all elements."""
        inner, length = math.prod(shape[axis + 1 :]), shape[axis]
        above = name if inner == 1 else self.dialect.quotient(name, str(inner))
        if math.prod(shape[:axis]) == 1:
            return f"({above})" if inner != 1 else above
        return f"({above} - {self.dialect.quotient(name, str(inner * length))} * {length})"

    # -------------------------------------------------------------------------------------------- passes

    def _begin(self, count: int, said: str) -> tuple[str, list[str]]:
        name = f"{self.name}_pass_{len(self.passes) + 1}"
        self.passes.append(Pass(name, count, said))
        return name, tape_words.pass_head(self.dialect, name, self.w.kind)

    def _written(self, name: str, before: Sequence[str]) -> None:
        """The lines that the writer has, as a pass."""
        used = "\n".join(self.w.lines)
        pointers = [
            tape_words.pointer(self.dialect, s.name, memory, s.start, self.w.kind)
            for memory, stretches in self.tape.stretches.items()
            for s in stretches
            if s.size and tape_words.mentions(used, s.name)
        ]
        first, *rest = self.w.lines
        whole = without_unused("\n".join([first, *(f"    {line}" for line in pointers), *rest]))
        self.lines += [*before[:-1], *whole.splitlines(), *tape_words.BETWEEN[self.dialect.name]]
        self.w.lines = []

    def _loop(self, count: int) -> AbstractContextManager[None]:
        """The loop over what a pass writes."""
        before, head = tape_words.loop(self.dialect, "at", str(count))
        for line in before:
            self.w.line(line)
        return self.w.block(head)

    def _elements(self, group: Sequence[tuple[int, Step]]) -> None:
        shape, w = group[0][1].shape, self.w
        said = ", ".join(dict.fromkeys(step.op for _, step in group))
        name, head = self._begin(group[0][1].size, f"elements: {said}")
        numbers = {number for number, _ in group}
        named: dict[tuple[str, bytes], str] = {}
        with w.block(head[-1]):
            w.declare(["zero", "one"], [w.cast(w.kind, "0"), w.cast(w.kind, "1")])
            with self._loop(group[0][1].size):
                for number, step in group:
                    pairs = zip(step.reads, step.truth, strict=True)
                    operands = [self._loaded(read, truth, shape, named) for read, truth in pairs]
                    result = f"x{number}"
                    w.begin(result)
                    self._value(step, operands, result)
                    own = np.arange(step.to, step.to + step.size).reshape(shape)
                    named[step.memory, own.tobytes()] = result
                    if set(self.readers.get((step.memory, step.to), [])) - numbers:
                        w.do(f"{self.address(step.memory, own, [('at', len(shape))])} = {self._stored(step, result)}")
        self._written(name, head)

    def _is_truth(self, step: Step) -> bool:
        return step.memory == WHOLE and (
            OPERATIONS[step.op].boolean if step.op in OPERATIONS and step.op != "where" else step.truth[-1]
        )

    def _stored(self, step: Step, result: str) -> str:
        return self.w.select(result, "1", "0") if self._is_truth(step) else result

    def _value(self, step: Step, operands: Sequence[str], result: str) -> None:
        """Gives a variable what an operation makes of operands."""
        w, kind = self.w, None if step.memory == FLOATS else "bool" if self._is_truth(step) else "int64"
        if step.op == "as_float":
            truth = step.truth[0]
            w.set(result, w.select(operands[0], "one", "zero") if truth else w.cast(w.kind, operands[0]))
        elif step.op == "same":
            w.set(result, operands[0], kind)
        elif step.op == "quotient":
            w.set(result, self.dialect.quotient(*operands), kind)
        elif OPERATIONS[step.op].function is not None:
            w.set(result, f"{source.function_name(step.op)}({', '.join(operands)})")
        else:
            write = OPERATIONS[step.op].write
            assert write is not None, f"no kernel has {step.op}"
            w.set(result, write(w, *operands), kind)

    def _loaded(
        self, read: tuple[str, np.ndarray], truth: bool, shape: tuple[int, ...], named: dict[tuple[str, bytes], str]
    ) -> str:
        """The variable that holds an operand, which is read once in a loop."""
        memory, places = read
        key = (memory, np.ascontiguousarray(places).tobytes())
        if key in named:
            return named[key]
        value = self._known(memory, places) or self.address(memory, places, [("at", len(shape))])
        name = f"y{len(named)}"
        if memory == WHOLE:
            self.w.set(name, f"{value} != 0" if truth else value, "bool" if truth else "int64")
        else:
            self.w.set(name, value)
        named[key] = name
        return name

    def _known(self, memory: str, places: np.ndarray) -> str | None:
        """The one number that is read everywhere, if it is known."""
        stretch, first = self.stretch(memory, places), int(places.flat[0])
        if stretch is None or not stretch.name.startswith("constants") or (places != first).any():
            return None
        value = self.tape.constants[memory][first - stretch.start]
        return tape_words.constant(self.dialect, value, self.w.kind) if memory == FLOATS else str(int(value))

    def _other(self, number: int, step: Step) -> None:
        rows = step.size if step.kind in ("fold", "place", "gather", "segments") else 1
        rows = math.prod(step.shape[:-1]) if step.kind in ("scan", "order") else rows
        name, head = self._begin(rows, f"{step.kind}: {step.op}" if step.op else step.kind)
        w = self.w
        with w.block(head[-1]):
            w.declare(["zero", "one"], [w.cast(w.kind, "0"), w.cast(w.kind, "1")])
            for line in tape_words.locals_of(self.dialect, step, w.kind):
                w.line(line)
            with self._loop(rows):
                getattr(self, f"_{step.kind}")(step)
        self._written(name, head)

    def _fold(self, step: Step) -> None:
        """One number of each row of terms; of two operands, of their products."""
        w, count, fold = self.w, step.reads[0][1].size // step.size, tape_words.fold_name(step.op, step.memory)
        axes = len(step.shape)
        reads = [self.address(m, p, [("at", axes), ("k", p.ndim - axes)]) for m, p in step.reads]
        if count <= BLOCK:
            with w.loop("k", "0", str(count)):
                w.do(f"terms[{w.index('k')}] = {' * '.join(reads)}")
            w.do(f"{self._own(step)} = {fold}(terms, {count})")
            return
        with tape_words.gathering(w, fold, count, some=False):
            w.do(f"terms[{w.index('held')}] = {' * '.join(reads)}")
        w.do(f"{self._own(step)} = {fold}(blocks, full)")

    def _own(self, step: Step, indices: Sequence[tuple[str, int]] = ()) -> str:
        own = np.arange(step.to, step.to + step.size).reshape(step.shape)
        return self.address(step.memory, own, indices or [("at", len(step.shape))])

    def _scan(self, step: Step) -> None:
        """Sums of the first terms, one after the other."""
        w, count, axes = self.w, step.shape[-1], len(step.shape) - 1
        ((memory, places),) = step.reads
        w.set("total", self.address(memory, places[..., 0], [("at", axes)]))
        own = np.arange(step.to, step.to + step.size).reshape(step.shape)
        w.do(f"{self.address(step.memory, own[..., 0], [('at', axes)])} = total")
        with w.loop("k", "1", str(count)):
            w.set("total", f"total + {self.address(memory, places, [('at', axes), ('k', 1)])}")
            w.do(f"{self.address(step.memory, own, [('at', axes), ('k', 1)])} = total")

    def _order(self, step: Step) -> None:
        """The places of a row's numbers in ascending order, NaN last: pieces of twice the length are merged in turn."""
        w, count, axes = self.w, step.shape[-1], len(step.shape) - 1
        ((memory, places),) = step.reads
        with w.loop("k", "0", str(count)):
            w.do(f"terms[{w.index('k')}] = {self.address(memory, places, [('at', axes), ('k', 1)])}")
            w.do(f"order[{w.index('k')}] = k")
        w.do(f"merge_sorted(terms, order, other, {count})")
        with w.loop("k", "0", str(count)):
            w.do(f"{self._own(step, [('at', axes), ('k', 1)])} = order[{w.index('k')}]")

    def _place(self, step: Step) -> None:
        """The first place of the largest or least number of a row, or of a NaN."""
        w, ((memory, places),), axes = self.w, step.reads, len(step.shape)
        w.set("best", self.address(memory, places[..., 0], [("at", axes)]))
        w.set("place", "0", "int64")
        with w.loop("k", "1", str(places.shape[-1])):
            w.set("next", self.address(memory, places, [("at", axes), ("k", 1)]))
            nearer = w.either(f"next {'>' if step.op == 'max' else '<'} best", "next != next")
            with w.block(self.dialect.when(w.both("best == best", f"({nearer})"))):
                w.do("best = next")
                w.do("place = k")
        w.do(f"{self._own(step)} = place")

    def _gather(self, step: Step) -> None:
        w, (held, which) = self.w, step.reads
        w.set("from_", self.address(which[0], which[1], [("at", len(step.shape))]), "int64")
        w.do(f"{self._own(step)} = {self._counted(held, 'from_')}")

    def _counted(self, read: tuple[str, np.ndarray], index: str) -> str:
        """An element of an array whose numbers follow each other, by its number."""
        stretch = self.stretch(*read)
        first = int(read[1].flat[0])
        name, start = (
            (stretch.name, stretch.start) if stretch and not stretch.name.startswith("constants") else (read[0], 0)
        )
        return f"{name}[{self.w.index(index if first == start else f'{first - start} + {index}')}]"

    def _scatter(self, step: Step) -> None:
        """A copy, of which some numbers are others; one after the other, so that the last stays."""
        w, (held, which, values) = self.w, step.reads
        own = (step.memory, np.arange(step.to, step.to + step.size))
        with w.loop("k", "0", str(step.size)):
            w.do(f"{self._counted(own, 'k')} = {self.address(*held, [('k', len(step.shape))])}")
        with w.loop("k", "0", str(which[1].size)):
            w.set("to_", self.address(*which, [("k", which[1].ndim)]), "int64")
            w.do(f"{self._counted(own, 'to_')} = {self.address(*values, [('k', values[1].ndim)])}")

    def _segments(self, step: Step) -> None:
        """The sums of the rows of each label, as of rows that are filled up with zeros to the length of the longest."""
        w, ((memory, places), labels), columns = self.w, step.reads, step.shape[1]
        w.set("label", self.dialect.quotient("at", str(columns)), "int64")
        w.set("column", f"at - label * {columns}", "int64")
        same = f"{self.address(*labels, [('k', 1)])} == label"
        fold, count = tape_words.fold_name(step.op, FLOATS), len(labels[1])
        with tape_words.gathering(w, fold, count, some=True), w.block(self.dialect.when(same)):
            w.do(f"terms[{w.index('held')}] = {self.address(memory, places, [('k', 1), ('column', 1)])}")
            tape_words.add_term(w, fold)
        into = self._own(step)
        w.do(f"{into} = zero")
        with w.block(self.dialect.when("full > 0")):
            w.do(f"{into} = {fold}(blocks, full)")

    # ------------------------------------------------------------------------------- functions that passes call

    def _functions(self) -> list[str]:
        """Elementary functions, folds and the sort, as far as passes call them."""
        w, lines = self.w, list[str]()
        for op in dict.fromkeys(s.op for s in self.tape.steps if s.kind == "element" and s.op in OPERATIONS):
            if OPERATIONS[op].function is None:
                continue
            operands = ["a", "b"][: OPERATIONS[op].arity]
            *before, head = self.dialect.function(source.function_name(op), operands, w.kind)
            with w.block(head):
                w.begin("value")
                w.set("value", source.inlined(w, op, operands))
                w.line(self.dialect.gives("value"))
            lines += [*before, *w.lines, *tape_words.BETWEEN[self.dialect.name]]
            w.lines = []
        for op, memory in sorted({(s.op, s.memory) for s in self.tape.steps if s.kind in ("fold", "segments")}):
            lines += tape_words.fold_function(self.dialect, op, memory, w.kind)
        if any(s.kind == "order" for s in self.tape.steps):
            lines += tape_words.sort_function(self.dialect, w.kind)
        return lines


def _evenly(places: np.ndarray) -> tuple[int, list[int]] | None:
    """The first place and how far apart places are along each axis; None if they do not advance evenly."""
    first, strides = int(places.flat[0]), []
    for axis, length in enumerate(places.shape):
        second = np.take(places, 1, axis=axis).flat[0] if length > 1 else first
        strides.append(int(second) - first)
    grid: Any = np.indices(places.shape, sparse=True)
    found = first + sum((s * g for s, g in zip(strides, grid, strict=True)), np.zeros((), int))
    return (first, strides) if np.array_equal(np.broadcast_to(found, places.shape), places) else None


def _sum_of(first: int, terms: Sequence[tuple[int, str]]) -> str:
    """A sum of indices, each times a number."""
    parts = [f"{name}" if factor == 1 else f"{factor} * {name}" for factor, name in terms if factor]
    if first or not parts:
        parts.append(str(first))
    return " + ".join(parts).replace("+ -", "- ")
