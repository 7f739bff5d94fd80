"""Estimators with parameters, sums or rows, restated from their papers on arrays of fifty-digit numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

import refgrad
from refgrad.estimators.base import Estimator
from refgrad.oracle.inputs.estimators import generate
from refgrad.rule import find
from tests.estimators.test_paper import OTHERS, some

Wide = np.ndarray  # of mpmath numbers

_rint = np.frompyfunc(mpmath.nint, 1, 1)
_exp = np.frompyfunc(mpmath.exp, 1, 1)
_log = np.frompyfunc(mpmath.log, 1, 1)
_tanh = np.frompyfunc(mpmath.tanh, 1, 1)
_root = np.frompyfunc(mpmath.sqrt, 1, 1)
_sign = np.frompyfunc(lambda x: mpf(1) if x >= 0 else mpf(-1), 1, 1)


def wide(array: np.ndarray) -> Wide:
    return np.frompyfunc(lambda v: mpf(float(v)), 1, 1)(array)


def where(condition: Any, yes: Any, no: Any) -> Wide:
    return np.where(np.asarray(condition, bool), yes, no)


def clip(x: Wide, low: Any, high: Any) -> Wide:
    return np.minimum(np.maximum(x, low), high)


def by_row(x: Wide) -> Wide:
    return x.sum(axis=tuple(range(1, x.ndim)), keepdims=True)


def lsq(r: Any, g: Wide, x: Wide, scale: Wide) -> tuple[Wide, ...]:
    v = x / scale
    high, low = v >= r.positive, v <= -r.negative
    y = _rint(clip(v, mpf(-r.negative), mpf(r.positive))) * scale
    c = where(high, mpf(r.positive), where(low, mpf(-r.negative), _rint(v) - v))
    return y, where(high | low, mpf(0), g), (g * c).sum(keepdims=True) / mpmath.sqrt(x.size * mpf(r.positive))


def lsq_plus(r: Any, g: Wide, x: Wide, scale: Wide, offset: Wide) -> tuple[Wide, ...]:
    v = (x - offset) / scale
    outside = (v <= r.low) | (v >= r.high)
    y = _rint(clip(v, mpf(r.low), mpf(r.high))) * scale + offset
    c = where(outside, clip(v, mpf(r.low), mpf(r.high)), _rint(v) - v)
    return y, where(outside, mpf(0), g), (g * c).sum(keepdims=True), where(outside, g, mpf(0)).sum(keepdims=True)


def pact(r: Any, g: Wide, x: Wide, alpha: Wide) -> tuple[Wide, ...]:
    n = 2**r.bits - 1
    y = _rint((np.abs(x) - np.abs(x - alpha) + alpha) / 2 * n / alpha) * alpha / n
    return y, where((x >= 0) & (x < alpha), g, mpf(0)), where(x >= alpha, g, mpf(0)).sum(keepdims=True)


def tqt(r: Any, g: Wide, x: Wide, log2_t: Wide) -> tuple[Wide, ...]:
    s = mpf(2) ** mpmath.ceil(log2_t.flat[0]) / 2 ** (r.bits - 1)
    low, high = -(2 ** (r.bits - 1)), 2 ** (r.bits - 1) - 1
    codes = _rint(x / s)
    kept = (codes >= low) & (codes <= high)
    c = where(kept, codes - x / s, where(codes < low, mpf(low), mpf(high)))
    return clip(codes, low, high) * s, where(kept, g, mpf(0)), (g * s * mpmath.log(2) * c).sum(keepdims=True)


def rsign(r: Any, g: Wide, x: Wide, shift: Wide) -> tuple[Wide, ...]:
    z = x - shift
    slope = where(z < 0, 2 + 2 * z, 2 - 2 * z)
    x_grad = where(np.abs(z) <= 1, g * slope, mpf(0))
    return where(z > 0, mpf(1), mpf(-1)), x_grad, -by_row(x_grad)


def rprelu(r: Any, g: Wide, x: Wide, shift: Wide, rise: Wide, slope: Wide) -> tuple[Wide, ...]:
    above = x > shift
    y = where(above, x - shift + rise, slope * (x - shift) + rise)
    x_grad = where(above, g, g * slope)
    return y, x_grad, by_row(-x_grad), by_row(g), by_row(where(above, mpf(0), g * (x - shift)))


def ewgs(r: Any, g: Wide, x: Wide) -> tuple[Wide, ...]:
    n = r.levels_count - 1
    y = _rint(x * n) / n
    factor = where(g > 0, 1 + r.delta * (x - y), where(g < 0, 1 - r.delta * (x - y), mpf(1)))
    return y, g * factor


def stochastic(r: Any, g: Wide, x: Wide, u: Wide) -> tuple[Wide, ...]:
    return where(u < clip((x + 1) / 2, mpf(0), mpf(1)), mpf(1), mpf(-1)), where(np.abs(x) <= 1, g, mpf(0))


def xnor(r: Any, g: Wide, x: Wide) -> tuple[Wide, ...]:
    n = x[0].size
    alpha = by_row(np.abs(x)) / n
    return alpha * _sign(x), g * (mpf(1) / n + alpha * where(np.abs(x) <= 1, mpf(1), mpf(0)))


def libra(r: Any, g: Wide, x: Wide) -> tuple[Wide, ...]:
    n = x[0].size
    centred = x - by_row(x) / n
    deviation = _root(by_row(centred * centred) / (n - 1))
    v = centred / deviation
    scale = mpf(2) ** _rint(_log(by_row(np.abs(v)) / n) / mpmath.log(2))
    toward = g * scale * r.k * r.t * (1 - _tanh(r.t * v) ** 2)
    # the Jacobian of standardization, entry by entry
    grads = np.empty_like(x)
    for i in range(len(x)):
        row, s = v[i].ravel(), deviation[i].ravel()[0]
        for k in range(n):
            entries = [((1 if j == k else 0) - mpf(1) / n - row[j] * row[k] / (n - 1)) / s for j in range(n)]
            grads[i].ravel()[k] = sum(e * t for e, t in zip(entries, toward[i].ravel(), strict=True))
    return _sign(v) * scale, grads


def dorefa(r: Any, g: Wide, x: Wide) -> tuple[Wide, ...]:
    n, t = 2**r.bits - 1, _tanh(x)
    largest = max(np.abs(t).ravel())
    return 2 * _rint((t / (2 * largest) + mpf("0.5")) * n) / n - 1, g * (1 - t * t) / largest


def softmax(x: Wide) -> Wide:
    return _exp(x) / by_row(_exp(x))


def jacobian_product(p: Wide, v: Wide) -> Wide:
    """(diag(p) - p p^T) v, row by row, by the matrix."""
    rows = [(np.diag(a) - np.outer(a, a)).dot(b) for a, b in zip(p, v, strict=True)]
    return np.asarray(rows)


def gumbel(r: Any, g: Wide, x: Wide, e: Wide) -> tuple[Wide, ...]:
    y = softmax((x - _log(e)) / r.tau)
    return y, jacobian_product(y, g) / r.tau


def reinmax(r: Any, g: Wide, x: Wide, sample: Wide) -> tuple[Wide, ...]:
    p0 = softmax(x)
    return sample, jacobian_product((softmax(x / r.tau) + sample) / 2, 2 * g) - jacobian_product(p0, g / 2)


def rotation(r: Any, g: Wide, x: Wide, q: Wide) -> tuple[Wide, ...]:
    y, grads = [], []
    for a, b, c in zip(x, q, g, strict=True):
        long, short = mpmath.sqrt((a * a).sum()), mpmath.sqrt((b * b).sum())
        u, v = a / long, b / short
        w = (u + v) / mpmath.sqrt(((u + v) * (u + v)).sum())
        matrix = np.diag([mpf(1)] * len(a)) - 2 * np.outer(w, w) + 2 * np.outer(v, u)
        y.append(b)
        grads.append(short / long * matrix.T.dot(c))
    return np.asarray(y), np.asarray(grads)


def slopes(function: Callable[[Wide], Wide], at: Wide) -> Wide:
    """The Jacobian of a function of a vector, by differences in fifty digits: entry (j, k) is d f_j / d x_k."""
    step, columns = mpf(10) ** -20, []
    for k in range(len(at)):
        up, down = at.copy(), at.copy()
        up[k], down[k] = up[k] + step, down[k] - step
        columns.append((function(up) - function(down)) / (2 * step))
    return np.asarray(columns).T


def through(function: Callable[[Wide], Wide], at: Wide, g: Wide) -> Wide:
    """The gradient of the rows of x from that of a function of each row."""
    return np.asarray([slopes(function, row).T.dot(v) for row, v in zip(at, g, strict=True)])


def deviation(row: Wide, eps: Any) -> Any:
    mean = row.sum() / len(row)
    return mpmath.sqrt(((row - mean) ** 2).sum() / (len(row) - 1) + mpf(eps))


def recu(r: Any, g: Wide, x: Wide) -> tuple[Wide, ...]:
    scaled = lambda row: (row - row.sum() / len(row)) / (deviation(row, r.eps) / 2 / mpmath.sqrt(2))  # noqa: E731
    v = np.asarray([scaled(row) for row in x])
    q = -np.abs(v).sum() / v.size * mpmath.log(2 - 2 * mpf(r.tau))
    return _sign(clip(v, -q, q)), through(scaled, x, where(np.abs(v) <= q, g, mpf(0)))


def biper_activation(r: Any, g: Wide, x: Wide) -> tuple[Wide, ...]:
    scaled = lambda row: row / deviation(row, r.eps)  # noqa: E731
    a = np.asarray([scaled(row) for row in x])
    return _sign(a), through(scaled, x, g * np.maximum(mpf(0), 2 - np.abs(2 * a)))


def dsq(r: Any, g: Wide, x: Wide, low: Wide, high: Wide, alpha: Wide) -> tuple[Wide, ...]:
    n, ends = 2**r.bits - 1, [low.flat[0], high.flat[0], alpha.flat[0]]

    def soft(v: Any, low: Any, high: Any, alpha: Any, i: int) -> Any:
        width = (high - low) / n
        middle, k = low + (i + mpf("0.5")) * width, mpmath.log(2 / alpha - 1) / width
        return low + width * (i + (mpmath.tanh(k * (v - middle)) / (1 - alpha) + 1) / 2)

    y, found = np.empty_like(x), [np.empty_like(x) for _ in range(4)]
    for at, v in np.ndenumerate(x):
        if not ends[0] <= v <= ends[1]:
            y[at] = ends[0] if v < ends[0] else ends[1]
            rates = [mpf(0), mpf(v < ends[0]), mpf(v > ends[1]), mpf(0)]
        else:
            width = (ends[1] - ends[0]) / n
            i = min(int(mpmath.floor((v - ends[0]) / width)), n - 1)
            y[at] = ends[0] + width * (i + (1 if v >= ends[0] + (i + mpf("0.5")) * width else 0))
            point = (v, *ends)
            one = lambda k: tuple(int(j == k) for j in range(4))  # noqa: E731
            rates = [mpmath.diff(lambda *p, i=i: soft(*p, i), point, one(k)) for k in range(4)]
        for into, rate in zip(found, rates, strict=True):
            into[at] = g[at] * rate
    return y, found[0], *(f.sum(keepdims=True) for f in found[1:])


def rotated(r: Any, g: Wide, x: Wide, other: Wide, theta: Wide) -> tuple[Wide, ...]:
    share = np.frompyfunc(lambda t: abs(mpmath.sin(t)), 1, 1)(theta)
    slope = np.frompyfunc(lambda t: mpmath.diff(lambda z: abs(mpmath.sin(z)), t), 1, 1)(theta)
    return (1 - share) * x + share * other, (1 - share) * g, by_row(g * (other - x) * slope)


def scaled_by(r: Any, g: Wide, x: Wide, alpha: Wide, beta: Wide) -> tuple[Wide, ...]:
    y = x * alpha * beta
    return y, g * alpha * beta, by_row(g * x * beta), (g * x * alpha).sum(axis=0, keepdims=True)


def one_hot(r: Any, g: Wide, x: Wide, e: Wide) -> tuple[Wide, ...]:
    noisy = x - _log(e)
    y = np.asarray([[mpf(j == int(np.argmax(row))) for j in range(len(row))] for row in noisy])
    return y, jacobian_product(softmax(noisy / r.tau), g) / r.tau


def nearest_code(r: Any, g: Wide, x: Wide, codebook: Wide) -> tuple[Wide, ...]:
    return np.asarray([min(codebook, key=lambda q, v=v: ((v - q) ** 2).sum()) for v in x]), g


def logistic(x: Any) -> Any:
    return 1 / (1 + _exp(-x))


def soft_threshold(r: Any, g: Wide, x: Wide, s: Wide) -> tuple[Wide, ...]:
    gate = logistic(s).flat[0]
    alive, signs = np.abs(x) > gate, where(x < 0, mpf(-1), mpf(1))
    slope = mpmath.diff(lambda z: 1 / (1 + mpmath.exp(-z)), s.flat[0])
    y = where(alive, x - signs * gate, mpf(0))
    return y, where(alive, g, mpf(0)), -(where(alive, g * signs, mpf(0)) * slope).sum(keepdims=True)


def continuous(r: Any, g: Wide, x: Wide, s: Wide, beta: Wide) -> tuple[Wide, ...]:
    first, b = logistic(mpf(r.initial)), beta.flat[0]
    slope = np.frompyfunc(lambda z: mpmath.diff(lambda v: 1 / (1 + mpmath.exp(-b * v)), z), 1, 1)(s)
    return x * logistic(b * s) / first, g * logistic(b * s) / first, g * x * slope / first


def hard_concrete(r: Any, g: Wide, x: Wide, u: Wide) -> tuple[Wide, ...]:
    stretched = logistic((_log(u / (1 - u)) + x) / mpf(r.beta)) * (mpf(r.zeta) - mpf(r.gamma)) + mpf(r.gamma)
    share = logistic((_log(u / (1 - u)) + x) / mpf(r.beta))
    slope = share * (1 - share) / mpf(r.beta) * (mpf(r.zeta) - mpf(r.gamma))
    return clip(stretched, mpf(0), mpf(1)), where((stretched > 0) & (stretched < 1), g * slope, mpf(0))


def two_of_four(x: Wide) -> np.ndarray:
    """The two largest magnitudes of every four, lower indices first."""
    groups = np.abs(x).reshape(-1, 4)
    kept = [sorted(sorted(range(4), key=lambda i, row=row: (-row[i], i))[:2]) for row in groups]
    return np.asarray([[i in k for i in range(4)] for k in kept]).reshape(x.shape)


def sr_ste(r: Any, g: Wide, x: Wide) -> tuple[Wide, ...]:
    mask = two_of_four(x)
    return where(mask, x, mpf(0)), where(mask, g, g + mpf(r.pattern.decay) * x)


def mdgf(r: Any, g: Wide, x: Wide, beta: Wide) -> tuple[Wide, ...]:
    return where(two_of_four(x), x, x * beta), g


def largest(x: Wide, k: int) -> np.ndarray:
    """The k largest entries, lower indices first."""
    order = sorted(range(x.size), key=lambda i: (-x.ravel()[i], i))[:k]
    return np.isin(np.arange(x.size), order).reshape(x.shape)


def movement(r: Any, g: Wide, x: Wide, s: Wide) -> tuple[Wide, ...]:
    mask = largest(s, x.size // 2)
    return where(mask, x, mpf(0)), where(mask, g, mpf(0)), g * x


def top_kast(r: Any, g: Wide, x: Wide) -> tuple[Wide, ...]:
    used, updated = (largest(np.abs(x), round(d * x.size)) for d in (r.forward_density, r.backward_density))
    return where(used, x, mpf(0)), where(updated, g, mpf(0))


RESTATED: dict[str, Callable[..., tuple[Wide, ...]]] = {
    "LSQ": lsq,
    "LSQPlus": lsq_plus,
    "PACT": pact,
    "TQT": tqt,
    "RSign": rsign,
    "RPReLU": rprelu,
    "EWGS": ewgs,
    "StochasticBinarization": stochastic,
    "XNORWeights": xnor,
    "LibraPB": libra,
    "DoReFaWeights": dorefa,
    "GumbelSoftmax": gumbel,
    "ReinMax": reinmax,
    "RotationTrick": rotation,
    "BiPerActivation": biper_activation,
    "ContinuousSparsification": continuous,
    "DSQ": dsq,
    "HardConcrete": hard_concrete,
    "MDGFGradient": mdgf,
    "MovementGradient": movement,
    "RBNNRotation": rotated,
    "ReCU": recu,
    "SRSTEGradient": sr_ste,
    "STR": soft_threshold,
    "StraightThroughGumbel": one_hot,
    "TopKAST": top_kast,
    "VectorQuantization": nearest_code,
    "XNORPlusPlus": scaled_by,
    "XNORPlusPlusChannel": lambda r, g, x, alpha: (x * alpha, g * alpha, by_row(g * x)),
    "XNORPlusPlusDense": lambda r, g, x, gamma: (x * gamma, g * gamma, g * x),
}


class Restated:
    """A restated rule as a candidate."""

    def __init__(self, function: Callable[..., tuple[Wide, ...]]) -> None:
        self.name, self.function = function.__name__, function

    def start(self, rule: Estimator) -> Callable[..., dict[str, np.ndarray]]:
        def call(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            dtype = arrays["x"].dtype
            values = self.function(rule, *(wide(arrays[n]) for n in ("cotangent", "x", *rule.handed())))
            found = [np.asarray(v, np.float64).astype(dtype) for v in values]
            return dict(zip(rule.results(), found, strict=True))

        return call


def test_every_rule_is_restated() -> None:
    assert set(RESTATED) == OTHERS


@pytest.mark.parametrize("name", RESTATED)
def test_the_papers_formulas_in_fifty_digits_conform(name: str) -> None:
    rule = find(name)()
    assert isinstance(rule, Estimator)
    cases = some(generate(rule, 3, np.dtype(np.float32), 6), 8)
    with mpmath.workdps(50):
        verdict = refgrad.verify(Restated(RESTATED[name]), rule, inputs=cases, shrink=False, time_limit=float("inf"))
    assert verdict.conforms, str(verdict)
    assert set(verdict.counts) == {*rule.results(), *rule.chosen}
