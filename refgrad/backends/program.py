"""What is run of a plan: its kernels' sources, for one working dtype, in one dialect."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from refgrad.axes import ELEMENT
from refgrad.backends import kernels, step_source
from refgrad.backends.compiler import Kernel
from refgrad.backends.dialect import NUMBA, Dialect
from refgrad.backends.row_source import RowSource, row_source
from refgrad.backends.source import KernelSource, kernel_source
from refgrad.backends.staged_source import PassSource, Stored, pass_sources
from refgrad.derived import derived
from refgrad.tracing import Plan, Scalars

#: rows of up to so many elements are folded and stored by one kernel: they stay in the cache in between, and threads share rows
LONGEST_ROW = 4096

NOTHING: Mapping[str, Stored] = MappingProxyType({})


class Ready(NamedTuple):
    """A kernel of one loop in memory, with the names of the arrays that it takes, and what computes its scalars."""

    kernel: Kernel
    arrays: tuple[str, ...]
    scalars: Callable[..., Scalars]


@dataclass(eq=False)
class Program:
    """The kernels of a plan. It has one loop, or passes, or neither where NumPy does it.

    Args:
        plan: the plan.
        loop: the kernel of a graph that one loop over the elements computes.
        passes: those of a graph with reductions, or with values that are one number a row, a column or a tensor.
        rows: the kernel that runs in place of the passes where rows are short, if nothing but rows is folded.
        ready: the kernel of the loop, once it was loaded or compiled.
    """

    plan: Plan
    loop: KernelSource | None = None
    passes: tuple[PassSource, ...] = ()
    rows: RowSource | None = None
    ready: Ready | None = None

    @property
    def sources(self) -> tuple[KernelSource, ...]:
        """The kernels' sources, in the order in which they run; of passes, where rows are long."""
        return (self.loop,) if self.loop is not None else tuple(s for piece in self.passes for s in piece.sources)

    def of_rows(self, shape: tuple[int, ...]) -> RowSource | None:
        """The kernel that runs in place of the passes on arrays of a shape, if there is one.

        Args:
            shape: that of the primary array.
        """
        return self.rows if math.prod(shape[1:]) <= LONGEST_ROW else None

    def sources_for(self, shape: tuple[int, ...]) -> tuple[KernelSource, ...]:
        """The sources of the kernels that run on arrays of a shape.

        Args:
            shape: that of the primary array.
        """
        rows = self.of_rows(shape)
        return self.sources if rows is None else (rows.source,)

    def load(self, loop: KernelSource) -> Ready:
        """The kernel of the loop, loaded or compiled now."""
        self.ready = Ready(kernels.get(loop), loop.arrays, self.plan.scalars)
        return self.ready


class Made(NamedTuple):
    """What a program is known by, besides its plan."""

    dtype: np.dtype
    stored: tuple[tuple[str, Stored], ...]
    dialect: Dialect


def program_of(
    plan: Plan, dtype: np.dtype, stored: Mapping[str, Stored] = NOTHING, dialect: Dialect = NUMBA
) -> Program:
    """The program of a plan, made once.

    Args:
        plan: the plan.
        dtype: the working dtype.
        stored: how outputs are stored that are kept in another type, by name.
        dialect: the language of its kernels.
    """
    known = programs(plan)
    # the common case, at each step of each parameter, needs no key of its own
    key = dtype if stored is NOTHING and dialect is NUMBA else Made(dtype, tuple(stored.items()), dialect)
    found = known.get(key)
    return known.setdefault(key, _made(plan, dtype, stored, dialect)) if found is None else found


@derived
def programs(plan: Plan) -> dict[np.dtype | Made, Program]:
    """The programs that were made of a plan so far; by working dtype, where no more need be said."""
    return {}


def _made(plan: Plan, dtype: np.dtype, stored: Mapping[str, Stored], dialect: Dialect) -> Program:
    graph, title = plan.graph, f"{type(plan.rule).__name__}, {dtype}"
    # NumPy runs the body, and a kernel of its own makes the products
    if graph.matrix() or not step_source.supports(graph):
        return Program(plan)
    small = any(n.op == "input" and n.axes != ELEMENT for n in graph.nodes)
    if small or graph.small or graph.reductions() or stored:
        rows = row_source(graph, dtype, title, stored, dialect)
        return Program(plan, passes=pass_sources(graph, dtype, title, stored, dialect), rows=rows)
    return Program(plan, kernel_source(graph, dtype, title, dialect))
