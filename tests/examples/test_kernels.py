"""What frameworks have of the gallery, each judged as its row says, where it is installed."""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import refgrad
from refgrad.examples import formulas, kernels
from refgrad.examples.kernels import COMPILED, ROWS
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


@pytest.mark.slow
@pytest.mark.sample(suite=1)
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no compiler of C++")
@pytest.mark.parametrize("row", COMPILED, ids=lambda row: row.name)
def test_what_torch_compile_makes_is_judged_and_a_fault_of_it_is_found(row: Implementation) -> None:
    pytest.importorskip("torch")
    kernel = row.candidate()
    assert refgrad.verify(kernel, row.claim, explain=False, shrink=False).conforms
    wrong = functools.wraps(kernel)(lambda *arrays, **numbers: kernel(*arrays, **numbers) * np.float32(1.001))
    assert not refgrad.verify(wrong, row.claim, explain=False, shrink=False).conforms


@pytest.mark.slow
def test_a_survey_has_the_table(tmp_path: Path) -> None:
    table, package = "refgrad.examples.kernels:ROWS", ["numpy"]
    found = refgrad.survey(table=table, packages=package, jobs=1, explain=0, log=tmp_path / "log.jsonl")
    assert [cell.outcome for cell in found.cells] == [CONFORMS] * sum(row.package == "numpy" for row in ROWS)


PAIRS = [("kernels.py:softmax", "mine.py:softmax")]


def test_a_row_that_is_no_implementation_is_an_error() -> None:
    with pytest.raises(refgrad.ArgumentError, match=r"a row of .*PAIRS is .*; legal: .*Implementation"):
        refgrad.survey(table=f"{__name__}:PAIRS", jobs=1)


def test_rows_that_do_not_conform_say_why() -> None:
    said = {row.name: row.note for row in ROWS if not row.explained}
    assert said == {"flax_layernorm": kernels.ONE_PASS, "torch_attention": kernels.HIDDEN_NAN}
