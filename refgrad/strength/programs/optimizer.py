"""Programs of an optimizer: trajectories of several steps, each step judged from the program's own last state."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from refgrad.arithmetic import floats
from refgrad.candidates.protocol import Observation
from refgrad.kinds.record import Record, Wanted
from refgrad.kinds.stepped import Stepped
from refgrad.kinds.table import kind_of
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.drive import drive
from refgrad.oracle.engine.tally import Tally
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.hypotheses.equivalence import distinct
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.mutants import Mutation, mutations
from refgrad.strength.optimizer_inputs import EDGE, corner, problems, stacked
from refgrad.strength.other_judges import rejected_by
from refgrad.strength.programs.base import ORDINARY, Mutants, Programs, tally
from refgrad.strength.random_candidate import RandomCandidate
from refgrad.strength.rounding_styles import Style
from refgrad.tracing import free_values

#: steps of a random program, and of a mutant
STEPS, MUTANT_STEPS = 8, 10
#: so many arrays are one, unless few values are asked for
STACKED, FEW_VALUES = 3, 1_000_000
#: so many values are enough of rules that multiply matrices: theirs are small, and cost a thousand times as much a value
OF_MATRICES = 300_000
#: mutants that survive are looked at for so many steps more, on other numbers
MORE_STEPS, MORE_SEEDS = 30, (1, 2)
#: of rules of more mutants than so many, of which one alone takes seconds, so many are tried
MANY, SAMPLE = 1000, 100
#: most faults show in the first steps
FIRST = 2


@dataclass(frozen=True)
class Trajectory:
    """One parameter with its gradients, and the seed of random programs on it."""

    inputs: Cases
    seed: int = 0

    @property
    def ordinary(self) -> bool:
        """True if the numbers are ordinary."""
        return self.inputs.names[0] in ORDINARY


class OptimizerPrograms(Programs):
    """The new parameter and the new state of each step; a program is one step on one array."""

    parts = ("random", "mutants")
    always = 2
    kind: Stepped

    def cases(self, seed: int) -> Iterator[Trajectory]:
        yield from map(Trajectory, problems(self.rule, STEPS, seed))

    def enough(self, values: int) -> int:
        return min(values, OF_MATRICES) if self.rule.plan((2, 2), 1).graph.matrix() else values

    def batches(self, values: int) -> Iterator[list[Trajectory]]:
        for first in itertools.count(0, STACKED):
            seeds = range(first, first + (1 if values < FEW_VALUES else STACKED))
            arrays = stacked([problems(self.rule, STEPS, seed, all_exponents=True) for seed in seeds])
            yield [Trajectory(inputs, first) for inputs in arrays]

    def rounds(self) -> Iterator[list[Trajectory]]:
        """Few numbers, many, and others for survivors."""
        whole = problems(self.rule, MUTANT_STEPS, 0)
        yield [Trajectory(corner(inputs)) for inputs in whole]
        yield [Trajectory(inputs) for inputs in whole]
        for seed in MORE_SEEDS:
            yield [Trajectory(inputs) for inputs in problems(self.rule, MORE_STEPS, seed, all_exponents=True)]

    def legal(self, case: Trajectory, random: np.random.Generator, style: Style) -> Record:
        return self.written(case, RandomCandidate(style, case.seed))

    def written(self, case: Trajectory, candidate: Any) -> Record:
        """What a candidate did, such as a function that somebody wrote; it has no fault besides values."""
        record = drive(self.kind, self.kind.resolve(candidate, self.rule, {}, None), self.rule, case.inputs)
        assert not record.faults, record.faults
        return record

    def mutated(self, case: Trajectory, mutation: Mutation | None) -> Record:
        if mutation is None:
            return run(self.rule, NONE, case.inputs)
        change = Change(mutation.name, mutation.sentence, "mutant", mutations=(mutation,))
        return run(self.rule, change, case.inputs)

    def mutants(self, cases: Sequence[Trajectory], most: float = math.inf) -> Mutants:
        """Those that are others in real arithmetic along a trajectory, none that only rounds otherwise; of very many some."""
        plans = list(dict.fromkeys(self.rule.plan((EDGE, EDGE), t) for t in range(1, MUTANT_STEPS + 1)))
        every = [m for m in mutations(plans) if not m.precision]
        if len(every) <= MANY:
            return Mutants(distinct(self.rule, every, 2))
        random = np.random.Generator(np.random.Philox(0))
        chosen = [every[i] for i in sorted(random.permutation(len(every))[:SAMPLE])]
        return Mutants(distinct(self.rule, chosen, 2), len(every))

    def judged(self, case: Trajectory, given: Record, policy: Policy) -> Tally:
        outputs = self.kind.outputs(given, given.rules, Wanted(policy))
        return tally((each.tensor, each.judged, each.values) for each in outputs)

    def judged_in_parts(self, case: Trajectory, given: Record, policy: Policy) -> Iterator[Tally]:
        for steps in (FIRST, given.steps):
            yield self.judged(case, replace(given, seen=given.seen[: steps + 1]), policy)

    def reference(self, case: Trajectory) -> None:
        """None: the other judges compare with the rule run from the candidate's own last state."""

    def rejections(self, given: Record, reference: None = None) -> Iterator[set[str]]:
        return rejected_steps(given)

    def share_of(self, output: str) -> str:
        return "p" if output == "p" else "state"


