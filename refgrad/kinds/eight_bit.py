"""A run of an optimizer with 8-bit state, judged step by step from the candidate's own codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.candidates.eight_bit import EightBitCandidate, quantized
from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import ArgumentError, CandidateError
from refgrad.oracle.acceptance.judge import INSIDE, OUTSIDE, Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.quantized_state import judge_step
from refgrad.oracle.engine.drive import Record, drive
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.steps import Outcome, Plans
from refgrad.oracle.engine.tally import finding
from refgrad.oracle.engine.verdict import Finding
from refgrad.oracle.inputs.steps import Inputs
from refgrad.quantizers.eight_bit import EightBit
from refgrad.tracing import free_values, plan_for


@dataclass(frozen=True)
class Way:
    """How a run is judged: as it claims, or with something changed."""

    change: Callable[[EightBit], EightBit] = lambda rule: rule
    policy: Policy = field(default_factory=Policy)
    plans: Plans = plan_for
    given: str = "old codes"
    parts: bool = True


@dataclass(frozen=True)
class Claim:
    """Who claims to be which rule, and how that is judged."""

    subject: EightBitCandidate
    rule: EightBit
    request: Request

    @property
    def way(self) -> Way:
        return Way(policy=self.request.policy)

    def drive(self, inputs: Inputs) -> Record:
        return drive(self.subject, self.rule.rule, inputs, self.request.time_limit)  # type: ignore[arg-type]

    def judge(
        self,
        record: Record,
        way: Way,
        leaves: Sequence[int] | None = None,
        steps: int = 10**9,
        *,
        measured: bool = False,
    ) -> Outcome:
        """Every completed step of every leaf, in order of steps; distances from the truth too if they are measured."""
        outcome = Outcome()
        numbers = range(len(record.rules)) if leaves is None else leaves
        runs = [_Leaf(record, i, way.change(self.rule.replace(rule=record.rules[i])), way) for i in numbers]
        for t in range(min(len(record.seen), steps + 1)):
            for leaf in runs:
                for name, judged, values in leaf.judge(t):
                    # what stands for codes and scales is given in float64, and computed in the working precision
                    unit = values.dtype if t and "." not in name else dtypes.working(leaf.p.dtype)
                    if outcome.add(name, judged, values, unit if measured and t else None):
                        outcome.first = _finding(leaf, name, t, judged, values, unit)
                        outcome.failing = (leaf.index, t, outcome.first.index)
        return outcome

    def fails(self, inputs: Inputs) -> bool:
        """Whether some value is outside on these inputs."""
        try:
            return self.judge(self.drive(inputs), self.way).first is not None
        except (ArgumentError, CandidateFault, CandidateError):
            return False


class _Leaf:
    """One parameter's way through the run."""

    def __init__(self, record: Record, index: int, rule: EightBit, way: Way) -> None:
        self.record, self.index, self.rule, self.way = record, index, rule, way
        self.p = record.inputs.p[index]
        self.initial = rule.init(self.p)

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

    def judge(self, t: int) -> Iterator[tuple[str, Judged, np.ndarray]]:
        """Each tensor that was observed after step ``t``, with its values; before the first step, the initial state."""
        if t == 0:
            yield from self._judge_initial()
            return
        p, new_p = (np.asarray(self.record.seen[i].params[self.index]) for i in (t - 1, t))
        g, after = self.record.inputs.g[t - 1][self.index], self.state(t)
        judged = judge_step(
            *(self.rule, p, g, self.state(t - 1), new_p, after, self.way.policy),
            plans=self.way.plans,
            given=self.way.given,
            parts=self.way.parts,
        )
        for name in sorted(
            judged, key=lambda n: (n == "p", n.endswith("codes"))
        ):  # what others were computed from first
            yield name, judged[name], self._values(name, new_p, after)

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


def _finding(leaf: _Leaf, name: str, t: int, judged: Judged, values: np.ndarray, unit: np.dtype) -> Finding:
    def inputs(index: tuple[int, ...]) -> dict[str, float]:
        found = {"t": float(t)}
        if t and values.shape == leaf.p.shape:
            before = leaf.rule.opened(leaf.state(t - 1))
            found["p"] = float(leaf.record.seen[t - 1].params[leaf.index][index])
            found["g"] = float(leaf.record.inputs.g[t - 1][leaf.index][index])
            found |= {n: float(a[index]) for n, a in before.items() if np.shape(a) == values.shape}
        return found

    return finding(t, name, leaf.record.inputs.name(leaf.index), judged, values, unit, inputs)
