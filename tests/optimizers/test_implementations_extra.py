"""Rules that take a loss, a second gradient, a diagonal or noise against implementations that we did not write."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import optimizers as o
from refgrad.oracle.inputs import Inputs, generate

F32 = {"scalars": "float32"}
EITHER = {"subnormals": "either"}
#: optax takes no step where a squared norm is at most this
LEAST = {"least": float(np.finfo(np.float64).eps)}
STEPS = 8


def narrow(rule: Any, leaves: slice = slice(0, 3, 2)) -> Inputs:
    """The leaves of ordinary numbers and of edges: the squares of the others overflow, or drown them."""
    return generate(STEPS, "float32", 0, rule).mapped(lambda a: a, leaves)


def one_leaf(rule: Any) -> Inputs:
    return narrow(rule, slice(0, 1))


def from_zero(rule: Any) -> Inputs:
    """Where the distance from the start is exact."""
    inputs = narrow(rule)
    return dataclasses.replace(inputs, p=[np.zeros_like(a) for a in inputs.p])


def quadratic(rule: Any) -> Inputs:
    """The gradients of a well-conditioned quadratic on the rule's own way."""
    random = np.random.default_rng(0)
    diagonal = np.exp(random.uniform(-1, 1, 40)).astype(np.float32)
    p = start = random.standard_normal(40).astype(np.float32)
    state, grads = rule.init(p), []
    for _ in range(STEPS):
        grads.append([diagonal * p])
        p, state = rule.step(p, grads[-1][0], state)
    return Inputs([start], grads)


def optax_noise(rule: Any) -> Inputs:
    """With the noise that optax draws from its key."""
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    inputs = narrow(rule)
    key, steps = jax.random.key(0), []
    for grads in inputs.g:
        key, sample = jax.random.split(key)
        noise = optax.tree.random_like(sample, target_tree=list(grads), sampler=jax.random.normal)
        steps.append({"noise": [np.asarray(a) for a in noise]})
    return dataclasses.replace(inputs, extras=steps)


def _sam(optax: Any) -> Any:
    ascent = optax.chain(optax.contrib.normalize(), optax.sgd(0.05))
    return optax.contrib.sam(optax.adam(1e-3), ascent, opaque_mode=True)


Make = Callable[[Any], Any]
OPTAX: list[tuple[str, Any, Make, Callable[[Any], Inputs]]] = [
    ("optax:polyak_sgd", o.PolyakSGD(**LEAST, **F32), lambda x: x.polyak_sgd(), narrow),
    (
        "optax:polyak_sgd",
        o.PolyakSGD(lr=0.3, max_lr=0.5, f_min=0.25, eps=1e-3, gap="positive", lr_scales="gradient", **LEAST, **F32),
        lambda x: x.polyak_sgd(max_learning_rate=0.5, scaling=0.3, f_min=0.25, eps=1e-3, variant="sps+"),
        narrow,
    ),
    ("optax.contrib:momo", o.MoMo(**LEAST, **F32), lambda x: x.contrib.momo(), narrow),
    (
        "optax.contrib:momo",
        o.MoMo(lr=0.5, weight_decay=0.1, decay="before", adapt_lower_bound=True, **LEAST, **F32),
        lambda x: x.contrib.momo(0.5, weight_decay=0.1, adapt_lower_bound=True),
        narrow,
    ),
    ("optax.contrib:momo_adam", o.MoMoAdam(**LEAST, **F32), lambda x: x.contrib.momo_adam(), narrow),
    (
        "optax.contrib:momo_adam",
        o.MoMoAdam(lr=0.5, weight_decay=0.1, decay="before", adapt_lower_bound=True, **LEAST, **F32),
        lambda x: x.contrib.momo_adam(0.5, weight_decay=0.1, adapt_lower_bound=True),
        narrow,
    ),
    (
        "optax.contrib:reduce_on_plateau",
        o.ReduceOnPlateau(inner=o.SGD(lr=0.1), patience=2, cooldown=1, accumulation_size=2, **F32),
        lambda x: x.chain(x.sgd(0.1), x.contrib.reduce_on_plateau(patience=2, cooldown=1, accumulation_size=2)),
        narrow,
    ),
    ("optax.contrib:sam", o.SAM(inner=o.Adam(**F32), eps=0.0, **F32), _sam, narrow),
    (
        "optax.contrib:sophia",
        o.Sophia(estimate="stale", momentum="corrected", beta1=0.965, eps=1e-8, weight_decay=1e-4, interval=3, **F32),
        lambda x: x.contrib.sophia(1e-3, update_interval=3),
        narrow,
    ),
    (
        "optax:noisy_sgd",
        o.AddNoise(inner=o.SGD(lr=0.1), **F32),
        lambda x: x.noisy_sgd(0.1, 0.01, 0.55, key=0),
        optax_noise,
    ),
    (
        "optax.contrib:mechanize",
        o.Mechanic(inner=o.SGD(lr=1.0), reward="clipped", keep_offset=False, initial_s=1e-6, s_init=1e-6, **F32),
        lambda x: x.contrib.mechanize(x.sgd(1.0)),
        from_zero,
    ),
    (
        "optax:lbfgs",
        o.LBFGS(lr=0.1, history=3, scale_first="euclidean", **F32),
        lambda x: x.lbfgs(0.1, memory_size=3, linesearch=None),
        quadratic,
    ),
]


