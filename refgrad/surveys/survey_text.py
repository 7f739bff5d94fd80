"""A `refgrad.Survey` as text: the matrix with one letter a column, then a line for everything that is not just right."""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Any

from refgrad.layout import WIDTH, wrapped
from refgrad.surveys.cell import CONFORMS, CRASHED, DIFFERS, HUNG, OUTCOMES, UNJUDGED, VARIANT, Cell

#: outcome -> what stands in the matrix
MARKS = {CONFORMS: "+", VARIANT: "~", DIFFERS: "X", CRASHED: "!", HUNG: "H", UNJUDGED: "?"}
LETTERS = string.ascii_lowercase + string.ascii_uppercase


def render(survey: Any, width: int = WIDTH) -> str:
    """All of it as plain text.

    Args:
        survey: the survey.
        width: characters a line; a matrix that is wider stands in several parts, one below the other.
    """
    head = [line for text in _head(survey) for line in wrapped(text, width)]
    named = [line for text in _columns(survey) for line in wrapped(text, width, rest="   ")]
    remarks = [line for text in _remarks(survey) for line in _remark_lines(text, width)]
    return "\n".join([*head, "", *named, "", *_matrix(survey, width), *remarks])


def _remark_lines(text: str, width: int) -> list[str]:
    indent = text[: len(text) - len(text.lstrip())]
    return wrapped(text.lstrip(), width, indent, indent * 2)


def summary(survey: Any) -> str:
    """The counts in one line."""
    told = ", ".join(f"{count} {outcome}" for outcome, count in survey.counts.items() if count) or "nothing"
    where = f"of {len(survey.covered)} rules in {len(survey.packages)} packages"
    return f"{len(survey.cells)} implementations {where}: {told} ({survey.judging:g} s of judging)"


def worst(cells: tuple[Cell, ...]) -> str:
    """The worst outcome of several cells."""
    order = list(OUTCOMES)
    return max((c.outcome for c in cells), key=order.index)


def _head(survey: Any) -> Iterator[str]:
    yield f"Survey of {survey.started}: {summary(survey)}"
    yield "  ".join(f"{mark} {outcome}" for outcome, mark in MARKS.items()) + "  . no implementation"


def _columns(survey: Any) -> Iterator[str]:
    for letter, column in zip(LETTERS, survey.columns, strict=False):
        package = column.partition(" (")[0]
        yield f"{letter}  {column} {survey.packages.get(package, '')}"
    if survey.missing:
        yield f"not installed: {', '.join(survey.missing)}"


def _matrix(survey: Any, width: int) -> Iterator[str]:
    """The rules against the columns, as many columns at a time as fit."""
    columns = list(zip(LETTERS, survey.columns, strict=False))
    named = max((max(len(r.name), len(_heading(r.kind))) for r in survey.rules), default=0)
    room = max((width - named - 1) // 2, 1)
    for begin in range(0, max(len(columns), 1), room):
        if begin:
            yield ""
        yield from _part(survey, columns[begin : begin + room], named)


def _heading(kind: str) -> str:
    return f"{kind}s"


def _part(survey: Any, columns: list[tuple[str, str]], named: int) -> Iterator[str]:
    kind = ""
    for rule in survey.rules:
        if rule.kind != kind:
            kind = rule.kind
            yield f"{_heading(kind):<{named}}  {' '.join(letter for letter, _ in columns)}"
        marks = []
        for _, column in columns:
            cells = survey.at(rule.name, column)
            marks.append(MARKS[worst(cells)] if cells else ".")
        yield f"{rule.name:<{named}}  {' '.join(marks)}"


def _remarks(survey: Any) -> Iterator[str]:
    for outcome in (DIFFERS, CRASHED, HUNG, UNJUDGED, VARIANT):
        cells = [c for c in survey.cells if c.outcome == outcome]
        if cells:
            yield from ("", outcome.capitalize())
        for cell in cells:
            yield f"  {cell.called} {cell.version} as {cell.claim}: {remark(cell)}"


def remark(cell: Cell) -> str:
    """What is to be said of a cell in one line."""
    if cell.outcome == VARIANT:
        return f"{cell.variant} ({cell.sentence})" if cell.sentence else cell.variant
    said = cell.message.splitlines()[0] if cell.message else ""
    if not said and cell.attempts:
        last = cell.attempts[-1]
        said = f"{last.outside} of {last.total} values outside"
    return f"{said}; {cell.note}" if cell.note and said else said or cell.note
