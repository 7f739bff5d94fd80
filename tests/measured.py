"""Where the lines that run are counted (`tox -e coverage`), a process of refgrad's own ends by itself before it is ended.

What a process counted is written when it ends; one that is killed writes nothing.
"""

from __future__ import annotations

import contextlib
import os
import subprocess

#: seconds that a process has to write what it counted; one that hangs is ended all the same
PATIENCE = 3.0
#: the variable by which coverage tells the processes that are started what to count
MARK = "COVERAGE_PROCESS_CONFIG"


def let_end(process: subprocess.Popen) -> None:
    """Tell a process that there are no more questions, and wait until it has ended."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)


def install() -> None:
    """Have the processes of isolation and of surveys write what they counted, if anything is counted."""
    if MARK not in os.environ:
        return
    from refgrad import child_process

    end = child_process.end

    def end_when_written(process: subprocess.Popen, group: bool = False) -> None:
        let_end(process)
        end(process, group)

    child_process.end = end_when_written
