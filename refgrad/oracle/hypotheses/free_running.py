"""A run whose state cannot be read wholly, followed from the start in float64: cheap enough for hundreds of hypotheses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.arithmetic import floats, scalar_math
from refgrad.kinds.record import Record
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance import judgement
from refgrad.oracle.acceptance.findings import Output
from refgrad.oracle.hypotheses.sketched import Sets
from refgrad.tracing import Plans, free_names, free_values

#: scalar arithmetic in float64 that takes arrays as well
TABLE: scalar_math.Table = {
    **scalar_math.FLOAT64,
    "sqrt": np.sqrt,
    "pow": np.power,
    "max": np.maximum,
    "min": np.minimum,
}


@dataclass(frozen=True, eq=False)
class FreeRun:
    """A run, and the acceptance sets of what was seen of it: by leaf, step and tensor."""

    record: Record
    sets: Mapping[tuple[int, int, str], Sets]
    outside: int

    @classmethod
    def of(cls, record: Record, outputs: Iterable[Output]) -> FreeRun:
        """A run with its outputs, judged under some rules."""
        found, outside = {}, 0
        for output in outputs:
            outside += int(np.count_nonzero(output.judged.status == judgement.OUTSIDE))
            if output.step > 0 and np.ndim(output.values):
                found[output.leaf, output.step, output.tensor] = Sets.of(output.judged, output.values)
        return cls(record, found, outside)

    def distance(self, rules: list[Optimizer], plans: Plans, values: Mapping[str, float]) -> np.ndarray:
        """How far each element is from the truth, in half-widths of its set, with other values of some hyperparameters."""
        parts = list(self.distances(rules, plans, values).values())
        return np.concatenate(parts) if parts else np.zeros(0)

    def distances(self, rules: list[Optimizer], plans: Plans, values: Mapping[str, float]) -> dict[str, np.ndarray]:
        """The same by tensor."""
        parts: dict[str, list[np.ndarray]] = {}
        for leaf, rule in enumerate(rules):
            for name, part in self._of_leaf(leaf, rule, plans, values):
                parts.setdefault(name, []).append(part)
        return {name: np.concatenate(each) for name, each in parts.items()}

    def _of_leaf(
        self, leaf: int, rule: Optimizer, plans: Plans, values: Mapping[str, float]
    ) -> Iterator[tuple[str, np.ndarray]]:
        cases, seen, slots = self.record.cases, self.record.seen, rule.slots()
        state: dict[str, Any] = {n: v for n, v in rule.init(cases.arrays[leaf]["p"]).items() if n in slots}
        for t in range(1, len(seen)):
            p, known = seen[t - 1].params[leaf], seen[t - 1].state[leaf]
            state |= {n: np.reshape(known[n], np.shape(state[n])) for n in slots if n in known}
            extras, given = cases.of_leaf(t, leaf, rule)
            scalar_values = {n: float(state[n]) for n, slot in slots.items() if slot.scalar}
            free = free_values(p.shape, {"t": t, **scalar_values, **given})
            plan = plans(rule, p.ndim, free)
            names = {**rule.numbers(), **values, **dict(zip(free_names(rule, p.ndim), free, strict=True))}
            arrays = {
                "p": p,
                "g": cases.gradient(t, leaf),
                **extras,
                **{n: state[n] for n in slots if n not in scalar_values},
            }
            memo: dict[scalar_math.Expr, Any] = {}
            with np.errstate(all="ignore"):
                scalars = [scalar_math.evaluate(e, names, TABLE, memo) for e in plan.graph.scalars()]
                wide = {n: np.asarray(a, np.float64) for n, a in arrays.items()}
                found = floats.evaluate(plan.graph, wide, scalars)
                for name, value in found.items():
                    sets = self.sets.get((leaf, t, name))
                    if sets is not None:
                        yield name, sets.distances(value)
            state |= {n: found[n] for n in slots if n in found}
            state |= dict(zip(scalar_values, plan.scalar_outputs(*free), strict=True)) if scalar_values else {}
