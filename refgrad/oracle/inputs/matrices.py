"""Inputs for rules that multiply matrices: small ones whose singular values are known to be apart from zero, and others.

A bound on a chain of products grows with the size of the matrices and with how near to singular they are; where both are
moderate it is sharp enough to tell a wrong coefficient. Singular, graded and tiny matrices are there besides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes

Array = np.ndarray
#: what each leaf is, its shape, and how many magnitudes its rows are spread over
LEAVES: Sequence[tuple[str, tuple[int, ...], float]] = (
    ("wide", (3, 5), 0.0),
    ("tall", (6, 4), 0.0),
    ("square", (4, 4), 0.0),
    ("axes", (4, 3, 2), 0.0),
    ("graded", (8, 12), 6.0),
    ("singular", (6, 6), 0.0),
    ("tiny", (2, 3), 0.0),
)


def generate(steps: int, dtype: Any, random: np.random.Generator) -> tuple[list[Array], list[list[Array]], list[str]]:
    """Parameters, each step's gradients, and the leaves' names."""
    facts = dtypes.format_of(dtype)
    p = [random.standard_normal(shape) for _, shape, _ in LEAVES]
    for leaf in (0, 3):  # a parameter of zero shows the update at full relative precision
        p[leaf][...] = 0.0
    grads = [[_gradient(random, *leaf, facts) for leaf in LEAVES] for _ in range(steps)]
    for t in range(1, steps):  # gradients that mostly go on as they were leave an average as far from singular
        for leaf in range(4):
            grads[t][leaf] = grads[t - 1][leaf] + 0.5 * grads[t][leaf]
    cast: Callable[[Array], Array] = lambda values: dtypes.round_to(values, dtype).astype(dtype)  # noqa: E731
    return [cast(a) for a in p], [[cast(a) for a in step] for step in grads], [name for name, _, _ in LEAVES]


def _gradient(
    random: np.random.Generator, name: str, shape: tuple[int, ...], spread: float, facts: dtypes.Format
) -> Array:
    rows, columns = shape[0], int(np.prod(shape[1:]))
    left, right = (np.linalg.qr(random.standard_normal((n, n)))[0] for n in (rows, columns))
    rank = min(rows, columns) - (2 if name == "singular" else 0)
    sizes = random.uniform(0.4, 1.0, rank)
    g = (left[:, :rank] * sizes) @ right[:rank]
    g = g * 10.0 ** random.uniform(-spread, 0.0, (rows, 1)) * 2.0 ** random.integers(-8, 3)
    if name == "tiny":
        g = g * random.choice([facts.smallest_normal, 1e-7, 1e-8, 0.0])
    return g.reshape(shape)
