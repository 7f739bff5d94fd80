"""Faults of values: what is not finite, zeros, exact decisions, and ranges whose ends are each other's negative."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from refgrad.strength.situations.fault import Arrays, At, Fault, Results, only

#: gradients beyond it are not finite in a narrow format's square
LARGE = 2.0**20


def faults(primary: str, outputs: tuple[str, ...], stepped: bool) -> Iterator[Fault]:
    """Every fault of values.

    Args:
        primary: the array that NaN, infinities and zeros are looked for in: the gradient of an optimizer.
        outputs: the names of the results.
        stepped: whether the rule has steps.
    """
    yield Fault("value", "NaN", "NaN is turned into 0", given=_mapped(primary, _no_nan))
    yield Fault(
        "value", "infinity", "an infinity is turned into the largest number", given=_mapped(primary, _no_infinity)
    )
    clip: Callable[[np.ndarray], np.ndarray] = lambda a: np.clip(a, -a.dtype.type(LARGE), a.dtype.type(LARGE))  # noqa: E731
    yield Fault("value", "large", f"{primary} is clipped to {LARGE:g}", given=_mapped(primary, clip))
    for name in ("p", "g") if stepped else (primary,):
        for kind, change in {"twice": _doubled, "not a number": _nan, "left": _left}.items():
            zero = only(frozenset({outputs[0]} if stepped else ()), _where_zero(name, change))
            yield Fault("value", f"zeros, {kind}", f"where all of {name} is zero the result is {kind}", result=zero)
    if not stepped:
        yield Fault(
            "value", "zero row", "where a row is zero the result is not a number or its end", result=_rows(primary)
        )
        yield Fault("value", "wrapped", "where max = -min the largest result is the smallest", result=_wrapped(primary))


def decisions(right: Callable[[Arrays], Results], primary: str) -> Iterator[Fault]:
    """Exact decisions that fall to the other side.

    Args:
        right: the rule's own results of arrays.
        primary: the array whose next numbers above and below are tried.
    """
    for side, end in {"above": np.inf, "below": -np.inf}.items():
        yield Fault(
            "value", "tie", f"an exact decision falls as the next number {side} does", result=_tied(right, primary, end)
        )


def _mapped(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Arrays], Arrays]:
    return lambda given: {n: change(a) if n == name and a.dtype.kind == "f" else a for n, a in given.items()}


def _no_nan(array: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(array), array.dtype.type(0), array)


def _no_infinity(array: np.ndarray) -> np.ndarray:
    return np.where(np.isinf(array), np.copysign(np.finfo(array.dtype).max, array), array)


def _doubled(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    return ~new if new.dtype == bool else (old + 2 * (new - old)).astype(new.dtype) if new.dtype.kind == "f" else new


def _nan(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    return np.full_like(new, np.nan) if new.dtype.kind == "f" else new


def _left(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    return old


def _where_zero(name: str, change: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    def where(new: np.ndarray, old: np.ndarray, at: At) -> np.ndarray:
        array = at.given[name]
        return change(new, old) if array.size and not array.any() else new

    return where


def _rows(primary: str) -> Callable[[Results, Arrays, At], Results]:
    """Where a row is zero: NaN for numbers, the other truth for a mask."""

    def change(new: Results, old: Arrays, at: At) -> Results:
        x = at.given[primary]
        zero = np.asarray(~x.any(axis=-1) if x.ndim > 1 and x.size else False)
        if not zero.any():
            return new
        return {n: _filled(a, zero) if a.shape == x.shape else a for n, a in new.items()}

    return change


def _filled(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    kept = array.copy()
    kept[rows] = (
        ~kept[rows] if array.dtype == bool else np.nan if array.dtype.kind == "f" else np.iinfo(array.dtype).max
    )
    return kept


def _wrapped(primary: str) -> Callable[[Results, Arrays, At], Results]:
    def change(new: Results, old: Arrays, at: At) -> Results:
        x = at.given[primary]
        if not x.ndim or not x.size or not x.any():
            return new
        high, low = x.max(axis=-1, keepdims=True), x.min(axis=-1, keepdims=True)
        where = (x == high) & (high == -low)
        found = {}
        for n, a in new.items():
            same = a.shape == x.shape and a.dtype != bool
            found[n] = np.where(where, a.min(axis=-1, keepdims=True), a) if same else a
        return found

    return change


def _tied(right: Callable[[Arrays], Results], primary: str, end: float) -> Callable[[Results, Arrays, At], Results]:
    """Results at a jump are those of the neighbour on one side.

    A jump is a difference between both neighbours that is far larger than those beyond them: between what they give and
    what the next ones give. Elsewhere a difference is a slope, or a rounding.
    """

    def change(new: Results, old: Arrays, at: At) -> Results:
        x = at.given[primary]
        if not x.size or x.dtype.kind != "f":
            return new
        with np.errstate(all="ignore"):
            sides = [right({**at.given, primary: each}) for each in _neighbours(x)]
        return {n: _decided(a, [side.get(n, a) for side in sides], end) for n, a in new.items()}

    return change


def _neighbours(x: np.ndarray) -> list[np.ndarray]:
    """The next numbers above and below, and those beyond them."""
    found = []
    for e in (np.inf, -np.inf):
        first = np.nextafter(x, x.dtype.type(e))
        found += [first, np.nextafter(first, x.dtype.type(e))]
    return found


def _decided(new: np.ndarray, sides: list[np.ndarray], end: float) -> np.ndarray:
    if any(side.shape != new.shape for side in sides) or new.dtype == bool or not new.ndim:
        return new
    up, up2, down, down2 = (side.astype(np.float64) for side in sides)
    least = float(np.finfo(new.dtype).tiny) if new.dtype.kind == "f" else 0.0
    with np.errstate(all="ignore"):
        size = np.maximum(np.maximum(np.abs(up), np.abs(down)), least)
        jump = np.abs(up - down)
        jumps = (jump > 2.0**-8 * size) & (8 * np.abs(up2 - up) < jump) & (8 * np.abs(down2 - down) < jump)
    return np.where(jumps, sides[0] if end > 0 else sides[2], new).astype(new.dtype)
