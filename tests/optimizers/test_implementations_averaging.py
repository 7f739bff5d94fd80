"""Averaging and coin betting against implementations that we did not write."""

from __future__ import annotations

from typing import Any

import pytest

import refgrad
from refgrad import optimizers as o

F32 = {"scalars": "float32"}

TORCH: list[tuple[str, Any, dict[str, Any]]] = [
    ("torch.optim:ASGD", o.ASGD(t0=3.0), {"foreach": False}),
    ("torch.optim:ASGD", o.ASGD(t0=3.0, weight_decay=0.1), {"foreach": True}),
]

OPTAX: list[tuple[str, Any, dict[str, Any]]] = [
    ("optax.contrib:cocob", o.COCOB(applied="by_difference", **F32), {}),
    ("optax.contrib:madgrad", o.MADGRAD(weights="padded", applied="by_difference", weight_decay=0.1, **F32), {}),
    ("optax.contrib:schedule_free_sgd", o.ScheduleFreeSGD(weight_decay=0.1, **F32), {}),
    ("optax.contrib:schedule_free_adamw", o.ScheduleFreeAdamW(weight_decay=0.1, **F32), {}),
]


@pytest.mark.parametrize(("target", "rule", "options"), TORCH, ids=str)
def test_torch(target: str, rule: Any, options: dict[str, Any]) -> None:
    pytest.importorskip("torch")
    verdict = refgrad.verify(target, rule, options=options).raise_if_wrong()
    assert verdict.mode == "step-locked"


@pytest.mark.parametrize(("target", "rule", "options"), OPTAX, ids=str)
def test_optax(target: str, rule: Any, options: dict[str, Any]) -> None:
    pytest.importorskip("optax")
    refgrad.verify(target, rule, options=options, policy={"subnormals": "either"}).raise_if_wrong()


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("SGDScheduleFree", o.ScheduleFreeSGD(warmup_steps=4.0)),
        ("SGDScheduleFree", o.ScheduleFreeSGD(weight_decay=0.1, r=1.0)),
        ("AdamWScheduleFree", o.ScheduleFreeAdamW(weight_decay=0.1)),
    ],
    ids=str,
)
def test_the_authors_schedule_free(name: str, rule: Any, foreach: bool) -> None:
    """In its training mode, on copies of the gradient: it adds into the caller's."""
    module = pytest.importorskip("schedulefree", reason="schedulefree is not installed")

    class Training(getattr(module, name)):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.train()

        def step(self, closure: Any = None) -> Any:
            for group in self.param_groups:
                for p in group["params"]:
                    p.grad = p.grad.clone()
            return super().step(closure)

    refgrad.verify(Training, rule, options={"foreach": foreach}).raise_if_wrong()
