"""Departures of quantizers that no graph shows: what becomes of numbers before they are quantized, and of codes after.

A candidate of which one is told is judged with it undone: on the numbers as it would have made them first, or with its codes
put back where they belong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from refgrad.arithmetic.minifloats import Minifloat
from refgrad.kinds import empty_groups
from refgrad.kinds.decoder_faults import DecoderFault, decoder_faults
from refgrad.kinds.format_faults import format_faults
from refgrad.quantizers.base import Quantizer
from refgrad.quantizers.cast import Cast
from refgrad.quantizers.gguf.blocks import BlockFormat
from refgrad.quantizers.rows import RowQuantizer

#: the keyword of `refgrad.kinds.record.Wanted.how`
READING = "reading"
CODES = "codes"


@dataclass(frozen=True)
class Reading:
    """One departure.

    Attributes:
        name, sentence: of it.
        applies: True of a rule that a candidate may depart from so.
        before: the numbers as they are when they are quantized.
        undone: from groups of a candidate's codes, one a row, to those of the rule.
        along: True if rows are those of the array itself and not the groups that share a scale.
        mended: from all parts of an array to those of the rule where the departure shows.
        decoder: what codes are taken for.
    """

    name: str
    sentence: str
    applies: Callable[[Quantizer], bool]
    before: Callable[[Quantizer, np.ndarray], np.ndarray] | None = None
    undone: Callable[[np.ndarray], np.ndarray] | None = None
    along: bool = False
    mended: Callable[[Quantizer, np.ndarray, Mapping[str, Any]], Mapping[str, Any]] | None = None
    decoder: DecoderFault | None = None


def read(rule: Quantizer, arrays: Mapping[str, Any], seen: Mapping[str, Any], name: str | Reading) -> tuple[Any, Any]:
    """A case and what was seen of it with a departure undone.

    Args:
        rule: the quantizer.
        arrays: the case, ``x`` among them.
        seen: the parts in the rule's shapes.
        name: of the departure; or the departure itself, of one whose numbers a run tells.
    """
    reading = READINGS[name] if isinstance(name, str) else name
    if reading.before is not None:
        with np.errstate(all="ignore"):
            arrays = {**arrays, "x": reading.before(rule, arrays["x"])}
    if reading.undone is not None and CODES in seen:
        seen = {**seen, CODES: _regrouped(rule, arrays["x"].shape, seen[CODES], reading)}
    if reading.mended is not None:
        seen = reading.mended(rule, arrays["x"], seen)
    return arrays, _decoded(arrays, seen, reading)


def read_decoded(arrays: Mapping[str, Any], seen: Mapping[str, Any], name: str | Reading) -> Mapping[str, Any]:
    """What a decoder alone gave, with a departure undone that is one of decoders.

    Args:
        arrays: the parts that it was given.
        seen: its array, ``y``.
        name: of the departure, or the departure itself.
    """
    return _decoded(arrays, seen, READINGS[name] if isinstance(name, str) else name)


def _decoded(arrays: Mapping[str, Any], seen: Mapping[str, Any], reading: Reading) -> Mapping[str, Any]:
    codes = seen.get(CODES, arrays.get(CODES))
    if reading.decoder is None or codes is None or "y" not in seen:
        return seen
    return {**seen, "y": reading.decoder.undone(np.asarray(codes), seen["y"])}


def readings(rule: Quantizer) -> Iterator[Reading]:
    """The departures that a candidate may have from a rule."""
    yield from (reading for reading in READINGS.values() if reading.applies(rule))
    yield from (Reading(f.name, f.sentence, lambda rule: True, decoder=f) for f in decoder_faults(rule))
    yield from (Reading(f.name, f.sentence, lambda rule: True, mended=f.exchanged) for f in format_faults(rule))


def _regrouped(rule: Quantizer, shape: tuple[int, ...], codes: np.ndarray, reading: Reading) -> np.ndarray:
    """Codes put back within their groups, of a group that is cut short among those that it has."""
    undone = reading.undone
    assert undone is not None
    if reading.along or not isinstance(rule, RowQuantizer):
        return undone(codes) if codes.ndim else codes
    layout = rule.layout(shape)
    rows, tail = layout.cut(codes), layout.length % layout.width
    found = undone(rows)
    if tail:
        last = slice(layout.per_lead - 1, None, layout.per_lead)
        found[last, :tail] = undone(rows[last, :tail])
    return layout.joined(found)


# what becomes of numbers before


def _through(dtype: Any) -> Callable[[Quantizer, np.ndarray], np.ndarray]:
    return lambda rule, x: np.asarray(x).astype(dtype).astype(x.dtype)


def _without_subnormals(rule: Quantizer, x: np.ndarray) -> np.ndarray:
    assert isinstance(rule, Cast)
    rounded = np.asarray(rule.dequantize(rule.quantize(x)), np.float64)
    return np.where(np.abs(rounded) < smallest_normal(rule.record), np.copysign(x.dtype.type(0), x), x)


def _without_top_exponent(rule: Quantizer, x: np.ndarray) -> np.ndarray:
    """Numbers beyond what is left without the format's highest exponent, as the largest of that."""
    assert isinstance(rule, Cast)
    largest = x.dtype.type(largest_below_top(rule.record))
    return np.clip(x, -largest, largest)


