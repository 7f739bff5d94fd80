"""Arrays in a safetensors file, by the package of that name; read with suspicion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from refgrad.arithmetic.dtypes import as_dtype
from refgrad.errors import ArgumentError
from refgrad.golden.records import GoldenError

try:
    import safetensors
    import safetensors.numpy as package
except ImportError:
    package = None  # type: ignore[assignment]


#: what dtypes are called in a file; the package's own reader of NumPy arrays has no bfloat16
DTYPES: Mapping[str, str] = {
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
    "BF16": "bfloat16",
    "BOOL": "bool",
}


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
    _package()
    try:
        return {name: _array(each) for name, each in safetensors.deserialize(data)}
    except Exception as error:  # the package has an exception of its own, and passes others on
        raise GoldenError(f"{where}: no safetensors file: {str(error)[:200]}") from None


def _array(each: Mapping[str, Any]) -> np.ndarray:
    name = DTYPES.get(each["dtype"])
    if name is None:
        raise ValueError(f"dtype {str(each['dtype'])[:20]!r}; legal: {', '.join(DTYPES)}")
    dtype = as_dtype(name) if name.endswith("16") and "float" in name else np.dtype(name)
    return np.frombuffer(bytes(each["data"]), dtype).reshape(each["shape"])


def _package():  # type: ignore[no-untyped-def]
    if package is None:
        raise ArgumentError("golden files need safetensors, which is not installed; install refgrad[golden]")
    return package
