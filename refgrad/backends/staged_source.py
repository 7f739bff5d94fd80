"""From a graph with reductions to the sources of its kernels, one a pass.

A kernel is called as ``kernel(first, last, n, row_length, *arrays, *scalars)``: it covers elements, or blocks of the
summation tree, from ``first`` up to ``last``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np

from refgrad.arithmetic.folding import BLOCK
from refgrad.arithmetic.graph import Graph, Node
from refgrad.backends.passes import Pass, passes
from refgrad.backends.source import (
    KernelSource,
    element,
    functions,
    indented,
    joined,
    outputs,
    pointer,
    prologue,
    variable,
)


@dataclass(frozen=True, eq=False)
class PassSource:
    """A pass with the source of its kernel; ``arrays`` are those of the rule, ``scalars`` index the graph's scalars."""

    sweep: Pass
    source: KernelSource
    arrays: tuple[str, ...]
    scalars: tuple[int, ...]


class Kept(Protocol):
    """How an output is stored in another type than the working dtype."""

    @property
    def kind(self) -> str:
        """The type."""

    def lines(self, target: str, x: str, dtype: np.dtype) -> list[str]:
        """The lines that store ``x``."""


def pass_sources(
    graph: Graph, dtype: np.dtype, title: str, kept: Mapping[str, Kept] = MappingProxyType({})
) -> tuple[PassSource, ...]:
    """The kernels of a graph, in the order in which they run; ``kept`` are outputs that are stored otherwise."""
    swept = passes(graph)
    titles = [f"{title}: pass {i} of {len(swept)}" for i in range(1, len(swept) + 1)]
    return tuple(_pass_source(graph, s, dtype, t, kept) for s, t in zip(swept, titles, strict=True))


def _pass_source(graph: Graph, sweep: Pass, dtype: np.dtype, title: str, kept: Mapping[str, Kept]) -> PassSource:
    stored = {} if sweep.reductions else outputs(graph)
    inputs = [n.attribute for n in sweep.nodes if n.op == "input"]
    arrays = tuple(dict.fromkeys([*inputs, *stored]))
    used = {a.index for n in sweep.nodes for a in n.args} | {n.index for n in stored.values()}
    used |= {n.args[0].index for n in sweep.reductions}
    scalars = [n for n in graph.nodes if n.op == "scalar" and n.index in used]
    small = [f"s{n.index}" for n in sweep.small]
    folded = [f"r{n.index}" for n in sweep.reductions]
    if folded and sweep.over != "column":
        folded.insert(0, "buffer")
    held = [*map(variable, arrays), *small, *folded]
    names = [*map(pointer, held), *(f"scalar{i}" for i in range(len(scalars)))]
    text = [
        f"# {title}",
        *functions(sweep.nodes, dtype),
        f"def kernel({', '.join(['first', 'last', 'n', 'row_length', *names])}):",
    ]
    text += [f"    {name} = carray({pointer(name)}, (n,))" for name in held]
    text += indented(prologue(scalars, dtype), 1)
    text += indented([_small(n, "0") for n in sweep.small if n.level not in ("row", "column")], 1)
    text += indented(_body(sweep, stored, dtype, kept), 1)
    order = [n for n in graph.nodes if n.op == "scalar"]
    named = (*arrays, *small, *folded)
    types = tuple(kept[a].kind if a in kept and a in stored else str(dtype) for a in named) if kept else ()
    source = KernelSource("\n".join([*text, ""]), named, len(scalars), dtype, integers=4, types=types)
    return PassSource(sweep, source, arrays, tuple(order.index(n) for n in scalars))


def _body(sweep: Pass, stored: dict[str, Node], dtype: np.dtype, kept: Mapping[str, Kept]) -> list[str]:
    if sweep.over == "column":  # columns are folded elsewhere, from their elements
        ending = [f"r{n.index}[i] = x{n.args[0].index}" for n in sweep.reductions]
        return _elements(sweep, ending, "first", "last", dtype)
    return _blocks(sweep, dtype) if sweep.reductions else _store(sweep, stored, dtype, kept)


def _small(node: Node, at: str) -> str:
    """Reading a number of a row or the tensor; truth values travel as zero and one."""
    return f"x{node.index} = s{node.index}[{at}]" + (" != zero" if node.is_boolean else "")


def _store(sweep: Pass, stored: dict[str, Node], dtype: np.dtype, kept: Mapping[str, Kept]) -> list[str]:
    """Elements from ``first`` to ``last``, each output stored."""
    ending = []
    for name, node in stored.items():
        target, x = f"{variable(name)}[i]", f"x{node.index}"
        ending += kept[name].lines(target, x, dtype) if name in kept else [f"{target} = {x}"]
    return _elements(sweep, ending, "first", "last", dtype)


def _elements(sweep: Pass, ending: list[str], start: str, stop: str, dtype: np.dtype) -> list[str]:
    """The loop over elements; by rows where a number of the row is read."""
    columns = [_small(n, "i - row * row_length") for n in sweep.small if n.level == "column"]
    body = columns + [line for node in sweep.nodes for line in element(node, dtype)] + ending
    rows = [_small(n, "row") for n in sweep.small if n.level == "row"]
    if not rows and not columns:
        return [f"for i in range({start}, {stop}):", *indented(body, 1)]
    return [
        f"start = {start}",
        f"while start < {stop}:",
        *indented(["row = start // row_length", f"stop = min({stop}, (row + 1) * row_length)", *rows], 1),
        *indented(["for i in range(start, stop):", *indented(body, 1), "start = stop"], 1),
    ]


def _blocks(sweep: Pass, dtype: np.dtype) -> list[str]:
    """Blocks from ``first`` to ``last``: each operand into the buffer, folded there, one number a block stored."""
    into = [f"buffer[{k * BLOCK} + i - begin] = x{n.args[0].index}" for k, n in enumerate(sweep.reductions)]
    place = [f"begin = block * {BLOCK}", f"end = min(begin + {BLOCK}, n)"]
    if sweep.over == "row":
        place = [
            "row_of = block // row_blocks",
            f"begin = row_of * row_length + (block - row_of * row_blocks) * {BLOCK}",
            f"end = min(begin + {BLOCK}, (row_of + 1) * row_length)",
        ]
    body = [*place, *_elements(sweep, into, "begin", "end", dtype)]
    for k, node in enumerate(sweep.reductions):
        body += [*_fold(node.op, k * BLOCK), f"r{node.index}[block] = buffer[{k * BLOCK}]"]
    head = [f"row_blocks = (row_length + {BLOCK - 1}) // {BLOCK}"] if sweep.over == "row" else []
    return [*head, "for block in range(first, last):", *indented(body, 1)]


def _fold(op: str, at: int) -> list[str]:
    """The upper half onto the lower half until one is left, as `tree_sum` folds."""
    return [
        "size = end - begin",
        "while size > 1:",
        "    half = 1",
        "    while 2 * half < size:",
        "        half *= 2",
        f"    for i in range({at}, {at} + size - half):",
        "        low, high = buffer[i], buffer[i + half]",
        f"        buffer[i] = {joined(op, 'low', 'high')}",
        "    size = half",
    ]
