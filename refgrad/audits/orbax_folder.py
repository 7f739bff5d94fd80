"""Folders of Orbax: a tree of arrays, each in zarr's chunks, mostly in one store of OCDBT; read by TensorStore, which wrote them.

``_METADATA`` names the arrays. A folder of a step of a checkpoint manager has a folder of this kind for each of its items.
Source: https://github.com/google/orbax, docs of checkpoint formats.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorstore

from refgrad import whole_file
from refgrad.audits.stored import Contents, RecordError, Stored, identity

#: the file that names a folder's arrays, and its bytes at most; that of a folder with items
TREE, LONGEST, STEP = "_METADATA", 200_000_000, "_CHECKPOINT_METADATA"
#: what a folder is called until all of it is written
UNFINISHED = ".orbax-checkpoint-tmp"
#: bytes of unpacked chunks that stay in memory, so that one that is read in parts is unpacked once
CACHE = 1 << 30
#: values that are no arrays
OTHERS = ("None", "Dict", "List", "NamedTuple", "Tuple", "EmptyNode", "string")


def read(folder: str) -> Contents:
    """What a folder that Orbax wrote holds, or those of the items of a step.

    Args:
        folder: the path.

    Raises:
        RecordError: it was not written to its end, or an array or a part of one is missing or broken.
    """
    if UNFINISHED in os.path.basename(os.path.abspath(folder)):
        raise RecordError(f"{folder}: Orbax has not written it to its end; legal: a folder without {UNFINISHED}")
    items = [folder] if os.path.isfile(os.path.join(folder, TREE)) else _items(folder)
    found = Contents()
    for number, item in enumerate(items):
        own = Contents(_arrays(item), files=tuple(map(identity, _files(item))))
        found = found + own if number else own
    return found


def _items(folder: str) -> list[str]:
    places = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    found = [place for place in places if os.path.isfile(os.path.join(place, TREE))]
    if not found:
        raise RecordError(
            f"{folder}: no {TREE}, which names the arrays; legal: what Orbax from 0.5 on writes of a tree"
        )
    return found


def _files(folder: str) -> list[str]:
    return sorted(os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)


def _arrays(folder: str) -> dict[str, Stored]:
    path = os.path.join(folder, TREE)
    try:
        tree = json.loads(whole_file.read(path, LONGEST).decode())
        rows = [(entry["key_metadata"], entry["value_metadata"]) for entry in tree["tree_metadata"].values()]
        named = [(".".join(str(key["key"]) for key in keys), value["value_type"]) for keys, value in rows]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise RecordError(f"{path}: no tree that Orbax wrote") from None
    found: dict[str, Stored] = {}
    for name, kind in named:
        if name in found:
            raise RecordError(f"{path}: {name[:80]!r} is there twice")
        if kind not in OTHERS:
            found[name] = _stored(folder, name, tree)
    return found


def _stored(folder: str, name: str, tree: Mapping[str, Any]) -> Stored:
    store, where = _opened(folder, name, tree), f"{folder}!{name}"

    def part(start: int, stop: int) -> np.ndarray:
        pieces = [np.reshape(_taken(where, box), -1) for box in _boxes(store, start, stop)]
        return np.concatenate(pieces) if pieces else np.empty(0, dtype)

    dtype = np.dtype(store.dtype.numpy_dtype)
    return Stored(tuple(store.shape), dtype, part, where)


def _opened(folder: str, name: str, tree: Mapping[str, Any]) -> Any:
    """An array's store, of which nothing but its shape and dtype is read."""
    place = os.path.abspath(folder)
    if os.path.isfile(os.path.join(folder, "manifest.ocdbt")):
        lies: dict[str, Any] = {"driver": "ocdbt", "base": f"file://{place}/", "path": f"{name}/"}
    else:
        lies = {"driver": "file", "path": os.path.join(place, name) + "/"}
    spec = {
        "driver": "zarr3" if tree.get("use_zarr3") else "zarr",
        "kvstore": lies,
        "fill_missing_data_reads": False,  # a chunk that is missing would else be read as zeros
        "recheck_cached_data": False,
    }
    try:
        return tensorstore.open(spec, open=True, read=True, context=CONTEXT).result()
    except Exception as error:  # TensorStore has no one class for what is broken
        raise RecordError(f"{folder}: {name[:80]!r} cannot be opened: {_first_line(error)}") from None


CONTEXT = tensorstore.Context({"cache_pool": {"total_bytes_limit": CACHE}})


def _taken(where: str, box: Any) -> np.ndarray:
    try:
        found: np.ndarray = box.read().result()
        return found
    except Exception as error:  # the same
        raise RecordError(f"{where}: a part is missing or broken: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _boxes(store: Any, start: int, stop: int) -> Iterator[Any]:
    """The parts of an array that some of its elements, in C order, are together: whole rows, and parts of rows."""
    shape = tuple(store.shape)
    if start >= stop:
        return
    if not shape:
        yield store
        return
    row = math.prod(shape[1:])
    first, last = -(-start // row), stop // row
    if first > last:  # within one row
        yield from _boxes(store[last], start - last * row, stop - last * row)
        return
    if start < first * row:
        yield from _boxes(store[first - 1], start - (first - 1) * row, row)
    if first < last:
        yield store[first:last]
    if last * row < stop:
        yield from _boxes(store[last], 0, stop - last * row)
