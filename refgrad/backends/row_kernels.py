"""A quantizer's body on rows, by the kernels of its graph: a pass a reduction, and one that gives every element's code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from refgrad.axes import ELEMENT, axes_shape
from refgrad.backends import numba_backend, step_source
from refgrad.backends.step_source import Kept
from refgrad.tracing import free_values, plan_for


def run(rule: Any, given: Mapping[str, np.ndarray], count: int | None = None) -> dict[str, np.ndarray] | None:
    """The values of the parts that the body gives, with the bits of the body as it stands; None where no kernel can.

    ``given`` are the rows, and what is known of each besides; ``count`` is the number of threads.
    """
    x = given["x"]
    free = free_values(x.shape, {})
    plan = plan_for(rule, x.ndim, free, tuple(rule.body_parts()))
    if not step_source.supports(plan.graph):
        return None
    stored = {name: Kept(codes) for name, codes in rule.stored_outputs(x.dtype).items()}
    arrays = dict(given)
    for name in plan.graph.outputs:
        shape = axes_shape(plan.graph.small.get(name, ELEMENT), x.shape)
        arrays[name] = np.empty(shape, stored[name].kind if name in stored else x.dtype)
    numba_backend.run(plan, free, arrays, count, stored)
    return {name: arrays[name] for name in rule.body_parts()}
