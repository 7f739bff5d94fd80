"""Inputs for implementations on which generated ones say nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refgrad.optimizers import Muon, Shampoo
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs import Inputs, generate
from refgrad.oracle.mask_inputs import MaskInputs


def without_wide_magnitudes() -> Inputs:
    """The leaves of ordinary numbers and of edges: squares of distances overflow on the others."""
    every = generate(10, np.dtype(np.float32), 0)
    return Inputs(every.p[::2], [g[::2] for g in every.g])


def even_blocks() -> MaskInputs:
    """Weights that blocks divide."""
    random = np.random.default_rng(0)
    return MaskInputs([{"w": random.standard_normal((8, 16)).astype(np.float32)}])


def ragged_blocks() -> MaskInputs:
    """Weights that blocks of four by four do not divide."""
    return MaskInputs([{"w": np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)}])


def matrices() -> Inputs:
    """Generated inputs for rules of matrices, without the leaf of three axes, which torch and optax do not take."""
    return _chosen(lambda name, p: p.ndim == 2, Muon())


def two_matrices() -> Inputs:
    """Two of them: every shape is compiled."""
    return _chosen(lambda name, p: p.shape in [(3, 5), (6, 4)], Muon())


def regular_matrices() -> Inputs:
    """Generated leaves of two axes that are far from singular."""
    return _chosen(lambda name, p: name in ("wide", "tall", "square"), Shampoo())


def _chosen(keeps: Callable[[str, np.ndarray], bool], rule: Optimizer) -> Inputs:
    made = generate(6, np.dtype(np.float32), 0, rule)
    keep = [i for i, p in enumerate(made.p) if keeps(made.names[i], p)]
    return Inputs([made.p[i] for i in keep], [[g[i] for i in keep] for g in made.g], [made.names[i] for i in keep])


def two_steps() -> Inputs:
    """Generated inputs for two steps."""
    return generate(2, np.dtype(np.float32), 0)
