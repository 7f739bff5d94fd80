"""The inputs that a candidate is driven with: seeded families that reach where wrong code shows, or the user's own."""

from __future__ import annotations

import dataclasses
import zlib
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.errors import bad_argument
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs import decision_boundaries, matrices
from refgrad.oracle.inputs import extras as extra_inputs
from refgrad.oracle.inputs import sizes as shapes
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.written import of_steps
from refgrad.rule import Rule
from refgrad.tracing import free_values, plan_for

SHAPE = (64, 64)
#: steps that leaves of odd shapes take: the second starts from a state that is not zero
SIZED_STEPS = 2


def generate(steps: int, dtype: Any, seed: int, rule: Optimizer | None = None) -> Cases:
    """Three leaves of 4096 elements: ordinary numbers, numbers over many magnitudes, and the edges of the format.

    With a rule, its extra inputs are made too, and some gradients of the first two leaves are aimed at its decisions
    (see `decision_boundaries`); for one that multiplies matrices there are smaller leaves (see `matrices`), and for one with
    an eps beside a norm two more, which are small as a whole (see `small_leaves`).
    """
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise bad_argument("steps", steps, "a whole number from 1")
    facts = dtypes.format_of(dtype)
    random = np.random.Generator(np.random.Philox(seed))
    if rule is not None and rule.plan((2, 2), 1).graph.matrix():
        return completed(of_steps(*matrices.generate(steps, dtype, random), seed), rule)
    p = [draw(random, facts, SHAPE) for draw in FAMILIES.values()]
    p[1][random.random(SHAPE) < 0.25] = 0.0  # a parameter of zero shows the update at full relative precision
    grads: list[list[np.ndarray]] = []
    for _ in range(steps):
        fresh = [draw(random, facts, SHAPE) for draw in FAMILIES.values()]
        if grads:
            for leaf, previous in enumerate(grads[-1][:2]):
                _relate(random, fresh[leaf], previous)
        grads.append(fresh)
    cast = lambda values: extra_inputs.clipped(values, facts)  # noqa: E731
    made = of_steps([cast(a) for a in p], [[cast(a) for a in each] for each in grads], list(FAMILIES), seed)
    if rule is None:
        return made
    made = completed(small_leaves(made, rule), rule)
    return _at_boundaries(made, rule, np.random.Generator(np.random.Philox([seed, 1])))


def epsilons(rule: Rule) -> list[float]:
    """The small numbers that keep a rule from dividing by zero, those of a nested rule too."""
    return [v for n, v in rule.numbers().items() if v > 0 and any(part.startswith("eps") for part in n.split("_"))]


def small_leaves(inputs: Cases, rule: Optimizer) -> Cases:
    """The same with two more leaves for a rule that reduces and has an eps: of the size of eps, and of its root.

    A norm, a variance or a maximum is small only where all its elements are: an eps beside it can be seen there alone. Each row
    has a size of its own, and a rule's several eps take turns.
    """
    facts = dtypes.format_of(inputs.p[0].dtype)
    found = [v for v in epsilons(rule) if v * 2.0**SMALLEST > facts.smallest_normal]
    if not found or not rule.plan((2, 2), 1).graph.couples():
        return inputs
    random = np.random.Generator(np.random.Philox([inputs.seed or 0, 2]))
    p, grads, names = list(inputs.p), [list(each) for each in inputs.g], list(inputs.names)
    for name, power in SMALL.items():
        rows = np.resize(found, (SMALL_SHAPE[0], 1)) ** power * np.exp2(
            random.uniform(SMALLEST, 0, (SMALL_SHAPE[0], 1))
        )
        fresh = lambda rows=rows: extra_inputs.clipped(rows * random.standard_normal(SMALL_SHAPE), facts)  # noqa: E731
        p.append(fresh())
        for each in grads:
            each.append(fresh())
        names.append(name)
    return of_steps(p, grads, names, inputs.seed)


def sizes(rule: Optimizer, dtype: np.dtype, seed: int, wanted: shapes.Shapes = None) -> Cases | None:
    """One run of leaves of many shapes, those that the rule takes; small ones for a rule that multiplies matrices.

    Args:
        rule: what the leaves are for.
        dtype: of parameters and gradients.
        seed: of the numbers.
        wanted: shapes; by default those that the rule's graph asks for.
    """

    def make(shape: tuple[int, ...], random: np.random.Generator) -> dict[str, np.ndarray]:
        p = shapes.normal(random, shape, dtype)
        rule.init(p)
        rule.plan(shape, 1)
        return {"p": p, **{f"g{t}": shapes.normal(random, shape, dtype) for t in range(SIZED_STEPS)}}

    made = shapes.taken(make, wanted or shapes.shapes_for(rule.plan((2, 2), 1).graph, rule.scope == "tree"), seed)
    if made is None:
        return None
    p = [arrays["p"] for arrays in made.arrays]
    grads = [[arrays[f"g{t}"] for arrays in made.arrays] for t in range(SIZED_STEPS)]
    return completed(of_steps(p, grads, made.names, seed), rule)


