"""Which hyperparameters were really used: solved from what was observed, as sets, where the data determine them.

Given all else that was seen, one output is a function of a few hyperparameters. They are fitted so that the distance
of every element from the truth, in half-widths of its acceptance set, is at most one; the values that may stand for
each, the others free, follow from a linear programme around the fit. What acts through decisions alone is told by these
(see `refgrad.oracle.hypotheses.crossings`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from refgrad.oracle.hypotheses import crossings
from refgrad.oracle.hypotheses.protocol import Late
from refgrad.oracle.hypotheses.recovered import UNDETERMINED, Recovered, shortest_decimal
from refgrad.oracle.hypotheses.residuals import Problem

#: values that an eps is tried from, where a fit from the claimed one fails
EPS_STARTS = (1e-3, 1e-5, 1e-7, 1e-10, 1e-12)
#: elements that are added to a linear programme at once, and by how much they may break its answer
AT_ONCE, LOOSE = 24, 1e-9
#: half-widths to which no values may bring all elements as far as their slopes tell, beyond which none are looked for
FAR = 4.0


def recover(problem: Problem, known: Mapping[str, float], thorough: bool, late: Late) -> list[Recovered] | None:
    """The hyperparameters that one output tells under a change; None if none explain it, or there is no time.

    The fewest that explain it are taken: one of them, if one will do; then all but those that are known from elsewhere,
    then all.

    Args:
        problem: the output as a function of hyperparameters.
        known: values that other outputs told.
        thorough: True to try single hyperparameters, and several values of eps to start from.
        late: asked before each try.
    """
    try:
        known = {n: v for n, v in known.items() if n in problem.numbers}
        start = {**problem.numbers, **known}
        for names, values in _tries(problem, start, known, thorough):
            if late():
                return None
            found = _fitted(problem.only(names), values)
            if found is not None:
                return _intervals(*found, problem.output)
        return _decided(problem, start, known, thorough, late)
    except (ArithmeticError, ValueError, TypeError):
        return None


_Try = tuple[list[str], dict[str, float]]


def _tries(problem: Problem, start: dict[str, float], known: Mapping[str, float], thorough: bool) -> list[_Try]:
    """Which hyperparameters are set free, and where from; the fewest first."""
    small = [n for n in problem.names if n.startswith("eps")]
    free = [n for n in problem.names if n not in known]
    tries = [([n], start) for n in problem.names] if thorough and len(problem.names) > 1 else []
    tries += [(names, start) for names in (free, problem.names) if names]
    tries += [(free, {**start, **dict.fromkeys(small, e)}) for e in EPS_STARTS if small and free and thorough]
    return tries


def _decided(
    problem: Problem, start: dict[str, float], known: Mapping[str, float], thorough: bool, late: Late
) -> list[Recovered] | None:
    """What decisions tell of a hyperparameter that acts through them alone, and what the values then tell of others."""
    if problem.change.mutations and any(s.graph.couples() for s in problem.segments):
        return None  # it would take too long
    for name in problem.decided:
        if late():
            return None
        value = crossings.value_of(problem, name, start)
        if value is not None and not problem.refined({name: value}).outside:
            return [_told(problem, name, value, start)]
        turned = _turned(problem, name, start) if problem.names else None
        if turned is None:
            continue
        for names, first in _tries(problem, start, known, thorough):
            found = _fitted(turned.only(names), {**first, name: turned.base[name]})
            if found is not None:
                others = _intervals(*found, problem.output)
                values = {**start, **{r.name: r.value for r in others}}
                return [*others, _told(problem, name, turned.base[name], values)]
    return None


def _turned(problem: Problem, name: str, start: Mapping[str, float]) -> Problem | None:
    """The problem with the value under which decisions go as they went, the other values being known roughly."""
    turned = problem
    for slack in crossings.SLACKS:
        values = {**start, **_rough(turned, turned.base)}
        value = crossings.value_of(turned, name, values, slack)
        if value is None:
            return None
        turned = problem.refined({**values, name: value})
    return turned


def _rough(problem: Problem, start: Mapping[str, float]) -> dict[str, float]:
    """What most elements say of the hyperparameters that act by their values, though some decisions are wrong."""
    from scipy.optimize import least_squares

    at = problem.coordinates(start)
    for _ in range(4):  # what is far off counts by its distance alone, and more is far off each time
        far = max(1.0, float(np.median(np.abs(problem.residuals(problem.values(at))))))
        solved = least_squares(
            lambda u: problem.residuals(problem.values(u)), at, loss="soft_l1", f_scale=far, max_nfev=20
        )
        at = solved.x
    return problem.values(at)


def _told(problem: Problem, name: str, value: float, others: Mapping[str, float]) -> Recovered:
    """A hyperparameter that decisions tell, with the values under which none is wrong."""
    low, high = crossings.interval(problem, name, value, others)
    claimed = problem.screen.rule.numbers()[name]
    told = claimed if low <= claimed <= high else shortest_decimal(low, high, value)
    sizes = sorted(abs(problem.size(name, end)) for end in (low, high))
    determined = low * high > 0 and sizes[1] < UNDETERMINED * sizes[0]
    return Recovered(name, problem.output, claimed, told, low, high, determined)


def _fitted(problem: Problem, start: Mapping[str, float]) -> tuple[Problem, np.ndarray] | None:
    """A problem and coordinates at which every element is inside its set."""
    from scipy.optimize import least_squares

    problem.base = dict(start)
    current = problem.coordinates(start)
    usable = len(problem.residuals(start))
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
                # sets so wide that they decide nothing explain nothing
                return (problem, current) if 2 * len(residuals) > usable else None
            jacobian = _jacobian(problem, current, residuals)
            if _least(jacobian, residuals) > FAR:
                return None
            moves = _programme(jacobian, residuals, None, {}, slack=True)
            current = current if moves is None else current + moves
            residuals = problem.residuals(problem.values(current))
    return None


def _jacobian(problem: Problem, at: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    step = 1e-6
    columns = []
    for i in range(len(at)):
        moved = at.copy()
        moved[i] += step
        columns.append((problem.residuals(problem.values(moved)) - residuals) / step)
    return np.stack(columns, axis=1)


def _least(jacobian: np.ndarray, residuals: np.ndarray) -> float:
    """A bound from below on how far the farthest element is, whatever the moves, as the slopes have it.

    Of what no moves change, ``y``, every move leaves ``y . residuals``, which the farthest element times the sum of ``|y|``
    is not less than.
    """
    scaled = jacobian / np.maximum(np.max(np.abs(jacobian), axis=0, initial=0.0), 1e-30)
    left = residuals - scaled @ np.linalg.lstsq(scaled, residuals, rcond=None)[0]
    total = float(np.sum(np.abs(left)))
    return float(left @ left) / total if total > 0 else 0.0


def _programme(
    jacobian: np.ndarray, residuals: np.ndarray, goal: np.ndarray | None, fixed: Mapping[int, float], slack: bool
) -> np.ndarray | None:
    """Moves with ``|residuals + jacobian moves| <= 1`` that minimize a goal (or, with ``slack``, the bound itself).

    Few elements bind: a programme of those that stand out is solved, and those that its answer breaks are added, until none
    is broken, which is the answer of the programme of all.
    """
    scale = np.maximum(np.max(np.abs(jacobian), axis=0, initial=0.0), 1e-30)
    scaled = jacobian / scale
    rows = _standing_out(scaled, residuals)
    while True:
        solved = _solved(scaled[rows], residuals[rows], goal, {i: x * scale[i] for i, x in fixed.items()}, scale, slack)
        if solved is None:
            return None
        moves, bound = solved
        broken = np.abs(residuals + scaled @ moves) - bound - LOOSE
        broken[rows] = 0.0
        if not np.any(broken > 0.0):
            return moves / scale
        rows = np.union1d(rows, _most(broken, broken > 0.0))


def _standing_out(jacobian: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    """The elements that are farthest from their truths, and those that each number moves the most, either way."""
    everything = np.ones(len(residuals), bool)
    columns = [_most(sign * column, everything) for column in jacobian.T for sign in (1.0, -1.0)]
    return np.unique(np.concatenate([_most(np.abs(residuals), everything), *columns]))


def _most(sizes: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The places of the largest of some sizes."""
    places = np.flatnonzero(among)
    return places[np.argsort(-sizes[places], kind="stable")[:AT_ONCE]]


