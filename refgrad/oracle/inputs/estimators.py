"""Inputs that meet an estimator's decisions: thresholds, zeros, ties and period boundaries, and what lies between.

Where the decisions of a rule fall is found in its own graph: on a line of inputs, wherever a comparison, a sign or a
rounding comes out differently at two neighbours, bisection finds the two floats between which it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.operations import OPERATIONS, OUTCOMES, REDUCTIONS
from refgrad.axes import ELEMENT, ROW, Axes, axes_shape
from refgrad.errors import ArgumentError
from refgrad.estimators.base import Estimator
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.extras import clipped
from refgrad.oracle.inputs.sizes import DECIDED, ROWS_OF_BLOCKS, Shapes, normal, shapes_for, taken, with_large
from refgrad.oracle.inputs.steps import epsilons
from refgrad.rule import Range, Whole
from refgrad.tracing import Plan, free_values

SHAPE = (16, 256)
#: how far from a decision, in floats, inputs are taken
NEAR = 3
#: how far from zero a parameter is drawn, if more is legal
WIDEST = 4.0


def generate(rule: Estimator, steps: int, dtype: Any, seed: int) -> Cases:
    """As many cases as there are steps: ordinary numbers, numbers of many magnitudes, and decisions, in turn."""
    Whole(1).check("steps", steps)
    random = np.random.Generator(np.random.Philox(seed))
    families = {"aimed": _at_boundaries, "ordinary": _ordinary, "scaled": _scaled}
    names = [list(families)[i % len(families)] for i in range(steps)]
    facts = dtypes.format_of(dtype)
    arrays = []
    for name in names:
        axes = {n: own for n, own in rule.parameter_axes().items() if n not in rule.chosen}
        parameters = {n: _parameter(rule, n, own, random, name) for n, own in axes.items()}
        parameters = {n: _legal(clipped(a, facts), rule.parameters[n].legal) for n, a in parameters.items()}
        x = clipped(families[name](rule, parameters, random, facts), facts)
        case = {"x": x, "cotangent": clipped(_cotangent(random), facts), **parameters}
        tables = {n: clipped(_table(random), facts) for n in rule.tables}
        arrays.append(rule.prepared({**case, **tables}) if rule.chosen else case)
    return Cases(arrays, names, seed)


def sizes(rule: Estimator, dtype: np.dtype, seed: int, shapes: Shapes = None) -> Cases | None:
    """A case a shape that the rule takes, of some; by default of those that its graph asks for.

    None of a shape of which it makes NaN of ordinary numbers: a row of one number has no deviation to be divided by. Half of the
    numbers reach as far as the rule's decisions, on either side of which it does something else; but for rules that look for the
    largest, and shapes whose last numbers are the largest.
    """
    facts = dtypes.format_of(dtype)
    largest = _seeks_the_largest(rule)

    def make(shape: tuple[int, ...], random: np.random.Generator) -> dict[str, np.ndarray]:
        made = {"x": normal(random, shape, dtype), "cotangent": normal(random, shape, dtype)}
        for name, axes in rule.parameter_axes().items():
            if name not in rule.chosen:
                made[name] = clipped(_parameter(rule, name, axes, random, "ordinary", shape), facts)
                made[name] = np.asarray(_legal(made[name], rule.parameters[name].legal))
        if not largest and shape not in DECIDED:
            parameters = {name: made[name] for name in rule.parameter_axes() if name in made}
            wide = random.standard_normal(shape) * _span(rule, parameters)
            made["x"] = np.asarray(clipped(np.where(random.random(shape) < 0.5, made["x"], wide), facts))
        for name in rule.tables:
            made[name] = clipped(random.standard_normal((6, *shape[1:])), facts)
        made = rule.prepared(made)
        handed: dict[str, Any] = dict(made)
        results = rule.both(**handed, backend="numpy")  # once is no reason to compile a kernel
        if any(np.isnan(np.asarray(each, np.float64)).any() for each in results.values()):
            raise ArgumentError(f"{rule} has no number for x of shape {shape}; legal: one of which it has")
        return made

    own = [
        *shapes_for(rule.plan((2, 2)).graph),
        *(ROWS_OF_BLOCKS if rule.chosen else ()),
    ]  # a choice may be one in groups
    return taken(make, shapes, seed) if shapes else with_large(taken(make, own, seed), make, "x", seed)


def _parameter(
    rule: Estimator,
    name: str,
    axes: Axes,
    random: np.random.Generator,
    family: str,
    shape_of_x: tuple[int, ...] = SHAPE,
) -> np.ndarray:
    """Legal numbers near one; the same for every row where decisions are aimed at."""
    legal = rule.parameters[name].legal
    low, high = _near_one(legal)
    shape = axes_shape(axes, shape_of_x)
    values = random.uniform(0.05 if low == 0.0 and high == 1.0 and axes != ELEMENT else low, high, shape)
    if family == "aimed" and axes == ROW:
        values = np.full(shape, values.flat[0])
    if axes != ELEMENT and random.random() < 0.5:
        values = np.exp2(np.rint(np.log2(np.abs(values)))) * np.sign(values)  # powers of two: ties are met exactly
        inside = (values > legal.low) & (values < legal.high)
        values = np.where(inside, values, high / 2)
    return values


def _near_one(legal: Range) -> tuple[float, float]:
    """The part of a range that is drawn from: x, which is of the size of one, would all be saturated, or zero, far out in it."""
    low = legal.low if np.isfinite(legal.low) else -1.0
    high = legal.high if np.isfinite(legal.high) else max(low, 0.0) + 1.0
    return (max(low, -WIDEST), min(high, WIDEST)) if high - low > 2 * WIDEST else (low, high)


def _table(random: np.random.Generator) -> np.ndarray:
    """Rows like those of x: some twice, so that they are equally far from everything, and some with the other sign."""
    rows = random.standard_normal((4, *SHAPE[1:]))
    return np.concatenate([rows, -rows[:2], rows[:2]])


def _legal(values: np.ndarray, legal: Range) -> np.ndarray:
    """A number that rounding has made illegal becomes a half."""
    wide = values.astype(np.float64)
    inside = ((wide > legal.low) | (wide == legal.low) & (not legal.open_low)) & (wide < legal.high)
    return np.where(inside, values, values.dtype.type(0.5))


def _cotangent(random: np.random.Generator) -> np.ndarray:
    """Ordinary numbers; some are zero, one, or a power of two."""
    values = random.standard_normal(SHAPE)
    kind = random.integers(0, 16, SHAPE)
    values = np.where(kind == 0, 0.0, np.where(kind == 1, 1.0, values))
    return np.where(kind == 2, np.exp2(random.integers(-8, 9, SHAPE)), values)


def _ordinary(
    rule: Estimator, parameters: Mapping[str, np.ndarray], random: np.random.Generator, facts: dtypes.Format
) -> np.ndarray:
    values = random.standard_normal(SHAPE) * np.where(random.random(SHAPE) < 0.5, 1.0, _span(rule, parameters))
    # a maximum over all that is saturated would be one
    return values / 16 if _seeks_the_largest(rule) else values


def _seeks_the_largest(rule: Estimator) -> bool:
    """True if a rule takes the maximum of all elements."""
    return any(n.op == "max" and n.attribute == ELEMENT for n in rule.plan((1, 1)).graph.nodes)


def _scaled(
    rule: Estimator, parameters: Mapping[str, np.ndarray], random: np.random.Generator, facts: dtypes.Format
) -> np.ndarray:
    """Numbers of many magnitudes; a quarter of the rows is of the size of an eps or of its root, if a norm has one beside it."""
    low, high = max(np.log2(facts.smallest_normal) / 2, -60.0), min(np.log2(facts.largest) / 2, 12.0)
    values = np.exp2(random.uniform(low, high, SHAPE)) * random.choice([-1.0, 1.0], SHAPE)
    known = epsilons(rule)
    if known and rule.plan((1, 1)).graph.couples():
        rows = np.resize([size for eps in known for size in (eps, np.sqrt(eps))], (SHAPE[0] // 4, 1))
        values[: SHAPE[0] // 4] = rows * random.standard_normal((SHAPE[0] // 4, SHAPE[1]))
    return np.where(random.random(SHAPE) < 0.05, 0.0, values)


def _at_boundaries(
    rule: Estimator, parameters: Mapping[str, np.ndarray], random: np.random.Generator, facts: dtypes.Format
) -> np.ndarray:
    """Floats on both sides of decisions; zeros, ones and the edges of the format besides."""
    working = dtypes.working(facts.dtype)
    found = decisions(rule, parameters, random, working, _span(rule, parameters))
    units = np.arange(-NEAR, NEAR + 1)
    near = np.asarray([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, facts.smallest_normal, -facts.smallest_normal])
    if found.size:
        spread = found.astype(np.float64)[:, None] + units * dtypes.ulp(found.astype(np.float64), facts.dtype)[:, None]
        near = np.concatenate([near, spread.ravel()])
    aimed = random.permutation(np.resize(near, SHAPE[0] * SHAPE[1])).reshape(SHAPE)
    between = random.standard_normal(SHAPE) * _span(rule, parameters)
    return np.where(random.random(SHAPE) < 0.75, aimed, between)


def _span(rule: Estimator, parameters: Mapping[str, np.ndarray]) -> float:
    """How far out a rule's decisions may lie: its largest number, or its largest code times its scale."""
    sizes = [abs(float(n)) for n in rule.numbers().values() if 0 < abs(float(n)) <= 1024]
    scales = [float(np.max(np.abs(a))) for n, a in parameters.items() if rule.parameter_axes()[n] != ELEMENT and a.size]
    largest = max([1.0, *scales])
    if any(n in rule.numbers() for n in ("positive", "high")):
        codes = max(float(rule.numbers().get(n, 0.0)) for n in ("positive", "high"))
        unit = scales[0] if scales else float(rule.numbers().get("scale", 1.0))
        return 1.25 * codes * unit + largest
    return min(max([2.0 * largest, *(1.25 * s for s in sizes if s <= 4.0)]), 8.0)


