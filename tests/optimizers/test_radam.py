"""RAdam with scalars in float32: what the rectification is made of is told apart from its neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.optimizers import RAdam

Array = np.ndarray
F = np.float32


def with_term(k: float) -> Callable[..., tuple[Array, Array, Array]]:
    """RAdam whose rectification has ``rho - k`` where the rule has ``rho - 2``; every scalar is a float32."""

    def step(p: Array, g: Array, m: Array, v: Array, t: int, lr: float, beta1: float, beta2: float, eps: float) -> Any:
        b1, b2, n = F(beta1), F(beta2), F(t)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        m_hat, longest = m / (1 - b1**n), 2 / (1 - b2) - 1
        rho = longest - 2 * n * b2**n / (1 - b2**n)
        if rho <= 4:
            return p - F(lr) * m_hat, m, v
        r = np.sqrt((rho - 4) * (rho - F(k)) * longest / ((longest - 4) * (longest - 2) * rho))
        return p - F(lr) * r * (m_hat / (np.sqrt(v / (1 - b2**n)) + F(eps))), m, v

    return step


@pytest.mark.slow
@pytest.mark.parametrize(("k", "conforms"), [(2, True), (1, False), (3, False)])
def test_the_terms_of_the_rectification_are_told_apart_in_float32(k: float, conforms: bool) -> None:
    rule = RAdam(scalars="float32")
    verdict = refgrad.verify(with_term(k), rule, steps=1, explain=False, shrink=False)
    assert verdict.conforms == conforms, verdict
    assert conforms or verdict.situation == "late steps"
