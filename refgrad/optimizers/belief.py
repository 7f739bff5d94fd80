"""AdaBelief and diffGrad: Adam informed by how the gradient changes."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.operations.functions import exp
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.parts import (
    DecayKind,
    EpsPlacement,
    average_lengths,
    descend,
    over_root,
    rectification,
)
from refgrad.rule import Choice, Citation, Decay, Flag, NonNegative, Slot, State, by, zeros_like_param


class AdaBelief(Optimizer):
    """Adam with the second moment of the gradient's deviation from its mean; eps is also kept in that moment.

    Source: Zhuang et al. 2020, arXiv:2010.07468, Algorithm 2 of the last version. The accumulated eps (E4) is what the
    authors' package and optax do (optax calls it eps_root). NaN propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-16
    weight_decay: NonNegative = 0.0
    eps_placement: Annotated[
        str,
        Choice(
            both=by(
                "eps is added to s and kept in it at every step, and added to the root",
                "published: the last version",
                "optax",
            ),
            correction=by(
                "eps is added to s where it is corrected and not kept, and to the root",
                "published: second version, appendix",
            ),
            outside=by("eps is added to the root alone", "published: the first version"),
            maximum=by(
                "with amsgrad eps is added to the kept maximum at every step, not to s; else as both", "torch-optimizer"
            ),
        ),
    ] = "both"
    rectify: Annotated[
        str,
        Choice(
            none=by("there is no rectification", "published", "optax"),
            author=by(
                "RAdam's, where the length is at least 5; before, corrected momentum steps",
                "authors: its default",
                "timm",
            ),
            still=by("the same, but before no step", "authors: degenerated_to_sgd=False"),
            torch_optimizer=by(
                "the whole step, where the length exceeds 4; before, steps by the raw momentum", "torch-optimizer"
            ),
        ),
    ] = "none"
    amsgrad: Annotated[bool, Flag("the largest s so far scales the step, except a rectified one")] = False
    decay: DecayKind = "before"

    scaling = "invariant"
    citation = Citation(
        "Zhuang et al. 2020",
        "AdaBelief Optimizer",
        "arXiv:2010.07468, Algorithm 2",
        read="authors' code",
        source="adabelief-pytorch 0.2.1; juntang-zhuang/Adabelief-Optimizer 2855178 and its issues 23, 32 and 61",
    )
    unspecified = (
        "the versions of the paper differ in where eps is added: its author calls the main text of the last "
        "one right (issues 23, 32 and 61 of the authors' repository), as the default has it"
    )
    state = State(m=zeros_like_param, s=zeros_like_param, s_max=Slot(when="amsgrad"))

    def update(self, p: Any, g: Any, m: Any, s: Any, s_max: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay and self.decay == "coupled":
            g = g + self.weight_decay * p
        m = self.beta1 * m + (1 - self.beta1) * g
        d = g - m
        s = self.beta2 * s + (1 - self.beta2) * d * d
        s, s_max, scale = self._with_eps(s, s_max)
        m_hat = m / (1 - self.beta1**t)
        step = m_hat / (np.sqrt(scale / (1 - self.beta2**t)) + self.eps)
        if self.rectify != "none":
            step = self._rectified(step, m, s, t)
        return descend(self, p, self.lr * step), m, s, s_max

    def _with_eps(self, s: Any, s_max: Any) -> tuple[Any, Any, Any]:
        """The new state with the eps that it keeps, and what scales the step."""
        kept = self.eps_placement == "both" or (self.eps_placement == "maximum" and not self.amsgrad)
        s = s + self.eps if kept else s
        if self.amsgrad:
            s_max = np.maximum(s_max, s)
            s_max = s_max + self.eps if self.eps_placement == "maximum" else s_max
        scale = s_max if self.amsgrad else s
        return s, s_max, scale + self.eps if self.eps_placement == "correction" else scale

    def _rectified(self, step: Any, m: Any, s: Any, t: Any) -> Any:
        rho, rho_inf = average_lengths(self, t)
        if self.rectify == "torch_optimizer":
            return rectification(rho, rho_inf) * step if rho > 4 else m
        m_hat = m / (1 - self.beta1**t)
        if rho >= 5:
            return rectification(rho, rho_inf) * np.sqrt(1 - self.beta2**t) * m_hat / (np.sqrt(s) + self.eps)
        return m_hat if self.rectify == "author" else 0.0


class DiffGrad(Optimizer):
    """Adam with a friction of 1/2 to 1, by how much the gradient changed since the last step.

    Source: Dubey et al. 2020, arXiv:1909.11015. ``eps_root`` is a second eps under the root (pytorch-optimizer: 1e-15).
    NaN propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    eps_root: NonNegative = 0.0
    weight_decay: NonNegative = 0.0
    eps_placement: EpsPlacement = "outside"
    previous: Annotated[
        str,
        Choice(
            copy=by("the last step's gradient is kept", "published", "authors: diffGrad_v2"),
            alias=by(
                "the kept gradient is overwritten by the new one, so that the friction is 1/2 from the second step on",
                "authors: the first code, on gradients that are zeroed in place: what the experiments ran",
            ),
        ),
    ] = "copy"
    decay: DecayKind = "coupled"

    citation = Citation(
        "Dubey et al. 2020",
        "diffGrad: An Optimization Method for Convolutional Neural Networks",
        "arXiv:1909.11015",
        read="authors' code",
        source="shivram1987/diffGrad 73233ba, diffGrad.py and diffGrad_v2.py",
    )
    unspecified = "weight decay"
    state = State(m=zeros_like_param, v=zeros_like_param, g_prev=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, v: Any, g_prev: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay and self.decay == "coupled":
            g = g + self.weight_decay * p
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        if self.previous == "alias" and t > 1:
            g_prev = g
        friction = 1 / (1 + exp(-np.abs(g_prev - g)))
        m_hat = m / (1 - self.beta1**t)
        step = over_root(self, friction * m_hat, v, 1 - self.beta2**t)
        return descend(self, p, self.lr * step), m, v, g