def decisions(
    rule: Estimator, parameters: Mapping[str, np.ndarray], random: np.random.Generator, dtype: np.dtype, span: float
) -> np.ndarray:
    """Inputs at which some decision of the rule changes, as floats of the working dtype."""
    line = np.sort(np.concatenate([random.uniform(-span, span, 2048), np.linspace(-span, span, 2049)])).astype(dtype)
    one = {n: np.full(1, a.flat[0], dtype) for n, a in parameters.items()}
    one |= {n: np.ones(1, dtype) for n in rule.chosen}
    plan = rule.plan((1, 1))
    outcomes = _outcomes(plan, line, one)
    if not outcomes.size:
        return np.empty(0, dtype)
    which, at = np.nonzero(outcomes[:, 1:] != outcomes[:, :-1])
    keep = random.permutation(len(at))[:400]
    which, low, high = which[keep], line[at[keep]], line[at[keep] + 1]
    for _ in range(48):
        middle = (low + (high - low) / 2).astype(dtype)
        tried = _outcomes(plan, np.concatenate([low, middle]), one)
        same = tried[which, np.arange(len(low))] == tried[which, len(low) + np.arange(len(low))]
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return np.unique(high)


def _outcomes(plan: Plan, x: np.ndarray, parameters: Mapping[str, np.ndarray]) -> np.ndarray:
    """How each decision of the graph comes out at each input, as rows of numbers; reductions and what follows are left."""
    scalars = iter(plan.scalars(*free_values((1, 1), {})))
    values: dict[int, Any] = {}
    rows = []
    with np.errstate(all="ignore"):
        for node in plan.graph.nodes:
            if node.op == "input":
                given = {"x": x, "cotangent": np.ones_like(x), **parameters}
                values[node.index] = given[node.attribute]
            elif node.op == "scalar":
                values[node.index] = np.asarray(next(scalars), x.dtype)
            elif node.op in REDUCTIONS or any(a.index not in values for a in node.args):
                continue
            else:
                values[node.index] = OPERATIONS[node.op].on([values[a.index] for a in node.args], node.attribute)
                if node.op in OUTCOMES and node.axes == ELEMENT:
                    rows.append(np.broadcast_to(np.asarray(values[node.index], np.float64), x.shape))
    return np.asarray(rows)
