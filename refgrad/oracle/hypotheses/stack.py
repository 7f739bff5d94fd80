"""Leaves of a run that share a rule, their arrays stacked by step: a few elements in one row, or whole tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from refgrad.kinds.record import Record
from refgrad.optimizers.base import Optimizer


@dataclass(frozen=True, eq=False)
class Stack:
    """Leaves that share a rule: arrays stacked by step, and by leaf where a reduction needs whole tensors."""

    rule: Optimizer
    ndim: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]
    before: Mapping[str, np.ndarray]
    after: Mapping[str, np.ndarray]
    #: the scalar slots that were read before each step
    scalar_values: Sequence[Mapping[str, float]]
    #: the extra inputs of each step that are numbers
    given: Sequence[Mapping[str, float]]
    batch: int

    def rows(self, steps: tuple[int, ...]) -> list[int]:
        """The places of some steps."""
        return [self.steps.index(t) for t in steps]

    def at(self, steps: tuple[int, ...]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """What was there before some steps, and after."""
        rows = self.rows(steps)
        if rows == list(range(len(self.steps))):
            return dict(self.before), dict(self.after)
        return {n: a[rows] for n, a in self.before.items()}, {n: a[rows] for n, a in self.after.items()}


def stack_of(
    record: Record, leaves: list[int], whole: bool, elements: int, besides: Mapping[int, np.ndarray] | None = None
) -> Stack:
    """The leaves' arrays by step: a few elements in one row, with those of some places besides, or whole tensors.

    Raises:
        ValueError: what was seen of a state does not have the rule's number of elements.
    """
    rule = record.rules[leaves[0]]
    p = record.cases.arrays[leaves[0]]["p"]
    none, more = np.zeros(0, int), besides or {}
    chosen = {
        leaf: np.union1d(_chosen(record.cases.arrays[leaf]["p"].size, leaf, elements), more.get(leaf, none)).astype(int)
        for leaf in leaves
    }

    def gathered(arrays: list[np.ndarray]) -> np.ndarray:
        if whole:
            return np.stack(arrays)
        return np.concatenate([np.asarray(a).reshape(-1)[chosen[leaf]] for leaf, a in zip(leaves, arrays, strict=True)])

    steps = range(1, len(record.seen))
    seen = record.seen
    before = {
        "p": np.stack([gathered([seen[t - 1].params[i] for i in leaves]) for t in steps]),
        "g": np.stack([gathered([record.cases.gradient(t, i) for i in leaves]) for t in steps]),
    }
    given = [{i: record.cases.of_leaf(t, i, rule) for i in leaves} for t in steps]
    before |= {n: np.stack([gathered([at[i][0][n] for i in leaves]) for at in given]) for n in given[0][leaves[0]][0]}
    after = {"p": np.stack([gathered([seen[t].params[i] for i in leaves]) for t in steps])}
    for name, slot in rule.slots().items():
        if slot.scalar or any(name not in seen[t].state[i] for t in steps for i in leaves):
            continue
        # a candidate may keep a state in fewer axes than the rule does, and from the first step on
        shapes = {i: slot.shape(record.cases.arrays[i]["p"].shape) for i in leaves}
        shown = [seen[0].state[i].get(name, rule.init(record.cases.arrays[i]["p"])[name]) for i in leaves]
        each = [shown, *([seen[t].state[i][name] for i in leaves] for t in steps)]
        rows = [gathered([np.reshape(a, shapes[i]) for i, a in zip(leaves, row, strict=True)]) for row in each]
        before[name], after[name] = np.stack(rows[:-1]), np.stack(rows[1:])
    slots = rule.slots()
    scalar_values = [
        {n: float(v) for n, v in seen[t - 1].state[leaves[0]].items() if n in slots and slots[n].scalar} for t in steps
    ]
    numbers = [at[leaves[0]][1] for at in given]
    return Stack(rule, p.ndim, p.shape, tuple(steps), before, after, scalar_values, numbers, 2 if whole else 0)


def _chosen(size: int, leaf: int, elements: int) -> np.ndarray:
    """Some elements of a leaf, the same at every call."""
    if size <= elements:
        return np.arange(size)
    return np.sort(np.random.Generator(np.random.Philox(leaf)).choice(size, elements, replace=False))
