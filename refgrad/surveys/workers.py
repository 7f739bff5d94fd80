"""Processes that judge cells: one that crashes or hangs is one cell, and another goes on with the rest."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from queue import Empty, Queue
from typing import IO, Any

from refgrad import child_process
from refgrad.surveys import cell as c
from refgrad.surveys.cell import Cell
from refgrad.surveys.implementations.record import Implementation

#: seconds that a process may take until it is ready
STARTING = 180.0
#: seconds that a process which has closed its pipe may take to end
ENDING = 60.0
#: cells that one process judges at most: what packages do to their process does not spread far
MOST = 12

Batch = Sequence[Implementation]
#: told when a cell is begun
Begun = Callable[[Implementation], None]


def batches(rows: Sequence[Implementation]) -> list[Batch]:
    """The rows by package and environment, in parts that one process judges; long ones first."""
    groups: dict[Any, list[Implementation]] = {}
    for row in rows:
        groups.setdefault((row.package, tuple(row.environment.items())), []).append(row)
    parts = [group[i : i + MOST] for group in groups.values() for i in range(0, len(group), MOST)]
    return sorted(parts, key=len, reverse=True)


@dataclass
class WorkerPool:
    """Threads that feed one process each."""

    table: str
    jobs: int
    time_limit: float
    seconds: float
    begun: Begun
    _found: Queue[Any] = field(default_factory=Queue)
    _running: set[subprocess.Popen] = field(default_factory=set)
    _over: threading.Event = field(default_factory=threading.Event)

    def judged(self, rows: Sequence[Implementation]) -> Iterator[Cell]:
        """Each cell as it comes; if the caller stops, so do the processes."""
        waiting: Queue[Batch] = Queue()
        for batch in batches(rows):
            waiting.put(batch)
        count = min(self.jobs, waiting.qsize())
        threads = [threading.Thread(target=self._work, args=(waiting,), daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        try:
            for _ in rows:
                found = self._found.get()
                if isinstance(found, BaseException):
                    raise found
                yield found
        finally:
            self._over.set()
            for process in list(self._running):
                child_process.end(process)

    def _work(self, waiting: Queue[Batch]) -> None:
        try:
            while not self._over.is_set():
                batch = list(waiting.get_nowait())
                while batch and not self._over.is_set():
                    batch = batch[self._part(batch) :]
        except Empty:
            pass
        except BaseException as error:  # handed to the thread that asked
            self._found.put(error)

    def _part(self, batch: Batch) -> int:
        """Judge as many of a batch as one process can; how many those were."""
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as noise:
            worker = _Worker(self.table, batch[0].environment, noise, self.jobs)
            self._running.add(worker.process)
            try:
                return self._with(worker, batch)
            finally:
                child_process.end(worker.process)
                self._running.discard(worker.process)

    def _with(self, worker: _Worker, batch: Batch) -> int:
        started, ready = time.monotonic(), worker.answer(STARTING)
        for count, row in enumerate(batch, 1):
            self.begun(row)
            if count > 1:
                started = time.monotonic()
            answer = None
            if ready is not None:
                worker.ask({"key": row.key, "seconds": self.seconds, "time_limit": self.time_limit})
                answer = worker.answer(self.time_limit)
            if answer is None:
                outcome, message = worker.end()
                self._found.put(c.blank(row, outcome, message, round(time.monotonic() - started, 2)))
                return count
            self._found.put(Cell.from_dict(answer))
        return len(batch)


class _Worker:
    """One process, and what it says."""

    def __init__(self, table: str, environment: Mapping[str, str], noise: IO[str], jobs: int) -> None:
        threads = str(max(1, (os.cpu_count() or 1) // jobs))
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from refgrad.surveys.worker import main; main()", table],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=noise,
            env={"OMP_NUM_THREADS": threads, **os.environ, **environment},
            encoding="utf-8",
        )
        self._noise = noise
        #: whether it has closed its pipe, as it does when it ends
        self.silent = False
        self._lines: Queue[str | None] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def ask(self, wanted: Mapping[str, Any]) -> None:
        """Hand over what is to be judged; a process that has ended does not mind."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(json.dumps(wanted) + "\n")
            self.process.stdin.flush()

    def answer(self, seconds: float) -> dict[str, Any] | None:
        """What it says in so many seconds; None if it has ended or says nothing."""
        try:
            line = self._lines.get(timeout=min(seconds, threading.TIMEOUT_MAX))
        except Empty:
            return None
        self.silent = line is None
        return None if line is None else json.loads(line)

    def end(self) -> tuple[str, str]:
        """Why it said nothing: it hung, or it ended by itself, and with which last words."""
        try:
            code = self.process.wait(timeout=ENDING if self.silent else 0.0)
        except subprocess.TimeoutExpired:
            child_process.end(self.process)
            return c.HUNG, "no answer within the time limit; its process was ended"
        self._noise.seek(0)
        return c.CRASHED, child_process.ended(code, self._noise.read())
