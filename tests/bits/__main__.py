"""`python -m tests.bits [--check] [--compiled] [NAME ...]`: write `bits.json`, or compare everything with it.

Without names all rules and variants are run; a name stands for a rule and its variants. With ``--compiled`` the kernels are run
too (which have to be compiled first: the first time that takes long), and must give the same bits. Such a run can be
broken off and started again, since kernels are kept. On a processor where BLAS, LAPACK or NumPy's exponentials give other
bits, the few rules that use them are not compared.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from tests.bits import digests
from tests.bits.compiled import COMPILED, differing


def main() -> int:
    """Write or check; 1 if anything differs."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bits", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--check", action="store_true", help="compare with bits.json")
    parser.add_argument("--compiled", action="store_true", help="compare kernels with the literal body")
    options = parser.parse_args()
    keys = [key for key in digests.names() if not options.names or key.partition(" ")[0] in options.names]
    if options.compiled:
        keys = [key for key in keys if digests.rule_of(key).kind in COMPILED]
        return reported("kernels against the literal body", len(keys), list(differing(keys)))
    if options.check:
        return check(keys, whole=not options.names)
    entries = digests.known() if options.names else {digests.PROBE: digests.probe()}
    entries |= {key: digests.entry(key) for key in keys}
    digests.FILE.write_text(digests.written(entries))
    print(f"{len(keys)} rules and variants written to {digests.FILE.name}")
    return 0


def check(keys: Sequence[str], whole: bool) -> int:
    """Compare digests with those that are known; what is missing on either side differs too."""
    known, start = digests.known(), time.time()
    can = digests.compared(known)
    left = [key for key in keys if not can(key)]
    looked = [key for key in keys if can(key)]
    wrong = [key for key in looked if known.get(key) != digests.entry(key)]
    gone = sorted(set(known) - set(keys) - {digests.PROBE}) if whole else []
    lines = [*(f"{key}: {'bits differ' if key in known else 'is new'}" for key in wrong), *(f"{k}: gone" for k in gone)]
    if left:
        print(f"{len(left)} rules and variants whose bits depend on the processor are not compared on this one")
    return reported(f"bits, {time.time() - start:.0f} s", len(looked), lines)


def reported(what: str, count: int, lines: Sequence[str]) -> int:
    """Print what differs, and how much was compared; 1 if anything does."""
    for line in lines:
        print(line)
    print(f"{what}: {count} rules and variants compared, {len(lines)} differ")
    return 1 if lines else 0


if __name__ == "__main__":
    raise SystemExit(main())
