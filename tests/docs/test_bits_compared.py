"""The page's counts of compared bits are those of the rules that have kernels, and none differs."""

from __future__ import annotations

from pathlib import Path

import pytest

from refgrad.optimizers import LAMB, AdamW
from tests.backends.cuda.conftest import needs_compiler, needs_nvrtc
from tests.backends.cuda.covered import TIERS, defaults
from tests.docs.bits_compared import (
    BEGIN,
    EMULATED,
    END,
    PAGE,
    PLACES,
    Counts,
    compared,
    device_of,
    row,
    rows,
    steps,
    written,
)


def test_rows_of_the_page_are_those_of_the_rules_and_no_number_differs() -> None:
    page = PAGE.read_text(encoding="utf-8")
    found = rows(page)
    known = {tuple(row(place, tier, Counts(0, 0, 0, 0)).strip("|\n ").split(" | ")[:2]) for place, tier in PLACES}
    assert {tuple(each[:2]) for each in found} <= known
    assert {each[1] for each in found} >= {"float32", "float64"}
    for cells in found:
        made = [given.arrays[name] for given in steps(cells[1], defaults()) for name in given.plan.graph.outputs]
        counts = [f"{sum(a.size for a in made):,}", f"{sum(8 * a.nbytes for a in made):,}"]
        assert cells[2:] == [str(len(defaults())), *counts, "0"], "run python -m tests.docs.bits_compared"


def test_a_row_is_written_instead_of_the_one_before() -> None:
    page = written(f"a\n{BEGIN}{END}b\n", row("sm_90", "float64", Counts(1, 2, 3, 4)))
    page = written(page, row(EMULATED, "float32", Counts(5, 6, 7, 8)))
    page = written(page, row("sm_90", "float64", Counts(1, 2, 3, 0)))
    assert [each[1:] for each in rows(page)] == [["float32", "5", "6", "7", "8"], ["float64", "1", "2", "3", "0"]]
    assert page.startswith("a\n")
    assert page.endswith("b\n")


@pytest.mark.parametrize(
    "place", [pytest.param(EMULATED, marks=needs_compiler), pytest.param("sm_90", marks=needs_nvrtc)]
)
def test_numbers_that_differ_are_counted(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = [AdamW(), LAMB()]
    device = device_of(place, "float32", of, tmp_path)
    right = compared("float32", device, of)
    assert right.differ == 0
    assert right.bits == 32 * right.numbers
    monkeypatch.setattr(device, "launch", lambda *given: None)  # as if kernels wrote nothing
    assert compared("float32", device, of).differ > right.numbers // 2


def test_every_way_to_store_is_compared() -> None:
    assert {tier for place, tier in PLACES if place == EMULATED} == {*TIERS} == {t for p, t in PLACES if p == "sm_90"}
