"""Rules against packages that are not needed to develop refgrad; each test is skipped where its package is missing.

Many torch packages write the coupled decay into ``p.grad``: they are run on a copy of it here, because that is not what is
asked. The versions that were run are in docs/departures.md.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest

import refgrad
from refgrad import optimizers as o

DECAYED = {"weight_decay": 0.1}
QUIET = {"print_change_log": False}
#: so large that random gradients count as nearly orthogonal in some views, and not in others
DELTA = 2.5

#: package, class, what it is, its options
CASES: list[tuple[str, str, Any, dict[str, Any]]] = [
    ("adabelief_pytorch", "AdaBelief", o.AdaBelief(rectify="author", **DECAYED), QUIET),
    ("adabelief_pytorch", "AdaBelief", o.AdaBelief(**DECAYED), {**QUIET, "rectify": False}),
    ("adabelief_pytorch", "AdaBelief", o.AdaBelief(rectify="still", **DECAYED), {**QUIET, "degenerated_to_sgd": False}),
    (
        "adabelief_pytorch",
        "AdaBelief",
        o.AdaBelief(decay="fixed", **DECAYED),
        {**QUIET, "rectify": False, "fixed_decay": True},
    ),
    (
        "adabelief_pytorch",
        "AdaBelief",
        o.AdaBelief(decay="coupled", **DECAYED),
        {**QUIET, "rectify": False, "weight_decouple": False},
    ),
    ("adabelief_pytorch", "AdaBelief", o.AdaBelief(amsgrad=True), {**QUIET, "rectify": False, "amsgrad": True}),
    ("torch_optimizer", "AdaBelief", o.AdaBelief(eps=1e-8, decay="coupled", **DECAYED), {}),
    ("torch_optimizer", "AdaBelief", o.AdaBelief(amsgrad=True, eps_placement="maximum"), {"amsgrad": True}),
    ("torch_optimizer", "AdaBelief", o.AdaBelief(rectify="torch_optimizer"), {"rectify": True}),
    ("timm.optim", "AdaBelief", o.AdaBelief(rectify="author", **DECAYED), {}),
    ("pytorch_optimizer", "AdaBelief", o.AdaBelief(**DECAYED), {}),
    ("torch_optimizer", "DiffGrad", o.DiffGrad(eps_placement="uncorrected", **DECAYED), {}),
    (
        "pytorch_optimizer",
        "DiffGrad",
        o.DiffGrad(eps_placement="uncorrected", eps_root=1e-15, decay="before", **DECAYED),
        {},
    ),
    ("adamp", "AdamP", o.AdamP(test="author", delta=DELTA, **DECAYED), {}),
    ("adamp", "AdamP", o.AdamP(test="author", delta=DELTA, nesterov=True, **DECAYED), {}),
    ("timm.optim", "AdamP", o.AdamP(test="author", delta=DELTA, **DECAYED), {}),
    ("torch_optimizer", "AdamP", o.AdamP(test="author", delta=DELTA, **DECAYED), {}),
    ("pytorch_optimizer", "AdamP", o.AdamP(test="author", delta=DELTA, eps_placement="uncorrected", **DECAYED), {}),
    ("adamp", "SGDP", o.SGDP(test="author", delta=DELTA, momentum=0.9, kept="projected", **DECAYED), {}),
    ("adamp", "SGDP", o.SGDP(test="author", delta=DELTA, momentum=0.9, nesterov=True, **DECAYED), {}),
    ("timm.optim", "SGDP", o.SGDP(test="author", delta=DELTA, momentum=0.9, **DECAYED), {}),
    ("torch_optimizer", "SGDP", o.SGDP(test="author", delta=DELTA, momentum=0.9, kept="projected", **DECAYED), {}),
    ("pytorch_optimizer", "SGDP", o.SGDP(test="author", delta=DELTA, momentum=0.9, **DECAYED), {}),
    ("torch_optimizer", "Lamb", o.LAMB(correction="none", phi="clamped", **DECAYED), {}),
    ("torch_optimizer", "Lamb", o.LAMB(correction="step", phi="clamped", **DECAYED), {"debias": True}),
    (
        "pytorch_optimizer",
        "Lamb",
        o.LAMB(correction="first", phi="clamped", ratio="eps", decay="before", **DECAYED),
        {},
    ),
    ("timm.optim", "Lamb", o.LAMB(**DECAYED), {"max_grad_norm": None}),
    ("timm.optim", "Lamb", o.LAMB(adapt="with_decay"), {"max_grad_norm": None}),
    ("timm.optim", "Lamb", o.LAMB(ratio="capped", **DECAYED), {"max_grad_norm": None, "trust_clip": True}),
    ("timm.optim", "Lamb", o.LAMB(decay="before", **DECAYED), {"max_grad_norm": None, "decoupled_decay": True}),
    ("timm.optim", "Lamb", o.LAMB(grad_averaging=False, **DECAYED), {"max_grad_norm": None, "grad_averaging": False}),
    (
        "torch_optimizer",
        "RAdam",
        o.RAdam(threshold="author", eps_placement="uncorrected", decay="before", **DECAYED),
        {},
    ),
    (
        "pytorch_optimizer",
        "RAdam",
        o.RAdam(threshold="author", eps_placement="uncorrected", decay="before", before="still", **DECAYED),
        {},
    ),
    (
        "timm.optim",
        "RAdamLegacy",
        o.RAdam(threshold="author", eps_placement="uncorrected", decay="before", **DECAYED),
        {},
    ),
    ("timm.optim", "NAdamW", o.NAdam(schedule="current", decay="before", **DECAYED), {}),
    ("timm.optim", "AdamWLegacy", o.AdamW(**DECAYED), {}),
    (
        "timm.optim",
        "AdamWLegacy",
        o.AdamW(peak_lr=1e-3, decay="corrected", **DECAYED),
        {"corrected_weight_decay": True},
    ),
    ("pytorch_optimizer", "EXAdam", o.EXAdam(**DECAYED), {}),
    ("timm.optim", "Lion", o.Lion(**DECAYED), {}),
    ("lion_pytorch", "Lion", o.Lion(**DECAYED), {}),
    ("pytorch_optimizer", "Lion", o.Lion(decay="coupled", **DECAYED), {"weight_decouple": False}),
    ("pytorch_optimizer", "Lion", o.Lion(decay="fixed", **DECAYED), {"fixed_decay": True}),
    ("torch_optimizer", "SGDW", o.SGD(momentum=0.9, first_step="undamped", dampening=0.3), {}),
]


def named(case: tuple[str, str, Any, dict[str, Any]]) -> str:
    return f"{case[0]}.{case[1]}({', '.join(f'{n}={v}' for n, v in case[3].items())}) as {case[2]}"


def shielded(cls: type) -> type:
    """The optimizer, stepping on copies of the gradients."""

    def step(self: Any) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = p.grad.clone()
        cls.step(self)  # type: ignore[attr-defined]

    return type(cls.__name__, (cls,), {"step": step})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES, ids=named)
def test_package(case: tuple[str, str, Any, dict[str, Any]]) -> None:
    package, name, rule, options = case
    pytest.importorskip("torch")
    module = pytest.importorskip(package, reason=f"{package} is not installed", exc_type=ImportError)
    refgrad.verify(shielded(getattr(module, name)), rule, options=options).raise_if_wrong()


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"momentum": 0.9, "centered": True}], ids=str)
def test_timms_rmsprop_starts_at_one(options: dict[str, Any]) -> None:
    timm = pytest.importorskip("timm.optim", reason="timm is not installed", exc_type=ImportError)
    rule = o.RMSprop(initial_scale=1.0, eps=1e-10, alpha=0.9, eps_placement="inside", variance="bare", **options)
    made: Callable[[Any], Any] = lambda params: timm.RMSpropTF(params, **options)  # noqa: E731
    refgrad.verify(made, rule.replace(lr_placement="buffer")).raise_if_wrong()


def test_torch_optimizers_sgdw_subtracts_a_constant() -> None:
    """Its decay is lr times weight_decay from every element, whatever the element is: no decay of the parameter at all."""
    package = pytest.importorskip("torch_optimizer", reason="torch_optimizer is not installed", exc_type=ImportError)
    torch = importlib.import_module("torch")
    p = torch.tensor([1.0, -1.0, 0.0], requires_grad=True)
    p.grad = torch.zeros(3)
    package.SGDW([p], lr=0.5, weight_decay=0.25).step()
    assert p.tolist() == [0.875, -1.125, -0.125]
    verdict = refgrad.verify(package.SGDW, o.SGD(decay="before", weight_decay=0.1), shrink=False)
    assert not verdict.conforms


@pytest.mark.parametrize("name", ["AdamP", "SGDP"])
def test_coupled_decay_of_pytorch_optimizers_projections_has_no_effect(name: str) -> None:
    """It is added to the gradient after the moments and the step were made of it."""
    package = pytest.importorskip("pytorch_optimizer", reason="pytorch_optimizer is missing", exc_type=ImportError)
    torch = importlib.import_module("torch")
    ends = []
    for weight_decay in (0.0, 0.5):
        p = torch.ones(2, 3, requires_grad=True)
        optimizer = getattr(package, name)([p], lr=0.1, weight_decay=weight_decay, weight_decouple=False)
        for _ in range(3):
            p.grad = torch.full((2, 3), 0.25)
            optimizer.step()
        ends.append(p.tolist())
    assert ends[0] == ends[1]
