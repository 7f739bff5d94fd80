"""A worked example of every transform of gradients and every scaling of the learning rate, on a few numbers in fifty digits.

Arrays are object arrays of mpmath numbers, so that their sums and products are those of fifty digits; derivatives are taken of
the values by differences in fifty digits, not by the formulas that refgrad has.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from refgrad import optimizers as o
from tests.worked.example import Example

Numbers = Any
Formula = Callable[..., tuple[Any, ...]]

#: gradients of six examples by three numbers
GRADIENTS = np.asarray(
    [[0.5, -0.25, 1.0], [-0.25, 1.0, 0.5], [1.0, 0.5, -0.25], [0.75, 0.25, 2.0], [0.125, -0.5, 0.375], [1.5, 0.0, -1.0]]
)
P, NOISE = np.asarray([1.0, -0.5, 2.0]), np.asarray([0.25, -1.0, 0.5])

sqrt, exp, log = (np.frompyfunc(f, 1, 1) for f in (mpmath.sqrt, mpmath.exp, mpmath.log))


def total(x: Numbers) -> Any:
    return mpmath.fsum(np.ravel(x).tolist())


def mean(rows: Numbers) -> Numbers:
    """The mean over the first axis."""
    return sum(rows[1:], rows[0]) / len(rows)


def variance(values: Any) -> Any:
    """With n - 1."""
    values = list(values)
    middle = mpmath.fsum(values) / len(values)
    return mpmath.fsum((v - middle) ** 2 for v in values) / (len(values) - 1)


def dot(a: Numbers, b: Numbers) -> Any:
    return mpmath.fsum(x * y for x, y in zip(np.ravel(a), np.ravel(b), strict=True))


def slope(f: Callable[[Numbers], Any], x: Numbers) -> Numbers:
    """The derivative of a number by each entry of an array, by central differences in 80 digits."""
    found = np.empty_like(x)
    with mpmath.workdps(80):
        step = mpf(10) ** -25
        for place in np.ndindex(x.shape):
            there, back = x.copy(), x.copy()
            there[place], back[place] = x[place] + step, x[place] - step
            found[place] = (f(there) - f(back)) / (2 * step)
    return found


# --- batch sizes


def norm_test(r: Any, gradients: Numbers) -> tuple[Any, ...]:
    return (sum(variance(column) for column in gradients.T) / (mpf(r.threshold) ** 2 * dot(*2 * [mean(gradients)])),)


def inner_product_test(r: Any, gradients: Numbers) -> tuple[Any, ...]:
    g = mean(gradients)
    return (variance(dot(row, g) for row in gradients) / (mpf(r.threshold) * dot(g, g)) ** 2,)


def augmented_test(r: Any, gradients: Numbers) -> tuple[Any, ...]:
    g = mean(gradients)
    rest = np.asarray([row - dot(row, g) / dot(g, g) * g for row in gradients])
    orthogonal = sum(variance(column) for column in rest.T) / (mpf(r.orthogonality) ** 2 * dot(g, g))
    return (max(inner_product_test(r, gradients)[0], orthogonal),)


def coordinate_test(r: Any, gradients: Numbers) -> tuple[Any, ...]:
    asked = [variance(c) / (mpf(r.threshold) * m) ** 2 for c, m in zip(gradients.T, mean(gradients), strict=True)]
    return (max(asked),)


def adadagrad(r: Any, p: Numbers, gradients: Numbers, s: Numbers) -> tuple[Any, ...]:
    g = mean(gradients)
    s = s + g * g
    return p - r.lr * g / (sqrt(s) + r.eps), s, norm_test(r, gradients)[0]


def adadagrad_norm(r: Any, p: Numbers, gradients: Numbers, s: Numbers) -> tuple[Any, ...]:
    g = mean(gradients)
    s = s + dot(g, g)
    return p - r.lr * g / sqrt(s), s, norm_test(r, gradients)[0]


def linear_rate(r: Any, batch: Numbers) -> tuple[Any, ...]:
    return (mpf(r.lr) * batch[0] / r.batch,)


def spiked_rate(r: Any, batch: Numbers) -> tuple[Any, ...]:
    """The eigenvalue stands out of the noise's spectrum where it is larger than s."""
    s = mpf(r.noise) / mpmath.sqrt(batch[0])
    largest = r.eigenvalue + s**2 / r.eigenvalue if r.eigenvalue > s else 2 * s
    return (2 / largest,)


