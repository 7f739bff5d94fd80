"""What becomes of every candidate of `tests.isolation.hostile`: verdict and exit code by entry point, as `table.json` keeps it.

python -m tests.isolation.table          # judge all, write table.json and the table of docs/isolation.md
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import refgrad
from refgrad.oracle.engine.verdict import Verdict
from tests.isolation import hostile

FILE = Path(__file__).with_name("table.json")
PAGE = Path(__file__).parents[2] / "docs" / "isolation.md"
LIMIT = 2.0
NAMES = [name for name, value in vars(hostile).items() if getattr(value, "__module__", "") == hostile.__name__]
NAMES = [name for name in NAMES if not name.startswith("_") and name != "Lying"]
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->"


def row(outcome: str, faults: Any, code: int) -> dict[str, Any]:
    return {"outcome": outcome, "fault": faults[0] if faults else "", "exit_code": code}


def by_python(name: str) -> Verdict:
    """The verdict of `refgrad.verify` in a process of its own."""
    target, rule = f"{hostile.__name__}:{name}", refgrad.optimizers.AdamW()
    return refgrad.verify(target, rule, steps=3, isolate="fresh", explain=False, shrink=False, time_limit=LIMIT)


def of_python(name: str) -> dict[str, Any]:
    verdict = by_python(name)
    return row(verdict.outcome, [fault.kind for fault in verdict.faults], verdict.exit_code)


def of_command(name: str) -> dict[str, Any]:
    """What the command line comes to: its document, and its own exit code."""
    words = [sys.executable, "-m", "refgrad", "verify", f"{hostile.__name__}:{name}", "--as", "AdamW", "--steps", "3"]
    words += ["--json", "--no-explain", "--no-shrink", "--time-limit", str(LIMIT)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=PAGE.parents[1])
    found = json.loads(done.stdout)
    assert found["exit_code"] == done.returncode, (name, done)
    return row(found["outcome"], [fault["kind"] for fault in found["faults"]], done.returncode)


ENTRIES = {'refgrad.verify(isolate="fresh")': of_python, "refgrad verify": of_command}


def known() -> dict[str, dict[str, dict[str, Any]]]:
    """The table as it is kept."""
    return json.loads(FILE.read_text())


def page(table: dict[str, dict[str, dict[str, Any]]]) -> str:
    """The table of the page."""
    lines = ["| candidate | " + " | ".join(f"`{entry}`" for entry in ENTRIES) + " |", "|---" * (len(ENTRIES) + 1) + "|"]
    for name, found in table.items():
        cells = [f"{c['outcome']}{', ' + c['fault'] if c['fault'] else ''}, {c['exit_code']}" for c in found.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    table = {}
    for name in NAMES:
        table[name] = {entry: of(name) for entry, of in ENTRIES.items()}
        print(name, *table[name].values(), flush=True)
    FILE.write_text(json.dumps(table, indent=1) + "\n")
    text = PAGE.read_text()
    PAGE.write_text(re.sub(f"(?s){BEGIN}.*{END}", lambda _: BEGIN + "\n" + page(table) + "\n" + END, text))


if __name__ == "__main__":
    main()
