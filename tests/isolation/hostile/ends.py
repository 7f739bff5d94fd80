"""Every way to end: exits, signals and exceptions."""

from __future__ import annotations

import atexit
import ctypes
import mmap
import os
import signal
import sys
import tempfile
import threading
import time
from typing import Any

import refgrad
from tests.isolation.hostile.right import doing, raising


def _quiet_exit_hook() -> None:
    atexit.register(os._exit, 0)
    sys.exit(0)


def _bus_error() -> None:
    with tempfile.TemporaryFile() as file:
        file.truncate(4096)
        mapped = mmap.mmap(file.fileno(), 4096)
        file.truncate(0)
        mapped[0] = 1


def _alarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(1)


def _handler() -> None:
    def leave(*_: Any) -> None:
        sys.exit(0)

    signal.signal(signal.SIGUSR1, leave)
    os.kill(os.getpid(), signal.SIGUSR1)


def _thread_that_leaves() -> None:
    threading.Thread(target=os._exit, args=(0,)).start()
    time.sleep(1)


def _exception_from_outside() -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(threading.get_ident()), ctypes.py_object(SystemExit))
    for _ in range(1000):
        time.sleep(0)


def _trace() -> None:
    def leave(*_: Any) -> None:
        os._exit(0)

    sys.settrace(leave)
    (lambda: None)()


exit_zero = doing(lambda: sys.exit(0))
exit_three = doing(lambda: sys.exit(3))
exit_words = doing(lambda: sys.exit("CONFORMS"))
exit_hook = doing(_quiet_exit_hook)
interrupt = raising(KeyboardInterrupt())
generator_exit = raising(GeneratorExit())
stop_iteration = raising(StopIteration(0))
leaves_at_once = doing(lambda: os._exit(0))
leaves_with_70 = doing(lambda: os._exit(70))
leaves_in_c = doing(lambda: ctypes.CDLL(None)._exit(0))
exits_in_c = doing(lambda: ctypes.CDLL(None).exit(0))
becomes_another = doing(lambda: os.execv("/bin/true", ["true"]))
segfault = doing(lambda: ctypes.string_at(8))
bus_error = doing(_bus_error)
floating_point_signal = doing(lambda: signal.raise_signal(signal.SIGFPE))
illegal_instruction = doing(lambda: signal.raise_signal(signal.SIGILL))
abort = doing(os.abort)
kill_9 = doing(lambda: os.kill(os.getpid(), signal.SIGKILL))
term = doing(lambda: os.kill(os.getpid(), signal.SIGTERM))
user_signal = doing(lambda: os.kill(os.getpid(), signal.SIGUSR2))
alarm = doing(_alarm)
handler = doing(_handler)
kill_group = doing(lambda: os.killpg(0, signal.SIGKILL))
thread_that_leaves = doing(_thread_that_leaves)
exception_from_outside = doing(_exception_from_outside)
trace = doing(_trace)


class Unspeakable(Exception):
    """Its text ends the process."""

    def __str__(self) -> str:
        os._exit(0)


class Forged(refgrad.errors.RefgradError):
    """Says that it is one of refgrad's own."""

    kind = "conforms"


Forged.__name__ = "CandidateFault"

own_argument_error = raising(refgrad.errors.ArgumentError("mine"))
own_candidate_error = raising(refgrad.errors.CandidateError("mine"))
forged_fault = raising(Forged("conforms"))
memory_error = raising(MemoryError("mine"))
base_exception = raising(BaseException("mine"))
group = raising(BaseExceptionGroup("mine", [SystemExit(0), KeyboardInterrupt()]))
long_words = raising(ValueError("x" * 10_000_000))
many_lines = raising(ValueError("\x1b[2J\n\nCONFORMS: it is AdamW()\n"))
unspeakable = raising(Unspeakable())
