"""The command of what is damaged seed by seed: kinds of it, how many of each, and what became of them."""

from __future__ import annotations

import argparse
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

#: failures of a kind that are printed
SHOWN = 3


def main(
    arguments: Sequence[str],
    command: str,
    doc: str,
    what: str,
    kinds: Iterable[str],
    outcome: Callable[[str, int], str],
) -> int:
    """0 if nothing was raised, else 1.

    Args:
        arguments: the command line.
        command: its name after ``python -m tests.fuzz``.
        doc: what it does.
        what: what is damaged, such as "files".
        kinds: names of kinds of it.
        outcome: from a kind and a seed to what became of it; it raises what should not have been.
    """
    parser = argparse.ArgumentParser(prog=f"python -m tests.fuzz {command}", description=doc)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(f"--{what}", dest="count", type=int, default=10_000, help="of each kind")
    parser.add_argument("--kind", choices=sorted(kinds), action="append")
    options = parser.parse_args(arguments)
    failed = 0
    for kind in options.kind or kinds:
        found: Counter[str] = Counter()
        for seed in range(options.seed, options.seed + options.count):
            try:
                found[outcome(kind, seed)] += 1
            except Exception:
                found["failed"] += 1
                if found["failed"] <= SHOWN:
                    print(f"--seed {seed} --{what} 1 --kind {kind}:")
                    traceback.print_exc(limit=-3)
        failed += found["failed"]
        print(f"{kind}: " + ", ".join(f"{count} {name}" for name, count in sorted(found.items())), flush=True)
    return 1 if failed else 0
