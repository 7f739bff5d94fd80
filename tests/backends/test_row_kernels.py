"""Quantizers of rows run by kernels have the bits of their bodies as they stand, whatever the number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.arithmetic.folding import BLOCK
from refgrad.arithmetic.steps import Integer, OnGrid, ToFormat
from refgrad.backends import program, row_kernels, step_source
from refgrad.errors import ArgumentError
from refgrad.quantizers import (
    AF4,
    BWN,
    FP4,
    MX,
    NF4,
    NVFP4,
    TWN,
    Affine,
    BitNetActivations,
    BitNetWeights,
    Blockwise,
    N2UQWeights,
    ScaledFloat,
)
from refgrad.quantizers.base import Quantized
from refgrad.quantizers.rows import RowQuantizer
from refgrad.rule import rules
from refgrad.sparsity.base import Mask
from refgrad.tracing import literal

RULES: list[RowQuantizer] = [
    *(MX(format=f) for f in ("float8_e4m3fn", "float8_e5m2", "float6_e2m3fn", "float6_e3m2fn")),
    MX(format="float4_e2m1fn", scale_rule="rceil"),
    MX(format="int8"),
    MX(format="int8", scale_rule="ceil"),
    MX(format="float8_e4m3fn", scale_rule="even"),
    NVFP4(),
    NVFP4(levels="one", normalize="divide"),
    Affine(),
    Affine(symmetric=True, granularity="group", ties="away"),
    Affine(granularity="block", bits=4, zero_point_added="before"),
    ScaledFloat(granularity="channel"),
    BitNetWeights(),
    BitNetActivations(),
    TWN(),
    NF4(),
    Blockwise(),  # a table of 256 values, and rows of two blocks
    Blockwise(ties="even", map="linear"),
]


def adversarial(dtype: np.dtype) -> np.ndarray:
    """Many magnitudes, ties, both zeros, subnormals, constant stretches, and numbers that are none."""
    random = np.random.default_rng(0)
    x = random.standard_normal((96, 500)) * np.exp(4 * random.standard_normal((96, 500)))
    x[:8] = random.integers(-64, 65, (8, 500)) / 8
    x = x.astype(dtype)
    x[8], x[9, ::2], x[10], x[11] = 0, -0.0, -3.25, x[11] * dtype.type(1e-40)
    x[12, 5], x[13, 7], x[14, 9], x[15] = np.nan, np.inf, -np.inf, 3e38
    return x


@pytest.fixture(params=["row by row", "pass by pass"])
def order(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How rows are gone through: short ones by one kernel, or, as long ones, by one a pass."""
    if request.param == "pass by pass":
        monkeypatch.setattr(program, "LONGEST_ROW", 0)
    return str(request.param)


@pytest.mark.slow
@pytest.mark.sample(quick=2, suite=4)
@pytest.mark.parametrize("rule", [*RULES, FP4(nested=True)], ids=str)  # codes that are no ranks
def test_the_bits_are_those_of_the_body(rule: RowQuantizer, order: str) -> None:
    dtypes = [np.float32, np.float64] if rule in (RULES[0], RULES[9]) else [np.float32]
    for x in map(adversarial, map(np.dtype, dtypes)):
        given = rule.given(x, rule.layout(x.shape))
        wanted = literal(rule, given, {})
        for count in (1, 3):
            found = row_kernels.run(rule, given, count)
            assert found is not None
            for name, values in found.items():
                if values.dtype.kind in "iu":
                    kept = rule.stored(name, wanted[name], rule.layout(x.shape))
                    assert np.array_equal(rule.layout(x.shape).joined(values), kept)
                    assert values.dtype == kept.dtype
                    continue
                same = np.ascontiguousarray(np.broadcast_to(wanted[name], values.shape))
                bits = np.dtype(f"i{x.itemsize}")
                agree = (same.view(bits) == values.view(bits)) | (np.isnan(same) & np.isnan(values))
                assert agree.all(), (name, same[~agree][:3], values[~agree][:3])


@pytest.mark.slow
def test_rows_of_many_blocks() -> None:
    """A row's sum is folded over its blocks as over all: what blocks leave is folded in turn."""
    x = np.random.default_rng(6).standard_normal((40, 3000)).astype(np.float32)
    rule = BWN()
    given = rule.given(x, rule.layout(x.shape))
    assert 2 * BLOCK < given["x"].shape[1] <= program.LONGEST_ROW
    found, wanted = row_kernels.run(rule, given, 2), literal(rule, given, {})
    assert found is not None
    assert found["scale"].tobytes() == np.asarray(wanted["scale"]).tobytes()


