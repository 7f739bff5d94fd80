"""Making smaller: what is gone on from fails, and nothing that does not fail is returned."""

from __future__ import annotations

import numpy as np

from refgrad.kinds.table import kind_of
from refgrad.optimizers import SGD
from refgrad.oracle.engine.shrink import least
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.written import Inputs
from refgrad.sparsity import Magnitude


def test_steps_elements_and_digits_go_for_as_long_as_it_fails() -> None:
    random = np.random.default_rng(0)
    p = random.standard_normal((4, 6)).astype(np.float32)
    cases = Inputs([p], [[random.standard_normal((4, 6)).astype(np.float32)] for _ in range(5)])
    asked = []

    def fails(smaller: Cases) -> tuple[int, ...] | None:
        asked.append(smaller)
        return (0,) * smaller.p[0].ndim if any((g < 0).any() for (g,) in smaller.g) else None

    found = least(kind_of("optimizer"), SGD(), cases, (0, 0), fails, 10.0)
    assert found.p[0].shape == (1, 1)
    assert found.p[0].item() == 0.0
    assert [g.item() for (g,) in found.g] == [-1.0]
    assert fails(found) is not None


def test_what_does_not_get_smaller_stays_as_it_is() -> None:
    cases = Cases([{"w": np.ones((3, 5), np.float32)}], [""])
    rule = Magnitude()
    assert least(kind_of("mask"), rule, cases, (0, 0), lambda smaller: None, 10.0) is cases


def test_the_time_ends_it() -> None:
    cases = Inputs.of(np.ones(64, np.float32), [np.ones(64, np.float32)])
    assert least(kind_of("optimizer"), SGD(), cases, (0,), lambda smaller: (0,), 0.0) is cases