def smallest_normal(record: Minifloat) -> float:
    """The smallest normal number of a format."""
    return float(2.0**record.least_exponent)


def largest_below_top(record: Minifloat) -> float:
    """The largest number of a format without its highest exponent, which is kept for infinity and NaN."""
    exponent = 2**record.exponent_bits - 2 - record.bias
    return float(2.0**exponent * (2.0 - 2.0**-record.mantissa_bits))


def _may_come_by(format_: str) -> Callable[[Quantizer], bool]:
    """True of a cast to another format, to which numbers may come by way of one of 16 bits."""
    return lambda rule: isinstance(rule, Cast) and rule.record.name != format_


def told(rule: Quantizer, cases: Iterable[tuple[np.ndarray, Mapping[str, Any]]]) -> Iterator[Reading]:
    """Departures whose numbers a run tells: of casts that what is small becomes zero, and what is large one number; of others
    what groups of zeros have.

    Args:
        rule: the quantizer.
        cases: what was quantized, and the parts that were seen.
    """
    if not isinstance(rule, Cast):
        yield from _of_empty_groups(rule, list(cases))
        return
    with np.errstate(all="ignore"):
        rows = [_values_of(rule, x, seen) for x, seen in cases if CODES in seen and np.size(x)]
    if rows:
        size, given, right = (np.concatenate(column) for column in zip(*rows, strict=True))
        yield from _flushed(size, given, right)
        yield from _limited(size, given, right)


def _of_empty_groups(rule: Quantizer, cases: Sequence[tuple[np.ndarray, Mapping[str, Any]]]) -> Iterator[Reading]:
    """What stands in the parts of groups of zeros."""
    found = dict(empty_groups.told(rule, cases))
    if found:
        said = (f"another {n}" if value is None else f"{n} {value:g}" for n, value in found.items())
        name = f"a group of zeros has {' and '.join(said)}"

        def mended(rule: Quantizer, x: np.ndarray, seen: Mapping[str, Any]) -> Mapping[str, Any]:
            return empty_groups.exchanged(rule, x, seen, found)

        yield Reading(name, name, lambda rule: True, mended=mended)


