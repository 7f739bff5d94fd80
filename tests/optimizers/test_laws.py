"""Properties that hold for every rule whose operations are elementwise, on adversarial numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refgrad.optimizers.base import Optimizer
from refgrad.rule import rules
from tests.depth import at_depth, examples
from tests.optimizers.made_up import extras

#: faults of other packages, kept as variants: the same amount is taken from every entry, whatever its sign; the least and
#: the largest of three are taken from their sum one after the other, which rounds otherwise where all signs are changed
EXEMPT = {"SGDW(decay='constant')", "RM3(median='difference')"}
ALL = [v for cls in rules(Optimizer).values() for v in (cls(), *(rule for _, rule in cls().variants()))]
RULES = [rule for rule in ALL if str(rule) not in EXEMPT and "odd" not in rule.exempt()]
ELEMENTWISE = [rule for rule in RULES if not rule.plan((2, 2), 2).graph.couples()]


def by_class(chosen: list[Any]) -> list[Any]:
    """The rules class by class, each class with its variants: of these Hypothesis draws one."""
    names = dict.fromkeys(type(rule).__name__ for rule in chosen)
    return [pytest.param([r for r in chosen if type(r).__name__ == name], id=name) for name in names]


numbers = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0**-149, -(2.0**-126), 3.0e38, 0.5]),
)
gradients = hnp.arrays(np.float32, (3, 5), elements=numbers)
#: of each class that two properties are asked of, with its variants
OF_A_CLASS = at_depth(quick=20, suite=12, thorough=20)


def walk(rule: Any, p: np.ndarray, grads: np.ndarray) -> tuple[np.ndarray, dict]:
    """The parameter and state after all steps."""
    state = rule.init(p)
    for g in grads:
        p, state = rule.step(p, g, state, backend="numpy", **extras(rule, g))
    return p, state


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """The same numbers; zeros of either sign, and any NaN, are alike."""
    return bool(np.all((a == b) | (np.isnan(a) & np.isnan(b))))


@pytest.mark.parametrize("known", by_class(RULES))
@examples(OF_A_CLASS)
@given(data=st.data(), p=hnp.arrays(np.float32, 5, elements=numbers), grads=gradients)
def test_sign_symmetry(known: list[Any], data: st.DataObject, p: np.ndarray, grads: np.ndarray) -> None:
    rule = data.draw(st.sampled_from(known))
    assert same(walk(rule, p, grads)[0], -walk(rule, -p, -grads)[0])


@pytest.mark.sample(suite=28)
@pytest.mark.parametrize("known", by_class(ELEMENTWISE))
@examples(OF_A_CLASS)
@given(
    data=st.data(),
    p=hnp.arrays(np.float32, 5, elements=numbers),
    grads=gradients,
    order=st.permutations(range(5)),
)
def test_elements_do_not_see_each_other(
    known: list[Any], data: st.DataObject, p: np.ndarray, grads: np.ndarray, order: list[int]
) -> None:
    rule = data.draw(st.sampled_from(known))
    assert same(walk(rule, p, grads)[0][order], walk(rule, p[order], grads[:, order])[0])


@pytest.mark.parametrize("rule", ELEMENTWISE, ids=str)
def test_nan_stays_where_it_is(rule: Any) -> None:
    p, grads = np.ones(4, np.float32), np.ones((8, 4), np.float32)  # some rules wait for their first step
    clean = walk(rule, p, grads)[0]
    grads[0, 1] = np.nan
    poisoned = walk(rule, p, grads)[0]
    assert np.isnan(poisoned[1])
    assert same(np.delete(poisoned, 1), np.delete(clean, 1))


#: rules that move by decay alone; a narrow parameter is too coarse for it (docs/low-precision.md)
DECAYING = [r for r in ELEMENTWISE if getattr(r, "eps_placement", "") != "none" and type(r).__name__ != "Stored"]


@pytest.mark.parametrize("rule", DECAYING, ids=str)
def test_without_gradient_only_decay_moves(rule: Any) -> None:
    p = np.float32([1.0, -2.0, 0.5])
    moved = walk(rule, p, np.zeros((4, 3), np.float32))[0]
    decays = any(value > 0 for name, value in rule.numbers().items() if name.endswith(("weight_decay", "lambd")))
    assert np.all(np.abs(moved) < np.abs(p)) if decays else same(moved, p)


@pytest.mark.parametrize("rule", [r for r in RULES if "lr" in r.legal()], ids=str)
def test_out_of_range_is_refused(rule: Any) -> None:
    with pytest.raises(ValueError, match=r"lr is -1.0; legal: a number in [\[(]0, inf\)"):
        rule.replace(lr=-1.0)
