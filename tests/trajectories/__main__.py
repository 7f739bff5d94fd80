"""`python -m tests.trajectories [--check] [--page] [--fresh] [NAME ...]`: write `trajectories.json`, compare with it, or draw it.

Without names every optimizer is trained. Learning rates that stand in the file are kept; with ``--fresh`` they are looked for
again. ``--check`` trains by the literal body and by the kernels, serial and on two threads, and tells what differs; on a
processor where BLAS or LAPACK give other bits, the few rules that use them are not compared with the file. ``--page`` draws
docs/trajectories.svg and writes docs/trajectories.md from the file alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tests.trajectories import kept, page, training


def main() -> int:
    """Write, check or draw; 1 if anything differs."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.trajectories", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    names = options.names or list(training.rules_trained())
    if options.page:
        page.write()
        return 0
    return check(names) if options.check else write(names, options.fresh)


def write(names: Sequence[str], fresh: bool) -> int:
    """Train some rules by their bodies and keep what comes of it."""
    found = kept.read() if kept.FILE.is_file() else {}
    for name in names:
        rule = training.rules_trained()[name]
        known = None if fresh else found.get(name)
        if known is None:
            found[name] = kept.entry(*training.best(rule))
        else:
            found[name] = kept.entry(known.factor, training.train(training.rated(rule, known.factor)))
        print(
            f"{name}: rate times {found[name].factor:g}, {found[name].curve[0]} to {found[name].curve[-1]}", flush=True
        )
    kept.write({n: each for n, each in found.items() if n in training.rules_trained()})
    return 0


def check(names: Sequence[str]) -> int:
    """Train some rules in every way, and print what differs."""
    wrong = [f"{name}, {way}" for name in names for way, by in kept.WAYS.items() if not kept.agrees(name, by)]
    for text in wrong:
        print(f"{text}: other bits")
    print(f"{len(names)} optimizers, {len(names) * len(kept.WAYS)} trainings compared, {len(wrong)} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
