"""Optimizers with 8-bit state: driven step by step, each step judged from the candidate's own codes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.candidates.eight_bit import quantized, resolve
from refgrad.candidates.protocol import COUNTED, SAVED, CandidateFault
from refgrad.errors import ArgumentError, bad_argument
from refgrad.kinds.kind import NOT_FINITE, SHAPES
from refgrad.kinds.record import LOCKED, Driven, Record, Situation, Wanted
from refgrad.kinds.stateless import judged_of
from refgrad.kinds.stepped import Stepped
from refgrad.kinds.strays import Distances, distances, strays
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance.findings import Output
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, Judged
from refgrad.oracle.acceptance.quantized_state import judge_step
from refgrad.oracle.inputs.calls import late_steps, saved_and_loaded, zeros
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.eight_bit import generate
from refgrad.oracle.inputs.far_steps import FAR_STEPS, counts, far_steps, numbers_kept, why_not_far
from refgrad.oracle.inputs.steps import sizes
from refgrad.oracle.inputs.undefined import nan_gradients
from refgrad.quantizers.eight_bit import EightBit
from refgrad.tracing import Plan, Plans, free_values, plan_for

#: steps of the first leaf on which hypotheses are tried
FEW = 3


class EightBitKind(Stepped):
    """See `refgrad.kinds.kind`; the candidate is told the update rule, and shows codes and scales as its state."""

    name = "8-bit-optimizer"

    def resolve(
        self, candidate: Any, rule: EightBit, options: Mapping[str, Any], state_names: Mapping[str, str] | None
    ) -> Any:
        """The candidate; parts of slots are found by their names alone."""
        if state_names:
            raise bad_argument("state_names", dict(state_names), "None: parts of slots are found by their names alone")
        return resolve(candidate, options, rule)

    def told(self, rule: EightBit) -> Optimizer:
        """The update rule."""
        inner: Optimizer = rule.rule
        return inner

    def retold(self, rule: EightBit, told: Optimizer) -> EightBit:
        """The same way to keep the state of another update."""
        return rule.replace(rule=told)

    def filled(self, rule: EightBit, cases: Cases) -> Cases:
        """The elements over and over, as many as are quantized."""
        return cases.mapped(lambda a: np.resize(a, max(rule.min_8bit_size, a.size)))

    def generate(self, rule: EightBit, steps: int, dtype: np.dtype, seed: int, subject: Any = None) -> Cases:
        """The leaves of an optimizer, one with a short block, and one too small to be quantized if the candidate takes it."""
        return generate(rule, steps, dtype, seed, subject is None or subject.takes_small)

    def promised(self, subject: Any) -> tuple[str, ...]:
        """NaN and infinities."""
        return NOT_FINITE

    def unreached(self, rule: EightBit, reached: Container[str]) -> Iterator[str]:
        """Counts beyond those of a run, as of optimizers."""
        if FAR_STEPS not in reached and counts(rule.rule):
            yield why_not_far(rule.rule)

    def situations(self, rule: EightBit, asked: Driven) -> Iterator[Situation]:
        """Shapes, of arrays too small to be quantized only where the candidate takes them."""
        cases = sizes(rule.rule, asked.dtype, asked.seed)
        if cases is not None:
            small = getattr(asked.subject, "takes_small", True)
            taken = cases.leaves(lambda _, arrays: bool(arrays["p"].size) and (small or _quantized(rule, arrays["p"])))
            yield from (Situation(SHAPES, each, rule) for each in [taken] if each.arrays)
        how = (rule.rule, asked.dtype, asked.seed)
        yield Situation("zeros", self.filled(rule, zeros(*how)), rule)
        nan = nan_gradients(
            *how, steps=(1, 1)
        )  # what becomes of codes, which come after it, programs settle by themselves
        if nan is not None:
            yield Situation("NaN", self.filled(rule, replace(nan, outputs=frozenset())), rule)
        able: frozenset[str] = getattr(asked.subject, "abilities", frozenset())
        if SAVED in able:
            yield Situation("saved and loaded", self.filled(rule, saved_and_loaded(*how)), rule)
        yield Situation("late steps", self.filled(rule, late_steps(*how)), rule, alike=True)
        far = far_steps(*how) if COUNTED in able and not numbers_kept(rule.rule) else None
        yield from [] if far is None else [Situation(FAR_STEPS, self.filled(rule, far), rule)]

    def outputs(self, record: Record, rules: list[EightBit], wanted: Wanted) -> Iterator[Output]:
        """Parameter, scales and codes of every completed step of every leaf; the initial state first."""
        leaves = [_Leaf(record, i, rule, wanted) for i, rule in enumerate(rules)]
        chosen, far = record.cases.judged, frozenset[int]()
        if chosen and None not in record.seen:
            rest = (t for t in range(1, len(record.seen)) if t - 1 not in chosen)
            far = strays([leaf.distances for leaf in leaves], rest)
        for t, seen in enumerate(record.seen):
            if seen is None:
                return
            if chosen and t and t - 1 not in chosen and t not in far:
                continue
            try:
                for leaf in leaves:
                    yield from judged_of(record.cases, leaf.outputs(t))
            except ArgumentError as error:  # codes that stand for nothing are refused by the quantizer
                raise CandidateFault("structure", str(error)) from None

    def mode(self, tensors: Iterable[str], record: Record) -> str:
        """Step-locked, from the candidate's own codes."""
        return f"{LOCKED}, given the candidate's own codes"

    def reduced(self, record: Record) -> Cases | None:
        """The first steps of the first leaf."""
        return record.cases.only(0).at_steps(slice(0, FEW))

    def traced(self, rule: EightBit, record: Record, plans: Plans = plan_for) -> list[Plan]:
        """Those of the update rule at the first steps."""
        shape = record.cases.p[0].shape
        scalars = dict.fromkeys(rule.rule.scalar_inputs(), 1.0)
        found = (plans(rule.rule, len(shape), free_values(shape, {**scalars, "t": t})) for t in range(1, FEW + 1))
        return list(dict.fromkeys(found))

    def departures(self, rule: EightBit) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Slots that are quantized before the parameter is made of them."""
        sentence = "the parameter comes of the slots after they are quantized again"
        yield "state quantized first", sentence, {"given": "new codes"}

    def laws(self, rule: EightBit) -> tuple[Any, ...]:
        """Those of optimizers with 8-bit state."""
        from refgrad.kinds.laws.eight_bit import LAWS

        return LAWS


def _quantized(rule: EightBit, p: np.ndarray) -> bool:
    """True if any slot of a parameter is kept in codes."""
    return bool(rule.quantized_slots(p.shape))


class _Leaf:
    """One parameter's way through the run."""

    def __init__(self, record: Record, index: int, rule: EightBit, wanted: Wanted) -> None:
        self.record, self.index, self.rule, self.wanted = record, index, rule, wanted
        self.p = record.cases.p[index]

    @functools.cached_property
    def initial(self) -> dict[str, Any]:
        """The rule's own state before the first step; a whole array is quantized for it."""
        return self.rule.init(self.p)

    def before(self, t: int) -> dict[str, Any]:
        """The state before step ``t``, with the count that the candidate goes on from."""
        return {**self.state(t - 1), "t": self.record.cases.count(t, self.index) - 1}

    def state(self, t: int) -> dict[str, Any]:
        """The state after step ``t``; a slot that does not show before the first step is as the rule has it."""
        seen = self.record.seen[t].state[self.index]
        wanted = self.rule.quantized_slots(self.p.shape)
        found: dict[str, Any] = {"t": t}
        for name, slot in self.rule.rule.slots().items():
            shown = name in seen or any(key.startswith(f"{name}.") for key in seen)
            if not shown and t == 0:
                found[name] = self.initial[name]
            elif name in wanted:
                found[name] = quantized(self.rule, self.p.shape, name, seen)
            elif slot.scalar:
                found[name] = seen.get(name, self._scalar(name, t))
            elif name not in seen:
                raise CandidateFault(
                    "structure", f"{name} is not shown as it is; legal: an array of shape {self.p.shape}"
                )
            else:
                found[name] = np.asarray(seen[name]).reshape(slot.shape(self.p.shape))
        return found

    def _scalar(self, name: str, t: int) -> float:
        """A scalar slot that cannot be read follows from the steps alone."""
        scalar_values = {n: float(self.initial[n]) for n, slot in self.rule.rule.slots().items() if slot.scalar}
        for step in range(1, t + 1):
            free = free_values(self.p.shape, {"t": step, **scalar_values})
            plan = plan_for(self.rule.rule, self.p.ndim, free)
            scalar_values = dict(zip(scalar_values, plan.scalar_outputs(*free), strict=True))
        return scalar_values[name]

    def outputs(self, t: int) -> Iterator[Output]:
        """Each tensor that was observed after step ``t``; before the first step, the initial state."""
        for name, judged, values in self._judged(t) if t else self._judge_initial():
            # what stands for codes and scales is given in float64, and computed in the working precision
            unit = values.dtype if t and "." not in name else dtypes.working(self.p.dtype)
            yield Output(t, self.index, name, judged, values, unit, self._origin(t, values))

    def _judged(self, t: int) -> Iterator[tuple[str, Judged, np.ndarray]]:
        p, new_p = (np.asarray(self.record.seen[i].params[self.index]) for i in (t - 1, t))
        g, after = self.record.cases.gradient(t, self.index), self.state(t)
        judged = judge_step(
            *(self.rule, p, g, self.before(t), new_p, after, self.wanted.policy),
            plans=self.wanted.plans,
            **self.wanted.how,
        )
        for name in sorted(
            judged, key=lambda n: (n == "p", n.endswith("codes"))
        ):  # what others were computed from first
            yield name, judged[name], self._values(name, new_p, after)

    def distances(self, t: int) -> Distances:
        """How far the parameter after step ``t`` is from the rule in float64, roughly."""
        try:
            before = self.rule.opened(self.before(t))
        except (ArgumentError, CandidateFault):  # which is told where it is judged
            return {}
        scalar_values = {
            "t": before["t"] + 1.0,
            **{n: float(before[n]) for n, s in self.rule.rule.slots().items() if s.scalar},
        }
        arrays = {n: a for n, a in before.items() if n not in scalar_values}
        p, new = (np.asarray(self.record.seen[i].params[self.index]) for i in (t - 1, t))
        given = {"p": p, "g": self.record.cases.gradient(t, self.index), **arrays}
        return distances(self.rule.rule, given, scalar_values, {"p": new})

    def _values(self, name: str, p: np.ndarray, after: Mapping[str, Any]) -> np.ndarray:
        slot, _, part = name.partition(".")
        if not part:
            return p if slot == "p" else np.asarray(after[slot])
        quantizer, layout = self.rule.quantizer(slot), self.rule.quantizer(slot).layout(self.p.shape)
        values = quantizer.values(part, after[slot][part], layout)
        return layout.joined(values) if part == "codes" else values.reshape(-1)

    def _judge_initial(self) -> Iterator[tuple[str, Judged, np.ndarray]]:
        """What the candidate starts from, by the numbers that it stands for."""
        ours, theirs = self.rule.opened(self.initial), self.rule.opened(self.state(0))
        for name, slot in self.rule.rule.slots().items():
            if not slot.scalar:
                want, value = (np.asarray(each[name], np.float64) for each in (ours, theirs))
                status = np.where(value == want, INSIDE, OUTSIDE)
                yield name, Judged(status, want, want, want), value

    def _origin(self, t: int, values: np.ndarray) -> Callable[[tuple[int, ...]], dict[str, float]]:
        def origin(index: tuple[int, ...]) -> dict[str, float]:
            found = {"t": float(self.record.cases.count(t, self.index)) if t else 0.0}
            if t and values.shape == self.p.shape:
                before = self.rule.opened(self.state(t - 1))
                found["p"] = float(self.record.seen[t - 1].params[self.index][index])
                found["g"] = float(self.record.cases.gradient(t, self.index)[index])
                found |= {n: float(a[index]) for n, a in before.items() if np.shape(a) == values.shape}
            return found

        return origin


KIND = EightBitKind()
