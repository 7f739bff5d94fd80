"""Large arrays of quantizers whose groups are rows, of which a kernel says where codes and what they stand for are inside.

What is one number a row is judged as it is without a kernel, and goes on as it was seen, so that nothing is left to fold where
elements are looked at. A code is clear where it is that of the centre, whatever else is in reach (docs/enclosure.md, "The
enclosure as a kernel"). What is not clear is judged without a kernel, together with what is judged together there if that has
a part in it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

from refgrad.arithmetic.averages import complementary
from refgrad.arithmetic.enclosed import Enclosed, seen
from refgrad.arithmetic.enclosure import Ambiguous, Enclosure
from refgrad.arithmetic.enclosure_graph import Unknown, enclosed
from refgrad.arithmetic.graph import Graph
from refgrad.arithmetic.operations import REDUCTIONS
from refgrad.arithmetic.rounding import all_within
from refgrad.arithmetic.running_error import Bounded, Model
from refgrad.axes import ELEMENT, NUMBER, ROW
from refgrad.backends import kernels, step_source
from refgrad.backends.screen_source import screen_source
from refgrad.backends.source import KernelSource
from refgrad.derived import derived
from refgrad.oracle.acceptance import screening
from refgrad.oracle.acceptance.chunks import CHUNK, Cut
from refgrad.oracle.acceptance.judge import Large, can_be_cut
from refgrad.oracle.acceptance.judgement import Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.screened_folds import Shared
from refgrad.oracle.acceptance.screened_outputs import Screen, Screened
from refgrad.quantizers.rows import Layout, RowQuantizer
from refgrad.tracing import Plan

#: elements that a kernel says are clear, or not, at a time: fewer than are judged together without one
FEW = 2048

#: how many times what is judged together is looked at in one go for what is one number a row, as long as all is plain
MANY = 4

#: what reductions leave, by index
Folded = Mapping[int, Bounded]


def cut_of(shape: tuple[int, int]) -> Cut:
    """How rows are cut into what is judged together: whole rows; one row alone at its elements.

    Args:
        shape: how many rows there are, and elements in one.
    """
    if shape[0] == 1:
        return Cut.of(shape, CHUNK)
    few = max(1, FEW // shape[1])
    return Cut(shape, 0, few * max(1, CHUNK // shape[1] // few))


class Part(NamedTuple):
    """Some of what is judged.

    Args:
        x: elements, in a line.
        seen: codes and ``y`` of these, in a line; of each row the other parts.
        layout: how they are cut into rows.
    """

    x: np.ndarray
    seen: dict[str, np.ndarray]
    layout: Layout


class Loops(NamedTuple):
    """A body in two: of elements, given what is one number a row, and of rows.

    Args:
        of_elements: reads the parts that are one number a row by their names.
        of_rows: the parts that are one number a row.
    """

    of_elements: Graph
    of_rows: Graph


@dataclass(frozen=True)
class Rows:
    """What is judged.

    Attributes:
        rule: the quantizer.
        plan: of its body on rows.
        layout: how the array is cut into rows.
        x: the array.
        seen: parts and ``y``, as the candidate gave them.
        policy: what counts as correct.
        model: what is charged.
        numbers: the scalars of a part of the plan's graph, in its order.
    """

    rule: RowQuantizer
    plan: Plan
    layout: Layout
    x: np.ndarray
    seen: Mapping[str, np.ndarray]
    policy: Policy
    model: Model
    numbers: Callable[[Graph], list[Bounded]]

    def why_not(self) -> str | None:
        """Why it is not judged by a kernel, however large its arrays are, a sentence without "because"; None if it can be."""
        for why in (screening.policy_unknown(self.policy), self._unlike_arrays(), self._unlike_graph()):
            if why is not None:
                return why
        if (why := screening.scalars_unknown(self.numbers(self.loops.of_elements))) is not None:
            return why
        return self.found if isinstance(self.found, str) else None

    def _unlike_arrays(self) -> str | None:
        codes, known = self.seen.get("codes"), self.rule.read_codes
        if self.x.dtype not in screening.READ or not self.x.dtype.isnative:
            return f"x is {self.x.dtype}"
        if "y" not in self.seen or not set(self.rule.parts) <= set(self.seen):
            return "not all parts are seen"
        if self.seen["y"].dtype != self.x.dtype:
            return f"y is {self.seen['y'].dtype}"
        if self.layout.moved:
            return "its groups lie along another axis than the last"
        if self.layout.width < 2 or (self.padded and self.layout.lead > 1):
            return "rows are filled up within the array"
        if codes is None or known is None or codes.dtype != known.kind:
            return "codes are no whole numbers that a kernel reads"
        ends = self.rule.code_range
        return None if ends is None or all_within(codes, *ends) else "some code stands for nothing"

    def _unlike_graph(self) -> str | None:
        graph = self.plan.graph
        if set(graph.inputs()) != {"x"}:
            return "an interval is looked for"
        if not can_be_cut(graph) or any(node.axes not in (ELEMENT, ROW, NUMBER) for node in graph.nodes):
            return "rows see each other"
        if any(axes != ROW for axes in graph.small.values()) or "codes" in graph.small or "y" in graph.small:
            return "a part is no number a row"
        if any(node.op in REDUCTIONS for node in self.loops.of_elements.nodes):
            return "elements depend on what a row is folded to, besides its parts"
        unknown = next((n for n in graph.nodes if n.op == "step" and not step_source.writes(n.attribute)), None)
        return None if unknown is None else f"kernels do not know {type(unknown.attribute).__name__}"

    @property
    def padded(self) -> bool:
        """True if a row is filled up."""
        return self.layout.rows * self.layout.width != self.layout.lead * self.layout.length

    @property
    def cut(self) -> Cut:
        """How rows are judged together."""
        return cut_of((self.layout.rows, self.layout.width))

    @property
    def fine(self) -> Cut:
        """How a kernel looks at them: chunks of those that are judged together."""
        cut = self.cut
        return Cut(cut.shape, cut.axis, FEW if cut.axis else max(1, FEW // self.layout.width))

    @cached_property
    def loops(self) -> Loops:
        """The body in two."""
        return _loops(self.plan)

    @cached_property
    def found(self) -> Enclosed | str:
        """The enclosure of what is computed of elements, as a graph; or why there is none."""
        graph, known = self.loops.of_elements, _graphs(self.plan)
        pairs = complementary(graph, self.numbers(graph))
        key = tuple(sorted(pairs.items())), self.model.exact_scaling
        if key not in known:
            try:
                known[key] = enclosed(graph, pairs, scaling=self.model.exact_scaling, given=True)
            except Unknown as why:
                known[key] = str(why)
        return known[key]

    def source(self) -> KernelSource:
        """The kernel."""
        found = self.found
        assert isinstance(found, Enclosed), found
        known, key = _sources(self.plan), (found, self.x.dtype)
        if key not in known:
            types = dict.fromkeys(found.loop.reads, self.x.dtype)
            codes = {seen("codes"): step_source.Kept(self.rule.read_codes)}  # type: ignore[arg-type]
            title = f"what is inside: rows of {type(self.rule).__name__}"
            known[key] = screen_source(found, types, title, codes=codes)
        return known[key]

    def worth(self) -> bool:
        """True if there are so many elements that a kernel is worth its while, and it is at hand or worth compiling."""
        size = self.x.size
        if size < screening.WORTH or self.why_not() is not None:
            return False
        return size >= screening.WORTH_COMPILING or kernels.at_hand(self.source())

    def values(self, name: str) -> np.ndarray:
        """What a part that is one number a row stands for, a column."""
        return self.rule.values(name, self.seen[name], self.layout)

    def part(self, chunk: slice) -> Part:
        """What stands in a chunk."""
        layout, width = self.layout, self.layout.width
        long = {n: a.reshape(-1) for n, a in {"x": self.x, **self.seen}.items() if n in ("x", "y", "codes")}
        if self.cut.axis:
            there = {n: a[chunk] for n, a in long.items()}
            own = Layout.whole((there["x"].size,))
            return Part(there.pop("x"), {n: there.get(n, a) for n, a in self.seen.items()}, own)
        there = {n: a[chunk.start * width : chunk.stop * width] for n, a in long.items()}
        own = Layout((there["x"].size,), 1, there["x"].size, width)
        rows = slice(chunk.start, min(chunk.stop, layout.rows))
        return Part(there.pop("x"), {n: there[n] if n in there else a[rows] for n, a in self.seen.items()}, own)

    def beside(self, numbers: Sequence[int]) -> Part:
        """What stands in several of the kernel's chunks, side by side; none of them has a short row."""
        step = self.fine.step
        parts = [self.part(slice(k * step, (k + 1) * step)) for k in numbers]
        x = np.concatenate([part.x for part in parts])
        names = self.seen if not self.cut.axis else ("codes", "y")
        there = {n: np.concatenate([part.seen[n] for part in parts]) for n in names}
        width = x.size if self.cut.axis else self.layout.width
        return Part(x, {**self.seen, **there}, Layout((x.size,), 1, x.size, width))


