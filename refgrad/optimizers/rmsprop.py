"""RMSprop, plain and centred, with and without momentum."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.parts import DecayKind, descend
from refgrad.rule import Choice, Citation, Decay, Flag, Fraction, NonNegative, Slot, State, by


class RMSprop(Optimizer):
    """A step scaled by the root mean square of past gradients.

    TensorFlow starts the mean square at 1 (``initial_scale``), others at 0. Source: Tieleman & Hinton 2012, lecture 6.5;
    centred after Graves 2013, arXiv:1308.0850, equations 38 to 45. The centred variance can fall below zero by rounding.
    NaN propagates.
    """

    lr: NonNegative = 1e-2
    alpha: Fraction = 0.99
    eps: NonNegative = 1e-8
    initial_scale: NonNegative = 0.0
    weight_decay: NonNegative = 0.0
    momentum: Decay = 0.0
    nesterov: Annotated[bool, Flag(by("the momentum looks ahead: momentum * buffer + step", "optax"))] = False
    centered: Annotated[bool, Flag("the mean of past gradients is subtracted: their variance scales the step")] = False
    bias_correction: Annotated[bool, Flag(by("averages are corrected for their start at zero", "optax: an option"))] = (
        False
    )
    eps_placement: Annotated[
        str,
        Choice(
            outside=by("eps is added to the root", "torch"),
            inside=by("eps is added under the root", "optax", "Keras", "TensorFlow"),
            clamped=by("the root is at least eps", "heavyball"),
        ),
    ] = "outside"
    variance: Annotated[
        str,
        Choice(
            clamped="a centred variance that rounding brought below zero counts as zero",
            bare=by(
                "the root of a centred variance below zero is NaN",
                "torch",
                "optax",
                "Keras: where eps does not save it",
            ),
        ),
    ] = "clamped"
    lr_placement: Annotated[
        str,
        Choice(
            outside=by("lr multiplies the momentum's buffer", "torch"),
            buffer=by(
                "lr multiplies what enters the buffer, so that a change of lr acts late", "Keras", "TensorFlow", "timm"
            ),
            velocity=by("the same, but the buffer has the sign of what is added to the parameter", "optax"),
        ),
    ] = "outside"
    decay: DecayKind = "coupled"

    scaling = "invariant"
    citation = Citation(
        "Tieleman & Hinton 2012",
        "Lecture 6.5 - RMSProp",
        "COURSERA: Neural Networks for Machine Learning",
        read="package",
        source="torch 2.13.0 RMSprop; optax 0.2.8 rmsprop; Keras 3.15.1 RMSprop",
    )
    unspecified = "eps, momentum and decay: the lecture has none; a centred variance below zero"
    state = State(v=Slot(fill="initial_scale"), g_avg=Slot(when="centered"), buffer=Slot(when="momentum"))

    def update(self, p: Any, g: Any, v: Any, g_avg: Any, buffer: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay and self.decay == "coupled":
            g = g + self.weight_decay * p
        v = self.alpha * v + (1 - self.alpha) * g * g
        bias = 1 - self.alpha**t
        scale = v / bias if self.bias_correction else v
        if self.centered:
            g_avg = self.alpha * g_avg + (1 - self.alpha) * g
            mean = g_avg / bias if self.bias_correction else g_avg
            scale = scale - mean * mean
            scale = np.maximum(scale, 0.0) if self.variance == "clamped" else scale
        if self.eps_placement == "inside":
            step = g / np.sqrt(scale + self.eps)
        elif self.eps_placement == "clamped":
            step = g / np.maximum(np.sqrt(scale), self.eps)
        else:
            step = g / (np.sqrt(scale) + self.eps)
        return self._descend(p, step, v, g_avg, buffer)

    def _descend(self, p: Any, step: Any, v: Any, g_avg: Any, buffer: Any) -> tuple[Any, ...]:
        """The step through the momentum's buffer, if there is one."""
        rates = {"outside": (1, self.lr), "buffer": (self.lr, 1), "velocity": (-self.lr, -1)}
        entering, leaving = rates[self.lr_placement] if self.momentum else (1, self.lr)
        if self.momentum:
            step = entering * step
            buffer = self.momentum * buffer + step
            step = self.momentum * buffer + step if self.nesterov else buffer
        return descend(self, p, leaving * step), v, g_avg, buffer
