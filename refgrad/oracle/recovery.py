"""Which hyperparameters were really used: solved from what was observed, as sets, where the data determine them.

Given all else that was seen, one output is a function of a few hyperparameters. They are fitted so that the distance
of every element from the truth, in half-widths of its acceptance set, is at most one; the values that may stand for
each, the others free, follow from a linear programme around the fit.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.arithmetic import floats, host, rewriting
from refgrad.arithmetic.graph import Graph
from refgrad.optimizers.base import Optimizer
from refgrad.oracle import judge
from refgrad.oracle.changes import Change
from refgrad.oracle.mutants.form import substituting
from refgrad.oracle.screen import Screen, Stack
from refgrad.rule import Range
from refgrad.tracing import Plan

#: a value that may be wrong by this factor either way and still fits is not determined
UNDETERMINED = 1e3
#: values that an eps is tried from, where a fit from the claimed one fails
EPS_STARTS = (1e-3, 1e-5, 1e-7, 1e-10, 1e-12)

_TABLE: host.Table = {**host.FLOAT64, "sqrt": np.sqrt, "max": np.maximum, "min": np.minimum}


@dataclass(frozen=True)
class Recovered:
    """A hyperparameter as the data tell it: ``value`` is the shortest decimal in ``[low, high]``, or the claimed one.

    ``output`` is the tensor that tells it; ``determined`` says whether the interval is narrower than a factor of a thousand.
    """

    name: str
    output: str
    claimed: float
    value: float
    low: float
    high: float
    determined: bool


@dataclass(frozen=True)
class Constants:
    """Hyperparameters that have other values in what one output is made of; a mutation."""

    output: str
    values: tuple[tuple[str, float], ...]

    model = False
    precision = False

    @property
    def name(self) -> str:
        """The values, and where they are."""
        return f"{', '.join(f'{n}={v!r}' for n, v in self.values)} in {self.output}'"

    def apply(self, plan: Plan) -> Plan:
        """The plan with numbers for names in one output's own part."""
        if self.output not in plan.graph.outputs:
            return plan
        change = substituting({n: host.const(v) for n, v in self.values})
        inside = {n.index for n in rewriting.cone_nodes(plan.graph, self.output)}
        edits = {}
        for node in plan.graph.nodes:
            if node.index in inside and any(a.op == "scalar" for a in node.args):
                edits[node.index] = lambda d, a, n=node: d.copy(
                    n, tuple(d.scalar(change(x.attribute)) if x.op == "scalar" else x for x in a)
                )
        return Plan(plan.rule, rewriting.rebuilt(plan.graph, edits), plan.free)


@dataclass(frozen=True, eq=False)
class _Segment:
    """Steps of a stack that share a plan: the output's own part, what it reads, and what came out."""

    graph: Graph
    arrays: Mapping[str, np.ndarray]
    free: Mapping[str, Any]
    observed: np.ndarray
    half: np.ndarray
    usable: np.ndarray
    batch: int


