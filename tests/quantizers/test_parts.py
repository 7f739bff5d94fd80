"""The gate of parts: every quantizer refuses each kind of bad part, and the short way gives what the whole way gives."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.quantizers import NF4, Quantized, Quantizer, TopK
from refgrad.quantizers.parts import MAGNITUDES, SHAPES, Part, fitted, is_kept, kept_array, shape_of
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


def but_one(part: np.ndarray, value: float) -> np.ndarray:
    """The same numbers but the first one."""
    found = part.copy()
    found.reshape(-1)[:1] = value
    return found


def of(
    kept: Quantized, which: Callable[[str, np.ndarray], bool], change: Callable[[np.ndarray], Any]
) -> list[Quantized]:
    """The same, with one of some parts being another one."""
    return [replace(kept, arrays={**kept.arrays, n: change(a)}) for n, a in kept.arrays.items() if which(n, a)]


def is_places(name: str, part: np.ndarray) -> bool:
    return name == "indices"


def is_whole(name: str, part: np.ndarray) -> bool:
    return part.dtype.kind in "iu"


def is_magnitude(name: str, part: np.ndarray) -> bool:
    """True of those that are never negative; a scale of GGUF may be any binary16 number."""
    return name in MAGNITUDES and part.dtype.kind == "f" and part.dtype != np.float16


def one_part(kept: Quantized, name: str, part: np.ndarray) -> Quantized:
    return replace(kept, arrays={**kept.arrays, name: part})


#: what is refused, or stands for the same numbers as when it was written properly: one number in another shape, vectors flattened
OTHER: Mapping[str, Callable[[Quantized], list[Quantized]]] = {
    "transposed": lambda kept: of(kept, lambda n, a: a.T.shape != a.shape, lambda a: a.T),
    "flattened": lambda kept: of(kept, lambda n, a: a.ndim != 1, np.ravel),
    "0-d": lambda kept: of(kept, lambda n, a: a.ndim > 0, lambda a: a.reshape(-1)[0].reshape(())),
    "one element": lambda kept: of(kept, lambda n, a: a.size > 1, lambda a: a.reshape(-1)[:1]),
    "one more axis": lambda kept: with_each(kept, lambda a: a[None]),
    "one axis less": lambda kept: of(kept, lambda n, a: a.ndim > 1, lambda a: a[0]),
    "no elements": lambda kept: with_each(kept, lambda a: a.reshape(-1)[:0]),
    "reversed axes": lambda kept: of(
        kept, lambda n, a: a.shape[::-1] != a.shape, lambda a: np.ascontiguousarray(a).reshape(a.shape[::-1])
    ),
    "exact float64": lambda kept: of(kept, lambda n, a: a.dtype.kind == "f", lambda a: a.astype(np.float64)),
    "wide integers": lambda kept: of(kept, is_whole, lambda a: a.astype(np.int64)),
}
#: what is always refused, where the rule has such a part
REFUSED: Mapping[str, Callable[[Quantized], list[Quantized]]] = {
    "booleans": lambda kept: with_each(kept, lambda a: a.astype(bool)),
    "not whole": lambda kept: of(kept, is_whole, lambda a: a + 0.5),
    "whole numbers as floats": lambda kept: of(kept, is_whole, lambda a: a.astype(np.float64)),
    "floats as integers": lambda kept: of(kept, lambda n, a: a.dtype.kind == "f", lambda a: a.astype(np.int32)),
    "negative magnitude": lambda kept: of(kept, is_magnitude, lambda a: but_one(a, -1.0)),
    "minus infinity": lambda kept: of(kept, is_magnitude, lambda a: but_one(a, -np.inf)),
    "NaN": lambda kept: of(kept, lambda n, a: n == "channel_scale", lambda a: but_one(a, np.nan)),
    "zero to divide by": lambda kept: of(kept, lambda n, a: n == "channel_scale", lambda a: but_one(a, 0.0)),
    "negative places": lambda kept: of(kept, is_places, lambda a: a - kept.shape[0] * kept.shape[1]),
    "one place twice": lambda kept: of(kept, is_places, lambda a: but_one(a, a[-1])),
    "places beyond": lambda kept: of(kept, is_places, lambda a: a + 10**6),
    "other factors": lambda kept: of(kept, lambda n, a: n in "pq", lambda a: np.ones((len(a), 3), a.dtype)),
    "more": lambda kept: [one_part(kept, name, np.zeros(3)) for name in ("more", "scales_", "zero_points")],
    "float64": lambda kept: of(
        kept, lambda n, a: a.dtype in (np.float32, np.float16), lambda a: a * (1 + np.float64(2.0**-40))
    ),
}
#: rules that keep float64, or may, whatever the array is
WIDE = ("GPTQ", "AWQ")


@pytest.mark.sample(quick=60)
@pytest.mark.parametrize("what", OTHER)
@pytest.mark.parametrize("name", NAMES)
def test_parts_of_another_form_are_refused_or_stand_for_the_same_numbers(name: str, what: str) -> None:
    rule, kept = quantized(name)
    wanted = rule.dequantize(kept).tobytes()
    for other in OTHER[what](kept):
        try:
            y = rule.dequantize(other)
        except ArgumentError as error:
            bad_inputs.refused(error)
        else:
            assert y.tobytes() == wanted


@pytest.mark.sample(quick=60)
@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("name", NAMES)
def test_parts_that_the_rule_never_gives_are_refused(name: str, what: str) -> None:
    rule, kept = quantized(name)
    for bad in REFUSED[what](kept):
        if what == "float64" and name in WIDE:
            continue
        with pytest.raises(ArgumentError, match="legal"):
            rule.dequantize(bad)


@pytest.mark.parametrize("name", NAMES)
def test_every_part_is_declared_and_is_what_is_kept_of_any_array(name: str) -> None:
    rule = bad_inputs.known()[name]
    shapes = ((4, 256), (2, 512), (8, 64), (3, 7), (1013,), (2, 4, 32), (), (0, 256), (4, 0))
    for shape in shapes:
        try:
            kept = rule.quantize(np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape))
        except ArgumentError:
            continue
        declared = rule.kept_parts(shape)
        assert set(declared) == set(rule.parts) == set(kept.arrays)
        for part, array in kept.arrays.items():
            assert fitted(declared[part], part, array, kept.dtype) is array
        rule.dequantize(kept)


@pytest.mark.parametrize(
    ("name", "part", "change", "message"),
    [
        (
            "TopK",
            "indices",
            lambda a: but_one(a, -1),
            r"quantized\['indices'\] is -1; legal: whole numbers from 0 to 1023",
        ),
        ("TopK", "indices", lambda a: but_one(a, a[1]), "twice'; legal: whole numbers from 0 to 1023, each once"),
        ("TopK", "values", lambda a: a[:1], r"quantized\['values'\] has shape \(1,\); legal: \(10,\)"),
        ("PowerSGD", "p", lambda a: a[:, :1], r"quantized\['p'\] has shape \(4, 1\); legal: \(4, 2\)"),
        ("Q3_K", "scales", np.ravel, r"quantized\['scales'\] has shape \(64,\); legal: \(4, 16\)"),
        ("Q2_K", "scales", lambda a: but_one(a, 16), r"quantized\['scales'\] is 16; legal: whole numbers from 0 to 15"),
        ("NF4", "absmax", lambda a: but_one(a, -1), r"is -1.0; legal: numbers that are not negative, or NaN"),
        ("NF4", "absmax", lambda a: a.astype(np.float64) + 1e-12, "legal: float32, or numbers that it has exactly"),
        ("Affine", "zero_point", lambda a: a + 0.5, "zero_point.dtype is 'float64'; legal: an integer dtype"),
        ("AWQ", "channel_scale", lambda a: but_one(a, 0), "is 0.0; legal: positive numbers"),
        ("KMeans", "codes", lambda a: a.T, r"quantized\['codes'\] has shape \(256, 4\); legal: \(4, 256\)"),
    ],
)
def test_the_error_names_the_part_what_it_is_and_what_is_legal(
    name: str, part: str, change: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    rule, kept = quantized(name)
    with pytest.raises(ArgumentError, match=message):
        rule.dequantize(one_part(kept, part, change(kept[part])))


@pytest.mark.parametrize("name", ["TopK", "RandomK"])
def test_places_in_any_order_are_taken(name: str) -> None:
    rule, kept = quantized(name)
    turned = replace(kept, arrays={part: array[::-1] for part, array in kept.arrays.items()})
    assert rule.dequantize(turned).tobytes() == rule.dequantize(kept).tobytes()


@pytest.mark.parametrize("size", [100, 60_000])
def test_many_places_are_looked_at_as_few_are(size: int) -> None:
    rule = TopK(ratio=0.5)
    kept = rule.quantize(np.linspace(-1, 1, size, dtype=np.float32))
    for wrong in (but_one(kept["indices"], -1), but_one(kept["indices"], kept["indices"][1]), kept["indices"] + size):
        with pytest.raises(ArgumentError, match="legal: whole numbers from 0"):
            rule.dequantize(one_part(kept, "indices", wrong))


def test_what_is_known_of_shapes_stays_small() -> None:
    rule = NF4()
    for size in range(1, 2 * SHAPES):
        rule.round_trip(np.ones(size, np.float32))
    with pytest.raises(ArgumentError):
        rule.dequantize(Quantized(rule.quantize(np.ones(3, np.float32)).arrays, (3.0,), np.dtype(np.float32)))  # type: ignore[arg-type]


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


def test_a_part_that_the_rule_has_not_is_refused_with_the_nearest_that_it_has() -> None:
    rule, kept = quantized("NF4")
    with pytest.raises(
        ArgumentError, match=r"quantized has 'abs_max'; did you mean 'absmax'\?; legal: no other parts than"
    ):
        rule.dequantize(replace(kept, arrays={**kept.arrays, "abs_max": kept["absmax"]}))


def test_parts_that_a_subclass_does_not_declare_are_refused_where_decoding_stumbles_over_them() -> None:
    class Own(type(quantized("PowerSGD")[0])):  # type: ignore[misc]
        def kept_parts(self, shape: tuple[int, ...]) -> Mapping[str, Part]:
            return {}

    _, kept = quantized("PowerSGD")
    assert Own().dequantize(kept).tobytes() == quantized("PowerSGD")[0].dequantize(kept).tobytes()
    with pytest.raises(ArgumentError, match=r"quantized has the parts p float32\[1, 1\], .*legal: the parts that"):
        Own().dequantize(one_part(kept, "p", np.ones((1, 1), np.float32)))


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


@pytest.mark.parametrize("shape", [(2, 3.0), (2, True), (-2, 3)], ids=str)
def test_lengths_that_are_no_whole_numbers_are_refused(shape: tuple[Any, ...]) -> None:
    rule, kept = quantized("NF4")
    with pytest.raises(ArgumentError, match=r"quantized\.shape"):
        rule.dequantize(Quantized(kept.arrays, shape, kept.dtype))


def test_a_dtype_that_nothing_computes_in_is_refused() -> None:
    rule, kept = quantized("NF4")
    with pytest.raises(ArgumentError, match=r"quantized\.dtype"):
        rule.dequantize(Quantized(kept.arrays, kept.shape, np.dtype(np.int8)))


@pytest.mark.parametrize("name", NAMES)
def test_a_shape_that_the_rule_takes_none_of_is_named(name: str) -> None:
    """By the shape of what was quantized, also where the rule knows it as that of an array that it quantizes."""
    rule, kept = quantized(name)
    for shape in ((), (3,), (3, 5)):
        try:
            rule.dequantize(Quantized(kept.arrays, shape, kept.dtype))
        except ArgumentError as error:
            assert "quantized" in str(error)  # noqa: PT017 - some rules take any shape


def test_a_shape_may_be_a_list() -> None:
    rule = NF4()
    kept = rule.quantize(np.float32([0.5]))
    for shape in ([1], [1, 1], []):
        assert rule.dequantize(Quantized(kept.arrays, shape, kept.dtype)).shape == tuple(shape)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [-1.0, math.nan])
def test_a_single_number_below_what_is_legal_is_looked_at_closely(number: float) -> None:
    """A negative scale is refused by its name; of NaN, which no comparison tells apart, everything is NaN."""
    rule, kept = quantized("Affine")
    other = one_part(kept, "scale", np.full_like(kept["scale"], number))
    if math.isnan(number):
        assert np.isnan(rule.dequantize(other)).all()
    else:
        with pytest.raises(ArgumentError, match="scale"):
            rule.dequantize(other)


def test_a_dtype_that_has_no_hash_is_refused_by_name() -> None:
    def fails(self: Any) -> int:
        raise RuntimeError("asked in vain")

    kept = NF4().quantize(np.ones(4, np.float32))
    for dtype in (type("NoHash", (), {"__hash__": fails})(), [], None):
        with pytest.raises(ArgumentError, match=r"quantized\.dtype is .*; legal: a float dtype"):
            NF4().dequantize(Quantized(kept.arrays, kept.shape, dtype))  # type: ignore[arg-type]
