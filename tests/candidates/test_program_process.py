"""The process of a program that is asked over a pipe ends with whoever asks it, and its children with it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from refgrad.candidates import program, program_process
from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import CandidateError
from refgrad.optimizers import AdamW

pytestmark = pytest.mark.skipif(os.name != "posix", reason="groups of processes are those of Unix")

SAYS = '{"refgrad":1,"rules":["AdamW"],"dtypes":["float32"],"takes":["p","g","m","v"],"gives":["p","m","v"]}'
#: a program with a child, which says who they are, greets, and hangs
HANGS = f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
open(sys.argv[1], "w").write(f"{{os.getpid()}} {{child.pid}} .")
input()
print({SAYS!r}, flush=True)
time.sleep(600)
"""


def gone(file: Path) -> bool:
    """True once the processes that a file names have ended."""
    for _ in range(200):
        if not any(map(lives, map(int, file.read_text().split()[:2]))):
            return True
        time.sleep(0.02)
    return False


def lives(number: int) -> bool:
    """True of a process that runs; one that has ended and that nobody waits for runs no more."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{number}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def hanging(file: Path) -> list[str]:
    return [sys.executable, "-S", "-c", HANGS, str(file)]


def test_one_that_hangs_is_ended_with_its_children_once_it_is_waited_for_no_more(tmp_path: Path) -> None:
    asked = program.function(hanging(tmp_path / "pids"), AdamW(), 2.0)
    given = dict.fromkeys("pgmv", np.ones(2, np.float32))
    with pytest.raises(CandidateFault, match=r"hung: no answer to call within 2 s") as caught:
        asked(**given)
    assert caught.value.kind == "hung"
    assert gone(tmp_path / "pids")
    with pytest.raises(CandidateFault, match="was ended, since it hung before"):
        asked(**given)


#: what a process does that asks it without isolation: it gives a verdict, is interrupted, or raises
ENDS = {
    "verdict": "print(refgrad.verify(asked, AdamW(), isolate=False, time_limit=0.5, explain=False).outcome)",
    "interrupted": "threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start(); asked(**given)",
    "raised": "threading.Thread(target=lambda: asked(**given), daemon=True).start(); time.sleep(0.3); raise ValueError",
}


@pytest.mark.slow
@pytest.mark.parametrize("how", ENDS)
def test_one_that_hangs_ends_with_the_process_that_asks_it(how: str, tmp_path: Path) -> None:
    code = textwrap.dedent(
        f"""
        import os, signal, sys, threading, time
        import numpy as np
        import refgrad
        from refgrad.candidates import program
        from refgrad.optimizers import AdamW
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what runs behind it ignore it
        given = dict.fromkeys("pgmv", np.ones(2, np.float32))
        asked = program.function({hanging(tmp_path / "pids")!r}, AdamW())
        {ENDS[how]}
        """
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ("does not conform" in run.stdout) is (how == "verdict"), run.stderr
    assert gone(tmp_path / "pids")


def test_a_line_without_an_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_process, "LONGEST", 1000)
    words = [sys.executable, "-S", "-c", "input(); print('x' * 5000, end='', flush=True); input()"]
    with pytest.raises(CandidateError, match="more than 1000 bytes"):
        program.function(words, AdamW())


def test_a_child_that_holds_the_pipe_is_ended_where_its_parent_has_ended(tmp_path: Path) -> None:
    code = HANGS.replace("time.sleep(600)\n", "raise SystemExit(0)\n")
    asked = program.function([sys.executable, "-S", "-c", code, str(tmp_path / "pids")], AdamW())
    del asked
    assert gone(tmp_path / "pids")