class _Problem:
    """One output under a change, as a function of hyperparameters in coordinates in which they are well spread."""

    def __init__(self, screen: Screen, change: Change, output: str) -> None:
        self.screen, self.change, self.output = screen, change, output
        self.rule: Optimizer = screen.stacks[0].rule.replace(**change.rule)
        self.numbers = self.rule.numbers()
        self.base: dict[str, float] = dict(self.numbers)
        self.segments = list(self._segments(self.rule))
        used = {n for s in self.segments for e in s.graph.scalars() for n in host.names_in(e)}
        self.names = [n for n in self.numbers if n in used and self.numbers[n] != 0.0]

    def _segments(self, rule: Optimizer) -> Iterator[_Segment]:
        screen, policy = self.screen, self.change.policy_of(self.screen.policy)
        for stack in screen.stacks:
            for plan, frees in screen.plans(stack, rule, self.change).items():
                if self.output in plan.graph.outputs and self.output in stack.after:
                    yield self._segment(stack, plan, frees, rule, policy)

    def _segment(self, stack: Stack, plan: Plan, frees: Any, rule: Optimizer, policy: Any) -> _Segment:
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
            usable = np.isfinite(half) & (half > 0) & np.isfinite(observed) & np.isfinite(judged.truth)
            usable &= judged.status != judge.UNDECIDED
        return _Segment(cone, arrays, free, observed, half, usable, stack.batch)

    def residuals(self, values: Mapping[str, float]) -> np.ndarray:
        """How far each element is from the truth, in half-widths of its set."""
        parts = []
        for s in self.segments:
            names = {**self.base, **s.free, **values}
            memo: dict[host.Expr, Any] = {}
            with np.errstate(all="ignore"):
                scalars = [host.evaluate(e, names, _TABLE, memo) for e in s.graph.scalars()]
                truth = floats.evaluate(s.graph, s.arrays, scalars, s.batch)[self.output]
                ratio = (np.broadcast_to(truth, s.observed.shape) - s.observed)[s.usable] / s.half[s.usable]
            parts.append(np.nan_to_num(np.clip(ratio, -1e9, 1e9), nan=1e9))
        return np.concatenate(parts) if parts else np.zeros(0)

    def refined(self, values: Mapping[str, float]) -> _Problem:
        """The same problem with the acceptance sets that belong to some values."""
        changes = {**self.change.rule, **values}
        moved = Change(
            self.change.name, self.change.sentence, "value", changes, self.change.policy, self.change.mutations
        )
        problem = _Problem(self.screen, moved, self.output)
        problem.names, problem.base = self.names, {**self.base, **values}
        return problem

    def only(self, names: list[str]) -> _Problem:
        """The same problem with few names free."""
        problem = copy.copy(self)
        problem.names = list(names)
        return problem

    # coordinates: logarithms of sizes, and of what a decay lacks to one

    def coordinates(self, values: Mapping[str, float]) -> np.ndarray:
        return np.asarray([math.log(self._size(n, values[n])) for n in self.names])

    def values(self, coordinates: np.ndarray) -> dict[str, float]:
        sizes = np.exp(np.clip(coordinates, -700.0, 700.0))
        return {n: self._value(n, float(size)) for n, size in zip(self.names, sizes, strict=True)}

    def _lacks(self, name: str) -> bool:
        legal = self.rule.legal()[name]
        return isinstance(legal, Range) and legal.high == 1.0 and self.numbers[name] > 0.5

    def _size(self, name: str, value: float) -> float:
        return 1.0 - value if self._lacks(name) else value

    def _value(self, name: str, size: float) -> float:
        return 1.0 - min(size, 1.0) if self._lacks(name) else size


def recover(
    screen: Screen, change: Change, output: str, known: Mapping[str, float] | None = None, thorough: bool = True
) -> list[Recovered] | None:
    """The hyperparameters that one output tells under a change; None if none explain it.

    The fewest that explain it are taken: one of them, if one will do; then all but those that are known from elsewhere,
    then all.

    Args:
        screen: what was observed.
        change: under which the output is judged.
        output: ``p`` or a slot.
        known: values that other outputs told.
        thorough: whether single hyperparameters are tried, and several values of eps to start from.
    """
    try:
        problem = _Problem(screen, change, output)
        if not problem.names or not problem.segments:
            return None
        known = {n: v for n, v in (known or {}).items() if n in problem.numbers}
        start = {**problem.numbers, **known}
        small = [n for n in problem.names if n.startswith("eps")]
        free = [n for n in problem.names if n not in known]
        tries = [([n], start) for n in problem.names] if thorough and len(problem.names) > 1 else []
        tries += [(names, start) for names in (free, problem.names) if names]
        tries += [(free, {**start, **dict.fromkeys(small, e)}) for e in EPS_STARTS if small and free and thorough]
        for names, values in tries:
            found = _fitted(problem.only(names), values)
            if found is not None:
                return _intervals(*found, output)
    except (ArithmeticError, ValueError, TypeError):
        return None
    return None


def _fitted(problem: _Problem, start: Mapping[str, float]) -> tuple[_Problem, np.ndarray] | None:
    """A problem and coordinates at which every element is inside its set."""
    from scipy.optimize import least_squares

    problem.base = dict(start)
    current = problem.coordinates(start)
    for _ in range(3):
        solved = least_squares(
            lambda u, p=problem: p.residuals(p.values(u)), current, x_scale=1.0, method="trf", max_nfev=40
        )
        current = solved.x
        largest = float(np.max(np.abs(solved.fun), initial=0.0))
        if not largest < 1e4:
            return None
        try:
            problem = problem.refined({**start, **problem.values(current)})
        except ValueError:
            return None
        residuals = problem.residuals(problem.values(current))
        for _ in range(2):
            if np.max(np.abs(residuals), initial=0.0) <= 1.0:
                return problem, current
            current = _centred(problem, current, residuals)
            residuals = problem.residuals(problem.values(current))
    return None


