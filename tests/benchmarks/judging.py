"""The two sides of the cost of judging: the rule in float64 NumPy, and the oracle's judgement of one step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refgrad.arithmetic.running_error import Bounded
from refgrad.optimizers import AdamW
from refgrad.oracle.acceptance.judge import Step, judge
from refgrad.oracle.acceptance.policy import Policy
from refgrad.tracing import free_values, literal


def _arrays(size: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    arrays = {name: random.standard_normal(size, dtype=np.float32) for name in ("p", "g", "m", "v")}
    arrays["v"] = np.square(arrays["v"])
    return arrays


def evaluate(size: int) -> Callable[[], Any]:
    """The body of AdamW on float64 arrays."""
    arrays = {name: array.astype(np.float64) for name, array in _arrays(size).items()}
    return lambda: literal(AdamW(), arrays, {"t": 3})


def judge_step(size: int) -> Callable[[], Any]:
    """All outputs of one step of AdamW, judged."""
    rule, arrays = AdamW(), _arrays(size)
    free = free_values((size,), {"t": 3})
    plan = rule.plan((size,), 3)
    before = {name: Bounded(array.astype(np.float64)) for name, array in arrays.items()}
    after = {n: np.asarray(a) for n, a in literal(rule, arrays, {"t": 3}).items()}
    step = Step(plan, dict(zip(plan.free, free, strict=True)), before, after)
    return lambda: judge(step, Policy())
