"""The page's counts of compared bits are those of the rules that have kernels, and none differs."""

from __future__ import annotations

from pathlib import Path

import pytest

from refgrad.optimizers import LAMB, AdamW
from tests.backends.cuda.conftest import needs_compiler, needs_nvrtc
from tests.backends.cuda.covered import TIERS, defaults
from tests.docs.bits_compared import EMULATED, PAGE, PLACES, Counts, compared, device_of, row, rows, steps


def test_the_page_has_every_place_and_no_bit_differs() -> None:
    found = rows(PAGE.read_text(encoding="utf-8"))
    lines = [row(place, tier, Counts(0, 0, 0, 0)) for place, tier in PLACES]
    assert [each[:2] for each in found] == [[c.strip() for c in line.strip("| \n").split("|")][:2] for line in lines]
    for cells in found:
        outputs = [a for given in steps(cells[1], defaults()) for a in map(given.arrays.get, given.plan.graph.outputs)]
        numbers, bits = (
            sum(a.size for a in outputs if a is not None),
            sum(8 * a.nbytes for a in outputs if a is not None),
        )
        assert cells[2:] == [str(len(defaults())), f"{numbers:,}", f"{bits:,}", "0"], (
            "run python -m tests.docs.bits_compared"
        )


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
