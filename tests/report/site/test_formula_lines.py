"""Lines of mathematics are as wide as a phone, say what they said, and are broken outside brackets."""

from __future__ import annotations

import pytest

from refgrad.optimizers import Muon, ScheduleFreeAdamW
from refgrad.report.site.formula_lines import GOES_ON, WIDEST, block, broken, width
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
    assert joined == SUM


def test_a_product_goes_on_with_its_sign() -> None:
    first, second = broken(r"x &= \operatorname{some}\left(a\right) \, \operatorname{other}\left(b\right)", widest=6.0)
    assert first.startswith("x &= ")
    assert second.startswith(GOES_ON + r"\cdot ")


def test_brackets_are_opened_where_nothing_else_helps_and_keep_their_height() -> None:
    lines = broken(r"x &= \left(\frac{a}{b} + c + d + \left(e + f\right) + g\right)", widest=8.0)
    assert lines[0] == r"x &= \biggl(\frac{a}{b} + c + d"
    assert lines[-1].endswith(r"+ g\biggr)")
    assert r"\left(e + f\right)" in "".join(lines)


def test_a_block_leaves_room_for_its_longest_name() -> None:
    rows = [r"\mathrm{longest\_name} &= a", "x &= a + b + c + d"]
    assert len(block(rows, widest=16.0)) > len(block(rows[1:], widest=16.0))


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
    lines = section(rule).partition("```")[2].partition("```")[0].splitlines()
    assert max(width(line.partition("&")[2]) for line in lines) <= WIDEST


def test_cases_that_are_too_wide_are_said_one_after_another() -> None:
    lines = block([r"x &= \begin{cases}\frac{a + b}{c} + d + e & f > g \\ h & \text{otherwise}\end{cases}"], widest=9.0)
    assert " ".join(line.removeprefix(GOES_ON) for line in lines) == (
        r"x &= \frac{a + b}{c} + d + e \text{ if }f > g,\text{ else }h"
    )


def test_a_wide_numerator_is_named_and_said_below() -> None:
    lines = block([r"x &= \frac{a + b + c + d + e + f + g + h}{2}"], widest=12.0)
    assert lines[:2] == [r"x &= \frac{u_{1}}{2}", r"&\quad \text{where }u_{1} = a + b + c"]
    assert all(width(line.partition("&")[2]) <= 12.0 for line in lines)


def test_a_name_is_none_of_the_formula() -> None:
    lines = block([r"u &= \frac{a + b + c + d + e + f + g + h}{v}"], widest=9.0)
    assert lines[0] == r"u &= \frac{w_{1}}{v}"


def test_a_set_is_broken_at_what_it_says_of_its_elements() -> None:
    lines = block([r"x &= \left\{\operatorname{mean}\left(a\right) : a \in \left(b, c, d\right)\right\}"], widest=7.0)
    assert lines[0].startswith(r"x &= \{")
    assert lines[1].startswith(GOES_ON + r"\in ")


def test_nothing_that_can_be_named_stays_as_it_is() -> None:
    row = r"x &= \operatorname{a\_name\_without\_end}"
    assert block([row], widest=2.0) == [row]


def test_cases_without_a_last_one_keep_their_conditions() -> None:
    row = r"x &= \begin{cases}a + b + c + d & e \\ f & g\end{cases}"
    assert block([row], widest=5.0) == [row]
