"""Running the kernels that keep n of every m numbers, in as many threads as are given."""

from __future__ import annotations

import numpy as np

from refgrad.backends import kernels, runner, thread_pool, worth_compiling
from refgrad.backends import selection_source as sources


def wanted(backend: str, size: int) -> bool:
    """True if a kernel is asked for, or worth its while; `ArgumentError` for an unknown backend."""
    runner(backend)
    return backend == "numba" or (backend == "auto" and worth_compiling(size))


def n_of_m(
    w: np.ndarray, n: int, m: int, along: str, ties: str, nan: str, count: int | None = None
) -> np.ndarray | None:
    """The mask of the n largest magnitudes of every m numbers that are neighbours in memory; None if no kernel does it.

    Args:
        w: contiguous, of a dtype that kernels know.
        n: how many are kept.
        m: the size of a group.
        along: "last" or "flat".
        ties: a tie rule.
        nan: where NaN ranks.
        count: how many threads; by default as many as the process may use.
    """
    length = w.size if along == "flat" else w.shape[-1] if w.ndim else 1
    if not sources.supported(w.dtype, m, ties) or length % m or not w.flags.c_contiguous or not w.flags.aligned:
        return None
    source = sources.n_of_m_source(w.dtype, n, m, ties, nan)
    kernel, mask = kernels.get(source), np.empty(w.shape, bool)
    if not w.size:
        return mask

    count = thread_pool.worth(w.size) if count is None else count
    at, to, width = w.ctypes.data, mask.ctypes.data, m * w.itemsize
    chunks = [
        kernel.pack(size, at + start * width, to + start * m) for start, size in thread_pool.split(w.size // m, count)
    ]
    thread_pool.run(kernel, chunks, (w, mask))
    return mask


def compress(w: np.ndarray, ties: str, nan: str, count: int | None = None) -> tuple[np.ndarray, np.ndarray] | None:
    """The values and the row-major metadata of the 2:4 mask of a matrix of 16-bit floats; None if no kernel does it.

    Arguments are those of `n_of_m`.
    """
    fits = w.ndim == 2 and w.shape[1] % 16 == 0 and w.flags.c_contiguous and w.flags.aligned
    if not fits or w.dtype.itemsize != 2 or not sources.supported(w.dtype, 4, ties):
        return None
    kernel = kernels.get(sources.compress_source(w.dtype, ties, nan))
    values = np.empty((w.shape[0], w.shape[1] // 2), w.dtype)
    metadata = np.empty((w.shape[0], w.shape[1] // 16), np.int16)
    if w.size:
        count = thread_pool.worth(w.size) if count is None else count
        at = (w.ctypes.data, values.ctypes.data, metadata.ctypes.data)
        parts = thread_pool.split(metadata.size, count)
        chunks = [kernel.pack(n, at[0] + 32 * i, at[1] + 16 * i, at[2] + 2 * i) for i, n in parts]
        thread_pool.run(kernel, chunks, (w, values, metadata))
    return values, metadata
