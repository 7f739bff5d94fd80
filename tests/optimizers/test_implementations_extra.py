"""Rules that take more than gradients, against others: what the table of implementations does not say."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import optimizers as o
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.steps import generate

F32 = {"scalars": "float32"}
EITHER = {"subnormals": "either"}
#: optax takes no step where a squared norm is at most this
LEAST = {"least": float(np.finfo(np.float64).eps)}
STEPS = 8


def narrow(rule: Any, leaves: tuple[int, ...] = (0, 2)) -> Cases:
    """The leaves of ordinary numbers and of edges: the squares of the others overflow, or drown them."""
    return generate(STEPS, "float32", 0, rule).leaves(lambda leaf, _: leaf in leaves)


@pytest.mark.parametrize("inner", [o.AdamW(), o.SGD(lr=0.1, momentum=0.9)], ids=str)
@pytest.mark.parametrize("adaptive", [False, True])
def test_pytorch_optimizers_sam(inner: Any, adaptive: bool) -> None:
    package, torch = pytest.importorskip("pytorch_optimizer"), pytest.importorskip("torch")
    base = {"AdamW": torch.optim.AdamW, "SGD": torch.optim.SGD}[type(inner).__name__]
    options = {"lr": 0.1, "momentum": 0.9} if base is torch.optim.SGD else {}
    rule = o.ASAM(inner=inner, eta=0.0, eps=1e-12) if adaptive else o.SAM(inner=inner)
    rho = rule.rho
    make = lambda params: package.SAM(params, base, rho=rho, adaptive=adaptive, **options)  # noqa: E731
    verdict = refgrad.verify(make, rule, inputs=narrow(rule)).raise_if_wrong()
    assert verdict.mode == "step-locked"
    assert "there" in verdict.counts


def test_optaxs_polyak_divides_by_its_scaling() -> None:
    """Its documentation has the scaling times the step size; the norm is that of the scaled gradient."""
    optax = pytest.importorskip("optax")
    rule = o.PolyakSGD(lr=0.3, **LEAST, **F32)
    for claim, exit_code in ((rule, 1), (rule.replace(lr_scales="gradient"), 0)):
        given = {"inputs": narrow(rule), "policy": EITHER, "shrink": False, "explain": False}
        assert refgrad.verify(optax.polyak_sgd(scaling=0.3), claim, **given).exit_code == exit_code


@pytest.mark.slow
def test_optaxs_private_aggregate() -> None:
    """On gradients whose norms are whole numbers, and the noise that it draws: within the roundings of the sums."""
    pytest.importorskip("optax")
    jax, contrib = pytest.importorskip("jax"), importlib.import_module("optax.contrib")
    clip, multiplier = 5.0, 0.5
    gradients = np.asarray([[3, 4, 0], [0, 2, 0], [0, 0, 0], [12, -16, 0]], np.float32)
    transform = contrib.differentially_private_aggregate(clip, multiplier, key=0)
    got, _ = transform.update(gradients, transform.init(np.zeros(3, np.float32)))
    _, *keys = jax.random.split(jax.random.key(0), 2)
    noise = np.asarray(jax.random.normal(keys[0], (3,), np.float32))
    want = o.PrivateAggregate(l2_norm_clip=clip, noise_multiplier=multiplier)(gradients, noise)
    exact = o.PrivateAggregate(l2_norm_clip=clip, noise_multiplier=multiplier)(
        gradients.astype(np.float64), noise.astype(np.float64)
    )
    size = np.abs(gradients).sum(0) + multiplier * clip * np.abs(noise)
    bound = 8 * np.finfo(np.float32).eps * size / len(gradients)  # at most eight roundings stand between
    assert np.all(np.abs(np.asarray(got) - exact) <= bound)
    assert np.all(np.abs(want - exact) <= bound)
