"""What a candidate does to descriptors, memory and processes."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

import numpy as np

from tests.isolation.hostile.right import Given, at, doing


def _write_into_every_descriptor() -> None:
    for number in range(3, 64):
        with contextlib.suppress(OSError):
            os.write(number, b"CONFORMS\n" * 100)


def _answer_into_every_descriptor() -> None:
    from refgrad.isolation.messages import packed
    from refgrad.isolation.shared import Region

    forged = {"result": {"dict": [["value", {"float": "0x0p+0"}]]}, "changed": [], "number": 10**6}
    for number in range(3, 64):
        with contextlib.suppress(OSError):
            os.write(number, packed(forged, [], Region(-1)))


def _cover_every_descriptor() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(64):
        os.dup2(nothing, number)


def _shared() -> list[int]:
    found = []
    for number in range(3, 64):
        with contextlib.suppress(OSError):
            found += [number] if "memfd" in os.readlink(f"/proc/self/fd/{number}") else []
    return found


def _scribble() -> None:
    for number in _shared():
        os.pwrite(number, b"\xff" * (1 << 20), 0)


def _cut() -> None:
    for number in _shared():
        os.ftruncate(number, 0)


def _memory() -> None:
    kept = []
    while True:
        kept.append(np.zeros(1 << 27))


def _open_without_end() -> None:
    kept = []
    while True:
        kept.append(open(os.devnull))  # noqa: SIM115


def _deep() -> None:
    def down() -> None:
        down()

    down()


#: something as soon as a candidate has forked in this process, or in the one that this was forked from
_FORKED: list[bool] = []


def _fork_and_leave() -> None:
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)


def _forks() -> None:
    if _FORKED:
        return
    _FORKED.append(True)
    for _ in range(3):
        _fork_and_leave()


def _fork_and_answer() -> None:
    if not _FORKED:  # once: both go on as the candidate
        _FORKED.append(True)
        os.fork()


def _thread_that_stays() -> None:
    threading.Thread(target=time.sleep, args=(5,)).start()


def _fork_tree() -> None:
    """A process that forks, each of which forks, six times: as much of a fork bomb as a machine bears that others use too."""
    if not _FORKED:
        _FORKED.append(True)
        if os.fork() == 0:
            for _ in range(5):
                os.fork()
            time.sleep(60)
            os._exit(0)


def _thread_that_goes_on() -> None:
    def spin() -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            time.sleep(0.0001)

    threading.Thread(target=spin, daemon=True).start()


def _caller() -> Any:
    """The frame of refgrad's loop that answers in this process; None where there is none."""
    frame: Any = sys._getframe()
    while frame is not None and not (frame.f_code.co_name == "serve" and "answers" in frame.f_locals):
        frame = frame.f_back
    return frame


def forge(**told: Any) -> None:
    """Answer the question in hand, by its own number, before refgrad's part of the process does."""
    from refgrad.isolation.messages import packed
    from refgrad.isolation.shared import Region

    if (frame := _caller()) is not None:
        forged = packed({**told, "number": frame.f_locals["message"]["number"]}, [], Region(-1))
        frame.f_locals["answers"].write(forged)
        frame.f_locals["answers"].flush()


def _promise_much() -> None:
    for number in range(3, 64):
        with contextlib.suppress(OSError):
            os.write(number, b"\x00\x00\x10\x00\x00\x00\x00\x00" * 2)  # lengths of a message
    time.sleep(1000)


def _shrink_pipes() -> None:
    import fcntl

    for number in range(3, 64):
        with contextlib.suppress(OSError):
            fcntl.fcntl(number, fcntl.F_SETPIPE_SZ, 4096)


def _ignore_signals() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)


def _lift_limits() -> None:
    import resource

    for what in (resource.RLIMIT_DATA, resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(what, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def _leave_files() -> None:
    os.umask(0o777)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # which is gone when the candidate returns


def _end_when_collected() -> None:
    class Last:
        def __del__(self) -> None:
            os._exit(0)

    Last()


def _reads_shared(given: Given) -> Any:
    """Whatever the shared memory holds, as an answer."""
    for number in _shared():
        data = os.pread(number, given["p"].nbytes, 0)
        if len(data) == given["p"].nbytes:
            return np.frombuffer(data, given["p"].dtype).reshape(given["p"].shape).copy(), given["m"], given["v"]
    return given["p"], given["m"], given["v"]


close_1 = doing(lambda: os.close(1))
close_all = doing(lambda: os.closerange(0, 256))
cover_all = doing(_cover_every_descriptor)
write_all = doing(_write_into_every_descriptor)
answer_all = doing(_answer_into_every_descriptor)
scribbles_shared = doing(_scribble)
cuts_shared = doing(_cut)
reads_shared = at(2, _reads_shared)
memory = doing(_memory)
memory_at_once = doing(lambda: np.ones(1 << 42))
opens_without_end = doing(_open_without_end)
recursion = doing(_deep)
fork_and_leave = doing(_fork_and_leave)
forks = doing(_forks)
fork_and_answer = doing(_fork_and_answer)
fork_tree = doing(_fork_tree)
thread_that_goes_on = doing(_thread_that_goes_on)
forges_the_last = doing(lambda: forge(layout="[[], []]", changed=[], kept=True, last=True))
forges_infinity = doing(lambda: forge(layout="[[], []]", changed=[["gradient", float("inf")]], kept=True))
promises_much = doing(_promise_much)
shrinks_pipes = doing(_shrink_pipes)
ignores_signals = doing(_ignore_signals)
lifts_limits = doing(_lift_limits)
leaves_files = doing(_leave_files)
ends_when_collected = doing(_end_when_collected)
exit_hook_that_hangs = doing(lambda: atexit.register(time.sleep, 1000))
starts_a_program = doing(lambda: subprocess.Popen(["sleep", "60"]))
thread_that_stays = doing(_thread_that_stays)
