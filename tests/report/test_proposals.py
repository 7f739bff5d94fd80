"""What is proposed where no rule is named."""

from __future__ import annotations

import pytest

from refgrad.report.proposals import MOST, advice, proposals
from refgrad.surveys.implementations import known


@pytest.mark.slow
def test_a_target_of_the_survey_is_proposed_what_it_is_judged_as() -> None:
    for row in known():
        assert type(row.claim).__name__ in proposals(row.target) or len(proposals(row.target)) == MOST, row.target


@pytest.mark.parametrize(
    ("target", "rule"),
    [("mine.py:lion_step", "Lion"), ("a.b:ADAMW", "AdamW"), ("a:schedule_free_adamw", "ScheduleFreeAdamW")],
)
def test_the_longest_name_within_comes_first(target: str, rule: str) -> None:
    assert proposals(target)[0] == rule


def test_the_advice_says_what_to_write() -> None:
    assert "--as Lion" in advice("mine:lion")
    assert "`refgrad identify mine:step`" in advice("mine:step")
