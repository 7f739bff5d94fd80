"""Steps of trees that kernels take as they are: the same bits as leaf by leaf, and all else goes the careful way."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.optimizers import SGD, AdamW
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.ready import ready_leaf, ready_leaves
from refgrad.rule import rules

SHAPES = ((3, 5), (7,), (1,), (2, 2, 2), (0,), (64,))


def arrays(seed: int, dtype: Any = np.float32) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.standard_normal(shape).astype(dtype) for shape in SHAPES]


def plain_rules() -> list[Any]:
    """The optimizers whose state is arrays alone, and whose leaves are stepped one after the other."""
    found = [rule() for rule in rules(Optimizer).values()]
    return [r for r in found if r._array_slots() is not None and r.scope == "leaf"]


def nested(leaves: list[np.ndarray]) -> Any:
    return {"a": leaves[0], "b": [leaves[1], (leaves[2], leaves[3])], "c": {"d": leaves[4], "e": leaves[5]}}


@pytest.mark.parametrize("rule", plain_rules(), ids=str)
def test_a_tree_has_the_bits_of_its_leaves(rule: Any) -> None:
    p, g = arrays(1), arrays(2)
    tree, grads = nested([a.copy() for a in p]), nested(g)
    state = rule.init(tree)
    alone = [(a, rule.init(a)) for a in p]
    for _ in range(2):
        before = copy.deepcopy((tree, state))
        pure, after = rule.step(tree, grads, state)
        np.testing.assert_equal((tree, state), before)
        rule.step_(tree, grads, state)
        np.testing.assert_equal((pure, after), (tree, state))
        for (leaf, own), grad in zip(alone, g, strict=True):
            rule.step_(leaf, grad, own, backend="numpy")
    np.testing.assert_equal(tree, nested([leaf for leaf, _ in alone]))


def test_what_is_taken_as_it_is() -> None:
    rule, p, g = AdamW(), arrays(1), arrays(2)
    slots = rule._array_slots()
    assert slots is not None
    state = rule.init(p)
    assert len(ready_leaves(p, tuple(g), state, slots) or ()) == len(SHAPES)
    assert ready_leaf(p[0], g[0], rule.init(p[0]), slots) is not None
    assert ready_leaf(p, g, state, slots) is None
    assert ready_leaves(p[0], g[0], rule.init(p[0]), slots) is None


NARROW = arrays(1, np.float16)
NEST: list[Any] = [np.ones(2, np.float32)]
for _ in range(30):
    NEST = [NEST]
OTHERWISE = {
    "a narrow leaf": lambda p, g, state: (NARROW, NARROW, AdamW().init(NARROW)),
    "a view": lambda p, g, state: ([p[0].T, *p[1:]], [g[0].T, *g[1:]], AdamW().init([p[0].T, *p[1:]])),
    "a gradient twice": lambda p, g, state: ([p[1], p[1].copy()], [g[1], g[1]], AdamW().init([p[1], p[1]])),
    "a wider gradient": lambda p, g, state: (p, arrays(2, np.float64), state),
    "a leaf that is nothing": lambda p, g, state: ([None, *p], [None, *g], AdamW().init([None, *p])),
    "another structure": lambda p, g, state: (p, dict(enumerate(g)), state),
    "other keys": lambda p, g, state: ({"a": p[0]}, {"b": g[0]}, AdamW().init({"a": p[0]})),
    "another length": lambda p, g, state: (p, g[:-1], state),
    "a state without a slot": lambda p, g, state: (p, g, {"t": 0, "m": state["m"]}),
    "a state without a count": lambda p, g, state: (p, g, {"m": state["m"], "v": state["v"]}),
    "nested deep": lambda p, g, state: (NEST, copy.deepcopy(NEST), AdamW().init(NEST)),
}


@pytest.mark.parametrize("case", OTHERWISE)
def test_all_else_goes_the_careful_way(case: str) -> None:
    p, g = arrays(1), arrays(2)
    tree, grads, state = OTHERWISE[case](p, g, AdamW().init(p))
    slots = AdamW()._array_slots()
    assert slots is not None
    assert ready_leaves(tree, grads, state, slots) is None


def test_leaves_that_hang_together_are_not_stepped_one_by_one() -> None:
    p, g = arrays(1), arrays(2)
    whole = next(r for r in (c() for c in rules(Optimizer).values()) if r.scope == "tree" and not r.inputs())
    assert whole._ready_leaves(p, g, whole.init(p)) is None


def test_a_tied_leaf_is_refused_as_before() -> None:
    p, g = np.ones(3, np.float32), np.ones(3, np.float32)
    with pytest.raises(ArgumentError, match="share memory"):
        SGD(lr=0.1).step_([p, p], [g, g.copy()], SGD(lr=0.1).init([p, p]))
    assert (p == 1).all()
