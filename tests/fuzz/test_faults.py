"""Programs on a machine that is short of everything: a full disk, no home, closed streams, little memory for files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="this system has no shell of its kind")
PYTHON = f"exec {sys.executable} -m refgrad"
FULL = Path("/dev/full").exists()

#: a step by a kernel, where nothing can be kept of it
STEP = (
    "import numpy as np; from refgrad.optimizers import SGD; from refgrad.backends import kernel_cache;"
    "x = np.ones(3, np.float32); print(SGD(lr=0.5).step(x, x, {'t': 0}, backend='numba')[0].tolist(), kernel_cache.folder())"
)


def shell(line: str, **changed: str | None) -> subprocess.CompletedProcess[str]:
    """A line of the shell, with some variables changed, or taken away."""
    environment = {name: value for name, value in {**os.environ, **changed}.items() if value is not None}
    return subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, env=environment, timeout=300)


@pytest.mark.sample(quick=1)
@pytest.mark.skipif(not FULL, reason="this system has no device that is full")
@pytest.mark.parametrize("command", ["--version", "show SGD"])
def test_a_full_disk_is_told_by_an_exit_code_of_its_own(command: str) -> None:
    done = shell(f"{PYTHON} {command} > /dev/full")
    assert (done.returncode, done.stderr) == (
        74,
        "Error: standard output cannot be written: No space left on device\n",
    )


@pytest.mark.slow
@pytest.mark.sample(quick=1)
@pytest.mark.skipif(not FULL, reason="this system has no device that is full")
@pytest.mark.parametrize("unbuffered", ["1", None])
def test_no_exit_code_of_a_verdict_is_given_where_nothing_can_be_told(unbuffered: str | None) -> None:
    done = shell(f"{PYTHON} show SGD > /dev/full 2> /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 74


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"])
def test_what_is_closed_goes_nowhere(closed: str) -> None:
    done = shell(f"{PYTHON} show SGD {closed}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
def test_an_error_keeps_its_exit_code_where_streams_are_closed() -> None:
    assert shell(f"{PYTHON} show NoSuchRule >&- 2>&-").returncode == 64


@pytest.mark.slow
def test_more_steps_than_fit_into_memory_are_refused() -> None:
    done = shell(f"{PYTHON} verify refgrad.optimizers:SGD --as SGD --no-isolate --steps 1000000000")
    assert done.returncode == 64
    assert "steps is 1000000000; legal: a whole number from 1 to 10000" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["no home", "no space", "one CPU"])
def test_kernels_are_compiled_where_nothing_can_be_kept(fault: str, tmp_path: Path) -> None:
    """Without a home, under a limit on the length of files, and on one CPU."""
    nowhere: dict[str, str | None] = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "REFGRAD_CACHE_DIR"))
    alone = "import os, pwd; pwd.getpwuid = {}.__getitem__;"
    if fault == "no home":
        done = shell(f'exec {sys.executable} -c "{alone} {STEP}"', **nowhere)
        assert done.stdout == "[0.5, 0.5, 0.5] None\n", done.stderr
    elif fault == "no space":
        ignored = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        done = shell(f'ulimit -f 1; exec {sys.executable} -c "{ignored} {STEP}"', REFGRAD_CACHE_DIR=str(tmp_path))
        assert done.stdout == f"[0.5, 0.5, 0.5] {tmp_path}\n", done.stderr
        assert list(tmp_path.iterdir()) == []
    else:
        one = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        done = shell(f'exec {sys.executable} -c "{one} {STEP}"', REFGRAD_CACHE_DIR=str(tmp_path))
        assert done.stdout == f"[0.5, 0.5, 0.5] {tmp_path}\n", done.stderr
