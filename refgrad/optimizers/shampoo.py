"""Rules that precondition a matrix from both sides by second moments of its rows and columns: Shampoo and SOAP.

A parameter is the matrix of its first axis by all others; the papers' tensors have a preconditioner for every axis.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.primitives import eigenbasis, gram, inverse_root, matmul, orthonormal, reordered
from refgrad.axes import LEFT, RIGHT
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Choice, Citation, Decay, Flag, NonNegative, Positive, Slot, State, Whole, by, zeros_like_param


class Shampoo(Optimizer):
    """A step by L^(-1/4) G R^(-1/4), L and R being the sums of G G^T and G^T G; of a vector by L^(-1/2) G.

    The roots are kept, and computed anew every ``interval`` steps. Source: Gupta et al. 2018, arXiv:1802.09568, Algorithm 1
    (a matrix) and Algorithm 2 (a tensor of one axis). One NaN reaches the whole tensor.
    """

    lr: NonNegative = 1e-1
    eps: Positive = 1e-4
    weight_decay: NonNegative = 0.0
    interval: Annotated[int, Whole(1)] = 1
    exponent: Annotated[
        str,
        Choice(
            paper=by("-1/(2k) for a tensor of k axes: -1/4 for a matrix", "published"),
            order=by("-1/k: -1/2 for a matrix", "torch-optimizer"),
        ),
    ] = "paper"
    statistics: Annotated[
        str,
        Choice(
            gradient=by("both sums are of the gradient", "published", "pytorch-optimizer"),
            preconditioned=by(
                "that of the columns is of the gradient already multiplied by L's root", "torch-optimizer"
            ),
        ),
    ] = "gradient"
    refresh: Annotated[
        str,
        Choice(
            first=by("roots are computed at the first step, and every interval steps from there", "torch-optimizer"),
            whole=by("roots are computed at whole multiples of interval, and are zero before", "pytorch-optimizer"),
        ),
    ] = "first"

    citation = Citation(
        "Gupta et al. 2018",
        "Shampoo: Preconditioned Stochastic Tensor Optimization",
        "arXiv:1802.09568, Algorithm 1",
        read="package",
        source="torch-optimizer 0.3.0 Shampoo; pytorch-optimizer 4.1.0 Shampoo",
    )
    unspecified = "eps; how often the roots are computed; weight decay, which is coupled here"
    state = State(
        left=Slot("eps", axes=LEFT),
        right=Slot("eps", axes=RIGHT),
        left_root=Slot(axes=LEFT),
        right_root=Slot(axes=RIGHT),
    )

    def update(self, p: Any, g: Any, left: Any, right: Any, left_root: Any, right_root: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay:
            g = g + self.weight_decay * p
        due = t % self.interval == 0 if self.refresh == "whole" else (t - 1) % self.interval == 0
        axes = 1 if p.ndim < 2 else 2
        order = axes if self.exponent == "order" else 2 * axes
        left = left + gram(g, "left")
        if due:
            left_root = inverse_root(left, order)
        step = matmul(left_root, g)
        if axes == 1:
            return p - self.lr * step, left, right, left_root, right_root
        right = right + gram(step if self.statistics == "preconditioned" else g, "right")
        if due:
            right_root = inverse_root(right, order)
        return p - self.lr * matmul(step, right_root), left, right, left_root, right_root


class SOAP(Optimizer):
    """Adam in the eigenbases of Shampoo's L and R, which one step of orthogonal iteration follows every ``interval`` steps.

    The first gradient only makes L, R and their eigenvectors. Source: Vyas et al. 2024, arXiv:2409.11321, Algorithm 3, with
    bias correction, decay after the step and the order of eigenvectors as in the authors' code. The momentum is kept as the
    gradient is. One NaN reaches the whole tensor.
    """

    lr: NonNegative = 3e-3
    beta1: Decay = 0.95
    beta2: Decay = 0.95
    shampoo_beta: Decay = 0.95
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 1e-2
    interval: Annotated[int, Whole(1)] = 10
    correct_bias: Annotated[bool, Flag("the step is corrected for the moments' start at zero")] = True

    citation = Citation(
        "Vyas et al. 2024",
        "SOAP: Improving and Stabilizing Shampoo using Adam",
        "arXiv:2409.11321, Algorithm 3",
        read="authors' code",
        source="nikhilvyas/SOAP a1e5535",
    )
    unspecified = "the first step; a vector, which is Adam's (the authors' code) and has no bases here"
    state = State(
        m=zeros_like_param,
        v=zeros_like_param,
        left=Slot(axes=LEFT),
        right=Slot(axes=RIGHT),
        left_basis=Slot(axes=LEFT),
        right_basis=Slot(axes=RIGHT),
    )

    def update(
        self, p: Any, g: Any, m: Any, v: Any, left: Any, right: Any, left_basis: Any, right_basis: Any, t: Any
    ) -> tuple[Any, ...]:
        vector = p.ndim < 2
        new_left = left if vector else self.shampoo_beta * left + (1 - self.shampoo_beta) * gram(g, "left")
        new_right = right if vector else self.shampoo_beta * right + (1 - self.shampoo_beta) * gram(g, "right")
        if t == 1:
            if vector:
                return p, m, v, left, right, left_basis, right_basis
            return p, m, v, new_left, new_right, eigenbasis(new_left), eigenbasis(new_right)
        turned = g if vector else into(g, left_basis, right_basis)
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * turned * turned
        ahead = m if vector else into(m, left_basis, right_basis)
        step = ahead / (np.sqrt(v) + self.eps)
        size = self.lr
        if self.correct_bias:
            size = self.lr * np.sqrt(1 - self.beta2 ** (t - 1)) / (1 - self.beta1 ** (t - 1))
        p = p - size * (step if vector else matmul(matmul(left_basis, step), right_basis, False, True))
        p = p - self.lr * self.weight_decay * p
        if not vector and (t - 1) % self.interval == 0:
            v = reordered(reordered(v, left_basis, new_left, "row"), right_basis, new_right, "column")
            left_basis = self._followed(new_left, left_basis)
            right_basis = self._followed(new_right, right_basis)
        return p, m, v, new_left, new_right, left_basis, right_basis

    def _followed(self, s: Any, q: Any) -> Any:
        """One step of orthogonal iteration from the basis, in the order of its Rayleigh quotients."""
        return orthonormal(reordered(matmul(s, q), q, s, "column"))


def into(x: Any, left: Any, right: Any) -> Any:
    """A matrix as it is in two bases: Q_L^T X Q_R."""
    return matmul(matmul(left, x, True), right)
