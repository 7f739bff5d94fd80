"""Selections of short rows by kernels: the bits of NumPy's meaning under every rule, and what they leave alone."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from refgrad.arithmetic.top_k import TopK
from refgrad.backends import group_source, selection
from refgrad.sparsity import ASP, NOfM, WandaNOfM
from refgrad.sparsity.base import Mask


def numbers(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Many ties, both zeros, infinities of either sign, and NaN."""
    random = np.random.default_rng(0)
    x = random.integers(-4, 5, shape) / 2
    for share, value in ((0.05, np.nan), (0.05, -0.0), (0.02, np.inf), (0.02, -np.inf)):
        x[random.random(shape) < share] = value
    return x.astype(getattr(ml_dtypes, dtype, dtype))


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(
    ("record", "width", "dtype"),
    [
        (TopK(2), 4, "float32"),
        (TopK(1, "high", "smallest"), 3, "bfloat16"),
        (TopK(3, "keep_all"), 5, "float16"),
        (TopK(3, "prune_all", "smallest"), 8, "float64"),
        (TopK(0), 2, "float32"),
    ],
    ids=str,
)
def test_numbers_of_either_sign_are_selected_as_numpy_does(record: TopK, width: int, dtype: str) -> None:
    x = numbers((100, width), dtype)
    found = selection.of_groups(selection.of_scores(record), width, {"w": x})
    assert found is not None
    assert np.array_equal(found, record(x))


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(
    ("rule", "dtype"),
    [
        (NOfM(), "float16"),
        (NOfM(ties="prune_all", nan_rank="smallest"), "float32"),
        (NOfM(n=3, m=8, measure="square", along="flat"), "float32"),  # scores are computed, and not stored
        (WandaNOfM(n_is="pruned", ties="high"), "float32"),
    ],
    ids=str,
)
def test_masks_of_groups_are_those_of_scores_and_numpy(rule: NOfM | WandaNOfM, dtype: str) -> None:
    w = numbers((60, 24), dtype)
    others = {"a": np.abs(numbers((24,), dtype))} if isinstance(rule, WandaNOfM) else {}
    found = rule._by_kernel(w, others, None)
    assert found is not None
    assert np.array_equal(found, Mask.mask(rule, w, **others))


def test_patterns_by_their_sums_are_not_ranked_in_large_arrays_either() -> None:
    rule, w = ASP(chosen_by="pattern_sums"), np.asarray([[1e8, 1, 2, 3]], np.float32)
    assert rule.mask(w, backend="numba").tolist() == [[True, True, False, False]]
    assert ASP().mask(w, backend="numba").tolist() == [[True, False, False, True]]


def test_long_rows_and_other_arrays_are_left_alone() -> None:
    graph, x = selection.of_scores(TopK(2)), np.zeros((4, 24), np.float32)
    assert not group_source.supports(graph, selection.MASK, x.dtype, group_source.LONGEST + 1)
    assert selection.of_groups(graph, 5, {"w": x}) is None
    assert selection.of_groups(graph, 4, {"w": x[:, ::2]}) is None
    assert selection.of_groups(graph, 4, {"w": x.astype(ml_dtypes.float8_e4m3fn)}) is None


@pytest.mark.parametrize(
    ("shape", "along", "done"),
    [((3, 8), "last", True), ((4, 6), "last", False), ((4, 6), "flat", True), ((3, 6), "flat", False)],
    ids=str,
)
def test_lengths_that_groups_do_not_divide_are_left_to_numpy(shape: tuple[int, ...], along: str, done: bool) -> None:
    w = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    found = NOfM(along=along)._by_kernel(w, {}, None)
    assert (found is not None) == done
    if found is not None:
        assert (found.reshape(-1, 4) == [False, False, True, True]).all()
