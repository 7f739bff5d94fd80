"""2:4 storage: every pattern, round trips, torch's own conversion."""

from __future__ import annotations

from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.sparsity import NOfM
from refgrad.sparsity.compressed import NIBBLES, compress, decompress, prune, reordered, restored

DTYPES = [np.float16, ml_dtypes.bfloat16, np.int8, np.float32]


def sparse(dtype: Any, shape: tuple[int, int], seed: int) -> np.ndarray:
    """A matrix that is 2:4 (1:2 for float32) sparse, some groups with fewer numbers than they may have."""
    random = np.random.default_rng(seed)
    w = random.integers(-9, 9, shape).astype(np.float32)
    n, m = (1, 2) if np.dtype(dtype).itemsize == 4 else (2, 4)
    return np.where(NOfM(n=n, m=m).mask(w), w, 0).astype(dtype)


def test_indices_of_two_kept_values_rise_and_are_theirs() -> None:
    for flags in product([0, 1], repeat=4):
        nibble = int(NIBBLES[sum(flag << i for i, flag in enumerate(flags))])
        first, second = nibble & 3, nibble >> 2
        assert first < second
        if sum(flags) <= 2:
            assert {i for i, flag in enumerate(flags) if flag} <= {first, second}


@pytest.mark.parametrize("layout", ["rows", "cutlass"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trip(dtype: Any, layout: str) -> None:
    w = sparse(dtype, (64, 128), 0)
    packed = compress(w, w != 0, layout)
    assert packed.values.shape == (64, 64)
    assert packed.metadata.nbytes * 8 == 2 * packed.values.size * (2 if np.dtype(dtype).itemsize == 4 else 1)
    assert decompress(packed).tobytes() == np.where(w == 0, 0, w).astype(dtype).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(32, 128), (64, 256), (96, 128)])
