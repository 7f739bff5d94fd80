"""What is known of a process that was started to run somebody else's code: how it ended, and its last words."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

#: lines of what a process wrote that go into a message
TAIL = 4


def ended(code: int, written: str) -> str:
    """How a process ended, and with which last words.

    Args:
        code: its exit code; negative for a signal.
        written: what it wrote on standard error.

    >>> ended(-11, "")
    'its process ended by SIGSEGV'
    >>> ended(3, "lost\\n")
    'its process ended with exit code 3; lost'
    """
    try:
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    except ValueError:  # a signal without a name
        how = f"by signal {-code}"
    words = [line.strip() for line in written.splitlines() if line.strip()]
    return f"its process ended {how}" + "".join(f"; {line}" for line in words[-TAIL:])


def end(process: subprocess.Popen, group: bool = False) -> None:
    """End a process, if it has not ended, and close its pipes.

    Args:
        process: it was started by the caller.
        group: True if it leads a process group, of which all end, also where it has ended by itself.
    """
    if group and hasattr(os, "killpg"):
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.poll() is None:
        process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
