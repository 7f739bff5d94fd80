"""Lines of mathematics are as wide as a phone, say what they said, and are broken outside brackets."""

from __future__ import annotations

import pytest

from refgrad.optimizers import Muon, ScheduleFreeAdamW
from refgrad.report.site.formula_lines import GOES_ON, WIDEST, broken, width
from refgrad.report.site.formula_section import section

SUM = r"\theta' &= \theta - \eta\,\frac{g + g + g + g + g}{2} + \left(a + b\right)\,\lambda\,\theta + c\,d + e"


def test_a_short_line_stays() -> None:
    assert broken("x &= a + b") == ["x &= a + b"]


def test_a_sum_is_broken_before_a_sign_and_not_within_a_fraction() -> None:
    lines = broken(SUM, widest=16.0)
    assert len(lines) > 1
    assert all(width(line) <= 16.0 for line in lines)
    assert all(line.startswith(GOES_ON + "+") for line in lines[1:])
    assert all(line.count("{") == line.count("}") for line in lines)


def test_nothing_is_lost() -> None:
    joined = " ".join(line.removeprefix(GOES_ON) for line in broken(SUM, widest=16.0))
    assert joined == SUM.replace(r"\left(a", "(a").replace(r"b\right)", "b)")


def test_a_product_goes_on_with_its_sign() -> None:
    first, second = broken(r"x &= \operatorname{some}\left(a\right) \, \operatorname{other}\left(b\right)", widest=9.0)
    assert first.startswith("x &= ")
    assert second.startswith(GOES_ON + r"\cdot ")


def test_brackets_around_what_is_tall_are_not_opened() -> None:
    line = r"x &= \left(\frac{a}{b} + c + d + e + f + g\right)"
    assert all(line.count(r"\left") == line.count(r"\right") for line in broken(line, widest=5.0))


@pytest.mark.parametrize(
    ("text", "wider"),
    [("a", "a + b"), (r"\frac{a}{b}", r"\frac{a + b}{b}"), ("a^{b}", "a b b"), (r"\alpha", r"\mathrm{alpha}")],
)
def test_what_is_wider(text: str, wider: str) -> None:
    assert width(text) < width(wider)


def test_cases_are_as_wide_as_the_widest() -> None:
    one = width(r"\begin{cases}abc & d\end{cases}")
    assert width(r"\begin{cases}abc & d \\ a & d\end{cases}") == one


@pytest.mark.parametrize("rule", [ScheduleFreeAdamW(), Muon()])
def test_long_numbers_and_operations_of_many_operands_have_lines_of_their_own(rule: ScheduleFreeAdamW | Muon) -> None:
    block = section(rule).partition("```")[2].partition("```")[0]
    assert max(width(line) for line in block.splitlines()) < 1.3 * WIDEST
