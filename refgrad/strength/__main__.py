"""The figures of docs/strength.md: ``python -m tests.oracle.strength [RULE ...] [--values N] [--processes K]``.

Each rule's figures are written to docs/strength.json as soon as they are known. They are not measured again unless fewer
values were asked for, so that a run that was stopped goes on where it stood; ``--again`` measures anew.
When all is there the tables of docs/strength.md and the picture beside it are written; ``--tables`` writes these alone.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.oracle.strength import drawn, rooms, tables

DOCS = Path(__file__).parents[3] / "docs"
FIGURES = DOCS / "strength.json"
PICTURE = DOCS / "strength.svg"
VALUES = 10_000_000


def known() -> dict[str, dict[str, Any]]:
    """What was measured so far: rule -> part -> figures."""
    return json.loads(FIGURES.read_text()) if FIGURES.exists() else {}


def save(found: dict[str, dict[str, Any]]) -> None:
    """All of it, at once: a stop in the middle leaves the old file."""
    new = FIGURES.with_suffix(".new")
    lines = [f"{json.dumps(name)}: {json.dumps(found[name], sort_keys=True)}" for name in sorted(found)]
    new.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    os.replace(new, FIGURES)


def missing(names: list[str], parts: list[str], values: int, again: bool) -> Iterator[rooms.Unit]:
    """What is to be measured."""
    found = known()
    for part, rule_names in rooms.parts().items():
        if parts and part not in parts:
            continue
        for name in rule_names:
            done = found.get(name, {}).get(part)
            enough = done is not None and ("values" not in done or done.get("asked", done["values"]) >= values)
            if (not names or name in names) and (again or not enough):
                yield part, name, values


def main() -> None:
    """Measure what is missing, in several processes."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle.strength")
    parser.add_argument("rules", nargs="*")
    parser.add_argument("--values", type=int, default=VALUES, help="values judged of random programs, a rule")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--parts", nargs="+", choices=list(rooms.PARTS), help="what is measured; by default all")
    parser.add_argument("--again", action="store_true", help="measure what is known already, too")
    parser.add_argument("--tables", action="store_true", help="write the tables alone")
    given = parser.parse_args()
    units = [] if given.tables else list(missing(given.rules, given.parts, given.values, given.again))
    with multiprocessing.get_context("spawn").Pool(given.processes) as pool:
        for number, (unit, figures) in enumerate(pool.imap_unordered(rooms.measured, units), 1):
            found = known()
            if isinstance(figures, dict):
                found.setdefault(unit[1], {})[unit[0]] = figures
                save(found)
            said = f"{figures['seconds']} s" if isinstance(figures, dict) else figures
            print(f"{number}/{len(units)} {unit[1]} {unit[0]}: {said}", flush=True)
    tables.write(DOCS / "strength.md", known())
    PICTURE.write_text(drawn.picture(known()))


if __name__ == "__main__":
    main()
