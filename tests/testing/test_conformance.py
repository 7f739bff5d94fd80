"""One line for a test of any runner."""

from __future__ import annotations

import unittest
from typing import Any

import pytest

from refgrad.errors import CandidateError, VerdictError
from refgrad.examples.numpy_adamw import adamw, adamw_eps_inside
from refgrad.optimizers import SGD, AdamW
from refgrad.testing import assert_conforms


@pytest.mark.slow
def test_what_conforms_gives_its_verdict() -> None:
    assert assert_conforms(adamw, AdamW(lr=0.01), steps=3).conforms


@pytest.mark.slow
def test_what_does_not_is_a_failure_whose_text_is_the_report() -> None:
    with pytest.raises(AssertionError, match=r"(?s)DOES NOT CONFORM.*eps_placement") as failure:
        assert_conforms(adamw_eps_inside, AdamW(eps=1e-3), steps=3)
    assert isinstance(failure.value, VerdictError)


def test_what_cannot_be_handed_over_is_an_error_that_says_so() -> None:
    with pytest.raises(CandidateError, match="mine"):
        assert_conforms(lambda p, g, mine: p, SGD(), steps=3)


@pytest.mark.slow
def test_a_broken_law_is_a_failure() -> None:
    pytest.importorskip("hypothesis", reason="Hypothesis is not installed")

    def odd(p: Any, g: Any, lr: float) -> Any:
        return p - p.dtype.type(lr) * (g if p.size != 5 or p.ndim != 1 else -g)

    with pytest.raises(AssertionError):
        assert_conforms(odd, SGD(lr=0.1), laws=True, steps=2)


@pytest.mark.slow
def test_unittest_counts_a_failure_and_no_error() -> None:
    class Mine(unittest.TestCase):
        def test_step(self) -> None:
            assert_conforms(lambda p, g: p + g, SGD(lr=0.1), steps=2)

    result = Mine("test_step").run()
    assert result is not None
    assert (len(result.failures), len(result.errors)) == (1, 0)
