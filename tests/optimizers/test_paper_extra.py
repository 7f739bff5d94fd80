"""The equations of rules that take a loss, a second gradient, a diagonal or noise once more, in sixty digits."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from refgrad import optimizers as o
from refgrad.oracle.inputs.steps import completed, generate
from tests.optimizers.exact_tensors import Paper, check, larger, norm, root, sign, smaller

State = dict[str, Any]
FLAT = (2, 3)


def dot(a: np.ndarray, b: np.ndarray) -> Any:
    return mpmath.fsum((a * b).ravel())


def one(x: Any) -> Any:
    """A number, or what an array of one holds."""
    return x.item() if isinstance(x, np.ndarray) else x


def polyak(x: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    gap = max(h.loss - h.f_min, 0) if h.gap == "positive" else h.loss - h.f_min
    u = h.lr * g if h.lr_scales == "gradient" else g
    square = norm(u) ** 2 + h.eps
    if square <= h.least:
        return x
    return x - h.lr * min(gap / (h.c * square), h.max_lr) * g


def averages(x: np.ndarray, g: np.ndarray, s: State, beta: Any, h: Any) -> None:
    s["m"] = beta * s["m"] + (1 - beta) * g
    s["average_loss"] = beta * one(s["average_loss"]) + (1 - beta) * h.loss
    s["gamma"] = beta * one(s["gamma"]) + (1 - beta) * dot(g, x)


def model(s: State, x: np.ndarray, square: Any, rho: Any, h: Any) -> Any:
    """The minimizer's distance along the model, and the lower bound, by the paper's ResetStar and EstimateStar."""
    a = 1 + h.lr * h.weight_decay
    bound = one(s["bound"]) if h.adapt_lower_bound else h.lower_bound
    value = a * (s["average_loss"] - s["gamma"]) + dot(s["m"], x)
    if h.adapt_lower_bound and value < a * rho * bound:
        bound = max(value / (2 * a * rho), h.lower_bound)
    step = min(h.lr / rho, max(value - a * rho * bound, 0) / square) if square > h.least else 0
    if h.adapt_lower_bound:
        plain = s["average_loss"] - s["gamma"] + dot(s["m"], x)
        s["bound"] = max((plain - step * square / 2) / rho, h.lower_bound)
    return step


def shrunk(x: np.ndarray, step: np.ndarray, h: Any) -> np.ndarray:
    a = 1 + h.lr * h.weight_decay
    forms = {"proximal": (x - step) / a, "before": x / a - step, "adamw": x - h.lr * h.weight_decay * x - step}
    return forms[h.decay]


def momo(x: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    first = h.start == "first"
    averages(x, g, s, 0 if first and t == 1 else h.beta, h)
    step = model(s, x, norm(s["m"]) ** 2, 1 if first else 1 - h.beta**t, h)
    return shrunk(x, step * s["m"], h)


def momo_adam(x: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    averages(x, g, s, h.beta1, h)
    s["v"] = h.beta2 * s["v"] + (1 - h.beta2) * g**2
    metric = h.eps + root(s["v"] / (1 - h.beta2**t))
    step = model(s, x, dot(s["m"], s["m"] / metric), 1 - h.beta1**t, h)
    return shrunk(x, step * s["m"] / metric, h)


def sam(x: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    s["there"] = x + h.rho * g / (norm(g) + h.eps)
    s["buffer"] = h.inner_momentum * s["buffer"] + h.second
    return x - h.inner_lr * s["buffer"]


def asam(x: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    operator = abs(x) + h.eta
    s["there"] = x + h.rho * operator**2 * g / (norm(operator * g) + h.eps)
    return x - h.inner_lr * h.second


def sophia(x: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    s["m"] = h.beta1 * s["m"] + (1 - h.beta1) * g
    used = s["diagonal"]
    if t % h.interval == 1 or h.interval == 1:
        s["diagonal"] = h.beta2 * s["diagonal"] + (1 - h.beta2) * h.h
    if h.estimate == "fresh":
        used = s["diagonal"]
    m = s["m"] / (1 - h.beta1**t) if h.momentum == "corrected" else s["m"]
    if h.floor == "padded":
        ratio = smaller(abs(m) / (h.gamma * used + h.eps), h.clip)
        step = sign(m) * ratio
    else:
        step = smaller(larger(m / larger(h.gamma * used, h.eps), -h.clip), h.clip)
    return x * (1 - h.lr * h.weight_decay) - h.lr * step


def adahessian(x: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    s["m"] = h.beta1 * s["m"] + (1 - h.beta1) * g
    s["v"] = h.beta2 * s["v"] + (1 - h.beta2) * h.h**2
    size = root(s["v"] / (1 - h.beta2**t)) ** h.hessian_power
    return x * (1 - h.lr * h.weight_decay) - h.lr * s["m"] / (1 - h.beta1**t) / (size + h.eps)


def add_noise(x: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    return x - h.inner_lr * (g + h.noise * mpmath.sqrt(h.eta / mpf(t) ** h.gamma))


def langevin(x: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    return x - h.lr * g / 2 + mpmath.sqrt(h.lr) * h.noise


def plateau(x: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    """As torch's scheduler has it: bad turns are counted, and not while it cools down."""
    count, mean = one(s["count"]), one(s["avg_value"])
    mean = (count * mean + h.loss) / (count + 1)
    count += 1
    if count == h.accumulation_size:
        bad, cooling = one(s["plateau_count"]), one(s["cooldown_count"])
        better = mean < one(s["best_value"]) * (1 - h.rtol) - h.atol
        s["best_value"] = mean if better else one(s["best_value"])
        bad = 0 if better else bad + 1
        if cooling > 0:
            cooling, bad = cooling - 1, 0
        if bad == h.patience and one(s["cooldown_count"]) <= 0:
            s["scale"] = max(one(s["scale"]) * h.factor, h.min_scale)
            bad, cooling = 0, h.cooldown
        s["plateau_count"], s["cooldown_count"] = mpf(bad), mpf(cooling)
        count, mean = 0, 0
    s["count"], s["avg_value"] = mpf(count), mpf(mean)
    scale = one(s["scale"]) if isinstance(s["scale"], np.ndarray) else s["scale"]
    return x - scale * h.inner_lr * g


