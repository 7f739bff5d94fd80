"""Implementations that others wrote, named."""

from __future__ import annotations

import numpy as np
import pytest

import refgrad
from refgrad.optimizers import SGD, Adam, AdamW, AMSGrad, RAdam


def best(candidate: object, rule: object = None, **options: object) -> str:
    found = refgrad.identify(candidate, rule, **options)
    assert found.best is not None, str(found)
    return found.best.title


@pytest.mark.slow
def test_torch() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    assert best(torch.optim.RAdam, RAdam, steps=8) == "RAdam(threshold='torch', eps_placement='uncorrected')"
    assert best(torch.optim.Adam, AMSGrad, options={"amsgrad": True}, steps=5) == "AMSGrad(order='torch')"
    damped = SGD(momentum=0.9, dampening=0.5)
    assert best(torch.optim.SGD, damped, steps=5) == "SGD(momentum=0.9, dampening=0.5, first_step='undamped')"


@pytest.mark.thorough
@pytest.mark.slow
def test_torch_among_all_rules() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    found = refgrad.identify(torch.optim.AdamW, steps=4)
    assert [e.title for e in found.explanations] == ["AdamW"], str(found)
    assert "Adam, at weight_decay=0" in found.explanations[0].aliases


@pytest.mark.thorough
@pytest.mark.slow
def test_a_torch_optimizer_with_a_rate_of_its_own() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")

    class Halved(torch.optim.AdamW):
        def __init__(self, params, lr=1e-3, **options):
            super().__init__(params, lr=lr / 2, **options)

    assert best(Halved, AdamW(lr=0.01), steps=4) == "AdamW(lr=0.005)"


@pytest.mark.thorough
@pytest.mark.slow
def test_optax() -> None:
    optax = pytest.importorskip("optax", reason="optax is not installed")
    title = best(optax.adamw, AdamW, steps=5)
    assert title.startswith("AdamW(scalars='float32')"), title


@pytest.mark.thorough
@pytest.mark.slow
def test_keras_like_eps_hat() -> None:
    """The form of Keras: the corrections are in the step size, and eps is beside the uncorrected root."""

    def keras_like(p, g, m, v, t, lr, beta1, beta2, eps):
        f = np.float32
        alpha = f(lr * np.sqrt(1 - beta2**t) / (1 - beta1**t))
        m = m + (g - m) * f(1 - beta1)
        v = v + (g * g - v) * f(1 - beta2)
        return p - m * alpha / (np.sqrt(v) + f(eps)), m, v

    assert best(keras_like, Adam, steps=5) == "Adam(eps_placement='uncorrected')"