def regime(r: Any, batch: Numbers) -> tuple[Any, ...]:
    return (mpf(r.lr) * mpmath.sqrt(batch[0] / r.batch),)


# --- sums of many gradients


def winsorized(r: Any, gradients: Numbers) -> tuple[Any, ...]:
    """Of six examples the percentiles 10 and 90 are nearest the second least and the second largest (places 0.5 and 4.5)."""
    found = []
    for column in gradients.T:
        ordered = sorted(column)
        low, high = (ordered[int(mpmath.nint(mpf(c) / 100 * 5))] for c in (r.percent, 100 - r.percent))
        found.append(mpmath.fsum(min(max(v, low), high) for v in column) / len(column))
    return (found,)


def m3(r: Any, gradients: Numbers) -> tuple[Any, ...]:
    """The median of the means of two examples each."""
    parts = [mean(gradients[i : i + 2]) for i in (0, 2, 4)]
    return ([sorted(values)[1] for values in zip(*parts, strict=True)],)


def coherence(r: Any, gradients: Numbers) -> tuple[Any, ...]:
    return (dot(*2 * [sum(gradients)]) / total(gradients * gradients),)


def nearest_average(r: Any, received: Numbers, pivot: Numbers) -> tuple[Any, ...]:
    ordered = sorted(received.tolist(), key=lambda row: dot(np.asarray(row) - pivot, np.asarray(row) - pivot))
    return (mean(np.asarray(ordered[: r.keep])),)


def monna(r: Any, p: Numbers, g: Numbers, m: Numbers) -> tuple[Any, ...]:
    m = mpf(r.beta) * m + (1 - mpf(r.beta)) * g
    half = p - mpf(r.lr) * m
    keep = type("Keep", (), {"keep": len(p) - 2 * r.faults})
    return np.asarray([nearest_average(keep, half, own)[0] for own in half]), m


def private_aggregate(r: Any, gradients: Numbers, noise: Numbers) -> tuple[Any, ...]:
    clipped = [row / max(1, mpmath.sqrt(dot(row, row)) / r.l2_norm_clip) for row in gradients]
    return ((sum(clipped) + mpf(r.noise_multiplier) * r.l2_norm_clip * noise) / len(gradients),)


def scaled_down(rows: Numbers, radius: Any, eps: Any) -> Numbers:
    """The mean of vectors, each at most as long as the radius."""
    return mean(np.asarray([row * min(1, radius / (mpmath.sqrt(dot(row, row)) + eps)) for row in rows]))


def private_noise(r: Any, share: int) -> Any:
    """The noise's standard deviation in radii: Renyi order 1 + ceil(2 ln(1/delta) / epsilon), a part 1/share of the privacy."""
    order = 1 + mpmath.ceil(2 * mpmath.log(1 / mpf(str(r.delta))) / mpf(str(r.epsilon)))
    return mpmath.sqrt(share * order * r.rounds / ((r.samples * r.workers) ** 2 * mpf(str(r.epsilon))))


def diff2_restart(r: Any, gradients: Numbers, noise: Numbers) -> tuple[Any, ...]:
    """A restart every round, whose noise has four parts of a."""
    workers = [scaled_down(rows, mpf(r.radius), mpf(r.eps)) for rows in gradients]
    return (mean(np.asarray(workers)) + r.radius * private_noise(r, 4) * noise,)


def diff2_difference(
    r: Any, gradients: Numbers, previous: Numbers, estimate: Numbers, moved: Numbers, noise: Numbers
) -> tuple[Any, ...]:
    radius = r.radius * mpmath.sqrt(dot(moved, moved))
    workers = [scaled_down(rows, radius, mpf(r.eps)) for rows in gradients - previous]
    return (estimate + mean(np.asarray(workers)) + radius * private_noise(r, 20) * noise,)


# --- classifiers


def logistic_loss(theta: Numbers, z: Numbers) -> Any:
    return mpmath.fsum(mpmath.log(1 + mpmath.exp(-dot(row, theta))) for row in z) / len(z)


