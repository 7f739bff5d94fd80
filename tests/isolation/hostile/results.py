"""What a candidate returns that is nothing that it should return."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import numpy as np

from refgrad.examples.numpy_adamw import adamw as right
from tests.isolation.hostile.right import Given, at, giving


class Lying(np.ndarray):
    """Says that it equals everything."""

    def __eq__(self, other: Any) -> Any:
        return True

    def tobytes(self, *_: Any) -> bytes:
        return b""


class Changing:
    """Another array each time."""

    def __init__(self, array: np.ndarray) -> None:
        self._array, self._asked = array, 0

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        self._asked += 1
        return self._array * self._asked


class Bomb:
    """Runs a program where somebody unpickles it."""

    def __reduce__(self) -> Any:
        return os._exit, (0,)


async def _later() -> None:
    await asyncio.sleep(0)


def _reversed(array: np.ndarray) -> np.ndarray:
    return array[..., ::-1].copy()[..., ::-1] if array.ndim else array


def _read_only(p: np.ndarray, m: np.ndarray, v: np.ndarray) -> Any:
    for array in (p, m, v):
        array.flags.writeable = False
    return p, m, v


def _keeps_gradient(given: Given) -> Any:
    new, _, v = right(**given)
    return new, given["g"], v


inputs = at(2, lambda given: (given["p"], given["m"], given["v"]))
nothing = giving(lambda p, m, v: ())
too_many = giving(lambda p, m, v: (p, m, v, v))
other_names = giving(lambda p, m, v: {"p": p, "m": m, "w": v})
views = giving(lambda p, m, v: (p[:0], m[::2], v))
backwards = giving(lambda p, m, v: (_reversed(p), _reversed(m), v))
read_only = giving(_read_only)
generator = giving(lambda p, m, v: (x for x in (p, m, v)))
coroutine = giving(lambda p, m, v: _later())
lying = giving(lambda p, m, v: ((p + 1).view(Lying), m.view(Lying), v.view(Lying)))
changing = giving(lambda p, m, v: (Changing(p), m, v))
bomb = giving(lambda p, m, v: (Bomb(), m, v))
masked = giving(lambda p, m, v: (np.ma.masked_array(p, np.ones(p.shape, bool)), m, v))
objects = giving(lambda p, m, v: (p.astype(object), m, v))
strings = giving(lambda p, m, v: ("p", "m", "v"))
lists = giving(lambda p, m, v: (p.tolist(), m, v))
wide = giving(lambda p, m, v: (p.astype(np.float64), m, v))
other_bytes = giving(lambda p, m, v: (p.astype(p.dtype.newbyteorder()), m, v))
complex_numbers = giving(lambda p, m, v: (p.astype(np.complex64), m, v))
records = giving(lambda p, m, v: (np.zeros(p.shape, [("x", np.float32)]), m, v))
another_axis = giving(lambda p, m, v: (p[None], m, v))
enormous = giving(lambda p, m, v: (np.zeros(1 << 29, np.float32), m, v))
no_numbers = giving(lambda p, m, v: (p * np.float32(np.nan), m, v))
one_array_twice = giving(lambda p, m, v: (p, v, v))
writes_gradient = at(2, lambda given: given["g"].fill(0))
keeps_gradient = at(None, _keeps_gradient)
