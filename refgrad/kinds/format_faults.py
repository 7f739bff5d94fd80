"""Faults of formats that are followed to the bit: a level too few, halves the other way, a scale's code one off.

Each is what a departed program gives. A candidate of which one is told is judged with what is right and what the departed
program gives having changed places, so that a right candidate departs under it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from refgrad.quantizers.base import Quantizer
from refgrad.quantizers.gguf.blocks import BlockFormat, half
from refgrad.quantizers.gguf.simple import FromMinimum, SignedExtreme, Symmetric
from refgrad.quantizers.microscaling import MX

Rounding = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class FormatFault:
    """One fault.

    Attributes:
        name, sentence: of it.
        parts: what a program with it gives for an array.
    """

    name: str
    sentence: str
    parts: Callable[[np.ndarray], Mapping[str, np.ndarray]]

    def exchanged(self, rule: Quantizer, x: np.ndarray, seen: Mapping[str, Any]) -> dict[str, Any]:
        """What was seen of a case, what is right and what a program with the fault gives having changed places.

        Args:
            rule: the quantizer.
            x: what was quantized.
            seen: the parts in the rule's shapes.
        """
        right, wrong = rule.quantize(x).arrays, self.parts(x)
        return {
            name: _swapped(np.asarray(part), right[name], wrong[name]) if name in right else part
            for name, part in seen.items()
        }


def format_faults(rule: Quantizer) -> Iterator[FormatFault]:
    """The faults that a program for a format may have."""
    if isinstance(rule, BlockFormat):
        yield from _of_blocks(rule)
    elif isinstance(rule, MX):
        yield from _of_scale_codes(rule)


def _swapped(seen: np.ndarray, right: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    right, wrong = (np.reshape(each, seen.shape).astype(seen.dtype) for each in (right, wrong))
    return np.where(_same(seen, wrong), right, np.where(_same(seen, right), wrong, seen))


def _same(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one == other) | ((one != one) & (other != other))


# formats of blocks


def _of_blocks(rule: BlockFormat) -> Iterator[FormatFault]:
    for name, sentence, search in _searches(rule):

        def parts(x: np.ndarray, search: Callable[[np.ndarray], Any] = search) -> Mapping[str, np.ndarray]:
            with np.errstate(all="ignore"):
                return rule.encoded(x, search)

        yield FormatFault(name, sentence, parts)


_Search = tuple[str, str, Callable[[np.ndarray], dict[str, np.ndarray]]]


def _searches(rule: BlockFormat) -> Iterator[_Search]:
    if isinstance(rule, Symmetric):
        levels, zero = rule.levels, rule.zero
        for other in (levels - 1, levels + 1):
            if other:
                yield _divided(other, levels, partial(_symmetric, levels=other, zero=zero, rounding=_away))
        for name, sentence, rounding in ROUNDINGS:
            yield name, sentence, partial(_symmetric, levels=levels, zero=zero, rounding=rounding)
    elif isinstance(rule, SignedExtreme):
        levels = rule.levels
        most = 2 * levels - 1
        for other in (levels - 1, levels + 1):
            yield _divided(other, levels, partial(_signed, divisor=other, middle=levels, most=most, added=0.5))
        yield _cut(lambda x: _signed(x, levels, levels, most, 0.0))
        for limit in (most - 1, most + 1):
            yield _limited(limit, most, partial(_signed, divisor=levels, middle=levels, most=limit, added=0.5))
        yield (
            "what is added taken off",
            f"{levels}.5 is taken off codes, not added",
            lambda x: _signed(x, levels, -levels, most, -0.5),
        )
        yield (
            f"codes from {most} on",
            f"codes are at least {most}, not at most",
            lambda x: _signed(x, levels, levels, most, 0.5, np.maximum),
        )
    elif isinstance(rule, FromMinimum):
        most = len(rule.values) - 1
        for other in (most - 1, most + 1):
            yield _divided(other, most, partial(_ranged, divisor=other, most=most, added=0.5))
        yield _cut(lambda x: _ranged(x, most, most, 0.0))
        yield _limited(most - 1, most, lambda x: _ranged(x, most, most - 1, 0.5))


def _divided(other: int, levels: int, search: Callable[[np.ndarray], Any]) -> _Search:
    return f"levels={other}", f"the scale is of {other} levels, not {levels}", search


def _cut(search: Callable[[np.ndarray], Any]) -> _Search:
    return "codes cut", "codes are cut where they should be rounded", search


def _limited(limit: int, most: int, search: Callable[[np.ndarray], Any]) -> _Search:
    return f"codes up to {limit}", f"codes go up to {limit}, not {most}", search


def _away(y: np.ndarray) -> np.ndarray:
    whole = np.trunc(y)
    return np.where(np.abs(y - whole) < 0.5, whole, whole + np.sign(y))


def _towards_zero(y: np.ndarray) -> np.ndarray:
    whole = np.trunc(y)
    return np.where(np.abs(y - whole) <= 0.5, whole, whole + np.sign(y))


def _positive_alone(y: np.ndarray) -> np.ndarray:
    return np.where(y < 0, np.trunc(y), _away(y))


#: of codes around zero, with what is said of them
ROUNDINGS: tuple[tuple[str, str, Rounding], ...] = (
    ("halves to even", "halves of codes go to the even neighbour, not away from zero", np.rint),
    ("halves towards zero", "halves of codes go towards zero, not away from it", _towards_zero),
    ("halves up", "halves of codes go up, not away from zero", lambda y: np.floor(y + y.dtype.type(0.5))),
    ("codes cut", "codes are cut where they should be rounded", np.trunc),
    ("negative codes cut", "codes of negative numbers are cut where they should be rounded", _positive_alone),
)


def _inverse(d: np.ndarray) -> np.ndarray:
    return np.where(d != 0, np.float32(1) / d, np.float32(0))


def _codes(y: np.ndarray, dtype: Any = np.uint8) -> np.ndarray:
    return y.astype(np.int32).astype(dtype)


def _symmetric(x: np.ndarray, levels: int, zero: int, rounding: Rounding) -> dict[str, np.ndarray]:
    d = np.max(np.abs(x), axis=1, keepdims=True) / np.float32(levels)
    return {
        "scale": half(d).ravel(),
        "codes": _codes(rounding(x * _inverse(d)) + np.float32(zero), np.int8).view(np.uint8),
    }


def _signed(
    x: np.ndarray, divisor: int, middle: int, most: int, added: float, bound: Callable[..., np.ndarray] = np.minimum
) -> dict[str, np.ndarray]:
    top = np.take_along_axis(x, np.argmax(np.abs(x), axis=1)[:, None], axis=1)
    d = top / np.float32(-divisor)
    codes = bound(most, (x * _inverse(d) + np.float32(middle + added)).astype(np.int32).astype(np.int8))
    return {"scale": half(d).ravel(), "codes": codes.astype(np.uint8)}


def _ranged(x: np.ndarray, divisor: int, most: int, added: float) -> dict[str, np.ndarray]:
    low = np.min(x, axis=1, keepdims=True)
    d = (np.max(x, axis=1, keepdims=True) - low) / np.float32(divisor)
    codes = np.minimum(most, _codes((x - low) * _inverse(d) + np.float32(added), np.int8))
    return {"scale": half(d).ravel(), "minimum": half(low).ravel(), "codes": codes.astype(np.uint8)}


# scales that are powers of two, stored as their exponents

NAN_CODE = 255


def _of_scale_codes(rule: MX) -> Iterator[FormatFault]:
    for by, word in ((-1, "less"), (1, "more")):

        def shifted(codes: np.ndarray, by: int = by) -> np.ndarray:
            return np.where(codes == NAN_CODE, codes, codes + np.asarray(by).astype(codes.dtype))

        yield _scaled(
            rule, f"scales' codes one {word}", f"the codes of scales are one {word} than they should be", shifted
        )
    yield _scaled(
        rule,
        "the largest scale for NaN",
        "a block with NaN has the code of the largest scale, not that of NaN",
        lambda codes: np.where(codes == NAN_CODE, NAN_CODE - 1, codes).astype(codes.dtype),
    )


def _scaled(rule: MX, name: str, sentence: str, change: Callable[[np.ndarray], np.ndarray]) -> FormatFault:
    def parts(x: np.ndarray) -> Mapping[str, np.ndarray]:
        arrays = rule.quantize(x).arrays
        return {**arrays, "scale": change(np.asarray(arrays["scale"]))}

    return FormatFault(name, sentence, parts)
