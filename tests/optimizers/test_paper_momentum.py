"""The equations of momentum, sign and Adam's relatives once more, in scalars of sixty digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import pytest
from mpmath import mpf

from refgrad import optimizers as o
from tests.optimizers.test_paper import Numbers, adam_moments
from tests.optimizers.test_paper import test_the_graph_is_the_papers_equations as check


def sgdw(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    s["buffer"] = h.momentum * s["buffer"] + (1 - h.dampening) * g
    return (1 - h.weight_decay) * p - h.lr * s["buffer"]


def sgdw_scaled(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    s["buffer"] = g if t == 1 else h.momentum * s["buffer"] + (1 - h.dampening) * g
    return (1 - h.lr * h.weight_decay) * p - h.lr * (g + h.momentum * s["buffer"])


def sgdw_constant(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    s["buffer"] = h.momentum * s["buffer"] + g
    return p - h.lr * (s["buffer"] + h.weight_decay)


def qhm(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    g = g + h.weight_decay * p
    s["m"] += (1 - h.beta) * (g - s["m"])
    return p - h.lr * (g + h.nu * (s["m"] - g))


def aggmo(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    for i, decay in ((1, h.beta1), (2, h.beta2), (3, h.beta3)):
        s[f"v{i}"] = decay * s[f"v{i}"] + g + h.weight_decay * p
    return p - h.lr * sum(s[f"v{i}"] for i in (1, 2, 3)) / 3


def optimistic(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    before = g if t == 1 else s["g_prev"]
    s["g_prev"] = g
    return p - h.lr * h.alpha * g - h.lr * h.beta * (g - before)


def pid(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    g = g + h.weight_decay * p
    change = 0 if t == 1 else g - s["g_prev"]
    s["g_prev"] = g
    s["i_buffer"] = h.momentum * s["i_buffer"] + (1 - h.dampening) * g
    s["d_buffer"] = h.momentum * s["d_buffer"] + (1 - h.momentum) * change
    return p - h.lr * (g + h.integral * s["i_buffer"] + h.derivative * s["d_buffer"])


def pid_lost(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    moved = pid(p, g, s, t, h)
    if t == 1:
        s["g_prev"] = mpf(0)
    return moved


def sign_sgd(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    return (1 - h.lr * h.weight_decay) * p - h.lr * mpmath.sign(g)


def signum(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    s["m"] = h.beta * s["m"] + (1 - h.beta) * g
    return (1 - h.lr * h.weight_decay) * p - h.lr * mpmath.sign(s["m"])


def rprop(p: Any, g: Any, s: Numbers, t: int, h: Any, back: bool = True) -> Any:
    same, before = g * s["g_prev"], s["step_size"] * mpmath.sign(s["g_prev"])
    if same > 0:
        s["step_size"] = min(s["step_size"] * h.eta_plus, h.step_max)
    elif same < 0:
        s["step_size"] = max(s["step_size"] * h.eta_minus, h.step_min)
        s["g_prev"] = mpf(0)
        return p + before if back else p
    s["g_prev"] = g
    return p - s["step_size"] * mpmath.sign(g)


def rprop_skip(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    return rprop(p, g, s, t, h, back=False)


def rprop_delayed(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    asked = s["step_size"] * mpmath.sign(s["g_prev"])
    turned = g * s["g_prev"] < 0
    rprop(p, g, s, t, h)
    return p if turned else p - asked


def qhadam(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    g = g + h.weight_decay * p
    if "weight1" in s:
        for moment, weight, decay, term in (("m", "weight1", h.beta1, g), ("v", "weight2", h.beta2, g**2)):
            s[weight] = 1 + decay * s[weight]
            s[moment] += (term - s[moment]) / s[weight]
        m, v = s["m"], s["v"]
    else:
        adam_moments(s, h, g)
        m, v = s["m"] / (1 - h.beta1**t), s["v"] / (1 - h.beta2**t)
    below = mpmath.sqrt((1 - h.nu2) * g**2 + h.nu2 * v) + h.eps
    return p - h.lr * ((1 - h.nu1) * g + h.nu1 * m) / below


def adan(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    """Algorithm 1 in the paper's own betas, from the averages that the first gradient gives."""
    b1, b2, b3 = 1 - h.beta1, 1 - h.beta2, 1 - h.beta3
    if t == 1:
        s["m"], s["m_diff"], s["square"] = g, mpf(0), g**2
    else:
        change = g - s["g_last"]
        s["m"] = (1 - b1) * s["m"] + b1 * g
        s["m_diff"] = change if t == 2 else (1 - b2) * s["m_diff"] + b2 * change
        s["square"] = (1 - b3) * s["square"] + b3 * (g + (1 - b2) * change) ** 2
    s["g_last"] = g
    inside = h.eps_placement == "inside"
    size = h.lr / (mpmath.sqrt(s["square"] + h.eps) if inside else mpmath.sqrt(s["square"]) + h.eps)
    return (p - size * (s["m"] + (1 - b2) * s["m_diff"])) / (1 + h.weight_decay * h.lr)


