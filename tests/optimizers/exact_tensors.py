"""Equations on whole tensors of sixty digits, against the exact evaluation of a rule's graph, step-locked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from refgrad.arithmetic import exact
from refgrad.oracle.inputs.steps import completed
from refgrad.oracle.inputs.written import Inputs
from refgrad.tracing import free_values
from tests.optimizers.test_paper import DIGITS, Hyperparameters, agree

#: (p, g, state by name, step, hyperparameters and extra inputs) -> p; the state is replaced in place
Paper = Callable[[np.ndarray, np.ndarray, dict[str, Any], int, Any], np.ndarray]

root = np.frompyfunc(mpmath.sqrt, 1, 1)
larger = np.frompyfunc(max, 2, 1)
smaller = np.frompyfunc(min, 2, 1)
sign = np.frompyfunc(mpmath.sign, 1, 1)


def exactly(x: Any) -> Any:
    """Floats as numbers of sixty digits, without rounding."""
    return np.frompyfunc(lambda a: mpf(float(a)), 1, 1)(np.asarray(x, dtype=object))


def norm(x: np.ndarray) -> Any:
    """The Euclidean norm of all elements."""
    return mpmath.sqrt(mpmath.fsum(a * a for a in x.ravel()))


def rms(x: np.ndarray) -> Any:
    """The root of the mean square of all elements."""
    return norm(x) / mpmath.sqrt(x.size)


def gradients(shape: tuple[int, ...], steps: int, seed: int = 7) -> list[np.ndarray]:
    """Ordinary numbers over a few magnitudes; one gradient is zero."""
    random = np.random.default_rng(seed)
    grads = [random.standard_normal(shape) * 10.0 ** random.uniform(-3, 1, shape) for _ in range(steps)]
    grads[-2][...] = 0.0
    return grads


def check(rule: Any, paper: Paper, shape: tuple[int, ...] = (3, 4), grads: Sequence[np.ndarray] | None = None) -> None:
    """Each step from the floats that the rule itself gave; all outputs agree to fifty digits.

    A rule's extra inputs are made up, and are attributes of the hyperparameters.
    """
    p = np.random.default_rng(3).standard_normal(shape)
    state = rule.init(p)
    grads = gradients(shape, 6) if grads is None else grads
    inputs = completed(Inputs([p], [[g] for g in grads], ["normal"], 5), rule)
    for t, g in enumerate(grads, 1):
        extras, numbers = inputs.of_leaf(t, 0, rule)
        own = {n: state[n] for n, slot in rule.slots().items() if slot.scalar}
        scalar_values = {**own, **numbers}
        plan = rule.plan(shape, t, scalar_values)
        names = {**rule.numbers(), **dict(zip(plan.free, free_values(shape, {"t": t, **scalar_values}), strict=True))}
        arrays = {"p": p, "g": g, **extras, **{n: state[n] for n in rule.slots() if n not in scalar_values}}
        got = exact.evaluate(plan.graph, arrays, names, DIGITS)
        with mpmath.workdps(DIGITS):
            said = {n: exactly(state[n]) for n in rule.slots()}
            h = Hyperparameters(rule)
            vars(h).update({n: exactly(v) for n, v in extras.items()}, **{n: mpf(v) for n, v in numbers.items()})
            want = {"p": paper(exactly(p), exactly(g), said, t, h), **said}
            for name, values in want.items():
                pairs = np.broadcast(np.asarray(got[name], dtype=object), np.asarray(values, dtype=object))
                assert all(agree(a, b) for a, b in pairs), (t, name, got[name], values)
        p, state = rule.step(p, g, state, backend="numpy", **extras, **numbers)


def variants_of(bases: Sequence[tuple[Any, Any]]) -> list[Any]:
    """Rules and their named variants, each with the equations of its source, as cases of a test."""
    found = []
    for base, paper in bases:
        for rule in (base, *(rule for name, rule in base.variants() if not name.startswith("scalars"))):
            found.append(pytest.param(rule, paper, id=str(rule)))
    return found
