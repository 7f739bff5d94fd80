"""The acceptance sets themselves: of each output the set on every way through the decisions, where `judge` asks for one value.

The ends are those that `compare` judges by, on the grid of the output's dtype. One way must explain all outputs of an element;
elements may take ways of their own, except that all of a tensor take ways that agree on what is shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.enclosure import Branch, Enclosure
from refgrad.arithmetic.running_error import Bounded, exact
from refgrad.oracle.acceptance.comparing import compare, conditioned, model_for
from refgrad.oracle.acceptance.judge import Step, scalars_of
from refgrad.oracle.acceptance.policy import Policy
from refgrad.tracing import Plan

Ends = tuple[np.ndarray, np.ndarray]
#: the shape and dtype of each output that is wanted
Wanted = Mapping[str, tuple[tuple[int, ...], np.dtype]]


class Way(NamedTuple):
    """One way through the decisions: the ends of each output's set, and the decisions that all of a tensor share."""

    sets: Mapping[str, Ends]
    shared: tuple[tuple[int, int], ...]


def of_step(step: Step, policy: Policy, given: Mapping[str, np.ndarray]) -> list[Way]:
    """The sets of one step of an optimizer.

    Args:
        step: what was there before and after; of the outputs after it shapes and dtypes count.
        policy: what counts as correct.
        given: the outputs on which later ones are conditioned; the others are known by their own sets alone.

    Returns:
        Each way, that of the centres first.
    """
    model, graph = model_for(policy, step.after["p"].dtype), step.plan.graph
    with np.errstate(all="ignore"):
        inputs = {n: exact(b.value, model) if b.error is None else b for n, b in step.before.items()}
        stored = {n: n in graph.outputs and graph.outputs[n].op == "round" for n in given}
        seen = {n: conditioned(a.astype(np.float64), a.dtype, model, stored[n]) for n, a in given.items()}
        scalars = scalars_of(step.plan, graph, step.free, model)
        wanted = {n: (a.shape, a.dtype) for n, a in step.after.items()}
        return _ways(Enclosure(graph, model).branches(inputs, scalars, seen), wanted, policy)


def of_case(
    plan: Plan, free: Mapping[str, float], arrays: Mapping[str, np.ndarray], wanted: Wanted, policy: Policy
) -> list[Way]:
    """The sets of those results of one case of a rule without state that are no sums over elements.

    Args:
        plan: the traced rule.
        free: the values of the plan's free names.
        arrays: the inputs by name.
        wanted: the results that are wanted.
        policy: what counts as correct.

    Returns:
        Each way, that of the centres first; none if all results are sums.
    """
    outputs = {n: node for n, node in plan.graph.outputs.items() if n in wanted and n not in plan.graph.small}
    if not outputs:
        return []
    model, graph = model_for(policy, arrays[plan.rule.primary].dtype), plan.graph.cut(outputs, {})
    with np.errstate(all="ignore"):
        inputs = {n: exact(a.astype(np.float64), model) for n, a in arrays.items()}
        branches = Enclosure(graph, model).branches(inputs, scalars_of(plan, graph, free, model), {})
        return _ways(branches, {n: wanted[n] for n in outputs}, policy)


def of_sets(sets: Iterable[Mapping[str, Bounded]], wanted: Wanted, policy: Policy) -> list[Way]:
    """The sets of a body that is run as it stands, once for each way through its choices.

    Args:
        sets: what `refgrad.oracle.acceptance.bodies.ways` gives.
        wanted: the results that are wanted.
        policy: what counts as correct.
    """
    return _ways((Branch(each, {}, ((number, 0),)) for number, each in enumerate(sets)), wanted, policy)


def _ways(branches: Iterable[Branch], wanted: Wanted, policy: Policy) -> list[Way]:
    return [Way({n: ends(b.sets[n], *wanted[n], policy) for n in wanted if n in b.sets}, b.shared) for b in branches]


def ends(acceptable: Bounded, shape: tuple[int, ...], dtype: np.dtype, policy: Policy) -> Ends:
    """The ends of an acceptance set, float64, on the grid of a dtype.

    Args:
        acceptable: the set, which broadcasts to the shape.
        shape, dtype: of the output.
        policy: what counts as correct.
    """
    centre = np.broadcast_to(acceptable.value, shape).astype(np.float64)
    judged = compare(acceptable, dtypes.round_to(centre, dtype), dtype, policy)
    return on_grid(judged.low, dtype), on_grid(judged.high, dtype)


def on_grid(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Ends on the grid of an output's dtype; as they are where there is none."""
    values = np.asarray(values, np.float64)
    return dtypes.round_to(values, dtype) if dtypes.is_float(dtype) else values
