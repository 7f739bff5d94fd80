"""Rules against implementations that we did not write, under the arithmetic that those use."""

from __future__ import annotations

import pytest

import refgrad
from refgrad import optimizers as o


@pytest.mark.thorough  # what `identify` names is that, which tests/oracle/test_identify_packages.py has at depth suite
@pytest.mark.slow
def test_optax_forms_its_scalars_in_float32() -> None:
    pytest.importorskip("optax")
    adamw = refgrad.verify("optax:adamw", o.AdamW(), steps=5, shrink=False)
    assert not adamw.conforms
    assert adamw.explanation is not None
    assert "scalars=float32" in adamw.explanation.name


@pytest.mark.thorough  # so is this
@pytest.mark.slow
def test_torch_has_a_threshold_and_a_place_of_eps_of_its_own() -> None:
    pytest.importorskip("torch")
    radam = refgrad.verify("torch.optim:RAdam", o.RAdam(), shrink=False)
    assert radam.explanation is not None
    assert radam.explanation.name == "threshold=torch, eps_placement=uncorrected"