def test_torch_gives_the_same_bits(dtype: Any, shape: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch", reason="torch's reference conversion is checked against")
    from torch.sparse import _semi_structured_conversions as conversions

    from refgrad.candidates.torch_optimizer import to_array, to_tensor

    w = sparse(dtype, shape, 1)
    values, metadata = conversions.sparse_semi_structured_from_dense_cutlass(
        torch.from_numpy(w) if dtype == np.int8 else to_tensor(w)
    )
    packed = compress(w, w != 0, "cutlass")
    assert packed.values.tobytes() == to_array(values.contiguous()).tobytes()
    assert np.array_equal(packed.metadata, metadata.numpy())
    theirs = conversions.sparse_semi_structured_to_dense_cutlass(values, metadata)
    assert to_array(theirs.contiguous()).tobytes() == decompress(packed).tobytes()


@pytest.mark.sample(quick=1, suite=2)
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize(("ties", "nan"), [("low", "largest"), ("high", "smallest")])
def test_pruned_and_compressed_in_one_pass(dtype: Any, ties: str, nan: str) -> None:
    numbers = np.asarray([0.0, -0.0, 1.0, -1.0, 2.0, -3.0, np.nan, np.inf, -np.inf, 2.0**-20], np.float32)
    w = np.random.default_rng(2).choice(numbers, (64, 160)).astype(dtype)
    rule = NOfM(ties=ties, nan_rank=nan)
    for layout, threads in (("rows", 1), ("cutlass", 3)):
        slow, fast = compress(w, rule.mask(w, backend="numpy"), layout), prune(w, rule, layout, threads)
        assert fast.values.tobytes() == slow.values.tobytes()
        assert np.array_equal(fast.metadata, slow.metadata)
    with pytest.raises(ArgumentError, match=r"rule is 'NOfM\(n=1\)'; legal: 2:4"):
        prune(w, NOfM(n=1))


def test_the_reordering_by_hand() -> None:
    """The first words of some rows, as CUTLASS's host_reorder.h and its column-major layout in pairs put them."""
    words = np.arange(64, dtype=np.int16).reshape(32, 2)
    flat = reordered(words).ravel().tolist()
    found = {row: [flat.index(2 * row), flat.index(2 * row + 1)] for row in (0, 1, 2, 8, 9)}
    assert found == {0: [0, 2], 1: [8, 10], 2: [16, 18], 8: [1, 3], 9: [9, 11]}
    words = np.arange(256, dtype=np.int16).reshape(64, 4)
    flat = reordered(words).ravel().tolist()
    assert [flat.index(i) for i in range(4)] == [0, 2, 128, 130]
    words = np.arange(32, dtype=np.int32).reshape(16, 2)
    flat = reordered(words).ravel().tolist()
    assert [[flat.index(2 * r), flat.index(2 * r + 1)] for r in (0, 1, 8)] == [[0, 2], [4, 6], [1, 3]]
    assert np.array_equal(restored(reordered(words)), words)


def cutlass_offset(row: int, column: int, rows: int, bits: int) -> int:
    """Where CUTLASS puts a word of metadata: reorder_meta of host_reorder.h, then its column-major layout of pairs."""
    group, interweave = (32, 4) if bits == 16 else (16, 2)
    down = row // group * group + row % 8 * interweave + row % group // 8
    if down % 2 == 0 and column % 2 == 1:
        down, column = down + 1, column - 1
    elif down % 2 == 1 and column % 2 == 0:
        down, column = down - 1, column + 1
    return column // 2 * (rows * 2) + down * 2 + column % 2


@pytest.mark.parametrize(("bits", "shape"), [(16, (32, 2)), (16, (96, 6)), (32, (16, 2)), (32, (48, 8))])
def test_the_reordering_is_cutlass_index_function(bits: int, shape: tuple[int, int]) -> None:
    words = np.arange(np.prod(shape), dtype=f"i{bits // 8}").reshape(shape)
    flat = reordered(words).ravel()
    for (row, column), word in np.ndenumerate(words):
        assert flat[cutlass_offset(row, column, shape[0], bits)] == word


@pytest.mark.parametrize("dtype", DTYPES)
def test_expanded_as_cutlass_expands(dtype: Any) -> None:
    """uncompress of host_uncompress.h, word by word from the reordered metadata: 256 bits of the dense row each."""
    w = sparse(dtype, (32, 128), 3)
    packed = compress(w, w != 0, "cutlass")
    size = 8 * w.dtype.itemsize
    step, kept = (4, 2) if size <= 16 else (2, 1)
    per_word, bits = 256 // size, 8 * packed.metadata.dtype.itemsize
    flat, dense = packed.metadata.ravel(), np.zeros_like(w)
    for row in range(32):
        for column in range(128 // per_word):
            word = int(flat[cutlass_offset(row, column, 32, bits)])
            for i in range(0, per_word, step):
                indices = word >> (i // step * 4) & 15
                first, at = column * per_word + i, (column * per_word + i) // step * kept
                if kept == 1:
                    dense[row, first + (indices & 3) // 2] = packed.values[row, at]
                else:
                    dense[row, first + (indices & 3)] = packed.values[row, at]
                    dense[row, first + (indices >> 2)] = packed.values[row, at + 1]
    assert np.array_equal(dense, w)


def test_torchs_tensor_of_our_parts_is_the_matrix() -> None:
    """What `to_sparse_semi_structured` makes on a GPU, made of our values and metadata; conversion alone asks for a GPU."""
    torch = pytest.importorskip("torch", reason="torch's semi-structured tensor is checked against")
    from torch.sparse import SparseSemiStructuredTensorCUTLASS, to_sparse_semi_structured

    w = sparse(np.float16, (64, 128), 4)
    packed = compress(w, w != 0, "cutlass")
    values, metadata = torch.from_numpy(packed.values), torch.from_numpy(packed.metadata)
    made = SparseSemiStructuredTensorCUTLASS(torch.Size(w.shape), values, metadata, None, None, None)
    assert torch.equal(made.to_dense(), torch.from_numpy(w))
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="Only CUDA tensors are currently supported"):
            to_sparse_semi_structured(torch.from_numpy(w))
        return
    there = to_sparse_semi_structured(torch.from_numpy(w).cuda())
    assert torch.equal(there.packed.cpu(), values)
    assert torch.equal(there.meta.cpu(), metadata)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compress(np.ones((32, 64), np.float16), np.ones((32, 64), bool)), "mask is 'one that keeps too many'"),
        (
            lambda: compress(np.ones((32, 24), np.float16), np.zeros((32, 24), bool)),
            "a multiple of 16, a word of metadata",
        ),
        (
            lambda: compress(np.ones((32, 16), np.float16), np.zeros((32, 16), bool), "cutlass"),
            "an even number of words",
        ),
        (lambda: compress(np.ones((8, 32), np.float16), np.zeros((8, 32), bool), "cutlass"), "a multiple of 32"),
        (
            lambda: compress(np.ones((8, 32)), np.zeros((8, 32), bool)),
            "w.dtype is 'float64'; legal: 8, 16 or 32 bits wide",
        ),
        (lambda: compress(np.ones((8, 32), np.float16), np.zeros((8, 16), bool)), r"mask.shape is \(8, 16\)"),
        (lambda: compress(np.ones((8, 32), np.float16), np.zeros((8, 32), bool), "row"), "did you mean 'rows'"),
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()
