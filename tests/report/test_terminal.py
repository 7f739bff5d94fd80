from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from refgrad.layout import Table
from refgrad.oracle.engine.verdict import Verdict
from refgrad.report import terminal


def shown(verdict: Verdict, **options: object) -> str:
    console = Console(file=io.StringIO(), highlight=False, **options)  # type: ignore[arg-type]
    terminal.show(verdict, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def words(shown: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;]*m", "", shown).split()


def test_a_file_gets_the_plain_text(wrong: Verdict) -> None:
    assert shown(wrong) == str(wrong) + "\n"


def test_a_terminal_gets_the_same_words_in_colour(wrong: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = shown(wrong, force_terminal=True, width=400, color_system="standard")
    assert "\x1b[1;31m" in coloured
    assert words(coloured) == words(str(wrong))


def test_no_color_is_respected(wrong: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in shown(wrong, force_terminal=True, width=400)
    assert "\x1b[1;31m" not in shown(wrong, force_terminal=True, width=400)


@pytest.mark.parametrize("width", [30, 60, 100])
def test_no_line_is_wider_than_the_terminal(wrong: Verdict, width: int) -> None:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown(wrong, force_terminal=True, width=width))
    assert max(len(line) for line in plain.splitlines()) <= width


def test_brackets_are_not_markup(wrong: Verdict) -> None:
    assert "['w']" in shown(wrong, force_terminal=True, width=100)


def test_a_table_in_a_terminal_has_the_words_of_one_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    table = Table(("rule", "outside"), (("AdamW", "0"), ("Lion", "3")))
    plain, coloured = (
        Console(file=io.StringIO(), highlight=False, force_terminal=each, color_system="standard", width=40)
        for each in (False, True)
    )
    for console in (plain, coloured):
        terminal.show_table(table, console)
    texts = [console.file.getvalue() for console in (plain, coloured)]  # type: ignore[attr-defined]
    assert words(texts[0]) == words(texts[1]) == ["rule", "outside", "AdamW", "0", "Lion", "3"]
    assert re.findall(r"\x1b\[31m *(\w+)", texts[1]) == ["3"]  # what is outside, and nothing else
