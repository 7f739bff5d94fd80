"""Mechanic: the scale of another rule's steps, learned while it runs."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.primitives import tree_sum
from refgrad.axes import TENSOR
from refgrad.optimizers.trust_ratio import norm
from refgrad.optimizers.wrapper import Wrapper
from refgrad.rule import Choice, Citation, Flag, NonNegative, Positive, Slot, State, by, copy_of_param

#: the decays of the tuners
BETAS = (0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999)
COUNT = len(BETAS)


def _each(name: str, slot: Slot) -> dict[str, Slot]:
    return {f"{name}{i}": slot for i in range(1, COUNT + 1)}


class Mechanic(Wrapper):
    """From the start, the sum of the inner rule's steps times a scale that six online learners find.

    The inner rule should take steps of size one (``lr=1.0``). Source: Cutkosky et al. 2023, arXiv:2306.00144, Algorithm 1, as its
    authors' package states it. All parameters are one vector; one NaN reaches all of them.
    """

    weight_decay: NonNegative = 0.01
    s_init: NonNegative = 1e-8
    eps: Positive = 1e-8
    initial_s: NonNegative = 0.0
    initial_m: NonNegative = 0.0
    keep_offset: Annotated[
        bool, Flag(by("the sum of steps is kept in memory, where optax works it out from the parameter", "published"))
    ] = True
    reward: Annotated[
        str,
        Choice(
            floored=by("a reward below zero becomes zero, and stays so", "published", "authors"),
            clipped=by(
                "products are clipped at the largest before, eps is added to the largest, and only the wealth has the floor",
                "optax: the authors' later form",
            ),
        ),
    ] = "floored"
    decay_point: Annotated[
        str,
        Choice(
            before=by("the decay is towards the parameter before the step", "published", "optax"),
            after=by("towards the one after the inner rule's step", "authors"),
        ),
    ] = "before"

    couples = True
    citation = Citation(
        "Cutkosky, Defazio & Mehta 2023",
        "Mechanic: A Learning Rate Tuner",
        "NeurIPS, arXiv:2306.00144",
        read="authors' code",
        source="mechanic-pytorch 0.0.1; optax 0.2.8 contrib.mechanize",
    )
    unspecified = (
        "where the decay points, and what becomes of a negative reward: the paper's algorithm and its authors' "
        "package differ, and optax has their later form (decay_point, reward)"
    )
    state = State(
        start=copy_of_param,
        offset=Slot(when="keep_offset"),
        **_each("s", Slot(fill="initial_s", axes=TENSOR)),
        **_each("r", Slot(axes=TENSOR)),
        **_each("m", Slot(fill="initial_m", axes=TENSOR)),
        **_each("v", Slot(axes=TENSOR)),
    )

    def update(self, p: Any, g: Any, start: Any, offset: Any, *rest: Any) -> tuple[Any, ...]:  # type: ignore[override]
        *slots, step, _ = rest
        s, r, m, v = (slots[i * COUNT : (i + 1) * COUNT] for i in range(4))
        total = sum_of(s)
        new = step(p, g)
        offset = (p - start) / (total + self.eps) if offset is None else offset
        towards = p if self.decay_point == "before" else new
        decay = self.weight_decay * total * norm(g) / (norm(towards) + self.eps) * towards
        product = tree_sum(offset * (g + decay))
        offset = offset + (new - p)
        tuned = [self._tuned(product, *each) for each in zip(s, r, m, v, BETAS, strict=True)]
        s, r, m, v = (list(column) for column in zip(*tuned, strict=True))
        return start + sum_of(s) * offset, start, offset, *s, *r, *m, *v

    def _tuned(self, product: Any, s: Any, r: Any, m: Any, v: Any, beta: float) -> tuple[Any, ...]:
        """One learner's scale, reward, largest product and sum of squares."""
        if self.reward == "clipped":
            r = beta * r - s * np.clip(product, -m, m)
            m = np.maximum(beta * m, np.abs(product) + self.eps)
        else:
            r = np.maximum(beta * r - s * product, 0.0)
            m = np.maximum(beta * m, np.abs(product))
        v = beta * (beta * v) + product * product
        wealth = self.s_init / COUNT * m + np.maximum(r, 0.0)
        return wealth / (np.sqrt(v) + self.eps), r, m, v


def sum_of(values: Any) -> Any:
    """The sum of a few values, from the first to the last."""
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total
