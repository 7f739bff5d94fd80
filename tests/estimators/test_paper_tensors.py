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
from refgrad.oracle.aimed import generate
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
}


class Restated:
    """A restated rule as a candidate."""

    def __init__(self, function: Callable[..., tuple[Wide, ...]]) -> None:
        self.name, self.function = function.__name__, function

    def start(self, rule: Estimator) -> Callable[..., dict[str, np.ndarray]]:
        def call(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            dtype = arrays["x"].dtype
            values = self.function(rule, *(wide(arrays[n]) for n in ("cotangent", "x", *rule.parameters)))
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
    assert set(verdict.counts) == set(rule.results())
