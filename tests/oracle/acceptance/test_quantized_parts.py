"""Parts of quantizers that are judged between ends: how far they may be off."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad.candidates.protocol import CandidateFault
from refgrad.oracle.acceptance import quantized_parts
from refgrad.oracle.acceptance.chunks import CHUNK
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.quantized_parts import fitting, has_graph, judge_parts, truth_of
from refgrad.oracle.acceptance.screened_outputs import summary
from refgrad.quantizers import (
    MX,
    NF4,
    NUQSGD,
    Q8_0,
    QSGD,
    Affine,
    Blockwise,
    Cast,
    KMeans,
    OneBit,
    Quantized,
    Quantizer,
    RoundToNearest,
    cast,
)

X = np.random.default_rng(5).standard_normal((8, 32)).astype(np.float32)


@pytest.mark.parametrize(
    ("rule", "part"),
    [(QSGD(), "norm"), (NUQSGD(), "norm"), (OneBit(), "low"), (KMeans(), "codebook"), (RoundToNearest(), "scale")],
    ids=str,
)
@pytest.mark.parametrize(("off", "expected"), [(2.0**-23, INSIDE), (2.0**-13, OUTSIDE)])
def test_a_part_that_is_judged_between_ends_may_be_off_by_roundings_alone(
    rule: Quantizer, part: str, off: float, expected: Any
) -> None:
    """By a unit of float32 it may be, by a thousand not; and of all numbers of a part the one that is off is told."""
    assert not has_graph(rule)
    truth = truth_of(rule, {"x": X})
    array = truth[part].copy()
    at = np.unravel_index(np.argmax(np.abs(array)), array.shape)
    array[at] *= np.float32(1 + off)
    judged, values = judge_parts(rule, {"x": X}, {**truth, part: array}, Policy())[part]
    assert values[at] == array[at] != truth[part][at]
    assert judged.status[at] == expected
    others = np.ones(array.shape, bool)
    others[at] = False
    assert (judged.status[others] == INSIDE).all()


@pytest.mark.parametrize("rule", [QSGD(), Q8_0(), NF4(), Affine()], ids=str)
def test_what_a_decoder_gives_in_a_wider_dtype_is_judged_as_it_is(rule: Quantizer) -> None:
    """Of float16 arrays numbers in float32 are right whether or not they are rounded, and beside NaN; others are not."""
    x = X.astype(np.float16)
    parts = dict(truth_of(rule, {"x": x}))
    y = np.asarray(rule.dequantize(Quantized(parts, x.shape, np.dtype(np.float32))))
    assert (y != y.astype(np.float16)).any()
    none = y.copy()
    none.flat[-1] = np.nan
    for given in (y, y.astype(np.float16), none):
        status = judge_parts(rule, {"x": x}, {**parts, "y": given}, Policy())["y"][0].status.reshape(-1)
        assert (status[:-1] == INSIDE).all()
        assert (status[-1] == OUTSIDE) == np.isnan(given.flat[-1])
    off = judge_parts(rule, {"x": x}, {**parts, "y": y * np.float32(1 + 2**-14)}, Policy())["y"][0].status.reshape(-1)
    assert (off[y.reshape(-1) != 0] == OUTSIDE).all()


FORMATS = [name for name in cast.FORMATS.sentences if hasattr(ml_dtypes, name)]


@pytest.mark.parametrize("name", FORMATS)
def test_codes_may_be_given_as_an_array_of_their_format_or_as_what_they_stand_for(name: str) -> None:
    """Its bytes, its array, its numbers: the same codes; a number that the format does not have is none."""
    rule, arrays = Cast(format=name), {"x": X}
    codes = truth_of(rule, arrays)["codes"]
    native = codes.view(getattr(ml_dtypes, name)) if codes.dtype.itemsize == 1 else X.astype(getattr(ml_dtypes, name))
    for form in (codes, native, native.astype(np.float32)):
        fitted = fitting({"codes": np.asarray(form)}, rule, arrays)["codes"]
        assert rule.dequantize(Quantized({"codes": fitted}, X.shape, X.dtype)).tobytes() == (
            rule.dequantize(Quantized({"codes": codes}, X.shape, X.dtype)).tobytes()
        )
    with pytest.raises(CandidateFault, match="which no code of Cast stands for"):
        fitting({"codes": np.full(X.shape, 1 + 2.0**-20, np.float32)}, rule, arrays)


def test_bytes_of_a_packed_format_may_be_signed() -> None:
    rule, arrays = Q8_0(), {"x": X}
    codes = truth_of(rule, arrays)["codes"]
    assert fitting({"codes": codes.view(np.int8)}, rule, arrays)["codes"].tobytes() == codes.tobytes()


@pytest.mark.parametrize("rule", [Affine(), Affine(symmetric=True), Affine(bits=4, signed=False)], ids=str)
def test_one_long_row_is_judged_some_elements_at_a_time(rule: Quantizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is found of each element, and of its scale, as all at once; NaN, ties and wrong codes among them."""
    x = np.random.default_rng(0).standard_normal((3, CHUNK), np.float32)
    kept = rule.quantize(x)
    for special in (0.0, float(kept.arrays["scale"][0]) / 2):
        x[1, 5:900] = special
        kept = rule.quantize(x)
        seen = {**kept.arrays, "y": rule.dequantize(kept)}
        seen["codes"] = seen["codes"].copy()
        seen["codes"].reshape(-1)[CHUNK + 1007] += 1
        sizes: list[int] = []
        right = quantized_parts.compare

        def compare(acceptable: Any, values: np.ndarray, *rest: Any, right: Any = right, sizes: Any = sizes) -> Any:
            sizes.append(values.size)
            return right(acceptable, values, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(quantized_parts, "compare", compare)
            found = judge_parts(rule, {"x": x}, seen, Policy())
            assert max(sizes) <= CHUNK
            patch.setattr(quantized_parts, "_in_columns", lambda *of: None)
            whole = judge_parts(rule, {"x": x}, seen, Policy())
        assert set(found) == set(whole)
        for name, (judged, values) in found.items():
            np.testing.assert_array_equal(values, whole[name][1])
            for field in ("status", "truth", "low", "high"):  # ends are rounded to the dtype beside what is outside
                one, other = (np.asarray(getattr(each, field), np.float32) for each in (judged, whole[name][0]))
                np.testing.assert_array_equal(one, other)
        assert (found["codes"][0].status == OUTSIDE).sum() == 1


def test_one_long_row_whose_zero_point_may_be_either_is_judged_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision that all elements share: zero points of 0 and of -1 are right, each with its own codes."""
    rule, asked, right = Affine(), [], quantized_parts._in_columns
    monkeypatch.setattr(quantized_parts, "_in_columns", lambda *of: asked.append(right(*of)) or asked[-1])
    x = np.random.default_rng(0).uniform(-380, 380, (3, CHUNK)).astype(np.float32)
    x[0, :2] = -382.5, 382.5
    kept = rule.quantize(x)
    assert kept.arrays["scale"][0] == 3.0
    for zero in (0, -1, 1):
        codes = np.clip(np.rint(x / np.float32(3.0)) + zero, -128, 127).astype(np.int8)
        parts = {**kept.arrays, "zero_point": np.asarray([zero], np.int32), "codes": codes}
        seen = {**parts, "y": rule.dequantize(Quantized(parts, x.shape, x.dtype))}
        found = judge_parts(rule, {"x": x}, seen, Policy())
        assert (found["zero_point"][0].status == INSIDE).all() == (zero < 1)
        assert (found["codes"][0].status == INSIDE).all()
    assert asked == [None] * 3


def test_a_fault_in_what_a_long_row_leaves_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    rule, x = Affine(), np.random.default_rng(0).standard_normal((3, CHUNK), np.float32)
    kept, right = rule.quantize(x), quantized_parts._Rows.folds
    seen = {**kept.arrays, "y": rule.dequantize(kept)}
    assert (judge_parts(rule, {"x": x}, seen, Policy())["scale"][0].status == INSIDE).all()

    def other(self: Any, known: Any) -> Any:
        return {i: left._replace(value=left.value * (1 + 2.0**-18)) for i, left in right(self, known).items()}

    monkeypatch.setattr(quantized_parts._Rows, "folds", other)
    assert (judge_parts(rule, {"x": x}, seen, Policy())["scale"][0].status == OUTSIDE).all()


@pytest.mark.parametrize("rule", [Blockwise(block_size=256), MX(), NF4()], ids=lambda rule: type(rule).__name__)
def test_many_rows_are_judged_some_at_a_time(rule: Quantizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same counts, distances and places of what is wrong as all at once."""
    x = np.random.default_rng(0).standard_normal((2 * CHUNK // 64 + 12, 64), np.float32)
    x[3], x[:, 5] = 0.0, x[:, 5] * np.float32(1e-30)
    kept = rule.quantize(x)
    seen = {**kept.arrays, "y": rule.dequantize(kept)}
    seen["codes"] = seen["codes"].copy()
    seen["codes"].reshape(-1)[CHUNK + 7] += 1
    shapes, right = [], quantized_parts.compare

    def compare(acceptable: Any, values: np.ndarray, *rest: Any) -> Any:
        shapes.append(values.size)
        return right(acceptable, values, *rest)

    monkeypatch.setattr(quantized_parts, "compare", compare)
    found = judge_parts(rule, {"x": x}, seen, Policy())
    assert max(shapes) <= CHUNK
    monkeypatch.setattr(quantized_parts, "_can_be_cut", lambda *of: False)
    want = judge_parts(rule, {"x": x}, seen, Policy())
    assert max(shapes) > CHUNK
    unit = np.dtype(np.float32)
    for name, (judged, values) in found.items():
        known = want[name][0]
        assert summary(judged, values, unit) == summary(known, values, unit)
        np.testing.assert_array_equal(judged.status, known.status)
        np.testing.assert_array_equal(judged.truth, known.truth)
    assert np.flatnonzero(found["codes"][0].status == OUTSIDE).tolist() == [CHUNK + 7]


def test_what_rows_share_keeps_them_together() -> None:
    """A scale of the whole tensor is of all rows, however many there are."""
    x = np.random.default_rng(0).standard_normal(2 * CHUNK + 64, np.float32)
    rule = Affine()
    kept = rule.quantize(x)
    found = judge_parts(rule, {"x": x}, {**kept.arrays, "y": rule.dequantize(kept)}, Policy())
    assert all(judged.status.sum() == 0 for judged, _ in found.values())
