"""Arrays in a safetensors file, by the package of that name; read with suspicion."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refgrad.errors import ArgumentError
from refgrad.golden.records import GoldenError

try:
    import safetensors.numpy as package
except ImportError:
    package = None  # type: ignore[assignment]


def packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays by name as the bytes of a safetensors file.

    Raises:
        ArgumentError: safetensors is not installed.
    """
    contiguous = {n: np.ascontiguousarray(a).reshape(np.shape(a)) for n, a in arrays.items()}
    return bytes(_package().save(contiguous))


def unpacked(data: bytes, where: str) -> dict[str, np.ndarray]:
    """The arrays of such a file.

    Args:
        data: its bytes.
        where: what errors call it.

    Raises:
        GoldenError: they are no safetensors file.
        ArgumentError: safetensors is not installed.
    """
    reader = _package()
    try:
        found: dict[str, np.ndarray] = reader.load(data)
    except Exception as error:  # the package has an exception of its own, and passes others on
        raise GoldenError(f"{where}: no safetensors file: {str(error)[:200]}") from None
    return found


def _package():  # type: ignore[no-untyped-def]
    if package is None:
        raise ArgumentError("golden files need safetensors, which is not installed; install refgrad[golden]")
    return package
