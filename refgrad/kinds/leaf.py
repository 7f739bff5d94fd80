"""One parameter's way through the run of an optimizer, judged step-locked: each step from the candidate's own previous state."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.running_error import Bounded
from refgrad.axes import broadcasts
from refgrad.errors import RefgradError
from refgrad.kinds.record import Record
from refgrad.kinds.stepped import fits
from refgrad.kinds.strays import Distances, distances
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance import batches, chunks, comparing, judge, judgement, no_numbers, screening
from refgrad.oracle.acceptance.findings import Output
from refgrad.oracle.acceptance.judge import Step
from refgrad.oracle.acceptance.judgement import Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.tracing import Plans, free_names, free_values, plan_for


def locked_steps(record: Record, rules: list[Optimizer], policy: Policy) -> list[list[Step]]:
    """What each step of each leaf was judged from, leaf by leaf; nothing of a run whose state could not be read wholly."""
    leaves = [Leaf(record, i, rule, policy, plan_for) for i, rule in enumerate(rules)]
    times = range(1, len(record.seen))
    if not all(set(leaf.slots) <= set(leaf.state(t)) for leaf in leaves for t in times):
        return []
    return [[leaf.step(t) for t in times] for leaf in leaves]


def judge_ahead(leaves: Sequence[Leaf], t: int) -> None:
    """Judge step ``t`` of leaves together, as far as that can be; each then gives its own outputs."""
    ready = [(leaf, step) for leaf in leaves if (step := leaf.small_step(t)) is not None]
    if len(ready) > 1:
        policy = ready[0][0].policy
        for (leaf, step), judged in zip(
            ready, batches.judged_together([step for _, step in ready], policy), strict=True
        ):
            leaf.ahead = t, step, judged


class Leaf:
    """One parameter's way through the run; carries enclosures of the slots that cannot be read."""

    def __init__(self, record: Record, index: int, rule: Optimizer, policy: Policy, plans: Plans) -> None:
        self.record, self.index, self.rule, self.policy, self.plans = record, index, rule, policy, plans
        self.slots = rule.slots()
        self.carried: dict[str, Bounded] = {}
        #: the scalar slots after each step, as far as they were asked for; at first those that there are before any
        self._scalars: list[Mapping[str, float]] = [{}]
        self._states: dict[int, Mapping[str, Any]] = {}
        #: a step that was looked at with those of other leaves, and its outputs if it was judged with them
        self.ahead: tuple[int, Step, dict[str, Judged] | None] | None = None
        p = record.cases.p[index]
        #: a number without axes is judged as a vector of one, which is what a rule's body makes of it too
        self.shape = p.shape or (1,)
        self.initial: Mapping[str, Any] = rule.init(p.reshape(self.shape))

    def state(self, t: int) -> Mapping[str, Any]:
        """The slots that were read after step ``t``, each in the shape that broadcasts against the parameter."""
        if t not in self._states:
            self._states[t] = self._read(t)
        return self._states[t]

    def _read(self, t: int) -> Mapping[str, Any]:
        seen = {n: v for n, v in self.record.seen[t].state[self.index].items() if n in self.slots}
        return {
            n: v if self.slots[n].scalar else np.reshape(v, self.slots[n].shape(self.shape))
            for n, v in seen.items()
            if self.slots[n].scalar or fits(np.shape(v) or (1,), self.slots[n], self.shape)
        }

    def values(self, name: str, t: int) -> np.ndarray:
        """What was observed of a tensor after step ``t``."""
        return self._p(t) if name == "p" else np.asarray(self.state(t)[name])

    def _p(self, t: int) -> np.ndarray:
        return np.reshape(self.record.seen[t].params[self.index], self.shape)

    def outputs(self, t: int) -> Iterator[Output]:
        """Each tensor that was observed after step ``t``; before the first step, the initial state."""
        if 0 in self.shape:  # no number was computed
            return
        for name, judged, step, dtype in self._judged(t) if t else self._judge_initial():
            yield Output(t, self.index, name, judged, self.values(name, t), dtype, self._origin(name, t, judged, step))

    def apart(self, t: int) -> Iterator[Output]:
        """Each tensor after step ``t``, judged as if no other had been seen."""
        if 0 in self.shape or not self.record.cases.given(t, self.index):
            return
        step = self.step(t)
        judged, hidden = judge.judge(dataclasses.replace(step, after={"p": step.after["p"]}), self.policy)
        with np.errstate(all="ignore"):
            for name, known in hidden.items():
                seen = step.after[name]
                judged[name] = comparing.compare(known, seen.astype(np.float64), seen.dtype, self.policy)
        for name in judged:
            dtype = step.after[name].dtype
            yield Output(
                t, self.index, name, judged[name], step.after[name], dtype, self._origin(name, t, judged[name], step)
            )

    def small_step(self, t: int) -> Step | None:
        """What step ``t`` is judged from, of few elements and a state that shows; None of another."""
        if not 0 < self.record.cases.p[self.index].size <= batches.SMALL or not self.record.cases.given(t, self.index):
            return None
        shows = self.slots.keys() <= self.state(t - 1).keys() and self.slots.keys() <= self.state(t).keys()
        try:
            return self.step(t) if shows else None
        except RefgradError:  # which is raised again where this leaf has its turn
            return None

    def _judged(self, t: int) -> Iterator[tuple[str, Judged, Step | None, np.dtype]]:
        if not self.record.cases.given(t, self.index):
            yield from self._left_alone(t)
            return
        ahead, self.ahead = self.ahead, None
        at, step, together = ahead or (0, None, None)
        step = step if step is not None and at == t else self.step(t)
        judged, carried = self._judged_from(step, t) if together is None else self._completed(together, {}, step, t)
        flushed = self._flushed(t, step) if judgement.outside(judged.values()) else None
        if flushed is not None:
            other = self._judged_from(flushed, t)
            if judgement.outside(other[0].values()) < judgement.outside(judged.values()):
                step, (judged, carried) = flushed, other
        self.carried = carried
        for name in ("p", *self.slots)[::-1]:
            if name in judged:
                yield name, judged.pop(name), step, self.values(name, t).dtype

    def _judged_from(self, step: Step, t: int) -> tuple[dict[str, Judged], dict[str, Bounded]]:
        return self._completed(*screening.judge(step, self.policy), step, t)

    def _completed(
        self, judged: dict[str, Judged], carried: dict[str, Bounded], step: Step, t: int
    ) -> tuple[dict[str, Judged], dict[str, Bounded]]:
        """The outputs of a step with what is judged besides arrays."""
        if self.record.cases.nan_open or self.record.cases.may_meet:
            judged = no_numbers.looked_at(judged, self._no_numbers(step))
        scalar_values = {n: (float(v), _dtype_of(v)) for n, v in self.state(t).items() if self.slots[n].scalar}
        judged.update(judge.judge_scalars(step, scalar_values, self.policy))
        return judged, carried

    def _flushed(self, t: int, step: Step) -> Step | None:
        """A step with zero for its numbers that are subnormal, by which it may take another branch; None if it is the same."""
        least = dtypes.format_of(dtypes.working(step.after["p"].dtype)).smallest_normal
        free = {n: 0.0 if abs(v) < least else v for n, v in step.free.items()}
        if self.policy.subnormals == "keep" or free == step.free:
            return None
        plan = self.plans(self.record.cases.rule_at(t, self.rule), step.after["p"].ndim, tuple(free.values()))
        return dataclasses.replace(step, plan=plan, free=free)

    def _no_numbers(self, step: Step) -> no_numbers.Where:
        """Where of a step no program gives a number."""
        model, graph = comparing.model_for(self.policy, step.after["p"].dtype), step.plan.graph
        with np.errstate(all="ignore"):
            scalars = judge.scalars_of(step.plan, graph, step.free, model)
        return no_numbers.of_graph(graph, step.before, scalars, step.after)

    def _left_alone(self, t: int) -> Iterator[tuple[str, Judged, Step | None, np.dtype]]:
        """Without a gradient nothing of a leaf may change."""
        before = self.state(t - 1)
        for name in ("p", *self.state(t))[::-1]:
            now = self.values(name, t)
            old = self._p(t - 1) if name == "p" else np.asarray(before.get(name, self.initial.get(name)))
            want = np.broadcast_to(old.astype(np.float64), now.shape)
            same = (now.astype(np.float64) == want) | (np.isnan(want) & np.isnan(now.astype(np.float64)))
            yield name, Judged(np.where(same, judgement.INSIDE, judgement.OUTSIDE), want, want, want), None, now.dtype

    def _judge_initial(self) -> Iterator[tuple[str, Judged, Step | None, np.dtype]]:
        for name, value in self.state(0).items():
            want = np.asarray(self.initial[name], dtype=np.float64)
            # kept in a wider dtype, it is right if it rounds to the right one
            rounded = np.asarray(value).astype(np.asarray(self.initial[name]).dtype).astype(np.float64)
            status = np.where(rounded == want, judgement.INSIDE, judgement.OUTSIDE)
            yield name, Judged(status, want, want, want), None, np.asarray(value).dtype

    def distances(self, t: int) -> Distances:
        """By tensor how far step ``t`` is from the rule in float64, roughly."""
        if 0 in self.shape or not self.record.cases.given(t, self.index):
            return {}
        step = self.step(t)
        before = {name: known.value for name, known in step.before.items()}
        return distances(self.record.cases.rule_at(t, self.rule), before, step.free, step.after)

    def step(self, t: int) -> Step:
        """What step ``t`` is judged from."""
        known = self.state(t - 1)
        p, g = self._p(t - 1), self.record.cases.gradient(t, self.index).reshape(self.shape)
        extras = self.record.cases.of_leaf(t, self.index, self.rule)[0]
        extras = {n: a.reshape(self.shape) for n, a in extras.items()}
        large = p.size > chunks.CHUNK
        before: dict[str, Any] = {n: _kept(a, large) for n, a in {"p": p, "g": g, **extras}.items()}
        before |= {n: _any_bits(extras[n], self.rule.inputs()[n].bits) for n in extras if n in self.record.unknown}
        for name in (name for name, slot in self.slots.items() if not slot.scalar):
            if name in known:
                before[name] = _kept(np.asarray(known[name]), large)
            elif name in self.carried:
                before[name] = self.carried[name]
            else:
                before[name] = Bounded(np.asarray(self.initial[name], dtype=np.float64))
        plan, free = self._plan(t)
        after = {n: np.asarray(v) for n, v in self.state(t).items() if not self.slots[n].scalar}
        after["p"] = self._p(t)
        named = dict(zip(free_names(self.rule, p.ndim), free, strict=True))
        return Step(plan, named, judge.Large(before) if large else before, after)

    def _origin(
        self, name: str, t: int, judged: Judged, step: Step | None
    ) -> Callable[[tuple[int, ...]], Mapping[str, float]]:
        def origin(index: tuple[int, ...]) -> Mapping[str, float]:
            known = {"t": float(t), **(self.record.cases.of_leaf(t, self.index, self.rule)[1] if t else {})}
            if step is None:
                return known
            return known | (_at(self, name, t, step.before, index) if judged.truth.ndim else dict(step.free))

        return origin

    def _plan(self, t: int) -> tuple[Any, Sequence[float]]:
        """The plan of a step, and its free numbers: the count, scalar slots and what is handed in."""
        known, given = self.state(t - 1), self.record.cases.of_leaf(t, self.index, self.rule)[1]
        scalars = [name for name, slot in self.slots.items() if slot.scalar]
        values = {name: float(known[name]) if name in known else self._scalar_before(name, t) for name in scalars}
        free = free_values(self.shape, {"t": self.record.cases.count(t, self.index), **values, **given})
        return self.plans(self.record.cases.rule_at(t, self.rule), len(self.shape), free), free

    def _scalar_before(self, name: str, t: int) -> float:
        """A scalar slot that cannot be read: it follows from the steps alone, whichever of them are judged."""
        scalars = [name for name, slot in self.slots.items() if slot.scalar]
        while len(self._scalars) < t:
            step, found = len(self._scalars), self._scalars[-1]
            if self.record.cases.given(step, self.index):
                plan, free = self._plan(step)
                found = dict(zip(scalars, plan.scalar_outputs(*free), strict=True))
            self._scalars.append(found)
        return float(self._scalars[t - 1].get(name, self.initial[name]))


def _kept(array: np.ndarray, large: bool) -> np.ndarray | Bounded:
    """Numbers that are known, widened at once unless there are many."""
    return array if large else Bounded(array.astype(np.float64))


def _any_bits(like: np.ndarray, bits: int) -> Bounded:
    """All numbers that so many random bits may be."""
    middle = np.full(like.shape, (2.0**bits - 1) / 2)
    return Bounded(middle, middle.copy())


def _at(leaf: Leaf, name: str, t: int, before: Mapping[str, Bounded], index: tuple[int, ...]) -> dict[str, float]:
    """What an element was computed from, as far as it stands at the same place: of square matrices, those like its own."""
    apart = {n: slot.settled for n, slot in leaf.slots.items() if not broadcasts(slot.settled)}
    own = apart.get(name)
    shape = leaf.values(name if own else "p", t).shape
    alike = {n: b for n, b in before.items() if apart.get(n) == own}
    return {n: float(np.broadcast_to(b.value, shape)[index]) for n, b in alike.items()}


def _dtype_of(value: Any) -> np.dtype:
    return np.dtype(np.float64) if isinstance(value, float) else np.asarray(value).dtype