@derived
def _loops(plan: Plan) -> Loops:
    graph = plan.graph
    of_rows = {n: node for n, node in graph.outputs.items() if n in graph.small}
    of_elements = {n: node for n, node in graph.outputs.items() if n not in of_rows}
    return Loops(graph.cut(of_elements, {node.index: n for n, node in of_rows.items()}), graph.cut(of_rows, {}))


@derived
def _graphs(plan: Plan) -> dict[Hashable, Enclosed | str]:
    """Those that were made so far."""
    return {}


@derived
def _sources(plan: Plan) -> dict[tuple[Enclosed, np.dtype], KernelSource]:
    """The kernels that were printed so far."""
    return {}


class Careful(Protocol):
    """Judges some rows without a kernel."""

    def __call__(self, graph: Graph, part: Part, folded: Folded | None, plain: bool) -> dict[str, Judged] | None:
        """The outputs of a graph, in a line.

        Args:
            graph: has them.
            part: what is judged.
            folded: what the reductions of one long row leave; None of whole rows.
            plain: whether it gives None where any element is told of as on a grid: all are otherwise.
        """


def screened(rows: Rows, careful: Careful, threads: int | None = None) -> dict[str, Judged] | None:
    """Every part and ``y``, in a line, of what `Rows.why_not` says nothing against; by a kernel, which is compiled if it must be.

    Args:
        rows: what is judged.
        careful: judges some rows without a kernel.
        threads: how many; None for as many as are worth it.

    Returns:
        Codes and ``y`` as `Screened`; None where what is one number a row is not as kernels need it.
    """
    shared = _shared(rows, threads)
    failing = shared.few.failing(shared.found.loop, rows.layout.rows)
    if rows.cut.axis and failing.any():
        return None
    try:
        folded = _folded(rows) if rows.cut.axis else None
        judge = _ByChunk(rows, careful, folded)
        screen = _screen(rows, shared, failing, judge)
        judge.settle(screen)
        few = _judged_rows(rows, judge)
    except Ambiguous:
        return None
    values = {"codes": rows.rule.values("codes", rows.seen["codes"], rows.layout), "y": rows.seen["y"]}
    values = {n: rows.layout.joined(a) if n == "codes" else a for n, a in values.items()}
    return few | {n: Screened(screen, n, values[n], rows.x.dtype) for n in shared.found.names}


