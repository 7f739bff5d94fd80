"""PSGD-Kron: the equations once more in sixty digits."""

from __future__ import annotations

import importlib
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
        m = m + h.damping * sum(abs(x) for x in m) / len(list(m)) * v
        a = s["left"] * m * s["right"].T
        b = mpmath.inverse(s["left"]).T * v * mpmath.inverse(s["right"])
        s["left"] = moved(s["left"], a * a.T, b * b.T, h)
        s["right"] = moved(s["right"], a.T * a, b.T * b, h)
    step = s["left"].T * s["left"] * m * s["right"].T * s["right"]
    rms = length(step) / mpmath.sqrt(len(list(step)))
    step = step * min(h.clip / (rms + h.padding), 1)
    return p - h.lr * (step + h.weight_decay * p)


DAMPED = PSGDKron(damping=0.3, padding=0.01)


@pytest.mark.parametrize("rule", [PSGDKron(weight_decay=0.1), PSGDKron(clip=0.2, interval=2, eps=0.1), DAMPED], ids=str)
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


def vector(p: list[Any], g: list[Any], v: list[Any], s: dict[str, Any], t: int, h: Any) -> list[Any]:
    """kron_torch on a vector: a diagonal factor, and no decay."""
    s["m"] = [h.momentum * m + (1 - h.momentum) * x for m, x in zip(s["m"], g, strict=True)]
    size = h.damping * sum(abs(m) for m in s["m"]) / len(p) / (1 - h.momentum**t)
    m = [x / (1 - h.momentum**t) + size * y for x, y in zip(s["m"], v, strict=True)]
    seen = [(q * x) ** 2 for q, x in zip(s["q"], m, strict=True)]
    drawn = [(y / q) ** 2 for q, y in zip(s["q"], v, strict=True)]
    most = max(a + b for a, b in zip(seen, drawn, strict=True)) + h.eps
    s["q"] = [q - h.precondition_lr * (a - b) * q / most for q, a, b in zip(s["q"], seen, drawn, strict=True)]
    step = [q**2 * x for q, x in zip(s["q"], m, strict=True)]
    rms = length(step) / mpmath.sqrt(len(p))
    return [a - h.lr * min(1, h.clip / (rms + h.padding)) * b for a, b in zip(p, step, strict=True)]


#: kron_torch 0.3, for parameters of at most two axes
KRON_TORCH = PSGDKron(
    lr=3e-4,
    weight_decay=0.1,
    damping=2**-11.5,
    padding=1e-12,
    vectors="diagonal",
    decayed="matrices",
    updates="annealed",
)


def test_a_vector_of_kron_torch() -> None:
    p, steps = np.asarray([1.0, -0.5, 2.0]), RANDOM.standard_normal((6, 2, 3))
    state = KRON_TORCH.init(p)
    h, exact_p = Hyperparameters(KRON_TORCH), [mpmath.mpf(x) for x in p]
    s: dict[str, Any] = {"m": [0, 0, 0], "q": [1, 1, 1]}
    for t, (g, v) in enumerate(steps, 1):
        p, state = KRON_TORCH.step(p, g, state, noise=v)
        exact_p = vector(exact_p, [*map(mpmath.mpf, g)], [*map(mpmath.mpf, v)], s, t, h)
        assert all(abs(a - b) <= 1e-14 * abs(b) for a, b in zip(p, exact_p, strict=True))


def test_kron_torch_counts_the_steps_between_its_updates() -> None:
    """Every step until 500, then when 1 / probability steps have passed; the probability is never below 0.03."""
    moved, waited, state = [], 0.0, KRON_TORCH.init(np.ones(2))
    for t in range(1, 4600):
        waited += 1
        if waited >= 1 / max(0.03, min(1.0, float(mpmath.exp(-(t - 501) / mpmath.mpf(1000))))):
            waited = 0.0
        if t < 30 or 480 < t < 2000 or t > 4500:
            moves, state["waited"] = KRON_TORCH._moves(state["waited"], t)
            moved.append(t)
            assert moves == (waited == 0.0), t
        else:
            state["waited"] = waited
    assert len(moved) > 1600


@pytest.mark.parametrize("shape", [(1,), (5,), (3, 4), (4, 1), (1, 4)], ids=str)
def test_kron_torch(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own class over varying learning rates, with the same probes and without its rare balancing."""
    package = pytest.importorskip("kron_torch.kron", reason="kron_torch is not installed", exc_type=ImportError)
    torch = importlib.import_module("torch")
    p = RANDOM.standard_normal(shape)
    kept = torch.tensor(p, requires_grad=True)
    candidate = package.Kron([kept], weight_decay=0.1, precond_dtype=torch.float64)
    monkeypatch.setattr(candidate.rng, "random", lambda: 1.0)
    monkeypatch.setattr(
        package, "_solve_triangular_right", lambda x, a: torch.linalg.solve_triangular(a, x, upper=True, left=False)
    )
    state = KRON_TORCH.init(p)
    for t in range(1, 31):
        g, v, lr = RANDOM.standard_normal(shape), RANDOM.standard_normal(shape), 3e-4 * (1 + t % 3)
        kept.grad, candidate.param_groups[0]["lr"] = torch.tensor(g), lr
        monkeypatch.setattr(torch, "randn_like", lambda like, v=v: torch.tensor(v).reshape(like.shape))
        with torch.compiler.set_stance("force_eager"):
            candidate.step()
        p, state = KRON_TORCH.replace(lr=lr).step(p, g, state, noise=v)
        assert np.allclose(p, kept.detach().numpy(), rtol=1e-12, atol=1e-13)


def test_kron_torch_makes_all_axes_but_the_last_one() -> None:
    """Whichever split is the squarest: it compares signed differences."""
    package = pytest.importorskip("kron_torch.kron", reason="kron_torch is not installed", exc_type=ImportError)
    torch = importlib.import_module("torch")
    for shape in ((2, 3, 4), (4, 3, 2), (64, 3, 3, 3)):
        kept = torch.ones(shape, requires_grad=True)
        kept.grad = torch.ones(shape)
        candidate = package.Kron([kept])
        with torch.compiler.set_stance("force_eager"):
            candidate.step()
        assert list(candidate.state[kept]["merged_shape"]) == [int(np.prod(shape[:-1])), shape[-1]]
