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
        dtypes: the working dtypes of its cases.
        seeds: seeds of the numbers; the first is looked at first.
        most: cases of a rule or variant at most, of each dtype.
        elements: numbers in the largest array of a case at most.
        wrong: named wrong values of a rule at most.
        every: True to keep every case, and not only those that refuse something that the ones before it do not.
    """

    name: str
    dtypes: tuple[str, ...]
    seeds: tuple[int, ...]
    most: int
    elements: int
    wrong: int
    every: bool = False


LEVELS: Mapping[str, Level] = {
    "smoke": Level("smoke", ("float32",), (0,), 3, 24, 8),
    "standard": Level("standard", ("float32", "float64", "float16"), (0, 1), 12, 128, 40, True),
    "exhaustive": Level("exhaustive", ("float32", "float64", "float16"), tuple(range(16)), 96, 512, 400, True),
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
