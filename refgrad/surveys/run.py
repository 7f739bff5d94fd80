"""`survey`: which of the implementations out there are the rule that they say they are?"""

from __future__ import annotations

import datetime
import json
import os
import platform
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from refgrad import whole_file
from refgrad.arguments import AT_LEAST_ONE, by_name, flag, several
from refgrad.errors import ArgumentError, bad_argument, nearest, shown
from refgrad.float_environment import in_standard
from refgrad.oracle.engine.request import check_explain
from refgrad.oracle.engine.result import AsJson
from refgrad.oracle.engine.time_limit import check_time_limit
from refgrad.rule import Rule, rules, short_name
from refgrad.surveys import remote, survey_text
from refgrad.surveys.cell import OUTCOMES, Cell
from refgrad.surveys.implementations.record import Implementation
from refgrad.surveys.log import Log
from refgrad.surveys.worker import table_of
from refgrad.surveys.workers import WorkerPool
from refgrad.version import VERSION

SCHEMA = "refgrad-survey-1"
#: the table that comes with refgrad
TABLE = "refgrad.surveys.implementations:known"
#: seconds that one implementation may take, and those of it that the search for what it is may take
TIME_LIMIT, EXPLAIN = 240.0, 20.0

#: told of what is going on: cells done, cells in all, what is being judged now, and the cell that was just finished
Progress = Callable[[int, int, Sequence[str], Cell | None], None]


@dataclass(frozen=True)
class Surveyed:
    """A rule of the catalogue, whether or not anything was found that implements it."""

    name: str
    kind: str
    citation: str


#: what stands in place of the source of a formula of one's own that has none
UNCITED = "a formula without a citation"


