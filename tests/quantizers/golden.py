"""Inputs that every reader can make, exact in float32, and the digest that stands for an array."""

from __future__ import annotations

import hashlib

import numpy as np


def _generated(count: int) -> np.ndarray:
    """A linear congruential generator's upper 24 bits, centred: multiples of 2**-21 in [-4, 4)."""
    u, found = 1, []
    for _ in range(count):
        u = (1664525 * u + 1013904223) % 2**32
        found.append(((u >> 8) - 2**23) / 2**21)
    return np.asarray(found)


SPREAD = _generated(1024).astype(np.float32)
TIES = ((((29 * np.arange(1024)) % 65) - 32) / 8).astype(np.float32)
PEAKED = (_generated(1024) ** 3 / 64).astype(np.float32)
#: every group of 16 of another magnitude from 2**-8 to 2**8, one element in seven a zero of either sign, one group
#: in five all zeros
MIXED = np.where(np.arange(8192) % 7 == 3, 0.0, _generated(8192)) * np.exp2(np.arange(8192) // 16 * 5 % 17 - 8.0)
MIXED = (MIXED * (np.arange(8192) // 16 % 5 != 4)).astype(np.float32)

INPUTS = {"spread": SPREAD, "ties": TIES, "peaked": PEAKED, "mixed": MIXED}


def digest(array: np.ndarray) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of an array's little-endian bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
