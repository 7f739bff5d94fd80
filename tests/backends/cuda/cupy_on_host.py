"""CuPy's own arrays in the host's memory, with kernels emulated there: no driver is asked."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import cupy
import numpy as np
import pytest

from refgrad.backends.cuda import cupy_device
from refgrad.backends.source import KernelSource
from tests.backends.cuda.devices import Emulated


def on_host(array: np.ndarray, card: int = 0) -> Any:
    """A CuPy array over the memory of a NumPy array, which says that it lies on a card."""
    array = np.ascontiguousarray(array).reshape(array.shape)
    memory = cupy.cuda.UnownedMemory(array.ctypes.data, max(array.nbytes, 1), array, card)
    return cupy.ndarray(array.shape, array.dtype, cupy.cuda.MemoryPointer(memory, 0))


def _back(array: Any) -> np.ndarray:
    """The NumPy array that such an array was made over."""
    return array.data.mem._owner


class EmulatedCupy(cupy_device.CupyDevice):
    """CuPy's device but for what needs a driver."""

    def __init__(self, folder: Path) -> None:
        self.emulated = Emulated(folder)
        #: how many arrays came to the host, and how many went from there
        self.gets, self.puts = 0, 0
        #: the streams of other libraries that work went to
        self.streams: list[int] = []

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        return on_host(np.empty(shape, dtype))

    def put(self, array: np.ndarray) -> Any:
        self.puts += 1
        return on_host(array.copy())

    def copy(self, array: Any) -> Any:
        return on_host(seen(array).copy())

    def get(self, array: Any) -> np.ndarray:
        self.gets += 1
        return seen(array).copy()

    def write(self, array: Any, values: np.ndarray) -> None:
        seen(array)[...] = values

    def _current(self, card: int) -> AbstractContextManager[None]:
        return nullcontext()

    def card(self) -> int:
        return 0

    def stream(self) -> None:
        return None

    def borrowed(self, stream: int) -> AbstractContextManager[Any]:
        self.streams.append(stream)
        return nullcontext()

    def read(self, array: Any) -> Any:
        return getattr(array, "held", array)

    def launch(self, source: KernelSource, blocks: int, threads: int, arguments: Sequence[float], stream: Any) -> None:
        self.emulated.launch(source, blocks, threads, arguments, stream)


@cache
def _device(folder: Path) -> EmulatedCupy:
    return EmulatedCupy(folder)


def installed(monkeypatch: pytest.MonkeyPatch, factory: pytest.TempPathFactory) -> EmulatedCupy:
    """The device that CuPy's arrays lie on from here on, whose kernels are compiled once for all tests."""
    folder = factory.getbasetemp() / "cupy_on_host"
    folder.mkdir(exist_ok=True)
    made = _device(folder)
    monkeypatch.setattr(cupy_device, "device", lambda: made)
    return made


def seen(array: Any) -> np.ndarray:
    """What a CuPy array over the host's memory shows, views of it included."""
    whole = _back(array).reshape(-1).view(np.uint8)
    start = array.data.ptr - _back(array).ctypes.data
    strided = np.lib.stride_tricks.as_strided
    first = whole[start : start + array.dtype.itemsize].view(array.dtype)
    return strided(first, array.shape, array.strides)
