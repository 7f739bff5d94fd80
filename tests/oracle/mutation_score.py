"""Every mutant that the rewrites make of a rule, run in float32 and judged: ``python -m tests.oracle.mutation_score AdamW``.

A mutant counts if it differs from the rule in real arithmetic along a trajectory, and only rounds (a constant in float32, a slot
in bfloat16) if it is not one of `precision`. It is judged on few elements first, and on all inputs if it survives there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from refgrad.arithmetic import floats
from refgrad.candidates.protocol import Observation
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.changes import Change
from refgrad.oracle.drive import Record
from refgrad.oracle.inputs import Inputs, generate
from refgrad.oracle.mutants import Mutation, mutations
from refgrad.oracle.policy import Policy
from refgrad.oracle.sameness import distinct
from refgrad.oracle.trajectory import judge_record
from refgrad.rule import rules
from refgrad.tracing import free_values

EDGE, STEPS = 8, 10


@dataclass(frozen=True)
class Survivor:
    """A mutant that was not rejected, and how much of the half-width of an acceptance set it came to use."""

    mutation: Mutation
    tightest: float


def run(rule: Optimizer, change: Change, inputs: Inputs) -> Record:
    """A changed rule, each operation in float32."""
    states = [{n: v for n, v in rule.init(p).items() if n != "t"} for p in inputs.p]
    params = [np.array(p) for p in inputs.p]
    record = Record(inputs, [rule] * len(params))
    record.seen.append(Observation(list(params), [dict(s) for s in states]))
    for t, grads in enumerate(inputs.g, 1):
        for leaf, g in enumerate(grads):
            hosts = {n: float(v) for n, v in states[leaf].items() if rule.slots()[n].host}
            free = free_values(g.shape, {"t": t, **hosts})
            plan = change.plans(rule, g.ndim, free)
            arrays = {"p": params[leaf], "g": g, **{n: v for n, v in states[leaf].items() if n not in hosts}}
            scalars = [np.float32(s) for s in plan.scalars(*free)]
            new = floats.evaluate(plan.graph, arrays, scalars)
            new = {n: np.broadcast_to(np.asarray(a, np.float32), np.shape(arrays[n])).copy() for n, a in new.items()}
            params[leaf] = new.pop("p")
            states[leaf] = {**new, **dict(zip(hosts, plan.host_outputs(*free), strict=True))}
        record.seen.append(Observation(list(params), [dict(s) for s in states]))
    return record


def small(inputs: Inputs) -> Inputs:
    """The corners of the tensors."""
    cut = (slice(0, EDGE), slice(0, EDGE))
    return Inputs([p[cut].copy() for p in inputs.p], [[g[cut].copy() for g in step] for step in inputs.g], inputs.names)


def considered(rule: Optimizer) -> list[Mutation]:
    """The mutants of a rule that are others in real arithmetic."""
    plans = list(dict.fromkeys(rule.plan((EDGE, EDGE), t) for t in range(1, STEPS + 1)))
    return distinct(rule, (m for m in mutations(plans) if not m.precision), 2)


def survivors(rule: Optimizer, found: list[Mutation]) -> Iterator[Survivor]:
    """Those that conform to the rule on all generated inputs."""
    whole = generate(STEPS, np.dtype(np.float32), 0)
    few = small(whole)
    for mutation in found:
        change = Change(mutation.name, mutation.sentence, "mutant", mutations=(mutation,))
        try:
            for inputs in (few, whole):
                record = run(rule, change, inputs)
                outcome = judge_record(record, record.rules, Policy())
                if outcome.first is not None:
                    break
            else:
                yield Survivor(mutation, max(outcome.tightest.values()))
        except (ArithmeticError, ValueError):
            continue  # it cannot be run with these hyperparameters


def configured(name: str) -> Optimizer:
    """A rule with all that it has switched on, so that there is something to mutate."""
    cls = rules(Optimizer)[name]
    assert issubclass(cls, Optimizer)
    on = {n: v for n, v in {"weight_decay": 0.1, "momentum": 0.9, "lr_decay": 0.1}.items() if n in cls.defaults()}
    return cls(**on)


def main() -> None:
    names = sys.argv[1:] or list(rules(Optimizer))
    print("| rule | mutants | rejected | survivors: largest error over what is allowed |\n|---|---|---|---|")
    for name in names:
        rule = configured(name)
        found = considered(rule)
        left = list(survivors(rule, found))
        listed = "; ".join(f"{s.mutation.name}: {s.tightest:.2g}" for s in left) or "none"
        print(f"| {rule} | {len(found)} | {len(found) - len(left)} | {listed} |", flush=True)


if __name__ == "__main__":
    main()
