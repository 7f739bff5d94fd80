"""A verdict as plain text, as `str` and logs show it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from refgrad.oracle.engine.verdict import Verdict
from refgrad.report.sections import Section, Table, sections


def render(verdict: Verdict) -> str:
    """The verdict's sections, one below the other; the first line says the outcome, the candidate and the rule."""
    return render_sections(sections(verdict))


def render_sections(parts: Iterable[Section]) -> str:
    """Sections, one below the other."""
    return "\n".join(line for section in parts for line in _lines(section))


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
