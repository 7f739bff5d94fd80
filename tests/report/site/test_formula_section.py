"""What a rule computes, on its page: mathematics of every kind of rule, and text of the few that are too long for it."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from refgrad.report.site import formula_section
from refgrad.report.site.formula_section import section
from refgrad.rule import find, rules

#: rules whose formula is no mathematics: too many lines, or a body with statements that are not written so
TEXT, NONE = {"LBFGS"}, {"DensityControl", "ImplicitGradient"}


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("AdamW", r"\sqrt{\hat{v}} + \epsilon"),
        ("NF4", r"\text{ over each row}"),
        ("ClippedSTE", r"\begin{aligned}"),
        ("Wanda", r"\left|w\right|"),
        ("EightBit", r"\sqrt{\hat{v}} + \epsilon"),
        ("RigL", r"\cos"),
        ("TrimmedMean", r"\operatorname{sort}"),
        ("BatchScaledRate", r"\mathrm{ratio}"),
        ("LBFGS", "```text"),
    ],
)
def test_a_rule_of_each_kind_has_its_formula(name: str, part: str) -> None:
    assert part in section(find(name)())


@pytest.mark.slow
def test_nearly_every_rule_has_its_formula_as_mathematics() -> None:
    said = {name: section(cls()) for name, cls in rules().items()}
    assert {name for name, text in said.items() if not text.strip()} == NONE
    assert {name for name, text in said.items() if text.strip() and "{math}" not in text} == TEXT


@pytest.mark.slow
def test_brackets_and_environments_are_closed() -> None:
    for name, cls in rules().items():
        text = section(cls())
        found = Counter(re.findall(r"\\(left|right|begin|end)\b", text))
        assert (found["left"], found["begin"]) == (found["right"], found["end"]), name
        assert text.count("{") == text.count("}"), name


def test_a_formula_too_wide_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formula_section, "WIDEST", 10)
    assert section(find("AdamW")()).startswith("```text\n")
