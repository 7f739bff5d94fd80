"""Extra inputs of a step, made from its gradient: odd where they change sign with it, and element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.optimizers.base import Optimizer

FORMS: dict[str, Any] = {
    "gradient": lambda g: g * g.dtype.type(-0.5),
    "noise": lambda g: g * g.dtype.type(0.25),
    "curvature": abs,
    "bits": lambda g: np.zeros(g.shape, np.uint32),
    "loss": lambda g: 0.75,
}


def extras(rule: Optimizer, g: np.ndarray) -> dict[str, Any]:
    """What a rule takes besides the gradient."""
    return {name: FORMS[extra.kind](g) for name, extra in rule.inputs().items()}
