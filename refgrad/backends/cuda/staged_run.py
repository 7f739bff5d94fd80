"""Running a plan with reductions on a device: a launch a pass, one ahead of it, and nothing that the host waits for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refgrad.arithmetic.folding import BLOCK
from refgrad.arithmetic.graph import Node
from refgrad.axes import EACH_COLUMN, EACH_ROW, ROW, TENSOR, Axes
from refgrad.backends.between_source import Between, own_axes
from refgrad.backends.cuda.device import THREADS, Device, grid
from refgrad.backends.cuda.staged_source import Stage, conversion_source
from refgrad.backends.cuda.storage import Codes, Forms, Number
from refgrad.tracing import Plan


def run(
    stages: tuple[Stage, ...],
    plan: Plan,
    free: tuple[float, ...],
    arrays: Mapping[str, Any],
    forms: Forms,
    device: Device,
) -> None:
    """Overwrite the plan's outputs.

    Args:
        stages: the plan's kernels.
        plan: the plan.
        free: the values of its free names, in order.
        arrays: what it reads and writes, by name; the primary array has elements.
        forms: how they are stored.
        device: where they lie.
    """
    p = arrays[plan.rule.primary]
    shape = (p.shape[0], math.prod(p.shape[1:])) if p.ndim else (1, 1)
    working = stages[0].source.dtype
    running = _Run(device, device.stream(), working, shape, arrays, forms, plan.scalars(*free))
    for stage in stages:
        running.ahead(stage)
        if stage.sweep.reductions or stage.arrays:
            running.sweep(stage)
    running.finish({name: plan.graph.outputs[name] for name in plan.graph.small})


@dataclass(eq=False)
class _Run:
    """One run of a plan.

    Args:
        device: the device.
        stream: the queue that its launches go to.
        working: the working dtype.
        shape: the numbers of rows, and of what a row has.
        arrays: all arrays that the rule is handed, by name.
        forms: how they are stored.
        scalars: the graph's scalars, in order.
        values: what is one number a row, a column or a tensor, in the working dtype, by the indices of nodes.
        left: what the blocks of the last pass left of its reductions.
    """

    device: Device
    stream: Any
    working: np.dtype
    shape: tuple[int, int]
    arrays: Mapping[str, Any]
    forms: Forms
    scalars: tuple[float, ...]
    values: dict[int, Any] = field(default_factory=dict)
    left: list[tuple[Node, Any]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many elements there are."""
        return self.shape[0] * self.shape[1]

    def length(self, axes: Axes) -> int:
        """How many numbers there are of what has such axes."""
        return 1 if axes == TENSOR else self.shape[0] if axes == ROW else self.shape[1]

    def ahead(self, stage: Stage) -> None:
        """What is computed ahead of a pass."""
        for node in stage.sweep.before:
            if node.op == "input":
                self.values[node.index] = self._read(node.attribute)
        if stage.ahead is not None:
            self._between(stage.ahead)

    def _between(self, ahead: Between) -> None:
        self.values |= {node.index: blocks for node, blocks in self.left}
        self.left = []
        for node in ahead.arrays.vectors:
            self.values[node.index] = self._room(self.length(node.args[0].axes))
        for node in ahead.arrays.kept:
            self.values[node.index] = self._room(self.length(own_axes(node)))
        at = [self.device.address(self.values[node.index]) for node in ahead.arrays.nodes]
        taken = [self.scalars[i] for i in ahead.scalars]
        self.device.launch(ahead.source, 1, THREADS, [self.size, self.shape[1], *at, *taken], self.stream)

    def _room(self, length: int) -> Any:
        return self.device.empty((length,), self.working)

    def sweep(self, stage: Stage) -> None:
        """One pass over the elements, and the fold of columns behind it."""
        sweep, columns = stage.sweep, stage.fold is not None
        numbers, rooms = self._blocks(sweep.over)
        blocks = [self._room(rooms) for _ in sweep.reductions]
        terms = [self._room(self.size) for _ in sweep.reductions] if columns else blocks
        held = [*(self.arrays[name] for name in stage.arrays), *(self.values[n.index] for n in sweep.small), *terms]
        taken = [self.scalars[i] for i in stage.scalars]
        count = min(numbers, grid(self.size * THREADS)[0]) if sweep.reductions and not columns else grid(self.size)[0]
        given = [self.size, self.shape[1], *map(self.device.address, held), *taken]
        self.device.launch(stage.source, count, THREADS, given, self.stream)
        if stage.fold is not None:
            pairs = [self.device.address(a) for pair in zip(terms, blocks, strict=True) for a in pair]
            self.device.launch(stage.fold, *grid(rooms), [self.size, self.shape[1], *pairs], self.stream)
        self.left += zip(sweep.reductions, blocks, strict=True)

    def _blocks(self, over: Axes) -> tuple[int, int]:
        """How many blocks of the tree a pass folds, and how many numbers they leave of each reduction."""
        rows, row_length = self.shape
        if over == EACH_COLUMN:
            blocks = -(-rows // BLOCK)
            return blocks, blocks * row_length
        each, length = (rows, row_length) if over == EACH_ROW else (1, self.size)
        return (each * -(-length // BLOCK),) * 2

    def _read(self, name: str) -> Any:
        """An array's elements in the working dtype: the array itself where it has that."""
        array, form, plain = self.arrays[name], self.forms[name], Number(self.working.name)
        if form == plain:
            return array
        made = self.device.empty(array.shape, self.working)
        self._copy(array, made, form, plain)
        return made

    def _copy(self, of: Any, to: Any, form: Number | Codes, other: Number | Codes) -> None:
        """As many elements copied as the second array has."""
        source = conversion_source(form, other, self.working.name)
        given = [to.size, self.device.address(of), self.device.address(to)]
        self.device.launch(source, *grid(to.size), given, self.stream)

    def finish(self, small: Mapping[str, Node]) -> None:
        """What is one number a row, a column or the tensor written to its arrays.

        What is given as one array may be what was in another one: that is copied before anything is written.
        """
        held, plain = {}, Number(self.working.name)
        for name, node in small.items():
            value = self.values[node.index]
            if node.op == "input":
                value = self.device.empty(self.arrays[name].shape, self.working)
                self._copy(self.values[node.index], value, plain, plain)
            held[name] = value
        for name, value in held.items():
            self._copy(value, self.arrays[name], plain, self.forms[name])
