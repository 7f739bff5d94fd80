"""Keras 3 on its backends. It computes powers of decays, and what it derives from them, in the variables' own float32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from refgrad import optimizers as o
from refgrad.optimizers.base import Optimizer
from refgrad.surveys.implementations.record import Implementation

DECAYED: dict[str, Any] = {"weight_decay": 0.1}

#: class, what its documentation says it is, its options, what it is found to be instead
CASES: list[tuple[str, Optimizer, dict[str, Any], dict[str, Any]]] = [
    ("SGD", o.SGD(momentum=0.9, **DECAYED), {}, {"lr_placement": "velocity", "decay": "before"}),
    ("SGD", o.SGD(momentum=0.9, nesterov=True), {}, {"lr_placement": "velocity", "decay": "before"}),
    ("AdamW", o.AdamW(eps=1e-7, **DECAYED), {}, {"eps_placement": "uncorrected"}),
    (
        "Adam",
        o.AMSGrad(eps=1e-7, **DECAYED),
        {"amsgrad": True},
        {"order": "torch", "eps_placement": "uncorrected", "decay": "before"},
    ),
    ("Adamax", o.Adamax(eps=1e-7, **DECAYED), {}, {"eps_placement": "outside", "decay": "before"}),
    ("Nadam", o.NAdam(eps=1e-7, **DECAYED), {}, {"momentum_decay": 1.0, "decay": "before"}),
    (
        "Adagrad",
        o.Adagrad(eps=1e-7, initial_accumulator_value=0.1, **DECAYED),
        {},
        {"eps_placement": "inside", "decay": "before"},
    ),
    ("Adadelta", o.Adadelta(rho=0.95, eps=1e-7, **DECAYED), {}, {"decay": "before"}),
    (
        "RMSprop",
        o.RMSprop(alpha=0.9, eps=1e-7, momentum=0.9, **DECAYED),
        {},
        {"eps_placement": "inside", "lr_placement": "buffer", "decay": "before"},
    ),
    ("Lion", o.Lion(**DECAYED), {}, {}),
    ("Lamb", o.LAMB(eps=1e-7, **DECAYED), {}, {"decay": "before"}),
]

#: backend -> the fields of the policy that it needs
BACKENDS: dict[str, dict[str, str]] = {
    "torch": {},
    "jax": {"subnormals": "either"},
    "tensorflow": {"subnormals": "either"},
}


def on_backends(target: str, **known: Any) -> Iterator[Implementation]:
    """An optimizer once for each backend."""
    for backend, policy in BACKENDS.items():
        yield Implementation(
            package="keras",
            target=target,
            scalars="float32",
            policy=policy,
            form=backend,
            requires=(backend,),
            environment={"KERAS_BACKEND": backend},
            **known,
        )


ROWS = [
    *on_backends(
        "keras.optimizers:Adam",
        claim=o.Adam(eps=1e-7),
        variant={"eps_placement": "uncorrected"},
        explained=False,
        note="with a decay it is AdamW",
    ),
    *[
        each
        for name, claim, options, variant in CASES
        for each in on_backends(f"keras.optimizers:{name}", claim=claim, options=options, variant=variant)
    ],
]
