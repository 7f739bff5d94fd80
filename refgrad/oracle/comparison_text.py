"""A `refgrad.Comparison` as sections, which `refgrad.layout` and `refgrad.report.terminal` only lay out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from refgrad.layout import BAD, GOOD, UNSURE, Section, Table
from refgrad.oracle.difference import AS_GOOD, BETTER, MIXED, SAME, WORSE, Element
from refgrad.oracle.engine.outcomes import CONFORMS, UNEXPLAINED
from refgrad.oracle.engine.verdict_text import explanation, headline, number, reason, statistical, turn

#: what a first line says of the verdicts where its first words do not
BOTH, NEITHER = "and conforms", "and neither conforms"


def sections(found: Any) -> list[Section]:
    """Everything that a person reads, most telling first; a section with nothing to say is left out."""
    makers = (_headline, _estimated, _uncompared, _verdicts, _outputs, _elements, _reproduce, _notes)
    return [section for maker in makers for section in maker(found)]


def _headline(found: Any) -> Iterator[Section]:
    verdicts = (
        ""
        if found.outcome not in (SAME, BETTER, WORSE, MIXED, AS_GOOD)
        else f", {BOTH if found.new.conforms else NEITHER}"
    )
    tone = {0: GOOD, 1: BAD}.get(found.exit_code, UNSURE)
    tone = UNSURE if tone == GOOD and found.outcome in (WORSE, MIXED) else tone
    line = f"{found.outcome.upper()}{verdicts}: {found.new.candidate} against {found.old.candidate}, as {found.rule}"
    share = f"{found.changed} of {found.compared} elements differ"
    yield Section("", (line, share, *found.change), tone=tone)


def _estimated(found: Any) -> Iterator[Section]:
    yield from statistical(found.new)


def _uncompared(found: Any) -> Iterator[Section]:
    if found.uncompared:
        yield Section("Not compared", found.uncompared, tone=UNSURE)


def _verdicts(found: Any) -> Iterator[Section]:
    yield Section("Verdicts", pairs=(("old", _told(found.old)), ("new", _told(found.new))))


def _told(verdict: Any) -> str:
    """A verdict in a line: its own first one, and why it is not "conforms" unless that is told as the change."""
    told = verdict.outcome == CONFORMS or verdict.departures
    return headline(verdict) if told else f"{headline(verdict)}: {reason(verdict)}"


def _outputs(found: Any) -> Iterator[Section]:
    rows = [
        (
            name,
            each.outcome,
            str(each.changed),
            str(each.compared),
            f"{each.old_largest:.3g} -> {each.new_largest:.3g}",
            f"{each.old_mean:.3g} -> {each.new_mean:.3g}",
            str(each.nearer),
            str(each.farther),
            f"{each.old_outside} -> {each.new_outside}",
        )
        for name, each in found.outputs.items()
    ]
    if rows:
        header = ("output", "is", "differ", "of", "error/allowed", "on average", "nearer", "farther", "outside")
        yield Section("Outputs", table=Table(header, tuple(rows)))


def _elements(found: Any) -> Iterator[Section]:
    turned = turn(found.new.mode)
    if found.first is not None:
        yield Section("First difference", pairs=tuple(element(found.first, turned)))
    if found.largest not in (None, found.first):
        yield Section("Largest difference", pairs=tuple(element(found.largest, turned)))


def element(at: Element, turned: str) -> Iterator[tuple[str, str]]:
    """One element that differs, as labels with texts.

    Args:
        at: the element.
        turned: what candidates are driven by: "step" or "case".
    """
    index = f"[{', '.join(map(str, at.index))}]" if at.index else ""
    leaf = f" of {'parameter' if turned == 'step' else 'inputs'} {at.leaf}" if at.leaf else ""
    if at.situation:
        yield "situation", at.situation
    yield "where", f"{turned} {at.step}, {at.tensor}{index}{leaf}, {at.dtype}"
    yield "old", f"{number(at.old, at.dtype)}{_error(at.old_error)}"
    yield "new", f"{number(at.new, at.dtype)}{_error(at.new_error)}"
    yield "truth", number(at.truth, at.dtype)
    yield "apart", "where only one number is right" if math.isinf(at.apart) else f"{at.apart:.3g} of what is allowed"


def _error(error: float) -> str:
    if math.isnan(error):
        return ""
    return ", wrong" if math.isinf(error) else f", off by {error:.3g} of what is allowed"


def _reproduce(found: Any) -> Iterator[Section]:
    if found.reproduce:
        yield Section("Reproduce", tuple(found.reproduce.splitlines()))


def _notes(found: Any) -> Iterator[Section]:
    notes = tuple(note for note in found.notes if note != UNEXPLAINED)
    if notes:
        yield Section("Notes", notes, tone=UNSURE)


def named(verdict: Any) -> str:
    """What a verdict says its candidate is instead; empty where nothing is known of that."""
    return explanation(verdict) if verdict.departures else ""
