"""Dual averaging: each point is the first one less a scaled sum of all gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.operations.functions import power
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Choice, Citation, Decay, NonNegative, State, by, copy_of_param, zeros_like_param


class MADGRAD(Optimizer):
    """Dual averaging scaled by the cube root of weighted squares, with momentum towards its points.

    Source: Defazio & Jelassi 2021, arXiv:2101.11075, Algorithm 1, with weights ``lr sqrt(t)``. Weight decay is coupled. NaN
    propagates.
    """

    lr: NonNegative = 1e-2
    momentum: Decay = 0.9
    eps: NonNegative = 1e-6
    weight_decay: NonNegative = 0.0
    weights: Annotated[
        str,
        Choice(
            plain=by("the weight of a gradient is lr times the root of its step", "published"),
            padded=by("eps is added to lr first", "optax", "pytorch-optimizer"),
        ),
    ] = "plain"
    applied: Annotated[
        str,
        Choice(
            directly=by("the new point is what the average says", "published"),
            by_difference=by("the new point is the old one plus their difference, as rounded", "optax"),
        ),
    ] = "directly"

    citation = Citation(
        "Defazio & Jelassi 2021",
        "Adaptivity without Compromise: A Momentumized, Adaptive, Dual Averaged Gradient Method",
        "arXiv:2101.11075, Algorithm 1",
        read="package",
        source="optax 0.2.8 contrib.madgrad; pytorch-optimizer 4.1.0 MADGRAD",
    )
    unspecified = (
        "weight decay: coupled here, as in the authors' code; that code adds eps to lr in the weights (weights=padded)"
    )
    state = State(start=copy_of_param, s=zeros_like_param, square=zeros_like_param)

    def exempt(self) -> Mapping[str, str]:
        """What does not hold, and why."""
        return {
            "still": "the average of a point with itself is rounded",
            "no rate": "the average of a point with itself is rounded",
        }

    def update(self, p: Any, g: Any, start: Any, s: Any, square: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay:
            g = g + self.weight_decay * p
        weight = (self.lr + self.eps if self.weights == "padded" else 1.0 * self.lr) * np.sqrt(t)
        square = square + weight * g * g
        s = s + weight * g
        third = t / (3 * t)  # a scalar, in the precision of the rule's scalars
        z = start - s / (power(square, third) + self.eps)
        new = self.momentum * p + (1 - self.momentum) * z
        if self.applied == "by_difference":
            new = p + (new - p)
        return new, start, s, square
