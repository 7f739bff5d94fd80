"""Rules that see a whole tensor, its rows or its columns, against implementations that we did not write."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import optimizers as o
from tests.depth import at_depth

F32 = {"scalars": "float32"}
#: torch's own eps is that of the parameter's dtype
TORCH_ADAFACTOR = o.Adafactor(eps_placement="clamp", eps1=2.0**-23, weight_decay=1e-3)


def torch_adafactor(params: Any, lr: float, weight_decay: float, foreach: bool = False) -> Any:
    torch = pytest.importorskip("torch")
    return torch.optim.Adafactor(params, lr=lr, weight_decay=weight_decay, foreach=foreach)


@pytest.mark.sample(suite=1)
@pytest.mark.slow
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
        torch_adafactor, rule.replace(eps_placement="square", eps1=1e-30), inputs=inputs, shrink=False, explain=False
    )
    assert not spoilt.conforms


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "rule", "variant"),
    [
        ("optax:lars", o.LARS(weight_decay=0.1, **F32), "ratio=joint"),
        pytest.param(
            "optax:fromage", o.Fromage(min_norm=1e30, **F32), "zero_norms=floored", marks=pytest.mark.thorough
        ),
    ],
    ids=str,
)
def test_a_departure_is_named(target: str, rule: Any, variant: str) -> None:
    pytest.importorskip("optax")
    verdict = refgrad.verify(
        target, rule, policy={"subnormals": "either"}, steps=at_depth(quick=4, suite=4, thorough=10), shrink=False
    )
    assert not verdict.conforms
    assert verdict.explanation is not None
    assert verdict.explanation.name == variant
