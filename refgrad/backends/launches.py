"""The calls of a program's kernels in their order, with the arrays between them: what a driver does, in no language."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from refgrad.arithmetic.folding import BLOCK
from refgrad.arithmetic.graph import Graph, Node
from refgrad.arithmetic.scalar_math import Expr
from refgrad.axes import EACH_COLUMN, EACH_ROW, ROW, TENSOR, Axes
from refgrad.backends import fold_source
from refgrad.backends.between_source import Between, own_axes
from refgrad.backends.passes import Pass
from refgrad.backends.program import Program
from refgrad.backends.source import KernelSource, outputs, variable


class Room(NamedTuple):
    """An array of a driver's own.

    Args:
        name: what it is called.
        length: how many numbers it has, in the words of C and of whole numbers.
    """

    name: str
    length: str


class Call(NamedTuple):
    """A kernel called.

    Args:
        source: the kernel.
        name: what it is to be called.
        integers: its integers.
        arrays: the arrays that it is handed, in order: what the kernel calls each, and what the driver does.
        scalars: its scalars.
        reads: the arrays that it reads.
        writes: those that it writes.
        over: how many elements or blocks it goes over; of CUDA, with how many blocks it is launched.
    """

    source: KernelSource
    name: str
    integers: tuple[str, ...]
    arrays: tuple[tuple[str, str], ...]
    scalars: tuple[Expr, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    over: str


class Copy(NamedTuple):
    """Numbers copied into an output: from an array, or one number everywhere."""

    to: str
    of: str | Expr
    length: str


Step = Room | Call | Copy


def blocks(length: str) -> str:
    """How many blocks of the tree of a sum so many numbers have."""
    return f"(({length} + {BLOCK - 1}) / {BLOCK})"


def count(axes: Axes) -> str:
    """How many numbers there are of what has such axes."""
    return "1" if axes == TENSOR else "rows" if axes == ROW else "row_length"


def left_by(over: Axes) -> tuple[str, str]:
    """How many blocks a pass folds on the CPU, and how many numbers these leave of each reduction."""
    if over == EACH_COLUMN:
        strips = f"((row_length + {fold_source.STRIP - 1}) / {fold_source.STRIP})"
        return f"{strips} * {blocks('rows')}", f"{blocks('rows')} * row_length"
    found = f"rows * {blocks('row_length')}" if over == EACH_ROW else blocks("n")
    return found, found


@dataclass
class Arrays:
    """What a driver calls the arrays of few numbers, by the indices of nodes.

    Args:
        graph: the graph.
        names: the names so far.
    """

    graph: Graph
    names: dict[int, str] = field(default_factory=dict)

    def given(self, sweep: Pass) -> None:
        """The inputs of few numbers that a pass reads are known by their own names."""
        for node in sweep.before:
            if node.op == "input":
                self.names[node.index] = variable(node.attribute)

    def folded(self, nodes: Sequence[Node], length: str) -> Iterator[Room]:
        """Room for what blocks leave of reductions."""
        for node in nodes:
            self.names[node.index] = own_name(node)
            yield Room(own_name(node), length)

    def ahead(self, between: Between) -> Iterator[Room]:
        """Room for what a kernel between two passes writes; what is an output, and no input, is written there."""
        named = {self.graph.outputs[name].index: name for name in reversed(list(self.graph.small))}
        for node in between.arrays.vectors:
            self.names[node.index] = own_name(node)
            yield Room(own_name(node), count(node.args[0].axes))
        for node in between.arrays.kept:
            output = named.get(node.index)
            if output is not None and output not in self.graph.inputs():
                self.names[node.index] = variable(output)
            else:
                self.names[node.index] = own_name(node)
                yield Room(own_name(node), count(own_axes(node)))

    def finish(self, scalars: Callable[[Node], Expr]) -> Iterator[Copy]:
        """Outputs of few numbers that are not yet where they belong."""
        for name in self.graph.small:
            node = self.graph.outputs[name]
            of = scalars(node) if node.op == "scalar" else self.names[node.index]
            if of != variable(name):
                yield Copy(variable(name), of, count(self.graph.small[name]))


def own_name(node: Node) -> str:
    """What a driver calls the array of a node."""
    return f"{node.op}_{node.index}"


def paired(between: Between, arrays: Arrays) -> tuple[tuple[str, str], ...]:
    """The arrays of a kernel between two passes: what it calls each, and what the driver does."""
    return tuple((between.arrays.name(node), arrays.names[node.index]) for node in between.arrays.nodes)


def between_call(name: str, between: Between, arrays: Arrays, scalars: Sequence[Expr]) -> Call:
    """The call of what is computed between two passes: by one thread, or by one block of CUDA's."""
    own = between.arrays
    told = [[arrays.names[n.index] for n in nodes] for nodes in ((*own.given, *own.folded), (*own.vectors, *own.kept))]
    folds = [arrays.names[n.index] for n in own.folded]  # in their place
    return Call(
        between.source,
        name,
        ("n", "row_length"),
        paired(between, arrays),
        tuple(scalars[i] for i in between.scalars),
        tuple(told[0]),
        tuple(dict.fromkeys([*folds, *told[1]])),
        "1",
    )