def _values_of(rule: Cast, x: np.ndarray, seen: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
    """Magnitudes that are no NaN, what they became with the sign that they had, and what is right."""
    both = (seen[CODES], rule.quantize(x)[CODES])
    given, right = (np.asarray(rule.decode({CODES: codes}, np.shape(x)), np.float64).ravel() for codes in both)
    x = np.asarray(x, np.float64).ravel()
    known = ~np.isnan(x) & ~np.isnan(given)
    return np.abs(x)[known], (given * np.where(np.signbit(x), -1.0, 1.0))[known], np.abs(right)[known]


def _flushed(size: np.ndarray, given: np.ndarray, right: np.ndarray) -> Iterator[Reading]:
    """What is below a number becomes zero, of its sign or without one."""
    flushed, kept = size[(given == 0) & (right != 0)], size[given != 0]
    if flushed.size and kept.size and flushed.max() < kept.min():
        least = _between(flushed.max(), kept.min())
        for sign, zero in ((" of its sign", np.copysign), ("", lambda zero, x: zero)):
            name = f"x below {least:g} becomes zero{sign}"

            def before(rule: Quantizer, x: np.ndarray, least: float = least, zero: Any = zero) -> np.ndarray:
                return np.where(np.abs(x) < least, zero(x.dtype.type(0), x), x)

            yield Reading(name, f"what is below {least:g} in magnitude becomes zero{sign}", lambda rule: True, before)


def _limited(size: np.ndarray, given: np.ndarray, right: np.ndarray) -> Iterator[Reading]:
    """What is at least one number becomes another of its sign; what is infinite too, or all but that.

    What is smaller may be wrong in another way besides, as where ties go away from zero.
    """
    finite = np.flatnonzero(np.isfinite(size))
    order = finite[np.argsort(size[finite], kind="stable")]
    if not order.size:
        return
    largest = float(given[order[-1]])
    other = np.flatnonzero(given[order] != largest)
    rest, held = (order[: other[-1] + 1], order[other[-1] + 1 :]) if other.size else (order[:0], order)
    if not 0 < largest < np.inf or not rest.size or not (given[held] != right[held]).any():
        return
    below, first = float(size[rest[-1]]), float(size[held[0]])
    if below == first:  # the sign says what becomes of it
        return
    least = largest if below < largest <= first else _between(below, first)
    for what, most in (("", np.inf), (" and finite", np.finfo(np.float64).max)):

        def before(rule: Quantizer, x: np.ndarray, least: float = least, most: float = most) -> np.ndarray:
            held = (np.abs(x) >= least) & (np.abs(x) <= most)
            return np.where(held, np.copysign(x.dtype.type(largest), x), x)

        sentence = f"what is {least:g} or more in magnitude{what} becomes {largest:g}"
        yield Reading(f"x from {least:g} on{what} becomes {largest:g}", sentence, lambda rule: True, before)


def _between(low: float, high: float) -> float:
    """A number above one and not above another: a power of two, if there is one, else the one of the fewest digits."""
    power = float(2.0 ** np.floor(np.log2(high)))
    if power > low:
        return power
    middle = (low + high) / 2
    shorter = (float(f"{middle:.{digits}g}") for digits in range(1, 17))
    return next((value for value in shorter if low < value <= high), float(high))


def _has_subnormals(rule: Quantizer) -> bool:
    return isinstance(rule, Cast) and rule.record.zero and rule.record.mantissa_bits > 0


def _lends_top_exponent(rule: Quantizer) -> bool:
    """True where no other format says the same: one that keeps its highest exponent, and saturates, is a format of its own."""
    return isinstance(rule, Cast) and rule.record.specials == "nan_at_end" and rule.overflow == "overflow"


# what becomes of codes after


def _grouped(rule: Quantizer) -> bool:
    return isinstance(rule, RowQuantizer | BlockFormat) and CODES in rule.parts


def _neighbours(codes: np.ndarray) -> np.ndarray:
    """Each code and the next one, exchanged; of an odd number the last stays."""
    found, even = codes.copy(), codes.shape[-1] // 2 * 2
    found[..., 0:even:2], found[..., 1:even:2] = codes[..., 1:even:2], codes[..., 0:even:2]
    return found


def _from_interleaved(codes: np.ndarray) -> np.ndarray:
    """Codes i and i + n/2 stood side by side, as in bytes whose high halves hold the second half of a block."""
    return np.concatenate([codes[..., 0::2], codes[..., 1::2]], axis=-1)


def _to_interleaved(codes: np.ndarray) -> np.ndarray:
    half = -(-codes.shape[-1] // 2)
    found = np.empty_like(codes)
    found[..., 0::2], found[..., 1::2] = codes[..., :half], codes[..., half:]
    return found


READINGS: Mapping[str, Reading] = {
    each.name: each
    for each in (
        Reading(
            "x through float16",
            "x is rounded to float16 first, so twice in all",
            _may_come_by("float16"),
            _through(np.float16),
        ),
        Reading(
            "x through bfloat16",
            "x is rounded to bfloat16 first, so twice in all",
            _may_come_by("bfloat16"),
            _through(ml_dtypes.bfloat16),
        ),
        Reading(
            "subnormal results are zero",
            "what is rounded to a subnormal number of the format becomes zero of its sign",
            _has_subnormals,
            _without_subnormals,
        ),
        Reading(
            "the top exponent is left out",
            "what is beyond the largest number without the format's highest exponent becomes that number",
            _lends_top_exponent,
            _without_top_exponent,
        ),
        Reading(
            "codes reversed in a group",
            "the codes of a group stand in the other order",
            _grouped,
            undone=lambda codes: codes[..., ::-1].copy(),
        ),
        Reading(
            "codes reversed along the last axis",
            "the codes along the last axis stand in the other order",
            lambda rule: _grouped(rule) and isinstance(rule, RowQuantizer),  # of others that is a group
            undone=lambda codes: codes[..., ::-1].copy(),
            along=True,
        ),
        Reading(
            "codes in the high halves of bytes",
            "the codes of four bits stand in the high halves of bytes whose low halves are empty",
            lambda rule: _grouped(rule) and not isinstance(rule, RowQuantizer),
            undone=lambda codes: np.where(codes & 15, 255, codes >> 4).astype(codes.dtype),
        ),
        Reading(
            "neighbouring codes exchanged",
            "each code of a group and the next change places, as the halves of a byte do",
            _grouped,
            undone=_neighbours,
        ),
        Reading(
            "halves of a group interleaved",
            "codes i and i + n/2 of a group of n stand side by side",
            _grouped,
            undone=_from_interleaved,
        ),
        Reading(
            "a group's codes in two halves",
            "the even codes of a group stand in its first half, the odd ones in its second",
            _grouped,
            undone=_to_interleaved,
        ),
    )
}
