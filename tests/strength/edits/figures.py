"""What became of edited programs, by kind of edit and by language, the worst first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from refgrad import json_log
from refgrad.oracle.engine.outcomes import MAY_BE, NEAR
from tests.strength.edits.editing import Edit
from tests.strength.edits.judging import (
    ACCEPTED,
    BROKEN,
    DOUBTED,
    EQUAL,
    FAULT,
    PLACE,
    RIGHT,
    UNNAMED,
    WANTED,
    WRONG,
)

#: the columns of the page, those first for which a name is wanted; and the outcomes that count in each
SHOWN = (
    "wrong",
    "not named",
    "may be, not so",
    "by its place",
    "may be, right",
    "right",
    "accepted",
    "no change",
    "fault",
    "broken",
)
COLUMN = {
    WRONG: "wrong",
    UNNAMED: "not named",
    PLACE: "by its place",
    RIGHT: "right",
    ACCEPTED: "accepted",
    EQUAL: "no change",
    FAULT: "fault",
    BROKEN: "broken",
}
COLUMNS = (*WANTED, ACCEPTED, EQUAL, FAULT, BROKEN)


def read(log: Path) -> dict[str, dict[str, Any]]:
    """The lines of a log by the ids of their edits; of an id the last, with the first one as ``first``."""
    found: dict[str, dict[str, Any]] = {}
    for at, line in enumerate(filter(None, json_log.lines(log))):
        known = found.get(line["id"])
        line["at"] = at
        found[line["id"]] = {**line, "first": line if known is None else known["first"]}
    return found


def table(lines: Iterable[Mapping[str, Any]]) -> str:
    """Three tables in Markdown: all, by language, by kind of edit."""
    lines = list(lines)
    parts = [_table("language", lines), _table("kind", lines), _shares(lines)]
    return "\n\n".join(parts)


def page(lines: Iterable[Mapping[str, Any]], every: Iterable[Edit]) -> str:
    """The counts of a log as they stand in docs/explanations.md: what was not judged first, then kinds of edit, then the rest.

    Args:
        lines: of the log.
        every: all programs that there are.
    """
    every, lines = list(every), sorted(lines, key=lambda line: line["id"])
    known = {line["id"] for line in lines}
    missing = Counter(edit.kind for edit in every if edit.id not in known)
    every_kind = Counter(edit.kind for edit in every)
    unseen = sorted(kind for kind, count in missing.items() if count == every_kind[kind])
    lines = [line for line in lines if line["id"] in {edit.id for edit in every}]
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for line in lines:
        counted[line["kind"]][_shown(line)] += 1
    total = sum(counted.values(), Counter[str]())
    wanted = max(sum(total[k] for k in SHOWN[:6]), 1)
    shares = "; ".join(_share(what, total, wanted) for what in SHOWN[:6])
    head = "| kind of edit | " + " | ".join(SHOWN) + " | not judged |"
    shares_by_commit = _first_times(lines)
    order = sorted(counted, key=lambda kind: (-counted[kind][SHOWN[0]], -counted[kind][SHOWN[1]], kind))
    rows = [
        f"| {k} | " + " | ".join(str(counted[k][c] or "") for c in SHOWN) + f" | {missing[k] or ''} |" for k in order
    ]
    return "\n".join(
        [
            f"Not judged: {sum(missing.values())} of {len(every)} programs"
            + (f", of these kinds all: {', '.join(unseen)}." if unseen else "; of each kind at least one was."),
            "",
            f"Judged: {len(lines)}. Refused by their values, so that a name is wanted: {wanted}. Of these {shares}.",
            "",
            *shares_by_commit,
            "",
            head,
            "|---" * (len(SHOWN) + 2) + "|",
            *rows,
            "",
            "What is wrong or not named:",
            "",
            "| text | kind of edit | edit | told |",
            "|---|---|---|---|",
            *(_row(line) for line in sorted(lines, key=lambda x: (x["text"], x["id"])) if _shown(line) in SHOWN[:3]),
        ]
    )


def _share(what: str, counted: Counter[str], wanted: int) -> str:
    return f"{what} {counted[what]} ({counted[what] / wanted:.1%})"


def _first_times(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    """What became of programs when they were judged for the first time, by the commit of the search, the last one last."""
    counted: dict[str, Counter[str]] = {}
    for first in sorted((line.get("first", line) for line in lines), key=lambda line: line.get("at", 0)):
        counted.setdefault(first.get("commit", ""), Counter())[_shown(first)] += 1
    rows = []
    for commit, each in counted.items():
        wanted = sum(each[what] for what in SHOWN[:6])
        cells = (f"{each[what]} ({each[what] / max(wanted, 1):.1%})" for what in SHOWN[:6])
        rows.append(f"| {commit or 'earlier'} | {wanted} | {' | '.join(cells)} |")
    return [f"| judged first by | a name is wanted | {' | '.join(SHOWN[:6])} |", "|---" * 8 + "|", *rows]


def _shown(line: Mapping[str, Any]) -> str:
    """The column in which a program counts."""
    if line["outcome"] == DOUBTED:
        return SHOWN[4] if any(n["sure"] == MAY_BE and n["true"] for n in line["names"]) else SHOWN[2]
    return COLUMN[line["outcome"]]


def _row(line: Mapping[str, Any]) -> str:
    names = "; ".join(f"{n['name']} ({n['sure']})" for n in line["names"] if n["sure"] != NEAR) or "nothing"
    edit = f"`{_short(line['old'])}` to `{_short(line['new'])}`"
    return f"| {line['text']} | {line['kind']} | {edit} | {names} |".replace("||", "or")


def _short(text: str) -> str:
    """Code in one cell of a table."""
    flat = " ".join(text.split()).replace("|", "\\|")
    return flat if len(flat) <= 60 else flat[:57] + "..."


def _table(by: str, lines: list[Mapping[str, Any]]) -> str:
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for line in lines:
        counted[line[by]][line["outcome"]] += 1
    head = f"| {by} | " + " | ".join(COLUMNS) + " |"
    rows = [f"| {n} | " + " | ".join(str(c[k]) for k in COLUMNS) + " |" for n, c in sorted(counted.items(), key=_worst)]
    return "\n".join([head, "|---" * (len(COLUMNS) + 1) + "|", *rows])


def _worst(item: tuple[str, Counter[str]]) -> tuple[float, float, str]:
    name, counted = item
    wanted = max(sum(counted[k] for k in WANTED), 1)
    return -counted[WRONG] / wanted, counted[RIGHT] / wanted, name


def _shares(lines: list[Mapping[str, Any]]) -> str:
    counted = Counter(line["outcome"] for line in lines)
    wanted = sum(counted[k] for k in WANTED)
    named = counted[RIGHT] + counted[PLACE]
    return (
        f"{len(lines)} programs, {wanted} refused by their values: {named / max(wanted, 1):.1%} named right or by their place, "
        f"{counted[WRONG] / max(wanted, 1):.1%} wrong, {counted[ACCEPTED]} accepted"
    )
