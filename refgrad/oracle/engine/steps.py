"""Judging a recorded run, step-locked: each step from the candidate's own previous state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.arithmetic.graph import SQUARE
from refgrad.arithmetic.running_error import Bounded
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance import judge
from refgrad.oracle.acceptance.judge import Judged, Step
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.drive import Record, fits
from refgrad.oracle.engine.tally import Tally, finding
from refgrad.oracle.engine.tally import count as count
from refgrad.oracle.engine.verdict import Finding
from refgrad.tracing import Plan, free_names, free_values, plan_for


@dataclass
class Outcome(Tally):
    """What became of a run."""

    #: whether every slot was read
    locked: bool = True
    #: leaf, step and index of the first finding
    failing: tuple[int, int, tuple[int, ...]] | None = None


#: the plan of a rule for a number of axes and values of `free_names`; a rewritten one, where a mutant is judged
Plans = Callable[[Optimizer, int, tuple[float, ...]], Plan]


def judge_record(
    record: Record, rules: list[Optimizer], policy: Policy, plans: Plans = plan_for, measured: bool = False
) -> Outcome:
    """Every completed step of every leaf, in order of steps; distances from the truth if they are to be measured."""
    outcome = Outcome()
    leaves = [_Leaf(record, leaf, rules[leaf], policy, plans) for leaf in range(len(rules))]
    for t in range(len(record.seen)):
        for leaf in leaves:
            for name, judged, step, dtype in leaf.judge(t):
                if outcome.add(name, judged, leaf.values(name, t), dtype if measured and t > 0 else None):
                    outcome.first = _finding(leaf, name, t, judged, step, dtype)
                    outcome.failing = (leaf.index, t, outcome.first.index)
            outcome.locked = outcome.locked and leaf.locked
    return outcome


def judged_steps(
    record: Record, rules: list[Optimizer], policy: Policy, plans: Plans = plan_for
) -> Iterator[tuple[int, int, str, Judged, np.ndarray]]:
    """Every tensor that was observed: its leaf, step and name, how it was judged, and its values."""
    leaves = [_Leaf(record, leaf, rules[leaf], policy, plans) for leaf in range(len(rules))]
    for t in range(len(record.seen)):
        for leaf in leaves:
            for name, judged, _, _ in leaf.judge(t):
                yield leaf.index, t, name, judged, leaf.values(name, t)


def locked_steps(record: Record, rules: list[Optimizer], policy: Policy) -> list[list[Step]]:
    """What each step of each leaf was judged from, leaf by leaf; nothing of a run whose state could not be read wholly."""
    leaves = [_Leaf(record, i, rule, policy, plan_for) for i, rule in enumerate(rules)]
    times = range(1, len(record.seen))
    if not all(set(leaf.slots) <= set(leaf.state(t)) for leaf in leaves for t in times):
        return []
    return [[leaf._step(t) for t in times] for leaf in leaves]


class _Leaf:
    """One parameter's way through the run; carries enclosures of the slots that cannot be read."""

    def __init__(self, record: Record, index: int, rule: Optimizer, policy: Policy, plans: Plans) -> None:
        self.record, self.index, self.rule, self.policy, self.plans = record, index, rule, policy, plans
        self.slots = rule.slots()
        self.locked = True
        self.carried: dict[str, Bounded] = {}
        self.initial: Mapping[str, Any] = rule.init(record.inputs.p[index])

    def state(self, t: int) -> Mapping[str, Any]:
        """The slots that were read after step ``t``, each in the shape that broadcasts against the parameter."""
        shape = self.record.inputs.p[self.index].shape
        seen = {n: v for n, v in self.record.seen[t].state[self.index].items() if n in self.slots}
        return {
            n: v if self.slots[n].scalar else np.reshape(v, self.slots[n].shape(shape))
            for n, v in seen.items()
            if self.slots[n].scalar or fits(np.shape(v), self.slots[n], shape)
        }

    def values(self, name: str, t: int) -> np.ndarray:
        """What was observed of a tensor after step ``t``."""
        seen = self.record.seen[t].params[self.index] if name == "p" else self.state(t)[name]
        return np.asarray(seen)

    def judge(self, t: int) -> Iterator[tuple[str, Judged, Step | None, np.dtype]]:
        """Each tensor that was observed after step ``t``; before the first step, the initial state."""
        if t == 0:
            yield from self._judge_initial()
            return
        step = self._step(t)
        judged, carried = judge.judge(step, self.policy)
        scalar_values = {n: (float(v), _dtype_of(v)) for n, v in self.state(t).items() if self.slots[n].scalar}
        judged.update(judge.judge_scalars(step, scalar_values))
        self.carried = carried
        hidden = set(self.slots) - set(self.state(t))
        self.locked = self.locked and not hidden
        for name in ("p", *self.slots)[::-1]:
            if name in judged:
                yield name, judged[name], step, self.values(name, t).dtype

    def _judge_initial(self) -> Iterator[tuple[str, Judged, Step | None, np.dtype]]:
        for name, value in self.state(0).items():
            want = np.asarray(self.initial[name], dtype=np.float64)
            # kept in a wider dtype, it is right if it rounds to the right one
            rounded = np.asarray(value).astype(np.asarray(self.initial[name]).dtype).astype(np.float64)
            status = np.where(rounded == want, judge.INSIDE, judge.OUTSIDE)
            yield name, Judged(status, want, want, want), None, np.asarray(value).dtype

    def _step(self, t: int) -> Step:
        known = self.state(t - 1)
        p, g = self.record.seen[t - 1].params[self.index], self.record.inputs.g[t - 1][self.index]
        extras, given = self.record.inputs.of_leaf(t, self.index, self.rule)
        before = {n: Bounded(a.astype(np.float64)) for n, a in {"p": p, "g": g, **extras}.items()}
        before |= {n: _any_bits(extras[n], self.rule.inputs()[n].bits) for n in extras if n in self.record.unknown}
        scalar_values: dict[str, float] = {}
        for name, slot in self.slots.items():
            if slot.scalar:
                scalar_values[name] = float(known.get(name, self.scalars_before(name, t)))
            elif name in known:
                before[name] = Bounded(np.asarray(known[name], dtype=np.float64))
            elif name in self.carried:
                before[name] = self.carried[name]
            else:
                before[name] = Bounded(np.asarray(self.initial[name], dtype=np.float64))
        free = free_values(p.shape, {"t": t, **scalar_values, **given})
        plan = self.plans(self.rule, p.ndim, free)
        self.last_scalars = dict(zip(scalar_values, plan.scalar_outputs(*free), strict=True)) if scalar_values else {}
        after = {n: np.asarray(v) for n, v in self.state(t).items() if not self.slots[n].scalar}
        after["p"] = self.record.seen[t].params[self.index]
        return Step(plan, dict(zip(free_names(self.rule, p.ndim), free, strict=True)), before, after)

    def scalars_before(self, name: str, t: int) -> float:
        """A scalar slot that cannot be read follows from the steps alone."""
        return float(self.initial[name]) if t == 1 else self.last_scalars[name]