def adan_corrected(p: Any, g: Any, s: Numbers, t: int, h: Any, share: Any = None) -> Any:
    share = h.beta2 if share is None else share
    change = mpf(0) if t == 1 else g - s["g_last"]
    s["g_last"] = g
    s["m"] = h.beta1 * s["m"] + (1 - h.beta1) * g
    s["m_diff"] = h.beta2 * s["m_diff"] + (1 - h.beta2) * change
    s["square"] = h.beta3 * s["square"] + (1 - h.beta3) * (g + share * change) ** 2
    above = s["m"] / (1 - h.beta1**t) + share * s["m_diff"] / (1 - h.beta2**t)
    below = mpmath.sqrt(s["square"] / (1 - h.beta3**t) + h.eps_root) + h.eps
    return (1 - h.lr * h.weight_decay) * p - h.lr * above / below


def adan_optax(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    return adan_corrected(p, g, s, t, h, 1 - h.beta2)


def ademamix(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    alpha, slow = h.alpha, h.beta3
    if h.warmup:
        part = min(t / h.warmup, mpf(1))
        alpha = part * h.alpha
        fast_life, slow_life = (mpmath.log(mpf(1) / 2) / mpmath.log(b) for b in (h.beta1, h.beta3))
        slow = (mpf(1) / 2) ** (1 / ((1 - part) * fast_life + part * slow_life))
    adam_moments(s, h, g)
    s["m_slow"] = slow * s["m_slow"] + (1 - slow) * g
    above = s["m"] / (1 - h.beta1**t) + alpha * s["m_slow"]
    below = mpmath.sqrt(s["v"] / (1 - h.beta2**t)) + h.eps
    return (1 - h.lr * h.weight_decay) * p - h.lr * above / below


def simplified_ademamix(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    s["m"] = h.beta1 * s["m"] + g
    s["v"] = h.beta2 * s["v"] + (1 - h.beta2) * g**2
    step = (s["m"] + h.alpha * g) / (mpmath.sqrt(s["v"] / (1 - h.beta2**t)) + h.eps)
    return p - h.lr * step - h.lr * h.weight_decay * p


def laprop(p: Any, g: Any, s: Numbers, t: int, h: Any, unit: Any = 1, root: Any = None) -> Any:
    s["v"] = h.beta2 * s["v"] + (1 - h.beta2) * g**2
    n = root(s["v"]) if root else mpmath.sqrt(s["v"] / (1 - h.beta2**t)) + h.eps
    s["m"] = h.beta1 * s["m"] + (1 - h.beta1) * g / n * (h.lr if unit else 1)
    if unit:
        s["lr_average"] = h.beta1 * s["lr_average"] + (1 - h.beta1) * h.lr
        moved = p - s["m"] / (s["lr_average"] / h.lr)
    else:
        moved = p - s["m"] / (1 - h.beta1**t) * h.lr
    return moved * (1 - (1 if h.decay == "fixed" else h.lr) * h.weight_decay)


def laprop_directions(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    return laprop(p, g, s, t, h, unit=0)


def laprop_hidden(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    tiny = mpf(1e-15)
    return laprop(p, g, s, t, h, root=lambda v: (mpmath.sqrt(v + tiny) + h.eps) / mpmath.sqrt(1 - h.beta2**t))


def grams(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    adam_moments(s, h, g)
    size = abs(s["m"]) / (1 - h.beta1**t) / (mpmath.sqrt(s["v"] / (1 - h.beta2**t)) + h.eps)
    return (1 - h.lr * h.weight_decay) * p - h.lr * mpmath.sign(g) * size


def grams_of_its_authors(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    adam_moments(s, h, g)
    rate = h.lr * mpmath.sqrt(1 - h.beta2**t) / (1 - h.beta1**t)
    step = mpmath.sign(g) * abs(s["m"]) / (mpmath.sqrt(s["v"]) + h.eps)
    return p - h.lr * h.weight_decay * p - rate * step


def yogi(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    s["m"] = h.beta1 * s["m"] + (1 - h.beta1) * g
    s["v"] = s["v"] - (1 - h.beta2) * mpmath.sign(s["v"] - g**2) * g**2
    return p - h.lr * s["m"] / (mpmath.sqrt(s["v"]) + h.eps)


def yogi_corrected(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    yogi(p, g, s, t, h)
    return p - h.lr * s["m"] / (1 - h.beta1**t) / (mpmath.sqrt(s["v"] / (1 - h.beta2**t)) + h.eps)


def adopt(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    """The paper counts from the step after the one that sets v."""
    k = t - 1
    if k == 0:
        s["v"] = g**2
        return p
    scaled = g / max(mpmath.sqrt(s["v"]), h.eps)
    if h.clip != "none":
        bound = mpmath.root(k, 4)
        scaled = min(max(scaled, -bound), bound)
    s["m"] = scaled if k == 1 and h.start == "whole" else h.beta1 * s["m"] + (1 - h.beta1) * scaled
    s["v"] = h.beta2 * s["v"] + (1 - h.beta2) * g**2
    return p - h.lr * s["m"] - h.lr * h.weight_decay * p


def acprop(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    below = mpf(1) if t == 1 else mpmath.sqrt(s["s"] / (1 - h.beta2 ** (t - 1)))
    s["m"] = h.beta1 * s["m"] + (1 - h.beta1) * g
    s["s"] = h.beta2 * s["s"] + (1 - h.beta2) * (g - s["m"]) ** 2 + h.eps
    return (1 - h.lr * h.weight_decay) * p - h.lr * g / (below + h.eps)


def acprop_old(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    before = dict(s)
    moved = acprop(p, g, s, t, h)
    s["s"] = h.beta2 * before["s"] + (1 - h.beta2) * (g - before["m"]) ** 2 + h.eps
    return moved


def adamaxw(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    s["m"] = h.beta1 * s["m"] + (1 - h.beta1) * g
    s["u"] = max(h.beta2 * s["u"], abs(g))
    return p * (1 - h.lr * h.weight_decay) - h.lr / (1 - h.beta1**t) * s["m"] / s["u"]


def nadamw(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    adam_moments(s, h, g)
    s["mu_product"] *= h.beta1  # beta1**t, as the rule itself keeps it in floats
    ahead, now = 1 - s["mu_product"] * h.beta1, 1 - s["mu_product"]
    m_bar = h.beta1 * s["m"] / ahead + (1 - h.beta1) * g / now
    return p * (1 - h.lr * h.weight_decay) - h.lr * m_bar / (mpmath.sqrt(s["v"] / (1 - h.beta2**t)) + h.eps)


def optimistic_adam(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    adam_moments(s, h, g)
    m = s["m"] / (1 - h.beta1**t)
    if h.nesterov:
        m = h.beta1 * s["m"] / (1 - h.beta1 ** (t + 1)) + (1 - h.beta1) * g / (1 - h.beta1**t)
    step = m / (mpmath.sqrt(s["v"] / (1 - h.beta2**t)) + h.eps)
    before = step if t == 1 else s["last"]
    s["last"] = step
    return p - h.lr * h.alpha * step - h.lr * h.beta * (step - before)


def acc_sgd(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    g = g + h.weight_decay * p
    alpha = 1 - h.small_const**2 * h.xi / h.kappa
    s["far"] = alpha * s["far"] + (1 - alpha) * (p - h.kappa * h.lr / h.small_const * g)
    return (h.small_const * (p - h.lr * g) + (1 - alpha) * s["far"]) / (h.small_const + (1 - alpha))


def pnm(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    g = g + h.weight_decay * p
    new, old = ("odd", "even") if t % 2 else ("even", "odd")
    s[new] = h.beta1**2 * s[new] + (1 - h.beta1**2) * g
    step = (1 + h.beta0) * s[new] - h.beta0 * s[old]
    return p - h.lr * step / mpmath.sqrt((1 + h.beta0) ** 2 + h.beta0**2)


def adamod(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    adam_moments(s, h, g)
    m, eta = s["m"] / (1 - h.beta1**t), h.lr / (mpmath.sqrt(s["v"] / (1 - h.beta2**t)) + h.eps)
    s["size"] = h.beta3 * s["size"] + (1 - h.beta3) * eta
    return p - min(eta, s["size"]) * m - h.lr * h.weight_decay * p


def adamod_authors(p: Any, g: Any, s: Numbers, t: int, h: Any) -> Any:
    adam_moments(s, h, g)
    eta = h.lr * mpmath.sqrt(1 - h.beta2**t) / (1 - h.beta1**t) / (mpmath.sqrt(s["v"]) + h.eps)
    s["size"] = h.beta3 * s["size"] + (1 - h.beta3) * eta
    return p - min(eta, s["size"]) * s["m"]


PAPERS: list[tuple[Any, Callable[..., Any]]] = [
    (o.SGDW(dampening=0.3), sgdw),
    (o.SGDW(dampening=0.3, nesterov=True, decay="before", first_step="undamped"), sgdw_scaled),
    (o.SGDW(decay="constant"), sgdw_constant),
    (o.QHM(lr=0.1, weight_decay=0.1), qhm),
    (o.AggMo(weight_decay=0.1), aggmo),
    (o.OptimisticGradient(alpha=0.7, beta=0.3), optimistic),
    (o.PID(weight_decay=0.1, dampening=0.3), pid),
    (o.PID(first_gradient="lost"), pid_lost),
    (o.AccSGD(weight_decay=0.1, kappa=10.0), acc_sgd),
    (o.PNM(weight_decay=0.1, beta0=0.7), pnm),
    (o.AdaMod(weight_decay=0.1, beta3=0.9), adamod),
    (o.AdaMod(sizes="corrected"), adamod_authors),
    (o.SignDescent(weight_decay=0.1), sign_sgd),
    (o.Signum(weight_decay=0.1), signum),
    (o.Tiger(), signum),
    (o.Rprop(), rprop),
    (o.Rprop(lr=0.5, step_max=0.55, step_min=0.3), rprop),
    (o.Rprop(reversal="skip"), rprop_skip),
    (o.Rprop(reversal="delayed"), rprop_delayed),
    (o.QHAdam(weight_decay=0.1, nu2=0.9), qhadam),
    (o.QHAdam(nu2=0.9, corrected_state=True), qhadam),
    (o.Adan(weight_decay=0.1), adan),
    (o.Adan(eps_placement="outside", eps=0.1), adan),
    (o.Adan(weight_decay=0.1, start="corrected", decay="before", eps_placement="outside"), adan_corrected),
    (
        o.Adan(start="corrected", decay="before", difference="one_minus_beta2", eps_placement="outside", eps_root=0.1),
        adan_optax,
    ),
    (o.AdEMAMix(weight_decay=0.1), ademamix),
    (o.AdEMAMix(warmup=5.0), ademamix),
    (o.SimplifiedAdEMAMix(alpha=3.0, weight_decay=0.1), simplified_ademamix),
    (o.LaProp(weight_decay=0.1), laprop),
    (o.LaProp(weight_decay=0.1, decay="fixed"), laprop),
    (o.LaProp(averaged="directions"), laprop_directions),
    (o.LaProp(eps_placement="hidden"), laprop_hidden),
    (o.Grams(weight_decay=0.1), grams),
    (o.Grams(weight_decay=0.1, eps=0.5, eps_placement="uncorrected"), grams_of_its_authors),
    (o.Yogi(), yogi),
    (o.Yogi(correction="adam", initial_m=1e-6, initial_v=1e-6), yogi_corrected),
    (o.ADOPT(weight_decay=0.1), adopt),
    (o.ADOPT(weight_decay=0.1, clip="none", start="whole"), adopt),
    (o.ACProp(weight_decay=0.1), acprop),
    (o.ACProp(deviation="old"), acprop_old),
    (o.AdamaxW(weight_decay=0.1), adamaxw),
    (o.NAdamW(weight_decay=0.1), nadamw),
    (o.OptimisticAdam(alpha=0.7, beta=0.3), optimistic_adam),
    (o.OptimisticAdam(nesterov=True), optimistic_adam),
]


@pytest.mark.parametrize(("rule", "paper"), PAPERS, ids=lambda x: getattr(x, "__name__", str(x)))
def test_the_graph_is_the_papers_equations(rule: Any, paper: Callable[..., Any]) -> None:
    check(rule, paper)