def pass_arrays(
    graph: Graph, sweep: Pass, held: Sequence[str], arrays: Arrays
) -> tuple[list[tuple[str, str]], tuple[str, ...], tuple[str, ...]]:
    """The arrays of a pass: what it calls each and what the driver does, those that it reads, and outputs that it writes."""
    results = {} if sweep.reductions else outputs(graph)
    inputs = [n.attribute for n in sweep.nodes if n.op == "input"]
    small = [(f"s{n.index}", arrays.names[n.index]) for n in sweep.small]
    reads = dict.fromkeys([*(variable(n) for n in (*inputs, *sweep.tables)), *(driver for _, driver in small)])
    return [*((variable(a), variable(a)) for a in held), *small], tuple(reads), tuple(map(variable, results))


def steps(program: Program, name: str) -> list[Step]:
    """What a driver does on the CPU.

    Args:
        program: the kernels; of one loop or of passes.
        name: what the names of kernels begin with.
    """
    graph = program.plan.graph
    scalars = graph.scalars()
    if program.loop is not None:
        loop, writes = program.loop, tuple(map(variable, outputs(graph)))
        every = tuple((variable(a), variable(a)) for a in loop.arrays)
        read = tuple(map(variable, graph.inputs()))
        return [Call(loop, f"{name}_elements", ("n",), every, tuple(scalars), read, writes, "n")]
    arrays, found, most = Arrays(graph), list[Step](), 0
    for number, piece in enumerate(program.passes, 1):
        arrays.given(piece.sweep)
        if piece.ahead is not None:
            found += arrays.ahead(piece.ahead)
            found.append(between_call(f"{name}_before_pass_{number}", piece.ahead, arrays, scalars))
        if not (piece.sweep.reductions or piece.arrays):
            continue
        pairs, reads, writes = pass_arrays(graph, piece.sweep, piece.arrays, arrays)
        own, units = tuple(scalars[i] for i in piece.scalars), "n"
        if reductions := piece.sweep.reductions:
            units, length = left_by(piece.sweep.over)
            found += arrays.folded(reductions, length)
            left = [arrays.names[n.index] for n in reductions]
            pairs += [("buffer", "buffer"), *((f"r{n.index}", arrays.names[n.index]) for n in reductions)]
            most = max(most, len(reductions) * fold_source.terms(piece.sweep.over == EACH_COLUMN))
            writes = tuple(left)
        integers = ("0", units, "n", "row_length")
        found.append(Call(piece.source, f"{name}_pass_{number}", integers, tuple(pairs), own, reads, writes, units))
    found += arrays.finish(scalar_of(graph, scalars))
    return [*([Room("buffer", str(most))] if most else []), *found]


def scalar_of(graph: Graph, scalars: Sequence[Expr]) -> Callable[[Node], Expr]:
    """A function of a scalar node that gives its expression."""
    order = [n.index for n in graph.nodes if n.op == "scalar"]
    return lambda node: scalars[order.index(node.index)]


def reads_and_writes(calls: Sequence[Call], names: Mapping[str, str]) -> list[str]:
    """A line for each call that says which arrays it reads and writes, by the names that the text has."""
    width = max(len(call.name) for call in calls)
    told = []
    for call in calls:
        read, written = (", ".join(names.get(a, a) for a in part) for part in (call.reads, call.writes))
        told.append(f"{call.name:{width}}  reads {read or 'nothing'}; writes {written}")
    return told
