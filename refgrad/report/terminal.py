"""A report in a terminal: colour and tables where the terminal has them, plain text wherever it has not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from refgrad.layout import BAD, GOOD, PLAIN, UNSURE, Section, Table, render_sections, render_table
from refgrad.oracle.engine.result import Report

STYLES = {GOOD: "bold green", BAD: "bold red", UNSURE: "bold yellow", PLAIN: "bold"}


def show(report: Report, console: Console | None = None) -> None:
    """Print a report, such as a verdict; a console that is not a terminal (a file, a pipe) gets its text, unwrapped."""
    show_sections(report.sections(), console)


def show_sections(parts: Sequence[Section], console: Console | None = None) -> None:
    """Print sections, as `show` does."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.file.write(render_sections(parts) + "\n")
        return
    console.print(Group(*(_section(section) for section in parts)))


def show_table(table: Table, console: Console | None = None) -> None:
    """Print a table, as `show` does."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.file.write("\n".join(render_table(table)) + "\n")
        return
    console.print(_table(table))


def _section(section: Section) -> RenderableType:
    style = STYLES[section.tone]
    if not section.title:
        return Text("\n".join(section.lines), style)
    parts: list[Any] = [Text(line) for line in section.lines]
    if section.pairs:
        grid = RichTable.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for label, value in section.pairs:
            grid.add_row(Text(label), Text(value))
        parts.append(grid)
    if section.table is not None:
        parts.append(_table(section.table))
    return Group(Text(""), Text(section.title, style), Padding(Group(*parts), (0, 0, 0, 2)))


def _table(table: Table) -> RichTable:
    drawn = RichTable(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    outside = table.header.index("outside") if "outside" in table.header else -1
    for i, name in enumerate(table.header):
        drawn.add_column(name, justify="left" if i == 0 else "right", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(c, "red" if i == outside and c != "0" else "") for i, c in enumerate(row)))
    return drawn
