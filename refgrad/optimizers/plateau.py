"""A learning rate that is lowered when the loss has stopped falling."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np

from refgrad.errors import bad_argument
from refgrad.optimizers.wrapper import Wrapper
from refgrad.rule import Citation, Extra, Extras, Fraction, NonNegative, Range, State, Whole, scalar_slot


class ReduceOnPlateau(Wrapper):
    """The inner rule with its ``lr`` multiplied by ``factor`` each time that the loss has not fallen for ``patience`` turns.

    The loss has fallen where it is below ``(1 - rtol) * best - atol``. A turn is ``accumulation_size`` steps, whose mean loss
    counts; after a reduction ``cooldown`` turns are not counted; the multiplier stays above ``min_scale``. The step is taken with
    the multiplier that the losses up to its own give.

    Source: Keras' and torch's ReduceLROnPlateau, in the form of optax.contrib.reduce_on_plateau 0.2.8.
    """

    factor: Annotated[float, Range(0.0, 1.0)] = 0.1
    patience: Annotated[int, Whole(1)] = 10
    rtol: Fraction = 1e-4
    atol: NonNegative = 0.0
    cooldown: Annotated[int, Whole(0)] = 0
    accumulation_size: Annotated[int, Whole(1)] = 1
    min_scale: NonNegative = 0.0

    citation = Citation(
        "DeepMind et al. 2020",
        "The DeepMind JAX Ecosystem: optax.contrib.reduce_on_plateau",
        "github.com/google-deepmind/optax",
        read="authors' code",
        source="optax 0.2.8 contrib.reduce_on_plateau",
    )
    unspecified = (
        "whether the step at which the loss stops falling takes the old multiplier or the new one: the new one (optax)"
    )
    extras = Extras(loss=Extra("loss"))
    state = State(
        scale=scalar_slot(1.0),
        best_value=scalar_slot(math.inf),
        plateau_count=scalar_slot(0.0),
        cooldown_count=scalar_slot(0.0),
        count=scalar_slot(0.0),
        avg_value=scalar_slot(0.0),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if "lr" not in self.inner.legal():
            raise bad_argument("ReduceOnPlateau.inner", str(self.inner), "a rule with a learning rate, such as SGD()")

    def update(self, p: Any, g: Any, loss: Any, *state_step_and_t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        scale, best, plateau, cooling, count, mean, step, _ = state_step_and_t
        mean = (count * mean + loss) / (count + 1)
        count = count + 1
        if count == self.accumulation_size:
            fallen = mean < (1 - self.rtol) * best - self.atol
            best, plateau = (mean, 0.0) if fallen else (best, plateau + 1)
            if cooling > 0:
                plateau, cooling = 0.0, cooling - 1
            elif plateau == self.patience:
                plateau, cooling = 0.0, float(self.cooldown)
                scale = np.maximum(self.factor * scale, self.min_scale)
            count, mean = 0.0, 0.0
        return step(p, g, lr=scale * self.inner.lr), scale, best, plateau, cooling, count, mean  # type: ignore[attr-defined]
