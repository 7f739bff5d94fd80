"""The numbers that programs are run on: one array a problem, of ordinary numbers, of many magnitudes, or of edges."""

from __future__ import annotations

import numpy as np

from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs.cases import Inputs
from refgrad.oracle.inputs.steps import generate
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
    single = [made.mapped(np.array, slice(leaf, leaf + 1)) for leaf in range(len(made.p))]
    if attacked:
        top = 0.4 if rule.plan((1, 1), 1).graph.couples() else 1.0
        random = np.random.Generator(np.random.Philox([seed, 2]))
        edges = single[made.names.index("edges") if "edges" in made.names else -1]
        for array in (edges.p[0], *(g[0] for g in edges.g)):
            half = array.shape[0] // 2
            array[:half] = adversarial(random, np.float32, array[:half].shape, top)
    return single


def stacked(several: list[list[Inputs]]) -> list[Inputs]:
    """Problems of some seeds, those of a family as one array: what is done for each array is done less often."""

    def joined(arrays: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(arrays)

    found = []
    for parts in zip(*several, strict=True):
        grads = [[joined([part.g[t][0] for part in parts])] for t in range(len(parts[0].g))]
        extras = [
            {
                n: v if isinstance(v, float) else [joined([part.extras[t][n][0] for part in parts])]
                for n, v in step.items()
            }
            for t, step in enumerate(parts[0].extras)
        ]
        found.append(Inputs([joined([part.p[0] for part in parts])], grads, parts[0].names, parts[0].seed, extras))
    return found


def corner(inputs: Inputs) -> Inputs:
    """The corners of the arrays."""
    return inputs.mapped(lambda a: a[(slice(0, EDGE),) * a.ndim].copy())
