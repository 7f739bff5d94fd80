"""Arrays and numbers as programs are handed them, and answer with them: hex floats, or base64 of bytes (docs/judge.md)."""

from __future__ import annotations

import base64
import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from refgrad import hex_floats
from refgrad.arithmetic.dtypes import as_dtype, is_float
from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import RefgradError
from refgrad.layout import printable

ENCODINGS = ("hex", "base64")
#: what arrays of an answer may be of besides float formats
WHOLE = ("bool", *(f"{sign}int{bits}" for bits in (8, 16, 32, 64) for sign in ("", "u")))
#: what a number of an answer may be
NUMBER = f"a number of JSON, or a text: {hex_floats.LEGAL}"
#: what an array of an answer is
ARRAY = "an object with shape, and data or base64"


def encoded(array: np.ndarray, encoding: str) -> dict[str, Any]:
    """An array as it is written: hex floats, or base64 of its little-endian bytes.

    Args:
        array: of any dtype.
        encoding: one of `ENCODINGS`.

    >>> encoded(np.float32([1.5, -2.0]), "hex")
    {'shape': [2], 'data': ['0x1.8000000000000p+0', '-0x1.0000000000000p+1']}
    """
    shape = list(array.shape)
    if encoding == "base64":
        little = np.ascontiguousarray(
            array, array.dtype.newbyteorder("<") if array.dtype.kind in "fiu" else array.dtype
        )
        return {"shape": shape, "dtype": str(array.dtype), "base64": base64.b64encode(little.tobytes()).decode()}
    return {"shape": shape, "data": [text(v) for v in array.astype(np.float64).ravel().tolist()]}


def text(value: Any) -> str:
    """A number as a hex float; a choice as it is."""
    return value if isinstance(value, str) else float(value).hex()


def decoded(value: Any, dtype: np.dtype, name: str) -> np.ndarray:
    """The array that was written so.

    Args:
        value: as `encoded` gives it.
        dtype: of the array.
        name: how errors call it.

    Raises:
        CandidateFault: it is no array.
    """
    try:
        if not isinstance(value, dict):
            raise ValueError(f"it is {ascii(value)[:40]}; legal: {ARRAY}")
        parts = [part for part in ("data", "base64") if part in value]
        if "shape" not in value or len(parts) != 1:
            raise ValueError(f"it has {', '.join(sorted(map(ascii, value)))[:80] or 'nothing'}; legal: {ARRAY}")
        shape = _shape(value["shape"])
        if parts == ["base64"]:
            return _of_bytes(value["base64"], shape, dtype)
        data = value["data"]
        if not isinstance(data, list) or len(data) != math.prod(shape):
            has = f"{len(data)} numbers" if isinstance(data, list) else ascii(data)[:40]
            raise ValueError(f"its data is {has}; legal of shape {list(shape)}: a list of {math.prod(shape)} numbers")
        numbers = [_number(each, dtype) for each in data]
        return (_rounded if is_float(dtype) else _whole)(numbers, dtype).reshape(shape)
    except ValueError as error:
        raise CandidateFault("structure", printable(f"{name} is no array: {str(error)[:400]}")) from None


def _of_bytes(text: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """The array whose little-endian bytes base64 has."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        legal = "base64 of RFC 4648, padded, without line ends"
        raise ValueError(f"its base64 is {ascii(text)[:40]}; legal: {legal}") from None
    size = math.prod(shape) * dtype.itemsize
    if len(raw) != size:
        raise ValueError(f"its base64 has {len(raw)} bytes; legal of shape {list(shape)} as {dtype}: {size}")
    if dtype.kind == "b" and not set(raw) <= {0, 1}:
        raise ValueError("its base64 has other bytes than 0 and 1; legal: a bool is 0 or 1")
    return np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype).reshape(shape)


def dtype_of(value: Any, otherwise: str) -> np.dtype:
    """The dtype that an array of an answer says, or else that of the question.

    Raises:
        CandidateFault: it is none.
    """
    named = value.get("dtype", otherwise) if isinstance(value, dict) else otherwise
    try:
        return np.dtype(named) if named in WHOLE else as_dtype(named)
    except RefgradError as error:
        raise CandidateFault("structure", printable(str(error))) from None


def _number(value: Any, dtype: np.dtype) -> float:
    """A number of an answer; true and false are numbers where they are asked for alone."""
    if isinstance(value, str):
        try:
            return hex_floats.read(value)
        except OverflowError:
            raise ValueError(f"it has {value[:40]!r}, which is larger than any number of float64; legal: inf") from None
    if isinstance(value, int) and is_float(dtype) and abs(value) > sys.float_info.max:
        raise ValueError(
            f"it has a whole number of {len(str(abs(value)))} digits, larger than any of float64; legal: inf"
        )
    if isinstance(value, int | float) and (dtype.kind == "b" or not isinstance(value, bool)):
        return value
    raise ValueError(f"it has {ascii(value)[:40]}; legal: {NUMBER}")


def _shape(value: Any) -> tuple[int, ...]:
    """The lengths of an array's axes."""
    if not isinstance(value, list) or not all(type(n) is int and n >= 0 for n in value):
        raise ValueError(f"its shape is {ascii(value)[:80]}; legal: a list of whole numbers from 0 on")
    return tuple(value)


def _rounded(numbers: Sequence[float], dtype: np.dtype) -> np.ndarray:
    """The nearest numbers of a float dtype."""
    with np.errstate(over="ignore"):
        return np.asarray([float(v) for v in numbers], np.float64).astype(dtype)


def _whole(numbers: Sequence[float], dtype: np.dtype) -> np.ndarray:
    """Numbers of an integer dtype or of booleans, if it has each of them."""
    low, high = (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    for number in numbers:
        if not low <= number <= high or number != int(number):
            has = f"{number:g}" if isinstance(number, float) else ascii(number)[:40]
            raise ValueError(f"it has {has}; legal as {dtype}: whole numbers from {low} to {high}")
    return np.asarray([int(number) for number in numbers], dtype)


def same_number(told: Any, number: int) -> bool:
    """True if what a program says is a whole number; true and false are none.

    Args:
        told: what it says.
        number: what it ought to say.
    """
    return not isinstance(told, bool) and isinstance(told, int | float) and told == number
