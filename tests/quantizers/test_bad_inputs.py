"""Bad input to every quantizer: an error that says what is legal, or what docs/quantizers.md states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.quantizers import MX, NF4, Affine, Quantized, Quantizer
from tests.quantizers import bad_inputs

DOCS = (Path(__file__).parents[2] / "docs" / "quantizers.md").read_text()


@pytest.mark.sample(quick=4)
@pytest.mark.parametrize("name", bad_inputs.known())
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_becomes_of_it_is_as_stated(name: str) -> None:
    cells = bad_inputs.row(bad_inputs.known()[name])
    line = f"| {' | '.join(cells)} |"
    assert line in DOCS, f"docs/quantizers.md lacks {line}; python -m tests.quantizers.bad_inputs prints the table"


@pytest.mark.parametrize("name", bad_inputs.known())
def test_an_empty_array_is_taken_or_refused(name: str) -> None:
    rule = bad_inputs.known()[name]
    for shape in ((0,), (0, 256), (3, 0)):
        y = bad_inputs.round_trip(rule, np.zeros(shape, np.float32))
        assert y is None or y.size == 0


@pytest.mark.parametrize("name", bad_inputs.known())
def test_read_only_and_strided_arrays_are_read(name: str) -> None:
    rule = bad_inputs.known()[name]
    x = bad_inputs.ordinary()
    kept = rule.quantize(x)
    strided = np.repeat(x, 2, axis=1)[:, ::2]
    strided.flags.writeable = False
    again = rule.quantize(strided)
    assert all(np.array_equal(kept[n], again[n], equal_nan=True) for n in rule.parts)


def _with(rule: Quantizer, part: str, change: object) -> None:
    kept = rule.quantize(bad_inputs.ordinary())
    rule.dequantize(Quantized({**kept.arrays, part: change(kept[part])}, kept.shape, kept.dtype))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("rule", "part", "change", "message"),
    [
        (NF4(), "codes", lambda c: c.astype(np.float32), "codes.dtype is 'float32'; legal: an integer dtype"),
        (NF4(), "absmax", lambda a: a[:-1], "legal: \\(16,\\)"),
        (MX(format="float4_e2m1fn"), "codes", lambda c: c + np.uint8(16), "legal: whole numbers from 0 to 15"),
        (Affine(bits=4), "codes", lambda c: c + np.int8(20), "legal: whole numbers from -8 to 7"),
    ],
    ids=["dtype", "shape", "range", "signed range"],
)
def test_what_was_kept_is_checked(rule: Quantizer, part: str, change: object, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        _with(rule, part, change)


def test_scales_of_ocp_mx_stay_within_their_format() -> None:
    """E8M0 holds 2**-127 to 2**127: larger and smaller maxima have those scales, and elements saturate or are zero."""
    x = np.zeros((3, 32))
    x[0, 0], x[1, 0], x[2, 0] = 2.0**200, 2.0**-300, 1.0
    kept = MX(format="float4_e2m1fn").quantize(x)
    assert kept["scale"].tolist() == [254, 0, 125]
    y = MX(format="float4_e2m1fn").dequantize(kept)
    assert (y[0, 0], y[1, 0], y[2, 0]) == (6 * 2.0**127, 0.0, 1.0)
