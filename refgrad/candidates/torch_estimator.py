"""torch: an autograd.Function class, a module class or instance, or a function of tensors, judged under autograd."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from refgrad.candidates.arguments import parameters_of
from refgrad.candidates.estimator_arguments import Arrays, Bound, bind
from refgrad.candidates.faults import building, stepping
from refgrad.candidates.names import HYPERPARAMETERS, known_as
from refgrad.candidates.protocol import STRIDED, CandidateFault
from refgrad.candidates.torch_optimizer import to_array, to_tensor
from refgrad.estimators.base import Estimator

Tensors = dict[str, torch.Tensor]


def candidate(thing: Any, name: str, options: Mapping[str, Any]) -> TorchEstimator:
    """The candidate that a thing is which speaks torch."""
    return TorchEstimator(name, thing, options)


@dataclass(frozen=True)
class TorchEstimator:
    """A thing of torch as a candidate."""

    name: str
    thing: Any
    options: Mapping[str, Any]
    abilities: frozenset[str] = frozenset({STRIDED})

    def start(self, rule: Estimator) -> Callable[[Arrays], dict[str, np.ndarray]]:
        """The thing with the rule's hyperparameters."""
        run = self._runner(rule)

        def call(arrays: Arrays) -> dict[str, np.ndarray]:
            tensors = {n: to_tensor(np.array(a, copy=True)) for n, a in arrays.items()}
            leaves = {n: tensors[n].requires_grad_() for n in ("x", *rule.learned())}
            before = {n: t.detach().clone() for n, t in tensors.items()}
            with stepping(self.name):
                y, used = run(tensors)
                if not isinstance(y, torch.Tensor) or not y.requires_grad:
                    raise CandidateFault("structure", f"{self.name} returned no tensor that has a gradient")
                wanted = {"x": leaves["x"], **used}
                grads = torch.autograd.grad(y, list(wanted.values()), tensors["cotangent"], allow_unused=True)
            for n, t in tensors.items():
                if not torch.equal(torch.nan_to_num(t.detach()), torch.nan_to_num(before[n])):
                    raise CandidateFault("mutated", f"{self.name} changed its argument {n!r}; legal: new tensors")
            results = {"y": to_array(y)}
            for (n, leaf), grad in zip(wanted.items(), grads, strict=True):
                results[f"{n}_grad"] = to_array(torch.zeros_like(leaf) if grad is None else grad)
            return results

        return call

    def _runner(self, rule: Estimator) -> Callable[[Tensors], tuple[Any, Tensors]]:
        """From tensors by the rule's names to ``y`` and the learned parameters that it was computed from."""
        thing = self.thing
        if isinstance(thing, type) and issubclass(thing, torch.autograd.Function):
            return self._of_function_class(thing, rule)
        if isinstance(thing, type) and issubclass(thing, torch.nn.Module):
            parameters = {n: p for n, p in parameters_of(thing).items() if n != "self"}
            bound = bind(parameters, rule, self.options, self.name, ())
            with building(self.name):
                thing = thing(**bound.constants)
        if isinstance(thing, torch.nn.Module):
            return self._of_module(thing, rule)
        bound = bind(parameters_of(thing), rule, self.options, self.name)

        def run(tensors: Tensors) -> tuple[Any, Tensors]:
            named = {a: tensors[m] for a, m in bound.arrays.items()}
            first = [named.pop(a) for a, m in bound.arrays.items() if m == "x"]
            return thing(*first, **named, **bound.constants), _learned(bound, rule, tensors)

        return run

    def _of_function_class(self, cls: Any, rule: Estimator) -> Callable[[Tensors], tuple[Any, Tensors]]:
        """``apply`` takes positional arguments: those of ``forward`` after its context."""
        parameters = dict(inspect.signature(cls.forward).parameters)
        if cls.setup_context is torch.autograd.function._SingleLevelFunction.setup_context:
            parameters = dict(list(parameters.items())[1:])
        bound = bind(parameters, rule, self.options, self.name)

        def run(tensors: Tensors) -> tuple[Any, Tensors]:
            known = {**{a: tensors[m] for a, m in bound.arrays.items()}, **bound.constants}
            # a default that is not passed on cannot be left out before one that is
            arguments = [known.get(n, p.default) for n, p in parameters.items() if p.kind is not p.VAR_POSITIONAL]
            return cls.apply(*arguments), _learned(bound, rule, tensors)

        return run

    def _of_module(self, module: torch.nn.Module, rule: Estimator) -> Callable[[Tensors], tuple[Any, Tensors]]:
        """A module whose own parameters are set to the rule's, by name."""
        own = dict(module.named_parameters())
        held = {n: known_as(n, HYPERPARAMETERS, own) for n in rule.handed()}
        bound = bind(parameters_of(module.forward), rule, {}, self.name)

        def run(tensors: Tensors) -> tuple[Any, Tensors]:
            used = _learned(bound, rule, tensors)
            x = tensors["x"]
            module.to(x.dtype)
            for name, key in held.items():
                if key is not None:
                    parameter = module.get_parameter(key)
                    with torch.no_grad():
                        parameter.copy_(tensors[name].detach().reshape(parameter.shape))
                    used[name] = parameter
            rest = {a: tensors[m] for a, m in bound.arrays.items() if m != "x"}
            return module(x, **rest, **bound.constants), used

        return run


def _learned(bound: Bound, rule: Estimator, tensors: Tensors) -> Tensors:
    return {n: tensors[n] for n in bound.parameters(rule).values() if n in rule.learned()}
