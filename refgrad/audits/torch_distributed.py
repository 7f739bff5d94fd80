"""Folders of ``torch.distributed.checkpoint``, as FSDP and other DTensors are saved: a table of pieces, and the pieces.

The table, ``.metadata``, is a pickle, and is read as records that do nothing (`inert_pickle`); a piece is what ``torch.save``
writes, within a file of many, and is read by torch's loader of weights alone. Of a tensor's piece that loader reads no
element: it says where they lie, and they are read from there, a part at a time.
Source: https://github.com/pytorch/pytorch, torch/distributed/checkpoint/metadata.py and filesystem.py.
"""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from refgrad import whole_file
from refgrad.audits import torch_file
from refgrad.audits.inert_pickle import Record, value
from refgrad.audits.inert_pickle import read as read_inert
from refgrad.audits.sharded import reshaped, whole
from refgrad.audits.stored import Contents, Piece, RecordError, Stored, from_file, identity

#: the table's file, and its bytes at most
TABLE, LONGEST = ".metadata", 1 << 30
LEGAL = "what torch.distributed.checkpoint writes"
#: modules whose classes are records: the table's own, and where they were in earlier versions
RECORDS = (
    "torch.distributed.checkpoint.metadata",
    "torch.distributed.checkpoint.filesystem",
    "torch.distributed._shard.sharded_tensor.metadata",
    "torch.distributed._shard.metadata",
)
#: names that stand for the value they are made from, or for a plain container of it
VALUES: Mapping[tuple[str, str], Any] = {
    ("torch", "Size"): lambda *args: tuple(args[0]) if args else (),
    ("torch.serialization", "_get_layout"): value,
    ("collections", "OrderedDict"): OrderedDict,
    **{
        (module, name): lambda *args: "/".join(map(str, args))
        for module in ("pathlib", "pathlib._local")
        for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
    },
}
Key = tuple[str, tuple[int, ...]]
Place = tuple[str, int, int]


def read(folder: str) -> Contents:
    """What a folder of ``torch.distributed.checkpoint`` holds, each tensor as a whole.

    Args:
        folder: with its ``.metadata``.

    Raises:
        RecordError: the table is none, has what would have to be executed, or a shard is missing or was cut.
    """
    path = os.path.join(folder, TABLE)
    table = read_inert(path, whole_file.read(path, LONGEST), _known, LEGAL)
    entries, lain = (
        table.field(n) if isinstance(table, Record) else None for n in ("state_dict_metadata", "storage_data")
    )
    if not isinstance(entries, Mapping) or not isinstance(lain, Mapping):
        raise RecordError(f"{path}: no table of {LEGAL}")
    places = {_key(path, index): _place(path, info) for index, info in lain.items()}
    files = [path, *(os.path.join(folder, name) for name in sorted({place[0] for place in places.values()}))]
    _check_there(folder, places)
    paths = table.field("planner_data")
    nested: dict[Any, Any] = {}
    for name, entry in entries.items():
        keys = paths.get(name) if isinstance(paths, Mapping) else None
        found = _entry(folder, str(name), entry, places)
        _put(path, nested, keys if isinstance(keys, tuple) and keys else (str(name),), found)
    loaded = {key: _plain(each) for key, each in nested.items()}
    return torch_file.contents(folder, loaded, tuple(map(identity, files)))


def _known(module: str, name: str) -> Any:
    if (module, name) in VALUES:
        return VALUES[module, name]
    if module in RECORDS:
        return value if name.endswith("_MEM_FORMAT_ENCODING") or name == "MEM_FORMAT_ENCODING" else Record
    return name if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype) else None


def _sizes(path: str, given: Any) -> tuple[int, ...]:
    if not isinstance(given, tuple | list) or not all(type(n) is int and n >= 0 for n in given) or len(given) > 64:
        raise RecordError(f"{path}: {str(given)[:80]} is no shape; legal: {LEGAL}")
    return tuple(given)


def _key(path: str, index: Any) -> Key:
    offset = index.field("offset") if isinstance(index, Record) else None
    return str(index.field("fqn") if isinstance(index, Record) else index), _sizes(path, offset or ())


def _place(path: str, info: Any) -> Place:
    """The file of a piece, and where in it the piece begins and how long it is."""
    told = [info.field(n) if isinstance(info, Record) else None for n in ("relative_path", "offset", "length")]
    file, begin, length = told
    if not isinstance(file, str) or os.path.basename(file) != file or file in ("", ".", ".."):
        raise RecordError(f"{path}: a shard is no file beside the table")
    if type(begin) is not int or type(length) is not int or begin < 0 or length < 0:
        raise RecordError(f"{path}: a shard is no part of {file[:80]!r}")
    if info.field("transform_descriptors"):
        raise RecordError(f"{path}: its shards are compressed or encrypted; legal: plain ones")
    return file, begin, length


def _check_there(folder: str, places: Mapping[Key, Place]) -> None:
    """That each shard is there, and as long as its last piece needs."""
    needed: dict[str, int] = {}
    for file, begin, length in places.values():
        needed[file] = max(needed.get(file, 0), begin + length)
    for file, length in needed.items():
        path = os.path.join(folder, file)
        if not os.path.isfile(path):
            raise RecordError(f"{path}: this shard is missing; legal: all files that {TABLE} names")
        if os.path.getsize(path) < length:
            raise RecordError(
                f"{path}: this shard was cut: it has {os.path.getsize(path)} bytes; legal: {length} at least"
            )


