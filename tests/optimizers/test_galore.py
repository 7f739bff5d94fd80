"""GaLore: the equations once more in sixty digits, how its basis is judged, and implementations that we did not write."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

import refgrad
from refgrad.arithmetic import exact, matrix_error
from refgrad.arithmetic.running_error import Bounded
from refgrad.optimizers import GaLore
from refgrad.oracle.acceptance.comparing import model_for
from refgrad.oracle.acceptance.policy import Policy
from refgrad.surveys.implementations.inputs import regular_matrices
from tests.optimizers.test_paper import DIGITS, Hyperparameters
from tests.optimizers.test_paper_variants import denominator
from tests.optimizers.test_shampoo import TINY, agree, arrays_of, matrix, matrix_of, names_of

RANDOM = np.random.default_rng(8)


def left(p: Any, h: Any) -> bool:
    return p.rows >= p.cols if h.side == "longer" else p.rows < p.cols


def galore(p: Any, g: Any, s: dict[str, Any], t: int, h: Any) -> Any:
    """One step with a basis that is there already."""
    low = s["basis"].T * g if left(p, h) else g * s["basis"]
    s["m"] = h.beta1 * s["m"] + (1 - h.beta1) * low
    s["v"] = h.beta2 * s["v"] + (1 - h.beta2) * low.apply(lambda x: x**2)
    n = mpmath.matrix(low.rows, low.cols)
    for i in range(low.rows):
        for j in range(low.cols):
            n[i, j] = s["m"][i, j] / (1 - h.beta1**t) / denominator(s["v"][i, j], h, 1 - h.beta2**t)
    step = h.lr * h.scale * (s["basis"] * n if left(p, h) else n * s["basis"].T)
    if h.decay == "after":
        return (1 - h.lr * h.weight_decay) * (p - step)
    return (1 - h.lr * h.weight_decay) * p - step


BASE = GaLore(rank=2, interval=2, weight_decay=0.1)


@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (3, 3)], ids=str)
@pytest.mark.parametrize("rule", [BASE, *(v for n, v in BASE.variants() if not n.startswith("scalars"))], ids=str)
def test_the_graph_is_the_papers_equations(rule: GaLore, shape: tuple[int, int]) -> None:
    p = RANDOM.standard_normal(shape)
    state = rule.init(p)
    for t in range(1, 5):
        g = RANDOM.standard_normal(shape)
        plan = rule.plan(shape, t)
        arrays = {"p": p, "g": g, **arrays_of(rule, state)}
        got = exact.evaluate(plan.graph, arrays, names_of(rule, plan, shape, t), DIGITS)
        with mpmath.workdps(DIGITS):
            said = {n: matrix(state[n]) for n in rule.slots()}
            h = Hyperparameters(rule)
            if t == 1 or (t if rule.refresh == "whole" else t - 1) % 2 == 0:
                said["basis"] = matrix_of(got["basis"])
                spans(said["basis"], matrix(g) if left(matrix(p), h) else matrix(g).T)
            said["p"] = galore(matrix(p), matrix(g), said, t, h)
            for name, want in said.items():
                agree(got[name], want)
        p, state = rule.step(p, g, state)


def spans(basis: Any, g: Any) -> None:
    """The columns are orthonormal, left singular vectors of a matrix, and those of its largest singular values."""
    agree(np.asarray((basis.T * basis).tolist()), mpmath.eye(basis.cols))
    sizes = mpmath.svd_r(g, compute_uv=False)
    square = g * g.T
    for j in range(basis.cols):
        assert max(abs(x) for x in square * basis[:, j] - sizes[j] ** 2 * basis[:, j]) <= TINY


def test_of_a_vector_it_is_adam() -> None:
    """But for its scale: the basis is one number of size one."""
    from refgrad.optimizers import Adam

    rule, adam = GaLore(scale=1.0), Adam()
    p, q = np.ones(3), np.ones(3)
    a, b = rule.init(p), adam.init(q)
    for _ in range(3):
        g = RANDOM.standard_normal(3)
        p, a = rule.step(p, g, a)
        q, b = adam.step(q, g, b)
    assert np.array_equal(p, q)
    assert a["m"].shape == (3, 1)


@pytest.mark.parametrize("spoil", ["turned", "last", "none"])
def test_bases_are_judged_by_their_residuals(spoil: str) -> None:
    model = model_for(Policy(), np.dtype(np.float32))
    g = RANDOM.standard_normal((4, 6)).astype(np.float32)
    u = np.linalg.svd(g)[0]
    q = (u[:, [0, 3]] if spoil == "last" else u[:, :2]).astype(np.float64)
    if spoil == "turned":
        q = q @ np.asarray([[0.6, -0.8], [0.8, 0.6]])
    found = matrix_error.subspace(Bounded(g.astype(np.float64)), 2, Bounded(q), model)
    assert bool((np.abs(q - found.value) > found.bound()).any()) == (spoil != "none")


def test_optax_takes_the_longer_side() -> None:
    pytest.importorskip("optax")
    rule = GaLore(rank=2, interval=3, scalars="float32")
    options = {"rank": 2, "update_proj_gap": 3, "scale": 0.25}
    told: dict[str, Any] = {"options": options, "inputs": regular_matrices(), "explain": False, "shrink": False}
    assert not refgrad.verify("optax.contrib:galore", rule, **told).conforms
