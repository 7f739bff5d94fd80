"""The equations of rules that see a whole tensor, its rows or its columns, once more in sixty digits."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from refgrad import optimizers as o
from tests.optimizers.exact_tensors import Paper, check, larger, norm, rms, root, sign, smaller

State = dict[str, Any]


def moments(s: State, g: np.ndarray, b1: Any, b2: Any) -> None:
    s["m"] = b1 * s["m"] + (1 - b1) * g
    s["v"] = b2 * s["v"] + (1 - b2) * g**2


def lars(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    local = h.trust_coefficient * norm(p) / (norm(g) + h.weight_decay * norm(p) + h.eps) if norm(g) else mpf(1)
    s["momentum_sum"] = h.momentum * s["momentum_sum"] + h.lr * local * (g + h.weight_decay * p)
    return p - s["momentum_sum"]


def lars_joint(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    g = g + h.weight_decay * p
    s["momentum_sum"] = h.momentum * s["momentum_sum"] + h.lr * h.trust_coefficient * norm(p) / norm(g) * g
    return p - s["momentum_sum"]


def lars_plain(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    s["momentum_sum"] = h.momentum * s["momentum_sum"] + g
    return p - h.lr * s["momentum_sum"]


def fromage(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    ratio = norm(p) / norm(g) if norm(g) else mpf(1)
    return (p - h.lr * ratio * g) / mpmath.sqrt(1 + h.lr**2)


def fromage_floored(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    ratio = max(norm(p), h.min_norm) / max(norm(g), h.min_norm)
    return (p - h.lr * ratio * g) / mpmath.sqrt(1 + h.lr**2)


def novograd(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any, keep: Any = 1) -> np.ndarray:
    square = norm(g) ** 2
    s["v"] = h.beta2 * s["v"] + (1 - h.beta2) * square if t > 1 else np.full((1, 1), square)
    scaled = g / (root(s["v"]) + h.eps) + h.weight_decay * p
    s["m"] = h.beta1 * s["m"] + keep * scaled if t > 1 else scaled
    return p - h.lr * s["m"]


def novograd_averaging(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    return novograd(p, g, s, t, h, 1 - h.beta1)


def stable_adamw(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any, shrink: bool = True) -> np.ndarray:
    """From the bias-corrected averages, which these betas of the step keep."""
    for name, decay, term in (("m", h.beta1, g), ("v", h.beta2, g**2)):
        s[name] = (decay * (1 - decay ** (t - 1)) * s[name] + (1 - decay) * term) / (1 - decay**t)
    lr = h.lr / max(mpf(1), rms(g / root(larger(s["v"], h.eps**2))))
    return p - (lr if shrink else h.lr) * h.weight_decay * p - lr * s["m"] / (root(s["v"]) + h.eps)


def stable_adamw_whole(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    return stable_adamw(p, g, s, t, h, shrink=False)


def mars(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any, first: bool = False, tiny: Any = 0) -> np.ndarray:
    change = 0 * g if t == 1 and not first else g - s["g_prev"]
    s["g_prev"] = g
    c = g + h.gamma * h.beta1 / (1 - h.beta1) * change
    c = c / norm(c) if norm(c) > 1 else c
    moments(s, c, h.beta1, h.beta2)
    if tiny:
        below = (root(s["v"] + tiny) + h.eps) / mpmath.sqrt(1 - h.beta2**t)
    else:
        below = root(s["v"] / (1 - h.beta2**t)) + h.eps
    return p - h.lr * (s["m"] / (1 - h.beta1**t) / below + h.weight_decay * p)


def mars_authors(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    return mars(p, g, s, t, h, first=True, tiny=mpf(1e-15))


def adam_mini(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any, axis: Any = 1) -> np.ndarray:
    s["m"] = h.beta1 * s["m"] + (1 - h.beta1) * g
    s["v"] = h.beta2 * s["v"] + (1 - h.beta2) * np.mean(g**2, axis=axis, keepdims=True)
    step = s["m"] / (1 - h.beta1**t) / (root(s["v"] / (1 - h.beta2**t)) + h.eps)
    return p * (1 - h.lr * h.weight_decay) - h.lr * step


def adam_mini_tensor(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    return adam_mini(p, g, s, t, h, None)


def factored(s: State, names: tuple[str, str], square: np.ndarray, beta: Any) -> np.ndarray:
    """Row and column sums, the outer product over the total: from means, which is what is kept."""
    row, column = names
    rows, columns = square.shape
    r = beta * columns * s[row] + (1 - beta) * square.sum(1, keepdims=True)
    c = beta * rows * s[column] + (1 - beta) * square.sum(0, keepdims=True)
    s[row], s[column] = r / columns, c / rows
    return r * c / r.sum()


def adafactor(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    alpha = max(h.eps2, rms(p)) * min(h.lr, 1 / mpmath.sqrt(t))
    v = factored(s, ("v_row", "v_column"), g**2 + h.eps1, 1 - mpf(t) ** -h.decay_exponent)
    u = g / root(v)
    return p - alpha * u / max(mpf(1), rms(u) / h.clip_threshold)


def adafactor_flat(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    """Algorithm 5: the whole second moment of a vector, times what is one but for the rounding of the state."""
    beta = 1 - mpf(t) ** -h.decay_exponent
    s["v_row"] = beta * s["v_row"] + (1 - beta) * (g**2 + h.eps1)
    s["v_column"] = beta * s["v_column"] + (1 - beta) * np.mean(g**2 + h.eps1)
    u = g / root(s["v_row"] * s["v_column"] / np.mean(s["v_row"]))
    return p - max(h.eps2, rms(p)) * min(h.lr, 1 / mpmath.sqrt(t)) * u / max(mpf(1), rms(u) / h.clip_threshold)


def adafactor_torch(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    alpha = max(h.eps2, rms(p)) * min(h.lr, 1 / mpmath.sqrt(t))
    beta = 1 - mpf(t) ** -h.decay_exponent
    s["v_row"] = beta * s["v_row"] + (1 - beta) * np.mean(g**2, axis=1, keepdims=True)
    s["v_column"] = beta * s["v_column"] + (1 - beta) * np.mean(g**2, axis=0, keepdims=True)
    v = larger(s["v_row"] * s["v_column"] / max(np.mean(s["v_row"]), h.eps1), h.eps1**2)
    u = g / root(v)
    return p * (1 - h.lr * h.weight_decay) - alpha * u / max(mpf(1), rms(u) / h.clip_threshold)


def adafactor_momentum(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    v = factored(s, ("v_row", "v_column"), g**2 + h.eps1, 1 - mpf(t) ** -h.decay_exponent)
    u = g / root(v)
    s["m"] = h.beta1 * s["m"] + (1 - h.beta1) * h.lr * u / max(mpf(1), rms(u) / h.clip_threshold)
    return p - s["m"] - h.weight_decay * p


def came(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    u = g / root(factored(s, ("v_row", "v_column"), g**2 + h.eps1, h.beta2))
    u = u / max(mpf(1), rms(u) / h.clip_threshold)
    s["m"] = h.beta1 * s["m"] + (1 - h.beta1) * u
    unsure = factored(s, ("s_row", "s_column"), (u - s["m"]) ** 2 + h.eps2, h.beta3)
    return (1 - h.lr * h.weight_decay) * p - h.lr * s["m"] / root(unsure)


def sm3(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    nu = smaller(s["s_row"], s["s_column"]) + g**2
    s["s_row"] = np.max(nu, axis=1, keepdims=True)
    s["s_column"] = np.max(nu, axis=0, keepdims=True)
    direction = np.frompyfunc(lambda a, b: a / mpmath.sqrt(b + h.eps) if b else mpf(0), 2, 1)(g, nu)
    if "buffer" in s:
        s["buffer"] = h.momentum * s["buffer"] + (1 - h.momentum) * direction
        direction = s["buffer"]
    return p - h.lr * direction


def kept(u: np.ndarray, g: np.ndarray, least: bool = False) -> np.ndarray:
    """The cautious direction: what agrees, times what makes up for the rest."""
    mask = np.frompyfunc(lambda a, b: mpf(1) if a * b > 0 else mpf(0), 2, 1)(u, g)
    share = mask.sum() / mask.size
    return u * mask * (1 / max(share, mpf(1e-3)) if least else mask.size / (mask.sum() + 1))


def cautious_adamw(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    moments(s, g, h.beta1, h.beta2)
    u = s["m"] / (1 - h.beta1**t) / (root(s["v"] / (1 - h.beta2**t)) + h.eps)
    return (1 - h.lr * h.weight_decay) * p - h.lr * kept(u, g)


def cautious_adamw_of_its_authors(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    moments(s, g, h.beta1, h.beta2)
    rate = h.lr * mpmath.sqrt(1 - h.beta2**t) / (1 - h.beta1**t)
    u = s["m"] / (root(s["v"]) + h.eps)
    return (1 - h.lr * h.weight_decay) * p - rate * kept(u, g, least=True)


def cautious_lion(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    u = sign(h.beta1 * s["m"] + (1 - h.beta1) * g)
    s["m"] = h.beta2 * s["m"] + (1 - h.beta2) * g
    return (1 - h.lr * h.weight_decay) * p - h.lr * kept(u, g, least=True)


MATRICES: list[tuple[Any, Paper]] = [
    (o.CautiousAdamW(), cautious_adamw),
    (
        o.CautiousAdamW(eps=0.5, rescaling="at_least", eps_placement="uncorrected"),
        cautious_adamw_of_its_authors,
    ),
    (o.CautiousLion(weight_decay=0.1, rescaling="at_least"), cautious_lion),
    (o.LARS(weight_decay=0.1), lars),
    (o.LARS(weight_decay=0.1, ratio="joint"), lars_joint),
    (o.LARS(buffer_holds="directions", without_decay="plain"), lars_plain),
    (o.Fromage(), fromage),
    (o.Fromage(zero_norms="floored", min_norm=0.5), fromage_floored),
    (o.NovoGrad(weight_decay=0.1), novograd),
    (o.NovoGrad(averaging=True), novograd_averaging),
    (o.StableAdamW(), stable_adamw),
    (o.StableAdamW(decay="whole", eps=0.1), stable_adamw_whole),
    (o.MARS(weight_decay=0.1), mars),
    (o.MARS(first_change="from_zero", eps_placement="hidden"), mars_authors),
    (o.AdamMini(weight_decay=0.1), adam_mini),
    (o.AdamMini(blocks="tensor"), adam_mini_tensor),
    (o.Adafactor(), adafactor),
    (o.Adafactor(clip_threshold=0.5, lr=0.3, eps1=0.01, eps_placement="clamp", weight_decay=0.1), adafactor_torch),
    (
        o.Adafactor(beta1=0.9, relative_step=False, scale_parameter=False, decay="fixed", weight_decay=0.1),
        adafactor_momentum,
    ),
    (o.CAME(weight_decay=0.1), came),
    (o.SM3(), sm3),
    (o.SM3(momentum=0.0, eps=0.1), sm3),
]


@pytest.mark.parametrize(("rule", "paper"), MATRICES, ids=lambda x: getattr(x, "__name__", str(x)))
def test_the_graph_is_the_papers_equations(rule: Any, paper: Paper) -> None:
    check(rule, paper)


@pytest.mark.parametrize("shape", [(5,), (1,)], ids=str)
def test_a_vector_has_a_whole_second_moment(shape: tuple[int, ...]) -> None:
    check(o.Adafactor(lr=0.3), adafactor_flat, shape)


@pytest.mark.parametrize("rule", [o.Adafactor(), o.CAME(), o.SM3(), o.NovoGrad(), o.AdamMini()], ids=str)
def test_state_shapes(rule: Any) -> None:
    for shape in [(), (4,), (0, 3), (3, 2, 5)]:
        state = rule.init(np.ones(shape, np.float32))
        for name, slot in rule.slots().items():
            assert state[name].shape == slot.shape(shape)
            assert np.broadcast_shapes(state[name].shape, shape) == shape
