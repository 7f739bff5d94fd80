"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from typing import Annotated, Any

from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.parts import DecayKind, descend
from refgrad.rule import Choice, Citation, Decay, Flag, Fraction, NonNegative, Slot, State, by


class SGD(Optimizer):
    """Gradient descent with heavy-ball or Nesterov momentum and coupled weight decay.

    The momentum's buffer is `momentum * buffer + (1 - dampening) * g`. Source: Polyak 1964; Nesterov's form after Sutskever
    et al. 2013, as rewritten at the look-ahead point. With ``decay=before`` it is SGDW (Loshchilov & Hutter 2019,
    Algorithm 1). NaN propagates.
    """

    lr: NonNegative = 1e-3
    momentum: Decay = 0.0
    dampening: Fraction = 0.0
    weight_decay: NonNegative = 0.0
    nesterov: Annotated[bool, Flag("the step looks ahead: g + momentum * buffer")] = False
    first_step: Annotated[
        str,
        Choice(
            damped=by(
                "the buffer starts at zero, so that the first gradient is damped like every other", "optax", "published"
            ),
            undamped=by("the first gradient enters the buffer without dampening", "torch"),
        ),
    ] = "damped"
    lr_placement: Annotated[
        str,
        Choice(
            outside=by("lr multiplies the buffer", "torch", "optax"),
            velocity=by(
                "lr multiplies what enters the buffer, which is added to the parameter: a change of lr acts late",
                "published: Sutskever et al. 2013",
                "Keras",
            ),
        ),
    ] = "outside"
    decay: DecayKind = "coupled"

    scaling = "linear"
    citation = Citation(
        "Polyak 1964; Sutskever et al. 2013",
        "On the importance of initialization and momentum in deep learning",
        "ICML 2013",
        read="package",
        source="torch 2.13.0 SGD; optax 0.2.8 sgd; Keras 3.15.1 SGD",
    )
    default_reasons = {"lr_placement": "torch and optax have lr outside; the steps are the same while lr is constant"}
    unspecified = (
        "dampening and decay are not in the source; whether the first gradient is damped; Sutskever et al. "
        "have lr inside the velocity, which is the same as long as lr is constant"
    )
    state = State(buffer=Slot(when="momentum"))

    def update(self, p: Any, g: Any, buffer: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay and self.decay == "coupled":
            g = g + self.weight_decay * p
        inside = self.momentum and self.lr_placement == "velocity"
        g = -self.lr * g if inside else g
        if self.momentum:
            if t == 1 and self.first_step == "undamped":
                buffer = 1.0 * g
            else:
                buffer = self.momentum * buffer + (1 - self.dampening) * g
            g = g + self.momentum * buffer if self.nesterov else buffer
        return descend(self, p, -g if inside else self.lr * g), buffer
