"""Gradients aimed at a rule's decisions: so that a sign, comparison or maximum has equal operands to within rounding.

Random numbers almost never meet a decision's edge, where implementations that are wrong and some that are right differ.
The edge is found from the rule's own graph: each decision's margin (what it compares to zero) is evaluated in float64, and
the gradient is solved for a margin of zero, element by element, or along the parameter where the decision is one a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.graph import Node, walk
from refgrad.arithmetic.operations import MATRIX, OPERATIONS, REDUCTIONS
from refgrad.axes import ROW, TENSOR, axes_shape
from refgrad.tracing import Plan

#: decisions whose margin is the difference of their operands
COMPARED = frozenset({"lt", "le", "gt", "ge", "eq", "ne", "maximum", "minimum"})
ORDERED = frozenset({"lt", "le", "gt", "ge"})

#: where a change of sign is looked for: both signs of powers of 32, and zero, times a typical gradient
PROBES = np.concatenate([-(32.0 ** np.arange(7, -8, -1)), [0.0], 32.0 ** np.arange(-7, 8)])
#: distances from the edge in units in the last place of the gradient; larger powers of two are drawn besides
STEPS = np.arange(-2, 3)

Margin = Callable[[np.ndarray], np.ndarray]


def decisions(plan: Plan) -> list[Node]:
    """The nodes of a graph at which a value decides, and which the gradient reaches."""
    found = [n for n in plan.graph.nodes if n.op == "sign" or n.op in COMPARED]
    return [n for n in found if any(m.op == "input" and m.attribute == "g" for m in walk(n))]


def aim(
    plan: Plan, free: Sequence[float], arrays: Mapping[str, np.ndarray], t: int, random: np.random.Generator
) -> np.ndarray:
    """The gradient with some elements moved onto, or near to, the edges of the decisions of a step.

    Args:
        plan: the step's graph.
        free: the values of its free names.
        arrays: ``p``, ``g`` and the array slots before the step.
        t: the step; a decision that is one a row or a tensor is aimed at in every fourth.
        random: chooses which elements, and how near.
    """
    g, scalars = arrays["g"], plan.scalars(*free)
    wide = {n: a.astype(np.float64) for n, a in arrays.items()}
    found = [n for n in decisions(plan) if not any(m.op in MATRIX for m in walk(n))]
    alone = [n for n in found if not any(m.op in REDUCTIONS for m in walk(n))]
    coupled = [n for n in found if n.axes in (ROW, TENSOR) and n.op in ORDERED]
    with np.errstate(all="ignore"):
        if coupled and t % 4 == 2:
            wide["g"] = _along(plan, scalars, wide, coupled[int(random.integers(len(coupled)))], random)
        places = np.array_split(random.permutation(g.size)[: g.size // 8], max(len(alone), 1))
        flat = dtypes.round_to(wide["g"], g.dtype).reshape(-1)
        for node, at in zip(alone, places, strict=False):
            chosen = {n: np.broadcast_to(a, g.shape).reshape(-1)[at] for n, a in wide.items()}
            edge = _edge(_margin(plan, scalars, chosen, node), np.abs(chosen["g"]), g.dtype)
            near = np.where(np.isnan(edge), chosen["g"], _beside(edge, g.dtype, random))
            flat[at] = dtypes.round_to(near, g.dtype)
    return flat.reshape(g.shape).astype(g.dtype)


def _margin(plan: Plan, scalars: Sequence[float], arrays: Mapping[str, np.ndarray], decision: Node) -> Margin:
    """What a decision compares to zero, as a function of the gradient."""
    needed = {n.index for n in walk(decision)}
    names = {n.index: s for n, s in zip((n for n in plan.graph.nodes if n.op == "scalar"), scalars, strict=True)}

    def margin(g: np.ndarray) -> np.ndarray:
        values: dict[int, Any] = {}
        for node in plan.graph.nodes:
            if node.index not in needed or node is decision:
                continue
            if node.op == "input":
                values[node.index] = g if node.attribute == "g" else arrays[node.attribute]
            elif node.op == "scalar":
                values[node.index] = names[node.index]
            else:
                values[node.index] = OPERATIONS[node.op].on([values[a.index] for a in node.args], node.attribute)
        operands = [values[a.index] for a in decision.args]
        return operands[0] if decision.op == "sign" else operands[0] - operands[1]

    return margin


def _edge(margin: Margin, scale: np.ndarray, dtype: Any) -> np.ndarray:
    """Where a margin changes sign, by bisection between two probes; NaN where no two probes differ in sign."""
    typical = np.where((scale > 0) & np.isfinite(scale), scale, 1.0)
    probes = PROBES[:, None] * typical
    signs = np.sign(margin(probes) + np.zeros(probes.shape))
    changes = (signs[:-1] * signs[1:] <= 0) & (signs[:-1] != signs[1:])
    found = changes.any(axis=0)
    # of several edges the one nearest to the typical size: the last of those below it
    first = np.argmax(changes, axis=0)
    lane = np.arange(probes.shape[1])
    low, high, sign = probes[first, lane], probes[first + 1, lane], signs[first, lane]
    for _ in range(int(-np.log2(dtypes.format_of(dtype).unit_roundoff)) + 8):
        middle = (low + high) / 2
        same = np.sign(margin(middle)) == sign
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return np.where(found, high, np.nan)


def _beside(edge: np.ndarray, dtype: Any, random: np.random.Generator) -> np.ndarray:
    """On the edge, one or two units in the last place off it, or a power of two of them up to 2**16."""
    near = random.choice(STEPS, edge.shape)
    far = np.ldexp(random.choice([-1.0, 1.0], edge.shape), random.integers(2, 17, edge.shape))
    units = np.where(random.random(edge.shape) < 0.5, near, far)
    return edge + units * dtypes.ulp(np.where(np.isnan(edge), 1.0, edge), dtype)


def _along(
    plan: Plan,
    scalars: Sequence[float],
    arrays: Mapping[str, np.ndarray],
    decision: Node,
    random: np.random.Generator,
) -> np.ndarray:
    """The gradient moved along the parameter to, or near to, the edge of a decision that is one a tensor or a row."""
    p, g = arrays["p"], arrays["g"]
    margin = _margin(plan, scalars, arrays, decision)
    shape = axes_shape(decision.axes, p.shape)
    rows = lambda x: np.sum(x.reshape(int(np.prod(shape)), -1), axis=1).reshape(shape)  # noqa: E731
    # from the part that is orthogonal to it: a test of an angle passes there and fails far away
    g = g - np.nan_to_num(rows(g * p) / rows(p * p)) * p

    def moved(steps: np.ndarray) -> np.ndarray:
        if steps.ndim > 1:
            return np.stack([moved(each) for each in steps])
        return np.ravel(margin(g + steps.reshape(shape) * p))

    steps = _edge(moved, np.ones(int(np.prod(shape))), np.float32)
    off = np.where(random.random(steps.shape) < 0.5, 0.0, np.ldexp(1.0, random.integers(-12, -3, steps.shape)))
    steps = steps * (1.0 + off * random.choice([-1.0, 1.0], steps.shape))
    return np.where(np.isnan(steps).reshape(shape), arrays["g"], g + steps.reshape(shape) * p)
