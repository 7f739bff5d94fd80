"""NumPy's .npy and .npz: arrays part by part, also of members that are compressed; no pickle is ever read."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Callable
from typing import IO, Any

import ml_dtypes
import numpy as np

from refgrad import whole_file
from refgrad.audits.stored import Contents, RecordError, Stored, from_file, identity

#: bytes of an array's header at most
LONGEST = 10_000
#: bytes of a zip file's header of a member, before its name
LOCAL = 30


def read_npy(path: str) -> Contents:
    """What an .npy file holds: one array, by the file's name without its suffix.

    Args:
        path: of the file.

    Raises:
        RecordError: it is no such file, or holds no plain numbers.
    """
    with whole_file.opened(path) as file:
        shape, dtype = _header(path, file)
        offset = file.tell()
        _check_room(path, path, offset, shape, dtype)
    name = path.replace("\\", "/").rpartition("/")[2].removesuffix(".npy")
    stored = Stored(shape, dtype, from_file(path, offset, dtype), f"{path}@{offset}")
    return Contents({name: stored}, files=(identity(path),))


def read_npz(path: str) -> Contents:
    """What an .npz file holds.

    Args:
        path: of the file.

    Raises:
        RecordError: it is no such file, or a member holds no plain numbers.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(path) as whole:
            for info in whole.infolist():
                name = info.filename.removesuffix(".npy")
                if name in arrays:
                    raise RecordError(f"{path}: {name[:80]!r} is there twice")
                arrays[name] = _member(path, whole, info)
    except RecordError:
        raise
    except Exception as error:  # a zip file that is broken raises many
        raise RecordError(f"{path}: no .npz file, or one that was cut: {str(error)[:200]}") from None
    return Contents(arrays, files=(identity(path),), ordered=True)


def _member(path: str, whole: zipfile.ZipFile, info: zipfile.ZipInfo) -> Stored:
    where = f"{path}: {info.filename[:80]!r}"
    with whole.open(info) as file:
        shape, dtype = _header(where, file)
        begin = file.tell()
    size = math.prod(shape) * dtype.itemsize
    if info.file_size != begin + size:
        raise RecordError(f"{where} has {info.file_size} bytes; legal: {begin + size}, for its shape {shape}")
    if info.compress_type != zipfile.ZIP_STORED:
        return Stored(shape, dtype, _Unpacked(path, info.filename, begin, dtype), f"{path}!{info.filename}")
    offset = _data_offset(where, path, info) + begin
    _check_room(where, path, offset, shape, dtype)
    return Stored(shape, dtype, from_file(path, offset, dtype), f"{path}@{offset}")


def _check_room(where: str, path: str, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """That a file is as long as an array in it, of which nothing has been read yet."""
    needed, size = offset + math.prod(shape) * dtype.itemsize, os.path.getsize(path)
    if needed > size:
        raise RecordError(f"{where}: the file has {size} bytes; legal: {needed} at least, for its shape {shape}")


def _data_offset(where: str, path: str, info: zipfile.ZipInfo) -> int:
    """Where the bytes of a member that is not compressed begin in the file."""
    with whole_file.opened(path) as file:
        file.seek(info.header_offset)
        head = file.read(LOCAL)
    if len(head) != LOCAL or head[:4] != b"PK\x03\x04":
        raise RecordError(f"{where} is not where the file says")
    name, extra = int.from_bytes(head[26:28], "little"), int.from_bytes(head[28:30], "little")
    return info.header_offset + LOCAL + name + extra


class _Unpacked:
    """The elements of a compressed member, unpacked as they are asked for; what goes on from the last goes on in the file."""

    def __init__(self, path: str, member: str, begin: int, dtype: np.dtype) -> None:
        self._path, self._member, self._begin, self._dtype = path, member, begin, dtype
        self._file: IO[bytes] | None = None

    def __call__(self, start: int, stop: int) -> np.ndarray:
        first, count = self._begin + start * self._dtype.itemsize, (stop - start) * self._dtype.itemsize
        try:
            file = self._opened(first)
            file.seek(first)
            data = file.read(count)
        except Exception as error:  # the same
            raise RecordError(f"{self._path}: {self._member!r} cannot be unpacked: {str(error)[:200]}") from None
        return np.frombuffer(data[: len(data) - len(data) % self._dtype.itemsize], self._dtype)

    def _opened(self, first: int) -> IO[bytes]:
        """The member, at or before a byte of it."""
        if self._file is None or self._file.tell() > first:
            if self._file is not None:
                self._file.close()
            with zipfile.ZipFile(self._path) as whole:
                self._file = whole.open(self._member)  # which keeps the file open by itself
        return self._file


def _header(where: str, file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """The shape and the dtype that the header of an array says."""
    readers: dict[tuple[int, int], Callable[..., Any]] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        version = np.lib.format.read_magic(file)
        if version not in readers:
            raise ValueError(f"version {version}")
        shape, by_columns, dtype = readers[version](file, max_header_size=LONGEST)
    except Exception as error:  # NumPy's reader has no one class for what is none
        raise RecordError(f"{where}: no array of NumPy's format: {str(error)[:200]}") from None
    if dtype.kind == "V" and dtype.itemsize == 2 and dtype.names is None:
        dtype = np.dtype(ml_dtypes.bfloat16)  # NumPy writes its numbers, and not its name
    if dtype.hasobject or (dtype.kind not in "fiub" and dtype != ml_dtypes.bfloat16):
        raise RecordError(f"{where} has dtype {dtype}; legal: plain numbers (objects are pickled, and are never read)")
    if by_columns and sum(n > 1 for n in shape) > 1:
        raise RecordError(f"{where} was saved by columns; legal: np.ascontiguousarray of it")
    if any(n < 0 for n in shape):
        raise RecordError(f"{where} has shape {shape}")
    return shape, dtype
