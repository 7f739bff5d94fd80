"""Judging a step of an optimizer with 8-bit state: the parameter given the candidate's own old codes, then its new codes.

The old codes and scales give the old state exactly. From that the enclosure of the float rule gives what the new parameter
may be, and what the new state may be before it is quantized; a new scale is judged against that, and each code against
what the state may be divided by the candidate's own scale: a code next to the truth's is right where both are in reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.enclosure import Enclosure
from refgrad.arithmetic.running_error import Bounded
from refgrad.oracle.acceptance import no_numbers
from refgrad.oracle.acceptance.comparing import compare, conditioned, model_for
from refgrad.oracle.acceptance.judge import Step, judge, scalars_of
from refgrad.oracle.acceptance.judgement import Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.quantized_parts import either_branch
from refgrad.quantizers.base import Quantized
from refgrad.quantizers.eight_bit import EightBit
from refgrad.quantizers.rows import RowQuantizer
from refgrad.tracing import Plans, free_names, free_values, plan_for


def judge_step(
    rule: EightBit,
    p: np.ndarray,
    g: np.ndarray,
    before: Mapping[str, Any],
    new_p: np.ndarray,
    after: Mapping[str, Any],
    policy: Policy | None = None,
    *,
    plans: Plans = plan_for,
    given: str = "old codes",
    parts: bool = True,
) -> dict[str, Judged]:
    """One step of one parameter.

    Args:
        rule: what it claims to be.
        p, g: the parameter and its gradient.
        before, after: the candidate's state, as `EightBit.init` gives it.
        new_p: the candidate's new parameter.
        policy: what counts as correct.
        plans: the plans of the update rule; rewritten ones, where a mutant is judged.
        given: what the parameter comes of: "old codes", or "new codes" too, where slots are quantized before the step is
            taken, which is a departure.
        parts: whether scales and codes are judged too.

    Returns:
        ``p``, and for each quantized slot each of its parts as ``slot.part``: scales (one a block), then codes.
    """
    policy = policy or Policy()
    opened = rule.opened(before)
    slots = rule.rule.slots()
    scalar_values = {"t": int(before["t"]) + 1, **{n: float(opened[n]) for n, s in slots.items() if s.scalar}}
    free = free_values(p.shape, scalar_values)
    plan = plans(rule.rule, p.ndim, free)
    arrays = {"p": p, "g": g, **{n: opened[n] for n, s in slots.items() if not s.scalar}}
    exact_before = {n: Bounded(a.astype(np.float64)) for n, a in arrays.items()}
    kept = {n: after[n] for n, s in slots.items() if not s.scalar and isinstance(after.get(n), Quantized)}
    seen = {"p": new_p} | {n: after[n] for n, s in slots.items() if not s.scalar and n in after and n not in kept}
    named = dict(zip(free_names(rule.rule, p.ndim), free, strict=True))
    judged, carried = judge(Step(plan, named, exact_before, seen), policy)
    if given == "new codes":
        observed = {n: rule.opened(after)[n] for n in kept}
        judged, _ = judge(Step(plan, named, exact_before, seen | observed), policy)
        judged = {n: j for n, j in judged.items() if n not in kept}
    found = dict(judged)
    if not np.isfinite(g).all():
        model = model_for(policy, new_p.dtype)
        with np.errstate(all="ignore"):
            where = no_numbers.of_graph(plan.graph, exact_before, scalars_of(plan, plan.graph, named, model), {})
        found |= no_numbers.looked_at({"p": found["p"]}, where)
    for name, kept_parts in kept.items() if parts else ():
        codes = judge_codes(rule.quantizer(name), carried[name], kept_parts, policy)
        found |= {f"{name}.{part}": status for part, status in codes.items()}
    return found


def judge_codes(rule: RowQuantizer, state: Bounded, seen: Quantized, policy: Policy) -> dict[str, Judged]:
    """Scales and codes of an array that is known to within a bound."""
    layout, dtype = rule.layout(seen.shape), dtypes.working(seen.dtype)
    model = model_for(policy, dtype)
    names = rule.body_parts()
    values = {n: rule.values(n, seen[n], layout).astype(np.float64) for n in names}
    error = np.broadcast_to(state.bound(), np.shape(state.value))
    with np.errstate(all="ignore"):
        x = Bounded(layout.cut(np.asarray(state.value)), layout.cut(np.asarray(error)))
        free = free_values(x.value.shape, {})
        plan = plan_for(rule, 2, free)
        scalars = scalars_of(plan, plan.graph, dict(zip(free_names(rule, 2), free, strict=True)), model)
        observed = {n: conditioned(a, dtype, model, as_stored=True) for n, a in values.items() if n != "codes"}
        found: dict[str, Judged] = {}
        for branch in Enclosure(plan.graph, model).branches({"x": x}, scalars, observed):
            new = {n: compare(branch.sets[n], a, dtype, policy) for n, a in values.items()}
            found = {n: either_branch(found.get(n), j) for n, j in new.items()}
    return {n: _arranged(found[n], values[n], n, layout) for n in names}


def _arranged(judged: Judged, values: np.ndarray, part: str, layout: Any) -> Judged:
    """Codes in the shape of the array, scales one a row."""
    fields = [np.broadcast_to(getattr(judged, f), values.shape) for f in ("status", "truth", "low", "high")]
    return Judged(*(layout.joined(a) if part == "codes" else a.reshape(-1) for a in fields))
