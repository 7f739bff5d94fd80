"""A verdict as plain text, as `str` and logs show it."""

from __future__ import annotations

from refgrad.layout import render_sections
from refgrad.oracle.engine.verdict import Verdict
from refgrad.report.sections import sections


def render(verdict: Verdict) -> str:
    """The verdict's sections, one below the other; the first line says the outcome, the candidate and the rule."""
    return render_sections(sections(verdict))
