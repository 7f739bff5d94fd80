"""Rules around a rule: their equations in sixty digits, implementations that we did not write, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mpmath import mpf

from refgrad import optimizers as o
from refgrad.errors import ArgumentError
from tests.optimizers.exact_tensors import Paper, check, gradients, larger, norm, root, smaller

State = dict[str, Any]
SGD = o.SGD(lr=0.1, momentum=0.9)


def sgd(p: np.ndarray, g: np.ndarray, s: State, h: Any) -> np.ndarray:
    s["buffer"] = h.inner_momentum * s["buffer"] + g
    return p - h.inner_lr * s["buffer"]


def lookahead(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    fast = sgd(p, g, s, h)
    if t % int(h.k) == 0:
        fast = s["slow"] = (1 - h.alpha) * s["slow"] + h.alpha * fast
    return fast


def lookahead_at_once(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    fast = sgd(p, g, s, h)
    if t % int(h.k) == 1:
        start = fast if t == 1 else s["slow"]
        fast = s["slow"] = (1 - h.alpha) * start + h.alpha * fast
    return fast


def averaged(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    p = sgd(p, g, s, h)
    s["average"] = h.decay * s["average"] + (1 - h.decay) * p
    return p


def by_value(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    return sgd(p, larger(smaller(g, h.bound), -h.bound), s, h)


def by_norm(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    return sgd(p, g * min(mpf(1), h.max_norm / norm(g)) if norm(g) else g, s, h)


def by_norm_padded(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    return sgd(p, g * min(mpf(1), h.max_norm / (norm(g) + mpf(1e-6))), s, h)


def adaptive(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any, axis: int = 1) -> np.ndarray:
    weights = larger(root((p * p).sum(axis, keepdims=True)), h.eps)
    norms = root((g * g).sum(axis, keepdims=True))
    factor = np.frompyfunc(lambda w, n: min(mpf(1), h.clipping * w / n) if n else mpf(1), 2, 1)(weights, norms)
    return sgd(p, g * factor, s, h)


def adaptive_vector(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    """A vector is one unit."""
    factor = h.clipping * max(norm(p), h.eps) / norm(g) if norm(g) else mpf(1)
    return sgd(p, g * min(mpf(1), factor), s, h)


def adaptive_columns(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    return adaptive(p, g, s, t, h, 0)


def normalized(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    return sgd(p, g / norm(g), s, h)


def non_negative(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    return larger(sgd(p, g, s, h), mpf(0))


def centralized(p: np.ndarray, g: np.ndarray, s: State, t: int, h: Any) -> np.ndarray:
    return sgd(p, g - np.mean(g, axis=1, keepdims=True), s, h)


PAPERS: list[tuple[Any, Paper]] = [
    (o.Lookahead(inner=SGD, k=2.0), lookahead),
    (o.Lookahead(inner=SGD, k=2.0, alpha=0.8, sync="at_once"), lookahead_at_once),
    (o.AveragedWeights(inner=SGD, decay=0.9), averaged),
    (o.ClipByValue(inner=SGD, bound=0.5), by_value),
    (o.ClipByNorm(inner=SGD), by_norm),
    (o.ClipByNorm(inner=SGD, division="padded"), by_norm_padded),
    (o.ClipByGlobalNorm(inner=SGD, max_norm=0.5), by_norm),
    (o.ClipByGlobalNorm(inner=SGD, division="padded"), by_norm_padded),
    (o.AdaptiveClip(inner=SGD, clipping=0.1), adaptive),
    (o.AdaptiveClip(inner=SGD, clipping=0.5, eps=1.5, units="column"), adaptive_columns),
    (o.Centralize(inner=SGD), centralized),
    (o.NormalizedGradient(inner=SGD), normalized),
    (o.NonNegative(inner=SGD), non_negative),
]


@pytest.mark.parametrize(("rule", "paper"), PAPERS, ids=lambda x: getattr(x, "__name__", str(x)))
def test_the_graph_is_the_papers_equations(rule: Any, paper: Paper) -> None:
    """A gradient of zero has no direction to be normalized to."""
    grads = gradients((3, 4), 4)[:2] if isinstance(rule, o.NormalizedGradient) else None
    check(rule, paper, grads=grads)


def test_a_vector_is_one_unit() -> None:
    check(o.AdaptiveClip(inner=SGD, clipping=0.5), adaptive_vector, (5,))


@pytest.mark.slow
def test_wrappers_compose() -> None:
    """The inner rule's numbers, state and branches are all there, however deep."""
    rule = o.Lookahead(inner=o.Lookahead(inner=o.ClipByValue(inner=o.RAdam(lr=0.5), bound=0.1), k=2.0), k=3.0)
    assert list(rule.slots()) == ["slow", "inner_slow", "m", "v"]
    assert rule.numbers()["inner_inner_inner_lr"] == 0.5
    p, q, fast = (np.linspace(-1, 1, 7, dtype=np.float32) for _ in range(3))
    state, plain = rule.init(p), o.RAdam(lr=0.5).init(q)
    slow, inner_slow = p, p
    for t in range(1, 9):
        g = np.cos(np.arange(7, dtype=np.float32) + np.float32(t))
        p, state = rule.step(p, g, state, backend="numba" if t % 2 else "numpy")
        fast, plain = o.RAdam(lr=0.5).step(fast, np.clip(g, np.float32(-0.1), np.float32(0.1)), plain)
        if t % 2 == 0:
            fast = inner_slow = inner_slow + np.float32(0.5) * (fast - inner_slow)
        if t % 3 == 0:
            fast = slow = slow + np.float32(0.5) * (fast - slow)
        assert np.array_equal(p, fast)


