"""The equations of averaging and coin betting once more, in sixty digits."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from refgrad import optimizers as o
from tests.optimizers.exact_tensors import Paper, check, larger, root

State = dict[str, Any]


def asgd(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    p = p - s["eta"] * (g + h.weight_decay * p) - s["eta"] * h.lambd * p
    s["average"] = (1 - s["mu"]) * s["average"] + s["mu"] * p
    s["eta"] = h.lr * (1 + h.lr * h.lambd * t) ** -h.alpha
    s["mu"] = 1 / max(mpf(1), t - h.t0)
    return p


def schedule_free_sgd(y: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    gamma = h.lr * min(mpf(1), t / h.warmup_steps) if h.warmup_steps else h.lr
    if getattr(h, "correction", None) == "rate":
        gamma = gamma * mpmath.sqrt(1 - h.beta2**t)
    s["lr_max"] = max(s["lr_max"], gamma)
    weight = mpf(t) ** h.r * s["lr_max"] ** h.weight_lr_power
    s["weight_sum"] += weight
    c = weight / s["weight_sum"]
    x = (y - (1 - h.beta1) * s["z"]) / h.beta1
    s["z"] = s["z"] - gamma * (g + h.weight_decay * y)
    return (1 - h.beta1) * s["z"] + h.beta1 * ((1 - c) * x + c * s["z"])


def schedule_free_adamw(y: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    s["v"] = h.beta2 * s["v"] + (1 - h.beta2) * g**2
    v_hat = s["v"] if h.correction == "rate" else s["v"] / (1 - h.beta2**t)
    return schedule_free_sgd(y, g / (root(v_hat) + h.eps), s, t, h)


def cocob(w: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    """The paper's g is the negative gradient."""
    g = -h.lr * (g + h.weight_decay * w)
    s["largest"] = larger(s["largest"], abs(g))
    s["total"] = s["total"] + abs(g)
    s["reward"] = larger(s["reward"] + (w - s["start"]) * g, mpf(0))
    s["theta"] = s["theta"] + g
    beta = s["theta"] / (s["largest"] * larger(s["total"] + s["largest"], h.alpha * s["largest"]))
    return s["start"] + beta * (s["largest"] + s["reward"])


def madgrad(x: np.ndarray, g: np.ndarray, s: State, t: int, h: Any, pad: Any = 0) -> np.ndarray:
    """The paper, with the authors' pad on the step size."""
    g = g + h.weight_decay * x
    weight = (h.lr + pad) * mpmath.sqrt(t)
    s["s"] = s["s"] + weight * g
    s["square"] = s["square"] + weight * g**2
    third = np.frompyfunc(lambda a: mpmath.cbrt(a), 1, 1)
    z = s["start"] - s["s"] / (third(s["square"]) + h.eps)
    return h.momentum * x + (1 - h.momentum) * z


def madgrad_padded(x: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    return madgrad(x, g, s, t, h, h.eps)


PAPERS: list[tuple[Any, Paper]] = [
    (o.MADGRAD(weight_decay=0.1), madgrad),
    (o.MADGRAD(weights="padded", applied="by_difference", eps=0.01), madgrad_padded),
    (o.ASGD(t0=3.0, weight_decay=0.1), asgd),
    (o.ASGD(lambd=0.5), asgd),
    (o.ScheduleFreeSGD(weight_decay=0.1), schedule_free_sgd),
    (o.ScheduleFreeSGD(warmup_steps=4.0, r=1.5, weight_lr_power=1.0), schedule_free_sgd),
    (o.ScheduleFreeAdamW(weight_decay=0.1, warmup_steps=3.0), schedule_free_adamw),
    (o.ScheduleFreeAdamW(weight_decay=0.1, warmup_steps=3.0, correction="rate"), schedule_free_adamw),
    (o.COCOB(weight_decay=0.1), cocob),
    (o.COCOB(applied="by_difference", lr=0.5), cocob),
]


@pytest.mark.parametrize(("rule", "paper"), PAPERS, ids=lambda x: getattr(x, "__name__", str(x)))
def test_the_graph_is_the_papers_equations(rule: Any, paper: Paper) -> None:
    check(rule, paper)


def test_the_average_of_schedule_free_is_the_mean_of_z() -> None:
    """With constant weights, x after t steps is the mean of z_1 to z_t."""
    rule = o.ScheduleFreeSGD(lr=0.25)
    p = np.asarray([1.0, -2.0])
    state, seen = rule.init(p), []
    for t in range(1, 9):
        p, state = rule.step(p, p + t, state)
        seen.append(state["z"])
        x = (p - (1 - rule.beta1) * state["z"]) / rule.beta1
        bound = 20 * t * np.finfo(float).eps * np.max(np.abs([*seen, p]), axis=0)  # a few roundings a step
        assert np.all(np.abs(x - np.mean(seen, axis=0)) <= bound)
