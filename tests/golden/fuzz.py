"""`python -m tests.golden.fuzz [--files N] [--seed S]`: golden files with bytes changed, cut, doubled and exchanged are read.

Each is read or refused with a `GoldenError`; whatever else happens is printed with its seed, and is a failure, and so is memory
that grows. Others have a field of a case exchanged for something else, and are verified too, as far as they are read.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refgrad.golden import checking, reading, records, tensors

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
#: values that a field of a case may not have, or that ask for much
ODD: tuple[Any, ...] = (
    "0x1.0p+1023",
    "nan",
    "inf",
    "-0x1.0p-1074",
    "0x1.0000000000000p+40",
    "",
    1 << 40,
    -1,
    4096,
    True,
    [],
    {},
)
ODD += ({"rule": "AdamW", "hyperparameters": {}}, ["x", "x"], {"decisions_on_nan": "open"})
#: rules of several kinds whose fields are exchanged
VERIFIED = ("SGD", "Affine", "NF4", "MX", "ClippedSTE", "Magnitude", "ZeroNaNs", "BatchScaledRate")
#: MiB that memory may grow by while files of some KiB are read
GROWTH = 32
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


def exchanged(document: Mapping[str, Any], draw: random.Random) -> dict[str, Any]:
    """A document of one case, with another value in a field of it or of something in it.

    Args:
        document: a rule's.
        draw: where the choices come from.
    """
    case = json.loads(json.dumps(draw.choice(document["cases"][:1])))  # its arrays are those with the number 0
    place, at = case, draw.choice([n for n in case if n != "id"])
    while isinstance(place[at], dict | list) and place[at] and draw.random() < 0.9:
        place = place[at]
        at = draw.choice(list(place) if isinstance(place, dict) else range(len(place)))
    place[at] = draw.choice(ODD)
    return {**document, "cases": [case], "wrong": []}


def verified(rule: str, files: int, seed: int) -> Counter[str]:
    """How many files of a rule with an exchanged field were refused, found wrong, or found right.

    Args:
        rule: whose files.
        files: how many.
        seed: of the first; each has the next one.
    """
    whole = reading.read(FOLDER, rule).document
    arrays = tensors.unpacked(records.read_bytes(FOLDER / f"{rule}.safetensors"), rule)
    found: Counter[str] = Counter()
    for number in range(files):
        document = exchanged(whole, random.Random(seed + number))
        try:
            records.parse(records.text(document), "case", "fuzzed")
            found["wrong" if list(checking.problems(reading.checked(document, arrays))) else "right"] += 1
        except records.GoldenError:
            found["refused"] += 1
        except Exception as error:
            print(f"{rule} with another field, seed {seed + number}: {type(error).__name__}: {error}")
            found["failed"] += 1
    return found


def main() -> int:
    """0 if every file was read or refused, 1 if something else happened."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden.fuzz", description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rule", default="BatchScaledRate")
    parser.add_argument("--fields", type=int, default=250, help="files of each of some rules with an exchanged field")
    options = parser.parse_args()
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    found = run(options.rule, options.files, options.seed)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    told = ", ".join(f"{n} {name}" for name, n in sorted(found.items()))
    print(f"{options.files} files: {told}; {time.process_time() - start:.0f} s, {grown} MiB more memory at most")
    fields = sum((verified(rule, options.fields, options.seed) for rule in VERIFIED), Counter[str]())
    told = ", ".join(f"{n} {name}" for name, n in sorted(fields.items()))
    print(
        f"{options.fields * len(VERIFIED)} files with an exchanged field: {told}; {time.process_time() - start:.0f} s"
    )
    return 1 if found["failed"] or fields["failed"] or grown > GROWTH else 0


if __name__ == "__main__":
    raise SystemExit(main())
