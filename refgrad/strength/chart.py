"""The chart of docs/strength.md: for each judge, the share of right programs rejected and of wrong ones accepted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from refgrad.strength.tables import SHORT, programs, rejections

Found = Mapping[str, Mapping[str, Any]]

#: parts of the figures, by what their programs are
PARTS = {"right": ("hand", "random", "case programs"), "wrong": ("mutants", "case mutants")}
#: pixels: a row, a bar's thickness, where bars start, how long the longest is, and room at the right for its number
ROW, BAR, LEFT, LENGTH, ROOM = 34, 12, 130, 420, 110
HEAD = 46
COLOURS = {"right": "#b3401a", "wrong": "#2b5fab"}
WORDS = {"right": "right programs rejected", "wrong": "wrong programs accepted"}
FONT = "font-family='system-ui, sans-serif' font-size='12' fill='#555'"


def shares(found: Found) -> dict[str, dict[str, float]]:
    """Judge -> the share of right programs that it rejects, and of wrong ones that it accepts."""
    made = {kind: sum(programs(found, part)["all"] for part in parts) for kind, parts in PARTS.items()}
    rejected = {
        judge: {k: sum(rejections(found, part, judge, "all") for part in parts) for k, parts in PARTS.items()}
        for judge in SHORT
    }
    return {
        SHORT[judge]: {
            "right": of["right"] / max(made["right"], 1),
            "wrong": (made["wrong"] - of["wrong"]) / max(made["wrong"], 1),
        }
        for judge, of in rejected.items()
    }


def picture(found: Found) -> str:
    """The picture of the figures of docs/strength.json."""
    return drawn(shares(found))


def drawn(known: Mapping[str, Mapping[str, float]]) -> str:
    """A picture as SVG: two bars a judge, each kind on its own scale, because right and wrong programs are not as many.

    Args:
        known: by judge the share of right programs that it rejects, and of wrong ones that it accepts.
    """
    longest = {kind: max(of[kind] for of in known.values()) or 1.0 for kind in WORDS}
    height = HEAD + ROW * len(known) + 8
    lines = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {LEFT + LENGTH + ROOM} {height}' role='img'>"]
    lines.append("<title>How often each judge rejects what is right, and accepts what is wrong</title>")
    for number, (kind, words) in enumerate(WORDS.items()):
        y = 8 + 16 * number
        lines.append(f"<rect x='{LEFT}' y='{y}' width='10' height='10' fill='{COLOURS[kind]}'/>")
        lines.append(f"<text x='{LEFT + 16}' y='{y + 9}' {FONT}>{words}</text>")
    for number, (judge, of) in enumerate(known.items()):
        y = HEAD + ROW * number
        lines.append(f"<text x='{LEFT - 8}' y='{y + 17}' text-anchor='end' {FONT}>{escape(judge)}</text>")
        lines += _bars(of, longest, y)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _bars(of: Mapping[str, float], longest: Mapping[str, float], y: int) -> Iterator[str]:
    for number, (kind, colour) in enumerate(COLOURS.items()):
        top, width = y + number * (BAR + 1), LENGTH * of[kind] / longest[kind]
        said = f"{100 * of[kind]:.2g} %" if of[kind] else "none"
        yield f"<rect x='{LEFT}' y='{top}' width='{width:.1f}' height='{BAR}' fill='{colour}'/>"
        yield f"<text x='{LEFT + width + 6:.1f}' y='{top + 10}' {FONT}>{said}</text>"
