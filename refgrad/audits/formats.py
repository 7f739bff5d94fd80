"""The formats of files that are read: one table, from a suffix to what reads it; folders and indices of shards."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from refgrad import whole_file
from refgrad.audits import numpy_file, safetensors_file
from refgrad.audits.sharded import assembled
from refgrad.audits.stored import Contents, RecordError, identity
from refgrad.errors import ArgumentError, bad_argument

#: bytes of an index, and shards that it may name
LONGEST, MOST = 200_000_000, 100_000


def _by_torch(module: str, what: str, path: str) -> Contents:
    """What a module of this room reads, which needs torch."""
    if importlib.util.find_spec("torch") is None:
        raise ArgumentError(f"{path!r} is {what}, and torch is not installed; legal: install refgrad[torch]")
    found: Contents = importlib.import_module(f"refgrad.audits.{module}").read(path)
    return found


def _orbax(path: str) -> Contents:
    if importlib.util.find_spec("tensorstore") is None:
        raise ArgumentError(
            f"{path!r} is a checkpoint of Orbax, and tensorstore is not installed; legal: install refgrad[orbax]"
        )
    found: Contents = importlib.import_module("refgrad.audits.orbax_folder").read(path)
    return found


def _torch(path: str) -> Contents:
    return _by_torch("torch_file", "a file of torch.save", path)


def _index(path: str) -> Contents:
    """The shards that an index names, each once, and of each the arrays that the index says."""
    mapped = _document(path).get("weight_map")
    if not isinstance(mapped, dict) or not all(isinstance(name, str) for name in mapped.values()):
        raise RecordError(f"{path}: no index of shards: weight_map is no dict of file names")
    shards, folder = list(dict.fromkeys(mapped.values())), os.path.dirname(path)
    if len(shards) > MOST or any(os.path.basename(name) != name or name in ("", ".", "..") for name in shards):
        raise RecordError(f"{path}: a shard is no file beside the index")
    found = Contents(files=(identity(path),))
    for name in shards:
        found += _shard(_existing(os.path.join(folder, name), f"a shard of {path}"))
    missing = [name for name, shard in mapped.items() if name not in found.arrays]
    missing += [
        n
        for n, each in found.arrays.items()
        if not each.place.startswith(tuple(os.path.join(folder, mapped.get(n, "")) + mark for mark in "@!"))
    ]
    if missing:
        raise RecordError(f"{path}: {missing[0][:80]!r} is not in the shard that the index says")
    return found


def _shard(path: str) -> Contents:
    if whole_file.is_special(path):
        raise RecordError(f"{path}: a shard that is no regular file")
    return safetensors_file.read(path) if path.endswith(".safetensors") else _torch(path)


def _document(path: str) -> Mapping[str, Any]:
    try:
        found = json.loads(whole_file.read(path, LONGEST).decode("utf-8"))
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RecordError(f"{path}: no JSON document of less than {LONGEST} bytes")
    return found


#: how a file's name ends -> what reads it; the first that fits
READERS: Mapping[str, Callable[[str], Contents]] = {
    ".safetensors.index.json": _index,
    ".bin.index.json": _index,
    ".safetensors": safetensors_file.read,
    ".npz": numpy_file.read_npz,
    ".npy": numpy_file.read_npy,
    ".pt": _torch,
    ".pth": _torch,
    ".bin": _torch,
}
LEGAL = ", ".join(READERS)


#: folders that are one checkpoint of several files: what tells such a one by the names in it, and what reads it
FOLDERS: tuple[tuple[Callable[[Sequence[str]], bool], Callable[[str], Contents]], ...] = (
    (
        lambda names: ".metadata" in names,
        partial(_by_torch, "torch_distributed", "a folder of torch.distributed.checkpoint"),
    ),
    (lambda names: "_METADATA" in names or "_CHECKPOINT_METADATA" in names, _orbax),
    (
        lambda names: any(name.endswith("_optim_states.pt") for name in names),
        partial(_by_torch, "torch_zero", "a checkpoint of DeepSpeed's ZeRO"),
    ),
)


def read(paths: Any, name: str) -> Contents:
    """What files hold, together.

    Args:
        paths: a path, or several: files whose names end as `READERS` says, or folders of such.
        name: the argument, for errors.

    Raises:
        ArgumentError: a path is none, or is not there.
        RecordError: a file cannot be read, or two have an array of one name.
    """
    several = [paths] if isinstance(paths, str | os.PathLike) else paths
    if not isinstance(several, Sequence) or not several or not all(isinstance(p, str | os.PathLike) for p in several):
        raise bad_argument(name, paths, "the path of a file or a folder, or a list of such")
    found: Contents | None = None
    for path in several:
        for contents in _contents(_existing(os.fspath(path), name)):
            found = contents if found is None else found + contents
    assert found is not None
    return assembled(found)


def _contents(path: str) -> Iterator[Contents]:
    """What a file holds; of a folder what it is as a whole, or what each of its files holds."""
    names = sorted(os.listdir(path)) if os.path.isdir(path) else []
    reader = next((reader for fits, reader in FOLDERS if fits(names)), None)
    if reader is None:
        yield from map(_read, _files(path))
        return
    try:
        yield reader(path)
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror or error}") from None


def _existing(path: str, name: str) -> str:
    if not os.path.exists(path):
        raise ArgumentError(
            f"{name} is {path!r}, which is not there; legal: a file that ends in one of {LEGAL}, or a folder"
        )
    return path


def _files(path: str) -> list[str]:
    """A file itself; of a folder the files that can be read, of those of an index the index alone."""
    if not os.path.isdir(path):
        return [path]
    names = sorted(n for n in os.listdir(path) if _suffix(n) is not None and not n.startswith("."))
    indexed: set[str] = set()
    for name in names:
        if str(_suffix(name)).endswith(".index.json"):
            mapped = _document(os.path.join(path, name)).get("weight_map")
            indexed |= set(map(str, mapped.values())) if isinstance(mapped, dict) else set()
    found = [os.path.join(path, name) for name in names if name not in indexed]
    if not found:
        raise ArgumentError(
            f"the folder {path!r} has no file that can be read; legal: files that end in one of {LEGAL}"
        )
    return found


def _suffix(name: str) -> str | None:
    return next((suffix for suffix in READERS if name.endswith(suffix)), None)


def _read(path: str) -> Contents:
    suffix = _suffix(path)
    if suffix is None or not os.path.isfile(path):
        raise ArgumentError(f"{path!r} is no file that can be read; legal: names that end in one of {LEGAL}")
    try:
        return READERS[suffix](path)
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror or error}") from None
