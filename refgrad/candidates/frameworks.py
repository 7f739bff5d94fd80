"""The frameworks whose things can be checked, and which module knows the things of each.

Such a module has a function ``candidate``, from a thing to the candidate that it is, or None. It is imported only where its
framework is there already: a thing of a framework cannot come without it, and nothing is imported on the user's behalf.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

#: kind of rule -> framework -> the module in this package; where several know a thing, the first one has it
ADAPTERS: Mapping[str, Mapping[str, str]] = {
    "optimizer": {"torch": "torch_optimizer", "keras": "keras_optimizer", "optax": "optax_transform"},
    "8-bit-optimizer": {"torch": "torch_eight_bit"},
    "estimator": {"torch": "torch_estimator", "jax": "jax_estimator"},
    "quantizer": {"torch": "torch_quantizer"},
    "mask": {"torch": "torch_mask", "jax": "jax_mask"},
    "transform": {"optax": "optax_gradients", "torch": "torch_gradients"},
}


def adapter(kind: str, framework: str) -> Any:
    """The module that knows a framework's things as candidates of a kind."""
    return importlib.import_module(f"refgrad.candidates.{ADAPTERS[kind][framework]}")


def candidate_of(kind: str, *thing: Any) -> Any:
    """The candidate of a kind that a thing of a framework is, by the first adapter that knows it; None if none does.

    Args:
        kind: a key of `ADAPTERS`.
        thing: what the adapters' ``candidate`` takes: the thing, and whatever is known of it besides.
    """
    return next((found for each in _adapters(kind) if (found := each.candidate(*thing)) is not None), None)


def _adapters(kind: str) -> Iterator[Any]:
    return (adapter(kind, framework) for framework in ADAPTERS[kind] if framework in sys.modules)
