"""Files of ``torch.save``, by torch's loader of weights alone: what it would have to execute is refused."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from refgrad.audits.stored import Contents, RecordError, Stored, identity
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
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        told = str(error).splitlines()[0][:200] if str(error) else ""
        raise RecordError(
            f"{path}: refused: it holds more than tensors, numbers, texts, lists and dicts, and loading it could run "
            f"code ({told}); legal: what torch.load(..., weights_only=True) takes, such as a state_dict()"
        ) from None
    except Exception as error:  # torch has no one class for a file that is broken
        told = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise RecordError(f"{path}: no file of torch.save in its zip format, or one that was cut: {told}") from None
    found = _Found(path)
    found.walk(loaded, ())
    return Contents(found.arrays, found.numbers, tuple(found.optimizers), {}, (identity(path),), ordered=True)


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
        if isinstance(value, torch.Tensor):
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
        return self._stored(name, value) if isinstance(value, torch.Tensor) else value

    def _stored(self, name: str, tensor: torch.Tensor) -> Stored:
        where = f"{self.path}!{name}"
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
