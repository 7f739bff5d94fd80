"""Earlier releases of packages: what each row of the survey's table is in them, and in which release a finding came or went.

``python -m refgrad.surveys.releases docs PACKAGE`` judges the rows of a package as it is installed, and writes what they are
found to be into docs/releases/, a file a release. It goes on where it was interrupted. Rows that need variables of the
environment, such as KERAS_BACKEND, are judged where these are set.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import json
import os
import re
import signal
import sys
import warnings
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refgrad import whole_file
from refgrad.arguments import by_name
from refgrad.errors import ArgumentError, RefgradError, bad_argument
from refgrad.oracle.engine.outcomes import UNJUDGED
from refgrad.oracle.engine.verdict import Verdict
from refgrad.surveys import cell as c
from refgrad.surveys.attempts import Judge, judge
from refgrad.surveys.cell import Cell
from refgrad.surveys.implementations import known
from refgrad.surveys.implementations.findings import FINDINGS
from refgrad.surveys.implementations.record import Implementation
from refgrad.surveys.run import Survey

SCHEMA = "refgrad-release-1"
#: the folder of the releases within docs/, and the survey of the newest ones
FOLDER, KEPT = "releases", "survey.json"
#: what an implementation is in a release that does not have it, or not with its options
ABSENT = "absent"
#: what is granted to an implementation that writes into the gradient
COPIED = "gradient=copied"
#: packages that others run on, which are told with a release
BENEATH = ("numpy", "torch", "jax")
#: seconds that one step of an implementation may take
TIME_LIMIT = 600.0
USAGE = "usage: python -m refgrad.surveys.releases docs PACKAGE"


@dataclass(frozen=True)
class Found:
    """What one implementation is in one release."""

    #: one of `OUTCOMES`, or `ABSENT`
    outcome: str
    variant: str = ""
    conditions: tuple[str, ...] = ()
    message: str = ""

    @classmethod
    def of(cls, cell: Cell) -> Found:
        """The same as a cell of a survey says it.

        Args:
            cell: of a survey.
        """
        return cls(cell.outcome, cell.variant, cell.conditions)

    @property
    def is_finding(self) -> bool:
        """True of a named variant, of what differs, and of what writes into the gradient."""
        return self.outcome in (c.VARIANT, c.DIFFERS) or (self.outcome == c.CONFORMS and COPIED in self.conditions)

    def same(self, other: Found) -> bool:
        """True if both say the same of an implementation, whatever had to be granted besides.

        Args:
            other: of another release.
        """
        return str(self) == str(other)

    def __str__(self) -> str:
        told = f"{self.outcome}: {self.variant}" if self.variant else self.outcome
        writes = COPIED in self.conditions and self.outcome == c.CONFORMS
        return f"{told}, but it writes into the gradient" if writes else told


@dataclass(frozen=True)
class Release:
    """What the rows of a package are in one of its releases."""

    package: str
    version: str
    #: the day on which they were judged
    day: str
    #: packages that it ran on -> their versions
    beneath: Mapping[str, str]
    #: the keys of rows -> what they are
    found: Mapping[str, Found] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return {"schema": SCHEMA, **dataclasses.asdict(self)}

    @classmethod
    def read(cls, path: Path) -> Release:
        """The release in a file.

        Args:
            path: a file that `write` wrote.

        Raises:
            ArgumentError: it is something else.
        """
        try:
            data = dict(by_name("the release", json.loads(whole_file.read(path).decode("utf-8")), "what to_dict gave"))
            if data.pop("schema", None) != SCHEMA:
                raise bad_argument("schema", data.get("schema"), SCHEMA)
            found = {k: Found(**{**f, "conditions": tuple(f["conditions"])}) for k, f in data.pop("found").items()}
            return cls(**data, found=found)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArgumentError(f"{str(path)!r} is no release: {error}; legal: a file of {FOLDER}/") from None

    def write(self, folder: Path) -> None:
        """Write it into a folder, under the name of package and version.

        Args:
            folder: the folder, which is made if it is not there.
        """
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_dict(), indent=0, ensure_ascii=False) + "\n"
        # another process may be reading
        with whole_file.written(folder / f"{self.package}-{self.version}.json", synced=False) as file:
            file.write(text.encode())


#: what a row is that ended the process in which it was judged
ENDED = Found(c.CRASHED, message="its process ended")


def ordinal(version: str) -> tuple[int, ...]:
    """What orders versions: their numbers, without what stands after a plus sign.

    Args:
        version: such as ``"2.13.0+cpu"``.

    >>> sorted(["0.10.1", "0.9.2"], key=ordinal)
    ['0.9.2', '0.10.1']
    """
    return tuple(map(int, re.findall(r"\d+", version.partition("+")[0])))


def read(docs: Path) -> tuple[Release, ...]:
    """All releases that are kept, by package and version.

    Args:
        docs: the folder of the pages.
    """
    found = (Release.read(path) for path in (docs / FOLDER).glob("*.json"))
    return tuple(sorted(found, key=lambda each: (each.package.lower(), ordinal(each.version))))


def history(cell: Cell, releases: Iterable[Release]) -> list[tuple[str, Found]]:
    """What an implementation is, release by release, the one of the survey among them.

    Args:
        cell: of the survey.
        releases: of any packages.

    Returns:
        Versions, oldest first, with what it is in each; releases of which its row was not judged are left out. What was judged
        of the survey's own release beside the others stands in place of what the survey says.
    """
    told = {r.version: r.found[cell.key] for r in releases if r.package == cell.package and cell.key in r.found}
    return sorted({cell.version: Found.of(cell), **told}.items(), key=lambda pair: ordinal(pair[0]))


def changes(told: Sequence[tuple[str, Found]]) -> list[tuple[Found, str, str]]:
    """Runs of releases in which an implementation is the same.

    Args:
        told: what `history` gives.

    Returns:
        What it is, in the first and in the last version of each run.
    """
    runs: list[tuple[Found, str, str]] = []
    for version, found in told:
        if runs and runs[-1][0].same(found):
            runs[-1] = (found, runs[-1][1], version)
        else:
            runs.append((found, version, version))
    return runs


def again(row: Implementation, newest: Cell) -> Found:
    """What an implementation is in the release that is installed.

    It is first judged as what it is in the newest one; only where it is not that it is judged as a survey judges it.

    Args:
        row: of the table.
        newest: what the survey found.
    """
    try:
        row.candidate()
    except Exception as error:  # a driver calls what this release may not have, or not so
        return _unseen(c.CRASHED, f"{type(error).__name__}: {error}")
    try:
        if newest.outcome == c.DIFFERS:
            return _plainly(_verdict(row, {}, newest.conditions), newest)
        named = ", ".join(f"{n}={value}" for n, value in row.variant.items())
        changed = row.variant if newest.variant else {}
        # whether it writes into the gradient is a finding, and no condition that is taken over
        kept = tuple(c for c in newest.conditions if c != COPIED)
        for granted in dict.fromkeys([kept, newest.conditions]) if newest.variant in ("", named) else ():
            if _verdict(row, changed, granted).conforms:
                return Found(newest.outcome, newest.variant, granted)
        found = judge(row, 0.0, TIME_LIMIT)
    except RefgradError as error:
        return _unseen(c.UNJUDGED, str(error))
    if found.outcome in (c.UNJUDGED, c.CRASHED):
        return _unseen(found.outcome, found.message)
    return dataclasses.replace(Found.of(found), message=_first_line(found.message))


def _verdict(row: Implementation, variant: Mapping[str, Any], granted: Sequence[str]) -> Verdict:
    """The verdict on the claim with named behaviours changed, under what is granted."""
    asked = Judge(row, 0.0, TIME_LIMIT)
    if COPIED in granted and not row.through:
        asked.row = dataclasses.replace(row, through="drivers.on_copies")
    return asked.verdict("as the newest", variant, list(granted))


def _plainly(verdict: Verdict, newest: Cell) -> Found:
    """What a verdict says, without a search for a name."""
    raised = next((fault.message for fault in verdict.faults if fault.kind in ("raised", "hung")), None)
    if raised is not None:
        return _unseen(c.CRASHED, raised)
    if verdict.outcome == UNJUDGED:
        return _unseen(c.UNJUDGED, "; ".join(verdict.notes))
    return Found(c.CONFORMS if verdict.conforms else c.DIFFERS, conditions=newest.conditions)


def _unseen(outcome: str, message: str) -> Found:
    """What could not be seen: because it is not there, or for another reason."""
    return Found(ABSENT if _absent(message) else outcome, message=_first_line(message))


#: what errors say where there is no such name, or no such option
_NOT_THERE = re.compile(
    r"(module|type object) '.*' has no attribute|has no '|[Nn]o module|takes no option|\w\(\) got an unexpected keyword"
    r"|cannot import"
)


def _absent(message: str) -> bool:
    """True if an error says that there is no such name, or no such option."""
    return bool(_NOT_THERE.search(message))


def _first_line(message: str) -> str:
    return (message.splitlines() or [""])[0][:160]


def installed(package: str, day: str = "") -> Release:
    """The release of a package that is installed, with no rows yet.

    Args:
        package: a distribution's name.
        day: today, by default.

    Raises:
        ArgumentError: it is not installed.
    """
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise bad_argument("package", package, "one that is installed") from None
    beneath = {}
    for name in BENEATH:
        try:
            beneath[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    beneath.pop(package, None)
    return Release(package, version, day or datetime.date.today().isoformat(), beneath)


def main(arguments: Sequence[str]) -> int | str:
    """Judge the rows of a package as it is installed; findings first.

    Args:
        arguments: the folder of the pages, and the package's name.

    Returns:
        What a process exits with: 0, or what is wrong.
    """
    if len(arguments) != 2:
        return USAGE
    docs, release = Path(arguments[0]), installed(arguments[1])
    path = docs / FOLDER / f"{release.package}-{release.version}.json"
    release = Release.read(path) if path.exists() else release
    newest = {cell.key: cell for cell in Survey.read(docs / KEPT).cells}
    rows = [row for row in known() if row.package == release.package and row.key in newest and not row.missing()]
    rows = [row for row in rows if row.environment.items() <= os.environ.items()]
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(f"{release.package} {release.version} is not done"))
    others = [each for each in read(docs) if each.package == release.package]
    changed = {key for key, cell in newest.items() if len(changes(history(cell, others))) > 1}
    for row in _ordered(rows, newest, changed):
        if row.key not in release.found:
            # what ends this process is told by what stands in the file before
            _with(release, row.key, ENDED).write(docs / FOLDER)
            try:
                found = again(row, newest[row.key])
            except BaseException:
                release.write(docs / FOLDER)
                raise
            release = _with(release, row.key, found)
            release.write(docs / FOLDER)
            print(f"{row.called} as {row.claim}: {found}", flush=True)
    return 0


def _with(release: Release, key: str, found: Found) -> Release:
    return dataclasses.replace(release, found={**release.found, key: found})


def _ordered(
    rows: Sequence[Implementation], newest: Mapping[str, Cell], changed: Container[str] = ()
) -> list[Implementation]:
    """What changed between releases first, then findings of weight, the first of each departure of a rule, and all others."""
    weighty = {f.called for f in FINDINGS}
    seen: set[tuple[str, str]] = set()
    places: dict[str, int] = {}
    for row in rows:
        cell = newest[row.key]
        same = (cell.rule, cell.variant)
        first = cell.outcome != c.CONFORMS and same not in seen
        seen.add(same)
        places[row.key] = 0 if any(cell.called.startswith(name) for name in weighty) else 1 if first else 2
        places[row.key] += 2 * (places[row.key] == 2 and cell.outcome == c.CONFORMS)
    return sorted(rows, key=lambda row: -1 if row.key in changed else places[row.key])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
