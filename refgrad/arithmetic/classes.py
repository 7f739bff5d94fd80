"""Of which classes a number may be in programs: NaN, an infinity of either sign, negative, zero, positive.

Where infinities and NaN are about, bounds say little, and what can be said without them is simple: infinity plus a number is
infinite in every order, and NaN stays NaN. A set of classes is a bit mask, and an operation takes masks to the mask of all
that any program may give. It errs on the side of more: every product may overflow or underflow, and every comparison that
two programs may make in two ways goes both. So what a mask leaves out is certain, above all that no program gives a number.

Some zeros are chosen: by a comparison, by a sign, or because a hyperparameter is zero. What is multiplied by one, a program may
leave out instead, and then an infinity or NaN is gone. A zero that comes of a division by infinity is not of that kind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, reduce

import numpy as np

Mask = np.ndarray

DOWN, NEGATIVE, ZERO, POSITIVE, UP, NAN, CHOSEN = (np.uint8(1 << i) for i in range(7))
"""Minus infinity, a negative number, zero, a positive one, plus infinity, NaN, and zero that a program may have chosen."""
ALL_CLASSES = np.uint8(127)
NUMBERS = np.uint8(NEGATIVE | ZERO | POSITIVE | CHOSEN)
INFINITIES = np.uint8(DOWN | UP)
#: those of a truth value, of which a program may give one or both
FALSE, TRUE = np.uint8(1), np.uint8(2)
EITHER = np.uint8(FALSE | TRUE)

#: the order of classes, for which of two is the larger
_RANK = {int(DOWN): -2, int(NEGATIVE): -1, int(ZERO): 0, int(CHOSEN): 0, int(POSITIVE): 1, int(UP): 2}
_EACH = tuple(int(c) for c in (DOWN, NEGATIVE, ZERO, POSITIVE, UP, NAN, CHOSEN))


def of(values: np.ndarray) -> Mask:
    """The class of each of some numbers that are known; a zero among them may be one that programs look for.

    Args:
        values: floats.

    >>> bool(of(np.float32([np.inf]))[0] == UP)
    True
    """
    values = np.asarray(values, np.float64)
    found = np.where(values < 0, NEGATIVE, np.where(values > 0, POSITIVE, CHOSEN))
    found = np.where(np.isinf(values), np.where(values < 0, DOWN, UP), found)
    return np.asarray(np.where(np.isnan(values), NAN, found), np.uint8)


def between(low: np.ndarray, high: np.ndarray, nan: np.ndarray) -> Mask:
    """The classes of what lies between ends.

    Args:
        low, high: the ends; an end that is NaN says nothing.
        nan: where it may be NaN besides.
    """
    low, high = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
    found = np.zeros(np.broadcast_shapes(low.shape, high.shape, np.shape(nan)), np.uint8)
    for mark, where in (
        (DOWN, low == -np.inf),
        (NEGATIVE, (low < 0) & (high > -np.inf)),
        (CHOSEN, (low <= 0) & (high >= 0)),
        (POSITIVE, (high > 0) & (low < np.inf)),
        (UP, high == np.inf),
        (NAN, nan),
    ):
        found |= np.where(where, mark, np.uint8(0))
    return found


def no_number(mask: Mask) -> np.ndarray:
    """Where no program gives a number.

    Args:
        mask: classes.
    """
    return (mask & NUMBERS) == 0


def _product(a: int, b: int) -> int:
    if int(CHOSEN) in (a, b):
        other = b if a == CHOSEN else a
        return int(CHOSEN | NAN) if other & (INFINITIES | NAN) else int(CHOSEN)
    if int(NAN) in (a, b) or (int(ZERO) in (a, b) and (a | b) & INFINITIES):
        return int(NAN)
    if int(ZERO) in (a, b):
        return int(ZERO)
    up = _RANK[a] * _RANK[b] > 0
    if (a | b) & INFINITIES:
        return int(UP if up else DOWN)
    return int(ZERO | (POSITIVE | UP if up else NEGATIVE | DOWN))


def _quotient(a: int, b: int) -> int:
    if a == CHOSEN:
        return int(CHOSEN | NAN) if b & (NAN | ZERO | CHOSEN) else int(CHOSEN)
    if int(NAN) in (a, b) or (a & INFINITIES and b & INFINITIES):
        return int(NAN)
    if b & (ZERO | CHOSEN):
        return int(NAN) if a == ZERO else int(INFINITIES)
    return int(ZERO) if b & INFINITIES else _product(a, b)


def _sum(a: int, b: int) -> int:
    for one, other in ((a, b), (b, a)):
        if one & (CHOSEN | ZERO):
            return int(ZERO) if other == CHOSEN and one == ZERO else other
    if int(NAN) in (a, b):
        return int(NAN)
    if (a | b) & INFINITIES:
        return int(NAN) if a | b == INFINITIES else int((a | b) & INFINITIES)
    if a == b:
        return int(POSITIVE | UP) if a == POSITIVE else int(NEGATIVE | DOWN)
    return int(NEGATIVE | ZERO | POSITIVE)


def _larger(a: int, b: int) -> int:
    """Of NaN and another number either: programs ignore NaN or do not."""
    return a | b if int(NAN) in (a, b) or _RANK[a] == _RANK[b] else max(a, b, key=lambda c: _RANK[c])


def _negated(a: int) -> int:
    return {int(DOWN): int(UP), int(UP): int(DOWN), int(NEGATIVE): int(POSITIVE), int(POSITIVE): int(NEGATIVE)}.get(
        a, a
    )


def _less(a: int, b: int) -> int:
    """Of two of one class, and where NaN is about, either: a program may look at their difference or quotient instead."""
    if int(NAN) in (a, b) or (_RANK[a] == _RANK[b] and _RANK[a] != 0):
        return int(EITHER)
    return int(TRUE if _RANK[a] < _RANK[b] else FALSE)


def _equal(a: int, b: int) -> int:
    if int(NAN) in (a, b) or (_RANK[a] == _RANK[b] and _RANK[a] != 0):
        return int(EITHER)
    return int(TRUE if _RANK[a] == _RANK[b] else FALSE)


def _not(truth: int) -> int:
    return (truth >> 1) | ((truth & 1) << 1)


_ANY = int(NEGATIVE | ZERO | POSITIVE)
_SIZE: dict[int, int] = {c: (int(UP) if c & INFINITIES else int(POSITIVE) if c == NEGATIVE else c) for c in _EACH}
_BINARY: dict[str, Callable[[int, int], int]] = {
    "add": _sum,
    "sub": lambda a, b: _sum(a, _negated(b)),
    "mul": _product,
    "div": _quotient,
    "maximum": _larger,
    "minimum": lambda a, b: _negated_all(_larger(_negated(a), _negated(b))),
    "lt": _less,
    "gt": lambda a, b: _less(b, a),
    "ge": lambda a, b: _not(_less(a, b)),
    "le": lambda a, b: _not(_less(b, a)),
    "eq": _equal,
    "ne": lambda a, b: _not(_equal(a, b)),
    "hypot": lambda a, b: int(UP | NAN) if (a | b) & INFINITIES else _sum(_SIZE[a], _SIZE[b]),
}
_UNARY: dict[str, dict[int, int]] = {
    "neg": {c: _negated(c) for c in _EACH},
    "abs": _SIZE,
    "square": {c: int(ZERO | POSITIVE | UP) if c & (NEGATIVE | POSITIVE) else _SIZE[c] for c in _EACH},
    "sqrt": {c: int(NAN) if c & (DOWN | NEGATIVE) else c for c in _EACH},
    "sign": {
        c: int(NAN | NEGATIVE | CHOSEN | POSITIVE) if c == NAN
        else int(NEGATIVE) if c & (DOWN | NEGATIVE) else int(POSITIVE) if c & (UP | POSITIVE) else int(CHOSEN)
        for c in _EACH
    },
    "exp": {
        int(DOWN): int(ZERO), int(NEGATIVE): int(ZERO | POSITIVE), int(ZERO): int(POSITIVE), int(CHOSEN): int(POSITIVE),
        int(POSITIVE): int(POSITIVE | UP), int(UP): int(UP), int(NAN): int(NAN),
    },
    "tanh": {c: c if c == NAN else int(NEGATIVE) if c & (DOWN | NEGATIVE) else int(POSITIVE) if c & (UP | POSITIVE) else c
             for c in _EACH},
    "arctan": {c: c if c == NAN else int(NEGATIVE) if c & (DOWN | NEGATIVE) else int(POSITIVE) if c & (UP | POSITIVE) else c
               for c in _EACH},
    "sinh": {c: int(DOWN | NEGATIVE) if c == NEGATIVE else int(UP | POSITIVE) if c == POSITIVE else c for c in _EACH},
    "cosh": {c: c if c == NAN else int(UP) if c & INFINITIES else int(UP | POSITIVE) for c in _EACH},
    "erf": {c: c if c == NAN else int(NEGATIVE) if c & (DOWN | NEGATIVE) else int(POSITIVE) if c & (UP | POSITIVE) else c
            for c in _EACH},
    "log": {c: int(NAN) if c & (DOWN | NEGATIVE | NAN) else int(UP) if c == UP else int(DOWN) if c & (ZERO | CHOSEN)
            else _ANY for c in _EACH},
    "log1p": {c: int(NAN) if c & (DOWN | NAN) else c if c & (UP | ZERO | CHOSEN | POSITIVE)
              else int(NEGATIVE | DOWN | NAN) for c in _EACH},
}  # fmt: skip


def _negated_all(mask: int) -> int:
    return reduce(int.__or__, (_negated(c) for c in _EACH if mask & c), 0)


@cache
def _table(op: str) -> np.ndarray:
    """What an operation may give, by the masks of its operands."""
    count = int(ALL_CLASSES) + 1
    if op in _UNARY:
        one = np.zeros(count, np.uint8)
        for c in _EACH:
            one[(np.arange(count) & c) != 0] |= np.uint8(_UNARY[op][c])
        return one
    table = np.zeros((count, count), np.uint8)
    has = {c: (np.arange(count) & c) != 0 for c in _EACH}
    for a in _EACH:
        for b in _EACH:
            table[np.ix_(has[a], has[b])] |= np.uint8(_BINARY[op](a, b))
    return table


def apply(op: str, args: Sequence[Mask]) -> Mask:
    """What an operation on elements may give; of one of which nothing is known, anything.

    Args:
        op: its name, one of `refgrad.arithmetic.operations`.
        args: masks that broadcast against each other.
    """
    if op in _UNARY or op in _BINARY:
        return np.asarray(_table(op)[tuple(args)])
    if op == "where":
        return chosen(*args)
    if op == "not":
        return np.asarray((args[0] >> 1) | ((args[0] & FALSE) << 1), np.uint8)
    if op in ("and", "or"):
        return _both(op, *args)
    shape = np.broadcast_shapes(*(a.shape for a in args))
    return np.full(shape, ALL_CLASSES)


def chosen(condition: Mask, a: Mask, b: Mask) -> Mask:
    """One of two values, or either.

    Args:
        condition: masks of truth values.
        a, b: the value where it is true, and where it is false.
    """
    none = np.uint8(0)
    return np.asarray(np.where(condition & TRUE, a, none) | np.where(condition & FALSE, b, none))


def _both(op: str, a: Mask, b: Mask) -> Mask:
    first, second = (FALSE, TRUE) if op == "and" else (TRUE, FALSE)
    found = np.where((a | b) & first, first, np.uint8(0))
    return np.asarray(found | np.where((a & second) & (b & second), second, np.uint8(0)), np.uint8)


def folded(op: str, mask: Mask, axes: tuple[int, ...]) -> Mask:
    """A sum, or the largest, of many, in any order.

    Args:
        op: "add" or "maximum".
        mask: of the terms.
        axes: along which they are folded, and which are kept with length one.
    """
    kept = tuple(1 if i in axes else n for i, n in enumerate(mask.shape))
    rest = [i for i in range(mask.ndim) if i not in axes]
    flat = mask.transpose(*axes, *rest).reshape(-1, *(mask.shape[i] for i in rest))
    if not len(flat):
        return np.full(kept, CHOSEN if op == "add" else DOWN)
    while len(flat) > 1:
        half = len(flat) // 2
        flat = np.concatenate([apply(op, [flat[:half], flat[half : 2 * half]]), flat[2 * half :]])
    found = flat[0].reshape(kept)
    # a sum that is zero is none that a program chose, so that nothing that it multiplies is left out
    return np.where(found & CHOSEN, found & ~CHOSEN | ZERO, found) if op == "add" else found


def product(a: Mask, b: Mask) -> Mask:
    """A product of matrices, or with a vector.

    Args:
        a, b: masks of the factors, of one or two axes.
    """
    wide = apply("mul", [a[..., :, None] if b.ndim > 1 else a, b])
    axis = -2 if b.ndim > 1 else -1
    return np.squeeze(folded("add", wide, (axis % wide.ndim,)), axis)
