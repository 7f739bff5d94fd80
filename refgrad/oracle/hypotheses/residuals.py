"""One output of a run under a change, as a function of hyperparameters: how far each element is from its truth."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from refgrad.arithmetic import floats, rewriting, scalar_math
from refgrad.arithmetic.graph import Graph
from refgrad.arithmetic.operations import OUTCOMES
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance import judgement
from refgrad.oracle.hypotheses.changes import Change
from refgrad.oracle.hypotheses.free_running import TABLE
from refgrad.oracle.hypotheses.stack import Stack
from refgrad.oracle.hypotheses.stacked import Stacked
from refgrad.rule import Range
from refgrad.tracing import Plan


@dataclass(frozen=True, eq=False)
class Segment:
    """Steps of a stack that share a plan: the output's own part, what it reads, and what came out."""

    graph: Graph
    arrays: Mapping[str, np.ndarray]
    free: Mapping[str, Any]
    observed: np.ndarray
    half: np.ndarray
    usable: np.ndarray
    batch: int
    outside: int

    def evaluated(self, graph: Graph, names: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Another graph on the same arrays; a name's value may be an array that broadcasts against them."""
        memo: dict[scalar_math.Expr, Any] = {}
        with np.errstate(all="ignore"):
            scalars = [scalar_math.evaluate(e, {**names, **self.free}, TABLE, memo) for e in graph.scalars()]
            return floats.evaluate(graph, self.arrays, scalars, self.batch)

    def distance(self, names: Mapping[str, Any]) -> np.ndarray:
        """How far each element is from the truth, in half-widths of its set; zero where that says nothing."""
        (truth,) = self.evaluated(self.graph, names).values()
        with np.errstate(all="ignore"):
            ratio = (truth - self.observed) / self.half
        return np.where(self.usable, np.nan_to_num(np.clip(ratio, -1e9, 1e9), nan=1e9), 0.0)


def names_by_way(graph: Graph, output: str) -> tuple[set[str], set[str]]:
    """The scalar names that reach an output by some way without a decision, and those that reach it through one.

    Where the graph gives other outputs as well, they go on in the next step.
    """
    valued: set[str] = set()
    decided: set[str] = set()
    stack = [(graph.outputs[output], False)]
    seen = set()
    while stack:
        node, behind = stack.pop()
        if (node.index, behind) not in seen:
            seen.add((node.index, behind))
            if node.op == "scalar":
                (decided if behind else valued).update(scalar_math.names_in(node.attribute))
            before = [graph.outputs[node.attribute]] if node.op == "input" and node.attribute in graph.outputs else []
            stack.extend((arg, behind or node.op in OUTCOMES) for arg in [*node.args, *before])
    return valued, decided


class Problem:
    """One output under a change, as a function of hyperparameters in coordinates in which they are well spread."""

    def __init__(self, screen: Stacked, change: Change, output: str) -> None:
        self.screen, self.change, self.output = screen, change, output
        self.rule: Optimizer = change.changed(screen.rule)
        self.numbers = self.rule.numbers()
        self.base: dict[str, float] = dict(self.numbers)
        self.segments = list(self._segments(self.rule))
        used = {n for graph in self._graphs() for e in graph.scalars() for n in scalar_math.names_in(e)}
        self.decided = sorted(self._by_decisions() & set(self.numbers))
        self.names = [n for n in self.numbers if n in used and n not in self.decided and self.numbers[n] != 0.0]

    @property
    def outside(self) -> int:
        """How many elements are outside their sets."""
        return sum(s.outside for s in self.segments)

    def _graphs(self) -> list[Graph]:
        return [s.graph for s in self.segments]

    def fits(self, values: Mapping[str, float]) -> bool:
        """True if no element is outside with some values."""
        return self.refined(values).outside == 0

    def _by_decisions(self) -> set[str]:
        """The names that reach the output through signs and comparisons alone."""
        found = [names_by_way(graph, self.output) for graph in self._graphs()]
        return set[str]().union(*(decided for _, decided in found)) - set[str]().union(*(valued for valued, _ in found))

    def _segments(self, rule: Optimizer) -> Iterator[Segment]:
        screen, policy = self.screen, self.change.policy_of(self.screen.policy)
        for stack in screen.stacks:
            for plan, frees in screen.steps_by_plan(stack, rule, self.change).items():
                if self.output in plan.graph.outputs and self.output in stack.after:
                    yield self._segment(stack, plan, frees, rule, policy)

    def _segment(self, stack: Stack, plan: Plan, frees: Any, rule: Optimizer, policy: Any) -> Segment:
        cone = rewriting.cone(plan.graph, self.output)
        judged = self.screen.judged(stack, cone, self.output, rule, frees, policy)
        before, after = stack.at(tuple(t for t, _ in frees))
        arrays = {n: a.astype(np.float64) for n, a in before.items()}
        arrays |= {rewriting.observed_name(n): a.astype(np.float64) for n, a in after.items()}
        observed = after[self.output].astype(np.float64)
        shape = (len(frees),) + (1,) * (observed.ndim - 1)
        free = {n: np.reshape([names[n] for _, names in frees], shape) for n in frees[0][1]}
        with np.errstate(all="ignore"):
            half = (judged.high - judged.low) / 2
            root = cone.outputs[self.output]
            if root.op == "round":  # what is stored moves in jumps; what it was rounded from does not
                half = half + root.attribute.unit(observed) * (0.5 if root.attribute.bits is None else 1.0)
                cone = rewriting.rebuilt(cone, outputs={self.output: lambda edit, node: node.args[0]})
            usable = np.isfinite(half) & (half > 0) & np.isfinite(observed) & np.isfinite(judged.truth)
            usable &= judged.status != judgement.UNDECIDED
        outside = int(np.count_nonzero(judged.status == judgement.OUTSIDE))
        return Segment(cone, arrays, free, observed, half, usable, stack.batch, outside)

    def residuals(self, values: Mapping[str, float]) -> np.ndarray:
        """How far each element is from the truth, in half-widths of its set."""
        names = {**self.base, **values}
        parts = [s.distance(names)[s.usable] for s in self.segments]
        return np.concatenate(parts) if parts else np.zeros(0)

    def refined(self, values: Mapping[str, float]) -> Self:
        """The same problem with the acceptance sets that belong to some values."""
        moved = dataclasses.replace(self.change, kind="value", rule={**self.change.rule, **values})
        problem = type(self)(self.screen, moved, self.output)
        problem.names, problem.base = self.names, {**self.base, **values}
        return problem

    def only(self, names: list[str]) -> Self:
        """The same problem with few names free."""
        problem = copy.copy(self)
        problem.names = list(names)
        return problem

    # coordinates: logarithms of sizes, and of what a decay lacks to one

    def coordinates(self, values: Mapping[str, float]) -> np.ndarray:
        return np.asarray([math.log(self.size(n, values[n])) for n in self.names])

    def values(self, coordinates: np.ndarray) -> dict[str, float]:
        sizes = np.exp(np.clip(coordinates, -700.0, 700.0))
        return {n: self.value(n, float(size)) for n, size in zip(self.names, sizes, strict=True)}

    def _lacks(self, name: str) -> bool:
        legal = self.rule.range_of(name)
        return isinstance(legal, Range) and legal.high == 1.0 and self.numbers[name] > 0.5

    def size(self, name: str, value: float) -> float:
        return 1.0 - value if self._lacks(name) else value

    def value(self, name: str, size: float) -> float:
        return 1.0 - min(size, 1.0) if self._lacks(name) else size


class FollowedProblem(Problem):
    """The same of all that was seen of a run whose state is hidden, which is followed from the start."""

    def _segments(self, rule: Optimizer) -> Iterator[Segment]:
        self._rules = self.screen.part_rules(self.change)
        self._followed = self.screen.follow(self.change)
        return iter(())

    def _graphs(self) -> list[Graph]:
        stack = self.screen.stacks[0]
        return [plan.graph for plan in self.screen.steps_by_plan(stack, self.rule, self.change)]

    @property
    def outside(self) -> int:
        """How many elements are outside their sets."""
        return self._followed.outside

    def fits(self, values: Mapping[str, float]) -> bool:
        """True if no element is outside with some values, as far as that is seen in float64."""
        return not np.any(np.abs(self.residuals(values)) > 1.0)

    def residuals(self, values: Mapping[str, float]) -> np.ndarray:
        """How far each element is from the truth, in half-widths of its set."""
        return self._followed.distance(self._rules, self.change.plans, {**self.base, **values})


def problem_of(screen: Stacked, change: Change, output: str) -> Problem | None:
    """One output as a function of hyperparameters, or all that was seen, where state is hidden; None where nothing tells."""
    if screen.locked:
        problem = Problem(screen, change, output)
        return problem if problem.segments else None
    return FollowedProblem(screen, change, output) if screen.followed is not None else None
