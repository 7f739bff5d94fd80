"""Kernels find the nearest of a table that its record finds, whatever lies between its values."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.arithmetic.graph import Builder, Graph
from refgrad.arithmetic.scalar_math import Scope
from refgrad.arithmetic.steps import Nearest, NearestCode, step
from refgrad.backends import kernels
from refgrad.backends.source import kernel_source
from refgrad.backends.table_search import Buckets
from refgrad.quantizers import tables

TABLES = {
    "a map of eight bits": tables.MAPS["dynamic"](),
    "a map without a sign": tables.MAPS["dynamic_unsigned"](),
    "huge, tiny and subnormal": tuple(
        float(np.float32(s * 10.0**e))
        for s, e in [*((-1, e) for e in range(38, -46, -3)), *((1, e) for e in range(-45, 39, 3))]
    ),
    "a crowd around one": tuple(float(np.float32(1 + k * 2.0**-12)) for k in range(20)),
    "few values": (-1.0, -0.25, 0.0, 0.5, 2.0),
}


def numbers(record: Nearest, dtype: np.dtype) -> np.ndarray:
    """Thresholds, what lies around them and around powers of two, both zeros, and what is no number."""
    thresholds = record.thresholds(dtype)
    powers = np.ldexp(np.ones(1, dtype), np.arange(-140, 120))
    seen = np.concatenate([thresholds, np.asarray(record.values, dtype), powers, -powers])
    around = [np.nextafter(seen, dtype.type(end)) for end in (-np.inf, np.inf)]
    return np.concatenate([seen, *around, np.asarray([0.0, -0.0, np.nan, np.inf, -np.inf, 3e38, -3e38], dtype)])


@pytest.mark.sample(quick=1, suite=4)
@pytest.mark.parametrize(
    ("name", "kind"), [("a map of eight bits", "float64"), *((name, "float32") for name in TABLES)]
)
def test_kernels_find_the_nearest(name: str, kind: str) -> None:
    record = Nearest(TABLES[name], "even")
    codes = tuple(200 - k for k in range(len(record.values)))[:256]
    builder, dtype = Builder(Scope(), 1), np.dtype(kind)
    given, x = builder.input("x"), numbers(record, dtype)
    roots = {"value": step(given, record), "code": step(given, NearestCode(record, codes))}
    outputs = {n: builder.lift(v) for n, v in roots.items()}
    source = kernel_source(Graph(builder.live(outputs), outputs, {}, ()), dtype, name)
    held = {"x": x, **{n: np.empty_like(x) for n in outputs}}
    kernels.get(source)(x.size, *(held[a].ctypes.data for a in source.arrays))
    assert held["value"].tobytes() == record(x).tobytes()
    assert np.array_equal(held["code"], NearestCode(record, codes)(x))


def test_each_bucket_of_a_map_has_one_threshold_within_it() -> None:
    for name in ("dynamic", "dynamic_unsigned", "linear", "bitsandbytes"):
        buckets = Buckets.of(Nearest(tables.MAPS[name]()).thresholds(np.float32))
        assert buckets.within == 1
        assert len(buckets.below) < 6000
