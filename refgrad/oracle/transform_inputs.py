"""The arrays that a transform is tried with: ordinary numbers, many magnitudes, the format's edges, rows that repeat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.optimizers.transform import Transform
from refgrad.oracle.cases import Cases
from refgrad.oracle.inputs import clipped
from refgrad.rule import Whole


def generate(rule: Transform, cases: int, dtype: Any, seed: int) -> Cases:
    """As many cases as asked for, of the shapes that the rule says, each of one family in turn."""
    Whole(1).check("steps", cases)
    facts = dtypes.format_of(dtype)
    random = np.random.Generator(np.random.Philox(seed))
    made, names = [], []
    for case in range(cases):
        name = list(FAMILIES)[case % len(FAMILIES)]
        arrays = {}
        for array, axes in rule.shapes.items():
            shape = tuple(rule.lengths[axis] for axis in axes.replace("+", "").split())
            values = FAMILIES[name](random, shape, facts)
            values = np.abs(values) if axes.endswith("+") else values
            arrays[array] = np.asarray(clipped(values, facts))
        made.append(arrays)
        names.append(name)
    return Cases(made, names, seed)


def _normal(random: np.random.Generator, shape: tuple[int, ...], facts: dtypes.Format) -> np.ndarray:
    return random.standard_normal(shape)


def _scaled(random: np.random.Generator, shape: tuple[int, ...], facts: dtypes.Format) -> np.ndarray:
    low, high = np.log2(facts.smallest_normal) / 4, min(np.log2(facts.largest) / 4, 12.0)
    values = np.asarray(np.exp2(random.uniform(low, high, shape)) * random.choice([-1.0, 1.0], shape))
    return np.where(random.random(shape) < 0.1, 0.0, values)


def _shifted(random: np.random.Generator, shape: tuple[int, ...], facts: dtypes.Format) -> np.ndarray:
    """A common part that dwarfs the differences, so that they are small where means are taken away."""
    return 3.0 + random.standard_normal(shape) * 2.0**-6


def _small(random: np.random.Generator, shape: tuple[int, ...], facts: dtypes.Format) -> np.ndarray:
    return random.standard_normal(shape) * 2.0**-10


def _repeated(random: np.random.Generator, shape: tuple[int, ...], facts: dtypes.Format) -> np.ndarray:
    """Whole numbers of few values, so that there are ties; the first two rows are the same."""
    values = np.asarray(np.rint(random.standard_normal(shape) * 2.0))
    if len(shape) > 1 and shape[0] > 1:
        values[1] = values[0]
    return values


def _zero(random: np.random.Generator, shape: tuple[int, ...], facts: dtypes.Format) -> np.ndarray:
    return np.zeros(shape)


Family = Callable[[np.random.Generator, tuple[int, ...], dtypes.Format], np.ndarray]
FAMILIES: dict[str, Family] = {
    "normal": _normal,
    "scaled": _scaled,
    "shifted": _shifted,
    "small": _small,
    "repeated": _repeated,
    "zero": _zero,
}
