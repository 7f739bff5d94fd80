"""Kernels of the gallery in C, and a machine without a compiler."""

from __future__ import annotations

import numpy as np
import pytest

import refgrad
from refgrad.examples import c_kernels
from refgrad.examples.kernels import ROWS, WRITTEN_IN_C
from refgrad.surveys.implementations import Implementation


@pytest.mark.skipif(c_kernels.compiler() is None, reason="there is no C compiler")
@pytest.mark.parametrize("row", WRITTEN_IN_C, ids=lambda row: row.name)
def test_kernels_in_c_conform(row: Implementation) -> None:
    assert row in ROWS
    assert refgrad.verify(row.candidate(), row.claim, explain=False, shrink=False).conforms


def test_without_a_compiler_a_kernel_in_c_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c_kernels, "compiler", lambda: None)
    c_kernels._library.cache_clear()
    with pytest.raises(refgrad.ArgumentError, match="no C compiler; legal: cc, gcc or clang"):
        c_kernels.c_softmax(np.ones((1, 2), np.float32))
