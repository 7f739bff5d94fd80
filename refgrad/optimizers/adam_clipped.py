"""Adam with a bound on a tensor's update: StableAdamW; and MARS, which corrects and bounds its gradient first."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.primitives import length, tree_sum
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.trust_ratio import norm
from refgrad.rule import Choice, Citation, Decay, NonNegative, Slot, State, by, zeros_like_param


class StableAdamW(Optimizer):
    """AdamW whose step and decay shrink where the tensor's gradients outgrow their second moments.

    Source: Wortsman et al. 2023, arXiv:2304.13013, Algorithm 2. One NaN reaches the whole tensor.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.99
    eps: NonNegative = 1e-6
    weight_decay: NonNegative = 1e-2
    decay: Annotated[
        str,
        Choice(
            shrunk=by("the decay shrinks with the step", "published", "torch-optimi", "pytorch-optimizer"),
            whole=by("only the step shrinks", "timm: a flag"),
        ),
    ] = "shrunk"

    scaling = "invariant"
    citation = Citation(
        "Wortsman et al. 2023",
        "Stable and low-precision training for large-scale vision-language models",
        "arXiv:2304.13013, Algorithm 2",
        read="package",
        source="torch-optimi 0.3.3 StableAdamW; pytorch-optimizer 4.1.0; timm 1.0.31",
    )
    unspecified = (
        "weight decay shrinks with the step, as in the algorithm; timm leaves it whole (decay=whole). The decays "
        "are corrected as in Adafactor, and squares are floored at eps squared in the ratio, both as printed"
    )
    state = State(m=zeros_like_param, v=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:
        beta1 = self.beta1 * (1 - self.beta1 ** (t - 1)) / (1 - self.beta1**t)
        beta2 = self.beta2 * (1 - self.beta2 ** (t - 1)) / (1 - self.beta2**t)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        rms = np.sqrt(tree_sum(g * g / np.maximum(v, self.eps**2)) / length(p))
        lr = self.lr / np.maximum(1.0, rms)
        decay = (lr if self.decay == "shrunk" else self.lr) * self.weight_decay
        return p - decay * p - lr * m / (np.sqrt(v) + self.eps), m, v


class MARS(Optimizer):
    """AdamW on a gradient that is corrected by its last change, and then scaled to a norm of at most one.

    Source: Yuan et al. 2024, arXiv:2411.10438, Algorithm 2 (MARS-AdamW), in its approximate form, where the change is from
    the gradient of the last step. One NaN reaches the whole tensor.
    """

    lr: NonNegative = 3e-3
    beta1: Decay = 0.95
    beta2: Decay = 0.99
    gamma: NonNegative = 0.025
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    hidden_eps: NonNegative = 1e-15
    first_change: Annotated[
        str,
        Choice(
            none=by("there is no change before the first step", "timm", "published: two equal points at first"),
            from_zero=by("the first gradient changed from zero", "authors", "pytorch-optimizer"),
        ),
    ] = "none"
    eps_placement: Annotated[
        str,
        Choice(
            outside=by("eps is added to the root of the corrected second moment", "published"),
            hidden=by(
                "hidden_eps is added under the root of the uncorrected one, and eps to that root", "pytorch-optimizer"
            ),
        ),
    ] = "outside"

    citation = Citation(
        "Yuan et al. 2024",
        "MARS: Unleashing the Power of Variance Reduction for Training Large Models",
        "arXiv:2411.10438, Algorithm 2",
        read="authors' code",
        source="AGI-Arena/MARS 4831e28",
    )
    unspecified = (
        "the first change: none here; the authors' code counts the first gradient as a change from zero. The exact "
        "form, with two gradients of one batch, is not offered"
    )
    state = State(m=zeros_like_param, v=zeros_like_param, g_prev=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, v: Any, g_prev: Any, t: Any) -> tuple[Any, ...]:
        if t == 1 and self.first_change == "none":
            g_prev = g
        c = g + self.gamma * self.beta1 / (1 - self.beta1) * (g - g_prev)
        c = c / np.maximum(1.0, norm(c))
        m = self.beta1 * m + (1 - self.beta1) * c
        v = self.beta2 * v + (1 - self.beta2) * c * c
        m_hat = m / (1 - self.beta1**t)
        if self.eps_placement == "hidden":
            direction = m_hat * np.sqrt(1 - self.beta2**t) / (np.sqrt(v + self.hidden_eps) + self.eps)
        else:
            direction = m_hat / (np.sqrt(v / (1 - self.beta2**t)) + self.eps)
        return p - self.lr * (direction + self.weight_decay * p), m, v, g


class AdamMini(Optimizer):
    """AdamW with one second moment for each block of a parameter: its rows (output neurons), or the whole tensor.

    Source: Zhang et al. 2024, arXiv:2406.16793, Algorithm 1 for one parameter; which parameters are cut into which blocks
    is the caller's to say. One NaN reaches its whole block.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    blocks: Annotated[
        str,
        Choice(
            row="one block a row of the first axis (an output neuron)",
            tensor="one block for all",
        ),
    ] = "row"

    scaling = "invariant"
    citation = Citation(
        "Zhang et al. 2024",
        "Adam-mini: Use Fewer Learning Rates To Gain More",
        "arXiv:2406.16793, Algorithm 1",
        read="authors' code",
        source="adam-mini 1.1.1; zyushun/Adam-mini 402aadf",
    )
    unspecified = (
        "which parameters are cut into which blocks: the paper partitions by the model's architecture (heads, "
        "neurons, the embedding by tokens); here the caller says row or tensor"
    )
    state = State(m=zeros_like_param, v=Slot(axes="blocks"))

    def update(self, p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        over: Any = self.blocks if p.ndim else "tensor"
        v = self.beta2 * v + (1 - self.beta2) * (tree_sum(g * g, over) / length(p, over))
        m_hat = m / (1 - self.beta1**t)
        v_hat = v / (1 - self.beta2**t)
        return p - self.lr * (m_hat / (np.sqrt(v_hat) + self.eps) + self.weight_decay * p), m, v
