"""Rules against implementations that we did not write, under the arithmetic that those use."""

from __future__ import annotations

import pytest

import refgrad
from refgrad import optimizers as o


@pytest.mark.slow
def test_the_departures_of_optax_and_torch_are_named() -> None:
    pytest.importorskip("optax")
    pytest.importorskip("torch")
    adamw = refgrad.verify("optax:adamw", o.AdamW(), shrink=False)
    assert not adamw.conforms
    assert adamw.explanation is not None
    assert "scalars=float32" in adamw.explanation.name
    radam = refgrad.verify("torch.optim:RAdam", o.RAdam(), shrink=False)
    assert radam.explanation is not None
    assert radam.explanation.name == "threshold=torch, eps_placement=uncorrected"
