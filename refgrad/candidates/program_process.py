"""The process of a program that is asked over a pipe: a line each way, an end to waiting, and an end to it and its children."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from refgrad.candidates.protocol import CandidateFault
from refgrad.child_process import ended
from refgrad.errors import CandidateError

#: bytes that a line may have, and that are read at a time
LONGEST, CHUNK = 64 << 20, 1 << 16
#: seconds that a program has to end when its input has, and that are waited for how it ended when its pipe was closed
GRACE, CLOSED = 0.5, 1.0


class Process:
    """A program that runs. It ends with whoever asks it, however that ends: by itself, by an exception, or interrupted.

    Args:
        command: the program and its arguments.
        group: True if it leads a group of processes of its own, which all end with it. False where it is started in the group
            of a process that is ended as a whole, so that nothing of it is left then.

    Raises:
        CandidateError: it cannot be started.
    """

    def __init__(self, command: Sequence[str], group: bool) -> None:
        self.name = command[0].rpartition("/")[2]
        self._group = group and os.name == "posix"
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,  # a buffer has a lock, which a thread that waits in vain would keep
                start_new_session=self._group,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        except OSError as error:
            here = os.sep not in command[0] and os.path.isfile(command[0])
            hint = f"; did you mean './{command[0]}'?" if here else ""
            legal = "a program that can be run, whose arguments are each an --arg"
            raise CandidateError(f"{command[0]} cannot be started: {error.strerror}{hint}; legal: {legal}") from None
        self._rest, self._asking = bytearray(), _Asking()
        self._end = weakref.finalize(self, _end, self._process, self._group, self._asking)

    def ask(self, line: bytes, seconds: float, what: str) -> bytes:
        """The line that answers a line.

        Args:
            line: without its end.
            seconds: in which it is to answer; it is ended if it does not.
            what: the question, as messages call it.

        Raises:
            CandidateFault: it hung, ended, or wrote a line without an end.
        """
        if not self._end.alive:
            raise CandidateFault("crashed", f"{self.name} was ended, since it hung before")
        self._asking.now = True  # until it answers: what is left of it otherwise has no end that is worth waiting for
        found = _within(lambda: self._answer(line), seconds)
        if found is None:
            self._end()
            raise CandidateFault("hung", f"{self.name} hung: no answer to {what} within {seconds:g} s")
        self._asking.now = False
        return found

    def _answer(self, line: bytes) -> bytes:
        stdin = self._process.stdin
        assert stdin is not None
        left = memoryview(line + b"\n")
        try:
            while left:
                left = left[stdin.write(left) or 0 :]
        except (OSError, ValueError):  # the latter of a pipe that was closed here, when it was ended
            raise CandidateFault("crashed", self._how_it_ended()) from None
        return self._line()

    def _line(self) -> bytes:
        stdout, seen = self._process.stdout, 0
        assert stdout is not None
        while (end := self._rest.find(b"\n", seen)) < 0:
            seen = len(self._rest)
            if seen >= LONGEST:
                raise CandidateFault("structure", f"{self.name} wrote a line of more than {LONGEST} bytes")
            try:
                chunk = stdout.read(CHUNK)
            except (OSError, ValueError):
                chunk = b""
            if not chunk:
                raise CandidateFault("crashed", self._how_it_ended())
            self._rest += chunk
        if end >= LONGEST:
            raise CandidateFault("structure", f"{self.name} wrote a line of more than {LONGEST} bytes")
        found = bytes(self._rest[:end])
        del self._rest[: end + 1]
        return found

    def _how_it_ended(self) -> str:
        """Closed pipes come a moment before that."""
        try:
            code = self._process.wait(CLOSED)
        except subprocess.TimeoutExpired:
            return f"{self.name} closed its pipe"
        return f"{self.name}: {ended(code, '')}"


class _Asking:
    """Whether a program has been asked something, and has not answered."""

    now = False


def _within(action: Callable[[], bytes], seconds: float) -> bytes | None:
    """What an action returns; None if it takes longer, which then is waited for no more."""
    if seconds > threading.TIMEOUT_MAX:
        return action()
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(action())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)  # a program that it started may hold the pipe
    thread.start()
    thread.join(seconds)
    if not found:
        return None
    (result,) = found
    if isinstance(result, BaseException):
        raise result
    made: bytes = result
    return made


def _end(process: subprocess.Popen[bytes], group: bool, asking: _Asking) -> None:
    """Ends a program that nobody asks any more: its input ends, and what does not end with it is killed, with its children.

    One that has not answered is killed at once: the thread that waits for its answer may hold what is closed here.
    """
    if not asking.now:
        _close(process.stdin)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    if group and hasattr(os, "killpg"):
        with contextlib.suppress(OSError):  # nobody is left of it
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    _close(process.stdin)
    _close(process.stdout)


def _close(stream: Any) -> None:
    with contextlib.suppress(OSError):
        stream.close()


def _die_with_parent() -> None:  # pragma: no cover - between fork and exec, where nothing is counted
    """On Linux a program ends with the process that asks it, which is ended when it hangs.

    Elsewhere it ends with the group of that process, or when it reads that nobody asks any more.
    """
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
