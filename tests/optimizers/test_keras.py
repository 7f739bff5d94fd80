"""Rules against Keras 3 on its torch backend; skipped where Keras is missing.

Keras computes powers of decays, and what it derives from them, in the variables' own float32: ``scalars=float32``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import optimizers as o
from refgrad.candidates.protocol import Observation

os.environ.setdefault("KERAS_BACKEND", "torch")

#: slot -> the attribute of a Keras optimizer that holds its variables
Slots = dict[str, str]
ADAM: Slots = {"m": "_momentums", "v": "_velocities"}
FLOAT32 = {"scalars": "float32"}
DECAYED = {"weight_decay": 0.1, **FLOAT32}

CASES: list[tuple[str, Any, dict[str, Any], Slots]] = [
    (
        "SGD",
        o.SGD(momentum=0.9, lr_placement="velocity", decay="before", **DECAYED),
        {"momentum": 0.9},
        {"buffer": "momentums"},
    ),
    (
        "SGD",
        o.SGD(momentum=0.9, nesterov=True, lr_placement="velocity", **FLOAT32),
        {"momentum": 0.9, "nesterov": True},
        {"buffer": "momentums"},
    ),
    ("Adam", o.Adam(eps=1e-7, eps_placement="uncorrected", **FLOAT32), {}, ADAM),
    ("AdamW", o.AdamW(eps=1e-7, eps_placement="uncorrected", **DECAYED), {}, ADAM),
    (
        "Adam",
        o.AMSGrad(eps=1e-7, order="torch", eps_placement="uncorrected", decay="before", **DECAYED),
        {"amsgrad": True},
        {**ADAM, "v_max": "_velocity_hats"},
    ),
    ("Adamax", o.Adamax(eps=1e-7, eps_placement="outside", decay="before", **DECAYED), {}, {"m": "_m", "u": "_u"}),
    ("Nadam", o.NAdam(eps=1e-7, momentum_decay=1.0, decay="before", **DECAYED), {}, ADAM),
    (
        "Adagrad",
        o.Adagrad(eps=1e-7, initial_accumulator_value=0.1, eps_placement="inside", decay="before", **DECAYED),
        {},
        {"s": "_accumulators"},
    ),
    ("Adadelta", o.Adadelta(rho=0.95, eps=1e-7, decay="before", **DECAYED), {}, {}),
    (
        "RMSprop",
        o.RMSprop(
            alpha=0.9, eps=1e-7, momentum=0.9, eps_placement="inside", lr_placement="buffer", decay="before", **DECAYED
        ),
        {"momentum": 0.9},
        {"v": "_velocities", "buffer": "_momentums"},
    ),
    ("Lion", o.Lion(**DECAYED), {"beta_2": 0.99}, {"m": "_momentums"}),
    ("Lamb", o.LAMB(eps=1e-7, decay="before", **DECAYED), {"epsilon": 1e-7}, ADAM),
]


@dataclass
class Keras:
    """A Keras optimizer by name as a candidate."""

    name: str
    options: dict[str, Any]
    slots: Slots

    def start(self, rule: Any, params: Sequence[np.ndarray]) -> KerasRun:
        keras = pytest.importorskip("keras")
        decay = {"weight_decay": rule.weight_decay} if rule.weight_decay else {}
        optimizer = getattr(keras.optimizers, self.name)(learning_rate=rule.lr, **decay, **self.options)
        variables = [keras.Variable(p.copy()) for p in params]
        optimizer.build(variables)
        return KerasRun(optimizer, variables, self.slots)


@dataclass
class KerasRun:
    """It, with its variables."""

    optimizer: Any
    variables: list[Any]
    slots: Slots

    def step(self, grads: Sequence[np.ndarray]) -> None:
        from keras import ops

        self.optimizer.apply([ops.convert_to_tensor(g.copy()) for g in grads])

    def observe(self) -> Observation:
        found = {slot: getattr(self.optimizer, name) for slot, name in self.slots.items()}
        arrays = [{slot: np.array(held[i]) for slot, held in found.items()} for i in range(len(self.variables))]
        return Observation([np.array(v) for v in self.variables], arrays)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} as {case[1]}")
def test_keras(case: tuple[str, Any, dict[str, Any], Slots]) -> None:
    pytest.importorskip("keras", reason="keras is not installed")
    name, rule, options, slots = case
    refgrad.verify(Keras(name, options, slots), rule).raise_if_wrong()
