"""How what is seen of a candidate lies in bytes: told once in words, so that each step is its numbers alone.

Both ends keep the layouts that they know by their text: a run shows the same arrays after every step.
"""

from __future__ import annotations

import functools
import json
import math
from typing import Any, NamedTuple

import numpy as np

from refgrad.candidates.protocol import Observation, Value
from refgrad.isolation.dtypes import DTYPES, NAMES, MessageError

#: the dtype that stands for a number in place of an array
NUMBER = "number"
#: characters of a layout that is kept
KEPT = 1 << 14


class Part(NamedTuple):
    """An array: its dtype, `NUMBER` for a number, and its shape."""

    dtype: str
    shape: tuple[int, ...]


class Layout(NamedTuple):
    """Parameters in order, and the state of each leaf by name: all their bytes one after another."""

    params: tuple[Part, ...]
    state: tuple[tuple[tuple[str, Part], ...], ...]


def laid_out(seen: Observation) -> tuple[Layout, bytes]:
    """The layout of what was seen, and its bytes.

    Raises:
        MessageError: there is something else than arrays and numbers.
    """
    data: list[np.ndarray] = []
    params = tuple(_part(value, data) for value in seen.params)
    state = tuple(tuple((str(name), _part(value, data)) for name, value in each.items()) for each in seen.state)
    return Layout(params, state), b"".join(data)  # type: ignore[arg-type]


def _part(value: Value, data: list[np.ndarray]) -> Part:
    if isinstance(value, float) and not isinstance(value, np.generic):
        data.append(np.array([value]).view(np.uint8))
        return Part(NUMBER, ())
    array = np.asarray(value)
    if array.dtype not in NAMES:
        raise MessageError(f"an array of dtype {array.dtype}")
    data.append(array.reshape(-1).view(np.uint8))
    return Part(NAMES[array.dtype], array.shape)


@functools.lru_cache(maxsize=64)
def text_of(layout: Layout) -> str:
    """A layout as it crosses."""
    return json.dumps(layout)


def seen_in(text: Any, data: bytearray) -> Observation:
    """What was seen, in the layout of a text.

    Raises:
        MessageError: they do not fit.
    """
    if not isinstance(text, str):
        raise MessageError(f"{text!r:.40} in place of a layout")
    params, state, size = (_read if len(text) < KEPT else _read.__wrapped__)(text)
    if size != len(data):
        raise MessageError(f"{len(data)} bytes; legal: {size}")
    return Observation([each.of(data) for each in params], [{n: each.of(data) for n, each in s} for s in state])


class _Place(NamedTuple):
    """An array's place in the bytes."""

    dtype: np.dtype
    shape: tuple[int, ...]
    at: int
    number: bool

    def of(self, data: bytearray) -> Any:
        """The array there, or the number."""
        found = np.frombuffer(data, self.dtype, math.prod(self.shape), self.at)
        return float(found[0]) if self.number else found.reshape(self.shape)


@functools.lru_cache(maxsize=64)
def _read(text: str) -> tuple[list[_Place], list[list[tuple[str, _Place]]], int]:
    """The places of parameters and of states, and the number of bytes."""
    at = 0

    def place(part: Any) -> _Place:
        nonlocal at
        name, shape = part
        if not all(type(n) is int and n >= 0 for n in shape):
            raise MessageError(f"a shape {shape!r:.40}")
        number = name == NUMBER
        found = _Place(np.dtype(float) if number else DTYPES[name], tuple(shape), at, number)
        at += found.dtype.itemsize * math.prod(found.shape)
        return found

    try:
        params, state = json.loads(text)
        places = [place(each) for each in params]
        states = [[(str(name), place(each)) for name, each in own] for own in state]
    except MessageError:
        raise
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise MessageError(f"{type(error).__name__}: {error}") from None
    return places, states, at
