"""Rules against packages that are not needed to develop refgrad; each test is skipped where its package is missing.

Many torch packages write the coupled decay into ``p.grad``: they are run on a copy of it here, because that is not what is
asked. The versions that were run are in docs/departures.md.
"""

from __future__ import annotations

import importlib

import pytest

import refgrad
from refgrad import optimizers as o


def test_torch_optimizers_sgdw_subtracts_a_constant() -> None:
    """Its decay is lr times weight_decay from every element, whatever the element is: no decay of the parameter at all."""
    package = pytest.importorskip("torch_optimizer", reason="torch_optimizer is not installed", exc_type=ImportError)
    torch = importlib.import_module("torch")
    p = torch.tensor([1.0, -1.0, 0.0], requires_grad=True)
    p.grad = torch.zeros(3)
    package.SGDW([p], lr=0.5, weight_decay=0.25).step()
    assert p.tolist() == [0.875, -1.125, -0.125]
    verdict = refgrad.verify(package.SGDW, o.SGD(decay="before", weight_decay=0.1), shrink=False, explain=False)
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
