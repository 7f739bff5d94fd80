"""Cells of the table are what a survey finds, as far as no verdict is needed."""

from __future__ import annotations

from refgrad.surveys.cell import CONFORMS, DIFFERS, VARIANT
from refgrad.surveys.expected import expected
from refgrad.surveys.implementations import known


def test_each_row_has_a_cell_whose_outcome_is_the_rows() -> None:
    rows, cells = known(), expected(known(), {})
    assert [c.key for c in cells] == [row.key for row in rows]
    for row, cell in zip(rows, cells, strict=True):
        assert cell.outcome == (DIFFERS if not row.explained else VARIANT if row.variant else CONFORMS)
        assert all(f"{name}=" in cell.variant for name in row.variant)
        assert cell.sentence or not row.variant


def test_a_row_that_writes_into_the_gradient_is_shown_with_and_without_a_copy() -> None:
    cell = next(c for c in expected(known(), {}) if "gradient=copied" in c.conditions)
    assert cell.reproduce.count("refgrad.verify(") == 2
    assert "drivers.on_copies" in cell.reproduce
