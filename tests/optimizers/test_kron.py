"""PSGD-Kron: the equations once more in sixty digits."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from refgrad.arithmetic import exact
from refgrad.optimizers import PSGDKron
from tests.optimizers.test_paper import DIGITS, Hyperparameters
from tests.optimizers.test_shampoo import agree, arrays_of, matrix, names_of

RANDOM = np.random.default_rng(9)


def length(v: Any) -> Any:
    return mpmath.sqrt(sum(x * x for x in v))


def moved(q: Any, first: Any, second: Any, h: Any) -> Any:
    """One factor, from A A^T and B B^T."""
    total, gap = first + second, first - second
    longest = max(range(total.cols), key=lambda j: length(total[:, j]))
    y = total * total[:, longest]
    size = length(total * y) / length(y)
    for i in range(gap.rows):
        for j in range(i):
            gap[i, j] = 0
    return q - h.precondition_lr * gap * q / (size + h.eps)


def kron(p: Any, g: Any, v: Any, s: dict[str, Any], t: int, h: Any) -> Any:
    s["m"] = h.momentum * s["m"] + (1 - h.momentum) * g
    m = s["m"] / (1 - h.momentum**t)
    if t % h.interval == 0:
        a = s["left"] * m * s["right"].T
        b = mpmath.inverse(s["left"]).T * v * mpmath.inverse(s["right"])
        s["left"] = moved(s["left"], a * a.T, b * b.T, h)
        s["right"] = moved(s["right"], a.T * a, b.T * b, h)
    step = s["left"].T * s["left"] * m * s["right"].T * s["right"]
    rms = length(step) / mpmath.sqrt(len(list(step)))
    step = step * min(h.clip / (rms + 1e-6), 1)
    return p - h.lr * (step + h.weight_decay * p)


@pytest.mark.parametrize("rule", [PSGDKron(weight_decay=0.1), PSGDKron(clip=0.2, interval=2, eps=0.1)], ids=str)
def test_the_graph_is_the_equations(rule: PSGDKron) -> None:
    shape = (3, 4)
    p = RANDOM.standard_normal(shape)
    state = rule.init(p)
    for t in (1, 2, 3):
        g, v = RANDOM.standard_normal(shape), RANDOM.standard_normal(shape)
        plan = rule.plan(shape, t)
        arrays = {"p": p, "g": g, "noise": v, **arrays_of(rule, state)}
        got = exact.evaluate(plan.graph, arrays, names_of(rule, plan, shape, t), DIGITS)
        with mpmath.workdps(DIGITS):
            said = {n: matrix(state[n]) for n in rule.slots()}
            said["p"] = kron(matrix(p), matrix(g), matrix(v), said, t, Hyperparameters(rule))
            for name, want in said.items():
                agree(got[name], want)
        p, state = rule.step(p, g, state, noise=v)
