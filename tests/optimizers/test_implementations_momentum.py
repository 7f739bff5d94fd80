"""Momentum, sign and Adam's relatives against implementations that we did not write."""

from __future__ import annotations

from typing import Any

import pytest

import refgrad
from refgrad import optimizers as o

F32 = {"scalars": "float32"}
YOGI = {"correction": "adam", "initial_m": 1e-6, "initial_v": 1e-6}

#: where it is installed: (target, rule, options); XLA on a CPU flushes subnormals, and optax keeps its scalars in float32
OPTAX: list[tuple[str, Any, dict[str, Any]]] = [
    ("optax:rprop", o.Rprop(lr=0.01, reversal="delayed", **F32), {}),
    ("optax:sign_sgd", o.SignDescent(**F32), {}),
    ("optax:signum", o.Signum(**F32), {}),
    ("optax:optimistic_gradient_descent", o.OptimisticGradient(alpha=0.7, beta=0.3, **F32), {}),
    ("optax:yogi", o.Yogi(**YOGI, **F32), {}),
    (
        "optax:adan",
        o.Adan(start="corrected", decay="before", difference="one_minus_beta2", weight_decay=0.1, **F32),
        {"eps_root": 0.0},
    ),
    ("optax.contrib:ademamix", o.AdEMAMix(weight_decay=0.1, **F32), {}),
    ("optax.contrib:simplified_ademamix", o.SimplifiedAdEMAMix(alpha=0.5, weight_decay=0.1, **F32), {}),
    ("optax.contrib:adopt", o.ADOPT(**F32), {}),
    ("optax.contrib:acprop", o.ACProp(deviation="old", weight_decay=0.1, **F32), {}),
    ("optax:adamaxw", o.AdamaxW(eps_placement="inside_max", **F32), {}),
    (
        "optax:adagrad",
        o.Adagrad(lr=0.1, initial_accumulator_value=0.1, eps=1e-7, eps_placement="inside", **F32),
        {},
    ),
    ("optax:rmsprop", o.RMSprop(lr=0.1, alpha=0.9, eps_placement="inside", **F32), {}),
    ("optax:optimistic_adam_v2", o.OptimisticAdam(nesterov=True, **F32), {}),
    ("optax:optimistic_adam_v2", o.OptimisticAdam(alpha=0.7, beta=0.3, **F32), {"nesterov": False}),
    ("optax:nadamw", o.NAdamW(**F32), {}),
]

TORCH: list[tuple[str, Any, dict[str, Any]]] = [
    ("torch.optim:Rprop", o.Rprop(lr=0.01, reversal="skip"), {"foreach": foreach}) for foreach in (False, True)
]

PYTORCH_OPTIMIZER: list[tuple[str, Any, dict[str, Any]]] = [
    ("AccSGD", o.AccSGD(), {}),
    ("AdaMod", o.AdaMod(sizes="corrected", weight_decay=0.1), {}),
    ("AccSGD", o.AccSGD(), {}),
    ("PNM", o.PNM(), {}),
    ("AdaMod", o.AdaMod(sizes="corrected", weight_decay=0.1), {}),
    ("SGDW", o.SGDW(decay="before", first_step="undamped"), {}),
    ("QHM", o.QHM(lr=0.1), {}),
    ("AggMo", o.AggMo(), {"betas": (0.0, 0.9, 0.99)}),
    ("SignSGD", o.Signum(weight_decay=0.1), {"momentum": 0.9}),
    ("Tiger", o.Tiger(), {}),
    ("QHAdam", o.QHAdam(corrected_state=True), {"nus": (0.7, 1.0)}),
    ("Adan", o.Adan(start="corrected", weight_decay=0.1), {"foreach": True}),
    ("AdEMAMix", o.AdEMAMix(beta3=0.999, weight_decay=0.1), {"weight_decouple": True}),
    ("AdEMAMix", o.AdEMAMix(beta3=0.999, warmup=5.0), {"t_alpha_beta3": 5.0}),
    ("LaProp", o.LaProp(eps_placement="hidden", weight_decay=0.1), {}),
    ("Grams", o.Grams(), {}),
    ("Yogi", o.Yogi(**YOGI), {}),
    ("ADOPT", o.ADOPT(clip="counted", first_step="decays", weight_decay=0.1), {"weight_decouple": True}),
]

