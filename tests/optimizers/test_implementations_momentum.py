"""Momentum, sign and Adam's relatives against implementations that we did not write."""

from __future__ import annotations

from typing import Any

import pytest

import refgrad
from refgrad import optimizers as o

F32 = {"scalars": "float32"}


def told(value: object) -> str:
    return str(value)


@pytest.mark.parametrize(
    ("package", "name", "rule"),
    [
        ("pytorch_optimizer", "PID", o.PID()),
        ("torch_optimizer", "PID", o.PID(first_gradient="lost")),
        ("pytorch_optimizer", "Adan", o.Adan(start="corrected", weight_decay=0.1, eps_placement="outside")),
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


@pytest.mark.sample(suite=1)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "rule", "variant"),
    [
        ("optax:rprop", o.Rprop(lr=0.01, reversal="skip", **F32), "reversal=delayed"),
        (
            "optax:adan",
            o.Adan(start="corrected", decay="before", eps_placement="outside", eps_root=1e-8, **F32),
            "difference=one_minus_beta2",
        ),
        ("optax.contrib:acprop", o.ACProp(**F32), "deviation=old"),
    ],
    ids=told,
)
def test_a_departure_is_named(target: str, rule: Any, variant: str) -> None:
    pytest.importorskip("optax")
    verdict = refgrad.verify(target, rule, policy={"subnormals": "either"}, shrink=False, steps=4)
    assert not verdict.conforms
    best = verdict.departures[0]
    # optax multiplies by the last step, not by the last gradient: at edges the product underflows where the rule's does not
    assert best.explains or target == "optax:rprop", best
    assert best.name == variant