def _entry(folder: str, name: str, entry: Any, places: Mapping[Key, Place]) -> Any:
    """An array of all its pieces, or what is no tensor."""
    path, where = os.path.join(folder, TABLE), f"{folder}!{name}"
    chunks = entry.field("chunks") if isinstance(entry, Record) else None
    if chunks is None:
        return _object(folder, where, places.get((name, ())))
    shape, properties = _sizes(path, entry.field("size")), entry.field("properties")
    state = properties.state if isinstance(properties, Record) else None
    kind = properties.field("dtype") or (state[0] if isinstance(state, tuple | list) and state else None)
    if not isinstance(kind, str) or not isinstance(chunks, list) or not all(isinstance(c, Record) for c in chunks):
        raise RecordError(f"{path}: {name[:80]!r} has no dtype or no pieces; legal: {LEGAL}")
    pieces = []
    for chunk in chunks:
        offsets, sizes = (_sizes(path, chunk.field(n)) for n in ("offsets", "sizes"))
        if (name, offsets) not in places:
            raise RecordError(f"{path}: {name[:80]!r} has a piece at {offsets} that lies in no file")
        pieces.append(Piece(offsets, _piece(folder, name, sizes, getattr(torch, kind), places[name, offsets])))
    if not shape and pieces:
        return reshaped(pieces[0].stored, ())
    return whole(shape, pieces, where)


def _object(folder: str, where: str, place: Place | None) -> Any:
    if place is None:
        raise RecordError(f"{where} lies in no file")
    with whole_file.opened(os.path.join(folder, place[0])) as file:
        return torch_file.load_inert(f"{where} in {place[0]}", _Section(file, place[1], place[2]))


def _piece(folder: str, name: str, sizes: tuple[int, ...], dtype: torch.dtype, place: Place) -> Stored:
    """A piece of a tensor, of which it is looked up where its elements lie when the first of them are read."""
    path, empty = os.path.join(folder, place[0]), torch_file.stored(name, torch.empty(0, dtype=dtype))
    known: list[Any] = []

    def part(start: int, stop: int) -> np.ndarray:
        if not known:
            begin = _elements(path, name, sizes, dtype, place)
            known.append(from_file(path, begin, empty.dtype))
        found: np.ndarray = known[0](start, stop)
        return found

    return Stored(sizes, empty.dtype, part, f"{path}@{place[1]}!{name}")


def _elements(path: str, name: str, sizes: tuple[int, ...], dtype: torch.dtype, place: Place) -> int:
    """Where in a file the elements of a piece begin."""
    where = f"{path}: the piece of {name[:80]!r} at {place[1]}"
    try:
        with whole_file.opened(path) as file, FakeTensorMode():
            piece: Any = _Section(file, place[1], place[2])
            found = torch.load(piece, map_location="cpu", weights_only=True)
            storage = found.untyped_storage()
            inner = storage._checkpoint_offset + found.storage_offset() * found.element_size()
            as_told = tuple(found.shape) == sizes and found.dtype == dtype and found.is_contiguous()
    except Exception as error:  # torch has no one class for a file that is broken
        told = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise RecordError(f"{where} is no tensor that torch.save wrote: {told}") from None
    if not as_told or inner + int(np.prod(sizes)) * found.element_size() > place[2]:
        raise RecordError(f"{where} is not what {TABLE} says: {tuple(found.shape)} of {found.dtype}")
    return int(place[1] + inner)


class _Section(io.RawIOBase):
    """A part of a file as a file of its own."""

    def __init__(self, file: Any, begin: int, length: int) -> None:
        self._file, self._begin, self._length, self._at = file, begin, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: max(0, self._length - self._at)]
        self._file.seek(self._begin + self._at)
        count: int = self._file.readinto(view)
        self._at += count
        return count


def _put(path: str, nested: dict[Any, Any], keys: tuple[Any, ...], found: Any) -> None:
    """A value in nested dicts."""
    for key in keys[:-1]:
        nested = nested.setdefault(key, {})
        if not isinstance(nested, dict):
            raise RecordError(f"{path}: {'.'.join(map(str, keys))[:80]!r} lies within what is no dict")
    if keys[-1] in nested:
        raise RecordError(f"{path}: {'.'.join(map(str, keys))[:80]!r} is there twice")
    nested[keys[-1]] = found


def _plain(nested: Any) -> Any:
    """Dicts whose keys are the places of a list as that list; numbers of parameters that became texts as numbers."""
    if not isinstance(nested, dict):
        return nested
    found = {key: _plain(each) for key, each in nested.items()}
    if found and set(found) == set(range(len(found))):
        return [found[i] for i in range(len(found))]
    groups = found.get("param_groups")
    if isinstance(groups, list) and isinstance(found.get("state"), dict):
        called = [key for group in groups if isinstance(group, Mapping) for key in group.get("params", ())]
        numbers = {str(key): key for key in called if isinstance(key, int)}
        found["state"] = {numbers.get(key, key): each for key, each in found["state"].items()}
    return found
