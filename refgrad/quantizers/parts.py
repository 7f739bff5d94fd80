"""The gate that the parts of what was quantized pass before they are decoded, and the short way through it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from refgrad.arguments import FROM_ZERO, several
from refgrad.arithmetic.arrays import plain_array
from refgrad.arithmetic.dtypes import as_dtype, is_float, working
from refgrad.arithmetic.rounding import all_within
from refgrad.derived import derived
from refgrad.errors import ArgumentError, bad_argument
from refgrad.float_environment import HALF, LITTLE, ONE, SMALLEST_NORMAL

#: the float dtypes that most arrays have, and those among them to which nothing is too large
FLOATS = frozenset(as_dtype(name) for name in ("float64", "float32", "float16", "bfloat16"))
WIDE = frozenset((np.dtype(np.float64), np.dtype(np.float32)))
#: the dtypes that most parts have, which are just what decoding takes
INTEGERS = frozenset(map(np.dtype, "bBhHiIlLqQ"))
PLAIN = FLOATS | INTEGERS | {np.dtype(bool)}
#: up to how many places are looked at as Python's numbers, which takes less time
FEW_PLACES = 64


@dataclass(frozen=True, slots=True)
class Part:
    """What a part is, of what was made of an array of one shape and dtype; the gate refuses all else.

    Attributes:
        shape: its shape; None for an axis of any length. A part of one number may have any shape of one element.
        whole: True of integers, which are kept in an integer dtype; False of floats.
        low: the least that a number may be.
        high: the largest.
        nan: True where a number may be NaN.
        distinct: True of places in an array, where none may be there twice.
        widest: the dtype in which floats are kept, None where it is the working dtype of the array; it has wider ones exactly.
    """

    shape: tuple[int | None, ...]
    whole: bool = False
    low: float = -math.inf
    high: float = math.inf
    nan: bool = True
    distinct: bool = False
    widest: np.dtype | None = None

    def kept_in(self, dtype: np.dtype) -> np.dtype:
        """The dtype in which floats are kept of an array.

        Args:
            dtype: that of the array.
        """
        return self.widest or working(dtype)

    def whole_shape(self) -> tuple[int, ...] | None:
        """Its shape; None where an axis may have any length."""
        lengths = tuple(n for n in self.shape if n is not None)
        return lengths if len(lengths) == len(self.shape) else None

    def legal_numbers(self) -> str:
        """In words, which numbers are legal."""
        if self.whole:
            return f"whole numbers from {self.low} to {self.high}"
        legal = (
            "numbers" if self.low == -math.inf else "positive numbers" if self.low else "numbers that are not negative"
        )
        return f"{legal}, or NaN" if self.nan else legal


#: parts that are magnitudes, or quotients of such: no rule gives a negative one
MAGNITUDES = frozenset(("scale", "absmax", "absmax_of_absmax", "norm", "tensor_scale"))


def whole(shape: tuple[int | None, ...], low: float = -math.inf, high: float = math.inf) -> Part:
    """A part of integers.

    Args:
        shape: its shape.
        low: the least of them.
        high: the largest.

    >>> whole((4, 256), 0, 15).whole
    True
    """
    return Part(shape, whole=True, low=low, high=high)


def numbers(name: str, shape: tuple[int | None, ...]) -> Part:
    """A part of floats, which are not negative if their name says that they are magnitudes.

    Args:
        name: the part's name.
        shape: its shape.

    >>> numbers("absmax", (16,)).low, numbers("offset", ()).low
    (0.0, -inf)
    """
    return Part(shape, low=0.0 if name in MAGNITUDES else -math.inf)


#: what a part has to be to pass at a look: its name, its shape (None: any) and its dtypes
_Form = tuple[str, tuple[int, ...] | None, frozenset[np.dtype]]
#: what its numbers are looked at by: its name, and the least of a single one, the least of several, or a function that is asked
_Numbers = tuple[str, float | None, float, Callable[[np.ndarray], bool] | None]
#: what parts are looked at for, of arrays of one shape and dtype: their forms, and their numbers
_Expected = tuple[tuple[_Form, ...], tuple[_Numbers, ...]]
#: axes that an array of NumPy has at most
AXES = 64
#: how many shapes are kept in mind, for each rule
SHAPES = 64


@dataclass(frozen=True, slots=True)
class _Look:
    """What the parts of a rule are looked at for, and whether decoding is silent.

    ``expected`` is filled as arrays are met: their shape and dtype -> what each part has to be.
    """

    count: int
    legal_codes: tuple[int, int] | None
    silent: bool
    expected: dict[tuple[tuple[int, ...], np.dtype], _Expected]


@derived
def _look(rule: Any) -> _Look:
    return _Look(len(rule.parts), rule.legal_codes, rule.silent, {})


#: what `derived` keeps a look by, which is asked for itself: a call takes as long as a part
_MADE_BY: Any = _look.__wrapped__  # type: ignore[attr-defined]


def _expected(rule: Any, look: _Look, shape: tuple[int, ...], dtype: np.dtype) -> _Expected:
    """What each part has to be; found once for each shape and dtype."""
    known, forms, asked = rule.kept_parts(shape), [], []
    for name in rule.parts:
        part = known.get(name)
        if part is None:
            forms.append((name, None, PLAIN))
            continue
        forms.append((name, part.whole_shape(), _dtypes(part, dtype)))
        numbers_of = _numbers_of(name, part)
        if numbers_of is not None:
            asked.append(numbers_of)
    if len(look.expected) >= SHAPES:
        look.expected.clear()
    look.expected[shape, dtype] = made = tuple(forms), tuple(asked)
    return made


def _numbers_of(name: str, part: Part) -> _Numbers | None:
    """What the numbers of a part are looked at by; None where all are legal, as where there are none."""
    if part.distinct:
        return name, None, part.low, _rise
    if part.low == -math.inf:
        return None
    if part.whole:
        return name, None, part.low, functools.partial(all_within, low=int(part.low), high=int(part.high))
    shape = part.whole_shape()
    if shape is None or not math.prod(shape):
        return None
    return name, (part.low if math.prod(shape) == 1 else None), part.low, None


def _dtypes(part: Part, dtype: np.dtype) -> frozenset[np.dtype]:
    """The dtypes in which a part may be as it is."""
    if part.whole:
        return INTEGERS
    return frozenset(each for each in FLOATS if each.itemsize <= part.kept_in(dtype).itemsize)


def _rise(places: np.ndarray) -> bool:
    """True if places are distinct, not negative, and rise; decoding stumbles over one beyond the array, and all is looked at."""
    if places.size <= FEW_PLACES:
        last = -1
        for place in places.tolist():
            if place <= last:
                return False
            last = place
        return True
    # the place of the first false one: of bytes it is found in less time than by a function of NumPy
    return places.item(0) >= 0 and (places[1:] > places[:-1]).tobytes().find(0) < 0


def short_way(whole: Callable[..., np.ndarray], record: type) -> Callable[..., np.ndarray]:
    """`Quantizer.dequantize` for parts of which one look says that nothing is to be done; all others go the whole way.

    The look is short because the checks of a small array would otherwise take as long as its numbers. It accepts alone: what
    it does not know, and what decoding stumbles over, is looked at once more, by the checks that say what is wrong.

    Args:
        whole: the method with all of its checks.
        record: the class of what quantizers make.

    Returns:
        The method, as callers get it.
    """

    @functools.wraps(whole)
    def dequantize(self: Any, quantized: Any) -> np.ndarray:
        # in the standard environment, which is asked as in `refgrad.entry_points`
        if type(quantized) is record and ONE + LITTLE == ONE - LITTLE and SMALLEST_NORMAL * HALF != 0.0:
            try:
                found = _at_a_look(self, self._derived.get(_MADE_BY) or _look(self), quantized)
            except Exception:  # also what a dtype raises that has no hash
                found = None
            if found is not None:
                return found
        return whole(self, quantized)

    return dequantize


def _at_a_look(rule: Any, look: _Look, quantized: Any) -> np.ndarray | None:
    """The array, or None where more than a look is needed."""
    arrays, shape, dtype = quantized.arrays, quantized.shape, quantized.dtype
    if type(arrays) is not dict or len(arrays) != look.count or type(shape) is not tuple:
        return None
    for length in shape:  # 1.0 and True are found in a table where 1 is
        if type(length) is not int:
            return None
    expected = look.expected.get((shape, dtype))
    if expected is None:
        if dtype not in FLOATS or not _is_shape(shape):
            return None
        expected = _expected(rule, look, shape, dtype)
    forms, asked = expected
    for part, wanted, dtypes in forms:
        array = arrays[part]
        if type(array) is not np.ndarray or array.dtype not in dtypes or (array.shape != wanted and wanted is not None):
            return None
    for part, least, least_of_all, legal in asked:
        array = arrays[part]
        if least is not None:
            if not array.item() >= least:  # as NaN is not, which may be legal
                return None
        elif legal is not None:
            if not legal(array):
                return None
        elif not array.item(array.argmin()) >= least_of_all:  # the place of NaN, where there is one
            return None
    if look.legal_codes is not None and not all_within(arrays["codes"], *look.legal_codes):
        return None
    if look.silent and dtype in WIDE:
        return rule.decoded(arrays, shape, dtype)  # type: ignore[no-any-return]
    return _silently(rule, arrays, shape, dtype)


@np.errstate(all="ignore")
def _silently(rule: Any, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return rule.decoded(arrays, shape, dtype)  # type: ignore[no-any-return]


def kept_array(value: Any, name: str) -> np.ndarray:
    """A part of what was quantized as NumPy's own array, its bytes in the order of the machine.

    Args:
        value: the part.
        name: what errors call it.

    Returns:
        The same memory, or a copy where the bytes were in another order.

    Raises:
        ArgumentError: it is no array of integers, booleans or floats.
    """
    array = plain_array(value, name)
    if array.dtype.kind not in "iub" and not is_float(array.dtype):
        raise bad_argument(f"{name}.dtype", str(array.dtype), "integers, booleans or a float dtype")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def fitted(part: Part, name: str, array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A part as decoding takes it.

    Args:
        part: what it has to be.
        name: what errors call it.
        array: what was kept.
        dtype: the dtype of the array that was quantized.

    Returns:
        The same array, or the same numbers in the dtype in which the rule keeps them.

    Raises:
        ArgumentError: another kind of dtype, another shape, or numbers that the rule never gives.
    """
    if part.whole and array.dtype.kind not in "iu":
        raise bad_argument(f"{name}.dtype", str(array.dtype), "an integer dtype")
    if not part.whole and not is_float(array.dtype):
        raise bad_argument(f"{name}.dtype", str(array.dtype), "a float dtype")
    array = _in_shape(part.shape, name, array)
    if not part.whole and array.dtype.itemsize > part.kept_in(dtype).itemsize:
        array = _narrowed(name, array, part.kept_in(dtype))
    _check_numbers(part, name, array)
    return array


