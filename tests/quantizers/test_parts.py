"""The gate of parts: every quantizer refuses each kind of bad part, and the short way gives what the whole way gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.quantizers import Quantized, Quantizer
from refgrad.quantizers.parts import is_kept, kept_array, shape_of
from tests.quantizers import bad_inputs

#: of any values, right or wrong
replace: Callable[..., Quantized] = dataclasses.replace
NAMES = sorted(bad_inputs.known())
DTYPES = tuple(np.dtype(d) for d in (np.float64, np.float32, np.float16, ml_dtypes.bfloat16))


@cache
def quantized(name: str) -> tuple[Quantizer, Quantized]:
    """A rule with what it makes of ordinary numbers."""
    rule = bad_inputs.known()[name]
    return rule, rule.quantize(bad_inputs.ordinary())


def with_each(kept: Quantized, change: Callable[[np.ndarray], Any]) -> list[Quantized]:
    """The same, one part at a time being another one."""
    return [replace(kept, arrays={**kept.arrays, name: change(part)}) for name, part in kept.arrays.items()]


#: what is no float dtype
NO_DTYPES: tuple[Any, ...] = (np.dtype(np.int8), np.dtype(complex), None, [], "floats")
#: parts that may have any number of elements
ANY_LENGTH = ("codebook",)
#: what is bad -> what was quantized with it, one for each part where parts are bad
BAD: Mapping[str, Callable[[Quantized], list[Any]]] = {
    "missing": lambda kept: [
        replace(kept, arrays={n: a for n, a in kept.arrays.items() if n != left}) for left in kept.arrays
    ],
    "none": lambda kept: with_each(kept, lambda part: None),
    "masked": lambda kept: with_each(kept, np.ma.masked_array),
    "list": lambda kept: with_each(kept, lambda part: part.tolist()),
    "number": lambda kept: with_each(kept, lambda part: 1),
    "object": lambda kept: with_each(kept, lambda part: part.astype(object)),
    "complex": lambda kept: with_each(kept, lambda part: part.astype(np.complex64)),
    "text": lambda kept: with_each(kept, lambda part: part.astype(str)),
    "one more": lambda kept: [
        replace(kept, arrays={**kept.arrays, name: np.resize(part, part.size + 1)})
        for name, part in kept.arrays.items()
        if name not in ANY_LENGTH
    ],
    "no mapping": lambda kept: [replace(kept, arrays=list(kept.arrays.values()))],
    "nothing": lambda kept: [None, 1, kept.arrays],
    "shape": lambda kept: [replace(kept, shape=s) for s in ((-1, 1024), (4.0, 256), (True, 1024), "4", None, (3, 256))],
    "dtype": lambda kept: [replace(kept, dtype=d) for d in NO_DTYPES],
}


@pytest.mark.sample(quick=60)
@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("name", NAMES)
def test_bad_parts_are_refused_by_one_error_that_says_what_is_legal(name: str, what: str) -> None:
    rule, kept = quantized(name)
    for bad in BAD[what](kept):
        with pytest.raises(ArgumentError, match="legal"):
            rule.dequantize(bad)


def strided(part: np.ndarray) -> np.ndarray:
    """The same numbers, not next to each other, and read-only."""
    found = np.repeat(part[..., None], 2, axis=-1)[..., 0]
    found.flags.writeable = False
    return found


#: what is odd, and taken
ODD: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "other bytes": lambda part: part.astype(part.dtype.newbyteorder("S")),
    "strided": strided,
    "subclass": lambda part: part.view(type("Own", (np.ndarray,), {})),
}


@pytest.mark.sample(quick=20)
@pytest.mark.parametrize("how", ODD)
@pytest.mark.parametrize("name", NAMES)
def test_odd_parts_give_the_same_bits(name: str, how: str) -> None:
    rule, kept = quantized(name)
    wanted = rule.dequantize(kept).tobytes()
    for odd in with_each(kept, ODD[how]):
        assert rule.dequantize(odd).tobytes() == wanted


def sizes() -> list[np.ndarray]:
    """Arrays of ordinary, large, little and special numbers."""
    x = bad_inputs.ordinary()
    return [x, x * np.float32(1e37), x * np.float32(1e-42), bad_inputs.with_one(np.nan), bad_inputs.with_one(np.inf)]


@pytest.mark.parametrize("name", NAMES)
def test_the_short_way_gives_what_the_whole_way_gives_and_nobody_is_warned(name: str) -> None:
    rule = bad_inputs.known()[name]
    for x in sizes():
        try:
            kept = rule.quantize(x)
        except ArgumentError:  # of rules that take finite numbers alone
            continue
        for dtype in DTYPES:
            short = replace(kept, dtype=dtype)
            whole = replace(short, arrays=MappingProxyType(dict(kept.arrays)))  # which is looked at by all checks
            with np.errstate(all="raise"):
                y, wanted = rule.dequantize(short), rule.dequantize(whole)
            assert y.dtype == wanted.dtype == dtype
            assert y.shape == x.shape
            assert y.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_silent_rule_computes_the_same_where_numpy_raises(name: str) -> None:
    rule, kept = quantized(name)
    if rule.silent:
        for dtype in DTYPES[:2]:
            with np.errstate(all="raise"):
                rule.decoded(dict(kept.arrays), kept.shape, dtype)


def test_another_part_goes_the_whole_way_and_is_looked_at() -> None:
    rule, kept = quantized("NF4")
    more = replace(kept, arrays={**kept.arrays, "more": np.zeros(3)})
    assert rule.dequantize(more).tobytes() == rule.dequantize(kept).tobytes()
    with pytest.raises(ArgumentError, match="more is a list"):
        rule.dequantize(replace(kept, arrays={**kept.arrays, "more": []}))


def test_a_subclass_that_writes_dequantize_anew_is_asked() -> None:
    class Own(type(quantized("NF4")[0])):  # type: ignore[misc]
        def dequantize(self, quantized: Quantized) -> np.ndarray:
            return np.zeros(quantized.shape, quantized.dtype)

    assert not Own().dequantize(quantized("NF4")[1]).any()


def test_parts_are_numpys_own_arrays_in_the_bytes_of_the_machine() -> None:
    assert is_kept(np.dtype(np.int8))
    assert not is_kept(np.dtype(np.int16).newbyteorder("S"))
    assert kept_array(np.asarray([1], np.dtype(np.int16).newbyteorder("S")), "codes").dtype == np.int16
    with pytest.raises(ArgumentError, match="codes\\.dtype is 'complex64'"):
        kept_array(np.zeros(1, np.complex64), "codes")


def test_a_shape_is_read() -> None:
    assert shape_of((3, 2)) == shape_of([np.int64(3), 2]) == (3, 2)
    with pytest.raises(ArgumentError, match="quantized\\.shape"):
        shape_of((3, -2))
