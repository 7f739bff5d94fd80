"""LAMB, AdamP and SGDP, and all their variants, once more, on a whole tensor, in scalars of sixty digits."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from refgrad.arithmetic import exact
from refgrad.optimizers import LAMB, SGDP, AdaGradNorm, AdamP
from refgrad.tracing import free_values
from tests.optimizers.exact_tensors import variants_of
from tests.optimizers.test_paper import DIGITS, Hyperparameters, agree
from tests.optimizers.test_paper_variants import denominator

Rows = list[list[Any]]
STEPS = 4


def flat(rows: Rows) -> list[Any]:
    return [x for row in rows for x in row]


def norm(x: list[Any]) -> Any:
    return mpmath.sqrt(sum(a * a for a in x))


def dot(x: list[Any], y: list[Any]) -> Any:
    return sum(a * b for a, b in zip(x, y, strict=True))


def each(function: Any, *rows: Rows) -> Rows:
    """A function of single numbers, on all of them."""
    return [[function(*items) for items in zip(*r, strict=True)] for r in zip(*rows, strict=True)]


def moments(g: Rows, s: dict[str, Rows], h: Any, gain: Any = None) -> None:
    gain = 1 - h.beta1 if gain is None else gain
    s["m"] = each(lambda m, x: h.beta1 * m + gain * x, s["m"], g)
    s["v"] = each(lambda v, x: h.beta2 * v + (1 - h.beta2) * x**2, s["v"], g)


def lamb(p: Rows, g: Rows, s: dict[str, Rows], t: int, h: Any) -> Rows:
    moments(g, s, h, None if h.grad_averaging else mpf(1))
    first, second = 1 - h.beta1**t, 1 - h.beta2**t
    over, under = (first, second) if h.correction == "moments" else (mpf(1), mpf(1))
    r = each(lambda m, v: m / over / (mpmath.sqrt(v / under) + h.eps), s["m"], s["v"])
    if h.decay == "inside":
        r = each(lambda a, b: a + h.weight_decay * b, r, p)
    else:
        p = each(lambda b: (1 - h.lr * h.weight_decay) * b, p)
    weights, updates = norm(flat(p)), norm(flat(r))
    rate = {"moments": 1, "none": 1, "step": mpmath.sqrt(second) / first, "first": 1 / first}[h.correction] * h.lr
    if weights and updates and (h.weight_decay or h.adapt == "always"):
        phi = min(max(weights, h.phi_low), h.phi_high) if h.phi == "clamped" else weights
        ratio = phi / (updates + (h.eps if h.ratio == "eps" else 0))
        rate *= min(ratio, 1) if h.ratio == "capped" else ratio
    return each(lambda a, b: b - rate * a, r, p)


def nearly(p: list[Any], g: list[Any], h: Any) -> bool:
    """Whether a gradient is nearly orthogonal to the weights."""
    sizes = [norm(x) + h.eps if h.norms == "added" else max(norm(x), h.eps) for x in (p, g)]
    cosine = abs(dot(p, g)) / (sizes[0] * sizes[1])
    return bool(cosine < h.delta / mpmath.sqrt(len(p)))


def flattened(p: list[Any], u: list[Any], h: Any) -> list[Any]:
    """A step without its radial part."""
    n = [b / (norm(p) + h.eps) for b in p]
    radial = dot(n, u)
    return [a - b * radial for a, b in zip(u, n, strict=True)]


def projected(p: Rows, g: Rows, u: Rows, h: Any) -> tuple[Rows, list[Any]]:
    """The steps by rows, and what each row's decay is multiplied by."""
    rows = [nearly(a, b, h) for a, b in zip(p, g, strict=True)]
    whole = nearly(flat(p), flat(g), h)
    if h.test == "row" or (h.test == "author" and all(rows)):
        steps = [flattened(a, c, h) if ok else c for a, c, ok in zip(p, u, rows, strict=True)]
        return steps, [h.wd_ratio if ok else 1 for ok in rows]
    if whole:
        step, width = flattened(flat(p), flat(u), h), len(p[0])
        return [step[i : i + width] for i in range(0, len(step), width)], [h.wd_ratio] * len(p)
    return u, [1] * len(p)


def adamp(p: Rows, g: Rows, s: dict[str, Rows], t: int, h: Any) -> Rows:
    moments(g, s, h)
    ahead = each(lambda m, a: h.beta1 * m + (1 - h.beta1) * a, s["m"], g) if h.nesterov else s["m"]
    u = each(lambda m, v: m / (1 - h.beta1**t) / denominator(v, h, 1 - h.beta2**t), ahead, s["v"])
    steps, shares = projected(p, g, u, h)
    return [
        [(1 - h.lr * h.weight_decay * share) * b - h.lr * a for a, b in zip(*rows, strict=True)]
        for share, *rows in zip(shares, steps, p, strict=True)
    ]


