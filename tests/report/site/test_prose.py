"""Docstrings as Markdown."""

from __future__ import annotations

from refgrad.report.site.prose import cell, code, markdown, table

DOC = """Steps once, by lr*g_i.

As the paper has it:

    p = p - lr * g

Args:
    p: the parameter, which
        may be any array.
    g, h: gradients | others.

Raises:
    ValueError: never.

>>> 1 + 1
2
"""


def test_a_docstring_keeps_its_equations_and_examples_and_lists_its_arguments() -> None:
    text = markdown(DOC)
    assert r"by lr\*g\_i." in text
    assert "```text\np = p - lr * g\n```" in text
    assert "- `p`: the parameter, which may be any array.\n- `g, h`: gradients \\| others." in text
    assert "```python\n>>> 1 + 1\n2\n```" in text


def test_bars_do_not_break_a_row() -> None:
    row = table(("a", "b"), [(cell("x | y"), code("p|q"))]).splitlines()[-1]
    assert row == r"| x \| y | `p\|q` |"


def test_a_table_without_rows_is_nothing() -> None:
    assert table(("a",), []) == ""
