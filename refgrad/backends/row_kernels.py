"""Bodies of rules without steps, by the kernels of their graphs: a quantizer's on rows, the scores of a mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from refgrad.arithmetic import scalar_math
from refgrad.arithmetic.graph import Builder, Graph
from refgrad.arithmetic.steps import FormatCodes, TableCodes, WholeCodes
from refgrad.axes import ELEMENT, axes_shape
from refgrad.backends import numba_backend, step_source
from refgrad.backends.program import NOTHING
from refgrad.backends.staged_source import Stored
from refgrad.backends.step_source import Kept, Rounded
from refgrad.derived import derived
from refgrad.tracing import Plan, free_names, free_values, plan_for, with_scalars


def run(
    rule: Any, given: Mapping[str, np.ndarray], count: int | None = None, wanted: tuple[str, ...] | None = None
) -> dict[str, np.ndarray] | None:
    """The values of the parts that the body gives, with the bits of the body as it stands; None where no kernel can.

    Args:
        rule: the quantizer.
        given: the rows, and what is known of each besides.
        count: how many threads; None for as many as are worth it.
        wanted: the parts that are asked for; by default all that the body gives.
    """
    x = given["x"]
    wanted = tuple(rule.body_parts()) if wanted is None else wanted
    plan = plan_for(rule, x.ndim, free_values(x.shape, {}), wanted)
    if not step_source.supports(plan.graph):
        return None
    stored = {name: _kept(codes) for name, codes in rule.stored_outputs(x.dtype).items() if name in wanted}
    return evaluated(numbered(plan) if stored else plan, given, count, stored)


@lru_cache(256)
def _kept(codes: WholeCodes | FormatCodes | TableCodes) -> Kept:
    """How codes are stored, the same object at each call: programs are looked up by it."""
    return Kept(codes)


@derived
def _inputs(plan: Plan) -> frozenset[str]:
    """What a plan reads."""
    return frozenset(plan.graph.inputs())


@derived
def numbered(plan: Plan) -> Plan:
    """The plan whose codes are the numbers by which the values of a table are kept; as it is where there is no table.

    Args:
        plan: that of a quantizer of rows.
    """
    record = getattr(plan.rule, "code_of_nearest", None)  # which quantizers of rows have
    if record is None:
        return plan
    return with_step(plan, "codes", record)


def with_step(plan: Plan, output: str, record: Any) -> Plan:
    """The plan in which an output, which nothing else is computed from, is given by another step function.

    Args:
        plan: the plan.
        output: the name of the output.
        record: the step function.
    """
    old = plan.graph.outputs[output]
    new = replace(old, attribute=record)
    nodes = tuple(new if node is old else node for node in plan.graph.nodes)
    return Plan(plan.rule, replace(plan.graph, nodes=nodes, outputs={**plan.graph.outputs, output: new}), plan.free)


def restored(
    rule: Any, parts: Mapping[str, np.ndarray], codes: WholeCodes | FormatCodes | TableCodes, count: int | None = None
) -> np.ndarray | None:
    """``y`` on rows from the parts, with the bits of `restore` as it stands; None where the body has no such graph.

    Args:
        rule: the quantizer of rows.
        parts: codes on rows, in the type that ``codes`` says, and the rest in float32: one number a row, or one.
        codes: what codes stand for.
        count: how many threads; by default as many as are worth it.
    """
    y = np.empty(parts["codes"].shape, np.float32)
    free = free_values(y.shape, {})
    plan = from_parts(plan_for(rule, y.ndim, free))
    if not _inputs(plan) <= parts.keys():
        return None
    numba_backend.run(plan, free, {**parts, "x": y, "y": y}, count, {"codes": _kept(codes)})
    return y


def decoded(
    rule: Any,
    parts: Mapping[str, np.ndarray],
    codes: WholeCodes | FormatCodes | TableCodes,
    working: np.dtype,
    dtype: np.dtype,
    count: int | None = None,
) -> np.ndarray:
    """The values of a quantizer's parts, with the bits of its `restore` as it stands.

    Args:
        rule: the quantizer.
        parts: C-contiguous: codes in two axes, in the type that ``codes`` says, and the rest in the working dtype.
        codes: what codes stand for.
        working: the working dtype.
        dtype: that of the values: the working dtype, or float32, to which they are rounded.
        count: how many threads; by default as many as are worth it.

    Returns:
        The values, shaped as the codes.
    """
    y = np.empty(parts["codes"].shape, dtype)
    stored: dict[str, Stored] = {"codes": _kept(codes)} | ({} if dtype == working else {"y": Rounded(dtype.name)})
    free = free_values(y.shape, {})
    numba_backend.run(decoder(rule), free, {**parts, "x": y, "y": y}, count, stored, working=working)
    return y


@derived
def decoder(rule: Any) -> Plan:
    """The plan of the values ``y`` from the parts.

    Args:
        rule: a quantizer that has its `restore`.
    """
    scope = scalar_math.Scope(scalar_math.TABLES[rule.scalars])
    builder = Builder(scope, 2)
    given = {part: builder.input(part, axes) for part, axes in {**rule.part_axes(), "codes": ELEMENT}.items()}
    traced: Any = with_scalars(rule, scope)
    outputs = {"y": builder.lift(traced.restore(given))}
    graph = Graph(builder.live(outputs), outputs, {}, tuple(dict.fromkeys(scope.guards)), {})
    return Plan(rule, graph, free_names(rule, 2))


@derived
def from_parts(plan: Plan) -> Plan:
    """The plan of ``y`` alone, from the parts.

    Args:
        plan: that of a quantizer of rows.
    """
    outputs = plan.graph.outputs
    parts = {node.index: name for name, node in outputs.items() if name != "y"}
    return Plan(plan.rule, plan.graph.cut({"y": outputs["y"]}, parts), plan.free)


def scores(rule: Any, given: Mapping[str, np.ndarray], count: int | None = 1) -> np.ndarray | None:
    """The scores of a mask, with the bits of its body as it stands; None where the body computes nothing.

    Args:
        rule: the mask.
        given: what its scores are made of, all of one shape and working dtype, by name.
        count: how many threads; by default one, which waits for no other one on a busy machine.

    Returns:
        The scores, of the working dtype: one an entry, or one a unit where the body gives that.
    """
    w = given[rule.primary]
    plan = as_given(plan_for(rule, w.ndim, free_values(w.shape, {})))
    if not any(node.args for node in plan.graph.nodes):
        return None
    return evaluated(plan, {n: np.ascontiguousarray(a) for n, a in given.items()}, count)["scores"]


@derived
def as_given(plan: Plan) -> Plan:
    """The plan whose outputs have the axes that the body gives them, in place of those that its rule says.

    Args:
        plan: that of a mask.
    """
    axes = {name: node.axes for name, node in plan.graph.outputs.items() if node.axes != ELEMENT}
    return Plan(plan.rule, replace(plan.graph, small=axes), plan.free)


def evaluated(
    plan: Plan, given: Mapping[str, np.ndarray], count: int | None, stored: Mapping[str, Stored] = NOTHING
) -> dict[str, np.ndarray]:
    """The outputs of a plan without steps, in new arrays.

    Args:
        plan: the plan.
        given: what it reads, C-contiguous, by name; the rule's primary array says shape and working dtype.
        count: how many threads; None for as many as are worth it.
        stored: how outputs are stored that are kept in another type, by name.
    """
    x = given[plan.rule.primary]
    small = plan.graph.small
    found = {
        name: np.empty(axes_shape(small.get(name, ELEMENT), x.shape), stored[name].kind if name in stored else x.dtype)
        for name in plan.graph.outputs
    }
    numba_backend.run(plan, free_values(x.shape, {}), {**given, **found}, count, stored)
    return found