def sgdp(p: Rows, g: Rows, s: dict[str, Rows], t: int, h: Any) -> Rows:
    s["buffer"] = each(lambda m, a: h.momentum * m + (1 - h.dampening) * a, s["buffer"], g)
    u = each(lambda m, a: a + h.momentum * m, s["buffer"], g) if h.nesterov else s["buffer"]
    steps, shares = projected(p, g, u, h)
    if h.kept == "projected" and not h.nesterov:
        s["buffer"] = steps
    return [
        [(1 - h.lr * h.weight_decay * share / (1 - h.momentum)) * b - h.lr * a for a, b in zip(*rows, strict=True)]
        for share, *rows in zip(shares, steps, p, strict=True)
    ]


def adagrad_norm(p: Rows, g: Rows, s: dict[str, Rows], t: int, h: Any) -> Rows:
    s["s"] = [[s["s"][0][0] + dot(flat(g), flat(g))]]
    return each(lambda a, b: b - h.lr * a / mpmath.sqrt(s["s"][0][0]), g, p)


def orthogonal(p: np.ndarray, g: np.ndarray) -> np.ndarray:
    """The gradient without its part along the parameter, by rows."""
    return g - p * ((g * p).sum(1, keepdims=True) / (p * p).sum(1, keepdims=True))


def gradients(kind: str, p: np.ndarray) -> np.ndarray:
    """A gradient that is nearly orthogonal by rows, in one row, on the whole only, or not at all."""
    g = np.random.default_rng(7).standard_normal(p.shape)
    if kind == "rows":
        return orthogonal(p, g)
    if kind == "one":
        return np.vstack([orthogonal(p, g)[:1], p[1:] + 0.1 * g[1:]])
    if kind == "whole":
        return orthogonal(p.reshape(1, -1), g.reshape(1, -1)).reshape(p.shape)
    return p + 0.1 * g


BASES = [
    (LAMB(weight_decay=0.1, phi_high=2.0), lamb),
    (LAMB(), lamb),
    (AdamP(weight_decay=0.1, eps_root=1e-9), adamp),
    (AdamP(), adamp),
    (AdamP(eps=2.0, delta=0.3), adamp),
    (AdamP(weight_decay=0.1, test="author"), adamp),
    (SGDP(weight_decay=0.1, momentum=0.9, dampening=0.3), sgdp),
    (SGDP(momentum=0.9, nesterov=True, test="author"), sgdp),
    (AdaGradNorm(), adagrad_norm),
]


@pytest.mark.parametrize("kind", ["rows", "one", "whole", "neither"])
@pytest.mark.parametrize(("rule", "paper"), variants_of(BASES))
def test_the_graph_is_the_papers_equations(rule: Any, paper: Any, kind: str) -> None:
    p = np.random.default_rng(3).standard_normal((3, 4))
    state = rule.init(p)
    for t in range(1, STEPS + 1):
        g = gradients(kind, p)
        free = free_values(p.shape, {"t": t})
        plan = rule.plan(p.shape, t)
        names = {**rule.numbers(), **dict(zip(plan.free, free, strict=True))}
        arrays = {"p": p, "g": g, **{n: state[n] for n in rule.slots()}}
        got = exact.evaluate(plan.graph, arrays, names, DIGITS)
        with mpmath.workdps(DIGITS):
            said = {n: exactly(state[n]) for n in rule.slots()}
            said["p"] = paper(exactly(p), exactly(g), said, t, Hyperparameters(rule))
            for name, rows in said.items():
                assert all(agree(a, b) for a, b in zip(np.ravel(got[name]), flat(rows), strict=True)), (t, name)
        p, state = rule.step(p, g, state, backend="numpy")


def exactly(x: np.ndarray) -> Rows:
    return [[mpf(float(a)) for a in row] for row in x]


def test_each_way_of_projecting_is_met() -> None:
    p = np.random.default_rng(3).standard_normal((3, 4))
    h = Hyperparameters(AdamP(weight_decay=0.1))
    found = {}
    for kind in ("rows", "one", "whole", "neither"):
        g = exactly(gradients(kind, p))
        rows = [nearly(a, b, h) for a, b in zip(exactly(p), g, strict=True)]
        found[kind] = (sum(rows), nearly(flat(exactly(p)), flat(g), h))
    assert found == {"rows": (3, True), "one": (1, False), "whole": (0, True), "neither": (0, False)}
