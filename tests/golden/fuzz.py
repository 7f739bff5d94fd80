"""`python -m tests.golden.fuzz [--files N] [--seed S]`: golden files with bytes changed, cut, doubled and exchanged are read.

Each is read or refused with a `GoldenError`; whatever else happens is printed with its seed, and is a failure.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections import Counter
from pathlib import Path

from refgrad.golden import reading, records, tensors

FOLDER = Path(__file__).parents[2] / "golden" / "smoke"
#: texts that parsers trip over
HOSTILE = (
    b"[" * 3000,
    b"{",
    b"}",
    b"NaN",
    b"1e999",
    b"9" * 5000,
    b"-1",
    b"null",
    b'"',
    b"\\u0000",
    b"\xff",
    b"..",
    b"true",
)
HOSTILE += (b'"data_offsets":[0,18446744073709551615]', b'"shape":[4294967295,4294967295]', b"F64", b"__metadata__")


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Some bytes as something else.

    Args:
        data: a file.
        draw: where the choices come from.
    """
    for _ in range(draw.choice((1, 1, 2, 5))):
        at, to = sorted(draw.randrange(len(data) + 1) for _ in range(2))
        kind = draw.randrange(7)
        if kind == 0 and data:
            at = min(at, len(data) - 1)
            data = data[:at] + bytes([draw.randrange(256)]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at]
        elif kind == 2:
            data = data[:at] + draw.choice(HOSTILE) + data[at:]
        elif kind == 3:
            data = data[:at] + draw.choice(HOSTILE) + data[min(to, at + 8) :]
        elif kind == 4:
            data = data[:to] + data[at : at + 40] + data[to:]
        elif kind == 5:
            data = data[:at] + data[min(to, at + 64) :]
        elif len(data) >= 8:
            data = draw.randrange(1 << 64).to_bytes(8, "little") + data[8:]
    return data


def outcome(document: bytes, arrays: bytes) -> str:
    """What becomes of two files: "read" or "refused"; anything else is raised.

    Args:
        document: that of JSON.
        arrays: that of tensors.
    """
    try:
        found = records.parse(document, "case", "fuzzed")
        reading.checked(found, tensors.unpacked(arrays, "fuzzed"))
    except records.GoldenError:
        return "refused"
    return "read"


def run(rule: str, files: int, seed: int) -> Counter[str]:
    """How many mutated files of a rule had which outcome.

    Args:
        rule: whose files.
        files: how many.
        seed: of the first; each has the next one.
    """
    document, arrays = ((FOLDER / f"{rule}.{end}").read_bytes() for end in ("json", "safetensors"))
    found: Counter[str] = Counter()
    for number in range(files):
        draw = random.Random(seed + number)
        both = (mutated(document, draw), arrays) if number % 2 else (document, mutated(arrays, draw))
        try:
            found[outcome(*both)] += 1
        except Exception as error:
            print(f"{rule}, seed {seed + number}: {type(error).__name__}: {error}")
            found["failed"] += 1
    return found


def main() -> int:
    """0 if every file was read or refused, 1 if something else happened."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden.fuzz", description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rule", default="BatchScaledRate")
    options = parser.parse_args()
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    found = run(options.rule, options.files, options.seed)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    told = ", ".join(f"{n} {name}" for name, n in sorted(found.items()))
    print(f"{options.files} files: {told}; {time.process_time() - start:.0f} s, {grown >> 10} MiB more memory at most")
    return 1 if found["failed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
