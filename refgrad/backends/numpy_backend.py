"""The literal backend: the rule's body, run on NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from refgrad.tracing import Plan, literal


def run(plan: Plan, free: tuple[float, ...], arrays: Mapping[str, np.ndarray]) -> None:
    """Overwrite the plan's outputs: for an optimizer ``p`` and the array slots with their values after the step."""
    names = dict(zip(plan.free, free, strict=True))
    new = literal(plan.rule, arrays, names)
    written = {name: arrays[name] for name in plan.graph.outputs}
    # before anything is overwritten: a body may return what it was given as one slot as another one
    results = {name: _apart(name, new[name], written) for name in written}
    for name, array in written.items():
        array[...] = results[name]


def _apart(name: str, result: Any, written: Mapping[str, np.ndarray]) -> Any:
    """A result, or a copy of it where it shares memory with an array that another result is written to."""
    for other, array in written.items():
        if other != name and np.may_share_memory(result, array):
            return np.array(result)
    return result