@pytest.mark.parametrize(("target", "rule", "make", "inputs"), OPTAX, ids=lambda x: x if isinstance(x, str) else "")
def test_optax(target: str, rule: Any, make: Make, inputs: Callable[[Any], Inputs]) -> None:
    optax = pytest.importorskip("optax")
    importlib.import_module("optax.contrib")
    verdict = refgrad.verify(make(optax), rule, inputs=inputs(rule), policy=EITHER, explain=False).raise_if_wrong()
    assert verdict.counts["p"].inside > 0


TORCH_OPTIONS = {"lr": 0.1, "history_size": 3, "max_iter": 1, "tolerance_grad": -1, "tolerance_change": -float("inf")}
TORCH: list[tuple[str, Any]] = [
    (
        "torch.optim:LBFGS",
        o.LBFGS(lr=0.1, history=3, scale_first="sum", pairs="curved", difference="steps", least_curvature=1e-10),
    )
]


def test_torch_lbfgs() -> None:
    """With one iteration a step; its pairs are read."""
    torch = pytest.importorskip("torch")
    rule = TORCH[0][1]
    verdict = refgrad.verify(lambda params: torch.optim.LBFGS(params, **TORCH_OPTIONS), rule, inputs=quadratic(rule))
    verdict.raise_if_wrong()
    assert {"p", "s1", "y1", "w1", "s3", "scale", "previous_g"} <= set(verdict.counts)


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


@pytest.mark.parametrize(
    ("package", "name", "rule", "options", "inputs"),
    [
        (
            "pytorch_optimizer",
            "SophiaH",
            o.Sophia(gamma=1.0, clip=0.01, weight_decay=0.1, interval=1),
            {"p": 0.01, "eps": 1e-12, "update_period": 1},
            narrow,
        ),
        ("pytorch_optimizer", "AdaHessian", o.AdaHessian(weight_decay=0.1), {"eps": 1e-4}, narrow),
        ("momo", "Momo", o.MoMo(weight_decay=0.1, lr=0.5), {}, one_leaf),
        ("momo", "Momo", o.MoMo(start="zero"), {"bias_correction": True}, one_leaf),
        ("momo", "MomoAdam", o.MoMoAdam(weight_decay=0.1, lr=0.5), {"divide": True}, one_leaf),
        ("momo", "MomoAdam", o.MoMoAdam(weight_decay=0.1, decay="adamw", lr=0.5), {"divide": False}, one_leaf),
    ],
    ids=str,
)
def test_packages(package: str, name: str, rule: Any, options: dict[str, Any], inputs: Callable[[Any], Inputs]) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed")
    verdict = refgrad.verify(f"{package}:{name}", rule, options=options, inputs=inputs(rule), policy=EITHER)
    assert verdict.raise_if_wrong().counts["p"].inside > 0


@pytest.mark.parametrize("kept", [True, False])
def test_mechanics_authors(kept: bool) -> None:
    package, torch = pytest.importorskip("mechanic_pytorch"), pytest.importorskip("torch")
    rule = o.Mechanic(inner=o.SGD(lr=1.0), initial_m=1e-6, keep_offset=kept, decay_point="after")
    make = lambda params: package.mechanize(torch.optim.SGD, store_delta=kept)(params, lr=1.0)  # noqa: E731
    verdict = refgrad.verify(make, rule, inputs=narrow(rule) if kept else from_zero(rule), policy=EITHER)
    assert verdict.raise_if_wrong().counts["p"].inside > 0


def test_optaxs_polyak_divides_by_its_scaling() -> None:
    """Its documentation has the scaling times the step size; the norm is that of the scaled gradient."""
    optax = pytest.importorskip("optax")
    rule = o.PolyakSGD(lr=0.3, **LEAST, **F32)
    for claim, exit_code in ((rule, 1), (rule.replace(lr_scales="gradient"), 0)):
        given = {"inputs": narrow(rule), "policy": EITHER, "shrink": False, "explain": False}
        assert refgrad.verify(optax.polyak_sgd(scaling=0.3), claim, **given).exit_code == exit_code


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
