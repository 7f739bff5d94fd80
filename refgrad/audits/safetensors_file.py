"""safetensors: a length, a JSON header, and arrays as they are; read part by part, and written.

The package of that name reads a file's arrays whole, and has no bfloat16 for NumPy; the format is small enough to read it here,
with suspicion: whatever the header says is held against the file before a byte of an array is read.
Source: https://github.com/huggingface/safetensors, "Format".
"""

from __future__ import annotations

import itertools
import json
import math
import os
import struct
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from refgrad import whole_file
from refgrad.audits.stored import Contents, RecordError, Stored, from_file, identity

#: bytes of a header at most, as the format's own reader has it
LONGEST = 100_000_000
#: what dtypes are called in a file
DTYPES: Mapping[str, np.dtype] = {
    **{f"F{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
    **{f"I{bits}": np.dtype(f"<i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"U{bits}": np.dtype(f"<u{bits // 8}") for bits in (8, 16, 32, 64)},
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "BOOL": np.dtype(bool),
}


def read(path: str) -> Contents:
    """What a safetensors file holds.

    Args:
        path: of the file.

    Raises:
        RecordError: it is no such file, or its header does not fit it.
    """
    with whole_file.opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else -1
        if not 2 <= length <= min(size - 8, LONGEST):
            raise RecordError(f"{path}: no safetensors file, or one that was cut: its header does not fit the file")
        header = _header(path, file.read(length))
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise RecordError(f"{path}: __metadata__ is no dict of texts")
    room = size - 8 - length
    arrays = {name: _stored(path, name, each, 8 + length, room) for name, each in header.items()}
    _check_apart(path, header)
    return Contents(arrays, metadata=metadata, files=(identity(path),))


def _header(path: str, data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=lambda pairs: _once(path, pairs))
    except (ValueError, RecursionError):
        raise RecordError(f"{path}: no safetensors file: its header is no JSON") from None
    if not isinstance(found, dict):
        raise RecordError(f"{path}: no safetensors file: its header is no dict")
    return found


def _once(path: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RecordError(f"{path}: a name is twice in the header")
    return found


def _stored(path: str, name: str, entry: Any, begin: int, room: int) -> Stored:
    """An array, of which the header says nothing that does not fit the file."""
    where = f"{path}: {name[:80]!r}"
    kind = entry.get("dtype") if isinstance(entry, dict) else entry
    if not isinstance(entry, dict) or not isinstance(kind, str) or kind not in DTYPES:
        raise RecordError(f"{where} has dtype {ascii(kind)[:20]}; legal: {', '.join(DTYPES)}")
    dtype = DTYPES[entry["dtype"]]
    shape: Any = entry.get("shape")
    offsets: Any = entry.get("data_offsets")
    if not (_whole(shape) and _whole(offsets) and len(offsets) == 2):
        raise RecordError(f"{where} has no shape or no offsets that are whole numbers from 0 on")
    start, stop = offsets
    if stop - start != math.prod(shape) * dtype.itemsize or not 0 <= start <= stop <= room:
        raise RecordError(f"{where} has offsets {start} to {stop}, which do not fit its shape {shape} or the file")
    return Stored(tuple(shape), dtype, from_file(path, begin + start, dtype), f"{path}@{begin + start}")


def _whole(values: Any) -> bool:
    return isinstance(values, list) and all(type(n) is int and n >= 0 for n in values) and len(values) <= 64


def _check_apart(path: str, header: Mapping[str, Any]) -> None:
    spans = sorted(each["data_offsets"] for each in header.values())
    for (_, stop), (start, _) in itertools.pairwise(spans):
        if start < stop:
            raise RecordError(f"{path}: two arrays share bytes of the file")


def write(path: str, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> None:
    """Write arrays; a file of that name is there whole or not at all.

    Args:
        path: of the file.
        arrays: by name; of the dtypes of `DTYPES`.
        metadata: texts by name.

    Raises:
        RecordError: an array has another dtype.
    """
    names = {dtype: name for name, dtype in DTYPES.items()}
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    start = 0
    for name, array in arrays.items():
        stop = start + array.nbytes
        kind = names.get(array.dtype.newbyteorder("<") if array.dtype.kind in "fiu" else array.dtype)
        if kind is None:
            raise RecordError(f"{path}: {name[:80]!r} has dtype {array.dtype}; legal: {', '.join(DTYPES)}")
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(header).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with whole_file.written(path, synced=False) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            data = np.ascontiguousarray(array)
            file.write(
                data.astype(data.dtype.newbyteorder("<"), copy=False).data
                if data.dtype.kind in "fiu"
                else data.tobytes()
            )
