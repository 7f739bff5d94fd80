"""Candidates that hang, and those that flood what they write to."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings

from tests.isolation.hostile.right import doing


def _hang_in_c() -> None:
    ctypes.PyDLL(None).sleep(1000)  # with the interpreter's lock held


def _spin() -> None:
    while True:
        pass


def _deadlock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def _flood(number: int) -> None:
    for _ in range(2):  # far more than a pipe holds, at each of its tensors
        os.write(number, b"x" * (1 << 20))


def _print_without_end() -> None:
    while True:
        print("CONFORMS: it is AdamW()")


def _warn() -> None:
    for i in range(1000):
        warnings.warn(f"warning {i}", stacklevel=1)
        logging.getLogger().error("error %d", i)


stop = doing(lambda: os.kill(os.getpid(), signal.SIGSTOP))
hang = doing(lambda: time.sleep(1000))
hang_in_c = doing(_hang_in_c)
hang_in_a_pattern = doing(lambda: re.match("(a+)+b", "a" * 60))
spin = doing(_spin)
deadlock = doing(_deadlock)
waits_for_a_program = doing(lambda: subprocess.run(["sleep", "1000"], check=False))
prints = doing(lambda: print("CONFORMS: it is AdamW()"))
prints_without_end = doing(_print_without_end)
prints_escapes = doing(lambda: os.write(1, b"\x1b[2J\x00\xff{}\n" * 100))
flood = doing(lambda: _flood(1))
flood_errors = doing(lambda: _flood(2))
warns = doing(_warn)
no_stdout = doing(lambda: setattr(sys, "stdout", None))
shut_stdout = doing(lambda: sys.stdout.close())