def run(rule: Optimizer, change: Change, inputs: Cases) -> Record:
    """The record of a rule's graph, run on one array, each operation in float32.

    Args:
        rule: the rule.
        change: what is changed of it.
        inputs: cases of one leaf, in float32.
    """
    state = {n: v for n, v in rule.init(inputs.p[0]).items() if n != "t"}
    p = np.array(inputs.p[0])
    record = kind_of(rule).record(rule, inputs)
    record.seen.append(Observation([p], [dict(state)]))
    for t, (g,) in enumerate(inputs.g, 1):
        scalar_values = {n: float(v) for n, v in state.items() if rule.slots()[n].scalar}
        extras, given = inputs.of_leaf(t, 0, rule)
        free = free_values(g.shape, {"t": t, **scalar_values, **given})
        plan = change.plans(rule, g.ndim, free)
        arrays = {"p": p, "g": g, **extras, **{n: v for n, v in state.items() if n not in scalar_values}}
        scalars = [np.float32(s) for s in plan.scalars(*free)]
        new = floats.evaluate(plan.graph, arrays, scalars)
        new = {n: np.broadcast_to(np.asarray(a, np.float32), np.shape(arrays[n])).copy() for n, a in new.items()}
        p = new.pop("p")
        state = {**new, **dict(zip(scalar_values, plan.scalar_outputs(*free), strict=True))}
        record.seen.append(Observation([p], [dict(state)]))
    return record


def rejected_steps(record: Record) -> Iterator[set[str]]:
    """For each step of a run on one array, the other judges that reject it.

    The candidate's new arrays are compared with those of the reference in float32, from the candidate's own last state: as
    near to refgrad's way of looking as they come.
    """
    rule, slots = record.rules[0], record.rules[0].slots()
    for t, grads in enumerate(record.cases.g[: record.steps], 1):
        before, after = record.seen[t - 1], record.seen[t]
        arrays, numbers = record.cases.of_leaf(t, 0, rule)
        extras: dict[str, Any] = {**arrays, **numbers}
        state = {"t": t - 1, **before.state[0]}
        want, state = rule.step(before.params[0], grads[0], state, backend="numpy", **extras)
        pairs: list[tuple[Any, Any]] = [(after.params[0], want)]
        pairs += [(after.state[0][n], state[n]) for n in slots if n in after.state[0]]
        yield set().union(*(rejected_by(np.asarray(a, np.float32), np.asarray(b, np.float32)) for a, b in pairs))