def logistic(r: Any, theta: Numbers, z: Numbers) -> tuple[Any, ...]:
    return (theta - r.lr * slope(lambda at: logistic_loss(at, z), theta),)


def normalized_logistic(r: Any, theta: Numbers, z: Numbers) -> tuple[Any, ...]:
    """The gradient over the mean of sigmoid(-margin)."""
    weight = mpmath.fsum(1 / (1 + mpmath.exp(dot(row, theta))) for row in z) / len(z)
    return (theta - r.lr * slope(lambda at: logistic_loss(at, z), theta) / weight,)


def wrong(theta: Numbers, z: Numbers) -> list[Numbers]:
    return [row for row in z if dot(row, theta) <= 0]


def batch_perceptron(r: Any, theta: Numbers, z: Numbers) -> tuple[Any, ...]:
    return (theta + sum(wrong(theta, z)) / len(z),)


def normalized_perceptron(r: Any, theta: Numbers, z: Numbers) -> tuple[Any, ...]:
    return (theta + mean(np.asarray(wrong(theta, z))),)


def perceptron(r: Any, theta: Numbers, z: Numbers) -> tuple[Any, ...]:
    return (theta + wrong(theta, z)[0],)


# --- layers


def ridge(x: Numbers, g: Numbers, damping: Any) -> Numbers:
    """G^T X (X^T X / b + damping I)^-1."""
    a = mpmath.matrix((x.T @ x / len(x)).tolist()) + mpf(damping) * mpmath.eye(x.shape[1])
    return np.asarray((mpmath.matrix((g.T @ x).tolist()) * a**-1).tolist(), dtype=object)


def tract(r: Any, x: Numbers, g: Numbers) -> tuple[Any, ...]:
    return (ridge(x, g, r.damping),)


def tract_convolution(r: Any, x: Numbers, g: Numbers) -> tuple[Any, ...]:
    """The inputs are the patches that a kernel of 2 by 2 sees."""
    rows, gradients = [], []
    for n, i, j in itertools.product(range(len(x)), range(g.shape[2]), range(g.shape[3])):
        rows.append(x[n, :, i : i + r.kernel, j : j + r.kernel].ravel())
        gradients.append(g[n, :, i, j])
    return (ridge(np.asarray(rows), np.asarray(gradients), r.damping),)


def normalised(x: Numbers, gamma: Numbers, beta: Numbers, eps: Any) -> tuple[Numbers, list[Any], list[Any]]:
    """Each channel over the whole batch, with its mean and its variance by n."""
    y, means, variances = np.empty_like(x), [], []
    for c in range(x.shape[1]):
        values = x[:, c].ravel()
        middle = total(values) / len(values)
        spread = mpmath.fsum((v - middle) ** 2 for v in values) / len(values)
        y[:, c] = gamma[c] * (x[:, c] - middle) / mpmath.sqrt(spread + eps) + beta[c]
        means.append(middle)
        variances.append(spread)
    return y, means, variances


def ghost(r: Any, x: Numbers, gamma: Numbers, beta: Numbers, running: Numbers, spread: Numbers) -> tuple[Any, ...]:
    """Parts of two examples; the running variance is by n - 1."""
    parts = [normalised(x[i : i + r.size], gamma, beta, mpf(r.eps)) for i in range(0, len(x), r.size)]
    n = r.size * x.shape[2]
    for _, means, variances in parts:
        running = (1 - mpf(r.momentum)) * running + mpf(r.momentum) * np.asarray(means)
        spread = (1 - mpf(r.momentum)) * spread + mpf(r.momentum) * np.asarray(variances) * n / (n - 1)
    return np.concatenate([y for y, _, _ in parts]), running, spread


def ghost_gradient(r: Any, x: Numbers, gamma: Numbers, g: Numbers) -> tuple[Any, ...]:
    """The derivatives of <g, y> by the input, by gamma and by beta."""
    beta = gamma * 0

    def value(x: Numbers, gamma: Numbers, beta: Numbers) -> Any:
        parts = [normalised(x[i : i + r.size], gamma, beta, mpf(r.eps))[0] for i in range(0, len(x), r.size)]
        return dot(np.concatenate(parts), g)

    by_x, by_gamma = slope(lambda a: value(a, gamma, beta), x), slope(lambda a: value(x, a, beta), gamma)
    return by_x, by_gamma, slope(lambda a: value(x, gamma, a), beta)


