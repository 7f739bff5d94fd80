"""`python -m tests.fuzz [FILE ...]`: try properties on many random examples, a file of them after the other.

Each run has a seed of its own, which is printed with what came of it. What failed is kept in `.hypothesis`, and tried first the
next time. The files take turns in an order that the first seed decides, until one fails or the time is over.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent


def files() -> list[str]:
    """The test files that hold a property."""
    every = sorted(TESTS.rglob("test_*.py"))
    return [p.relative_to(ROOT).as_posix() for p in every if "\n@given(" in p.read_text(encoding="utf-8")]


def turns(chosen: Sequence[str], seed: int) -> Iterator[tuple[str, int]]:
    """The files, over and over, each time with another seed."""
    order = random.Random(seed)
    while True:
        for file in order.sample(chosen, len(chosen)):
            yield file, order.randrange(2**32)


def command(file: str, seed: int) -> list[str]:
    """What tries the properties of a file."""
    options = ["--hypothesis-profile=fuzz", f"--hypothesis-seed={seed}", "-m", "hypothesis", "-q", "--no-header"]
    return [sys.executable, "-m", "pytest", *options, file]


def main(arguments: Sequence[str]) -> int:
    """0 if nothing failed, 1 if something did.

    Args:
        arguments: the command line after the program's name.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="test files; all that hold a property by default")
    parser.add_argument("--minutes", type=float, default=60.0, help="no run is started after so long; 60 by default")
    parser.add_argument("--seed", type=int, default=None, help="decides order and seeds; a random one by default")
    parser.add_argument("--once", action="store_true", help="one turn for each file")
    options = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    chosen = options.files or files()
    print(f"{len(chosen)} files; to do the same again: --seed {seed}", flush=True)
    end = time.monotonic() + 60 * options.minutes
    for file, drawn in itertools.islice(turns(chosen, seed), len(chosen) if options.once else None):
        if time.monotonic() > end:
            break
        begin = time.monotonic()
        done = subprocess.run(command(file, drawn), cwd=ROOT, env=dict(os.environ), capture_output=True, text=True)
        result = (done.stdout.splitlines() or ["nothing was said"])[-1]
        print(f"{file} --hypothesis-seed={drawn}: {result} ({time.monotonic() - begin:.0f} s)", flush=True)
        if done.returncode not in (0, 5):  # 5: no test was selected
            print(done.stdout, done.stderr, sep="\n")
            return 1
    return 0
