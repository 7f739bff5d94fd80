"""Text in sections: what a report consists of, and how it stands as plain text. It knows of no verdict."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

#: characters a line where nothing says how wide the terminal is
WIDTH = 80
#: how a section is meant, which a terminal shows as a colour
GOOD, BAD, UNSURE, PLAIN = "good", "bad", "unsure", "plain"


@dataclass(frozen=True)
class Table:
    """Rows under a header; the first column is text, the others are numbers."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def printable(text: str) -> str:
    """A text that may hold a candidate's words: what steers a terminal is spelled out, and only its first line is at the edge.

    >>> print(printable("raised ValueError: \\x1b[2J\\nCONFORMS"))
    raised ValueError: \\x1b[2J
        CONFORMS
    """
    if text.isprintable():
        return text
    lines = text.replace("\t", "    ").splitlines() or [""]
    shown = ["".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line) for line in lines]
    return "\n    ".join(shown)


@dataclass(frozen=True)
class Section:
    """A title (empty for the headline), and lines, pairs of a label and its text, or a table."""

    title: str
    lines: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    table: Table | None = None
    tone: str = PLAIN

    def __post_init__(self) -> None:
        object.__setattr__(self, "lines", tuple(map(printable, self.lines)))
        object.__setattr__(self, "pairs", tuple((label, printable(text)) for label, text in self.pairs))


def render_sections(parts: Iterable[Section]) -> str:
    """Sections, one below the other."""
    return "\n".join(line for section in parts for line in _lines(section))


#: tone -> the colour of a title in a notebook, legible on light and on dark ground
COLOURS: Mapping[str, str] = {GOOD: "#2e8b57", BAD: "#d2372f", UNSURE: "#b8860b", PLAIN: "inherit"}


def render_html(parts: Iterable[Section]) -> str:
    """Sections as HTML, as notebooks show a result: all text escaped, nothing loaded, colours that suit light and dark ground.

    >>> render_html([Section("", ("a < b",), tone=BAD)])
    '<div><div style="color:#d2372f;font-weight:bold">a &lt; b</div></div>'
    """
    return f"<div>{''.join(map(_html, parts))}</div>"


def _html(section: Section) -> str:
    style = f"color:{COLOURS[section.tone]};font-weight:bold"
    if not section.title:
        return "".join(f'<div style="{style}">{escape(line)}</div>' for line in section.lines)
    found = [f'<div style="{style};margin-top:0.6em">{escape(section.title)}</div>']
    found += [f"<div>{escape(line)}</div>" for line in section.lines]
    rows: list[tuple[str, ...]] = [
        (f"<td>{escape(label)}</td>", f"<td style='text-align:left'>{escape(text)}</td>")
        for label, text in section.pairs
    ]
    if section.table is not None:
        rows += [tuple(f"<th>{escape(cell)}</th>" for cell in section.table.header)]
        rows += [tuple(f"<td>{escape(cell)}</td>" for cell in row) for row in section.table.rows]
    lines = "".join("<tr>" + "".join(row) + "</tr>" for row in rows)
    return "".join([*found, f"<table>{lines}</table>" if rows else ""])


def wrapped(text: str, width: int = WIDTH, first: str = "", rest: str = "") -> list[str]:
    """A text in lines.

    Args:
        text: one line, of any length.
        width: characters a line; a longer word keeps its line to itself.
        first: what stands before the first line.
        rest: what stands before every other line.

    >>> wrapped("beta1 m + (1 - beta1) g", 16, "m' = ", "       ")
    ["m' = beta1 m +", '       (1 -', '       beta1) g']
    """
    found = textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
    return found or [first.rstrip()]


def columns(rows: Sequence[tuple[str, ...]], width: int = WIDTH, indent: str = "") -> list[str]:
    """Rows set under each other, all columns but the last padded, the last in as many lines as it needs.

    Args:
        rows: rows of the same number of cells.
        width: characters a line.
        indent: what stands before every line.

    >>> columns([("lr", "0.1", "a number"), ("beta1", "0.9", "a number from zero to one")], 24)
    ['lr     0.1  a number', 'beta1  0.9  a number', '            from zero to', '            one']
    """
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    rest = " " * min(len(indent) + sum(widths) + 2 * len(widths), width // 2)
    lines: list[str] = []
    for row in rows:
        first = indent + "".join(cell.ljust(w) + "  " for cell, w in zip(row, widths, strict=False))
        if len(first) > width // 2 + 2:  # the last column would be too narrow: it goes below
            lines += [first.rstrip(), *wrapped(row[-1], width, rest, rest)]
        else:
            lines += wrapped(row[-1], width, first, rest)
    return lines


def render_table(table: Table) -> list[str]:
    """A table with its first column set left and its numbers set right."""
    rows = [table.header, *table.rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.header))]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]


def _lines(section: Section) -> Iterator[str]:
    indent = "  " if section.title else ""
    if section.title:
        yield ""
        yield section.title
    yield from (indent + line for line in section.lines)
    width = max((len(label) for label, _ in section.pairs), default=0)
    yield from (f"{indent}{label.ljust(width)}  {text}" for label, text in section.pairs)
    if section.table is not None:
        yield from (indent + line for line in render_table(section.table))
