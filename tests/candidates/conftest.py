"""A candidate run beside a rule on the same inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from refgrad.candidates.protocol import Candidate, Run
from refgrad.optimizers.base import Optimizer
from tests.literal import literal_bodies as literal_bodies

SHAPES = ((3, 4), (5,), ())


class Pair:
    """A run of a candidate, and the same steps by the rule's literal arithmetic."""

    def __init__(self, candidate: Candidate, rule: Optimizer, dtype: Any = np.float32) -> None:
        self.random = np.random.default_rng(7)
        self.rule, self.dtype = rule, np.dtype(dtype)
        self.params = self.draw()
        self.before = [p.copy() for p in self.params]
        self.state = rule.init(self.params)
        self.run: Run = candidate.start(rule, self.before)

    def draw(self) -> list[np.ndarray]:
        return [np.asarray(self.random.standard_normal(shape), dtype=self.dtype) for shape in SHAPES]

    def step(self) -> list[np.ndarray]:
        grads = self.draw()
        self.run.step(grads)
        self.params, self.state = self.rule.step(self.params, grads, self.state, backend="numpy")
        return grads


@pytest.fixture
def pair() -> type[Pair]:
    return Pair


@pytest.fixture
def roundings() -> Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], float]:
    """The largest difference of two lists of arrays, in units in the last place of the larger of 1 and the value."""

    def measure(found: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> float:
        from refgrad.arithmetic import dtypes

        worst = 0.0
        for one, other in zip(found, wanted, strict=True):
            assert one.dtype == other.dtype
            assert one.shape == other.shape
            a, b = one.astype(np.float64), other.astype(np.float64)
            worst = max(worst, float(np.max(np.abs(a - b) / dtypes.ulp(np.maximum(np.abs(b), 1.0), other.dtype))))
        return worst

    return measure
