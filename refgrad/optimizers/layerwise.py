"""Update rules that look at a whole tensor, or at its rows: LAMB, and the projection of AdamP and SGDP."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.primitives import length, tree_max, tree_sum
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.limits import Limit
from refgrad.optimizers.parts import EpsPlacement, over_root
from refgrad.rule import Choice, Citation, Decay, Flag, Fraction, NonNegative, Slot, State, by, zeros_like_param


class LAMB(Optimizer):
    """Adam's step with decay, scaled to the parameter's norm; by one where either norm is zero.

    Source: You et al. 2020, arXiv:1904.00962, Algorithm 2, whose phi is left open: the identity here. ``phi_low`` and
    ``phi_high`` are read by ``phi=clamped`` alone. One NaN reaches the whole tensor.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-6
    weight_decay: NonNegative = 0.0
    phi_low: NonNegative = 0.0
    phi_high: NonNegative = 10.0
    phi: Annotated[
        str,
        Choice(
            identity=by("the parameter's norm as it is", "optax", "timm", "Keras"),
            clamped=by(
                "the norm held between phi_low and phi_high", "torch-optimizer: 0 and 10", "pytorch-optimizer: 0 and 10"
            ),
        ),
    ] = "identity"
    correction: Annotated[
        str,
        Choice(
            moments=by(
                "both moments are corrected for their start at zero",
                "published: the last version",
                "optax",
                "timm",
                "Keras",
            ),
            none=by("neither is", "published: the third version", "torch-optimizer"),
            step=by("neither is, but the scaled step is multiplied by their ratio", "torch-optimizer: debias=True"),
            first=by("the scaled step is corrected for the first moment alone", "pytorch-optimizer"),
        ),
    ] = "moments"
    ratio: Annotated[
        str,
        Choice(
            plain="the norms' ratio",
            eps=by("eps is added to the norm of the step", "pytorch-optimizer"),
            capped=by("the norms' ratio, at most one", "timm: trust_clip, LAMBC"),
        ),
    ] = "plain"
    adapt: Annotated[
        str,
        Choice(
            always="every step is scaled",
            with_decay=by("a step is scaled only if weight_decay is not zero", "timm: unless always_adapt"),
        ),
    ] = "always"
    decay: Annotated[
        str,
        Choice(
            inside=by("weight_decay times the parameter is part of the scaled step", "published", "optax", "timm"),
            before=by(
                "the parameter decays first, and its norm is taken after",
                "Keras",
                "timm: decoupled",
                "pytorch-optimizer",
            ),
        ),
    ] = "inside"
    grad_averaging: Annotated[bool, Flag("the gradient enters the first moment with 1 - beta1, not with 1")] = True

    scaling = "invariant"
    citation = Citation(
        "You et al. 2020",
        "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes",
        "arXiv:1904.00962, Algorithm 2",
        read="package",
        source="torch-optimizer 0.3.0 Lamb; optax 0.2.8 lamb; timm 1.0.31 Lamb; Keras 3.15.1 Lamb",
    )
    unspecified = "phi; a norm of zero, where the ratio is one here; versions of the paper differ in bias correction"
    state = State(m=zeros_like_param, v=zeros_like_param)

    def largest_norm(self, t: int, p: float) -> float:
        """The parameter's norm times lr, where it is not zero."""
        scaled = self.adapt == "always" and self.phi == "identity" and self.correction in ("moments", "none")
        return self.lr * p if scaled and p > 0 else math.inf

    def update(self, p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:
        m = self.beta1 * m + ((1 - self.beta1) * g if self.grad_averaging else g)
        v = self.beta2 * v + (1 - self.beta2) * g * g
        r, late = self._adam(m, v, t)
        if self.decay == "inside":
            r = r + self.weight_decay * p
        elif self.weight_decay:
            p = p - self.lr * self.weight_decay * p
        if self.adapt == "with_decay" and not self.weight_decay:
            return p - self.lr * late * r, m, v
        p_norm = np.sqrt(tree_sum(p * p))
        r_norm = np.sqrt(tree_sum(r * r))
        ratio = np.where((p_norm == 0) | (r_norm == 0), 1.0, self._ratio(p_norm, r_norm))
        return p - self.lr * late * ratio * r, m, v

    def _adam(self, m: Any, v: Any, t: Any) -> tuple[Any, Any]:
        """Adam's step, and what the scaled step is still to be multiplied by."""
        first, second = 1 - self.beta1**t, 1 - self.beta2**t
        if self.correction == "moments":
            return (m / first) / (np.sqrt(v / second) + self.eps), 1
        late = {"none": 1, "step": np.sqrt(second) / first, "first": 1 / first}[self.correction]
        return m / (np.sqrt(v) + self.eps), late

    def _ratio(self, p_norm: Any, r_norm: Any) -> Any:
        if self.phi == "clamped":
            p_norm = np.minimum(np.maximum(p_norm, self.phi_low), self.phi_high)
        if self.ratio == "eps":
            return p_norm / (r_norm + self.eps)
        return np.minimum(p_norm / r_norm, 1.0) if self.ratio == "capped" else p_norm / r_norm


class _Projected(Optimizer):
    """A rule whose step loses its radial part where the gradient is nearly orthogonal to the weights."""

    eps: NonNegative = 1e-8
    delta: NonNegative = 0.1
    wd_ratio: Fraction = 0.1
    test: Annotated[
        str,
        Choice(
            row=by(
                "each row, one output channel's weights, is tested and projected by itself", "published: w is a row"
            ),
            tensor=by("the whole tensor is tested and projected", "published: w is a layer"),
            author=by(
                "all rows, if the largest of their cosines passes, else the whole tensor if it passes",
                "authors",
                "timm",
                "torch-optimizer",
                "pytorch-optimizer",
            ),
        ),
    ] = "row"
    norms: Annotated[
        str,
        Choice(
            clamped=by("a norm below eps is eps in the cosine", "authors: adamp", "timm", "pytorch-optimizer"),
            added=by("eps is added to the norms in the cosine", "torch-optimizer"),
        ),
    ] = "clamped"

    def _tangential(self, p: Any, g: Any, u: Any) -> tuple[Any, Any]:
        """The step without its radial part where the test says so, and the parameter as far as it decays."""
        if p.ndim < 2:
            return u, p
        if self.test != "author":
            over = "row" if self.test == "row" else "tensor"
            cosine, bound, flat = self._project(p, g, u, over)
            return np.where(cosine < bound, flat, u), np.where(cosine < bound, self.wd_ratio * p, p)
        cosine, bound, row_step = self._project(p, g, u, "row")
        by_row = tree_max(cosine) < bound
        cosine, bound, tensor_step = self._project(p, g, u, "tensor")
        by_tensor = cosine < bound
        step = np.where(by_row, row_step, np.where(by_tensor, tensor_step, u))
        return step, np.where(by_row | by_tensor, self.wd_ratio * p, p)

    def _project(self, p: Any, g: Any, u: Any, over: Any) -> tuple[Any, Any, Any]:
        """In one view: the gradient's cosine with the weights, its bound, and the step without its radial part."""
        p_norm = np.sqrt(tree_sum(p * p, over))
        g_norm = np.sqrt(tree_sum(g * g, over))
        kept = (lambda norm: norm + self.eps) if self.norms == "added" else (lambda norm: np.maximum(norm, self.eps))
        cosine = np.abs(tree_sum(g * p, over)) / (kept(g_norm) * kept(p_norm))
        n = p / (p_norm + self.eps)
        return cosine, self.delta / np.sqrt(length(p, over)), u - n * tree_sum(n * u, over)


class AdamP(_Projected):
    """Adam whose step loses its radial part where the gradient is nearly orthogonal to the weights.

    A parameter of fewer than two axes is never projected. Where it is projected, its decay is multiplied by ``wd_ratio``.
    Source: Heo et al. 2021, arXiv:2006.08217, Algorithm 2. One NaN reaches its row, or the whole tensor.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps_root: NonNegative = 0.0
    weight_decay: NonNegative = 0.0
    nesterov: Annotated[bool, Flag("the step looks ahead: beta1 * m + (1 - beta1) * g takes m's place")] = False
    eps_placement: EpsPlacement = "outside"

    scaling = "invariant"
    limits = (Limit("AdamW", {"delta": 0.0}),)
    orthogonal = ({"delta": 1e9, "test": "row", "eps": 0.0, "eps_root": 0.0}, {"delta": 0.0})
    citation = Citation(
        "Heo et al. 2021",
        "AdamP: Slowing Down the Slowdown for Momentum Optimizers",
        "arXiv:2006.08217, Algorithm 2",
        read="authors' code",
        source="adamp 0.3.0; clovaai/AdamP 7f6f038",
    )
    unspecified = "what one weight vector w of a tensor is: a row here"
    state = State(m=zeros_like_param, v=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        ahead = self.beta1 * m + (1 - self.beta1) * g if self.nesterov else m
        u = over_root(self, ahead / (1 - self.beta1**t), v, 1 - self.beta2**t)
        step, decaying = self._tangential(p, g, u)
        return p - self.lr * (step + self.weight_decay * decaying), m, v


class SGDP(_Projected):
    """Gradient descent with momentum whose step loses its radial part, as in AdamP.

    The decay is divided by 1 - ``momentum``, so that it is as strong as a coupled one. Source: Heo et al. 2021,
    arXiv:2006.08217, Algorithm 1. One NaN reaches its row, or the whole tensor.
    """

    lr: NonNegative = 1e-3
    momentum: Decay = 0.0
    dampening: Fraction = 0.0
    weight_decay: NonNegative = 0.0
    nesterov: Annotated[bool, Flag("the step looks ahead: g + momentum * buffer")] = False
    kept: Annotated[
        str,
        Choice(
            whole=by(
                "the buffer keeps the momentum as it was before the projection",
                "published",
                "timm",
                "pytorch-optimizer",
            ),
            projected=by(
                "without nesterov the buffer is itself projected, in place", "authors: adamp 0.3.0", "torch-optimizer"
            ),
        ),
    ] = "whole"

    scaling = "linear"
    limits = (Limit("SGD", {"delta": 0.0, "weight_decay": 0.0}),)
    orthogonal = ({"delta": 1e9, "test": "row", "eps": 0.0, "momentum": 0.0}, {"delta": 0.0})
    citation = Citation(
        "Heo et al. 2021",
        "AdamP: Slowing Down the Slowdown for Momentum Optimizers",
        "arXiv:2006.08217, Algorithm 1",
        read="authors' code",
        source="adamp 0.3.0; clovaai/AdamP 7f6f038",
    )
    unspecified = "what one weight vector w of a tensor is: a row here; dampening"
    state = State(buffer=Slot(when="momentum"))

    def update(self, p: Any, g: Any, buffer: Any, t: Any) -> tuple[Any, ...]:
        damped = (1 - self.dampening) * g
        moving = self.momentum * buffer + damped if self.momentum else damped
        u = g + self.momentum * moving if self.nesterov else moving
        step, decaying = self._tangential(p, g, u)
        buffer = step if self.kept == "projected" and not self.nesterov else moving
        return p - self.lr * (step + self.weight_decay / (1 - self.momentum) * decaying), buffer
