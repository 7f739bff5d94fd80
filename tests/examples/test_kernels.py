"""What frameworks have of the gallery, each judged as its row says, where it is installed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import refgrad
from refgrad.examples import c_kernels, formulas
from refgrad.examples.kernels import ROWS, WRITTEN_IN_C
from refgrad.surveys.cell import CONFORMS
from refgrad.surveys.implementations import Implementation
from refgrad.surveys.implementations import known as survey_rows

os.environ.setdefault("KERAS_BACKEND", "torch")


def test_rows_are_called_differently_and_stand_in_no_other_table() -> None:
    keys = [row.key for row in ROWS]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & {row.key for row in survey_rows()}
    assert {row.package for row in ROWS} == {"torch", "jax", "flax", "keras", "scipy", "numpy"}
    assert all(type(row.claim).__module__ == formulas.__name__ for row in ROWS)


@pytest.mark.slow
@pytest.mark.sample(suite=12)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_what_it_says_it_is(row: Implementation) -> None:
    if row.missing():
        pytest.skip(f"{', '.join(row.missing())} is not installed")
    verdict = refgrad.verify(row.candidate(), row.claim, policy=row.policy or None, explain=False, shrink=False)
    assert (verdict.outcome == CONFORMS) == row.explained, str(verdict)
    assert not [note for note in verdict.notes if "unlike" in note]


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


@pytest.mark.slow
def test_a_survey_has_the_table(tmp_path: Path) -> None:
    table, package = "refgrad.examples.kernels:ROWS", ["numpy"]
    found = refgrad.survey(table=table, packages=package, jobs=1, explain=0, log=tmp_path / "log.jsonl")
    assert [cell.outcome for cell in found.cells] == [CONFORMS] * sum(row.package == "numpy" for row in ROWS)