@dataclass(eq=False)
class _ByChunk:
    """Judges the kernel's chunks without it: alone, or with all that are judged together where one of these is not inside.

    Attributes:
        rows, careful: as of `screened`.
        folded: what the reductions of one long row leave; None of many rows.
        alone: what was judged alone, by chunk.
        whole: what was judged together, by the number of those.
    """

    rows: Rows
    careful: Careful
    folded: Folded | None
    alone: dict[int, dict[str, Judged]] = field(default_factory=dict)
    whole: dict[int, dict[str, Judged]] = field(default_factory=dict)

    @cached_property
    def many(self) -> int:
        """How many chunks of the kernel are judged together."""
        return self.rows.cut.step // self.rows.fine.step

    def settle(self, screen: Screen) -> None:
        """Judge what is not clear, and find out what is judged together."""
        size = self.rows.fine.step * (1 if self.folded is not None else self.rows.layout.width)
        unclear = np.bincount(np.asarray(screen.unclear, np.int64) // self.many)
        for number in np.flatnonzero(2 * unclear > self.many).tolist():  # as of a wrong program
            self.whole[number] = self._whole(number)
        left = [k for k in screen.unclear if k // self.many not in self.whole]
        equal = [k for k in left if (k + 1) * size <= self.rows.x.size]
        many = max(1, CHUNK // size)
        for start in range(0, len(equal), many):
            self._try(equal[start : start + many], size)
        for number in screen.unclear:
            if number in self.alone or number // self.many in self.whole:
                continue
            judged = self._of(self.rows.fine, number, plain=True)
            if judged is not None:
                self.alone[number] = judged
            else:
                self.whole[number // self.many] = self._whole(number // self.many)
        together = (k for w in self.whole for k in range(w * self.many, (w + 1) * self.many))
        screen.beside = frozenset(k for k in together if k < len(screen.clear) and screen.clear[k])

    def _try(self, numbers: Sequence[int], size: int) -> None:
        """Judge chunks side by side, which says the same of each if all is plain."""
        judged = self.careful(self.rows.plan.graph, self.rows.beside(numbers), self.folded, True)
        if judged is not None:
            for k, number in enumerate(numbers):
                self.alone[number] = _places(judged, slice(k * size, (k + 1) * size))

    def _whole(self, number: int) -> dict[str, Judged]:
        judged = self._of(self.rows.cut, number, plain=False)
        assert judged is not None
        return judged

    def _of(self, cut: Cut, number: int, plain: bool) -> dict[str, Judged] | None:
        step = cut.step
        chunk = slice(number * step, min((number + 1) * step, cut.shape[cut.axis]))
        return self.careful(self.rows.plan.graph, self.rows.part(chunk), self.folded, plain)

    def rows_of(self, start: int, stop: int, plain: bool) -> dict[str, Judged] | None:
        """The parts that are one number a row, of some rows."""
        part = self.rows.part(slice(start, stop))
        return self.careful(self.rows.loops.of_rows, part, self.folded, plain)

    def __call__(self, number: int) -> dict[str, Judged]:
        whole = self.whole.get(number // self.many)
        if whole is None:
            found = self.alone.get(number) or self._of(self.rows.fine, number, plain=True)
            assert found is not None
            return found
        size = self.rows.fine.step * (1 if self.folded is not None else self.rows.layout.width)
        place = slice(number % self.many * size, (number % self.many + 1) * size)
        return _places(whole, place)


def _places(judged: Mapping[str, Judged], place: slice) -> dict[str, Judged]:
    """Codes and ``y`` at some elements."""
    return {n: Judged(*(a[place] for a in judged[n].parts()[:4])) for n in ("codes", "y")}


def _shared(rows: Rows, threads: int | None) -> Shared:
    """What a kernel is called with: whole rows alone."""
    found, graph, cut = rows.found, rows.loops.of_elements, rows.fine
    assert isinstance(found, Enclosed), found
    columns = {n: rows.values(n) for n in rows.loops.of_rows.outputs}
    arrays = {"x": rows.x, seen("codes"): rows.seen["codes"], seen("y"): rows.seen["y"]}
    arrays = {n: np.ascontiguousarray(arrays[n]) for n in found.loop.reads}
    whole = Cut((cut.shape[0] - rows.padded, cut.shape[1]), cut.axis, cut.step)
    enclosure = Enclosure(graph, rows.model)
    return Shared(found, enclosure, rows.numbers(graph), arrays, Large(columns), {}, whole, threads)


def _screen(rows: Rows, shared: Shared, failing: np.ndarray, judge: _ByChunk) -> Screen:
    """What the kernel says; the chunk that has a row which is filled up is not clear."""
    chunks = list(rows.fine.chunks())
    failed = np.zeros(len(chunks) + 1, np.int64)
    if not rows.fine.axis:
        failed[:-1] = np.logical_or.reduceat(failing, [chunk.start for chunk in chunks])
    failed[len(chunks) - 1] += rows.padded
    types = dict.fromkeys(shared.found.names, rows.x.dtype)
    screen = screening.screen_of(shared, rows.source(), judge, types, failed)
    screen.size = rows.x.size
    return screen


def _folded(rows: Rows) -> dict[int, Bounded]:
    """What the reductions of one long row leave, of which a maximum of known numbers is taken chunk by chunk."""
    graph = rows.loops.of_rows
    enclosure, scalars, cut = Enclosure(graph, rows.model), rows.numbers(graph), rows.cut
    line, left = rows.x.reshape(cut.shape), dict[int, Bounded]()

    def operand(node: Any, chunk: slice) -> Bounded:
        there = {"x": Bounded(cut.part(line, chunk).astype(np.float64))}
        return enclosure.operand(node, there, scalars, {}, left)

    for node in enclosure.folds():
        parts: list[Bounded] = []
        for chunk in cut.chunks():
            part = operand(node, chunk)
            if node.op != "max" or part.has_ends() or part.bound().any():
                parts = []
                break
            parts.append(enclosure.fold(node, Bounded(part.value)))
        whole = Bounded(np.concatenate([p.value for p in parts], axis=1)) if parts else operand(node, slice(None))
        left[node.index] = enclosure.fold(node, whole)
    return left


def _judged_rows(rows: Rows, judge: _ByChunk) -> dict[str, Judged]:
    """The parts that are one number a row."""
    if judge.folded is not None:
        one = judge.rows_of(0, 2, plain=False)
        assert one is not None
        return one
    found: dict[str, list[Judged]] = {name: [] for name in rows.loops.of_rows.outputs}
    step, end = rows.cut.step, rows.layout.rows
    for start in range(0, end, MANY * step):
        all_ = judge.rows_of(start, start + MANY * step, plain=True)
        if all_ is not None:
            parts = [all_]
        else:
            starts = range(start, min(start + MANY * step, end), step)
            each = (judge.whole.get(k // step) or judge.rows_of(k, k + step, plain=False) for k in starts)
            parts = [part for part in each if part is not None]
        for name, judged in found.items():
            judged += [part[name] for part in parts]
    return {name: _joined(parts) for name, parts in found.items()}


def _joined(parts: Sequence[Judged]) -> Judged:
    return Judged(*(np.concatenate(each) for each in zip(*(p.parts()[:4] for p in parts), strict=True)))
