"""Products of matrices by the blocked kernel have the bits of those by NumPy, whatever their shapes and the number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.arithmetic import matrices
from refgrad.backends import matrix_kernel
from refgrad.optimizers import Muon

#: rows, terms and columns: one of each, odd numbers, around powers of two, and more than one block of terms
SHAPES = [(1, 1, 1), (3, 2, 5), (5, 3, 2), (2, 7, 1), (4, 8, 4), (4, 9, 129), (6, 17, 65), (3, 100, 70), (7, 64, 128)]
SHAPES += [
    (3, 127, 300),
    (9, 768, 17),
    (3, 1000, 3),
    (2, 1023, 9),
    (3, 1024, 40),
    (5, 1025, 9),
    (1, 2048, 2),
    (3, 3100, 6),
]


def drawn(shape: tuple[int, int], dtype: str, seed: int) -> np.ndarray:
    """Numbers of many magnitudes, both zeros, subnormals, infinities, and NaN."""
    random = np.random.default_rng(seed)
    x = (random.standard_normal(shape) * np.exp(8 * random.standard_normal(shape))).astype(dtype)
    for share, value in (
        (0.1, 0.0),
        (0.1, -0.0),
        (0.1, np.finfo(dtype).smallest_subnormal),
        (0.001, np.inf),
        (0.001, np.nan),
    ):
        x[random.random(shape) < share] = value
    return x


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=1)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bits_are_those_of_the_tree(dtype: str) -> None:
    for seed, (rows, inner, columns) in enumerate(SHAPES):
        a, b = drawn((rows, inner), dtype, seed), drawn((inner, columns), dtype, seed + 100)
        with np.errstate(all="ignore"):
            wanted = matrices.tree_product(a, b)
        for count in (1, 3):
            for left, right in ((a, b), (np.asfortranarray(a), np.asfortranarray(b))):
                found = matrix_kernel.by_kernel(left, right, count)
                same = found.view(f"i{found.itemsize}") == wanted.view(f"i{found.itemsize}")
                assert (same | (np.isnan(found) & np.isnan(wanted))).all(), (rows, inner, columns)


def test_the_numba_backend_multiplies_by_it_and_numpy_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    random, rule, called = np.random.default_rng(0), Muon(), []
    whole = matrix_kernel.by_kernel
    monkeypatch.setattr(matrix_kernel, "WORTH_COMPILING", 0)
    monkeypatch.setattr(matrix_kernel, "by_kernel", lambda *given: called.append(given) or whole(*given))
    p, g = (random.standard_normal((40, 33)).astype(np.float32) for _ in range(2))
    literal, _ = rule.step(p, g, rule.init(p), backend="numpy")
    assert not called
    found, _ = rule.step(p, g, rule.init(p), backend="numba", threads=2)
    assert called
    assert np.array_equal(found.view(np.int32), literal.view(np.int32))


def test_what_the_kernel_does_not_take_numpy_multiplies() -> None:
    stacked = np.random.default_rng(1).standard_normal((2, 40, 40))
    for a, b in (
        (stacked, stacked),
        (stacked[0], stacked[1].astype(np.float32)),
        (stacked[0, :2, :2], stacked[1, :2, :2]),
    ):
        assert np.array_equal(matrix_kernel.product(a, b), matrices.tree_product(a, b))


def test_other_products_come_back_when_they_are_over() -> None:
    a = np.ones((2, 2))
    with pytest.raises(ZeroDivisionError), matrices.multiplied_by(lambda a, b: 1 / 0):
        matrices.product(a, a)
    assert np.array_equal(matrices.product(a, a), 2 * a)
