"""The largest of each row, found by counting, against `refgrad.arithmetic.top_k`, with kernels emulated on the host."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.arithmetic.top_k import keys
from refgrad.arithmetic.top_k import top_k as literal
from refgrad.backends.cuda import top_k
from tests.backends.cuda.conftest import needs_compiler
from tests.backends.cuda.devices import Emulated

#: short rows, one block of 1024, and several blocks of which the last one is short
SHAPES = ((5, 4), (3, 64), (2, 65), (2, 1024), (2, 2500))


def scores(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Few different numbers, so that many are equal; both zeros, infinities, NaN of both signs, subnormals."""
    random = np.random.default_rng(shape[1])
    tiny = np.finfo(dtype).smallest_subnormal
    few = np.asarray([0.0, -0.0, 1.0, -1.0, 1.5, np.inf, -np.inf, np.nan, -np.nan, tiny, -tiny, 3.0], dtype)
    return np.where(random.random(shape) < 0.7, random.choice(few, shape), random.standard_normal(shape)).astype(dtype)


@pytest.mark.slow
@needs_compiler
@pytest.mark.sample(quick=1, suite=2)
@pytest.mark.parametrize("ties", ["low", "high", "keep_all", "prune_all"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_entries_are_kept(dtype: type, ties: str, emulated: Emulated) -> None:
    for nan in ("largest", "smallest"):
        emulated.compile([top_k.source(name, np.dtype(dtype).name, nan, ties) for name in top_k.NAMES])
        for shape in SHAPES:
            x = scores(shape, dtype)
            ranked = keys(x, nan)
            for k in sorted({0, 1, shape[1] // 3, shape[1] // 2, shape[1] - 1, shape[1]}):
                found = top_k.top_k(emulated.put(x), k, ties, nan, emulated)
                assert found.tolist() == literal(ranked, k, ties).tolist(), (shape, k, nan)


@pytest.mark.slow
@needs_compiler
def test_what_is_above_a_number(emulated: Emulated) -> None:
    x = scores((3, 50), np.float32)
    for nan in ("largest", "smallest"):
        for number in (0.0, 1.0, np.inf, np.nan):
            limit = np.asarray(number, np.float32)
            found = top_k.above(emulated.put(x), limit, nan, emulated)
            assert found.tolist() == (keys(x, nan) > keys(limit, nan)).tolist()
