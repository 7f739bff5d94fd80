"""Every rule in the registry, its named variants, and inputs with adversarial numbers: what the oracle's own tests run over."""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs.steps import completed, generate
from refgrad.oracle.inputs.written import Inputs
from refgrad.rule import rules
from refgrad.strength.optimizer_inputs import adversarial, top_of


def shipped() -> list[Optimizer]:
    """Every optimizer of the registry with its defaults."""
    return [cls() for cls in rules(Optimizer).values()]


def named(rule: Optimizer) -> list[Optimizer]:
    """A rule and every rule that differs from it in one named behaviour."""
    return [rule, *(variant for _, variant in rule.variants())]


def inputs(rule: Optimizer, steps: int, seed: int = 0) -> Inputs:
    """Two leaves of 2048 elements: rows of the families that `verify` generates, and of adversarial numbers.

    One leaf for a rule that couples its parameters; small ones besides, and smaller ones, for one that multiplies matrices. Where
    there is a norm, whose overflow is the whole tensor's, there is no number whose square overflows.
    """
    top = top_of(rule)
    base = generate(steps, "float32", seed)
    random = np.random.Generator(np.random.Philox(seed + 1))

    def leaves(arrays: Any) -> list[np.ndarray]:
        normal, scaled, edges = (a[:32, :32] for a in arrays)
        return [
            np.concatenate([normal, scaled]),
            np.concatenate([edges, adversarial(random, np.float32, (32, 32), top)]),
        ]

    joined = (lambda arrays: [np.concatenate(arrays)]) if rule.scope == "tree" else list
    names = ["both"] if rule.scope == "tree" else ["ordinary", "edges"]
    made = Inputs(joined(leaves(base.p)), [joined(leaves(g)) for g in base.g], names, seed)
    return completed(_with_small(made, rule, steps, seed) if rule.plan((2, 2), 1).graph.matrix() else made, rule)


def _with_small(made: Inputs, rule: Optimizer, steps: int, seed: int) -> Inputs:
    """A part of these, and the small matrices that `verify` generates, for which bounds are near to what is met."""
    small = generate(steps, "float32", seed, rule)
    grads = [[*(a[16:48, :16] for a in g), *more] for g, more in zip(made.g, small.g, strict=True)]
    return Inputs([*(a[16:48, :16] for a in made.p), *small.p], grads, [*made.names, *small.names], seed)
