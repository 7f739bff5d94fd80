"""Every named variant of the elementwise rules once more, in scalars of sixty digits.

A restatement takes all of a rule's options; each base is held against it, and so is every rule that differs from the base in
one named behaviour, so that a variant that is added without a restatement is found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from refgrad import optimizers as o
from refgrad.rule import rules
from tests.optimizers.exact_tensors import variants_of
from tests.optimizers.test_paper import Numbers, follow


def average(old: Any, new: Any, decay: Any) -> Any:
    return decay * old + (1 - decay) * new


def l2(p: Any, g: Any, h: Any) -> Any:
    return g + h.weight_decay * p if h.decay == "coupled" else g


def moved(p: Any, step: Any, h: Any) -> Any:
    """The parameter after a step and its decay, as a factor on the parameter before or after."""
    peak = getattr(h, "peak_lr", None)
    if h.decay == "after":
        return (1 - h.lr * h.weight_decay) * (p - step)
    share = {
        "coupled": 0,
        "before": h.lr * h.weight_decay,
        "fixed": h.weight_decay,
        "independent": peak and h.weight_decay * (h.lr / peak),
        "corrected": peak and h.weight_decay * (h.lr**2 / peak),
    }[h.decay]
    return (1 - share) * p - step


def denominator(v: Any, h: Any, bias: Any) -> Any:
    """What divides the corrected first moment; ``bias`` is 1 for a second moment that is used as it is."""
    if h.eps_placement == "uncorrected":
        return (mpmath.sqrt(v + h.eps_root) + h.eps) / mpmath.sqrt(bias)
    v_hat = v / bias
    return {
        "outside": lambda: mpmath.sqrt(v_hat + h.eps_root) + h.eps,
        "inside": lambda: mpmath.sqrt(v_hat + h.eps),
        "clamped": lambda: max(mpmath.sqrt(v_hat + h.eps_root), h.eps),
    }[h.eps_placement]()


def moments(g: Any, s: Numbers, h: Any) -> None:
    s["m"] = average(s["m"], g, h.beta1)
    s["v"] = average(s["v"], g**2, h.beta2)


def adam_step(g: Any, s: Numbers, t: int, h: Any) -> Any:
    moments(g, s, h)
    if not h.bias_correction:
        return h.lr * s["m"] / denominator(s["v"], h, 1)
    return h.lr * s["m"] / (1 - h.beta1**t) / denominator(s["v"], h, 1 - h.beta2**t)


def adam(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    return p - adam_step(g + h.weight_decay * p, s, t, h)


def adamw(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    return moved(p, adam_step(g, s, t, h), h)


def amsgrad(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    moments(l2(p, g, h), s, h)
    first, second = 1 - h.beta1**t, 1 - h.beta2**t
    s["v_max"] = max(s["v_max"], s["v"] / second if h.order == "optax" else s["v"])
    if h.order == "torch":
        return moved(p, h.lr * s["m"] / first / denominator(s["v_max"], h, second), h)
    return moved(p, h.lr * s["m"] / (first if h.order == "optax" else 1) / denominator(s["v_max"], h, 1), h)


def nadam(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    def mu(i: int) -> Any:
        return h.beta1 * (1 - mpf(0.96) ** (i * h.momentum_decay) / 2) if h.schedule == "warmup" else h.beta1

    g = l2(p, g, h)
    paper = h.algorithm == "paper"
    s["m"] = average(s["m"], g, mu(t) if paper else h.beta1)
    s["v"] = average(s["v"], g**2, h.beta2)
    product = s["mu_product"] = s["mu_product"] * mu(t)
    if h.schedule == "current":
        ahead = average(s["m"], g, h.beta1) / (1 - product)
    else:
        ahead = mu(t + 1) * s["m"] / (1 - product * mu(t + 1)) + (1 - mu(t)) * g / (1 - product)
    return moved(p, h.lr * ahead / denominator(s["v"], h, (1 - h.beta2**t) / (h.beta2 if paper else 1)), h)


def lengths(t: int, h: Any) -> tuple[Any, Any]:
    longest = 2 / (1 - h.beta2) - 1
    return longest - 2 * t * h.beta2**t / (1 - h.beta2**t), longest


def factor(t: int, h: Any) -> Any:
    n, most = lengths(t, h)
    return mpmath.sqrt((n - 4) / (most - 4) * (n - 2) / (most - 2) * most / n)


def radam(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    moments(l2(p, g, h), s, h)
    n, _ = lengths(t, h)
    m_hat = s["m"] / (1 - h.beta1**t)
    if {"paper": n > 4, "torch": n > 5, "author": n >= 5}[h.threshold]:
        return moved(p, h.lr * factor(t, h) * m_hat / denominator(s["v"], h, 1 - h.beta2**t), h)
    if h.before == "still":
        return p
    return moved(p, h.lr * m_hat, h)


def adamax(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    g = l2(p, g, h)
    s["m"] = average(s["m"], g, h.beta1)
    s["u"] = max(h.beta2 * s["u"], abs(g) + (h.eps if h.eps_placement == "inside_max" else 0))
    below = s["u"] + (h.eps if h.eps_placement == "outside" else 0)
    return moved(p, h.lr / (1 - h.beta1**t) * s["m"] / below, h)


def adagrad(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    g = l2(p, g, h)
    s["s"] += g**2
    if h.eps_placement == "inside_or_still" and s["s"] == 0:
        return moved(p, 0, h)
    below = mpmath.sqrt(s["s"]) + h.eps if h.eps_placement == "outside" else mpmath.sqrt(s["s"] + h.eps)
    return moved(p, h.lr / (1 + (t - 1) * h.lr_decay) * g / below, h)


def adadelta(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    g = l2(p, g, h)
    s["v"] = average(s["v"], g**2, h.rho)
    d = mpmath.sqrt((s["u"] + h.eps) / (s["v"] + h.eps)) * g
    s["u"] = average(s["u"], d**2, h.rho)
    return moved(p, h.lr * d, h)


def rmsprop(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    g = l2(p, g, h)
    bias = 1 - h.alpha**t if h.bias_correction else 1
    s["v"] = average(s["v"], g**2, h.alpha)
    variance = s["v"] / bias
    if h.centered:
        s["g_avg"] = average(s["g_avg"], g, h.alpha)
        variance -= (s["g_avg"] / bias) ** 2
    roots = {
        "outside": lambda: mpmath.sqrt(variance) + h.eps,
        "inside": lambda: mpmath.sqrt(variance + h.eps),
        "clamped": lambda: max(mpmath.sqrt(variance), h.eps),
    }
    step = g / roots[h.eps_placement]()
    entering = {"outside": mpf(1), "buffer": h.lr, "velocity": -h.lr}[h.lr_placement]
    s["buffer"] = h.momentum * s["buffer"] + entering * step
    leaving = entering * step + h.momentum * s["buffer"] if h.nesterov else s["buffer"]
    return moved(p, leaving / entering * h.lr, h)


def sgd(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    g = l2(p, g, h)
    inside = h.lr_placement == "velocity"
    enters = -h.lr * g if inside else g
    damped = enters if h.first_step == "undamped" and t == 1 else (1 - h.dampening) * enters
    s["buffer"] = h.momentum * s["buffer"] + damped
    leaves = enters + h.momentum * s["buffer"] if h.nesterov else s["buffer"]
    return moved(p, -leaves if inside else h.lr * leaves, h)


def lion(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    g = l2(p, g, h)
    c = average(s["m"], g, h.beta1)
    s["m"] = average(s["m"], g, h.beta2)
    direction = c if h.direction == "refined" and abs(c) < 1 else mpmath.sign(c)
    return moved(p, h.lr * direction, h)


def adabelief(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    g = l2(p, g, h)
    s["m"] = average(s["m"], g, h.beta1)
    kept = h.eps if h.eps_placement == "both" or (h.eps_placement == "maximum" and not h.amsgrad) else 0
    s["s"] = average(s["s"], (g - s["m"]) ** 2, h.beta2) + kept
    scale = s["s"]
    if h.amsgrad:
        s["s_max"] = scale = max(s["s_max"], s["s"]) + (h.eps if h.eps_placement == "maximum" else 0)
    scale += h.eps if h.eps_placement == "correction" else 0
    first, second = 1 - h.beta1**t, 1 - h.beta2**t
    n, _ = lengths(t, h)
    plain = s["m"] / first / (mpmath.sqrt(scale / second) + h.eps)
    if h.rectify == "none":
        return moved(p, h.lr * plain, h)
    if h.rectify == "torch_optimizer":
        return moved(p, h.lr * (factor(t, h) * plain if n > 4 else s["m"]), h)
    if n >= 5:
        whole = factor(t, h) * mpmath.sqrt(second) / first
        return moved(p, h.lr * whole * s["m"] / (mpmath.sqrt(s["s"]) + h.eps), h)
    return moved(p, h.lr * s["m"] / first if h.rectify == "author" else 0, h)


def diffgrad(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    g = l2(p, g, h)
    moments(g, s, h)
    change = 0 if h.previous == "alias" and t > 1 else abs(s["g_prev"] - g)
    s["g_prev"] = g
    friction = 1 / (1 + mpmath.exp(-change))
    return moved(p, h.lr * friction * s["m"] / (1 - h.beta1**t) / denominator(s["v"], h, 1 - h.beta2**t), h)


def exadam(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    g = l2(p, g, h)
    moments(g, s, h)
    first, second = 1 - h.beta1**t, 1 - h.beta2**t
    gain = 1 + h.beta2**t * s["v"] / (s["v"] + h.eps)
    damp = 1 + h.beta1**t * s["m"] ** 2 / (s["m"] ** 2 + h.eps)
    rate = h.lr * mpmath.log(2 * (t + 1)) / 2 if h.version == "first" else h.lr
    return moved(p, rate * gain * (s["m"] + g) / first / (mpmath.sqrt(damp * s["v"] / second) + h.eps), h)


def rm3(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    g = g + h.weight_decay * p
    three = sorted([g, s["previous"], s["before"]])
    s["previous"], s["before"] = g, s["previous"]
    return p - h.lr * three[1] if t > 2 else p


DECAYED = {"weight_decay": 0.1}
ROOTED = {**DECAYED, "eps_root": 1e-9}

BASES: list[tuple[Any, Callable[..., Any]]] = [
    (o.SGD(momentum=0.9, dampening=0.3, **DECAYED), sgd),
    (o.SGD(momentum=0.9, nesterov=True, lr_placement="velocity"), sgd),
    (o.Adam(**ROOTED), adam),
    (o.AdamW(peak_lr=0.03, **ROOTED), adamw),
    (o.AMSGrad(**ROOTED), amsgrad),
    (o.AMSGrad(order="torch", **ROOTED), amsgrad),
    (o.AMSGrad(order="optax", **ROOTED), amsgrad),
    (o.NAdam(**ROOTED), nadam),
    (o.NAdam(schedule="constant"), nadam),
    (o.RAdam(**ROOTED), radam),
    (o.RAdam(decay="before", before="still", **DECAYED), radam),
    (o.Adamax(**DECAYED), adamax),
    (o.Adagrad(lr_decay=0.1, **DECAYED), adagrad),
    (o.Adadelta(**DECAYED), adadelta),
    (o.RMSprop(momentum=0.9, **DECAYED), rmsprop),
    (o.RMSprop(momentum=0.9, centered=True, lr_placement="buffer", nesterov=True, initial_scale=1.0), rmsprop),
    (o.Lion(peak_lr=0.03, **DECAYED), lion),
    (o.AdaBelief(**DECAYED, eps=1e-8), adabelief),
    (o.AdaBelief(amsgrad=True, eps=1e-8), adabelief),
    (o.DiffGrad(**ROOTED), diffgrad),
    (o.EXAdam(**DECAYED), exadam),
    (o.RM3(**DECAYED), rm3),
]
GRADIENTS = (0.5, -3e-5, 1e3, 0.0, -2.0, 0.125, 1.5e-3)


@pytest.mark.parametrize(("rule", "paper"), variants_of(BASES))
def test_the_graph_is_the_variants_equations(rule: Any, paper: Callable[..., Any]) -> None:
    follow(rule, paper, GRADIENTS)


def test_the_clamped_variance_is_zero_where_the_bare_one_is_not_a_number() -> None:
    state = {"t": 1, "v": np.zeros(1), "g_avg": np.ones(1)}
    clamped = o.RMSprop(lr=1.0, eps=0.5, alpha=0.5, centered=True)
    assert clamped.step(np.ones(1), np.ones(1), state)[0] == 1.0 - 1.0 / 0.5
    assert np.isnan(clamped.replace(variance="bare").step(np.ones(1), np.ones(1), state)[0])


def test_no_gradient_ever_makes_no_step_in_optax_adagrad() -> None:
    tiny = np.full(1, 1e-300)  # its square is zero
    still = o.Adagrad(eps_placement="inside_or_still")
    assert still.step(np.ones(1), tiny, still.init(np.ones(1)))[0] == 1.0
    p = o.Adagrad(lr=1e300, eps_placement="inside")
    assert p.step(np.ones(1), tiny, p.init(np.ones(1)))[0] != 1.0


def test_each_rule_of_this_page_is_a_registered_one() -> None:
    assert {type(base).__name__ for base, _ in BASES} <= set(rules())
