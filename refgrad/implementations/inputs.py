"""Inputs for implementations on which generated ones say nothing."""

from __future__ import annotations

import numpy as np

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