def _in_shape(shape: tuple[int | None, ...], name: str, array: np.ndarray) -> np.ndarray:
    """A part in its shape: as it is, or one number that has another number of axes."""
    if len(array.shape) == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True)):
        return array
    if array.size == 1 and None not in shape and math.prod(n or 0 for n in shape) == 1:
        return array.reshape(tuple(n or 0 for n in shape))
    legal = "one axis" if shape == (None,) else f"{shape}"
    raise ArgumentError(f"quantized[{name!r}] has shape {array.shape}; legal: {legal}")


def _narrowed(name: str, array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Floats in the dtype in which the rule keeps them, if that has them exactly."""
    with np.errstate(all="ignore"):
        found = array.astype(dtype)
    lost = (found != array) & (array == array)
    if lost.any():
        legal = f"{dtype}, or numbers that it has exactly"
        raise ArgumentError(f"{name} is {array.dtype} with {array[lost].flat[0].item()!r} in it; legal: {legal}")
    return found


def _check_numbers(part: Part, name: str, array: np.ndarray) -> None:
    """`ArgumentError` for a number that the rule never gives."""
    wrong = (array < part.low) | (array > part.high)
    if not part.nan:
        wrong |= array != array
    if wrong.any():
        raise bad_argument(f"quantized[{name!r}]", array[wrong].flat[0].item(), part.legal_numbers())
    if part.distinct and array.size > 1:
        ordered = np.sort(array, axis=None)
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if twice.size:
            raise bad_argument(f"quantized[{name!r}]", f"{twice[0]} twice", f"{part.legal_numbers()}, each once")


@cache
def is_kept(dtype: np.dtype) -> bool:
    """True of the dtypes that `kept_array` gives."""
    return dtype.isnative and (dtype.kind in "iub" or is_float(dtype))


def _is_shape(value: Any) -> bool:
    """True of a tuple of lengths, as arrays have it."""
    if type(value) is tuple and len(value) <= AXES:
        for length in value:
            if type(length) is not int or length < 0:
                break
        else:
            return True
    return False


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of the array that was quantized; `ArgumentError` if it is none."""
    if _is_shape(value):
        return value  # type: ignore[no-any-return]
    lengths = several("quantized.shape", value, "lengths", most=AXES)
    return tuple(FROM_ZERO.check("quantized.shape", length) for length in lengths)
