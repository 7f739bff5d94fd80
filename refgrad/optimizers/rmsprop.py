"""RMSprop, plain and centred, with and without momentum."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.optimizers.base import Optimizer
from refgrad.rule import Choice, Citation, Decay, Flag, Fraction, NonNegative, Slot, State, zeros_like_param


class RMSprop(Optimizer):
    """A step scaled by the root mean square of past gradients.

    Source: Tieleman & Hinton 2012, lecture 6.5; centred after Graves 2013, arXiv:1308.0850, equations 38 to 45.
    The centred variance can fall below zero by rounding; it is held at zero here (torch does not, and gives NaN).
    NaN propagates.
    """

    lr: NonNegative = 1e-2
    alpha: Fraction = 0.99
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    momentum: Decay = 0.0
    centered: Annotated[bool, Flag("the mean of past gradients is subtracted: their variance scales the step")] = False
    eps_placement: Annotated[
        str,
        Choice(
            outside="eps is added to the root (torch)",
            inside="eps is added under the root (optax, Keras)",
        ),
    ] = "outside"

    citation = Citation(
        "Tieleman & Hinton 2012", "Lecture 6.5 - RMSProp", "COURSERA: Neural Networks for Machine Learning"
    )
    state = State(v=zeros_like_param, g_avg=Slot(when="centered"), buffer=Slot(when="momentum"))

    def update(self, p: Any, g: Any, v: Any, g_avg: Any, buffer: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay:
            g = g + self.weight_decay * p
        v = self.alpha * v + (1 - self.alpha) * g * g
        scale = v
        if self.centered:
            g_avg = self.alpha * g_avg + (1 - self.alpha) * g
            scale = np.maximum(v - g_avg * g_avg, 0.0)
        if self.eps_placement == "inside":
            step = g / np.sqrt(scale + self.eps)
        else:
            step = g / (np.sqrt(scale) + self.eps)
        if self.momentum:
            buffer = self.momentum * buffer + step
            step = buffer
        return p - self.lr * step, v, g_avg, buffer
