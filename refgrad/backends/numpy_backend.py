"""The literal backend: the rule's body, run on NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refgrad.tracing import Plan, literal


def run(plan: Plan, free: tuple[float, ...], arrays: Mapping[str, np.ndarray]) -> None:
    """Overwrite the plan's outputs: for an optimizer ``p`` and the array slots with their values after the step."""
    names = dict(zip(plan.free, free, strict=True))
    new = literal(plan.rule, arrays, names)
    for name in plan.graph.outputs:
        arrays[name][...] = new[name]
