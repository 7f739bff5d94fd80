"""What torch makes masks with: functions of tensors, torch.nn.utils.prune, and torch.ao.pruning's sparsifiers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.utils import prune

from refgrad.candidates.arguments import check_options, parameters_of, with_options
from refgrad.candidates.faults import building, stepping
from refgrad.candidates.mask_function import NAMES, MaskCandidate, MaskFunction, MaskSeen, speaks_of
from refgrad.candidates.names import known_as
from refgrad.candidates.protocol import CandidateFault
from refgrad.candidates.torch_optimizer import to_array, to_tensor
from refgrad.sparsity.base import Mask

Arrays = Mapping[str, np.ndarray]


def candidate(thing: Any, name: str, options: Mapping[str, Any]) -> MaskCandidate | None:
    """A candidate if the thing is torch's: a pruning method, a sparsifier, or a function on tensors or modules."""
    method = thing if isinstance(thing, type) else type(thing)
    told = with_options(name, options)
    if issubclass(method, prune.BasePruningMethod):
        return PruningMethod(told, thing, options)
    if any(base.__name__ == "BaseSparsifier" for base in method.__mro__):
        return Sparsifier(told, thing, options)
    if isinstance(thing, type) or not callable(thing):
        return None
    parameters = list(parameters_of(thing))
    if parameters[:2] == ["module", "name"]:
        return ModuleFunction(told, thing, options)
    if isinstance(thing, torch.nn.Module) or speaks_of(thing, ("torch", "Tensor")):
        return MaskFunction(told, thing, options, tensor, to_array)
    return None


def tensor(array: np.ndarray) -> torch.Tensor:
    """A tensor over a copy of an array."""
    return to_tensor(np.array(array, order="C", copy=True))


@dataclass(frozen=True)
class PruningMethod:
    """A torch.nn.utils.prune method, asked for the mask of a tensor that nothing has been pruned of yet."""

    name: str
    method: Any
    options: Mapping[str, Any]

    def prune(self, rule: Mask, arrays: Arrays) -> MaskSeen:
        """The method's `compute_mask`."""
        method = built(self.method, rule, self.options, self.name)
        w = tensor(arrays["w"])
        with stepping(self.name):
            return MaskSeen(to_array(method.compute_mask(w, torch.ones_like(w))))


@dataclass(frozen=True)
class ModuleFunction:
    """A function such as torch.nn.utils.prune.l1_unstructured, applied to a module that has the weights."""

    name: str
    function: Callable[..., Any]
    options: Mapping[str, Any]

    def prune(self, rule: Mask, arrays: Arrays) -> MaskSeen:
        """The mask that it leaves in the module."""
        keywords = hyperparameters(self.function, rule, self.options, self.name)
        module = torch.nn.Module()
        module.register_parameter("weight", torch.nn.Parameter(tensor(arrays["w"])))
        with stepping(self.name):
            self.function(module, "weight", **keywords)
        found = dict(module.named_buffers()).get("weight_mask")
        if found is None:
            raise CandidateFault("structure", f"{self.name} left no weight_mask in the module")
        return MaskSeen(to_array(found))


@dataclass(frozen=True)
class Sparsifier:
    """A torch.ao.pruning sparsifier: prepared on a linear layer that has the weights, and stepped once.

    At a second step torch's own takes the weights that the first mask left, so that what one step pruned never returns.
    """

    name: str
    sparsifier: Any
    options: Mapping[str, Any]
    #: what it is not driven through
    unexercised: tuple[str, ...] = ("a second step of the sparsifier: it is made anew, and stepped once, in each case",)

    def prune(self, rule: Mask, arrays: Arrays) -> MaskSeen:
        """The mask of the layer's parametrization."""
        sparsifier = built(self.sparsifier, rule, self.options, self.name)
        with building(self.name):
            w = tensor(arrays["w"])
            layer = torch.nn.Linear(w.shape[1], w.shape[0], bias=False, dtype=w.dtype)
            layer.weight = torch.nn.Parameter(w)
            model = torch.nn.Sequential(layer)
        with stepping(self.name):
            sparsifier.prepare(model, [{"tensor_fqn": "0.weight"}])
            sparsifier.step()
            return MaskSeen(to_array(layer.parametrizations.weight[0].mask))  # type: ignore[index, union-attr]


def built(thing: Any, rule: Mask, options: Mapping[str, Any], name: str) -> Any:
    """The instance, of a class one that has the rule's hyperparameters."""
    with building(name):
        return thing(**hyperparameters(thing, rule, options, name)) if isinstance(thing, type) else thing


def hyperparameters(function: Callable[..., Any], rule: Mask, options: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The rule's numbers by the names that a constructor or function gives them, and the options, which win."""
    parameters = parameters_of(function)
    check_options(options, parameters, False, name)
    numbers = {word: getattr(rule, word) for word in ("sparsity", "n", "m") if word in rule.legal()}
    told = {known_as(word, NAMES, parameters): value for word, value in numbers.items()}
    told.pop("n", None)  # torch's n is the order of a norm
    return {**{n: v for n, v in told.items() if n is not None}, **options}