TORCH_OPTIMIZER: list[tuple[str, Any, dict[str, Any]]] = [
    ("SGDW", o.SGDW(decay="constant", first_step="undamped"), {}),
    ("QHM", o.QHM(lr=0.1), {}),
    ("AggMo", o.AggMo(), {"betas": (0.0, 0.9, 0.99)}),
    ("Yogi", o.Yogi(**YOGI), {}),
    ("QHAdam", o.QHAdam(corrected_state=True), {"nus": (0.7, 1.0)}),
]


def told(value: object) -> str:
    return str(value)


@pytest.mark.parametrize(("target", "rule", "options"), OPTAX, ids=told)
def test_optax(target: str, rule: Any, options: dict[str, Any]) -> None:
    pytest.importorskip("optax")
    refgrad.verify(target, rule, options=options, policy={"subnormals": "either"}).raise_if_wrong()


@pytest.mark.parametrize(("target", "rule", "options"), TORCH, ids=told)
def test_torch(target: str, rule: Any, options: dict[str, Any]) -> None:
    pytest.importorskip("torch")
    verdict = refgrad.verify(target, rule, options=options).raise_if_wrong()
    assert verdict.mode == "step-locked"


@pytest.mark.parametrize(("name", "rule", "options"), PYTORCH_OPTIMIZER, ids=told)
def test_pytorch_optimizer(name: str, rule: Any, options: dict[str, Any]) -> None:
    pytest.importorskip("pytorch_optimizer", reason="pytorch-optimizer is not installed")
    refgrad.verify(f"pytorch_optimizer:{name}", rule, options={"foreach": False, **options}).raise_if_wrong()


@pytest.mark.parametrize(("name", "rule", "options"), TORCH_OPTIMIZER, ids=told)
def test_torch_optimizer(name: str, rule: Any, options: dict[str, Any]) -> None:
    pytest.importorskip("torch_optimizer", reason="torch-optimizer is not installed")
    refgrad.verify(f"torch_optimizer:{name}", rule, options=options).raise_if_wrong()


@pytest.mark.parametrize(
    ("package", "name", "rule"),
    [
        ("pytorch_optimizer", "PID", o.PID()),
        ("torch_optimizer", "PID", o.PID(first_gradient="lost")),
        ("pytorch_optimizer", "Adan", o.Adan(start="corrected", weight_decay=0.1)),
        ("torch_optimizer", "SGDW", o.SGDW(decay="constant", first_step="undamped", nesterov=True)),
    ],
    ids=told,
)
def test_what_writes_into_the_gradient(package: str, name: str, rule: Any) -> None:
    """They add into the caller's gradient, or turn its sign; on copies of it they are the rule."""
    module = pytest.importorskip(package, reason=f"{package} is not installed")

    class OnCopies(getattr(module, name)):  # type: ignore[misc]
        def step(self, closure: Any = None) -> Any:
            for group in self.param_groups:
                for p in group["params"]:
                    p.grad = p.grad.clone()
            return super().step(closure)

    options = {"foreach": False} if package == "pytorch_optimizer" else {}
    refgrad.verify(OnCopies, rule, options=options).raise_if_wrong()
    spoilt = refgrad.verify(getattr(module, name), rule, options=options, shrink=False)
    assert [fault.kind for fault in spoilt.faults] == ["mutated"]


@pytest.mark.parametrize(
    ("target", "rule", "variant"),
    [
        ("optax:rprop", o.Rprop(lr=0.01, reversal="skip", **F32), "reversal=delayed"),
        ("optax:adan", o.Adan(start="corrected", decay="before", **F32), "difference=one_minus_beta2"),
        ("optax.contrib:acprop", o.ACProp(**F32), "deviation=old"),
    ],
    ids=told,
)
def test_a_departure_is_named(target: str, rule: Any, variant: str) -> None:
    pytest.importorskip("optax")
    options = {"eps_root": 0.0} if target == "optax:adan" else {}
    verdict = refgrad.verify(target, rule, options=options, policy={"subnormals": "either"}, shrink=False)
    assert not verdict.conforms
    best = verdict.departures[0]
    # optax multiplies by the last step, not by the last gradient: at edges the product underflows where the rule's does not
    assert best.explains or target == "optax:rprop", best
    assert best.name == variant
