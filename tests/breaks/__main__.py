"""`python -m tests.breaks [ID ...]`: put each fault into a copy of the working tree, and see which test notices.

The tests that a record names are run first; with --whole, what these do not catch meets all tests. --depth says how many of
their cases are run. Outcomes are appended to a file as they come, and what is there is not tried again: a run that was broken
off goes on. With --record the table is told what caught each fault. One fault after the other, one process at a time;
REFGRAD_CACHE_DIR, if it is set, is where kernels come from, and nothing is written there.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.breaks import table
from tests.breaks.table import Break, Tried
from tests.breaks.trial import copied, tried
from tests.depth import DEPTHS

RESULTS = table.ROOT / "build" / "breaks.jsonl"


def main() -> int:
    """Try the faults; 1 if one survived or could not be tried."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.breaks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("ids", nargs="*", metavar="ID", help="the faults, or rooms; all by default")
    parser.add_argument("--tests", metavar="ARGS", help="what pytest is given, in place of what records name")
    parser.add_argument("--depth", choices=DEPTHS, default="suite", help="how deep the tests look; suite by default")
    parser.add_argument("--whole", action="store_true", help="the whole suite where the first tests do not notice")
    parser.add_argument("--worktree", type=Path, metavar="DIR", help="a tree to work in, in place of a copy")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE", help="where outcomes are kept")
    parser.add_argument("--again", action="store_true", help="try what was tried before, too")
    parser.add_argument("--seconds", type=float, default=1800.0, help="how long pytest may take for one fault")
    parser.add_argument("--record", action="store_true", help="write what caught each fault into the table, and end")
    options = parser.parse_args()
    chosen = [b for b in table.breaks().values() if not options.ids or {b.id, b.room} & set(options.ids)]
    known = outcomes(options.results)
    if options.record:
        return record(known)
    left = [b for b in chosen if options.again or b.id not in known]
    options.results.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.nullcontext(options.worktree) if options.worktree else copied() as tree:
        for number, fault in enumerate(left, 1):
            found = known[fault.id] = try_one(fault, tree, options)
            with options.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(found)) + "\n")
            print(
                f"[{number}/{len(left)}] {found.outcome:10} {fault.id}  {found.by}  ({found.seconds:.0f} s)", flush=True
            )
    return summary([known[b.id] for b in chosen])


def try_one(fault: Break, tree: Path, options: argparse.Namespace) -> Tried:
    """A fault against its tests, or those that were asked for, and then against all if these are wanted."""
    ways = [shlex.split(options.tests)] if options.tests else [list(fault.tests)]
    for arguments in [*ways, *([["tests"]] if options.whole else [])]:
        found = tried(fault, tree, [*arguments, "--depth", options.depth], options.seconds)
        if found.outcome == "caught":
            break
    return found


def outcomes(file: Path) -> dict[str, Tried]:
    """The last outcome of each fault that a file of results has."""
    return {found.id: found for found in _read(file)} if file.exists() else {}


def _read(file: Path) -> Iterator[Tried]:
    for line in file.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):  # a line that was torn
            yield Tried(**json.loads(line))


def record(known: dict[str, Tried]) -> int:
    """Write into the table what caught each fault."""
    caught = {t.id: t.by for t in known.values() if t.outcome == "caught"}
    caught |= {t.id: table.NONE for t in known.values() if t.outcome == "survived"}
    table.FILE.write_text(table.recorded(table.FILE.read_text(encoding="utf-8"), caught), encoding="utf-8")
    print(f"{len(caught)} outcomes are in {table.FILE.name}")
    return 0


def summary(found: Sequence[Tried]) -> int:
    """Say how many were caught, and name the others."""
    others = [t for t in found if t.outcome != "caught"]
    for each in others:
        print(f"{each.outcome}: {each.id}  {each.by}")
    print(f"{len(found)} faults: {len(found) - len(others)} caught, {len(others)} not")
    return 1 if others else 0


if __name__ == "__main__":
    raise SystemExit(main())
