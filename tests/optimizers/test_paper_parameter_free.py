"""The equations of step sizes from the distance walked once more, in sixty digits; all parameters are one vector."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from refgrad import optimizers as o
from refgrad.axes import TENSOR
from tests.optimizers.exact_tensors import Paper, check, norm, root

State = dict[str, Any]


def inner(a: np.ndarray, b: np.ndarray) -> Any:
    return mpmath.fsum((a * b).ravel())


def dog(x: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    g = g + h.weight_decay * x
    first = h.reps_rel * (1 + norm(s["start"]))
    s["distance"] = max(first if t == 1 else s["distance"].item(), norm(x - s["start"]))
    s["total"] = s["total"].item() + norm(g) ** 2
    return x - h.lr * s["distance"] / mpmath.sqrt(s["total"] + h.eps) * g


def dowg(x: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    g = g + h.weight_decay * x
    s["square"] = max(s["square"].item(), norm(x - s["start"]) ** 2)
    s["weighted"] = s["weighted"].item() + s["square"] * norm(g) ** 2
    return x - h.lr * s["square"] / (mpmath.sqrt(s["weighted"]) + h.eps) * g


def bias(t: int, h: Any) -> Any:
    return mpmath.sqrt(1 - h.beta2**t) / (1 - h.beta1**t)


def prodigy(x: np.ndarray, g: np.ndarray, s: State, t: int, h: Any, gamma: Any = 1) -> np.ndarray:
    d, beta3 = s["d"].item(), mpmath.sqrt(h.beta2)
    gamma = gamma * h.lr
    s["m"] = h.beta1 * s["m"] + (1 - h.beta1) * d * g
    s["v"] = h.beta2 * s["v"] + (1 - h.beta2) * (d * g) ** 2
    s["numerator"] = beta3 * s["numerator"].item() + gamma * d**2 / h.d0 * inner(g, s["start"] - x)
    s["s"] = beta3 * s["s"] + gamma * d**2 / h.d0 * g
    s["d"] = max(d, h.d_coef * s["numerator"] / mpmath.fsum(abs(s["s"]).ravel()))
    eps = h.eps * (d if h.eps_scale == "old" else s["d"])
    return x - gamma * d * s["m"] / (root(s["v"]) + eps) - gamma * d * h.weight_decay * x


def prodigy_adam(x: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    return prodigy(x, g, s, t, h, bias(t, h))


def dadapt_adam(x: np.ndarray, g: np.ndarray, s: State, t: int, h: Any, gamma: Any = 1) -> np.ndarray:
    d, beta = s["d"].item(), mpmath.sqrt(h.beta2)
    gamma = gamma * h.lr * d
    v = h.beta2 * s["v"] + (1 - h.beta2) * g**2 if h.product == "new" else s["v"]
    along = inner(g, s["s"] / (root(v) + h.eps))
    s["m"] = h.beta1 * s["m"] + (1 - h.beta1) * gamma * g
    s["v"] = h.beta2 * s["v"] + (1 - h.beta2) * g**2
    s["s"] = beta * s["s"] + (1 - beta) * gamma * g
    s["numerator"] = beta * s["numerator"].item() + (1 - beta) * gamma * along
    s["d"] = max(d, s["numerator"] / ((1 - beta) * mpmath.fsum(abs(s["s"]).ravel())))
    return x - s["m"] / (root(s["v"]) + h.eps) - gamma * h.weight_decay * x


def dadapt_adam_corrected(x: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    return dadapt_adam(x, g, s, t, h, bias(t, h))


PAPERS: list[tuple[Any, Paper]] = [
    (o.DoG(reps_rel=1e-2, weight_decay=0.1), dog),
    (o.DoG(), dog),
    (o.DoWG(initial_square=0.1, weight_decay=0.1), dowg),
    (o.DoWG(), dowg),
    (o.Prodigy(d0=1e-2, weight_decay=0.1), prodigy),
    (o.Prodigy(bias_correction="adam", d0=1e-2), prodigy_adam),
    (o.Prodigy(eps_scale="old", eps=0.1, d0=0.1), prodigy),
    (o.Prodigy(no_gradient="stands", d0=1e-2, weight_decay=0.1), prodigy),
    (o.DAdaptAdam(d0=1e-2, weight_decay=0.1), dadapt_adam),
    (o.DAdaptAdam(d0=1e-2, product="new"), dadapt_adam),
    (o.DAdaptAdam(bias_correction="adam", d0=1e-2), dadapt_adam_corrected),
]
RULES = [rule for rule, _ in PAPERS]


@pytest.mark.parametrize(("rule", "paper"), PAPERS, ids=lambda x: getattr(x, "__name__", str(x)))
def test_the_graph_is_the_papers_equations(rule: Any, paper: Paper) -> None:
    check(rule, paper)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_tree_is_one_vector(rule: Any) -> None:
    """The bits of a pytree's step are those of its leaves joined."""
    random = np.random.default_rng(5)
    shapes = {"a": (3, 4), "b": (5,), "c": (0, 2), "d": ()}
    tree = {n: np.asarray(random.standard_normal(s), np.float32) for n, s in shapes.items()}
    flat = np.concatenate([a.ravel() for a in tree.values()])
    state, one = rule.init(tree), rule.init(flat)
    for _ in range(4):
        g = {n: np.asarray(random.standard_normal(s), np.float32) for n, s in shapes.items()}
        flat, one = rule.step(flat, np.concatenate([a.ravel() for a in g.values()]), one)
        before = {n: a.copy() for n, a in tree.items()}
        new, new_state = rule.step(tree, g, state)
        assert all(np.array_equal(tree[n], before[n]) for n in tree)
        rule.step_(tree, g, state)
        for joined, parts in [(flat, new), (flat, tree), *((one[n], state[n]) for n in ("start", "s") if n in one)]:
            assert np.array_equal(joined, np.concatenate([a.ravel() for a in parts.values()]))
        for name, slot in rule.slots().items():
            if slot.axes == TENSOR:
                for values in (state[name], new_state[name]):
                    assert all(np.array_equal(np.ravel(values[n]), np.ravel(one[name])) for n in shapes)
