"""GaLore: Adam on gradients seen in a subspace of few dimensions."""

from __future__ import annotations

from typing import Annotated, Any

from refgrad.arithmetic.primitives import lift, project, subspace
from refgrad.axes import LOW, THIN
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.parts import EpsPlacement, over_root
from refgrad.rule import Choice, Citation, Decay, NonNegative, Slot, State, Whole, by


class GaLore(Optimizer):
    """Adam on P^T G (or G P), its step seen as a matrix again; P are the first singular vectors of a gradient.

    P is made anew every ``interval`` steps. A parameter is the matrix of its first axis by all others; a vector is a matrix of
    one column, of which P is one number of size one: it gets Adam's step times ``scale``. Source: Zhao et al. 2024,
    arXiv:2403.03507, Algorithm 2. Weight decay is decoupled. One NaN reaches the whole tensor.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    eps_root: NonNegative = 0.0
    scale: NonNegative = 0.25
    weight_decay: NonNegative = 0.0
    rank: Annotated[int, Whole(1)] = 128
    interval: Annotated[int, Whole(1)] = 200
    side: Annotated[
        str,
        Choice(
            shorter=by(
                "the vectors are as long as the smaller of rows and columns, of a square as columns",
                "published",
                "authors",
            ),
            longer=by("as long as the larger, of a square as rows", "optax"),
        ),
    ] = "shorter"
    refresh: Annotated[
        str,
        Choice(
            first=by("at the first step, and every interval steps from there", "published", "authors", "optax"),
            whole=by("at the first step, and at whole multiples of interval", "pytorch-optimizer"),
        ),
    ] = "first"
    decay: Annotated[
        str,
        Choice(
            beside=by("the parameter before the step decays", "optax"),
            after=by("the parameter after the step decays", "authors", "pytorch-optimizer"),
        ),
    ] = "beside"
    eps_placement: EpsPlacement = "outside"

    citation = Citation(
        "Zhao et al. 2024",
        "GaLore: Memory-Efficient LLM Training by Gradient Low-Rank Projection",
        "arXiv:2403.03507, Algorithm 2",
        read="authors' code",
        source="jiaweizhao/GaLore 1317b5f",
    )
    unspecified = (
        "parameters that are not matrices; weight decay; what becomes of the moments when P changes: they stay"
    )
    state = State(
        m=Slot(axes=LOW, rank="rank", side="side"),
        v=Slot(axes=LOW, rank="rank", side="side"),
        basis=Slot(axes=THIN, rank="rank", side="side"),
    )

    def update(self, p: Any, g: Any, m: Any, v: Any, basis: Any, t: Any) -> tuple[Any, ...]:
        steps = t if self.refresh == "whole" else t - 1
        if t == 1 or steps % self.interval == 0:
            basis = subspace(g, self.rank, self.side)
        r = project(g, basis, self.side)
        m = self.beta1 * m + (1 - self.beta1) * r
        v = self.beta2 * v + (1 - self.beta2) * r * r
        n = over_root(self, m / (1 - self.beta1**t), v, 1 - self.beta2**t)
        step = self.scale * lift(n, basis, g, self.side)
        if self.decay == "beside":
            return p - self.lr * (step + self.weight_decay * p), m, v, basis
        p = p - self.lr * step
        return p - self.lr * self.weight_decay * p, m, v, basis
