"""Files of ``torch.save``, by torch's loader of weights alone: what it would have to execute is refused."""

from __future__ import annotations

import importlib
import logging
import pickle
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from refgrad.audits.inert_pickle import Record
from refgrad.audits.stored import Contents, Piece, RecordError, Sharded, Stored, identity
from refgrad.errors import CandidateError
from refgrad.tensor_memory import unreadable

#: how deep dicts may lie in one another
DEEPEST = 32


def read(path: str) -> Contents:
    """What a file of ``torch.save`` holds: dicts of tensors and numbers, and states of optimizers.

    Args:
        path: of the file.

    Raises:
        RecordError: it holds what would have to be executed, or is no such file.
    """
    try:
        loaded = _loaded(path)
    except pickle.UnpicklingError as error:
        told = str(error).splitlines()[0][:200] if str(error) else ""
        raise RecordError(
            f"{path}: refused: it holds more than tensors, numbers, texts, lists and dicts, and loading it could run "
            f"code ({told}); legal: what torch.load(..., weights_only=True) takes, such as a state_dict()"
        ) from None
    except Exception as error:  # torch has no one class for a file that is broken
        told = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise RecordError(f"{path}: no file of torch.save in its zip format, or one that was cut: {told}") from None
    return contents(path, loaded, (identity(path),))


def _loaded(path: str) -> Any:
    """By the loader of weights alone, which knows shards when their module is imported."""
    mesh = logging.getLogger("torch.distributed.device_mesh")
    level = mesh.level
    mesh.setLevel(logging.ERROR)  # that there are no other processes is no surprise here
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        if "torch.distributed.tensor" not in str(error) or "torch.distributed.tensor" in sys.modules:
            raise
        importlib.import_module("torch.distributed.tensor")
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    finally:
        mesh.setLevel(level)


def contents(path: str, loaded: Any, files: tuple[tuple[str, int, int], ...]) -> Contents:
    """What lies in nested dicts and lists: tensors, arrays in files, numbers and states of optimizers.

    Args:
        path: of what they were read from, for errors.
        loaded: the dicts.
        files: the identity of each file.

    Raises:
        RecordError: a name is there twice, or a tensor has no plain numbers.
    """
    found = _Found(path)
    found.walk(loaded, ())
    return Contents(found.arrays, found.numbers, tuple(found.optimizers), {}, files, ordered=True)


def load_inert(path: str, file: Any = None, mmap: bool = False) -> Any:
    """What torch's loader of weights alone makes of a file, with records that do nothing for objects of other classes.

    Args:
        path: of the file, for errors too.
        file: what is read instead, with ``seek`` and ``readinto``.
        mmap: whether tensors stay in the file until they are read.

    Raises:
        RecordError: it is no such file, or names what is refused whatever stands for it.
    """
    if not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"):
        raise RecordError(
            f"{path} holds more than tensors, which torch {torch.__version__} cannot leave out; legal: 2.7"
        )
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path if file is None else file)
        if file is not None:
            file.seek(0)
        with torch.serialization.safe_globals([(Record, name) for name in names]):
            return torch.load(path if file is None else file, map_location="cpu", weights_only=True, mmap=mmap or None)
    except Exception as error:  # torch has no one class for a file that is broken
        told = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise RecordError(f"{path}: no file of torch.save in its zip format, or one that was cut: {told}") from None


def stored(where: str, tensor: torch.Tensor) -> Stored:
    """A tensor as an array of which a part is read at a time.

    Args:
        where: what it is called in errors.
        tensor: in memory, or in a file that is mapped.

    Raises:
        RecordError: it has no plain numbers, or none that NumPy has.
    """
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise RecordError(f"{where} is no dense tensor of plain numbers")
    why = unreadable(tensor)
    if why:
        raise RecordError(f"{where} cannot be read: {why}")
    try:
        dtype = array_of(tensor.reshape(-1)[:0]).dtype
    except (TypeError, RuntimeError, AttributeError, KeyError, CandidateError):
        raise RecordError(f"{where} has dtype {tensor.dtype}, which NumPy has not") from None

    def part(start: int, stop: int) -> np.ndarray:
        flat = tensor.detach().reshape(-1)  # a view, unless the tensor does not lie in one piece
        return np.array(array_of(flat[start:stop]))

    return Stored(tuple(tensor.shape), dtype, part, where)