@dataclass(frozen=True)
class Survey(AsJson):
    """Every rule against every implementation that was installed."""

    started: str
    seconds: float
    environment: Mapping[str, str]
    #: package -> version
    packages: Mapping[str, str]
    #: packages of the table that were not installed, and modules that some implementations run on
    missing: tuple[str, ...]
    rules: tuple[Surveyed, ...]
    cells: tuple[Cell, ...] = field(default_factory=tuple)

    @property
    def columns(self) -> tuple[str, ...]:
        """The implementations' columns, in their order."""
        columns = dict.fromkeys((cell.package, cell.column) for cell in self.cells)
        packages = list(dict.fromkeys(package for package, _ in columns))
        return tuple(column for package, column in sorted(columns, key=lambda pair: packages.index(pair[0])))

    @property
    def counts(self) -> dict[str, int]:
        """How many cells have each outcome, best first."""
        found = Counter(cell.outcome for cell in self.cells)
        return {outcome: found[outcome] for outcome in OUTCOMES}

    @property
    def judging(self) -> float:
        """Seconds that all cells took together, whichever run they are of; `seconds` are those of the last one."""
        return round(sum(cell.seconds for cell in self.cells), 1)

    @property
    def covered(self) -> tuple[str, ...]:
        """The rules of which something was judged."""
        known = {cell.rule for cell in self.cells}
        return tuple(r.name for r in self.rules if r.name in known)

    def at(self, rule: str, column: str) -> tuple[Cell, ...]:
        """The cells of a rule in a column.

        Args:
            rule: the rule's name.
            column: one of `columns`.

        Returns:
            The cells, none where nothing was judged.
        """
        return tuple(c for c in self.cells if c.rule == rule and c.column == column)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `read` reads back from a file what `to_json` makes of it."""
        return {
            "schema": SCHEMA,
            "started": self.started,
            "seconds": self.seconds,
            "environment": dict(self.environment),
            "packages": dict(self.packages),
            "missing": list(self.missing),
            "counts": self.counts,
            "columns": list(self.columns),
            "rules": [vars(r) for r in self.rules],
            "cells": [cell.to_dict() for cell in self.cells],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Survey:
        """The survey that `to_dict` gave.

        Args:
            data: what it gave.

        Returns:
            The survey.

        Raises:
            ArgumentError: it is something else, or of another version.
            KeyError, TypeError: a field is missing or not known.
        """
        by_name("the survey", data, "what to_dict gave")
        if data.get("schema") != SCHEMA:
            raise bad_argument("schema", data.get("schema"), SCHEMA)
        return cls(
            started=data["started"],
            seconds=data["seconds"],
            environment=data["environment"],
            packages=data["packages"],
            missing=tuple(data["missing"]),
            rules=tuple(Surveyed(**r) for r in data["rules"]),
            cells=tuple(Cell.from_dict(c) for c in data["cells"]),
        )

    @classmethod
    @in_standard  # Python reads decimals as the processor rounds
    def read(cls, path: str | os.PathLike[str]) -> Survey:
        """The survey in a JSON file.

        Args:
            path: a file with what `to_json` gave.

        Returns:
            The survey.

        Raises:
            ArgumentError: the file cannot be read, or is no survey.
        """
        try:
            return cls.from_dict(json.loads(whole_file.read(path).decode("utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ArgumentError(f"{str(path)!r} is no survey: {error}; legal: a file that --json wrote") from None

    def __str__(self) -> str:
        return survey_text.render(self)

    def _repr_html_(self) -> str:
        """What a notebook shows: the text, in columns."""
        return f"<pre>{escape(str(self))}</pre>"


def survey(
    packages: Iterable[str] | None = None,
    rules: Iterable[str] | None = None,
    *,
    jobs: int | None = None,
    time_limit: float = TIME_LIMIT,
    explain: bool | float = EXPLAIN,
    log: str | os.PathLike[str] | None = None,
    resume: bool = False,
    table: str = TABLE,
    progress: Progress | None = None,
    scheduler: Any = None,
) -> Survey:
    """Judge every implementation that is installed against the rule that it says it is, in processes of their own.

    Args:
        packages: names of distributions, such as "optax"; all by default.
        rules: names of rules, such as "AdamW"; all by default.
        jobs: how many processes judge at a time; by default one a core.
        time_limit: seconds that one implementation may take before its process is ended.
        explain: seconds that the search for what a failing implementation is instead may take; 0 for no search.
        log: a file of JSON lines to which each cell is appended as it comes.
        resume: go on with what the log has of the same versions; without it the log is begun anew.
        table: the implementations, as ``package.module:name`` of a list of `refgrad.surveys.implementations.Implementation`.
        progress: called before and after each cell.
        scheduler: the address of a Dask scheduler, such as "tcp://host:8786", or a ``dask.distributed.Client``: its workers,
            which have the same packages, judge a batch of cells at a time. ``jobs`` does not count then.

    Returns:
        What was judged, cell by cell.

    Raises:
        ArgumentError: no such package or rule is in the table, or the log is the file of something else.
    """
    flag("resume", resume)
    rows = table_of(table)
    known = _rules(rules, rows, own=table != TABLE)
    wanted = _wanted(rows, _checked(packages, [r.package for r in rows], "package"), known)
    jobs = (os.cpu_count() or 1) if jobs is None else AT_LEAST_ONE.check("jobs", jobs)
    limits = check_time_limit(time_limit), check_explain(explain)
    versions = {r.package: r.version() for r in wanted}
    missing = {r.key: r.missing() for r in wanted}
    installed = [r for r in wanted if not missing[r.key]]
    started, begun = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), time.monotonic()
    written = Log.open(log, resume)
    keys = {r.key: versions[r.package] for r in installed}
    done = {k: c for k, c in written.cells.items() if k in keys and keys[k] == c.version}
    report = _Report(progress, len(installed), len(done))
    left = [r for r in installed if r.key not in done]
    if scheduler is None:
        found = WorkerPool(table, jobs, *limits, report.begun).judged(left)
    else:
        found = remote.judged(scheduler, table, limits, left)
    with written:
        for cell in found:
            done[cell.key] = cell
            written.add(cell)
            report.done(cell)
    return Survey(
        started=started,
        seconds=round(time.monotonic() - begun, 1),
        environment=_environment(),
        packages={p: v for p, v in versions.items() if v is not None},
        missing=tuple(dict.fromkeys(name for names in missing.values() for name in names)),
        rules=tuple(Surveyed(n, r.kind, str(getattr(r, "citation", UNCITED))) for n, r in known.items()),
        cells=tuple(done[key] for key in keys),
    )


@dataclass
class _Report:
    """What progress is told, by several threads."""

    progress: Progress | None
    total: int
    finished: int
    now: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begun(self, row: Implementation) -> None:
        with self.lock:
            self.now.append(f"{row.called} as {row.claim}")
            self._tell(None)

    def done(self, cell: Cell) -> None:
        with self.lock:
            self.finished += 1
            name = f"{cell.called} as {cell.claim}"
            if name in self.now:
                self.now.remove(name)
            self._tell(cell)

    def _tell(self, cell: Cell | None) -> None:
        if self.progress is not None:
            self.progress(self.finished, self.total, tuple(self.now), cell)


def _checked(given: Iterable[str] | None, known: Iterable[str], what: str) -> list[str] | None:
    if given is None:
        return None
    if isinstance(given, str):
        raise bad_argument(f"{what}s", given, f"several names of a {what}, such as [{given!r}]")
    names, chosen = list(dict.fromkeys(known)), several(f"{what}s", given, f"names of a {what}", ordered=False)
    for name in chosen:
        if not isinstance(name, str) or name not in names:
            legal = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
            raise ArgumentError(f"no {what} is called {shown(name)}{nearest(name, names)}; legal: {legal}")
    return chosen


def _rules(given: Iterable[str] | None, rows: Sequence[Implementation], own: bool) -> dict[str, type[Rule]]:
    """The rules that are asked for by name, refgrad's own and those that the table claims, by kind and name.

    Where the table is one's own and no names are asked for, those that it claims: nothing is said of all others.
    """
    claimed = {short_name(type(row.claim)): type(row.claim) for row in rows}
    known = rules() | claimed
    chosen = _checked([*claimed] if own and given is None else given, known, "rule")
    ordered = sorted(known.items(), key=lambda pair: (_place(pair[1].kind), pair[0].lower()))
    return {n: r for n, r in ordered if chosen is None or n in chosen}


def _place(kind: str) -> tuple[int, str]:
    """Optimizers, quantizers, estimators and masks first, then all else."""
    first = ("optimizer", "quantizer", "estimator", "mask")
    return (first.index(kind) if kind in first else len(first), kind)


def _wanted(
    rows: Sequence[Implementation], packages: list[str] | None, known: Mapping[str, type[Rule]]
) -> list[Implementation]:
    chosen = [r for r in rows if packages is None or r.package in packages]
    return [r for r in chosen if short_name(type(r.claim)) in known]


def _environment() -> dict[str, str]:
    return {
        "refgrad": VERSION,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "system": platform.system(),
    }
