"""The papers' equations once more, in scalars of sixty digits, against the exact evaluation of each rule's graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from refgrad import optimizers as o
from refgrad.arithmetic import exact
from refgrad.tracing import free_values

DIGITS = 60
GRADIENTS = (0.5, -3e-20, 1e8, 0.0, -2.0, 0.125, 1.5e-5)
Numbers = dict[str, Any]


def adam_moments(s: Numbers, h: Any, g: Any) -> None:
    s["m"] = h.beta1 * s["m"] + (1 - h.beta1) * g
    s["v"] = h.beta2 * s["v"] + (1 - h.beta2) * g**2


def adam(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    adam_moments(s, h, g)
    return p - h.lr * (s["m"] / (1 - h.beta1**t)) / (mpmath.sqrt(s["v"] / (1 - h.beta2**t)) + h.eps)


def adamw(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    return adam(p, g, s, t, h) - h.lr * h.weight_decay * p


def amsgrad(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    adam_moments(s, h, g)
    s["v_max"] = max(s["v_max"], s["v"])
    return p - h.lr * s["m"] / (mpmath.sqrt(s["v_max"]) + h.eps)


def nadam(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    def mu(i: int) -> Any:
        return h.beta1 * (1 - mpf(0.5) * mpf(0.96) ** (i * h.momentum_decay))

    if h.algorithm == "paper":
        s["m"], s["v"] = mu(t) * s["m"] + (1 - mu(t)) * g, h.beta2 * s["v"] + (1 - h.beta2) * g**2
    else:
        adam_moments(s, h, g)
    now = s["mu_product"] * mu(t)
    m_bar = mu(t + 1) * s["m"] / (1 - now * mu(t + 1)) + (1 - mu(t)) * g / (1 - now)
    s["mu_product"] = now
    n_hat = s["v"] / (1 - h.beta2**t) * (h.beta2 if h.algorithm == "paper" else 1)
    return p - h.lr * m_bar / (mpmath.sqrt(n_hat) + h.eps)


def radam(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    adam_moments(s, h, g)
    longest = 2 / (1 - h.beta2) - 1
    length = longest - 2 * t * h.beta2**t / (1 - h.beta2**t)
    m_hat = s["m"] / (1 - h.beta1**t)
    if length <= 4:
        return p - h.lr * m_hat
    r2 = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
    return p - h.lr * mpmath.sqrt(r2) * m_hat / (mpmath.sqrt(s["v"] / (1 - h.beta2**t)) + h.eps)


def adamax(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    s["m"] = h.beta1 * s["m"] + (1 - h.beta1) * g
    s["u"] = max(h.beta2 * s["u"], abs(g))
    return p - h.lr / (1 - h.beta1**t) * s["m"] / s["u"]


def adagrad(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    s["s"] += g**2
    return p - h.lr * g / (mpmath.sqrt(s["s"]) + h.eps)


def adadelta(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    s["v"] = h.rho * s["v"] + (1 - h.rho) * g**2
    d = mpmath.sqrt(s["u"] + h.eps) / mpmath.sqrt(s["v"] + h.eps) * g
    s["u"] = h.rho * s["u"] + (1 - h.rho) * d**2
    return p - h.lr * d


def rmsprop(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    s["v"] = h.alpha * s["v"] + (1 - h.alpha) * g**2
    s["g_avg"] = h.alpha * s["g_avg"] + (1 - h.alpha) * g
    s["buffer"] = h.momentum * s["buffer"] + g / (mpmath.sqrt(s["v"] - s["g_avg"] ** 2) + h.eps)
    return p - h.lr * s["buffer"]


def lion(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    c = h.beta1 * s["m"] + (1 - h.beta1) * g
    s["m"] = h.beta2 * s["m"] + (1 - h.beta2) * g
    return p - h.lr * (mpmath.sign(c) + h.weight_decay * p)


def adabelief(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    s["m"] = h.beta1 * s["m"] + (1 - h.beta1) * g
    s["s"] = h.beta2 * s["s"] + (1 - h.beta2) * (g - s["m"]) ** 2 + h.eps
    return p - h.lr * s["m"] / (1 - h.beta1**t) / (mpmath.sqrt(s["s"] / (1 - h.beta2**t)) + h.eps)


def diffgrad(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    friction = 1 / (1 + mpmath.exp(-abs(s["g_prev"] - g)))
    s["g_prev"] = g
    return p + friction * (adam(p, g, s, t, h) - p)


def sgd(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    g = g + h.weight_decay * p
    s["buffer"] = h.momentum * s["buffer"] + (1 - h.dampening) * g
    return p - h.lr * s["buffer"]


def adam_by_placement(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    """The step of Adam with eps where the choice says: beside the raw root, or under the corrected one."""
    adam_moments(s, h, g)
    first, second = 1 - h.beta1**t, 1 - h.beta2**t
    if h.eps_placement == "uncorrected":
        return p - h.lr * mpmath.sqrt(second) / first * s["m"] / (mpmath.sqrt(s["v"]) + h.eps)
    return p - h.lr * s["m"] / first / mpmath.sqrt(s["v"] / second + h.eps)


def adamw_by_placement(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    return adam_by_placement(p, g, s, t, h) - h.lr * h.weight_decay * p


def adamw_after(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    return (1 - h.lr * h.weight_decay) * adam(p, g, s, t, h)


def adamw_fixed(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    return adam(p, g, s, t, h) - h.weight_decay * p


def amsgrad_torch(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    adam_moments(s, h, g)
    s["v_max"] = max(s["v_max"], s["v"])
    root = mpmath.sqrt(s["v_max"]) / mpmath.sqrt(1 - h.beta2**t)
    return p - h.lr / (1 - h.beta1**t) * s["m"] / (root + h.eps)


def amsgrad_optax(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    adam_moments(s, h, g)
    s["v_max"] = max(s["v_max"], s["v"] / (1 - h.beta2**t))
    return p - h.lr / (1 - h.beta1**t) * s["m"] / (mpmath.sqrt(s["v_max"]) + h.eps)


def adam_coupled(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    return adam(p, g + h.weight_decay * p, s, t, h)


def diffgrad_authors(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    friction = 1 / (1 + mpmath.exp(-abs(s["g_prev"] - g)))
    s["g_prev"] = g
    return p + friction * (adam_by_placement(p, g, s, t, h) - p)


def sgd_nesterov(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    s["buffer"] = h.momentum * s["buffer"] + g
    return p - h.lr * (g + h.momentum * s["buffer"])


PAPERS: list[tuple[Any, Callable[..., Any]]] = [
    (o.SGD(momentum=0.9, dampening=0.3, weight_decay=0.1), sgd),
    (o.Adam(), adam),
    (o.AdamW(), adamw),
    (o.AMSGrad(), amsgrad),
    (o.NAdam(), nadam),
    (o.NAdam(algorithm="paper"), nadam),
    (o.RAdam(), radam),
    (o.Adamax(), adamax),
    (o.Adagrad(), adagrad),
    (o.Adadelta(), adadelta),
    (o.RMSprop(centered=True, momentum=0.9), rmsprop),
    (o.Lion(weight_decay=0.1), lion),
    (o.AdaBelief(), adabelief),
    (o.DiffGrad(), diffgrad),
    (o.Adam(eps_placement="uncorrected"), adam_by_placement),
    (o.Adam(eps_placement="inside"), adam_by_placement),
    (o.AdamW(eps_placement="uncorrected"), adamw_by_placement),
    (o.AdamW(eps_placement="inside"), adamw_by_placement),
    (o.AdamW(decay="after"), adamw_after),
    (o.AdamW(decay="fixed"), adamw_fixed),
    (o.AMSGrad(order="torch"), amsgrad_torch),
    (o.AMSGrad(order="optax"), amsgrad_optax),
    (o.Adam(weight_decay=0.1), adam_coupled),
    (o.DiffGrad(eps_placement="uncorrected"), diffgrad_authors),
    (o.SGD(momentum=0.9, nesterov=True), sgd_nesterov),
]


class Hyperparameters:
    """The rule's hyperparameters, each number the exact value of its float64."""

    def __init__(self, rule: Any) -> None:
        for name, value in {**rule.hyperparameters(), **rule.numbers()}.items():
            setattr(self, name, mpf(value) if name in rule.numbers() else value)


