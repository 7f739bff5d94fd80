"""What becomes of every candidate of `tests.isolation.hostile`: verdict and exit code by entry point, as `table.json` keeps it.

python -m tests.isolation.table            # judge all by every entry point, write table.json and the table of docs/isolation.md
python -m tests.isolation.table ENTRY ... -- NAME ...  # judge these, all if none is named, by these entry points
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import refgrad
from refgrad.errors import CandidateError
from refgrad.optimizers import AdamW
from refgrad.report import document
from tests.isolation import subject
from tests.isolation.hostile.every import CANDIDATES

FILE = Path(__file__).with_name("table.json")
LOCK = Path(tempfile.gettempdir()) / "refgrad-table-of-isolation.lock"
PAGE = Path(__file__).parents[2] / "docs" / "isolation.md"
ROOT = PAGE.parents[1]
#: seconds that a step may take, a program that judges a candidate in its own process, and one that does so in another
LIMIT, PATIENCE, PATIENCE_OUTSIDE = 2.0, 30.0, 300.0
NAMES = list(CANDIDATES)
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->"
UNJUDGED, NONE = "could not be judged", "no verdict"
ASKED: Mapping[str, Any] = {"steps": 3, "seed": None, "explain": False, "shrink": False, "time_limit": LIMIT}

Row = dict[str, Any]


def row(outcome: str, faults: Iterable[str], code: int) -> Row:
    return {"outcome": outcome, "fault": next(iter(faults), ""), "exit_code": code}


def of_python(name: str) -> Row:
    """`refgrad.verify` with a fresh process."""
    try:
        verdict = refgrad.verify(CANDIDATES[name], AdamW(), isolate="fresh", **ASKED)
    except CandidateError:
        return row(UNJUDGED, (), 2)
    return row(verdict.outcome, [fault.kind for fault in verdict.faults], verdict.exit_code)


IN_PROCESS = """
import sys
import refgrad
say = print
try:
    verdict = refgrad.verify(sys.argv[1], refgrad.optimizers.AdamW(), **{asked!r})
except refgrad.errors.CandidateError:
    say("@", {unjudged!r}, flush=True)
    sys.exit(2)
say("@", verdict.outcome, *(", " + fault.kind for fault in verdict.faults[:1]), flush=True)
sys.exit(verdict.exit_code)
"""


def ran(words: list[str], patience: float) -> tuple[int, str]:
    """The exit code of a program, and what it printed; all processes of its group are ended after it."""
    # what is kept back until the end decides how a program ends whose output was closed meanwhile
    given = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=ROOT,
            env=given,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        out.seek(0)
        return process.returncode, out.read(1 << 26).decode("utf-8", "replace")


def of_process(name: str) -> Row:
    """`refgrad.verify` in a program of its own, without isolation."""
    code = IN_PROCESS.format(asked=dict(ASKED), unjudged=UNJUDGED)
    ended, text = ran([sys.executable, "-c", code, CANDIDATES[name]], PATIENCE)
    line = next((line for line in reversed(text.splitlines()) if line.startswith("@ ")), f"@ {NONE}")
    outcome, _, fault = line[2:].partition(" , ")
    return row(outcome, [fault] if fault else [], ended)


def _words(*asked: str) -> list[str]:
    words = [sys.executable, "-m", "refgrad", *asked, "--as", "AdamW", "--steps", "3", "--secret-seed"]
    return [*words, "--no-explain", "--no-shrink", "--time-limit", str(LIMIT)]


def of_command(name: str) -> Row:
    """What the command line prints, and its exit code."""
    code, text = ran(_words("verify", CANDIDATES[name]), PATIENCE_OUTSIDE)
    return row(*_told(text, UNJUDGED if code == 2 else NONE), code)


def _told(text: str, otherwise: str) -> tuple[str, list[str]]:
    """The outcome and the faults that the text of a verdict tells."""
    outcome = re.match("(DOES NOT CONFORM|CONFORMS): ", text)
    faults = re.search("(?m)^Faults?\n  \\w+ \\d+, (\\w+):", text)
    return (outcome[1].lower() if outcome else otherwise), [faults[1]] if faults else []


def of_pipe(name: str) -> Row:
    """The document that another program reads from the pipe."""
    return _document(name, _words("verify", CANDIDATES[name], "--json"))


def of_program(name: str) -> Row:
    """The same of the candidate in a program that is asked over a pipe."""
    words = [word for each in ("-m", subject.__name__, CANDIDATES[name]) for word in ("--arg", each)]
    return _document(name, _words("judge", sys.executable, *words, "--json"))


def _document(name: str, words: list[str]) -> Row:
    code, text = ran(words, PATIENCE_OUTSIDE)
    try:
        found = json.loads(text)
    except ValueError:
        raise AssertionError(f"{name}: exit code {code}, and no document: {text[:200]!r}") from None
    assert found["exit_code"] == code, (name, found)
    for error in _validator().iter_errors(found):
        raise AssertionError(f"{name}: no document of the schema: {error.message}")
    return row(found["outcome"], [fault["kind"] for fault in found.get("faults", ())], code)


@functools.cache
def _validator() -> Any:
    """What tells whether a document is one of those that refgrad publishes."""
    import jsonschema

    return jsonschema.Draft202012Validator(json.loads(document.schema()))


SESSION = """
import json
import pytest
from refgrad.candidates.resolve import load
from refgrad.optimizers import AdamW