def _solved(
    jacobian: np.ndarray,
    residuals: np.ndarray,
    goal: np.ndarray | None,
    fixed: Mapping[int, float],
    scale: np.ndarray,
    slack: bool,
) -> tuple[np.ndarray, float] | None:
    """The programme of some elements: the moves, and the bound that these keep to; None if there is no answer."""
    from scipy.optimize import linprog

    count = jacobian.shape[1]
    last = -np.ones((len(residuals), 1)) if slack else np.zeros((len(residuals), 1))
    room = 0.0 if slack else 1.0
    matrix = np.concatenate([np.hstack([jacobian, last]), np.hstack([-jacobian, last])])
    vector = np.concatenate([room - residuals, room + residuals])
    aim = np.append(np.zeros(count), 1.0) if goal is None else np.append(goal, 0.0)
    reach = math.log(UNDETERMINED) * 2
    bounds = [(fixed[i],) * 2 if i in fixed else (-reach * scale[i], reach * scale[i]) for i in range(count)]
    solved = linprog(aim, A_ub=matrix, b_ub=vector, bounds=[*bounds, (0.0, None)], method="highs")
    return (solved.x[:count], float(solved.x[count]) if slack else 1.0) if solved.status == 0 else None


def _intervals(problem: Problem, at: np.ndarray, output: str) -> list[Recovered]:
    """What each hyperparameter may be, the shortest numbers first taken where they are narrowest."""
    residuals = problem.residuals(problem.values(at))
    jacobian = _jacobian(problem, at, residuals)
    claimed = problem.screen.rule.numbers()
    ranges = [_range(jacobian, residuals, i, {}) for i in range(len(at))]
    order = sorted(range(len(at)), key=lambda i: ranges[i][1] - ranges[i][0])
    fixed: dict[int, float] = {}
    chosen: dict[int, float] = {}
    for i in order:
        low, high = _range(jacobian, residuals, i, fixed)
        value = _shortest(problem, i, at[i] + low, at[i] + high, claimed[problem.names[i]])
        chosen[i] = value
        size = problem.size(problem.names[i], value)
        fixed[i] = math.log(size) - at[i] if size > 0 else 0.0
    found = []
    for i, name in enumerate(problem.names):
        ends = sorted(problem.value(name, math.exp(at[i] + x)) for x in ranges[i])
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


def _shortest(problem: Problem, i: int, low: float, high: float, claimed: float) -> float:
    """The claimed value if it fits, else the decimal with the fewest digits between two coordinates."""
    name = problem.names[i]
    least, most = sorted((problem.value(name, math.exp(low)), problem.value(name, math.exp(high))))
    if least <= claimed <= most:
        return claimed
    middle = problem.value(name, math.exp((low + high) / 2))
    return shortest_decimal(least, most, middle)
