"""Masks that keep something of those which were made before: one multiplied into the last, one of weights pruned already.

A program that is stepped again and again holds its last mask. What it makes of new weights is then right only where nothing
comes back that was pruned once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from refgrad.sparsity.base import Mask

Arrays = Mapping[str, np.ndarray]

#: the keyword of `refgrad.kinds.record.Wanted.how`
FORMER = "former mask"


def _product(rule: Mask, arrays: Arrays, former: np.ndarray) -> np.ndarray:
    return own(rule, arrays) & former


def _of_pruned(rule: Mask, arrays: Arrays, former: np.ndarray) -> np.ndarray:
    return own(rule, {**arrays, "w": arrays["w"] * former.astype(arrays["w"].dtype)})


def _fewer(plain: np.ndarray, mask: np.ndarray) -> bool:
    return not (mask & ~plain).any()


def _as_many(plain: np.ndarray, mask: np.ndarray) -> bool:
    return bool(mask.sum() == plain.sum())


class Way(NamedTuple):
    """How masks keep something of the last: in words, what one is then, and whether it may be one after an unknown mask."""

    sentence: str
    made: Callable[[Mask, Arrays, np.ndarray], np.ndarray]
    may_be: Callable[[np.ndarray, np.ndarray], bool]


#: by name
WAYS: Mapping[str, Way] = {
    "mask times the mask before": Way("a mask is multiplied by the one that was made before it", _product, _fewer),
    "mask of pruned weights": Way(
        "a mask is made of weights that the mask before it has pruned already", _of_pruned, _as_many
    ),
}


@dataclass(frozen=True, eq=False)
class FormerMasks:
    """One way in which the masks of a run keep something of the last.

    Attributes:
        way: its name, of `WAYS`.
        known: by the bytes of what a mask was made of the last mask of its shape before it.
    """

    way: str
    known: Mapping[bytes, np.ndarray]

    def undone(self, rule: Mask, arrays: Arrays, mask: np.ndarray) -> np.ndarray:
        """The rule's mask where one is as this way has it; and where it is not, another one.

        Args:
            rule: the rule.
            arrays: what the mask was made of.
            mask: what was seen. Where no mask is known before it, any could have been.
        """
        way, plain, former = WAYS[self.way], own(rule, arrays), self.known.get(_key(arrays))
        if former is None:
            return plain if way.may_be(plain, mask) else mask
        with np.errstate(all="ignore"):
            return np.asarray(plain ^ mask ^ way.made(rule, arrays, former))


def own(rule: Mask, arrays: Arrays) -> np.ndarray:
    """The mask of the rule itself."""
    others = {n: a for n, a in arrays.items() if n != "w"}
    return np.asarray(rule.mask(arrays["w"], **others))


def before(cases: Iterable[tuple[Arrays, Mapping[str, Any] | None]]) -> dict[bytes, np.ndarray]:
    """By the bytes of what a mask was made of the last mask of its shape, of those that have one.

    Args:
        cases: what masks were made of, in order, and what was seen of them; None where that is nothing.
    """
    known: dict[bytes, np.ndarray] = {}
    last: dict[tuple[int, ...], np.ndarray] = {}
    for arrays, seen in cases:
        shape = arrays["w"].shape
        if shape in last:
            known[_key(arrays)] = last[shape]
        if seen is not None:
            last[shape] = seen["mask"]
    return known


def _key(arrays: Arrays) -> bytes:
    return b"".join(np.ascontiguousarray(arrays[n]).tobytes() for n in sorted(arrays))
