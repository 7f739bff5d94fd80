"""The gallery's order, titles and cards."""

from __future__ import annotations

from refgrad.estimators import ClippedSTE
from refgrad.gradients import Krum
from refgrad.optimizers import AdamW
from refgrad.quantizers import EightBit
from refgrad.report.site.gallery import card, page
from refgrad.report.site.pictures import pictures
from refgrad.report.site.rule_page import state_of


def test_optimizers_come_first_and_kinds_have_titles() -> None:
    text = page([EightBit, Krum, ClippedSTE, AdamW])
    titles = [line for line in text.splitlines() if line.startswith("## ")]
    assert titles == ["## Optimizers", "## Estimators", "## 8-bit optimizers", "## Transforms"]


def test_an_estimators_card_shows_its_gradient() -> None:
    rule = ClippedSTE()
    assert pictures(rule)[1] in card(state_of(rule), rule)
