"""A candidate for `refgrad.verify` that is right on purpose: every step is another random legal program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from refgrad.candidates.protocol import Observation
from refgrad.errors import ArgumentError
from refgrad.optimizers.base import Optimizer
from refgrad.strength.interpreter import Program
from refgrad.strength.rounding_styles import Array, Style, random_scalars
from refgrad.tracing import Plan, free_values, plan_for


@dataclass(frozen=True)
class RandomCandidate:
    """A candidate of which each step is another random program of the rule's graph.

    Attributes:
        style: what the programs may do, and how they round.
        seed: of the random choices.
        blocks: how many programs a step takes where elements do not see each other, each for every so many elements.
        name: how reports call it.

    >>> import refgrad
    >>> from refgrad.strength.rounding_styles import STYLES
    >>> refgrad.verify(RandomCandidate(STYLES["rewritten"]), refgrad.optimizers.Lion(), steps=2).conforms
    True
    """

    style: Style
    seed: int = 0
    blocks: int = 1
    name: str = "random program"

    def start(self, rule: Optimizer, params: Sequence[Array]) -> RandomRun:
        """The candidate with its parameters, copied.

        Raises:
            ArgumentError: the rule sees all leaves at once, and there are several.
        """
        if rule.scope == "tree" and len(params) > 1:
            raise ArgumentError(f"{rule} is started with {len(params)} leaves; legal: one, because it sees all at once")
        return RandomRun(self, rule, params)


class RandomRun:
    """A random candidate that has been given its parameters."""

    def __init__(self, candidate: RandomCandidate, rule: Optimizer, params: Sequence[Array]) -> None:
        self.candidate, self.rule, self.t = candidate, rule, 0
        self.random = np.random.Generator(np.random.Philox(candidate.seed))
        self.params = [p.copy() for p in params]
        state = rule.init(self.params)
        self.state = [{n: state[n][i] for n in rule.slots()} for i in range(len(params))]

    def observe(self) -> Observation:
        """The parameters and the state as they are now."""
        return Observation(self.params, self.state)

    def step(self, grads: Sequence[Array], extras: Mapping[str, Any] = MappingProxyType({})) -> None:
        """One step with one gradient a leaf."""
        self.t += 1
        inputs = self.rule.inputs()
        numbers = {n: extras[n] for n, e in inputs.items() if e.scalar}
        for leaf, g in enumerate(grads):
            scalar_values = {n: v for n, v in self.state[leaf].items() if self.rule.slots()[n].scalar}
            arrays = {n: v for n, v in self.state[leaf].items() if n not in scalar_values}
            arrays |= {"p": self.params[leaf], "g": g}
            arrays |= {n: extras[n][leaf] for n, e in inputs.items() if not e.scalar}
            free = free_values(g.shape, {"t": self.t, **scalar_values, **numbers})
            plan = plan_for(self.rule, g.ndim, free)
            new = self._results(plan, free, arrays)
            self.params[leaf] = new.pop("p")
            self.state[leaf] = {**new, **dict(zip(scalar_values, plan.scalar_outputs(*free), strict=True))}

    def _results(self, plan: Plan, free: tuple[float, ...], arrays: Mapping[str, Array]) -> dict[str, Array]:
        """A step, each block of elements by another program where elements do not see each other."""
        shape = arrays["p"].shape
        together = plan.graph.couples() or any(a.shape != shape for a in arrays.values())
        blocks = 1 if together else self.candidate.blocks
        parts = []
        for block in range(blocks):
            wide = {n: a.astype(np.float64) for n, a in arrays.items()}
            if blocks > 1:
                wide = {n: a.reshape(-1)[block::blocks] for n, a in wide.items()}
            scalars = random_scalars(plan, free, self.random)
            with np.errstate(all="ignore"):
                parts.append(Program(plan, wide, scalars, self.candidate.style, self.random).run())
        if blocks == 1:
            return {n: np.broadcast_to(a, arrays[n].shape).astype(np.float32) for n, a in parts[0].items()}
        new = {n: np.empty(arrays["p"].size, np.float32) for n in parts[0]}
        for block, part in enumerate(parts):
            for n, values in part.items():
                new[n][block::blocks] = values
        return {n: a.reshape(shape) for n, a in new.items()}
