"""The cost of a default verdict: processor time of `verify` of rules that conform, and of AdamW with another eps.

python -m tests.benchmarks.verdicts [rules]    # medians of 5 in one process, in turn, after each was judged once
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import refgrad
from refgrad.optimizers import AdamW
from refgrad.rule import find

RULES = ("AdamW", "LAMB", "SGD", "Adafactor", "Affine", "MX", "LSQ", "Magnitude")
SEED, TURNS = 3, 5


def sides(names: Sequence[str]) -> dict[str, Callable[[], Any]]:
    """What is asked, by what it is called.

    Args:
        names: those of rules.
    """
    found: dict[str, Callable[[], Any]] = {}
    for name in names:
        rule: Any = find(name)()
        found[name] = partial(refgrad.verify, rule, rule, seed=SEED)
    wrong = dataclasses.replace(AdamW(), eps=2e-8)
    return found | {"AdamW, failing": partial(refgrad.verify, wrong, AdamW(), seed=SEED)}


def main() -> None:
    """Print what each costs."""
    calls = sides(sys.argv[1:] or RULES)
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(TURNS + 1):
        for name, call in calls.items():
            start = time.process_time()
            call()
            if turn:
                spent[name].append(time.process_time() - start)
    for name, times in spent.items():
        print(f"{name}: {statistics.median(times):.2f} s of processor time")


if __name__ == "__main__":
    main()
