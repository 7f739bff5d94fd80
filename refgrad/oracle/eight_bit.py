"""Judging a step of an optimizer with 8-bit state: the parameter given the candidate's own old codes, then its new codes.

The old codes and absmax give the old state exactly. From that the enclosure of the float rule gives what the new parameter
may be, and what the new state may be before it is quantized; a new absmax is judged against that, and each code against
what the state may be divided by the candidate's own absmax: a code next to the truth's is right where both are in reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from refgrad.arithmetic.enclosure import Enclosure
from refgrad.arithmetic.running_error import Bounded
from refgrad.oracle.judge import Judged, Step, compare, judge, model_for
from refgrad.oracle.policy import Policy
from refgrad.oracle.quantized import either
from refgrad.quantizers.base import Quantized
from refgrad.quantizers.blockwise import Blockwise
from refgrad.quantizers.eight_bit import EightBit
from refgrad.tracing import free_names, free_values, plan_for


def judge_step(
    rule: EightBit,
    p: np.ndarray,
    g: np.ndarray,
    before: Mapping[str, Any],
    new_p: np.ndarray,
    after: Mapping[str, Any],
    policy: Policy | None = None,
) -> dict[str, Judged]:
    """One step of one parameter.

    Args:
        rule: what it claims to be.
        p, g: the parameter and its gradient.
        before, after: the candidate's state, as `EightBit.init` gives it.
        new_p: the candidate's new parameter.
        policy: what counts as correct.

    Returns:
        ``p``, and for each quantized slot ``slot.absmax`` (one a block) and ``slot.codes``.
    """
    policy = policy or Policy()
    opened = rule.opened(before)
    slots = rule.rule.slots()
    hosts = {"t": int(before["t"]) + 1, **{n: float(opened[n]) for n, s in slots.items() if s.host}}
    free = free_values(p.shape, hosts)
    plan = plan_for(rule.rule, p.ndim, free)
    arrays = {"p": p, "g": g, **{n: opened[n] for n, s in slots.items() if not s.host}}
    exact_before = {n: Bounded(a.astype(np.float64)) for n, a in arrays.items()}
    seen = {"p": new_p} | {n: after[n] for n, s in slots.items() if not s.host and not isinstance(after[n], Quantized)}
    named = dict(zip(free_names(rule.rule, p.ndim), free, strict=True))
    judged, carried = judge(Step(plan, named, exact_before, seen), policy)
    found = dict(judged)
    for name, state in carried.items():
        if isinstance(after.get(name), Quantized):
            parts = judge_codes(rule.quantizer(name), state, after[name], policy)
            found |= {f"{name}.{part}": status for part, status in parts.items()}
    return found


def judge_codes(rule: Blockwise, state: Bounded, seen: Quantized, policy: Policy) -> dict[str, Judged]:
    """Absmax and codes of an array that is known to within a bound."""
    layout = rule.layout(seen.shape)
    model = model_for(policy, seen.dtype)
    absmax = seen["absmax"].astype(np.float64).reshape(-1, 1)
    codes = rule.values("codes", seen.codes, layout).astype(np.float64)
    error = np.broadcast_to(state.bound(), np.shape(state.value))
    with np.errstate(all="ignore"):
        x = Bounded(layout.cut(np.asarray(state.value)), layout.cut(np.asarray(error)))
        plan = plan_for(rule, 2, free_values(x.value.shape, {}))
        scalars = [Bounded(np.asarray(1.0))] * len(plan.graph.scalars())
        found: dict[str, Judged] = {}
        for branch in Enclosure(plan.graph, model).branches({"x": x}, scalars, {"absmax": Bounded(absmax)}):
            new = {
                n: compare(branch.sets[n], a, seen["absmax"].dtype, policy)
                for n, a in (("absmax", absmax), ("codes", codes))
            }
            found = {n: either(found.get(n), j) for n, j in new.items()}
    fields = ("status", "truth", "low", "high")
    codes_judged = [layout.joined(np.broadcast_to(getattr(found["codes"], f), codes.shape)) for f in fields]
    absmax_judged = [np.broadcast_to(getattr(found["absmax"], f), absmax.shape).reshape(-1) for f in fields]
    return {"absmax": Judged(*absmax_judged), "codes": Judged(*codes_judged)}