class _Found:
    """What lies in nested dicts and lists."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.arrays: dict[str, Stored] = {}
        self.numbers: dict[str, Any] = {}
        self.optimizers: list[Mapping[str, Any]] = []

    def walk(self, value: Any, keys: tuple[str, ...]) -> None:
        """All that lies within a value."""
        if len(keys) > DEEPEST:
            raise RecordError(f"{self.path}: dicts lie in one another more than {DEEPEST} deep")
        name = ".".join(keys)
        if isinstance(value, torch.Tensor | Stored):
            self._once(name, value)
            self.arrays[name] = self._stored(name, value)
        elif isinstance(value, Mapping) and isinstance(value.get("param_groups"), list) and "state" in value:
            self.optimizers.append(self._optimizer(value))
        elif isinstance(value, Mapping):
            for key, each in value.items():
                self.walk(each, (*keys, str(key)))
        elif isinstance(value, list | tuple):
            for number, each in enumerate(value):
                self.walk(each, (*keys, str(number)))
        elif isinstance(value, bool | int | float | str):
            self._once(name, value)
            self.numbers[name] = value

    def _once(self, name: str, value: Any) -> None:
        """Refuse what has the name of something else: keys of several kinds, or keys with dots, may be one name."""
        if name in self.arrays or name in self.numbers:
            raise RecordError(
                f"{self.path}: {name[:80]!r} is there twice, by keys that are one name, such as 1 and '1', or 'a.b' and 'b' in "
                "'a'; legal: each name once"
            )

    def _by_text(self, where: str, found: Mapping[Any, Any]) -> dict[str, Any]:
        """A dict by the texts of its keys, each once."""
        texts = [str(key) for key in found]
        twice = next((text for i, text in enumerate(texts) if text in texts[:i]), None)
        if twice is not None:
            raise RecordError(f"{self.path}: {where} has {twice[:80]!r} twice, by keys of several kinds; legal: once")
        return dict(zip(texts, found.values(), strict=True))

    def _optimizer(self, found: Mapping[str, Any]) -> Mapping[str, Any]:
        groups = [each for each in found["param_groups"] if isinstance(each, Mapping)]
        states = found["state"] if isinstance(found["state"], Mapping) else {}
        return {
            "param_groups": [
                {k: _plain(v) for k, v in self._by_text(f"param_groups[{i}]", each).items()}
                for i, each in enumerate(groups)
            ],
            "state": {
                key: {
                    n: self._slot(f"state[{key!r}].{n}", v) for n, v in self._by_text(f"state[{key!r}]", each).items()
                }
                for key, each in states.items()
                if isinstance(each, Mapping)
            },
        }

    def _slot(self, name: str, value: Any) -> Any:
        return self._stored(name, value) if isinstance(value, torch.Tensor | Stored) else value

    def _stored(self, name: str, value: torch.Tensor | Stored) -> Stored:
        if isinstance(value, Stored):
            return value
        where = f"{self.path}!{name}"
        shards = sys.modules.get("torch.distributed.tensor")
        return _sharded(where, value) if shards and isinstance(value, shards.DTensor) else stored(where, value)


def _sharded(where: str, tensor: Any) -> Stored:
    """The piece of a tensor that one rank has."""
    local, mesh, shape = stored(where, tensor.to_local()), tensor.device_mesh, tuple(tensor.shape)
    offsets, sizes, coordinates = [0] * len(shape), list(shape), mesh.get_coordinate()
    is_first = True
    for axis, placement in enumerate(tensor.placements):
        kind = type(placement).__name__
        if coordinates is None or kind not in ("Shard", "Replicate"):
            raise RecordError(
                f"{where} is placed as {placement}; legal: Shard and Replicate, as torch.distributed.checkpoint has others"
            )
        if kind == "Replicate":
            is_first &= coordinates[axis] == 0  # all have the same
            continue
        each = -(-sizes[placement.dim] // mesh.size(axis))
        start = min(coordinates[axis] * each, sizes[placement.dim])
        offsets[placement.dim] += start
        sizes[placement.dim] = min(each, sizes[placement.dim] - start)
    if tuple(sizes) != local.shape:
        raise RecordError(
            f"{where} has a piece of shape {local.shape}; legal: {tuple(sizes)}, for its place among the ranks"
        )
    pieces = (Piece(tuple(offsets), local),) if is_first else ()
    return Sharded(shape, local.dtype, local.part, where, pieces)


def array_of(tensor: torch.Tensor) -> np.ndarray:
    """An array that shares memory with a tensor on the CPU, a copy of one elsewhere.

    Args:
        tensor: of any dtype that NumPy and ml_dtypes have.
    """
    from refgrad.candidates.torch_optimizer import to_array

    return to_array(tensor)


def _plain(value: Any) -> Any:
    """A tensor of one number as that number, such as a rate that is kept so."""
    return value.item() if isinstance(value, torch.Tensor) and value.numel() == 1 else value