def layer_norm(x: Numbers, eps: Any) -> Numbers:
    rows = []
    for row in x:
        middle = total(row) / len(row)
        rows.append((row - middle) / mpmath.sqrt(dot(row - middle, row - middle) / len(row) + eps))
    return np.asarray(rows)


def qk_norm(r: Any, q: Numbers, k: Numbers, g: Numbers) -> tuple[Any, ...]:
    logits = lambda q, k: layer_norm(q, mpf(r.eps)) @ layer_norm(k, mpf(r.eps)).T / mpmath.sqrt(q.shape[1])  # noqa: E731
    by_q = slope(lambda a: dot(logits(a, k), g), q)
    return logits(q, k), by_q, slope(lambda a: dot(logits(q, a), g), k)


def z_loss(r: Any, logits: Numbers) -> tuple[Any, ...]:
    loss = lambda x: mpf(r.coefficient) * total([log(total(exp(row))) ** 2 for row in x]) / len(x)  # noqa: E731
    return loss(logits), slope(loss, logits)


# --- the rest


def scaled_rate(r: Any, p: Numbers) -> tuple[Any, ...]:
    return (mpf(r.lr) * max(mpf(r.floor), mpmath.sqrt(dot(p, p) / p.size)),)


def sensitivity(r: Any, losses: Numbers, first: Numbers) -> tuple[Any, ...]:
    kept = [min(loss, first[0]) for loss in losses]
    return (mpmath.fsum(kept) / len(kept) - min(kept),)


def pixels(r: Any, v: Numbers) -> tuple[Any, ...]:
    """Each pixel's three channels are a vector."""
    sizes = sqrt(sum(v[:, c] ** 2 for c in range(v.shape[1])))
    factors = np.frompyfunc(lambda size: min(1, mpf(r.threshold) / size), 1, 1)(sizes)
    return (v * factors[:, None],)


def clipped_globally(r: Any, p: Numbers, g: Numbers) -> tuple[Any, ...]:
    """What ClipByGlobalNorm(max_norm=1) hands on."""
    return (g * min(1, r.of.max_norm / mpmath.sqrt(dot(g, g))),)


def without_nan(r: Any, g: Numbers) -> tuple[Any, ...]:
    return ([mpf(0) if v != v else v for v in g.ravel()],)


def hutchinson(r: Any, probe: Numbers, product: Numbers) -> tuple[Any, ...]:
    return (probe * product,)


def gauss_newton(r: Any, g: Numbers) -> tuple[Any, ...]:
    return (r.batch * g**2,)


#: positive numbers for rules that have a loss or a batch size
BATCH = np.asarray([64.0])
IMAGES = (np.arange(2 * 2 * 3 * 3) % 7 - 3.0).reshape(2, 2, 3, 3) / 2 + np.arange(36).reshape(2, 2, 3, 3) / 32
SIGNALS = (np.arange(4 * 2 * 3) % 5 - 2.0).reshape(4, 2, 3) + np.arange(24).reshape(4, 2, 3) / 8
CHANNELS = np.asarray([1.5, -0.5])
OTHERS = GRADIENTS[::-1] / 2