def completed(inputs: Cases, rule: Optimizer) -> Cases:
    """The same with the extra inputs that a rule takes and that are not there, made from the seed and their names."""
    missing = {n: extra for n, extra in rule.inputs().items() if n not in inputs.extras(1)}
    if not missing:
        return inputs
    steps = [[dict(leaf) for leaf in step] for step in inputs.steps]
    numbers: list[dict[str, float]] = [dict(each) for each in inputs.numbers] or [{} for _ in steps]
    for name, extra in missing.items():
        random = np.random.Generator(np.random.Philox([inputs.seed or 0, zlib.crc32(name.encode())]))
        for t, (step, number) in enumerate(zip(steps, numbers, strict=True), 1):
            made = extra_inputs.draw(extra, t, [leaf["g"] for leaf in step], inputs.names, FAMILIES, random)
            if extra.scalar:
                number[name] = float(made)
                continue
            for leaf, array in zip(step, made, strict=True):
                leaf[name] = array
    return dataclasses.replace(inputs, steps=steps, numbers=numbers)


def _at_boundaries(inputs: Cases, rule: Optimizer, random: np.random.Generator) -> Cases:
    """The same with gradients aimed at decisions, from the states that the rule itself goes through."""
    shape = inputs.p[0].shape
    if not any(decision_boundaries.decisions(rule.plan(shape, t)) for t in range(1, len(inputs.steps) + 1)):
        return inputs
    for leaf in range(2):
        p, state = inputs.p[leaf], rule.init(inputs.p[leaf])
        for t in range(1, len(inputs.steps) + 1):
            g = inputs.gradient(t, leaf)
            extras, given = inputs.of_leaf(t, leaf, rule)
            both: dict[str, Any] = {**extras, **given}
            scalar_values = {
                "t": float(t),
                **{n: float(state[n]) for n, slot in rule.slots().items() if slot.scalar},
                **given,
            }
            free = free_values(p.shape, scalar_values)
            plan = plan_for(rule, p.ndim, free)
            arrays = {"p": p, "g": g, **{n: state[n] for n, slot in rule.slots().items() if not slot.scalar}}
            g = decision_boundaries.aim(plan, free, {**arrays, **extras}, t, random)
            inputs = inputs.with_array(leaf, "g", g, t - 1)
            p, state = rule.step(p, g, state, backend="numpy", **both)
    return inputs


def _normal(random: np.random.Generator, facts: dtypes.Format, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers."""
    return random.standard_normal(shape)


def _scaled(random: np.random.Generator, facts: dtypes.Format, shape: tuple[int, ...]) -> np.ndarray:
    """Signs and magnitudes spread over the exponents whose squares are normal numbers, and zeros."""
    low, high = np.log2(facts.smallest_normal) / 2 + 2, min(np.log2(facts.largest) / 2 - 2, 20.0)
    values = np.exp2(random.uniform(low, high, shape)) * random.choice([-1.0, 1.0], shape)
    values[random.random(shape) < 0.05] = 0.0
    return values


def _edges(random: np.random.Generator, facts: dtypes.Format, shape: tuple[int, ...]) -> np.ndarray:
    """Subnormals, both zeros, the smallest normal number, ones, and numbers with few bits."""
    special = [0.0, -0.0, facts.smallest_subnormal, facts.smallest_normal, 1.0, 1.0 + 2 * facts.unit_roundoff, 0.5]
    values = random.choice(special, shape) * random.choice([-1.0, 1.0], shape)
    subnormal = random.random(shape) < 0.3
    values[subnormal] = facts.smallest_normal * random.uniform(-1.0, 1.0, shape)[subnormal]
    return values


#: leaves that are small as a whole: their size is this power of a rule's eps, times two to the power of 0 down to `SMALLEST`
SMALL, SMALL_SHAPE, SMALLEST = {"eps": 1.0, "root of eps": 0.5}, (16, 64), -8
#: what the numbers of each leaf are like
FAMILIES = {"normal": _normal, "scaled": _scaled, "edges": _edges}


def _relate(random: np.random.Generator, fresh: np.ndarray, previous: np.ndarray) -> None:
    """Make some gradients repeat, vanish, or nearly cancel what came before."""
    kind = random.integers(0, 8, SHAPE)
    fresh[kind == 0] = previous[kind == 0]
    fresh[kind == 1] = -previous[kind == 1]
    fresh[kind == 2] = 0.0
    fresh[kind == 3] = -0.09 * previous[kind == 3]
