"""Functions on JAX arrays that make masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from refgrad.candidates.arguments import with_options
from refgrad.candidates.mask_function import MaskCandidate, MaskFunction, speaks_of


def candidate(thing: Any, name: str, options: Mapping[str, Any]) -> MaskCandidate | None:
    """A candidate if the thing is compiled by JAX, or speaks of JAX's arrays."""
    if isinstance(thing, type) or not callable(thing):
        return None
    if not isinstance(thing, jax.stages.Wrapped) and not speaks_of(thing, ("jax",)):
        return None
    return MaskFunction(with_options(name, options), thing, options, jnp.asarray, np.asarray)
