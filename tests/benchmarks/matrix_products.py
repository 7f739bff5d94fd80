"""Products of square matrices, by NumPy along the tree, by the blocked kernel along the same tree, and by BLAS in any order.

``OPENBLAS_NUM_THREADS=1 python -m tests.benchmarks.matrix_products [largest size]``: the three take turns, on one thread, and the
processor's time of that thread is counted, so that other work on the machine is not. Medians of 7 rounds.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from refgrad.arithmetic import matrices
from refgrad.backends import matrix_kernel

SIZES, ROUNDS = (64, 128, 256, 512, 1024), 7


def products(size: int, dtype: str = "float32") -> dict[str, Callable[[], np.ndarray]]:
    """One product of two matrices of normal numbers, in each way."""
    random = np.random.default_rng(0)
    a, b = (random.standard_normal((size, size)).astype(dtype) for _ in range(2))
    return {
        "NumPy, along the tree": lambda: matrices.tree_product(a, b),
        "the blocked kernel": lambda: matrix_kernel.by_kernel(a, b),
        "BLAS": lambda: a @ b,
    }


def speeds(size: int, dtype: str = "float32", rounds: int = ROUNDS) -> dict[str, float]:
    """Billions of multiplications and additions a second, the ways taking turns."""
    calls = products(size, dtype)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            start, count = time.thread_time(), 0
            while count < 1 or time.thread_time() - start < 0.002:
                call()
                count += 1
            times[name].append((time.thread_time() - start) / count)
    return {name: 2e-9 * size**3 / statistics.median(found) for name, found in times.items()}


def main() -> None:
    """Print the table."""
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else SIZES[-1]
    names = list(products(1))
    print(f"| type | size | {' | '.join(names)} | kernel / NumPy | kernel / BLAS |")
    print("|---|---|" + "---|" * (len(names) + 2))
    for dtype in ("float32", "float64"):
        for size in (s for s in SIZES if s <= largest):
            tree, kernel, blas = found = list(speeds(size, dtype).values())
            shown = " | ".join(f"{x:.1f}" for x in found)
            print(f"| {dtype} | {size} | {shown} | {kernel / tree:.1f} | {kernel / blas:.2f} |", flush=True)


if __name__ == "__main__":
    main()
