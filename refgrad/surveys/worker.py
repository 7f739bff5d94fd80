"""A process of a survey, started with the name of a table: judges implementations by key, one JSON line in, one JSON line out.

What a candidate prints goes to standard error, where it harms nothing; the pipe of answers is out of its reach.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import warnings
from typing import Any, TextIO

from refgrad.errors import bad_argument
from refgrad.surveys.implementations.record import Implementation

READY = {"ready": True}


def table_of(target: str) -> tuple[Implementation, ...]:
    """The implementations that a target names: a list of them, or a function that returns one.

    Raises:
        ArgumentError: a row is something else.
    """
    from refgrad.candidates.resolve import load

    found: Any = load(target)
    rows: tuple[Implementation, ...] = tuple(found() if callable(found) else found)
    for row in rows:
        if not isinstance(row, Implementation):
            legal = (
                "refgrad.surveys.implementations.Implementation(package='a distribution', target='module:function', "
                "claim=a rule), one an implementation"
            )
            raise bad_argument(f"a row of {target}", row, legal)
    return rows


def serve(table: str, asked: TextIO, answers: TextIO) -> None:
    """Answer until there is nothing more to answer."""
    from refgrad.surveys.attempts import judge

    rows = {row.key: row for row in table_of(table)}
    _say(answers, READY)
    for line in asked:
        wanted = json.loads(line)
        cell = judge(rows[wanted["key"]], wanted["seconds"], wanted["time_limit"])
        _say(answers, cell.to_dict())


def _say(answers: TextIO, data: Any) -> None:
    answers.write(json.dumps(data, allow_nan=False) + "\n")
    answers.flush()


def main() -> None:
    """Keep the pipe of answers for ourselves, and serve."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    faulthandler.enable()
    warnings.simplefilter("ignore")
    sys.path.insert(0, os.getcwd())
    serve(sys.argv[1], sys.stdin, own)
    own.flush()
    os._exit(0)  # threads that candidates left behind do not keep the process
