"""Rules that see a whole tensor, its rows or its columns, against implementations that we did not write."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import optimizers as o

F32 = {"scalars": "float32"}
#: torch's own eps is that of the parameter's dtype
TORCH_ADAFACTOR = o.Adafactor(eps_placement="clamp", eps1=2.0**-23, weight_decay=1e-3)


def torch_adafactor(params: Any, lr: float, weight_decay: float, foreach: bool = False) -> Any:
    torch = pytest.importorskip("torch")
    return torch.optim.Adafactor(params, lr=lr, weight_decay=weight_decay, foreach=foreach)


@pytest.mark.parametrize("foreach", [False, True])
def test_torch_adafactor(foreach: bool) -> None:
    """Its eps is the float32 epsilon where None is given."""
    pytest.importorskip("torch")
    rule = TORCH_ADAFACTOR
    verdict = refgrad.verify(torch_adafactor, rule, options={"foreach": foreach}).raise_if_wrong()
    assert verdict.mode == "step-locked"
    random = np.random.default_rng(0)
    tiny = [[(1e-6 * random.standard_normal((16, 8))).astype(np.float32)] for _ in range(3)]
    inputs = refgrad.Inputs([np.ones((16, 8), np.float32)], tiny)
    refgrad.verify(torch_adafactor, rule, inputs=inputs).raise_if_wrong()
    spoilt = refgrad.verify(
        torch_adafactor, rule.replace(eps_placement="square", eps1=1e-30), inputs=inputs, shrink=False
    )
    assert not spoilt.conforms


OPTAX: list[tuple[str, Any, dict[str, Any]]] = [
    ("optax:adafactor", o.Adafactor(relative_step=False, **F32), {"min_dim_size_to_factor": 1}),
    (
        "optax:adafactor",
        o.Adafactor(relative_step=False, beta1=0.9, weight_decay=1e-3, decay="fixed", **F32),
        {"min_dim_size_to_factor": 1, "momentum": 0.9, "weight_decay_rate": 1e-3},
    ),
    ("optax:sm3", o.SM3(eps=1e-8, **F32), {}),
    ("optax:lars", o.LARS(ratio="joint", weight_decay=0.1, **F32), {}),
    ("optax:fromage", o.Fromage(zero_norms="floored", **F32), {}),
    ("optax:novograd", o.NovoGrad(weight_decay=0.1, **F32), {}),
]


@pytest.mark.parametrize(("target", "rule", "options"), OPTAX, ids=str)
def test_optax(target: str, rule: Any, options: dict[str, Any]) -> None:
    pytest.importorskip("optax")
    refgrad.verify(target, rule, options=options, policy={"subnormals": "either"}).raise_if_wrong()


PACKAGES: list[tuple[str, str, Any, dict[str, Any]]] = [
    ("pytorch_optimizer", "AdaFactor", o.Adafactor(decay="step"), {"betas": (None, 0.999)}),
    (
        "pytorch_optimizer",
        "AdaFactor",
        o.Adafactor(decay="step", beta1=0.9, weight_decay=1e-3),
        {"betas": (0.9, 0.999)},
    ),
    ("pytorch_optimizer", "MADGRAD", o.MADGRAD(weights="padded"), {}),
    # without its slow average, AdEMAMix is AdamW
    (
        "pytorch_optimizer",
        "AdEMAMix",
        o.CautiousAdamW(),
        {"cautious": True, "alpha": 0.0, "weight_decouple": True},
    ),
    ("pytorch_optimizer", "Lion", o.CautiousLion(weight_decay=0.1), {"cautious": True}),
    ("pytorch_optimizer", "SM3", o.SM3(eps=1e-30), {}),
    ("pytorch_optimizer", "LARS", o.LARS(buffer_holds="directions", weight_decay=0.1), {}),
    ("pytorch_optimizer", "Fromage", o.Fromage(), {}),
    ("pytorch_optimizer", "NovoGrad", o.NovoGrad(weight_decay=0.1), {}),
    ("pytorch_optimizer", "NovoGrad", o.NovoGrad(averaging=True), {}),
    ("pytorch_optimizer", "StableAdamW", o.StableAdamW(), {}),
    ("pytorch_optimizer", "MARS", o.MARS(first_change="from_zero", eps_placement="hidden", weight_decay=0.1), {}),
    ("pytorch_optimizer", "CAME", o.CAME(weight_decay=0.1), {}),
    ("torch_optimizer", "Adafactor", o.Adafactor(decay="step"), {"eps2": (1e-30, 1e-3)}),
    (
        "torch_optimizer",
        "Adafactor",
        o.Adafactor(decay="step", weight_decay=0.1, relative_step=False, scale_parameter=False),
        {"eps2": (1e-30, 1e-3)},
    ),
    ("torch_optimizer", "LARS", o.LARS(buffer_holds="directions", weight_decay=0.1), {}),
    ("torch_optimizer", "LARS", o.LARS(buffer_holds="directions", without_decay="plain"), {}),
    ("optimi", "StableAdamW", o.StableAdamW(), {}),
    ("came_pytorch", "CAME", o.CAME(weight_decay=0.1), {"eps": (1e-30, 1e-16)}),
]


@pytest.mark.parametrize(("package", "name", "rule", "options"), PACKAGES, ids=str)
def test_packages(package: str, name: str, rule: Any, options: dict[str, Any]) -> None:
    """On copies of the gradient, because several write into it."""
    module = pytest.importorskip(package, reason=f"{package} is not installed")

    class OnCopies(getattr(module, name)):  # type: ignore[misc]
        def step(self, closure: Any = None) -> Any:
            for group in self.param_groups:
                for p in group["params"]:
                    p.grad = p.grad.clone()
            return super().step(closure)

    if package == "pytorch_optimizer":
        torch = pytest.importorskip("torch")
        options = {"foreach": False, **options}
        if name == "AdaFactor":
            options["momentum_dtype"] = torch.float32
    refgrad.verify(OnCopies, rule, options=options).raise_if_wrong()


@pytest.mark.parametrize(("name", "blocks"), [("mlp", "row"), ("other", "tensor")])
def test_the_authors_adam_mini(name: str, blocks: str) -> None:
    """Its blocks follow from the parameters' names."""
    adam_mini = pytest.importorskip("adam_mini", reason="adam-mini is not installed")

    def build(params: Any, lr: float, weight_decay: float) -> Any:
        named = [(f"{name}.{i}", p) for i, p in enumerate(params)]
        return adam_mini.Adam_mini(named, lr=lr, weight_decay=weight_decay, dim=64, n_heads=1, verbose=False)

    refgrad.verify(build, o.AdamMini(weight_decay=0.1, blocks=blocks)).raise_if_wrong()


@pytest.mark.parametrize(
    ("target", "rule", "variant"),
    [
        ("optax:lars", o.LARS(weight_decay=0.1, **F32), "ratio=joint"),
        ("optax:fromage", o.Fromage(min_norm=1e30, **F32), "zero_norms=floored"),
    ],
    ids=str,
)
def test_a_departure_is_named(target: str, rule: Any, variant: str) -> None:
    pytest.importorskip("optax")
    verdict = refgrad.verify(target, rule, policy={"subnormals": "either"}, shrink=False)
    assert not verdict.conforms
    assert verdict.explanation is not None
    assert verdict.explanation.name == variant
