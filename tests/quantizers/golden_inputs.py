"""Arrays that are exact in float32 and can be made anywhere, and digests of what became of them."""

from __future__ import annotations

import hashlib

import numpy as np


def _congruential() -> np.ndarray:
    """1024 numbers of a linear congruential generator, in steps of 2**-21 from -4 to 4."""
    state, found = 1, []
    for _ in range(1024):
        state = (1664525 * state + 1013904223) % 2**32
        found.append(((state >> 8) - 2**23) / 2**21)
    return np.asarray(found, np.float32)


SPREAD = _congruential()
TIES = ((((29 * np.arange(1024)) % 65) - 32) / 8).astype(np.float32)
SMALL = (SPREAD.astype(np.float64) ** 3 / 64).astype(np.float32)
ALL = (SPREAD, TIES, SMALL)


def digest(array: np.ndarray) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
