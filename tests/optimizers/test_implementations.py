"""Rules against implementations that we did not write, under the arithmetic that those use."""

from __future__ import annotations

from typing import Any

import pytest

import refgrad
from refgrad import optimizers as o

TORCH: list[tuple[str, Any, dict]] = [
    ("SGD", o.SGD(lr=0.1), {}),
    ("SGD", o.SGD(lr=0.1, momentum=0.9, dampening=0.5, weight_decay=0.1, first_step="undamped"), {}),
    ("SGD", o.SGD(lr=0.1, momentum=0.9, nesterov=True), {}),
    ("Adam", o.Adam(weight_decay=0.1), {}),
    ("Adam", o.AMSGrad(order="torch"), {"amsgrad": True}),
    ("AdamW", o.AdamW(), {"foreach": False}),
    ("AdamW", o.AdamW(), {"foreach": True}),
    ("AdamW", o.AdamW(), {"fused": True}),
    ("NAdam", o.NAdam(), {}),
    ("RAdam", o.RAdam(threshold="torch", eps_placement="uncorrected"), {}),
    ("Adamax", o.Adamax(eps_placement="inside_max"), {}),
    ("Adagrad", o.Adagrad(lr_decay=0.1), {}),
    ("Adadelta", o.Adadelta(), {}),
    ("RMSprop", o.RMSprop(), {}),
    ("RMSprop", o.RMSprop(momentum=0.9, weight_decay=0.1), {}),
    ("RMSprop", o.RMSprop(centered=True), {}),
    ("RMSprop", o.RMSprop(centered=True, variance="bare"), {}),
    ("NAdam", o.NAdam(decay="before", weight_decay=0.1), {"decoupled_weight_decay": True}),
    (
        "RAdam",
        o.RAdam(threshold="torch", eps_placement="uncorrected", decay="before", weight_decay=0.1),
        {"decoupled_weight_decay": True},
    ),
    ("AdamW", o.AMSGrad(order="torch", decay="before", weight_decay=0.1), {"amsgrad": True}),
]

OPTAX: list[tuple[str, Any]] = [
    ("sgd", o.SGD(lr=0.1, momentum=0.9)),
    ("adam", o.Adam(scalars="float32")),
    ("adamw", o.AdamW(scalars="float32")),
    ("amsgrad", o.AMSGrad(order="optax", scalars="float32")),
    ("nadam", o.NAdam(schedule="constant", scalars="float32")),
    ("radam", o.RAdam(threshold="author", scalars="float32")),
    ("adamax", o.Adamax(eps_placement="inside_max", scalars="float32")),
    ("adabelief", o.AdaBelief(scalars="float32")),
    ("adadelta", o.Adadelta(scalars="float32")),
    ("lion", o.Lion(weight_decay=1e-3, scalars="float32")),
    ("lamb", o.LAMB(scalars="float32")),
    ("adam", o.Adam(eps_root=1e-8, scalars="float32")),
    ("adamw", o.AdamW(eps_root=1e-8, scalars="float32")),
    ("rmsprop", o.RMSprop(eps_placement="inside", scalars="float32")),
    (
        "rmsprop",
        o.RMSprop(momentum=0.9, nesterov=True, eps_placement="inside", lr_placement="velocity", scalars="float32"),
    ),
    ("rmsprop", o.RMSprop(centered=True, variance="bare", eps_placement="inside", scalars="float32")),
    ("rmsprop", o.RMSprop(bias_correction=True, eps_placement="inside", scalars="float32")),
    (
        "adagrad",
        o.Adagrad(initial_accumulator_value=0.1, eps=1e-7, eps_placement="inside_or_still", scalars="float32"),
    ),
    ("adagrad", o.Adagrad(eps_placement="inside_or_still", scalars="float32")),
]


@pytest.mark.parametrize(("name", "rule", "options"), TORCH, ids=lambda x: str(x))
def test_torch(name: str, rule: Any, options: dict) -> None:
    pytest.importorskip("torch")
    verdict = refgrad.verify(f"torch.optim:{name}", rule, options=options)
    assert verdict.mode == "step-locked"
    verdict.raise_if_wrong()


@pytest.mark.parametrize(("name", "rule"), OPTAX, ids=lambda x: str(x))
def test_optax(name: str, rule: Any) -> None:
    """XLA on a CPU flushes subnormal numbers, and optax keeps its scalars in float32 arrays."""
    pytest.importorskip("optax")
    refgrad.verify(f"optax:{name}", rule, policy={"subnormals": "either"}).raise_if_wrong()


def test_optax_amsgrad_without_bias_correction_is_the_papers() -> None:
    pytest.importorskip("optax")
    options = {"bias_correction_mu": False, "bias_correction_nu": False}
    rule = o.AMSGrad(scalars="float32")
    refgrad.verify("optax:amsgrad", rule, options=options, policy={"subnormals": "either"}).raise_if_wrong()


def test_lion_refined_is_an_option_of_optax() -> None:
    optax = pytest.importorskip("optax")
    made = optax.chain(optax.scale_by_lion(mode="refined"), optax.scale_by_learning_rate(1e-4))
    rule = o.Lion(direction="refined", scalars="float32")
    refgrad.verify(made, rule, policy={"subnormals": "either"}).raise_if_wrong()


def test_the_departures_of_optax_and_torch_are_named() -> None:
    pytest.importorskip("optax")
    pytest.importorskip("torch")
    adamw = refgrad.verify("optax:adamw", o.AdamW(), shrink=False)
    assert not adamw.conforms
    assert adamw.explanation is not None
    assert "scalars=float32" in adamw.explanation.name
    radam = refgrad.verify("torch.optim:RAdam", o.RAdam(), shrink=False)
    assert radam.explanation is not None
    assert radam.explanation.name == "threshold=torch, eps_placement=uncorrected"
