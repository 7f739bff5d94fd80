"""State that has names of the user's own, which `state_names` tells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import ArgumentError, CandidateError
from refgrad.optimizers import AdamW, Lion


def lion(p: Any, g: Any, smoothed: Any, lr: float, beta1: float, beta2: float) -> Any:
    c = np.float32(beta1) * smoothed + np.float32(1 - beta1) * g
    return p - np.float32(lr) * np.sign(c), np.float32(beta2) * smoothed + np.float32(1 - beta2) * g


@pytest.mark.thorough
@pytest.mark.slow
def test_a_function_with_a_name_of_its_own() -> None:
    with pytest.raises(CandidateError, match="an argument 'smoothed' that stands for nothing in Lion"):
        refgrad.verify(lion, Lion())
    verdict = refgrad.verify(lion, Lion(), state_names={"m": "smoothed"}, steps=4)
    assert (verdict.outcome, verdict.mode) == ("conforms", "step-locked")
    wrong = refgrad.verify(lion, Lion(weight_decay=0.1), state_names={"m": "smoothed"}, steps=2)
    assert "state_names={'m': 'smoothed'}" in wrong.reproduce


@pytest.mark.slow
def test_a_stated_name_stands_for_no_other_slot() -> None:
    def swapped(p: Any, g: Any, m: Any, v: Any, t: int) -> Any:
        new, state = AdamW().step(p, g, {"t": t - 1, "m": v, "v": m}, backend="numpy")
        return new, state["v"], state["m"]

    assert refgrad.verify(swapped, AdamW(), state_names={"m": "v", "v": "m"}, steps=3).conforms
    assert not refgrad.verify(swapped, AdamW(), steps=3, shrink=False, explain=False).conforms


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ({"mm": "smoothed"}, ArgumentError, r"Lion\(\) has no state 'mm'; did you mean 'm'\?; legal: m"),
        (
            {"m": "smooth"},
            CandidateError,
            r"state_names\['m'\] is 'smooth', but .*lion has no such state; did you mean 'smoothed'\?; it has: .*smoothed",
        ),
        ("m=smoothed", ArgumentError, "legal: a dict from slots of the rule to names in the candidate's state"),
        ({"m": 3}, ArgumentError, "legal: a dict from slots"),
    ],
)
def test_errors_name_the_nearest(names: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        refgrad.verify(lion, Lion(), state_names=names)


def test_one_name_for_two_slots() -> None:
    with pytest.raises(ArgumentError, match="each name once, not 'x' for two slots"):
        refgrad.verify(lion, AdamW(), state_names={"m": "x", "v": "x"})


def test_where_names_are_not_asked() -> None:
    with pytest.raises(CandidateError, match="tells its state by the rule's own names; legal state_names: none"):
        refgrad.verify(Lion, Lion(), state_names={"m": "buffer"})


def test_torch() -> None:
    torch = pytest.importorskip("torch")

    class Mine(torch.optim.Optimizer):  # type: ignore[name-defined, misc]
        """Lion under other names."""

        def __init__(self, params: Any, lr: float = 1e-4, beta1: float = 0.9, beta2: float = 0.99) -> None:
            super().__init__(params, {"lr": lr, "beta1": beta1, "beta2": beta2})

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                for p in group["params"]:
                    smoothed = self.state[p].setdefault("smoothed", torch.zeros_like(p))
                    p.sub_(torch.sign(group["beta1"] * smoothed + (1 - group["beta1"]) * p.grad), alpha=group["lr"])
                    smoothed.mul_(group["beta2"]).add_(p.grad, alpha=1 - group["beta2"])

    verdict = refgrad.verify(Mine, Lion(), state_names={"m": "smoothed"}, steps=4)
    assert (verdict.outcome, verdict.mode) == ("conforms", "step-locked"), str(verdict)
    assert refgrad.verify(Mine, Lion(), steps=2).mode == "free-running"
    with pytest.raises(CandidateError, match=r"has no such state; did you mean 'smoothed'\?; it has: smoothed"):
        refgrad.verify(Mine, Lion(), state_names={"m": "smothed"})


@pytest.mark.slow
def test_optax() -> None:
    optax = pytest.importorskip("optax")
    from typing import NamedTuple

    import jax
    import jax.numpy as jnp

    class Smoothed(NamedTuple):
        average: Any

    def update(grads: Any, state: Smoothed, params: Any) -> Any:
        steps = jax.tree.map(lambda m, g: -1e-4 * jnp.sign(0.9 * m + (1 - 0.9) * g), state.average, grads)
        return steps, Smoothed(jax.tree.map(lambda m, g: 0.99 * m + (1 - 0.99) * g, state.average, grads))

    transform = optax.GradientTransformation(lambda params: Smoothed(jax.tree.map(jnp.zeros_like, params)), update)
    options: dict[str, Any] = {"steps": 3, "policy": {"subnormals": "either"}}
    verdict = refgrad.verify(transform, Lion(), state_names={"m": "average"}, **options)
    assert (verdict.outcome, verdict.mode) == ("conforms", "step-locked"), str(verdict)
    with pytest.raises(CandidateError, match=r"did you mean 'average'\?; it has: average"):
        refgrad.verify(transform, Lion(), state_names={"m": "avrage"}, **options)
