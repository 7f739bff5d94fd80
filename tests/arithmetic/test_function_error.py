"""Functions of libraries: four units in the last place are allowed besides what the argument may be off by."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.arithmetic import function_error
from refgrad.arithmetic.running_error import Bounded
from refgrad.oracle.acceptance.judge import model_for
from refgrad.oracle.acceptance.policy import Policy

MODEL = model_for(Policy(), np.dtype(np.float32))
X = np.asarray([-20.0, -1.5, -0.3, 0.7, 3.0])


@pytest.mark.parametrize("name", ["exp", "sin", "cos", "tanh", "log"])
def test_a_library_may_be_off_by_four_units(name: str) -> None:
    x = np.abs(X) if name == "log" else X
    found = getattr(function_error, name)(Bounded(x), MODEL)
    units = np.spacing(np.abs(found.value).astype(np.float32)).astype(np.float64)
    assert (found.bound() >= 4 * units).all()
    assert (found.bound() <= 32 * units).all()