def _any_bits(like: np.ndarray, bits: int) -> Bounded:
    """All numbers that so many random bits may be."""
    middle = np.full(like.shape, (2.0**bits - 1) / 2)
    return Bounded(middle, middle.copy())


def _at(leaf: _Leaf, name: str, t: int, before: Mapping[str, Bounded], index: tuple[int, ...]) -> dict[str, float]:
    """What an element was computed from, as far as it stands at the same place: of square matrices, those like its own."""
    levels = {n: slot.level if slot.level in SQUARE else "" for n, slot in leaf.slots.items()}
    own = levels.get(name, "")
    shape = leaf.values(name if own else "p", t).shape
    alike = {n: b for n, b in before.items() if levels.get(n, "") == own}
    return {n: float(np.broadcast_to(b.value, shape)[index]) for n, b in alike.items()}


def _dtype_of(value: Any) -> np.dtype:
    return np.dtype(np.float64) if isinstance(value, float) else np.asarray(value).dtype


def _finding(leaf: _Leaf, name: str, t: int, judged: Judged, step: Step | None, dtype: np.dtype) -> Finding:
    def inputs(index: tuple[int, ...]) -> dict[str, float]:
        known = {"t": float(t), **(leaf.record.inputs.of_leaf(t, leaf.index, leaf.rule)[1] if t else {})}
        if step is None:
            return known
        return known | (_at(leaf, name, t, step.before, index) if judged.truth.ndim else dict(step.free))

    path = leaf.record.inputs.name(leaf.index)
    return finding(t, name, path, judged, leaf.values(name, t), dtype, inputs)
