"""optax transformations of gradients, which may look at parameters: one update from the initial state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax

from refgrad.candidates.arguments import parameters_of
from refgrad.candidates.transform_arguments import Arrays, TransformCandidate, told


def candidate(thing: Any, name: str, options: Mapping[str, Any]) -> TransformCandidate | None:
    """A candidate if the thing is a transformation, or a function that says that it returns one."""
    if isinstance(thing, optax.GradientTransformation):
        return TransformCandidate(name, lambda rule, arrays: _transformed(thing, arrays))
    if not callable(thing) or not _makes_one(thing):
        return None
    parameters = parameters_of(thing)
    return TransformCandidate(
        name, lambda rule, arrays: _transformed(thing(**{**told(rule, parameters), **options}), arrays)
    )


def _makes_one(function: Callable[..., Any]) -> bool:
    """True if a function says that it returns a transformation."""
    returned = getattr(function, "__annotations__", {}).get("return", "")
    return "GradientTransformation" in (returned if isinstance(returned, str) else getattr(returned, "__name__", ""))


def _transformed(transformation: Any, arrays: Arrays) -> Any:
    g = jnp.asarray(arrays["g"])
    p = jnp.asarray(arrays.get("p", arrays["g"]))
    return np.asarray(transformation.update(g, transformation.init(p), p)[0])
