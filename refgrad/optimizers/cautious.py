"""Cautious rules: a step is taken only where it agrees with the gradient in sign, and the rest is made larger for it."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.primitives import length, tree_sum
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Choice, Citation, Decay, NonNegative, State, by, zeros_like_param

Rescaling = Annotated[
    str,
    Choice(
        plus_one=by(
            "the steps that are taken are multiplied by n over one more than their number",
            "published",
            "authors: c_lion.py, and c_adamw.py at first",
            "pytorch-optimizer",
        ),
        at_least=by(
            "by n over their number, which counts as no less than least_share of n",
            "authors: c_adamw.py",
            "timm: a thousandth",
        ),
    ),
]


def cautious(direction: Any, g: Any, rule: Any) -> Any:
    """A direction where it has the gradient's sign, rescaled by how much of it is left; zero elsewhere."""
    agrees = np.where(direction * g > 0, 1.0 + 0.0 * g, 0.0)
    count = tree_sum(agrees)
    if rule.rescaling == "plus_one":
        return direction * agrees * (length(g) / (count + 1))
    return direction * agrees * (1 / np.maximum(count / length(g), rule.least_share))


class CautiousAdamW(Optimizer):
    """AdamW that steps only where its direction agrees with the gradient in sign; all decays.

    Source: Liang et al. 2024, arXiv:2411.16085, Algorithm 1. One NaN reaches the whole tensor.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 1e-2
    least_share: NonNegative = 1e-3
    rescaling: Rescaling = "plus_one"
    eps_placement: Annotated[
        str,
        Choice(
            outside=by("eps is added to the root of the corrected second moment", "published", "authors: foreach=True"),
            uncorrected=by("eps is added to the root of the uncorrected second moment", "authors: foreach=False"),
        ),
    ] = "outside"

    scaling = "invariant"
    citation = Citation(
        "Liang et al. 2024",
        "Cautious Optimizers: Improving Training with One Line of Code",
        "arXiv:2411.16085, Algorithm 1",
        read="authors' code",
        source="kyleliang919/C-Optim 2c0517c, c_adamw.py",
    )
    unspecified = (
        "what the kept steps are multiplied by: n over their number plus one, as the authors' code had it first; it has "
        "since taken timm's n over at least a thousandth of n (rescaling=at_least), and its plain loop adds eps to the "
        "uncorrected root (eps_placement=uncorrected); eps and decay are those of AdamW, all elements decay"
    )
    state = State(m=zeros_like_param, v=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        m_hat = m / (1 - self.beta1**t)
        v_hat = v / (1 - self.beta2**t)
        if self.eps_placement == "uncorrected":
            m_hat, v_hat = np.sqrt(1 - self.beta2**t) * m_hat, v
        direction = m_hat / (np.sqrt(v_hat) + self.eps)
        return p - self.lr * (cautious(direction, g, self) + self.weight_decay * p), m, v


class CautiousLion(Optimizer):
    """Lion that steps only where its sign is the gradient's; all decays.

    Source: Liang et al. 2024, arXiv:2411.16085, Algorithm 2. One NaN reaches the whole tensor.
    """

    lr: NonNegative = 1e-4
    beta1: Decay = 0.9
    beta2: Decay = 0.99
    weight_decay: NonNegative = 0.0
    least_share: NonNegative = 1e-3
    rescaling: Rescaling = "plus_one"

    scaling = "invariant"
    citation = Citation(
        "Liang et al. 2024",
        "Cautious Optimizers: Improving Training with One Line of Code",
        "arXiv:2411.16085, Algorithm 2",
        read="authors' code",
        source="kyleliang919/C-Optim 2c0517c, c_lion.py",
    )
    unspecified = (
        "as CautiousAdamW: the rescaling differs between the authors' code and timm; whether elements that do not "
        "step decay: they do"
    )
    state = State(m=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        c = self.beta1 * m + (1 - self.beta1) * g
        p = p - self.lr * (cautious(np.sign(c), g, self) + self.weight_decay * p)
        m = self.beta2 * m + (1 - self.beta2) * g
        return p, m
