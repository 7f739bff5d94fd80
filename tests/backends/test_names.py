"""No name that a rule gives an array collides with a name in the source of its kernels, nor with a word of Python."""

from __future__ import annotations

import ast
import keyword
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic.operations.functions import sin
from refgrad.arithmetic.primitives import length, tree_max, tree_sum
from refgrad.axes import ELEMENT
from refgrad.backends.numba_backend import kernel_sources
from refgrad.estimators.base import Estimator, Parameter, Parameters

#: the shapes that generated source has: one loop, blocks that are looked through, and passes over rows and tensors
BODIES: dict[str, Callable[..., Any]] = {
    "a loop": lambda x, total: np.where(x > 0.5, np.rint(2.5 * x), np.sign(x) * total),
    "blocks": lambda x, total: sin(3.0 * total) + np.minimum(x, 0.25),
    "passes": lambda x, total: (
        x * (tree_sum(total, over="row") / length(x)) + tree_max(np.abs(total)) - tree_sum(x, over="column")
    ),
}


def named(body: Callable[..., Any], names: list[str]) -> Estimator:
    """An estimator whose parameters have these names."""

    class Named(Estimator):
        parameters = Parameters(**{n: Parameter(ELEMENT, learned=False) for n in names})

        def forward(self, x: Any, *parameters: Any) -> Any:
            total = x
            for parameter in parameters:
                total = total + parameter
            return body(x, total)

        def backward(self, cotangent: Any, x: Any, *parameters: Any) -> Any:
            return cotangent * self.forward(x, *parameters)

    return Named()


def names_in(rule: Estimator) -> list[str]:
    """Every name in the sources of a rule's kernels."""
    found: set[str] = set()
    for source in kernel_sources(rule.plan((5, 7)), np.dtype(np.float32)):
        for node in ast.walk(ast.parse(source.text)):
            found |= {node.id} if isinstance(node, ast.Name) else {node.arg} if isinstance(node, ast.arg) else set()
    return sorted(found)


@pytest.mark.sample(suite=1)
@pytest.mark.slow
@pytest.mark.parametrize("body", BODIES)
def test_arrays_may_be_called_as_anything_in_a_kernel(body: str) -> None:
    plain = named(BODIES[body], ["p", "q"])
    words = [n for n in names_in(plain) if not n.startswith(("x_", "cotangent_", "y_", "p_", "q_"))]
    words = list(dict.fromkeys([*words, "np", "p_", "p__at", "x_at", *keyword.kwlist[:4]]))
    assert {"n", "i", "zero", "carray"} <= set(words)
    rule = named(BODIES[body], [*words, "p"])
    random = np.random.default_rng(0)
    x, cotangent = random.standard_normal((2, 5, 700)).astype(np.float32)
    given = {n: random.standard_normal(x.shape).astype(np.float32) for n in rule.parameters}
    one = rule.both(cotangent, x, backend="numpy", **given)
    other = rule.both(cotangent, x, backend="numba", **given)
    for name, values in one.items():
        np.testing.assert_array_equal(other[name], values)
