"""Ways to make candidates of implementations of rules with matrices: their iterations in float32, their state out of lists."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from refgrad.candidates.arguments import Arguments, for_rule, parameters_of
from refgrad.candidates.protocol import Observation
from refgrad.candidates.resolve import load

#: from what an optimizer keeps for a parameter, and the parameter: the rule's slots
Read = Callable[[Mapping[str, Any], Any], dict[str, Any]]
NOTHING: Mapping[str, Any] = MappingProxyType({})


def iterating_in_float32(target: str, module: str = "", function: str = "", grouped: bool = False) -> type:
    """A torch Muon on copies of its gradients whose iteration stays in the parameter's precision instead of bfloat16.

    ``function`` of ``module`` has the precision as its argument ``dtype``; without it ``Tensor.bfloat16`` changes nothing.
    """
    cls: Any = load(target)

    def start(self: Any, params: Any, *args: Any, **kwargs: Any) -> None:
        cls.__init__(self, [{"params": list(params), "use_muon": True}] if grouped else params, *args, **kwargs)

    def step(self: Any, closure: Any = None) -> Any:
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = p.grad.clone()
        with _wide(module, function):
            return cls.step(self)

    return type(cls.__name__, (cls,), {"__init__": start, "step": step, "__module__": cls.__module__})


@contextmanager
def _wide(module: str, function: str) -> Iterator[None]:
    import torch

    place: Any = importlib.import_module(module) if module else torch.Tensor
    name = function or "bfloat16"
    kept = getattr(place, name)
    setattr(place, name, functools.partial(kept, dtype=None) if module else lambda self: self.clone())
    try:
        yield
    finally:
        setattr(place, name, kept)


def unpacked(target: str, reads: str, **fixed: Any) -> Unpacked:
    """A torch optimizer that keeps its matrices in lists or objects; ``reads`` is a key of `READS`."""
    return Unpacked(load(target), READS[reads], fixed)


@dataclass(frozen=True)
class Unpacked:
    """A torch optimizer as a candidate, told the rule's numbers by the names of its constructor."""

    cls: Any
    read: Read
    fixed: Mapping[str, Any]
    abilities: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """How reports call it."""
        return f"{self.cls.__module__.partition('.')[0]}.{self.cls.__name__}"

    def takes(self, rule: Any) -> frozenset[str]:
        """The rule's numbers that the constructor is told."""
        return frozenset(self._told(rule).given)

    def start(self, rule: Any, params: Sequence[np.ndarray]) -> UnpackedRun:
        """The optimizer over tensors that hold copies of the parameters."""
        import torch

        tensors = [torch.tensor(p, requires_grad=True) for p in params]
        groups = {n: v for n, v in self.fixed.items() if n not in parameters_of(self.cls)}
        given: Any = [{"params": tensors, **groups}] if groups else tensors
        return UnpackedRun(self.cls(given, **self._told(rule).keywords), tensors, self.read)

    def _told(self, rule: Any) -> Arguments:
        taken = parameters_of(self.cls)
        options = {n: v for n, v in self.fixed.items() if n in taken}
        return for_rule(taken, rule, options, self.name, built_in=True)


@dataclass(frozen=True)
class UnpackedRun:
    """It with its parameters."""

    optimizer: Any
    tensors: list[Any]
    slots_of: Read

    def step(self, grads: Sequence[np.ndarray], extras: Mapping[str, Any] = NOTHING) -> None:
        """One step; random probes are those that are handed in."""
        import torch

        for tensor, g in zip(self.tensors, grads, strict=True):
            tensor.grad = torch.tensor(g)
        probes = iter([torch.tensor(v) for v in extras.get("noise", ())])
        kept = torch.randn_like
        torch.randn_like = lambda *_, **__: next(probes)
        try:
            self.optimizer.step()
        finally:
            torch.randn_like = kept

    def observe(self) -> Observation:
        """The parameters, and the state as the rule's slots."""
        state = [self.optimizer.state.get(t, {}) for t in self.tensors]
        found = [self.slots_of(kept, t) if kept else {} for kept, t in zip(state, self.tensors, strict=True)]
        arrays = [{n: np.ascontiguousarray(v.numpy()) for n, v in slots.items()} for slots in found]
        return Observation([t.detach().numpy() for t in self.tensors], arrays)


def _soap(kept: Mapping[str, Any], p: Any) -> dict[str, Any]:
    sides = {"left": kept["GG"][0], "right": kept["GG"][1]}
    bases = {"left_basis": kept["Q"][0], "right_basis": kept["Q"][1]}
    return {"m": kept["exp_avg"], "v": kept["exp_avg_sq"], **sides, **bases}


def _galore(kept: Mapping[str, Any], p: Any) -> dict[str, Any]:
    basis = kept["projector"].ortho_matrix
    return {"m": kept["exp_avg"], "v": kept["exp_avg_sq"], "basis": basis.T if p.shape[0] >= p.shape[1] else basis}


def _kron(kept: Mapping[str, Any], p: Any) -> dict[str, Any]:
    return {"m": kept["momentum_buffer"], "left": kept["Q"][0], "right": kept["Q"][1]}


READS: Mapping[str, Read] = {"soap": _soap, "galore": _galore, "kron": _kron}