def test_the_norm_of_a_tree_is_of_all_its_leaves() -> None:
    rule = o.ClipByGlobalNorm(inner=o.SGD(lr=1.0), max_norm=1.0)
    p = {"a": np.zeros(1, np.float32), "b": np.zeros((1, 1), np.float32)}
    g = {"a": np.full(1, 3.0, np.float32), "b": np.full((1, 1), 4.0, np.float32)}
    new, _ = rule.step(p, g, rule.init(p))
    factor = np.float32(1) / np.float32(5)
    assert new["a"][0] == -np.float32(3) * factor
    assert new["b"][0, 0] == -np.float32(4) * factor


def test_what_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"Lookahead\.inner is 3; legal: a rule such as AdamW"):
        o.Lookahead(inner=3)
    with pytest.raises(ArgumentError, match=r"Lookahead\.k is 2\.5; legal: a number in \[1, inf\), whole"):
        o.Lookahead(k=2.5)
    with pytest.raises(ArgumentError, match=r"inner is 'LAMB\(\)'; legal: a rule whose elements do not see"):
        o.ClipByGlobalNorm(inner=o.LAMB())
    with pytest.raises(ArgumentError, match=r"Lookahead\.k is 0"):
        o.Lookahead(k=0)


def test_numbers_of_the_inner_rule_are_replaced_by_name() -> None:
    rule = o.Lookahead(inner=o.ClipByValue(inner=o.SGD(lr=0.5)))
    assert rule.replace(inner_inner_lr=0.25, k=3.0) == o.Lookahead(inner=o.ClipByValue(inner=o.SGD(lr=0.25)), k=3.0)
    assert str(rule.range_of("inner_inner_lr")) == "[0, inf)"
    with pytest.raises(ArgumentError, match="SGD has no 'ls'"):
        rule.replace(inner_inner_ls=1.0)


def test_names() -> None:
    assert str(o.Lookahead(inner=o.SGD(lr=0.5))) == "Lookahead(inner=SGD(lr=0.5))"
    assert hash(o.Lookahead()) == hash(o.Lookahead(inner=o.AdamW()))


ADAMW = o.AdamW(lr=0.1, weight_decay=0.1)


def test_torchs_clipping_is_padded() -> None:
    """A bound of 1e-6 leaves two thirds of it: 1e-6 is added to the norm."""
    torch = pytest.importorskip("torch")
    p = torch.zeros(1)
    p.grad = torch.full((1,), 1e-6)
    torch.nn.utils.clip_grad_norm_([p], 1e-6)
    assert 0.4e-6 < float(p.grad) < 0.6e-6


@pytest.mark.parametrize("cls", [o.ClipByNorm, o.ClipByGlobalNorm])
@pytest.mark.parametrize("division", ["exact", "padded"])
def test_a_norm_that_is_nan_reaches_all(cls: Any, division: str) -> None:
    rule = cls(inner=o.SGD(lr=1.0), division=division)
    p = np.zeros(3, np.float32)
    assert np.isnan(rule.step(p, np.asarray([np.nan, 1.0, 2.0], np.float32), rule.init(p))[0]).all()


def test_optax_clips_nan_alike() -> None:
    optax = pytest.importorskip("optax", reason="optax is not installed")
    transform = optax.clip_by_global_norm(1.0)
    g = np.asarray([np.nan, 1.0, 2.0], np.float32)
    assert np.isnan(np.asarray(transform.update(g, transform.init(g))[0])).all()
