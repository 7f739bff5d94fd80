"""The table of what runs rules on a card is that of the rules, and few of them run on the host."""

from __future__ import annotations

from refgrad.rule import rules
from tests.docs.rules_by_backend import PAGE, on_the_host, written


def test_the_table_is_that_of_the_rules() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert written(page) == page, "run python -m tests.docs.rules_by_backend"


def test_few_rules_run_on_the_host() -> None:
    host = on_the_host()
    assert host <= set(rules())
    assert len(host) <= 25
