"""The table of rules that no kernel judges."""

from __future__ import annotations

from refgrad.optimizers import AdamW, Muon
from refgrad.quantizers import Blockwise
from tests.docs.judging_kernels import PAGE, why_not, written


def test_the_table_is_that_of_the_rules() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert written(page) == page, "run python -m tests.docs.judging_kernels"


def test_why_not() -> None:
    assert why_not(AdamW()) is None
    assert why_not(Blockwise()) is None
    assert "operation on matrices" in str(why_not(Muon()))
