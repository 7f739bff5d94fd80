"""Hex floats are read as C reads them; what looks like a decimal is none."""

from __future__ import annotations

import math

import pytest

from refgrad import hex_floats


@pytest.mark.parametrize("value", [0.0, -0.0, 1.5, 5e-324, math.inf, -math.inf, 1.7976931348623157e308])
def test_what_python_writes_is_read(value: float) -> None:
    found = hex_floats.read(value.hex())
    assert found == value
    assert math.copysign(1.0, found) == math.copysign(1.0, value)


@pytest.mark.parametrize("text", ["abc", "1.5", "10", "", "0x", "0xp1", "0x1p", "nan(1)", "0x1.8p+0 ", "x1", "0x1_0"])
def test_what_is_no_hex_float_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="legal: a hex float with 0x"):
        hex_floats.read(text)


def test_what_no_float_holds_is_refused() -> None:
    assert math.isnan(hex_floats.read("-nan"))
    with pytest.raises(OverflowError):
        hex_floats.read("0x1p+9999")
