"""CuPy's arrays as a device: its memory, its current stream, and kernels that NVRTC compiles for the card's architecture.

Kernels are loaded as machine code. CuPy's own operations are used for memory alone: they flush subnormal numbers.
No card has run this module (docs/cuda.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any

import numpy as np

from refgrad.backends.cuda import cupy_errors, nvrtc
from refgrad.backends.cuda.dialect import SYMBOL
from refgrad.backends.source import KernelSource
from refgrad.errors import ArgumentError, bad_argument


class CupyDevice:
    """The card that is CuPy's current one.

    >>> CupyDevice().name
    'cupy'
    """

    name = "cupy"

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """A new array, whose elements are anything."""
        import cupy

        return cupy.empty(shape, dtype)

    def put(self, array: np.ndarray) -> Any:
        """An array of the host's, on the card."""
        import cupy

        return cupy.asarray(array)

    def copy(self, array: Any) -> Any:
        """A new contiguous array with the same elements."""
        return array.copy(order="C")

    def spread(self, array: Any, shape: tuple[int, ...]) -> Any:
        """An array broadcast to a shape."""
        import cupy

        return cupy.broadcast_to(array, shape)

    def get(self, array: Any) -> np.ndarray:
        """A copy on the host; what was put into the current stream has ended then."""
        return np.asarray(array.get(), array.dtype).reshape(array.shape)

    def read(self, array: Any) -> Any:
        """An array of CuPy's, or of another library's on the card, as CuPy's."""
        import cupy

        return array if isinstance(array, cupy.ndarray) else cupy.from_dlpack(array)

    def write(self, array: Any, values: np.ndarray) -> None:
        """An array overwritten, whatever its strides."""
        array[...] = self.put(values)

    @contextmanager
    def running(self, arrays: Sequence[Any]) -> Iterator[None]:
        """The card on which the arrays lie is the current one; CuPy's errors are sentences.

        Raises:
            ArgumentError: the arrays lie on several cards.
            DeviceError: there is no driver, no card, or no memory.
        """
        cards = {int(a.device.id): a for a in arrays if type(a).__module__.partition(".")[0] == "cupy"}
        if len(cards) > 1:
            raise bad_argument("the device of the arrays", sorted(cards), "one device for all of them")
        with cupy_errors.explained(), self._current(next(iter(cards), 0)):
            yield

    def _current(self, card: int) -> AbstractContextManager[Any]:
        import cupy

        return cupy.cuda.Device(card)

    def address(self, array: Any) -> int:
        """Where the elements begin."""
        return int(array.data.ptr)

    def card(self) -> int:
        """The number of CuPy's current card."""
        import cupy

        return int(cupy.cuda.Device().id)

    def stream(self) -> Any:
        """CuPy's current stream."""
        import cupy

        return cupy.cuda.get_current_stream()

    def borrowed(self, stream: int) -> AbstractContextManager[Any]:
        """Within it another library's stream is CuPy's current one."""
        import cupy

        return cupy.cuda.ExternalStream(stream)

    def launch(self, source: KernelSource, blocks: int, threads: int, arguments: Sequence[float], stream: Any) -> None:
        """A kernel put into a stream.

        Raises:
            ArgumentError: the stream captures a graph, which would go on with the scalars of this step for ever.
            CompilerMissing: NVRTC is not installed.
        """
        if stream.is_capturing():
            what = (
                "a kernel is launched into a stream that captures a graph, which would repeat the numbers of this step"
            )
            raise ArgumentError(f"{what}; legal: steps outside of captured graphs")
        kinds = [np.int64] * source.integers + [np.uint64] * len(source.arrays) + [np.float64] * source.scalars
        given = tuple(kind(value) for kind, value in zip(kinds, arguments, strict=True))
        _function(source, _architecture())((blocks,), (threads,), given, stream=stream)


def _architecture() -> str:
    """The newest architecture that NVRTC knows and that the current card runs."""
    import cupy

    capability = int(cupy.cuda.Device().compute_capability)
    # machine code of one generation runs on its later cards: 8.0's on 8.9, and not 9.0's on 10.0
    known = [int(name.removeprefix("sm_")) for name in nvrtc.architectures()]
    fits = [number for number in known if number <= capability and number // 10 == capability // 10]
    return f"sm_{max(fits, default=capability)}"


_LOADED: dict[tuple[int, str, str], tuple[Any, Any]] = {}


def _function(source: KernelSource, arch: str) -> Any:
    """A kernel, loaded once on each card; the module that owns it is kept with it."""
    import cupy

    key = (cupy.cuda.Device().id, source.text, arch)
    if key not in _LOADED:
        module = cupy.cuda.function.Module()
        module.load(nvrtc.compile_source(source, arch).cubin)
        _LOADED[key] = module, module.get_function(SYMBOL)
    return _LOADED[key][1]


@cache
def device() -> CupyDevice:
    """The one device of this kind."""
    return CupyDevice()
