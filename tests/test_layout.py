"""Text in columns and in lines of a width."""

from __future__ import annotations

import pytest

from refgrad.layout import BAD, Section, Table, columns, printable, render_html, render_sections, wrapped

WORDS = "eps is added to the root of the corrected second moment"


@pytest.mark.parametrize("width", [16, 24, 80])
def test_lines_fit_and_lose_no_word(width: int) -> None:
    lines = wrapped(WORDS, width, "  ", "    ")
    assert max(map(len, lines)) <= width
    assert " ".join(" ".join(lines).split()) == WORDS
    assert lines[0].startswith("  eps")
    assert all(line.startswith("    ") for line in lines[1:])


def test_nothing_is_an_empty_line_and_a_long_word_stays_whole() -> None:
    assert wrapped("", 10) == [""]
    assert wrapped("an arXiv:1711.05101v3 b", 10) == ["an", "arXiv:1711.05101v3", "b"]


def test_columns_stand_under_each_other() -> None:
    found = columns([("eps", "1e-08", WORDS), ("beta1", "0.9", "a decay")], 40, "  ")
    assert max(map(len, found)) <= 40
    assert found[0].startswith("  eps    1e-08  eps is")
    assert found[-1] == "  beta1  0.9    a decay"
    assert all(line.startswith(" " * 16) for line in found[1:-1])
    assert columns([]) == []


def test_a_last_column_without_room_goes_below() -> None:
    name = "weight_decay=uncorrected"
    assert columns([(name, WORDS)], 40)[:2] == [name, " " * 20 + "eps is added to the"]
    assert max(map(len, columns([(name, WORDS), ("m", WORDS)], 40))) <= 40


def test_sections_as_text_and_as_html() -> None:
    part = Section("Elements", ("a < b",), (("mode", "step-locked"),), Table(("tensor", "inside"), (("p", "12"),)), BAD)
    assert render_sections([part]).splitlines() == [
        "",
        "Elements",
        "  a < b",
        "  mode  step-locked",
        "  tensor  inside",
        "  p           12",
    ]
    shown = render_html([part])
    assert "a &lt; b" in shown
    assert "<th>tensor</th>" in shown


@pytest.mark.parametrize("title", ["", "Faults"])
def test_a_candidates_words_steer_no_terminal_and_begin_no_line(title: str) -> None:
    said = "raised: \x1b[2J\r\x9b1m\u202eX\n\nCONFORMS: all is well\vCONFORMS\u2028CONFORMS"
    text = render_sections([Section(title, (said,), (("", said),))])
    assert not any(line.startswith("CONFORMS") for line in text.splitlines())
    assert all(c.isprintable() or c == "\n" for c in text)
    assert text.count("\\x1b[2J") == 2
    assert printable("plain words, wörter") == "plain words, wörter"
