"""The levels of golden files, as budgets: smoke is in the repository, the others are made on demand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from refgrad.errors import bad_argument


@dataclass(frozen=True)
class Level:
    """How much a level holds.

    Attributes:
        name: what it is called.
        dtypes: the working dtypes of its cases; variants are in the first alone.
        seeds: seeds of the numbers; the first is looked at first.
        most: cases of a rule or variant at most, of the first dtype.
        other: cases of a rule at most, of each other dtype.
        telling: cases beside these at most, each of which refuses something that none before it does: of other settings, steps
            and shapes, and with zeros, NaN and infinities; half as many of a variant.
        elements: numbers in the largest array of a case at most.
        few: numbers in the largest array of a case of another dtype, and of those of an optimizer beside the first ones.
        wrong: named wrong values of a rule at most.
        bytes: what the arrays of a rule take at most, but for the first case of the rule and of each variant.
        every: True to keep every case, and not only those that refuse something that the ones before it do not.
    """

    name: str
    dtypes: tuple[str, ...]
    seeds: tuple[int, ...]
    most: int
    other: int
    telling: int
    elements: int
    few: int
    wrong: int
    bytes: int
    every: bool = False


#: the working dtypes that cases are made in
DTYPES = ("float32", "bfloat16", "float64", "float16")

LEVELS: Mapping[str, Level] = {
    "smoke": Level("smoke", DTYPES[:2], (0,), 3, 1, 2, 24, 12, 6, 1 << 17),
    "standard": Level("standard", DTYPES, (0, 1), 12, 12, 6, 128, 128, 40, 4 << 20, True),
    "exhaustive": Level("exhaustive", DTYPES, tuple(range(16)), 96, 96, 24, 512, 512, 400, 48 << 20, True),
}


def level_of(name: str) -> Level:
    """The level of a name.

    Args:
        name: a key of `LEVELS`.

    Raises:
        ArgumentError: there is none.
    """
    if name not in LEVELS:
        raise bad_argument("level", name, ", ".join(LEVELS))
    return LEVELS[name]
