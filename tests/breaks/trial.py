"""One fault tried: put into a copy of the working tree, where pytest is run."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.breaks.table import ROOT, Break, Tried

#: tests that notice every fault, because they compare the code with what it was
NETS = ("--ignore=tests/bits", "--ignore=tests/breaks")
#: how pytest names the first test that failed
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", re.MULTILINE)
#: what pytest's exit code says where no test failed: it was given nothing that it could run
NOTHING_RUN = (4, 5)


@contextlib.contextmanager
def copied(root: Path = ROOT) -> Iterator[Path]:
    """A copy of what git knows of the working tree, with what is not committed, and of what is not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
    )
    with tempfile.TemporaryDirectory(prefix="breaks-") as folder:
        for name in listed.stdout.decode().split("\0"):
            source = root / name
            if name and source.is_file():
                target = Path(folder) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        yield Path(folder)


@contextlib.contextmanager
def applied(fault: Break, tree: Path) -> Iterator[None]:
    """The fault in a tree, until this is left."""
    path = tree / fault.file
    text = path.read_text(encoding="utf-8")
    path.write_text(fault.applied(text), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def kernels(anew: bool) -> Iterator[Path]:
    """A folder of kernels of its own, with those that are known unless all are to be compiled anew."""
    known = os.environ.get("REFGRAD_CACHE_DIR")
    with tempfile.TemporaryDirectory(prefix="kernels-") as folder:
        if known and not anew:
            for file in Path(known).glob("*.kernel"):
                (Path(folder) / file.name).symlink_to(file.resolve())
        yield Path(folder)


def tried(fault: Break, tree: Path, arguments: Sequence[str], seconds: float) -> Tried:
    """Run pytest on a tree with the fault, up to the first test that fails."""
    start = time.monotonic()
    with applied(fault, tree), kernels(fault.compiles_anew) as cache:
        outcome, by = _outcome(tree, [*arguments, *NETS], cache, seconds)
    return Tried(fault.id, outcome, by, round(time.monotonic() - start, 1), list(arguments))


def _outcome(tree: Path, arguments: Sequence[str], cache: Path, seconds: float) -> tuple[str, str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "REFGRAD_CACHE_DIR": str(cache),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-rfE", "-p", "no:cacheprovider", *arguments]
    process = subprocess.Popen(
        command,
        cwd=tree,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return "broken off", f"pytest did not end within {seconds:g} s"
    if process.returncode == 0:
        return "survived", ""
    if process.returncode in NOTHING_RUN:
        lines = said.strip().splitlines() or ["pytest ran nothing"]
        return "broken off", next((line for line in lines if line.startswith("ERROR")), lines[-1])
    found = FAILED.search(said)
    by = found.group(1) if found else f"pytest ended with exit code {process.returncode}"
    return "caught", by
