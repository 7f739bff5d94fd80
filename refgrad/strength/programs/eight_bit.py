"""Programs of an optimizer with 8-bit state: one step from codes that the rule itself came to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refgrad.arithmetic import floats
from refgrad.kinds.record import Results
from refgrad.kinds.stateless import Answer
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.quantized_state import judge_step
from refgrad.oracle.hypotheses.equivalence import distinct
from refgrad.oracle.inputs.cases import Arrays
from refgrad.oracle.inputs.steps import generate
from refgrad.oracle.mutants import mutations
from refgrad.quantizers.base import Quantized
from refgrad.strength import graph_programs
from refgrad.strength.interpreter import Program
from refgrad.strength.optimizer_inputs import EDGE
from refgrad.strength.programs.base import FLOAT32, Case, CasePrograms, Mutants
from refgrad.strength.programs.quantizer import stored_parts
from refgrad.strength.rounding_styles import Style, random_scalars
from refgrad.tracing import Plan, free_values, plan_for

STEPS = 4
#: the parts of a slot, from its name and its new values
Parts = Callable[[str, np.ndarray], Results]


@dataclass(frozen=True)
class Step(Case):
    """One step: ``arrays`` are p, g and the slots as numbers, ``before`` is the state with its codes."""

    before: Mapping[str, Any] = field(default_factory=dict)


class EightBitPrograms(CasePrograms):
    """The new parameter, and the new codes and scales of each slot; programs are of the update rule, then of its quantizers."""

    def cases(self, seed: int) -> Iterator[Step]:
        made = generate(STEPS, FLOAT32, seed, self.rule.rule)
        for leaf, name in enumerate(made.names):
            p, state = made.p[leaf], self.rule.init(made.p[leaf])
            for t in range(STEPS):
                g, opened = made.g[t][leaf], self.rule.opened(state)
                if t:
                    arrays = {"p": p, "g": g, **{n: opened[n] for n in self.rule.quantized_slots(p.shape)}}
                    yield Step(name, arrays, arrays, state)
                with np.errstate(all="ignore"):
                    p, state = self.rule.step(p, g, state)

    def legal(self, case: Case, random: np.random.Generator, style: Style) -> Results:
        plan, free = self._plan(case)
        scalars = random_scalars(plan, free, random)
        wide = {n: a.astype(np.float64) for n, a in case.arrays.items()}
        with np.errstate(all="ignore"):
            found = Program(plan, wide, scalars, style, random).run()

        def parts(slot: str, x: np.ndarray) -> Results:
            quantizer, layout = self.rule.quantizer(slot), self.rule.quantizer(slot).layout(x.shape)
            stored = stored_parts(quantizer, layout)
            return graph_programs.legal_program(quantizer, quantizer.given(x, layout), random, style, stored)

        return self._results({n: a.astype(np.float32) for n, a in found.items()}, parts)

    def mutated(self, case: Case, mutation: Any) -> Results:
        plan, free = self._plan(case)
        plan = plan if mutation is None else mutation.apply(plan)
        with np.errstate(all="ignore"):
            found = floats.evaluate(plan.graph, case.arrays, [np.float32(s) for s in plan.scalars(*free)])

        def parts(slot: str, x: np.ndarray) -> Results:
            quantizer = self.rule.quantizer(slot)
            return graph_programs.mutated_program(quantizer, None, quantizer.given(x, quantizer.layout(x.shape)))

        shape = case.arrays["p"].shape
        return self._results({n: np.broadcast_to(np.asarray(a, np.float32), shape) for n, a in found.items()}, parts)

    def mutants(self, cases: Sequence[Case], most: float = math.inf) -> Mutants:
        """Those of the update rule; the quantizers' are measured by themselves."""
        plans = list(dict.fromkeys(self.rule.rule.plan((EDGE, EDGE), t) for t in range(1, STEPS + 1)))
        found = [m for m in mutations(plans) if not m.precision]
        return Mutants(distinct(self.rule.rule, found, 2))

    def answer(self, case: Case, given: Results, policy: Policy) -> Answer:
        assert isinstance(case, Step)
        rule, shape, values = self.rule, case.arrays["p"].shape, {"p": given["p"]}
        after: dict[str, Any] = {"t": int(case.before["t"]) + 1}
        for slot in rule.quantized_slots(shape):
            quantizer, layout = rule.quantizer(slot), rule.quantizer(slot).layout(shape)
            parts = {n: given[f"{slot}.{n}"] for n in quantizer.parts}
            after[slot] = Quantized(parts, shape, FLOAT32)
            for name, part in parts.items():
                stood = quantizer.values(name, part, layout)
                values[f"{slot}.{name}"] = layout.joined(stood) if name == "codes" else stood.reshape(-1)
        found = judge_step(rule, case.arrays["p"], case.arrays["g"], case.before, given["p"], after, policy)
        return {name: (judged, values[name]) for name, judged in found.items()}

    def _plan(self, case: Case) -> tuple[Plan, tuple[float, ...]]:
        assert isinstance(case, Step)
        shape = case.arrays["p"].shape
        free = free_values(shape, {"t": int(case.before["t"]) + 1})
        return plan_for(self.rule.rule, len(shape), free), free

    def _results(self, found: Arrays, parts: Parts) -> Results:
        """The parameter, and each slot as it is stored."""
        results = {"p": found["p"]}
        for slot in self.rule.quantized_slots(found["p"].shape):
            x = np.ascontiguousarray(found[slot])
            quantizer, layout = self.rule.quantizer(slot), self.rule.quantizer(slot).layout(x.shape)
            made = parts(slot, x)
            results |= {f"{slot}.{n}": quantizer.stored(n, made[n], layout) for n in quantizer.parts}
        return results
