"""The numbers that an optimizer's programs are run on: one array a problem, ordinary, of many magnitudes, or of edges."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs.cases import Arrays, Cases
from refgrad.oracle.inputs.steps import generate

#: the edge of a corner, on which mutants are tried first
EDGE = 8
#: where there is a norm, numbers stay below this power of the largest one, so that no square overflows
TOP_OF_NORMS = 0.4


def adversarial(random: np.random.Generator, dtype: Any, shape: tuple[int, ...], top: float = 1.0) -> np.ndarray:
    """Ordinary numbers, numbers of every exponent of the format, and zeros, subnormals and ties among them.

    Args:
        random: where they come from.
        dtype: a float dtype.
        shape: the shape of the array.
        top: the power of the format's largest number that is the largest here.

    Returns:
        An array of the shape and dtype.
    """
    facts = dtypes.format_of(dtype)
    lowest, highest = np.log2(facts.smallest_subnormal), np.log2(facts.largest) * top
    whole = np.exp2(random.uniform(lowest, highest, shape)) * random.choice([-1.0, 1.0], shape)
    special = random.choice([0.0, -0.0, 1.0, -1.0, 0.5, facts.smallest_subnormal, facts.smallest_normal], shape)
    kind = random.integers(0, 3, shape)
    return np.choose(kind, [random.standard_normal(shape), whole, special]).astype(dtype)


def top_of(rule: Optimizer) -> float:
    """The ``top`` of `adversarial` for a rule: lower where a norm that overflows would be the whole tensor's."""
    return TOP_OF_NORMS if rule.plan((1, 1), 1).graph.couples() else 1.0


def problems(rule: Optimizer, steps: int, seed: int, all_exponents: bool = False) -> list[Cases]:
    """The families that `refgrad.verify` generates, aimed at the rule's decisions, each by itself, in float32.

    Args:
        rule: the rule.
        steps: how many steps.
        seed: of the random numbers.
        all_exponents: half of the family of edges are numbers of every exponent of the format.

    Returns:
        Cases of one leaf each.
    """
    made = generate(steps, np.dtype(np.float32), seed, rule)
    single = [made.only(leaf).mapped(np.array) for leaf in range(len(made.arrays))]
    if all_exponents:
        top, random = top_of(rule), np.random.Generator(np.random.Philox([seed, 2]))
        edges = single[made.names.index("edges") if "edges" in made.names else -1]
        for array in (edges.p[0], *(g[0] for g in edges.g)):
            half = array.shape[0] // 2
            array[:half] = adversarial(random, np.float32, array[:half].shape, top)
    return single


def stacked(several: Sequence[Sequence[Cases]]) -> list[Cases]:
    """Problems of some seeds, those of a family as one array: what is done for each array is done less often."""

    def joined(parts: Sequence[Arrays]) -> dict[str, np.ndarray]:
        return {n: np.concatenate([part[n] for part in parts]) for n in parts[0]}

    found = []
    for parts in zip(*several, strict=True):
        steps = [[joined([step[0] for step in at])] for at in zip(*(part.steps for part in parts), strict=True)]
        found.append(dataclasses.replace(parts[0], arrays=[joined([part.arrays[0] for part in parts])], steps=steps))
    return found


def corner(problem: Cases) -> Cases:
    """The corners of the arrays."""
    return problem.mapped(lambda a: a[(slice(0, EDGE),) * a.ndim].copy())
