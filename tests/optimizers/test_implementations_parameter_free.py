"""Step sizes from the distance walked against implementations that we did not write, on several leaves at once."""

from __future__ import annotations

from typing import Any

import pytest

import refgrad
from refgrad import optimizers as o

F32 = {"scalars": "float32"}


@pytest.mark.thorough
@pytest.mark.sample(suite=1)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "rule"),
    [("optax.contrib:prodigy", o.Prodigy(**F32)), ("optax.contrib:dadapt_adamw", o.DAdaptAdam(**F32))],
    ids=str,
)
def test_a_departure_is_named(target: str, rule: Any) -> None:
    pytest.importorskip("optax")
    verdict = refgrad.verify(target, rule, policy={"subnormals": "either"}, shrink=False, steps=4)
    assert not verdict.conforms
    assert verdict.explanation is not None
    assert verdict.explanation.name == "bias_correction=adam"
