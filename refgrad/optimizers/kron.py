"""PSGD-Kron: a preconditioner of two triangular factors that is fitted to gradients and random probes."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.primitives import gram, length, matmul, norm_bound, solve, tree_max, tree_sum, upper
from refgrad.axes import LEFT, RIGHT
from refgrad.optimizers.base import Optimizer
from refgrad.rule import (
    Choice,
    Citation,
    Decay,
    Extra,
    Extras,
    NonNegative,
    Positive,
    Slot,
    State,
    Whole,
    by,
    zeros_like_param,
)


class PSGDKron(Optimizer):
    """A step by Q_L^T Q_L M Q_R^T Q_R, whose triangular factors are fitted so that probes and gradients are alike.

    With A = Q_L M Q_R^T and, for standard normal V (the extra input ``noise``), B = Q_L^(-T) V Q_R^(-1), each factor Q
    moves by ``precondition_lr`` triu(A A^T - B B^T) Q over a lower bound of the norm of A A^T + B B^T. M is the
    corrected momentum; a step whose root mean square exceeds ``clip`` is scaled to it. A parameter is the matrix of its
    first axis by all others. Source: Li 2015, arXiv:1512.04202, as in pytorch-optimizer's Kron, whose source is kron_torch 0.1.
    One NaN reaches the whole tensor.

    kron_torch 0.3 is ``PSGDKron(lr=3e-4, damping=2**-11.5, padding=1e-12, vectors="diagonal", decayed="matrices",
    updates="annealed")``, for parameters of at most two axes: it makes all axes but the last one axis, which is the caller's to
    do before.
    """

    lr: NonNegative = 1e-3
    momentum: Decay = 0.9
    weight_decay: NonNegative = 0.0
    precondition_lr: NonNegative = 0.1
    clip: Positive = 1.1
    eps: NonNegative = 2.0**-126
    interval: Annotated[int, Whole(1)] = 1
    damping: NonNegative = 0.0
    padding: NonNegative = 1e-6
    vectors: Annotated[
        str,
        Choice(
            matrix="a vector is a matrix of one column, whose left factor is triangular",
            diagonal=by("the factor of a parameter of one axis or none is diagonal", "kron_torch"),
        ),
    ] = "matrix"
    decayed: Annotated[
        str,
        Choice(
            all=by("every parameter decays", "pytorch-optimizer"),
            matrices=by("parameters of two axes or more decay", "kron_torch"),
        ),
    ] = "all"
    updates: Annotated[
        str,
        Choice(
            interval="the factors move every interval steps",
            annealed=by(
                "they move when 1 / probability steps have passed since they did, where the probability is 1 for 500 steps, "
                "then falls by a thousandth a step to 0.03",
                "kron_torch",
            ),
        ),
    ] = "interval"

    citation = Citation(
        "Li 2015",
        "Preconditioned Stochastic Gradient Descent",
        "arXiv:1512.04202; pytorch-optimizer's Kron",
        read="package",
        source="evanatyourservice/kron_torch 884427c; pytorch-optimizer 4.1.0 Kron",
    )
    unspecified = (
        "how often the factors move: every interval steps, where pytorch-optimizer draws lots with a falling probability, and "
        "kron_torch counts steps (updates); the balancing of the factors' norms, which they do in one of a hundred steps at "
        "random, is left out; whether the momentum is damped by noise before the fit and the step (damping times its mean "
        "magnitude): not here, in kron_torch by the root of float32's epsilon"
    )
    extras = Extras(noise=Extra("noise"))
    state = State(
        m=zeros_like_param,
        left=Slot(1.0, axes=LEFT),
        right=Slot(1.0, axes=RIGHT),
        diagonal=Slot(1.0, when="keeps_diagonals"),
        waited=Slot(when="counts", scalar=True),
    )

    @property
    def keeps_diagonals(self) -> bool:
        """True if vectors have a diagonal factor."""
        return self.vectors == "diagonal"

    @property
    def counts(self) -> bool:
        """True if the steps since the last update of the factors are counted."""
        return self.updates == "annealed"

    def update(
        self, p: Any, g: Any, noise: Any, m: Any, left: Any, right: Any, diagonal: Any, waited: Any, t: Any
    ) -> tuple[Any, ...]:
        m = self.momentum * m + (1 - self.momentum) * g
        m_hat = m / (1 - self.momentum**t)
        vector = self.keeps_diagonals and p.ndim < 2
        moves, waited = self._moves(waited, t)
        if moves and self.damping:
            m_hat = m_hat + self.damping * (tree_sum(np.abs(m_hat)) / length(p)) * noise
        if moves and vector:
            diagonal = self._fitted_diagonal(diagonal, diagonal * m_hat, noise / diagonal)
        elif moves:
            a = matmul(matmul(left, m_hat), right, False, True)
            b = solve(right, solve(left, noise, "left"), "right")
            left, right = self._fitted(left, a, b, "left"), self._fitted(right, a, b, "right")
        if vector:
            step = diagonal * (diagonal * m_hat)
        else:
            step = matmul(left, matmul(left, m_hat), True)
            step = matmul(matmul(step, right, False, True), right)
        rms = np.sqrt(tree_sum(step * step) / length(p))
        step = np.minimum(self.clip / (rms + self.padding), 1.0) * step
        if self.decayed == "all" or p.ndim > 1:
            step = step + self.weight_decay * p
        return p - self.lr * step, m, left, right, diagonal, waited

    def _moves(self, waited: Any, t: Any) -> tuple[Any, Any]:
        """Whether the factors move at step ``t``, and the steps since they did."""
        if not self.counts:
            return t % self.interval == 0, waited
        probability = np.clip(np.exp(-0.001 * (t - 501)), 0.03, 1.0)
        waited = waited + 1
        moves = waited * probability >= 1
        return moves, 0 * waited if moves else waited

    def _fitted_diagonal(self, q: Any, a: Any, b: Any) -> Any:
        """A diagonal factor, moved."""
        seen, drawn = a * a, b * b
        return q - self.precondition_lr / (tree_max(seen + drawn) + self.eps) * ((seen - drawn) * q)

    def _fitted(self, q: Any, a: Any, b: Any, side: str) -> Any:
        """One factor, moved."""
        seen, drawn = gram(a, side), gram(b, side)
        return q - self.precondition_lr / (norm_bound(seen + drawn) + self.eps) * matmul(upper(seen - drawn), q)
