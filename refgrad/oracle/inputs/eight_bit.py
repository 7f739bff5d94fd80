"""Inputs of optimizers with 8-bit state: those of an optimizer, and what blocks make a difference to."""

from __future__ import annotations

import numpy as np

from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.steps import SHAPE
from refgrad.oracle.inputs.steps import generate as of_optimizer
from refgrad.oracle.inputs.written import of_steps
from refgrad.quantizers.eight_bit import EightBit


def generate(rule: EightBit, steps: int, dtype: np.dtype, seed: int, small: bool) -> Cases:
    """The cases of an optimizer, a parameter that has a short block, and, if wanted, one too small to be quantized."""
    made = of_optimizer(steps, dtype, seed, rule.rule)
    repeats = max(-(-rule.min_8bit_size // int(np.prod(SHAPE))), 1)
    # of an array that is surely longer than a block
    sizes = {n: max(rule.quantizer(n).layout((1 << 40,)).width, 1) for n in ("m", "v")}
    leaves = [(np.tile(p, (repeats, 1)), [np.tile(g[i], (repeats, 1)) for g in made.g]) for i, p in enumerate(made.p)]
    names, p, grads = list(made.names), leaves[0][0].reshape(-1), [g.reshape(-1) for g in leaves[0][1]]
    tail = max(min(max(sizes.values()) // 3, p.size), 1)
    longer = [np.concatenate([a[::-1], a[:tail]]) for a in (p, *grads)]
    leaves, names = [*leaves, (longer[0], longer[1:])], [*names, "a tail"]
    if small and rule.min_8bit_size > 1:
        size = min(rule.min_8bit_size - 1, p.size)
        leaves, names = [*leaves, (p[:size], [g[:size] for g in grads])], [*names, "small"]
    return of_steps([p for p, _ in leaves], list(zip(*(g for _, g in leaves), strict=True)), names, made.seed)
