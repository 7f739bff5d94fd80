"""A graph in float64: the bits of the literal body in float64, and stacked tensors each by themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic import floats, scalar_math
from refgrad.optimizers import LAMB, SGD, AdamW, Lion, Muon
from refgrad.optimizers.base import Optimizer
from refgrad.tracing import free_names, free_values, plan_for

RANDOM = np.random.Generator(np.random.Philox(5))
T = 3


def in_float64(rule: Optimizer, arrays: dict[str, np.ndarray], batch: int = 0) -> dict[str, np.ndarray]:
    """A step of a rule by its graph."""
    shape = arrays["p"].shape[batch:]
    free = free_values(shape, {"t": T})
    names = {**rule.numbers(), **dict(zip(free_names(rule, len(shape)), free, strict=True))}
    graph = plan_for(rule, len(shape), free).graph
    memo: dict[Any, Any] = {}
    scalars = [scalar_math.evaluate(e, names, scalar_math.FLOAT64, memo) for e in graph.scalars()]
    return floats.evaluate(graph, arrays, scalars, batch)


def drawn(rule: Optimizer, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """A parameter, a gradient and a state; second moments are not negative."""
    names = ["p", "g", *(n for n, slot in rule.slots().items() if not slot.scalar)]
    return {n: np.abs(RANDOM.standard_normal(shape)) for n in names}


@pytest.mark.parametrize("rule", [AdamW(weight_decay=0.1), Lion(), SGD(momentum=0.9), LAMB()], ids=str)
def test_it_is_the_literal_body_in_float64(rule: Optimizer) -> None:
    arrays = drawn(rule, (5, 7))
    found = in_float64(rule, arrays)
    state = {**rule.init(arrays["p"]), **{n: a.copy() for n, a in arrays.items() if n not in "pg"}}
    state["t"] = T - 1
    p, after = rule.step(arrays["p"], arrays["g"], state, backend="numpy")
    np.testing.assert_allclose(found["p"], p, rtol=1e-14)
    for name in (n for n, slot in rule.slots().items() if not slot.scalar):
        np.testing.assert_array_equal(found[name], after[name])


@pytest.mark.parametrize("rule", [LAMB(), Muon()], ids=str)
def test_stacked_tensors_are_reduced_each_by_itself(rule: Optimizer) -> None:
    each = [drawn(rule, (4, 6)) for _ in range(3)]
    stacked = in_float64(rule, {n: np.stack([a[n] for a in each]) for n in each[0]}, batch=1)
    for i, arrays in enumerate(each):
        for name, value in in_float64(rule, arrays).items():
            np.testing.assert_allclose(stacked[name][i], value, rtol=1e-12, atol=1e-15, err_msg=name)
