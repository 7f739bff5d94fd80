"""Programs judged on a case of each family alone: what a test of a module asks about right and wrong ones."""

from __future__ import annotations

from typing import Any

import numpy as np

import refgrad
from refgrad.optimizers.transform import Transform
from refgrad.oracle.inputs.transforms import generate


def verdict(program: Any, rule: Transform) -> Any:
    """What is said of a program in float32, on ordinary arrays."""
    return refgrad.verify(program, rule, inputs=generate(rule, 8, np.dtype(np.float32), 0), explain=False, shrink=False)


def drawn(rule: Transform, seed: int = 0, **lengths: int) -> list[np.ndarray]:
    """Arrays of float64 that a rule takes, normal numbers where any sign is legal."""
    random, known = np.random.default_rng(seed), {**rule.lengths, **lengths}
    found = rule.drawn(known, random)
    for name, text in rule.shapes.items():
        if found[name].dtype.kind == "f" and not text.endswith("+"):
            found[name] = random.standard_normal(found[name].shape)
    return list(found.values())