def agree(a: Any, b: Any) -> bool:
    """Relative agreement to fifty digits: sixty, less what a few dozen operations and cancellation lose."""
    return bool(a == b) or abs(a - b) <= mpf(10) ** (10 - DIGITS) * max(abs(a), abs(b))


def follow(rule: Any, paper: Callable[..., Any], gradients: tuple[float, ...] = GRADIENTS) -> None:
    """Hold the graph against the paper, step-locked: each step starts from the floats that the rule itself gave."""
    p = np.asarray([0.75])
    state = rule.init(p)
    for t, g in enumerate(gradients, 1):
        scalar_values = {n: state[n] for n, slot in rule.slots().items() if slot.scalar}
        free = free_values((1,), {"t": t, **scalar_values})
        plan = rule.plan((1,), t, scalar_values)
        names = {**rule.numbers(), **dict(zip(plan.free, free, strict=True))}
        arrays = {"p": p, "g": np.asarray([g]), **{n: state[n] for n in rule.slots() if n not in scalar_values}}
        got = exact.evaluate(plan.graph, arrays, names, DIGITS)
        with mpmath.workdps(DIGITS):
            said = {n: mpf(float(np.ravel(state[n])[0])) for n in rule.slots()}
            want = paper(mpf(float(p[0])), mpf(g), said, t, Hyperparameters(rule))
            assert agree(got["p"][0], want), (t, got["p"][0], want)
            for name in rule.slots():
                assert agree(np.ravel(got[name])[0], said[name]), (t, name)
        p, state = rule.step(p, np.asarray([g]), state, backend="numpy")


@pytest.mark.parametrize(("rule", "paper"), PAPERS, ids=lambda x: getattr(x, "__name__", str(x)))
def test_the_graph_is_the_papers_equations(rule: Any, paper: Callable[..., Any]) -> None:
    follow(rule, paper)
