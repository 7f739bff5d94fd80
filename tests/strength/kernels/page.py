"""The tables and the picture of docs/formula-strength.md, made of the lines of a log."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from refgrad.strength import chart
from tests.strength.kernels.judging import GATES

Line = Mapping[str, Any]
#: the marks of the page between which tables stand
BEGIN, END = "<!-- {} -->", "<!-- end of {} -->"
REFGRAD = "refgrad"
#: why faults that refgrad accepts are accepted, by a part of their id; the first that fits counts
REASONS: Mapping[str, str] = {
    "1e-6 is added to the sum": "less than a rounding: the sum of a softmax is at least 1, of which 1e-6 is "
    "eight units, less than what the sum's own roundings may come to",
    "1e-7 is added to the sum": "less than a rounding: 1e-7 beside a sum of at least 1",
    "log2 e cut to 1.4427": "sets are wide: errors of scores and shares are charged as if they were "
    "independent; told in a note",
    "of 255 bytes": "the same bytes are dropped at the rates that are tried, a quarter and a half",
}


def refused(line: Line, judge: str) -> bool:
    """True if a judge does not take a program for right."""
    return bool(line["outcome"] != "conforms") if judge == REFGRAD else judge in line["gates"]


def judges(lines: Sequence[Line]) -> str:
    """How many right programs each judge refuses, and how many wrong ones."""
    right, wrong = _split(lines)
    rows = [
        (judge, _of(right, judge), f"{_of(wrong, judge)} ({_of(wrong, judge) / max(len(wrong), 1):.1%})")
        for judge in (REFGRAD, *GATES)
    ]
    head = ("judge", f"right programs refused, of {len(right)}", f"wrong ones refused, of {len(wrong)}")
    return _table(head, rows)


def formulas(lines: Sequence[Line]) -> str:
    """By formula: what is refused by each judge, how sharp the sets are, and how long a verdict takes."""
    rows = []
    for of in sorted({line["of"] for line in lines}):
        right, wrong = _split([line for line in lines if line["of"] == of])
        narrowest = [line for line in right if line["dtype"] == "float32" and line.get("allowed")]
        shares = [line["share"] for line in right if line["dtype"] == "float32"]
        full = [line["seconds"] for line in right if line["tried"] == "everywhere"]
        rows.append(
            (
                f"`{of}`",
                len(right),
                ", ".join(str(_of(right, judge)) for judge in (REFGRAD, *GATES)),
                len(wrong),
                ", ".join(str(_of(wrong, judge)) for judge in (REFGRAD, *GATES)) if wrong else "",
                _number(max((line["allowed"] for line in narrowest), default=None)),
                _number(1 / max(shares) if narrowest else None),
                _number(max((line["farther"] for line in right if "farther" in line), default=None)),
                _number(statistics.median(full) if full else None),
            )
        )
    head = (
        "formula",
        "right",
        "refused by " + ", ".join((REFGRAD, *GATES)),
        "wrong",
        "refused by the same",
        "ulps allowed",
        "allowed over observed",
        "farther than roundings",
        "seconds",
    )
    return _table(head, rows)


def languages(lines: Sequence[Line]) -> str:
    """By language and dtype: how many right programs there are, and how many refgrad refuses."""
    right, _ = _split(lines)
    keys = sorted({(line["language"], line["dtype"]) for line in right})
    rows = []
    for key in keys:
        own = [line for line in right if (line["language"], line["dtype"]) == key]
        rows.append((*key, len(own), _of(own, REFGRAD), sum(bool(line["unlike"]) for line in own)))
    return _table(("language", "dtype", "right programs", "refused", 'told "but unlike"'), rows)


def accepted(lines: Sequence[Line]) -> Iterator[tuple[str, str, str, str, str, str]]:
    """The faults that refgrad accepts: formula, fault, error over what is allowed, note, gates that refuse it, reason."""
    for line in sorted(_split(lines)[1], key=lambda line: str(line["id"])):
        if not refused(line, REFGRAD):
            reason = next((why for part, why in REASONS.items() if part in line["id"]), "")
            seen = 'told "but unlike"' if line["unlike"] else ""
            fault = line["name"].replace("|", "\\|")
            yield f"`{line['of']}`", fault, f"{line['share']:.2g}", seen, ", ".join(line["gates"]), reason


def survivors(lines: Sequence[Line]) -> str:
    """The faults that refgrad accepts, each with the reason, and who sees them."""
    head = ("formula", "fault", "largest error over what is allowed", "note", "refused by", "reason")
    return _table(head, accepted(lines))


TABLES = {"judges": judges, "formulas": formulas, "languages": languages, "survivors": survivors}


def shares(lines: Sequence[Line]) -> dict[str, dict[str, float]]:
    """By judge the share of right programs that it refuses, and of wrong ones that it accepts."""
    right, wrong = _split(lines)
    return {
        judge: {
            "right": _of(right, judge) / max(len(right), 1),
            "wrong": 1 - _of(wrong, judge) / max(len(wrong), 1),
        }
        for judge in (REFGRAD, *GATES)
    }


def write(page: Path, lines: Sequence[Line]) -> None:
    """Write the tables between the page's marks, and the picture beside the page.

    Args:
        page: Markdown, with the marks.
        lines: those of a log.
    """
    text = page.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        before, _, rest = text.partition(BEGIN.format(name))
        _, _, after = rest.partition(END.format(name))
        text = f"{before}{BEGIN.format(name)}\n{table(lines)}\n{END.format(name)}{after}"
    page.write_text(text, encoding="utf-8")
    page.with_suffix(".svg").write_text(chart.drawn(shares(lines)), encoding="utf-8")


def _split(lines: Iterable[Line]) -> tuple[list[Line], list[Line]]:
    known = list(lines)
    return [line for line in known if not line["wrong"]], [line for line in known if line["wrong"]]


def _of(lines: Sequence[Line], judge: str) -> int:
    return sum(refused(line, judge) for line in lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in lines)
