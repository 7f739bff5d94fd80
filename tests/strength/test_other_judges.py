"""The formulas of the other judges are those of the functions that tests call."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from refgrad.strength.other_judges import OTHER_JUDGES, rejected_by, ulp_distance


def actual() -> dict[str, Any]:
    """The functions that are installed, of those whose formulas are used."""
    torch, chex = pytest.importorskip("torch"), pytest.importorskip("chex")
    return {
        "numpy.allclose": lambda a, b: np.allclose(a, b, equal_nan=True) or pytest.fail("not close"),
        "numpy.testing.assert_allclose": lambda a, b: np.testing.assert_allclose(a, b),
        "torch.testing.assert_close": lambda a, b: torch.testing.assert_close(
            torch.from_numpy(a), torch.from_numpy(b), equal_nan=True
        ),
        "chex.assert_trees_all_close": chex.assert_trees_all_close,
    }


def test_the_formulas_are_those_of_the_functions() -> None:
    """On numbers around every tolerance, near and far, and with classes exchanged."""
    random = np.random.Generator(np.random.Philox(0))
    special = np.float32([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, 3.4028235e38, 1e-45])
    functions, seen = actual(), Counter[tuple[str, bool]]()
    for _ in range(150):
        b = random.standard_normal(4).astype(np.float32) * np.float32(10.0 ** random.integers(-8, 8))
        step = 10.0 ** random.uniform(-8, -4)
        a = (b * (1 + step * random.choice([-1, 0, 1], 4)) + random.choice([0.0, 1e-8, 1e-5])).astype(np.float32)
        if random.random() < 0.3:
            a[0], b[0] = random.choice(special, 2)
        judges = rejected_by(a, b)
        for name, function in functions.items():
            with np.errstate(all="ignore"):
                try:
                    function(a, b)
                    rejected = False
                except (AssertionError, pytest.fail.Exception):
                    rejected = True
            assert rejected == (name in judges), (name, a, b)
            seen[name, rejected] += 1
    assert min(seen[name, each] for name in functions for each in (True, False)) > 5
    assert set(functions) < set(OTHER_JUDGES)


def test_ulp_distance() -> None:
    one = np.float32(1.0)
    up = np.nextafter(one, np.float32(2), dtype=np.float32)
    tiny = np.float32(2.0**-149)
    a, b = np.float32([1.0, 0.0, -tiny, 1.0]), np.float32([up, -0.0, tiny, 1.0])
    assert ulp_distance(a, b).tolist() == [1, 0, 2, 0]
