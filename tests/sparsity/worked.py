"""A worked example of every mask: the scores by the paper's formula in fifty digits, and the largest of them kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from refgrad import sparsity
from tests.sparsity import restated
from tests.sparsity.test_paper import SCORES
from tests.worked.example import Example

#: weights of distinct magnitudes, 4 x 8, as signs and whole numbers of 32nds
W = (
    np.asarray([[(7 * i + 11 * j + i * j) % 61 + j + 1 for j in range(8)] for i in range(4)])
    * np.where((np.arange(4)[:, None] + np.arange(8)) % 3 == 0, -1.0, 1.0)
    / 32
)
#: the other array of a score: positive numbers
OTHER = np.asarray([[(5 * i + 3 * j) % 13 + 1.0 for j in range(8)] for i in range(4)]) / 8


def scored(rule: Any, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept: the largest scores."""
    formula = next(f for r, f in SCORES if r == rule)
    taken = {n: a for n, a in arrays.items() if n in rule.takes() and n != "entries"}
    scores = np.asarray(formula(**taken)).astype(np.float64)
    return {"mask": restated.mask(rule, scores, arrays["w"].shape)}


def ours(rule: Any, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What refgrad keeps."""
    return {"mask": rule.mask(arrays["w"], **{n: a for n, a in arrays.items() if n != "w"})}


#: a mask that keeps every second entry
MASK = np.asarray([[float((i + j) % 2) for j in range(8)] for i in range(4)])
Places = set[tuple[int, ...]]


def ranked(values: np.ndarray, places: Places, count: int) -> Places:
    """So many places of the largest of some."""
    return set(sorted(places, key=lambda place: values[place])[len(places) - count :]) if count else set()


def as_mask(places: Places, shape: tuple[int, ...]) -> list[list[int]]:
    return [[int((i, j) in places) for j in range(shape[1])] for i in range(shape[0])]


def active(mask: np.ndarray) -> tuple[Places, Places]:
    """The places that a mask keeps, and the others."""
    every = set(np.ndindex(mask.shape))
    kept = {place for place in every if mask[place]}
    return kept, every - kept


def rigl(r: Any, t: int, w: Any, mask: Any, g: Any) -> Any:
    """The smallest weights go, as many of the largest gradients come, of all that are not kept then."""
    kept, _ = active(mask)
    count = int(mpmath.floor(mpf(str(r.alpha)) / 2 * (1 + mpmath.cos(mpmath.pi * t / r.end)) * len(kept)))
    left = ranked(abs(w), kept, len(kept) - count)
    return as_mask(left | ranked(abs(g), set(np.ndindex(mask.shape)) - left, count), mask.shape)


def set_(r: Any, t: int, w: Any, mask: Any, u: Any) -> Any:
    """Of positive and of negative weights a share nearest zero goes, as many come by the largest uniform numbers."""
    kept, others = active(mask)
    sides = [{p for p in kept if w[p] > 0}, {p for p in kept if w[p] < 0}]
    left = set.union(*(ranked(abs(w), side, len(side) - int(mpf(str(r.zeta)) * len(side))) for side in sides))
    return as_mask(left | ranked(u, others, len(kept) - len(left)), mask.shape)


def acdc(r: Any, t: int, w: Any, mask: Any) -> Any:
    """At the first epoch of a sparse phase: the largest weights."""
    kept = ranked(abs(w), set(np.ndindex(w.shape)), w.size - round(r.pattern.sparsity * w.size))
    return as_mask(kept, mask.shape)


def lottery(r: Any, t: int, w: Any, mask: Any, early: Any) -> Any:
    """Of what is kept a share of the smallest goes."""
    kept, _ = active(mask)
    return as_mask(ranked(abs(w), kept, len(kept) - round(r.rate * len(kept))), mask.shape)


#: updates: the rule, the step, the arrays besides w and mask, the formula
UPDATES: list[tuple[Any, int, tuple[str, ...], Callable[..., Any]]] = [
    (sparsity.RigL(), sparsity.RigL().every, ("g",), rigl),
    (sparsity.SET(), 0, ("u",), set_),
    (sparsity.ACDC(), sparsity.ACDC().warmup, (), acdc),
    (sparsity.LotteryTicket(), 0, ("early",), lottery),
]


def updated(rule: Any, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The next mask by the formula."""
    t, formula = next((t, f) for r, t, _, f in UPDATES if r == rule)
    return {"mask": formula(rule, t, *(arrays[n] for n in arrays))}


def ours_updated(rule: Any, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The next mask by refgrad."""
    t = next(t for r, t, _, _ in UPDATES if r == rule)
    return {"mask": rule.after({**arrays, "mask": arrays["mask"] > 0}, t)}


def examples() -> Iterator[Example]:
    """One of each mask, the first of its name in the table of formulas, and one of each update."""
    for update, _, others, function in UPDATES:
        yield Example(
            update, {"w": W, "mask": MASK, **dict.fromkeys(others, OTHER + W / 64)}, updated, ours_updated, (function,)
        )
    seen = set()
    for rule, formula in SCORES:
        if type(rule).__name__ not in seen:
            seen.add(type(rule).__name__)
            others = [n for n in rule.takes() if n not in ("w", "entries")]
            yield Example(
                rule,
                {"w": W, **{n: 4 * OTHER * np.sign(W) if n == "s" else OTHER for n in others}},
                scored,
                ours,
                (formula,),
            )


EXAMPLES = tuple(examples())
