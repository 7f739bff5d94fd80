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


def without_copies(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays by name without those that another one before them is, in dtype, shape and every bit; and which one that is.

    A state, a gradient and exact results are those of many cases of a rule: half of all arrays are copies.

    Args:
        arrays: by name, in the order in which the first of equal ones is kept.
    """
    kept: dict[str, np.ndarray] = {}
    copies: dict[str, str] = {}
    first: dict[tuple[str, tuple[int, ...], bytes], str] = {}
    for name, array in arrays.items():
        other = first.setdefault((str(array.dtype), array.shape, np.ascontiguousarray(array).tobytes()), name)
        if other == name:
            kept[name] = array
        else:
            copies[name] = other
    return kept, copies


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
