"""Laws of rules without state: what must hold of results, or between results on inputs and on others derived from them.

A law makes claims about what a candidate returns. A claim of equality is exact, as the changes of inputs are; where bits
differ, it holds within rounding if what the law expects is itself in the acceptance set. A claim about one run holds within
rounding if the run conforms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

Arrays = Mapping[str, np.ndarray]


class Call(Protocol):
    """A candidate: from a case's arrays to its results by name, told other hyperparameters if need be."""

    def __call__(self, arrays: Arrays, **hyperparameters: Any) -> dict[str, np.ndarray]:
        """Hand it copies."""


@dataclass(frozen=True)
class Claim:
    """What was seen on some arrays: results that should be others (``want``), or what is wrong with them (``message``)."""

    arrays: Arrays
    got: Mapping[str, np.ndarray]
    want: Mapping[str, np.ndarray] = field(default_factory=dict)
    message: str = ""

    def broken(self) -> str:
        """What differs; empty if nothing does."""
        return self.message or difference(self.want, self.got)


@dataclass(frozen=True)
class CaseLaw:
    """One law of rules of a kind.

    Attributes:
        name: how reports and a rule's `exempt_laws` call it.
        sentence: what it says.
        claims: from a candidate, a rule and the arrays of a case to claims.
        applies: whether it says anything of a rule.
        universal: whether it is asked of rules that do not say what they obey.
        moderate: whether inputs are kept from the edges of the format, where a power of two is not exact.
    """

    name: str
    sentence: str
    claims: Callable[[Call, Any, Arrays], Iterator[Claim]]
    applies: Callable[[Any], bool] = lambda rule: True
    moderate: bool = False
    universal: bool = False


def difference(want: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray]) -> str:
    """The first element that is not what it should be; zeros of either sign, and NaN, are alike."""
    for name, expected in want.items():
        if name not in got:
            continue
        actual, wanted = np.asarray(got[name], np.float64), np.asarray(expected, np.float64)
        if actual.shape != wanted.shape:
            return f"{name} has shape {actual.shape}, expected {wanted.shape}"
        same = (actual == wanted) | (np.isnan(actual) & np.isnan(wanted))
        if not same.all():
            at = tuple(int(i) for i in np.argwhere(~same)[0])
            where = f"[{', '.join(map(str, at))}]" if at else ""
            return f"{name}{where} is {float(actual[at])!r}, expected {float(wanted[at])!r}"
    return ""


def first(wrong: np.ndarray) -> tuple[int, ...]:
    """The index of the first element that is marked."""
    return tuple(int(i) for i in np.argwhere(wrong)[0])


def _repeatable(call: Call, rule: Any, arrays: Arrays) -> Iterator[Claim]:
    yield Claim(arrays, call(arrays), call(arrays))


#: holds of every rule of every kind
REPEATABLE = CaseLaw("repeatable", "the same arrays give the same results", _repeatable, universal=True)
