"""The numbers that programs are run on: one array a problem, of ordinary numbers, of many magnitudes, or of edges."""

from __future__ import annotations

import numpy as np

from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs import Inputs, generate
from tests.oracle.cases import adversarial

#: what a test that draws from a normal distribution sees
ORDINARY = "normal"
#: the edge of a corner, on which mutants are tried first
EDGE = 8


def problems(rule: Optimizer, steps: int, seed: int, attacked: bool = False) -> list[Inputs]:
    """The families that `refgrad.verify` generates, aimed at the rule's decisions, each by itself.

    ``attacked``: half of the edges are numbers of every exponent of the format; where there is a norm, whose overflow is
    the whole tensor's, none whose square overflows.
    """
    made = generate(steps, np.dtype(np.float32), seed, rule)
    arrays = [[np.array(p), *(np.array(g[leaf]) for g in made.g)] for leaf, p in enumerate(made.p)]
    if attacked:
        top = 0.4 if rule.plan((1, 1), 1).graph.reductions() else 1.0
        random = np.random.Generator(np.random.Philox([seed, 2]))
        for array in arrays[-1]:
            half = array.shape[0] // 2
            array[:half] = adversarial(random, np.float32, array[:half].shape, top)
    return [
        Inputs([p], [[g] for g in grads], [name], seed) for name, (p, *grads) in zip(made.names, arrays, strict=True)
    ]


def corner(inputs: Inputs) -> Inputs:
    """The corners of the arrays."""
    cut = (slice(0, EDGE), slice(0, EDGE))
    return Inputs([p[cut].copy() for p in inputs.p], [[g[cut].copy() for g in step] for step in inputs.g], inputs.names)
