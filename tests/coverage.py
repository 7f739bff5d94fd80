"""`python -m tests.coverage`, after the suite under coverage (`tox -e coverage`): every branch of the public gates is run.

A line that is left out by a mark has its reason behind it: ``# pragma: no cover - why``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
#: what is handed to public functions passes these
GATES = (
    "refgrad/arguments.py",
    "refgrad/arithmetic/arrays.py",
    "refgrad/arithmetic/function_arguments.py",
    "refgrad/entry_points.py",
    "refgrad/foreign_arrays.py",
    "refgrad/hyperparameters.py",
    "refgrad/legal.py",
    "refgrad/oracle/engine/request.py",
    "refgrad/quantizers/parts.py",
    "refgrad/schedule_numbers.py",
    "refgrad/tensor_memory.py",
    "refgrad/trees.py",
)


def not_run(found: Mapping[str, Any]) -> Iterator[str]:
    """What of the gates was not run, line by line.

    Args:
        found: the report of coverage, as JSON.
    """
    for gate in GATES:
        if gate not in found["files"]:
            yield f"{gate}: nothing"
            continue
        of_file = found["files"][gate]
        yield from (f"{gate}:{line}" for line in of_file["missing_lines"])
        yield from (f"{gate}:{begin} to {end}" for begin, end in of_file["missing_branches"])


def main() -> int:
    """0 if every branch of every gate was run, else 1."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "coverage.json"
        command = [sys.executable, "-m", "coverage", "json", "--quiet", "--fail-under=0", "-o", str(place)]
        subprocess.run(command, cwd=ROOT, check=True)
        missing = list(not_run(json.loads(place.read_text(encoding="utf-8"))))
    print("\n".join(missing) or "every branch of the gates was run")
    return 1 if missing else 0


if __name__ == "__main__":
    raise SystemExit(main())