def mechanic(x: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    turns = range(1, 7)
    scales = [one(s[f"s{i}"]) for i in turns]
    total, new = sum(scales), x - h.inner_lr * g
    offset = s["offset"] if h.keep_offset else (x - s["start"]) / (total + h.eps)
    towards = new if h.decay_point == "after" else x
    product = dot(offset, g + h.weight_decay * total * norm(g) * towards / (norm(towards) + h.eps))
    for i, scale in zip(turns, scales, strict=True):
        beta = mpf(float("0." + i * "9"))
        reward, most = one(s[f"r{i}"]), one(s[f"m{i}"])
        if h.reward == "floored":
            s[f"r{i}"] = max(0, beta * reward - scale * product)
            s[f"m{i}"] = max(beta * most, abs(product))
        else:
            s[f"r{i}"] = beta * reward - scale * min(max(product, -most), most)
            s[f"m{i}"] = max(beta * most, abs(product) + h.eps)
        s[f"v{i}"] = beta**2 * one(s[f"v{i}"]) + product**2
        wealth = h.s_init * s[f"m{i}"] / 6 + max(0, s[f"r{i}"])
        s[f"s{i}"] = wealth / (mpmath.sqrt(s[f"v{i}"]) + h.eps)
    offset = offset + (new - x)
    if h.keep_offset:
        s["offset"] = offset
    return s["start"] + sum(s[f"s{i}"] for i in turns) * offset


def lbfgs(x: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    """The inverse as a matrix: pairs enter it from the oldest on, by the formula of BFGS."""
    turns, flat = range(1, h.history + 1), g.ravel()
    pairs = [(s[f"s{i}"].ravel(), s[f"y{i}"].ravel(), one(s[f"w{i}"])) for i in turns]
    first, scale = mpf(1), one(s["scale"])
    if t == 1 and h.scale_first != "none":
        first = min(1, 1 / (norm(g) if h.scale_first == "euclidean" else mpmath.fsum(abs(flat))))
    if t > 1:
        step = (x - s["previous"] if h.difference == "points" else s["previous"]).ravel()
        change = (g - s["previous_g"]).ravel()
        curvature = dot(step, change)
        if h.pairs == "all" or curvature > h.least_curvature:
            pairs = [(step, change, 1 / curvature if curvature else 0), *pairs[:-1]]
            scale = curvature / dot(change, change) if dot(change, change) else 1
    identity = np.vectorize(mpf)(np.eye(flat.size))
    inverse = (scale if h.scale_initial and t > 1 else 1) * identity
    for a, b, w in reversed(pairs):
        shift = identity - w * np.outer(b, a)
        inverse = shift.T @ inverse @ shift + w * np.outer(a, a)
    moved = (h.lr * first * (inverse @ flat)).reshape(x.shape)
    s["previous"], s["previous_g"], s["scale"] = x if h.difference == "points" else -moved, g, scale
    for i, (a, b, w) in zip(turns, pairs, strict=True):
        s[f"s{i}"], s[f"y{i}"], s[f"w{i}"] = a.reshape(x.shape), b.reshape(x.shape), w
    return x - moved


DECAYED = {"weight_decay": 0.1}
PAPERS: list[tuple[Any, Paper]] = [
    (o.PolyakSGD(lr=0.5, f_min=0.25), polyak),
    (o.PolyakSGD(lr=0.5, f_min=0.25, c=0.5, eps=0.125, gap="positive", lr_scales="gradient"), polyak),
    (o.MoMo(lr=0.5, **DECAYED), momo),
    (o.MoMo(start="zero", decay="before", adapt_lower_bound=True, **DECAYED), momo),
    (o.MoMoAdam(lr=0.5, **DECAYED), momo_adam),
    (o.MoMoAdam(decay="before", adapt_lower_bound=True, lower_bound=-2.0, **DECAYED), momo_adam),
    (o.MoMoAdam(decay="adamw", **DECAYED), momo_adam),
    (o.SAM(inner=o.SGD(momentum=0.9)), sam),
    (o.ASAM(inner=o.SGD()), asam),
    (o.Sophia(interval=2), sophia),
    (o.Sophia(interval=3, floor="padded", estimate="stale", momentum="corrected", clip=0.5), sophia),
    (o.AdaHessian(**DECAYED), adahessian),
    (o.AddNoise(), add_noise),
    (o.LangevinDynamics(), langevin),
    (o.ReduceOnPlateau(inner=o.SGD(), patience=1, cooldown=1), plateau),
    (o.ReduceOnPlateau(inner=o.SGD(), patience=1, accumulation_size=2, min_scale=0.3, factor=0.5), plateau),
    (o.Mechanic(inner=o.SGD(lr=1.0), s_init=1e-2, **DECAYED), mechanic),
    (o.Mechanic(inner=o.SGD(lr=1.0), keep_offset=False, reward="clipped", initial_s=0.01, s_init=0.01), mechanic),
    (o.Mechanic(inner=o.SGD(lr=1.0), decay_point="after", initial_s=0.01, initial_m=0.1, **DECAYED), mechanic),
    (o.LBFGS(lr=0.5, history=3), lbfgs),
    (o.LBFGS(lr=0.5, history=2, scale_first="sum", pairs="curved", difference="steps"), lbfgs),
    (o.LBFGS(lr=0.5, history=2, scale_first="euclidean", scale_initial=False), lbfgs),
]


@pytest.mark.parametrize(("rule", "paper"), PAPERS, ids=lambda x: getattr(x, "__name__", str(x)))
def test_the_graph_is_the_papers_equations(rule: Any, paper: Paper) -> None:
    check(rule, paper, FLAT)


#: one of each class; the three that take longest to compile tests/backends/test_same_bits.py has at depth thorough too
LONG = (o.LBFGS, o.Mechanic, o.MoMoAdam)
ONE_A_CLASS = {type(rule): rule for rule, _ in PAPERS}


@pytest.mark.sample(suite=5)
@pytest.mark.slow
@pytest.mark.parametrize(
    "rule",
    [pytest.param(r, marks=pytest.mark.thorough) if cls in LONG else r for cls, r in ONE_A_CLASS.items()],
    ids=str,
)
def test_every_backend_gives_the_same_bits(rule: Any) -> None:
    """On two steps, of which the second is the first that has something to remember."""

    inputs = generate(2, "float32", 3).only(0).mapped(lambda a: a[:9, :7].copy())

    inputs = completed(inputs, rule)
    results = []
    for backend in ("numpy", "numba"):
        p, state = inputs.p[0], rule.init(inputs.p[0])
        for t in (1, 2):
            extras, numbers = inputs.of_leaf(t, 0, rule)
            p, state = rule.step(p, inputs.g[t - 1][0], state, backend=backend, **extras, **numbers)
        results.append({"p": p, **state})
    assert all(np.array_equal(a, results[1][n], equal_nan=True) for n, a in results[0].items())


def test_the_point_is_the_one_that_the_state_will_hold() -> None:
    random = np.random.default_rng(1)
    tree = {"a": random.standard_normal((3, 4)), "b": random.standard_normal(5)}
    g = {"a": random.standard_normal((3, 4)), "b": random.standard_normal(5)}
    for rule in (o.SAM(inner=o.AdamW()), o.ASAM(inner=o.SGD(momentum=0.9))):
        there = rule.point(tree, g)
        _, state = rule.step(tree, g, rule.init(tree), second=g)
        assert all(np.array_equal(there[n], state["there"][n]) for n in tree)
        assert not np.array_equal(there["a"], tree["a"])


def test_l_bfgs_with_exact_searches_ends_where_the_quadratic_does() -> None:
    """On a quadratic of two unknowns with steps to the minimum along the direction, BFGS is there after two (a theorem)."""
    diagonal, x = np.asarray([1.0, 3.0]), np.asarray([2.0, -1.0])
    rule = o.LBFGS(history=2, lr=1.0)
    state = rule.init(x)
    for _ in range(2):
        g = diagonal * x
        new, _ = rule.step(x, g, state)
        direction = x - new
        best = float(direction @ g / (direction @ (diagonal * direction)))
        x, state = rule.replace(lr=best).step(x, g, state)
    ulps = np.finfo(np.float64).eps * 32  # of a few dozen roundings, on numbers of size three
    assert np.all(np.abs(x) <= ulps * 3)


def exact_mean(gradients: list[list[int]], noise: list[int], clip: Fraction, multiplier: Fraction) -> list[Fraction]:
    """DP-SGD's aggregate of vectors whose norms are whole numbers."""
    norms = [Fraction(int(mpmath.sqrt(sum(x * x for x in row)))) for row in gradients]
    rows = [[x / max(1, n / clip) for x in row] for row, n in zip(gradients, norms, strict=True)]
    sums = [sum(column) for column in zip(*rows, strict=True)]
    return [(a + multiplier * clip * z) / len(gradients) for a, z in zip(sums, noise, strict=True)]


def test_the_private_aggregate_clips_each_example() -> None:
    gradients, noise = [[3, 4], [0, 2], [0, 0], [12, -16]], [1, -2]
    rule = o.PrivateAggregate(l2_norm_clip=5.0, noise_multiplier=0.5)
    got = rule(np.asarray(gradients, np.float64), np.asarray(noise, np.float64))
    assert list(map(Fraction, got)) == exact_mean(gradients, noise, Fraction(5), Fraction(1, 2))


def test_estimators_of_a_diagonal() -> None:
    """A diagonal matrix is found by one random sign vector; kernels are averaged over their entries."""
    h, probe = np.arange(12.0).reshape(3, 4), np.where(np.arange(12).reshape(3, 4) % 3, 1.0, -1.0)
    assert np.array_equal(o.HutchinsonDiagonal()(probe, h * probe), h)
    kernel = np.arange(-8.0, 8.0).reshape(2, 2, 2, 2)
    averaged = o.HutchinsonDiagonal(average=True)(np.ones_like(kernel), kernel)
    assert np.array_equal(averaged[:, :, 0, 0], kernel.mean(axis=(2, 3)))
    assert np.array_equal(averaged, np.broadcast_to(averaged[:, :, :1, :1], kernel.shape))
    size = o.HutchinsonDiagonal(average=True, magnitude="absolute")(np.ones_like(kernel), kernel)
    assert np.array_equal(size[:, :, 0, 0], np.abs(kernel).mean(axis=(2, 3)))
    assert np.array_equal(o.GaussNewtonDiagonal(batch=4)(h), 4 * h * h)
