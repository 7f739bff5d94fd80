"""Steps of a torch optimizer written through the hooks around its ``step``."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from refgrad.audits.record_files import write
from refgrad.audits.torch_file import array_of
from refgrad.errors import ArgumentError, bad_argument, with_article
from refgrad.tensor_memory import unreadable


class Handle:
    """Ends the record of a torch optimizer."""

    def __init__(self) -> None:
        self.hooks: list[Any] = []

    def remove(self) -> None:
        """Write no further steps."""
        while self.hooks:
            self.hooks.pop().remove()


def record(optimizer: torch.optim.Optimizer, folder: str, steps: int, names: Any) -> Handle:
    """See `refgrad.audits.recorder.record`."""
    called, counter, handle = _names(optimizer, names), itertools.count(1), Handle()
    now = [0]

    def before(own: Any, args: Any, keywords: Any) -> None:
        now[0] = next(counter)
        write(folder, now[0], "before", _arrays(optimizer, called), _groups(optimizer, called))
        grads = {
            called[p]: _read(f"the gradient of {called[p]}", p.grad)
            for p in _parameters(optimizer)
            if p.grad is not None
        }
        write(folder, now[0], "grads", grads)

    def after(own: Any, args: Any, keywords: Any) -> None:
        write(folder, now[0], "after", _arrays(optimizer, called), _groups(optimizer, called))
        if now[0] >= steps:
            handle.remove()

    handle.hooks = [optimizer.register_step_pre_hook(before), optimizer.register_step_post_hook(after)]
    return handle


def _parameters(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _names(optimizer: torch.optim.Optimizer, names: Any) -> dict[torch.Tensor, str]:
    """The name of each parameter: those that are given, those that the optimizer has, or its group's number and its own."""
    if isinstance(names, torch.nn.Module):
        names = names.named_parameters()
    try:
        given = {p: str(n) for n, p in (names.items() if isinstance(names, Mapping) else names or ())}
    except (TypeError, ValueError):
        raise bad_argument("names", names, "a module, or pairs of a name and a parameter") from None
    found = dict[torch.Tensor, str]()
    for i, group in enumerate(optimizer.param_groups):
        own = group.get("param_names") or [f"group{i}.{j}" for j in range(len(group["params"]))]
        found |= {p: given.get(p, n) for p, n in zip(group["params"], own, strict=True)}
    return found


def _arrays(optimizer: torch.optim.Optimizer, names: Mapping[torch.Tensor, str]) -> dict[str, np.ndarray]:
    """The parameters, and what the state keeps of each that is an array or a number."""
    found = {name: _read(name, p) for p, name in names.items()}
    for p, name in names.items():
        for key, value in optimizer.state.get(p, {}).items():
            if isinstance(value, torch.Tensor):
                found[f"state/{name}/{key}"] = _read(f"{key} of {name}", value)
            elif isinstance(value, int | float):
                found[f"state/{name}/{key}"] = np.asarray(float(value))
    return found


def _read(name: str, tensor: torch.Tensor) -> np.ndarray:
    """A tensor's array; one without memory, such as a shard that was given back, has no values to be recorded."""
    why = unreadable(tensor)
    if why:
        what = with_article(type(tensor).__name__)
        raise ArgumentError(f"{name} is {what} that cannot be recorded ({why}); legal: a tensor in memory")
    return array_of(tensor)


def _groups(optimizer: torch.optim.Optimizer, names: Mapping[torch.Tensor, str]) -> list[dict[str, Any]]:
    """The hyperparameters of each group that are numbers, and the names of its parameters."""
    return [
        {
            **{key: number for key, value in group.items() if (number := _plain(value)) is not None},
            "parameters": [names[p] for p in group["params"]],
        }
        for group in optimizer.param_groups
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.item() if value.numel() == 1 else None
    if isinstance(value, tuple | list):
        numbers = [_plain(each) for each in value]
        return numbers if all(isinstance(n, bool | int | float) for n in numbers) else None
    return value if isinstance(value, bool | int | float) else None
