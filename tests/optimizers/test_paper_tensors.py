"""LAMB and AdamP once more, on a whole tensor, in scalars of sixty digits."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from refgrad.arithmetic import exact
from refgrad.optimizers import LAMB, AdamP
from refgrad.tracing import free_values
from tests.optimizers.test_paper import DIGITS, Hyperparameters, agree

Rows = list[list[Any]]
STEPS = 4


def flat(rows: Rows) -> list[Any]:
    return [x for row in rows for x in row]


def norm(x: list[Any]) -> Any:
    return mpmath.sqrt(sum(a * a for a in x))


def dot(x: list[Any], y: list[Any]) -> Any:
    return sum(a * b for a, b in zip(x, y, strict=True))


def directions(g: Rows, s: dict[str, Rows], t: int, h: Any) -> Rows:
    """Adam's step of every element; the moments in ``s`` are replaced."""
    s["m"] = [[h.beta1 * m + (1 - h.beta1) * x for m, x in zip(*r, strict=True)] for r in zip(s["m"], g, strict=True)]
    s["v"] = [
        [h.beta2 * v + (1 - h.beta2) * x**2 for v, x in zip(*r, strict=True)] for r in zip(s["v"], g, strict=True)
    ]
    first, second = 1 - h.beta1**t, 1 - h.beta2**t
    return [
        [m / first / (mpmath.sqrt(v / second) + h.eps) for m, v in zip(*r, strict=True)]
        for r in zip(s["m"], s["v"], strict=True)
    ]


def lamb(p: Rows, g: Rows, s: dict[str, Rows], t: int, h: Any) -> Rows:
    u = directions(g, s, t, h)
    r = [[a + h.weight_decay * b for a, b in zip(*rows, strict=True)] for rows in zip(u, p, strict=True)]
    weights, updates = norm(flat(p)), norm(flat(r))
    ratio = weights / updates if weights and updates else mpf(1)
    return [[b - h.lr * ratio * a for a, b in zip(*rows, strict=True)] for rows in zip(r, p, strict=True)]


def project(p: Rows, g: Rows, u: Rows, h: Any) -> Rows | None:
    """The steps of rows without their radial parts; None if one row's gradient is not nearly orthogonal."""
    for w, x in zip(p, g, strict=True):
        cosine = abs(dot(w, x)) / (max(norm(w), h.eps) * max(norm(x), h.eps))
        if not cosine < h.delta / mpmath.sqrt(len(w)):
            return None
    result = []
    for w, a in zip(p, u, strict=True):
        n = [b / (norm(w) + h.eps) for b in w]
        result.append([c - b * dot(n, a) for b, c in zip(n, a, strict=True)])
    return result


def adamp(p: Rows, g: Rows, s: dict[str, Rows], t: int, h: Any) -> Rows:
    u = directions(g, s, t, h)
    width, ratio = len(p[0]), h.wd_ratio
    step = project(p, g, u, h)
    if step is None:
        whole = project([flat(p)], [flat(g)], [flat(u)], h)
        step = whole and [whole[0][i : i + width] for i in range(0, len(whole[0]), width)]
    if step is None:
        step, ratio = u, mpf(1)
    decay = 1 - h.lr * h.weight_decay * ratio
    return [[decay * b - h.lr * a for a, b in zip(*rows, strict=True)] for rows in zip(step, p, strict=True)]


def orthogonal(p: np.ndarray, g: np.ndarray) -> np.ndarray:
    """The gradient without its part along the parameter, by rows."""
    return g - p * ((g * p).sum(1, keepdims=True) / (p * p).sum(1, keepdims=True))


def gradients(kind: str, p: np.ndarray) -> np.ndarray:
    """A gradient that is nearly orthogonal by rows, on the whole only, or not at all."""
    g = np.random.default_rng(7).standard_normal(p.shape)
    if kind == "rows":
        return orthogonal(p, g)
    if kind == "whole":
        return orthogonal(p.reshape(1, -1), g.reshape(1, -1)).reshape(p.shape)
    return p + 0.1 * g


@pytest.mark.parametrize("kind", ["rows", "whole", "neither"])
@pytest.mark.parametrize(
    ("rule", "paper"),
    [(LAMB(weight_decay=0.1), lamb), (LAMB(), lamb), (AdamP(weight_decay=0.1), adamp), (AdamP(), adamp)],
    ids=lambda x: getattr(x, "__name__", str(x)),
)
def test_the_graph_is_the_papers_equations(rule: Any, paper: Any, kind: str) -> None:
    p = np.random.default_rng(3).standard_normal((3, 4))
    state = rule.init(p)
    for t in range(1, STEPS + 1):
        g = gradients(kind, p)
        free = free_values(p.shape, {"t": t})
        plan = rule.plan(p.shape, t)
        names = {**rule.numbers(), **dict(zip(plan.free, free, strict=True))}
        got = exact.evaluate(plan.graph, {"p": p, "g": g, "m": state["m"], "v": state["v"]}, names, DIGITS)
        with mpmath.workdps(DIGITS):
            said = {n: exactly(state[n]) for n in ("m", "v")}
            said["p"] = paper(exactly(p), exactly(g), said, t, Hyperparameters(rule))
            for name, rows in said.items():
                assert all(agree(a, b) for a, b in zip(np.ravel(got[name]), flat(rows), strict=True)), (t, name)
        p, state = rule.step(p, g, state, backend="numpy")


def exactly(x: np.ndarray) -> Rows:
    return [[mpf(float(a)) for a in row] for row in x]


@pytest.mark.parametrize("rule", [AdamP(weight_decay=0.1)], ids=str)
def test_each_way_of_projecting_is_met(rule: Any) -> None:
    p = np.random.default_rng(3).standard_normal((3, 4))
    h = Hyperparameters(rule)
    found = {}
    for kind in ("rows", "whole", "neither"):
        g = exactly(gradients(kind, p))
        rows = project(exactly(p), g, g, h) is not None
        whole = project([flat(exactly(p))], [flat(g)], [flat(g)], h) is not None
        found[kind] = (rows, whole)
    assert found == {"rows": (True, True), "whole": (False, True), "neither": (False, False)}
