"""`python -m tests.golden.published`: golden cases are what they were when they came into the repository.

`published.txt` has a line for each case that ever was there: its id, the version of its rule, and a digest of its sets, truths
and references. An id that stands there is never used for another case, and what a case says changes only with the version of
its rule, which is part of its id from the second on. The command adds the lines of new cases; what changed it says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from refgrad.golden import checking, reading, records

FILE = Path(__file__).with_name("published.txt")
FOLDER = Path(__file__).parents[2] / "golden" / "smoke"


class Published(NamedTuple):
    """What is known of a case: the version of its rule, and the digest of what it says."""

    version: int
    digest: str


def known(file: Path = FILE) -> dict[str, Published]:
    """Each case that ever was in the repository, by its id."""
    rows = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
    return {id_: Published(int(version), digest) for id_, version, digest in rows}


def said(file: reading.File) -> Iterator[tuple[str, Published]]:
    """Each case of a rule's file by its id.

    Args:
        file: as it was read.
    """
    by_case: dict[str, list[str]] = {}
    for key in sorted(file.arrays):
        by_case.setdefault(key.partition("/")[0], []).append(key)
    for number, case in enumerate(file.document["cases"]):
        total = hashlib.sha256(repr((case["dtype"], case["outputs"], case["whole"], case["policy"])).encode())
        for key in by_case[str(number)]:
            array = np.ascontiguousarray(file.arrays[key])
            total.update(f"{key.partition('/')[2]}{array.dtype}{array.shape}".encode() + array.tobytes())
        yield case["id"], Published(file.document["version"], total.hexdigest()[:16])


def changed(folder: Path, names: Sequence[str], before: dict[str, Published]) -> Iterator[str]:
    """What is said of the cases that are not what they were, and of those that are new.

    Args:
        folder: where golden files are.
        names: of the rules.
        before: what is known of each case.
    """
    for name in names:
        for id_, now in said(reading.read(folder, name)):
            if id_ not in before:
                yield f"{id_}: new; `python -m tests.golden.published` adds it"
            elif now != before[id_]:
                yield f"{id_}: says something else than at version {before[id_].version}; raise {name}.revision"


def main() -> int:
    """0 if every case is what it was; new ones are added."""
    before, names = known(), [each["rule"] for each in checking.listed(FOLDER)["files"]]
    wrong = [text for text in changed(FOLDER, names, before) if ": new" not in text]
    if wrong:
        print(*wrong, sep="\n")
        return 1
    now = before | {id_: each for name in names for id_, each in said(reading.read(FOLDER, name))}
    records.write(FILE, "".join(f"{i} {v} {d}\n" for i, (v, d) in sorted(now.items())).encode())
    print(f"{len(now)} cases, {len(now) - len(before)} of them new")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
