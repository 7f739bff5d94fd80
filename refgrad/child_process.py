"""What is known of a process that was started to run somebody else's code: how it ended, and its last words."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

#: lines of what a process wrote that go into a message
TAIL = 4
#: how Python's fault handler begins what it writes, and the calls of the thread that failed, innermost first
FAILED, FAILED_IN = "Fatal Python error: ", "Current thread "
#: a call of Python's own machinery of imports, of which there are five between two modules
IMPORTING = 'File "<frozen importlib'


def ended(code: int, written: str) -> str:
    """How a process ended, and with which last words; with which calls, where Python's fault handler wrote them.

    Args:
        code: its exit code; negative for a signal.
        written: what it wrote on standard error.

    >>> ended(-11, "")
    'its process ended by SIGSEGV'
    >>> ended(3, "lost\\n")
    'its process ended with exit code 3; lost'
    >>> ended(-11, "Fatal Python error: Segmentation fault\\n\\nCurrent thread 0x1:\\n  in load")
    'its process ended by SIGSEGV; Fatal Python error: Segmentation fault; in load'
    """
    try:
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    except ValueError:  # a signal without a name
        how = f"by signal {-code}"
    words = [line.strip() for line in written.splitlines() if line.strip()]
    return f"its process ended {how}" + "".join(f"; {line}" for line in _telling(words))


def _telling(words: list[str]) -> list[str]:
    """The last lines, or what failed and the innermost calls: the fault handler's own last lines name modules alone."""
    failed = [i for i, line in enumerate(words) if line.startswith(FAILED)]
    calls = [i for i, line in enumerate(words) if line.startswith(FAILED_IN)]
    if not failed or not calls or calls[-1] < failed[-1]:
        return words[-TAIL:]
    told = [line for line in words[calls[-1] + 1 :] if not line.startswith(IMPORTING)]
    return [words[failed[-1]], *told[: TAIL - 1]]


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