def _jacobian(problem: _Problem, at: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    step = 1e-6
    columns = []
    for i in range(len(at)):
        moved = at.copy()
        moved[i] += step
        columns.append((problem.residuals(problem.values(moved)) - residuals) / step)
    return np.stack(columns, axis=1)


def _centred(problem: _Problem, at: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    """The coordinates at which the farthest element is nearest, by a linear programme."""
    solution = _programme(_jacobian(problem, at, residuals), residuals, None, {}, slack=True)
    return at if solution is None else at + solution[: len(at)]


def _programme(
    jacobian: np.ndarray, residuals: np.ndarray, goal: np.ndarray | None, fixed: Mapping[int, float], slack: bool
) -> np.ndarray | None:
    """Moves with ``|residuals + jacobian moves| <= 1`` that minimize a goal (or, with ``slack``, the bound itself)."""
    from scipy.optimize import linprog

    count = jacobian.shape[1]
    scale = np.maximum(np.max(np.abs(jacobian), axis=0, initial=0.0), 1e-30)
    scaled = jacobian / scale
    last = -np.ones((len(residuals), 1)) if slack else np.zeros((len(residuals), 1))
    room = 0.0 if slack else 1.0
    matrix = np.concatenate([np.hstack([scaled, last]), np.hstack([-scaled, last])])
    vector = np.concatenate([room - residuals, room + residuals])
    aim = np.append(np.zeros(count), 1.0) if goal is None else np.append(goal, 0.0)
    reach = math.log(UNDETERMINED) * 2
    bounds = [(fixed[i] * scale[i],) * 2 if i in fixed else (-reach * scale[i], reach * scale[i]) for i in range(count)]
    solved = linprog(aim, A_ub=matrix, b_ub=vector, bounds=[*bounds, (0.0, None)], method="highs")
    return solved.x[:count] / scale if solved.status == 0 else None


def _intervals(problem: _Problem, at: np.ndarray, output: str) -> list[Recovered]:
    """What each hyperparameter may be, the shortest numbers first taken where they are narrowest."""
    residuals = problem.residuals(problem.values(at))
    jacobian = _jacobian(problem, at, residuals)
    claimed = problem.screen.stacks[0].rule.numbers()
    ranges = [_range(jacobian, residuals, i, {}) for i in range(len(at))]
    order = sorted(range(len(at)), key=lambda i: ranges[i][1] - ranges[i][0])
    fixed: dict[int, float] = {}
    chosen: dict[int, float] = {}
    for i in order:
        low, high = _range(jacobian, residuals, i, fixed)
        value = _shortest(problem, i, at[i] + low, at[i] + high, claimed[problem.names[i]])
        chosen[i] = value
        size = problem._size(problem.names[i], value)
        fixed[i] = math.log(size) - at[i] if size > 0 else 0.0
    found = []
    for i, name in enumerate(problem.names):
        ends = sorted(problem._value(name, math.exp(at[i] + x)) for x in ranges[i])
        width = ranges[i][1] - ranges[i][0]
        found.append(
            Recovered(name, output, claimed[name], chosen[i], ends[0], ends[1], width < math.log(UNDETERMINED))
        )
    return found


def _range(jacobian: np.ndarray, residuals: np.ndarray, i: int, fixed: Mapping[int, float]) -> tuple[float, float]:
    goal = np.zeros(jacobian.shape[1])
    goal[i] = 1.0
    ends = [_programme(jacobian, residuals, sign * goal, fixed, slack=False) for sign in (1.0, -1.0)]
    low, high = (0.0 if e is None else float(e[i]) for e in ends)
    return min(low, 0.0) if low <= high else low, high if low <= high else low


def _shortest(problem: _Problem, i: int, low: float, high: float, claimed: float) -> float:
    """The claimed value if it fits, else the decimal with the fewest digits between two coordinates."""
    name = problem.names[i]
    least, most = sorted((problem._value(name, math.exp(low)), problem._value(name, math.exp(high))))
    if least <= claimed <= most:
        return claimed
    middle = problem._value(name, math.exp((low + high) / 2))
    return shortest_decimal(least, most, middle)


def shortest_decimal(low: float, high: float, middle: float) -> float:
    """The number of the fewest decimal digits in an interval; the one nearest to the middle, if there are several."""
    for digits in range(1, 17):
        value = float(f"{middle:.{digits}g}")
        if low <= value <= high:
            return value
    return middle
