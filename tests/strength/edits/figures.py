"""What became of edited programs, by kind of edit and by language, the worst first."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.strength.edits.judging import ACCEPTED, BROKEN, EQUAL, FAULT, PLACE, RIGHT, WANTED, WRONG

COLUMNS = (*WANTED, ACCEPTED, EQUAL, FAULT, BROKEN)


def read(log: Path) -> dict[str, dict[str, Any]]:
    """The lines of a log by the ids of their edits; of an id the last."""
    if not log.exists():
        return {}
    lines = map(json.loads, filter(None, log.read_text(encoding="utf-8").splitlines()))
    return {line["id"]: line for line in lines}


def table(lines: Iterable[Mapping[str, Any]]) -> str:
    """Three tables in Markdown: all, by language, by kind of edit."""
    lines = list(lines)
    parts = [_table("language", lines), _table("kind", lines), _shares(lines)]
    return "\n\n".join(parts)


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
