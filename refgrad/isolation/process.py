"""One child: started, asked one question at a time, and ended."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

try:
    import fcntl
except ImportError:  # pragma: no cover - not a system of the Unix kind
    fcntl = None  # type: ignore[assignment]

from refgrad import child_process
from refgrad.isolation import messages
from refgrad.isolation.messages import MessageError
from refgrad.isolation.shared import Region
from refgrad.signals import pass_on

#: bytes of what a child prints that are kept from the beginning, and from the end
KEPT = 2000
#: bytes that are read or written at a time
CHUNK = 1 << 20
#: seconds after which the answers of several steps are read that came before the last one
PATIENCE = 0.05
#: the same once answers were there that nobody rang for, again and again
SHORTEST = 0.001
#: bytes of arrays that an answer may have: so many, and so many times those that the child was given
MOST_ANSWER, TIMES = 1 << 28, 64
#: variables of the environment that change from test to test, and are none of the candidate's
PASSING = ("PYTEST_CURRENT_TEST",)


class NotInTimeError(Exception):
    """A child that does not take a question, or does not answer, in time.

    No `TimeoutError`, which a signal's handler may raise.
    """


class EndedError(Exception):
    """A child that has closed its pipes: no `EOFError`, for the same reason."""


class Noise:
    """What a child prints, read as it comes so that it never waits; its beginning and its end are kept."""

    def __init__(self, pipe: Any) -> None:
        self._pipe, self.first, self.last, self.count = pipe, b"", b"", 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while chunk := os.read(self._pipe.fileno(), CHUNK):
                self.count += len(chunk)
                self.first += chunk[: KEPT - len(self.first)]
                self.last = (self.last + chunk)[-KEPT:]

    def end(self) -> str:
        """The last words of a child that has ended."""
        self._thread.join(1.0)  # a process that it started may hold the pipe
        return self.last.decode("utf-8", "replace")


class Child:
    """One process, asked one question at a time."""

    def __init__(self, memory: int) -> None:
        code = "from refgrad.isolation.child import main; main()"
        self._given, self._told = Region.new(), Region.new()
        self._bell, bell = os.pipe()
        regions = [region.descriptor for region in (self._given, self._told)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(memory), *map(str, [*regions, bell])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**surroundings(), "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
            pass_fds=[number for number in [*regions, bell] if number >= 0],
            start_new_session=True,
        )
        os.close(bell)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._asked, self._sent, self._together, self._patience = 0, 0, False, PATIENCE
        #: what was read of its answers, in memory that is used again, and where what was not yet taken begins and ends
        self._read, self._from, self._until = memoryview(bytearray(CHUNK)), 0, 0
        self._in, self._out = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        assert self.process.stderr is not None
        for pipe in (self._out, self.process.stderr.fileno()):  # the latter is read by a thread that waits its turn
            _widen(pipe)
        self.noise = Noise(self.process.stderr)

    def send(self, message: Mapping[str, Any], buffers: list[bytes], seconds: float) -> None:
        """Ask a question.

        Raises:
            NotInTimeError: it is not taken in so many seconds.
            EndedError: the process has ended.
        """
        self._asked += 1
        self._sent += sum(map(len, buffers))
        self._together, self._patience = message.get("together", False), PATIENCE
        for region in (self._given, self._told):
            region.rewind()
        data = messages.packed({**message, "number": self._asked}, buffers, self._given)
        self._write(data, time.monotonic() + seconds)

    def receive(self, seconds: float) -> tuple[Any, list[bytearray]]:
        """The next answer to the last question.

        Raises:
            NotInTimeError: there is none in so many seconds.
            EndedError: the process has ended.
            MessageError: what it said is no answer.
        """
        deadline, most = time.monotonic() + seconds, MOST_ANSWER + TIMES * self._sent
        answer, found = messages.read(lambda count: self._take(count, deadline), self._told, most)
        if answer.get("number") != self._asked:
            raise MessageError("it is one to another question")
        return answer, found

    def _write(self, data: bytes, deadline: float) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._in, rest[:CHUNK]) :]
            except BlockingIOError as error:
                pass_on(error)
                _wait([], [self._in], deadline)
            except OSError as error:
                pass_on(error)
                raise EndedError from None

    def _take(self, count: int, deadline: float) -> bytearray:
        """So many bytes of what it says; what came besides is kept, so that a short answer is read at once."""
        if self._until - self._from >= count:
            self._from += count
            return bytearray(self._read[self._from - count : self._from])
        found = bytearray()
        while len(found) < count:
            if self._from == self._until:
                self._fill(deadline)
            part = self._read[self._from : min(self._until, self._from + count - len(found))]
            found += part
            self._from += len(part)
        return found

    def _fill(self, deadline: float) -> None:
        while True:
            try:
                self._from, self._until = 0, os.readv(self._out, [self._read])
                break
            except BlockingIOError as error:
                pass_on(error)
                self._pause(deadline)
        if not self._until:
            raise EndedError

    def _pause(self, deadline: float) -> None:
        """Wait for an answer; where several come, until the child rings that all are there, or as long as we have patience.

        Each stands in the pipe as soon as it is done; the host is not woken for each, so that the two processes do not take
        turns step by step.
        """
        if not self._together or self._bell < 0:
            return _wait([self._out], [], deadline)
        left = deadline - time.monotonic()
        if left <= 0:
            raise NotInTimeError
        rung, _, _ = select.select([self._bell], [], [], min(left, self._patience))
        if (
            not rung and select.select([self._out], [], [], 0)[0]
        ):  # the pipe may be full though nobody rang: made smaller
            self._patience = max(self._patience / 2, SHORTEST)
        if rung and not os.read(self._bell, CHUNK):  # the candidate closed it, or has ended
            self._mute()
        return None

    def _mute(self) -> None:
        if self._bell >= 0:
            os.close(self._bell)
            self._bell = -1

    def renew(self) -> None:
        """Make ready for another candidate: what this one printed is forgotten, and its pipe as large as it was."""
        self.noise.count, self.noise.first = 0, b""
        _widen(self._out)

    def end(self) -> None:
        """End it, and what it started."""
        child_process.end(self.process, group=True)
        self._mute()
        self._given.close()
        self._told.close()

    def how_it_ended(self) -> str:
        """In words, once its pipe is closed."""
        try:
            code = self.process.wait(5.0)
        except subprocess.TimeoutExpired:
            self.end()
            return "its process closed the pipe of its answers"
        return child_process.ended(code, self.noise.end())


def _widen(pipe: int) -> None:
    """Let a pipe take the answers of several steps, where the system can (Linux), so that the child waits less."""
    if fcntl is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, CHUNK)


def _wait(reading: list[int], writing: list[int], deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0 or not any(select.select(reading, writing, [], min(left, 1e6))):
        raise NotInTimeError


def surroundings() -> dict[str, str]:
    """The variables of the environment that a child is started under."""
    return {name: value for name, value in os.environ.items() if name not in PASSING}
