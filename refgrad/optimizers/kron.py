"""PSGD-Kron: a preconditioner of two triangular factors that is fitted to gradients and random probes."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.primitives import gram, length, matmul, norm_bound, solve, tree_sum, upper
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Citation, Decay, Extra, Extras, NonNegative, Positive, Slot, State, Whole, zeros_like_param


class PSGDKron(Optimizer):
    """A step by Q_L^T Q_L M Q_R^T Q_R, whose triangular factors are fitted so that probes and gradients are alike.

    With A = Q_L M Q_R^T and, for standard normal V (the extra input ``noise``), B = Q_L^(-T) V Q_R^(-1), each factor Q
    moves by ``precondition_lr`` triu(A A^T - B B^T) Q over a lower bound of the norm of A A^T + B B^T. M is the
    corrected momentum; a step whose root mean square exceeds ``clip`` is scaled to it. A parameter is the matrix of its
    first axis by all others. Source: Li 2015, arXiv:1512.04202, as in kron_torch. One NaN reaches the whole tensor.
    """

    lr: NonNegative = 1e-3
    momentum: Decay = 0.9
    weight_decay: NonNegative = 0.0
    precondition_lr: NonNegative = 0.1
    clip: Positive = 1.1
    eps: NonNegative = 2.0**-126
    interval: Annotated[int, Whole(1)] = 1

    citation = Citation(
        "Li 2015",
        "Preconditioned Stochastic Gradient Descent",
        "arXiv:1512.04202; kron_torch",
        read="package",
        source="evanatyourservice/kron_torch 884427c; pytorch-optimizer 4.1.0 Kron",
    )
    unspecified = (
        "how often the factors move: every interval steps, where the packages draw lots with a falling probability; the "
        "balancing of the factors' norms, which they do in one of a hundred steps at random, is left out"
    )
    extras = Extras(noise=Extra("noise"))
    state = State(m=zeros_like_param, left=Slot(1.0, level="left"), right=Slot(1.0, level="right"))

    def update(self, p: Any, g: Any, noise: Any, m: Any, left: Any, right: Any, t: Any) -> tuple[Any, ...]:
        m = self.momentum * m + (1 - self.momentum) * g
        m_hat = m / (1 - self.momentum**t)
        if t % self.interval == 0:
            a = matmul(matmul(left, m_hat), right, False, True)
            b = solve(right, solve(left, noise, "left"), "right")
            left, right = self._fitted(left, a, b, "left"), self._fitted(right, a, b, "right")
        step = matmul(left, matmul(left, m_hat), True)
        step = matmul(matmul(step, right, False, True), right)
        rms = np.sqrt(tree_sum(step * step) / length(p))
        step = np.minimum(self.clip / (rms + 1e-6), 1.0) * step
        return p - self.lr * (step + self.weight_decay * p), m, left, right

    def _fitted(self, q: Any, a: Any, b: Any, side: str) -> Any:
        """One factor, moved."""
        seen, drawn = gram(a, side), gram(b, side)
        return q - self.precondition_lr / (norm_bound(seen + drawn) + self.eps) * matmul(upper(seen - drawn), q)