@pytest.mark.sample(quick=2, suite=5)
@pytest.mark.parametrize(
    "rule",
    [
        *RULES,
        Affine(granularity="channel", axis=1, bits=12, signed=False),
        FP4(),
        AF4(),
        *(rule(per="filter") for rule in (BWN, N2UQWeights)),
        *(ScaledFloat(granularity="block", format=f) for f in ("float8_e5m2", "float8_e4m3fnuz")),
    ],
    ids=str,
)
def test_restored_arrays_have_the_bits_of_the_body(rule: RowQuantizer) -> None:
    x = adversarial(np.dtype(np.float32))
    kept, layout = rule.quantize(x), rule.layout(x.shape)
    with np.errstate(all="ignore"):
        others = {p: rule.values(p, kept[p], layout) for p in rule.parts if p != "codes"}
        wanted = rule.restore({**others, "codes": rule.values("codes", kept.codes, layout)}).astype(np.float32)
    assert rule.read_codes is not None
    assert str(kept.codes.dtype) == rule.read_codes.kind
    parts = {**{p: v.astype(np.float32) for p, v in others.items()}, "codes": layout.cut(kept.codes)}
    for count in (1, 3):
        found = row_kernels.restored(rule, parts, rule.read_codes, count)
        assert found is not None
        y, ours = (layout.joined(np.ascontiguousarray(rows)) for rows in (found, wanted))
        assert ((y.view(np.int32) == ours.view(np.int32)) | (np.isnan(y) & np.isnan(ours))).all()


@pytest.mark.slow
def test_what_kernels_do_not_read_is_restored_as_it_stands() -> None:
    """Codes of another type or of none, float64, and too few numbers: each gives the array, or the error, as ever."""
    rule, x = Affine(bits=4), np.random.default_rng(3).standard_normal((260, 260)).astype(np.float32)
    kept = rule.quantize(x)
    wide = Quantized({**kept.arrays, "codes": kept.codes.astype(np.int32)}, kept.shape, kept.dtype)
    assert np.array_equal(rule.dequantize(wide), rule.dequantize(kept))
    beyond = Quantized({**kept.arrays, "codes": kept.codes + np.int8(8)}, kept.shape, kept.dtype)
    with pytest.raises(ArgumentError, match="whole numbers from -8 to 7"):
        rule.dequantize(beyond)
    precise = rule.quantize(x.astype(np.float64))
    assert np.array_equal(rule.dequantize(precise), (precise.codes - precise["zero_point"]) * precise["scale"])


@pytest.mark.sample(quick=1, suite=5)
@pytest.mark.parametrize(
    ("name", "dtype"), [*((name, "float32") for name in rules(Mask)), ("RIA", "float64"), ("Block", "float64")]
)
def test_scores_have_the_bits_of_the_body(name: str, dtype: str) -> None:
    rule: Mask = rules(Mask)[name]()
    for shape in (rule.example_shape(), (96, 500)):
        source = [np.resize(adversarial(np.dtype(dtype))[i:], shape) for i in range(len(rule.takes()))]
        given = rule.prepare(source[0], dict(zip([n for n in rule.takes() if n != "w"], source[1:], strict=True)))
        wanted = np.ascontiguousarray(literal(rule, given, {})["scores"])
        for count in (1, 3):
            found = row_kernels.scores(rule, given, count)
            if found is None:  # the scores are an array that was handed in
                assert any(wanted is array or np.shares_memory(wanted, array) for array in given.values())
                continue
            assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
            agree = (found.view(f"i{found.itemsize}") == wanted.view(f"i{found.itemsize}")) | (found != found)
            assert agree.all()
            assert np.array_equal(np.isnan(found), np.isnan(wanted))


def test_the_filters_of_another_axis_are_scored_alike() -> None:
    """Units that lie apart in memory are made to lie together."""
    w = np.random.default_rng(2).standard_normal((260, 260)).astype(np.float32)
    first, second = (rules(Mask)["L1Filters"](axis=axis) for axis in (0, 1))
    assert np.array_equal(first.score(np.ascontiguousarray(w.T)), second.score(w))


def test_what_no_kernel_can_is_run_as_it_stands() -> None:
    rule = NF4(search="grid")
    given = rule.given(adversarial(np.dtype(np.float32)), rule.layout((96, 500)))
    assert row_kernels.run(rule, given) is None
    assert set(rule.run(given)) >= set(rule.body_parts())


@pytest.mark.slow
def test_long_and_short_arrays_have_the_same_codes() -> None:
    """Above the number of elements from which kernels are used, and below it."""
    x = np.random.default_rng(1).standard_normal((128, 1024)).astype(np.float32)
    for rule in (MX(), NVFP4(levels="one"), Affine(granularity="group"), ScaledFloat(granularity="group")):
        whole, part = rule.quantize(x), rule.quantize(x[:4])
        assert np.array_equal(whole.codes[:4], part.codes)
        assert np.array_equal(whole["scale"][: part["scale"].size], part["scale"])


@pytest.mark.parametrize(
    "record", [ToFormat("float8_e4m3fn", "up"), ToFormat("float8_e8m0fnu"), OnGrid((-1.0, 0.0, 1.0))]
)
def test_records_without_lines_are_known(record: object) -> None:
    assert step_source._writer(record) is None
    assert step_source._writer(Integer()) is not None
