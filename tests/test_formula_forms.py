"""Declared forms of a formula: a kernel of one is right where it is declared, and not elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.errors import ArgumentError


def variances() -> Any:
    """A formula whose one-pass form is not declared yet."""

    @refgrad.formula(x="batch feature", wrt="x")
    def variance(x: Any, *, eps: refgrad.Positive = 1e-5) -> Any:
        centred = x - np.mean(x, axis=-1, keepdims=True)
        return np.mean(centred * centred, axis=-1) + eps

    return variance


def one_pass(x: Any, eps: Any) -> Any:
    mean = np.mean(x, axis=-1)
    return np.mean(x * x, axis=-1) - mean * mean + np.float32(eps)


@pytest.mark.slow
def test_a_form_lets_in_its_programs_alone() -> None:
    variance = variances()
    assert refgrad.verify(one_pass, variance(), explain=False).outcome == "does not conform"

    @variance.form("one pass")
    def form(x: Any, *, eps: Any) -> Any:
        mean = np.mean(x, axis=-1)
        return np.mean(x * x, axis=-1) - mean * mean + eps

    assert list(variance.forms) == ["one pass"]
    assert refgrad.verify(one_pass, variance(), explain=False).outcome != "does not conform"
    assert refgrad.verify(variance(), variance(), explain=False).conforms
    unbiased = lambda x, eps: np.var(x, axis=-1, ddof=1) + np.float32(eps)  # noqa: E731
    assert refgrad.verify(unbiased, variance(), explain=False, shrink=False).outcome == "does not conform"
    assert not variances().forms


@pytest.mark.slow
def test_a_backward_has_forms_of_its_own() -> None:
    variance = variances()

    @variance.backward.form("from the mean")
    def form(x: Any, grad_output: Any, *, eps: Any) -> Any:
        return ((2.0 * grad_output / x.shape[1])[:, None] * (x - np.mean(x, axis=-1, keepdims=True)),)

    assert list(variance.backward.forms) == ["from the mean"]
    assert not variance.forms

    def kernel(x: np.ndarray, grad_output: np.ndarray) -> np.ndarray:
        return (x - x.mean(-1, keepdims=True)) * (2 * grad_output / np.float32(x.shape[1]))[:, None]

    assert refgrad.verify(kernel, variance.backward(), explain=False).conforms


def test_what_is_no_form_is_said() -> None:
    variance = variances()
    with pytest.raises(ArgumentError, match="the form 'biased' of variance differs from it by"):
        variance.form("biased")(lambda x, *, eps: np.var(x, axis=-1, ddof=1) + eps)
    with pytest.raises(ArgumentError, match="what the form 'y' of variance takes is 'y'; legal: x, eps"):
        variance.form("y")(lambda y: y)
    with pytest.raises(ArgumentError, match=r"the form 'rows' of variance gives a result\[0\] of shape"):
        variance.form("rows")(lambda x, *, eps: x)
    variance.form("same")(lambda x, *, eps: np.var(x, axis=-1) + eps)
    with pytest.raises(ArgumentError, match="the form of variance is 'same'; legal: a name that no form of it has yet"):
        variance.form("same")