TABLE: list[tuple[Any, Mapping[str, np.ndarray], Formula]] = [
    (o.NormTest(), {"gradients": GRADIENTS}, norm_test),
    (o.InnerProductTest(), {"gradients": GRADIENTS}, inner_product_test),
    (o.AugmentedInnerProductTest(), {"gradients": GRADIENTS}, augmented_test),
    (o.CoordinateTest(), {"gradients": GRADIENTS}, coordinate_test),
    (o.AdAdaGrad(), {"p": P, "gradients": GRADIENTS, "s": abs(NOISE)}, adadagrad),
    (o.AdAdaGradNorm(), {"p": P, "gradients": GRADIENTS, "s": np.asarray([0.25])}, adadagrad_norm),
    (o.BatchScaledRate(), {"batch": BATCH}, linear_rate),
    (o.SpikedRate(), {"batch": BATCH}, spiked_rate),
    (o.RegimeAdaptation(), {"batch": BATCH}, regime),
    (o.WinsorizedMean(), {"gradients": GRADIENTS}, winsorized),
    (o.M3(), {"gradients": GRADIENTS}, m3),
    (o.Coherence(), {"gradients": GRADIENTS}, coherence),
    (o.NearestNeighborAverage(keep=3), {"received": GRADIENTS, "pivot": P}, nearest_average),
    (o.MoNNA(faults=1), {"p": GRADIENTS, "g": OTHERS, "m": OTHERS / 2}, monna),
    (o.PrivateAggregate(), {"gradients": GRADIENTS, "noise": NOISE}, private_aggregate),
    (o.Diff2Restart(), {"gradients": GRADIENTS.reshape(2, 3, 3), "noise": NOISE}, diff2_restart),
    (
        o.Diff2Difference(),
        {
            "gradients": GRADIENTS.reshape(2, 3, 3),
            "previous": OTHERS.reshape(2, 3, 3),
            "estimate": P,
            "moved": P / 4,
            "noise": NOISE,
        },
        diff2_difference,
    ),
    (o.LogisticDescent(), {"theta": P, "z": GRADIENTS}, logistic),
    (o.NormalizedLogisticDescent(), {"theta": P, "z": GRADIENTS}, normalized_logistic),
    (o.BatchPerceptron(), {"theta": P, "z": GRADIENTS}, batch_perceptron),
    (o.NormalizedBatchPerceptron(), {"theta": P, "z": GRADIENTS}, normalized_perceptron),
    (o.Perceptron(), {"theta": P, "z": GRADIENTS}, perceptron),
    (o.TrActLinear(), {"x": GRADIENTS, "g": OTHERS[:, :2]}, tract),
    (o.TrActConvolution(kernel=2), {"x": IMAGES, "g": IMAGES[:, :, :2, :2] / 2}, tract_convolution),
    (
        o.GhostBatchNorm(size=2),
        {"x": SIGNALS, "gamma": CHANNELS, "beta": CHANNELS / 4, "mean": CHANNELS / 2, "variance": abs(CHANNELS)},
        ghost,
    ),
    (o.GhostBatchNormGradient(size=2), {"x": SIGNALS, "gamma": CHANNELS, "g": SIGNALS[::-1] / 4}, ghost_gradient),
    (o.QKLayerNorm(), {"q": GRADIENTS[:2], "k": GRADIENTS[2:5], "g": OTHERS[:2]}, qk_norm),
    (o.ZLoss(), {"logits": GRADIENTS[:3]}, z_loss),
    (o.ParameterScaledRate(), {"p": P}, scaled_rate),
    (o.RateSensitivity(), {"losses": np.asarray([2.5, 1.0, 0.75, 4.0]), "first": np.asarray([3.0])}, sensitivity),
    (o.PixelwiseClip(), {"v": GRADIENTS.reshape(1, 3, 2, 3)}, pixels),
    (o.GradientBefore(), {"p": P, "g": P}, clipped_globally),
    (o.ZeroNaNs(), {"g": np.asarray([0.5, np.nan, -1.0])}, without_nan),
    (o.HutchinsonDiagonal(), {"probe": np.asarray([1.0, -1.0, 1.0]), "product": P}, hutchinson),
    (o.GaussNewtonDiagonal(batch=4), {"g": P}, gauss_newton),
]


def formula(rule: Any, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """What the table's formula gives, in order."""
    function = next(f for r, _, f in TABLE if r == rule)
    return {str(i): values for i, values in enumerate(function(rule, *arrays.values()), 1)}


def ours(rule: Any, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The same by refgrad."""
    if rule.kind == "scaling":
        return {"1": [rule.rate(int(arrays["batch"][0]))]}
    given = [a[0] if a.size == 1 and rule.shapes[n] in ("", "+") else a for n, a in arrays.items()]
    found = rule(*given)
    return {str(i): values for i, values in enumerate(found if isinstance(found, tuple) else (found,), 1)}


def examples() -> Iterator[Example]:
    """One of each."""
    for rule, given, function in TABLE:
        yield Example(rule, given, formula, ours, (function,))


EXAMPLES = tuple(examples())
