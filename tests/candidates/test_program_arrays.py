"""Arrays and numbers as programs write them: what is none is a fault that says what is legal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad.candidates import program_arrays
from refgrad.candidates.protocol import CandidateFault


@pytest.mark.parametrize("encoding", program_arrays.ENCODINGS)
@pytest.mark.parametrize(
    "dtype", [np.float32, np.float64, np.uint8, np.int16], ids=["float32", "float64", "uint8", "int16"]
)
def test_an_array_comes_back_as_it_went(encoding: str, dtype: Any) -> None:
    values = np.asarray([[0.1, 3.0], [1e-45, 250.0]]).astype(dtype)
    back = program_arrays.decoded(program_arrays.encoded(values, encoding), np.dtype(dtype), "x")
    assert back.dtype == values.dtype
    assert back.tobytes() == values.tobytes()


def test_codes_of_64_bits_are_read_exactly() -> None:
    value = {"shape": [2], "data": [2**64 - 1, 2**53 + 1]}
    assert program_arrays.decoded(value, np.dtype("uint64"), "codes").tolist() == value["data"]


@pytest.mark.parametrize(
    ("dtype", "value", "says"),
    [
        ("uint8", {"data": [300]}, "it has 300; legal as uint8: whole numbers from 0 to 255"),
        ("uint8", {"data": ["0x1.8p+0"]}, r"it has 1\.5"),
        ("int8", {"data": [128]}, "from -128 to 127"),
        ("int32", {"data": ["nan"]}, "it has nan"),
        ("uint64", {"data": [2**64]}, f"whole numbers from 0 to {2**64 - 1}"),
        ("int64", {"data": [float(2**63)]}, r"it has 9\.22337e\+18"),
        ("bool", {"data": [2]}, "legal as bool: whole numbers from 0 to 1"),
        ("bool", {"base64": "Ag=="}, "a bool is 0 or 1"),
        ("float32", {"data": [1], "shape": [-1]}, r"its shape is \[-1\]; legal: a list of whole numbers from 0 on"),
        ("float32", {"data": [1], "shape": [1.0]}, r"its shape is \[1\.0\]"),
        ("float32", {"data": [1], "shape": "1"}, "its shape is '1'"),
        ("float32", {"data": [1, 2]}, r"its data is 2 numbers; legal of shape \[1\]: a list of 1 numbers"),
        ("float32", {"data": "ab"}, "its data is 'ab'; legal of shape"),
        (
            "float32",
            {"data": [1], "base64": ""},
            "it has 'base64', 'data', 'shape'; legal: an object with shape, and data",
        ),
        ("float32", {"base64": "!!!!"}, "its base64 is '!!!!'; legal: base64 of RFC 4648"),
        ("float32", {"base64": 5}, "its base64 is 5; legal: base64"),
        ("float32", {"base64": "AAA="}, r"its base64 has 2 bytes; legal of shape \[1\] as float32: 4"),
        ("float32", {"data": [10**400]}, "it has a whole number of 401 digits, larger than any of float64; legal: inf"),
        ("float32", {"data": ["0x1p+9999"]}, "it has '0x1p[+]9999', which is larger than any number of float64"),
        ("int8", {"data": [10**400]}, "it has 10000.*; legal as int8: whole numbers from -128 to 127"),
    ],
    ids=str,
)
def test_numbers_that_a_dtype_does_not_have_are_a_fault(dtype: str, value: dict[str, Any], says: str) -> None:
    with pytest.raises(CandidateFault, match=says):
        program_arrays.decoded({"shape": [1], **value}, np.dtype(dtype), "codes")


@pytest.mark.parametrize(
    "number", ["abc", "1.5", "1", "0x", "0x1p", "", " 0x1p+0", "0x1p+0\n", "1e5", "0x1.8p+0f", "infinite"]
)
def test_a_text_without_the_prefix_is_no_number(number: str) -> None:
    with pytest.raises(CandidateFault, match="is no number; legal: a hex float with 0x, such as"):
        program_arrays.decoded({"shape": [1], "data": [number]}, np.dtype(np.float32), "p")


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("0x1.8p+0", 1.5),
        ("-0X1P-1", -0.5),
        ("+0x.8", 0.5),
        ("0x10", 16.0),
        ("-inf", -np.inf),
        ("Infinity", np.inf),
        (3, 3.0),
    ],
    ids=str,
)
def test_numbers_as_c_prints_them_are_read(number: Any, value: float) -> None:
    assert program_arrays.decoded({"shape": [1], "data": [number]}, np.dtype(np.float64), "p").tolist() == [value]


@pytest.mark.parametrize("number", [True, None, [1], {}], ids=str)
def test_what_is_no_number_of_json_is_none(number: Any) -> None:
    with pytest.raises(CandidateFault, match="legal: a number of JSON, or a text: a hex float with 0x"):
        program_arrays.decoded({"shape": [1], "data": [number]}, np.dtype(np.float32), "p")


@pytest.mark.parametrize("value", [None, 5, [1.0], {"data": [1]}, {"shape": [1]}], ids=str)
def test_what_is_no_array_of_an_answer_is_told_what_one_is(value: Any) -> None:
    with pytest.raises(
        CandidateFault, match=r"^p is no array: it .*; legal: an object with shape, and data or base64$"
    ):
        program_arrays.decoded(value, np.dtype(np.float32), "p")


def test_true_and_false_are_a_mask() -> None:
    assert program_arrays.decoded({"shape": [2], "data": [True, False]}, np.dtype(bool), "mask").tolist() == [
        True,
        False,
    ]