@pytest.mark.refgrad(AdamW(), **{asked!r})
@pytest.mark.parametrize("target", {targets!r})
def test_candidate(target):
    return load(target)
"""
REPORTS = """
import json
import pytest

@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report):
    if report.when == "call" or report.failed:
        with open({file!r}, "a") as file:
            target = report.nodeid.partition("[")[2][:-1]
            file.write(json.dumps([target, report.outcome, str(report.longrepr or "")]) + chr(10))
"""


def of_session(names: list[str], *words: str) -> dict[str, Row]:
    """One session of pytest that judges all: it goes on after each, and its tests fail and pass as they should."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "reports.jsonl"
        targets = [CANDIDATES[name] for name in names]
        Path(folder, "test_session.py").write_text(SESSION.format(asked=dict(ASKED), targets=targets))
        Path(folder, "conftest.py").write_text(REPORTS.format(file=str(told)))
        installed = "refgrad" in {entry.name for entry in entry_points(group="pytest11")}
        plugin = [] if installed else ["-p", "refgrad.testing.plugin"]
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "reports",
            *plugin,
            *words,
            folder,
        ]
        path = os.pathsep.join([str(ROOT), folder, os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            command, check=False, capture_output=True, cwd=folder, env={**os.environ, "PYTHONPATH": path}
        )
        found = {}
        for line in told.read_text().splitlines():
            target, outcome, text = json.loads(line)
            name = next(n for n, t in CANDIDATES.items() if t == target)
            verdict, faults = _told(text, UNJUDGED if text.startswith(UNJUDGED) else NONE)
            found[name] = row("conforms", (), 0) if outcome == "passed" else row(verdict, faults, 1)
        assert done.returncode == max(each["exit_code"] for each in found.values()), done.stdout
    return {name: found[name] for name in names}


def each(of: Callable[[str], Row]) -> Callable[[list[str]], dict[str, Row]]:
    def every(names: list[str]) -> dict[str, Row]:
        return {name: of(name) for name in names}

    return every


#: entry points: with a process that is used once, and the one that promises nothing
JUDGE = "refgrad judge --json"
FRESH, UNGUARDED = 'verify(isolate="fresh")', "verify(isolate=False)"
ENTRIES: Mapping[str, Callable[[list[str]], dict[str, Row]]] = {
    "refgrad verify --json": each(of_pipe),
    JUDGE: each(of_program),
    FRESH: each(of_python),
    "pytest": lambda names: of_session(names),
    "pytest -n 2": lambda names: of_session(names, "-n", "2"),
    UNGUARDED: each(of_process),
}


def known() -> dict[str, dict[str, Row]]:
    """The table as it is kept: entry point -> candidate -> what became of it."""
    found: dict[str, dict[str, Row]] = json.loads(FILE.read_text())
    return found


def _cell(found: Row) -> str:
    code = found["exit_code"]
    ended = f"ended by {signal.Signals(-code).name}" if code < 0 else str(code)
    return ", ".join(filter(None, [found["outcome"], found["fault"], ended]))


def page(table: Mapping[str, Mapping[str, Row]]) -> str:
    """The table of the page: the entry points that agree have one column where they do."""
    lines = ["| candidate | guarded entry points | in refgrad's own process |", "|---|---|---|"]
    guarded = [found for entry, found in table.items() if entry != UNGUARDED]
    for name in NAMES:
        cells = Counter(_cell(found[name]) for found in guarded)
        told = " / ".join(text if len(cells) == 1 else f"{text} ({count})" for text, count in cells.most_common())
        lines.append(
            f"| {name} | {told} | {_cell(table[UNGUARDED][name]) if name in table[UNGUARDED] else 'not tried'} |"
        )
    return "\n".join(lines) + "\n"


def main(entries: Iterable[str], names: list[str]) -> None:
    for entry in entries:
        for batch in [names] if entry.startswith("pytest") else [[name] for name in names]:
            found = ENTRIES[entry](batch)
            _keep(entry, found)
            print(entry, *batch[-1:], *found[batch[-1]].values(), flush=True)
    if all(list(known().get(entry, ())) == NAMES for entry in ENTRIES):
        text = PAGE.read_text()
        PAGE.write_text(re.sub(f"(?s){BEGIN}.*{END}", lambda _: BEGIN + "\n" + page(known()) + "\n" + END, text))


def _keep(entry: str, found: Mapping[str, Row]) -> None:
    """Add rows to the file, which other entry points may be written to meanwhile."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        table = known() if FILE.exists() else {}
        rows = {**table.get(entry, {}), **found}
        table[entry] = {name: rows[name] for name in NAMES if name in rows}
        FILE.write_text(json.dumps({name: table[name] for name in ENTRIES if name in table}, indent=1) + "\n")


if __name__ == "__main__":
    at = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    main(sys.argv[1:at] or ENTRIES, sys.argv[at + 1 :] or NAMES)
