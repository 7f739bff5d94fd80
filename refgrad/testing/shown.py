"""What pytest shows of a verdict: a report in colour, properties of a JUnit file, and annotations under GitHub Actions."""

from __future__ import annotations

import os
from typing import Any

#: the property of a test's report that says the outcome, and by which a verdict is known
OUTCOME = "refgrad_outcome"


def properties(verdict: Any) -> list[tuple[str, object]]:
    """What was judged, and what came of it."""
    from refgrad.oracle.engine.verdict_text import reason

    return [
        (OUTCOME, verdict.outcome),
        ("refgrad_candidate", verdict.candidate),
        ("refgrad_rule", verdict.rule),
        ("refgrad_seed", verdict.seed),
        ("refgrad_steps", verdict.steps),
        ("refgrad_outside", verdict.total.outside),
        *([] if verdict.conforms else [("refgrad_explanation", reason(verdict))]),
    ]


def unasked(rule: Any, error: Exception) -> list[tuple[str, object]]:
    """The same where the candidate cannot be asked, and there is no verdict."""
    from refgrad.oracle.engine.outcomes import UNJUDGED

    told = [(OUTCOME, UNJUDGED), ("refgrad_candidate", "the candidate"), ("refgrad_rule", str(rule))]
    return [*told, ("refgrad_explanation", str(error))]


class Report:
    """A verdict as a failed test's report, in the colours of `refgrad verify` where there are any."""

    def __init__(self, verdict: Any) -> None:
        self._verdict = verdict

    def __str__(self) -> str:
        return str(self._verdict)

    def toterminal(self, tw: Any) -> None:
        """Write it to a terminal of pytest's."""
        from refgrad.layout import BAD, GOOD, UNSURE, render_sections
        from refgrad.oracle.engine.verdict_text import sections

        colours = {GOOD: "green", BAD: "red", UNSURE: "yellow"}
        for section in sections(self._verdict):
            head = section.title or section.lines[0]
            style = {"bold": True, colours.get(section.tone, "white"): True}
            for line in render_sections([section]).split("\n"):
                tw.line(line, **(style if line == head else {}))


def annotate(terminalreporter: Any) -> None:
    """Under GitHub Actions, an annotation for each verdict that is not "conforms"."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    from refgrad.oracle.engine.outcomes import DIFFERS

    for report in terminalreporter.stats.get("failed", []):
        told = dict(report.user_properties)
        if OUTCOME in told:
            file, line, _ = report.location
            link = "is not" if told[OUTCOME] == DIFFERS else "against"
            title = f"{told['refgrad_candidate']} {link} {told['refgrad_rule']}"
            message = f"{told[OUTCOME]}: {told['refgrad_explanation']}"
            place = f"file={_escaped(file, True)},line={(line or 0) + 1},title={_escaped(title, True)}"
            terminalreporter.write_line(f"::error {place}::{_escaped(message)}")


def _escaped(text: str, in_property: bool = False) -> str:
    """A text as a workflow command of GitHub Actions has it."""
    for character in "%\r\n" + (":," if in_property else ""):
        text = text.replace(character, f"%{ord(character):02X}")
    return text
