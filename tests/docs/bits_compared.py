"""The table in docs/cuda.md of bits that were compared: ``python -m tests.docs.bits_compared`` runs every kernel and writes it.

Each rule of which a kernel is printed takes a step, on arrays of all magnitudes with infinities and NaN where it is one loop, and
on tame ones where it has reductions; what the kernel makes is compared with what NumPy makes of the rule's body. It takes some
minutes, a C++ compiler and NVRTC.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from refgrad.backends.cuda.source import is_one_loop
from refgrad.rule import Rule
from tests.backends.cuda.covered import TIERS, Case, case, defaults, different, launched, literal, plan
from tests.backends.cuda.devices import Emulated, Interpreted

PAGE = Path(__file__).parents[2] / "docs" / "cuda.md"
BEGIN, END = "<!-- bits compared -->\n", "<!-- end of bits compared -->"
#: where kernels run, and how arrays are stored there
EMULATED = "the text, emulated"
PLACES: tuple[tuple[str, str], ...] = (
    *((EMULATED, tier) for tier in TIERS),
    *(("sm_90", tier) for tier in TIERS),
    *((arch, tier) for arch in ("sm_80", "sm_100") for tier in ("float32", "float64")),
)


class Counts(NamedTuple):
    """What was compared: rules, numbers, bits, and numbers of which a bit differs (whatever payload a NaN has)."""

    rules: int
    numbers: int
    bits: int
    differ: int


def steps(tier: str, of: Sequence[Rule]) -> list[Case]:
    """A step of each rule."""
    return [case(rule, tier, 3, (7, 31), tame=not is_one_loop(plan(rule, 3).graph)) for rule in of]


def compared(tier: str, device: Any, of: Sequence[Rule]) -> Counts:
    """What a device makes of rules' steps beside NumPy.

    Args:
        tier: how arrays are stored.
        device: where the kernels run.
        of: the rules.
    """
    numbers = bits = differ = 0
    for given in steps(tier, of):
        wanted, found = literal(given), launched(given, device)
        for name, array in wanted.items():
            numbers, bits = numbers + array.size, bits + 8 * array.nbytes
            differ += int(different(found[name], array))
        device.arrays.clear()
    return Counts(len(of), numbers, bits, differ)


def device_of(place: str, tier: str, of: Sequence[Rule], folder: Path) -> Any:
    """A device by its name in the table."""
    if place != EMULATED:
        return Interpreted(place)
    device = Emulated(folder)
    device.compile([source for given in steps(tier, of) for source in given.sources()])
    return device


def row(place: str, tier: str, found: Counts) -> str:
    """A line of the table."""
    where = place if place == EMULATED else f"PTX for {place}, interpreted"
    return f"| {where} | {tier} | {found.rules} | {found.numbers:,} | {found.bits:,} | {found.differ} |\n"


HEAD = "| where | stored in | rules | numbers | bits | numbers that differ |\n|---|---|---|---|---|---|\n"


def rows(page: str) -> list[list[str]]:
    """The cells of the table on a page, without its head."""
    inside = page.partition(BEGIN)[2].partition(END)[0]
    return [re.split(r" *\| *", line.strip("| \n")) for line in inside.splitlines()[2:]]


def written(page: str, line: str) -> str:
    """The page with this row of the table, instead of the one of its place and way to store; rows in the order of `PLACES`."""
    before, _, rest = page.partition(BEGIN)
    inside, _, after = rest.partition(END)
    held = {tuple(each.split(" | ")[:2]): f"{each}\n" for each in [*inside.splitlines()[2:], line.rstrip("\n")]}
    order = [tuple(row(place, tier, Counts(0, 0, 0, 0)).split(" | ")[:2]) for place, tier in PLACES]
    return before + BEGIN + HEAD + "".join(held[key] for key in order if key in held) + END + after


def main() -> None:
    """Row after row is written as soon as it is found."""
    of = defaults()
    for place, tier in PLACES:
        with tempfile.TemporaryDirectory() as folder:
            found = compared(tier, device_of(place, tier, of, Path(folder)), of)
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), row(place, tier, found)), encoding="utf-8")


if __name__ == "__main__":
    main()
