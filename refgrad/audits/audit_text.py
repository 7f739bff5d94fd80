"""A `refgrad.audits.found.Audit` as sections, which `refgrad.layout` and `refgrad.report.terminal` only lay out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from refgrad.layout import BAD, GOOD, UNSURE, Section, Table
from refgrad.oracle.engine.outcomes import CONFORMS, DIFFERS, UNJUDGED
from refgrad.oracle.engine.verdict_text import number

#: tensors that are shown in full, and rows of the table
SHOWN, ROWS = 8, 40


def sections(audit: Any) -> list[Section]:
    """Everything that a person reads, most telling first; a section with nothing to say is left out."""
    makers = (_headline, _settings, _faults, _findings, _wrong, _table, _notes)
    return [section for maker in makers for section in maker(audit)]


def headline(audit: Any) -> str:
    """The outcome in one line."""
    link = {CONFORMS: "is", DIFFERS: "is not"}.get(audit.outcome, "against")
    what = "the recorded step" if not audit.findings or audit.tensors else "what was recorded, without gradients,"
    several = len(_judged_as(audit))
    groups = f", with the settings of {several} groups" if several > 1 else ""
    return f"{audit.outcome.upper()}: {what} {link} {audit.rule}{groups}"


def _headline(audit: Any) -> Iterator[Section]:
    tone = {CONFORMS: GOOD, DIFFERS: BAD}.get(audit.outcome, UNSURE)
    lines = [headline(audit)]
    if audit.tensors:
        values = sum(t.total for t in audit.tensors)
        wrong = f"{len(audit.wrong)} of {len(audit.tensors)} tensors have values outside" if audit.wrong else ""
        lines.append(wrong or f"{len(audit.tensors)} tensors, {values:,} values judged, none outside")
        lines += _why(audit)
    yield Section("", tuple(lines), tone=tone)


def _judged_as(audit: Any) -> dict[str, list[str]]:
    """The rules that tensors were judged as, with the hyperparameters of their groups, and which tensors each is of."""
    found: dict[str, list[str]] = {}
    for tensor in audit.tensors:
        found.setdefault(tensor.rule, []).append(tensor.name)
    return found


def _settings(audit: Any) -> Iterator[Section]:
    """Whose hyperparameters are whose; the headline has them where all tensors have the same."""
    rules = _judged_as(audit)
    if len(rules) > 1:
        lines = [f"{rule}: {_some(names)}" for rule, names in rules.items()]
        more = [f"and {len(lines) - ROWS} others"] * (len(lines) > ROWS)
        yield Section("Judged as", (*lines[:ROWS], *more))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} others" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _faults(audit: Any) -> Iterator[Section]:
    if audit.faults:
        yield Section("Besides values", audit.faults, tone=BAD)


def _findings(audit: Any) -> Iterator[Section]:
    if audit.findings:
        yield Section("Said without gradients", audit.findings)


def _wrong(audit: Any) -> Iterator[Section]:
    for tensor in audit.wrong[:SHOWN]:
        yield Section(
            f"{tensor.name}: {tensor.outside:,} of {tensor.total:,} values outside", tuple(_lines(tensor)), tone=BAD
        )
    if len(audit.wrong) > SHOWN:
        names = ", ".join(t.name for t in audit.wrong[SHOWN : 5 * SHOWN])
        yield Section(
            "Further tensors with values outside", (names + (" ..." if len(audit.wrong) > 5 * SHOWN else ""),), tone=BAD
        )


def _lines(tensor: Any) -> Iterator[str]:
    for meaning in tensor.meanings:
        yield told(meaning)
    if not tensor.meanings:
        yield "no known departure explains it"
    dtype = tensor.dtype
    for name, found in tensor.first.items():
        index = list(map(int, np.unravel_index(found.place, tensor.shape))) if tensor.shape else ""
        count = tensor.counts[name]
        yield (
            f"{name}: {count.outside:,} of {count.total:,} outside; first {name}{index} is {number(found.value, dtype)}; legal: "
            f"{number(found.low, dtype)} to {number(found.high, dtype)}"
        )
    yield f"judged as {tensor.rule}, step {tensor.step}"


def told(meaning: Any) -> str:
    """What a tensor may be instead, in one line."""
    if not meaning.name:
        return str(meaning.sentence)
    what = f"{meaning.sentence.rstrip('.')} ({meaning.name})"
    if meaning.outside:
        return f"nearest: {what}: {meaning.outside:,} of {meaning.total:,} values of a sample outside"
    link = f"may be: {what}; but {meaning.doubt}" if meaning.doubt else f"it is so: {what}"
    return f"{link}: 0 of {meaning.total:,} values of a sample outside"


def _table(audit: Any) -> Iterator[Section]:
    if not audit.tensors:
        return
    order = sorted(audit.tensors, key=lambda t: -max(t.worst.values(), default=0.0))
    rows = tuple(
        (
            tensor.name,
            tensor.dtype,
            f"{tensor.total:,}",
            f"{tensor.outside:,}",
            f"{sum(c.undecided for c in tensor.counts.values()):,}",
            f"{max(tensor.worst.values(), default=0.0):.3g}",
            str(tensor.step),
        )
        for tensor in order[:ROWS]
    )
    more = (f"the {ROWS} with the largest errors, of {len(order)}",) if len(order) > ROWS else ()
    header = ("tensor", "dtype", "values", "outside", "undecided", "error over allowed", "step")
    yield Section("Tensors", more, table=Table(header, rows))


def _notes(audit: Any) -> Iterator[Section]:
    notes = audit.notes[len(_why(audit)) :]
    if notes:
        yield Section("Notes", notes)


def _why(audit: Any) -> tuple[str, ...]:
    """Why a step could not be judged, which is the first of the notes, and stands above them."""
    return tuple(audit.notes[:1]) if audit.tensors and audit.outcome == UNJUDGED else ()
