"""Keras: an optimizer class, on whatever backend Keras runs. State is read from the lists of variables that it keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from refgrad.candidates.arguments import Arguments, for_rule, parameters_of, with_options
from refgrad.candidates.faults import building, stepping
from refgrad.candidates.names import Names, slot_names
from refgrad.candidates.protocol import Extras, Observation, Value
from refgrad.optimizers.base import Optimizer

#: slot -> the attributes of a Keras optimizer that hold its variables, one a parameter
ATTRIBUTES: Names = MappingProxyType(
    {
        "m": ("_momentums", "_m", "momentums"),
        "v": ("_velocities", "_v"),
        "v_max": ("_velocity_hats",),
        "u": ("_u",),
        "s": ("_accumulators",),
        "buffer": ("momentums", "_momentums"),
    }
)

#: from the rule: the optimizer, and notes
Build = Callable[[Optimizer], tuple[Any, list[str]]]


@dataclass(frozen=True)
class KerasOptimizer:
    """A Keras optimizer class as a candidate."""

    name: str
    build: Build
    #: slot -> the attribute that holds it, where the user says so
    stated: Mapping[str, str] = field(default_factory=dict)
    #: from a rule to the hyperparameters that it is told
    tells: Callable[[Optimizer], frozenset[str]] = lambda rule: frozenset()
    abilities: frozenset[str] = frozenset()

    def takes(self, rule: Optimizer) -> frozenset[str]:
        """The hyperparameters that its constructor is told."""
        return self.tells(rule)

    def start(self, rule: Optimizer, params: Sequence[np.ndarray]) -> KerasRun:
        """The optimizer over variables that hold copies of the parameters."""
        with building(self.name):
            optimizer, notes = self.build(rule)
            variables = [keras.Variable(np.array(p, copy=True)) for p in params]
            optimizer.build(variables)
        return KerasRun(self.name, optimizer, variables, rule, notes, self.stated)


def candidate(thing: Any, name: str, options: Mapping[str, Any]) -> KerasOptimizer | None:
    """A candidate if the thing is an optimizer class."""
    known = isinstance(thing, type) and issubclass(thing, keras.optimizers.Optimizer)
    return from_class(thing, name, options) if known else None


def from_class(cls: type, name: str, options: Mapping[str, Any]) -> KerasOptimizer:
    """A class, constructed with the rule's hyperparameters by the names that its constructor gives them."""

    def told(rule: Optimizer) -> Arguments:
        return for_rule(parameters_of(cls), rule, options, name, built_in=True)

    def build(rule: Optimizer) -> tuple[Any, list[str]]:
        return cls(**told(rule).keywords), told(rule).notes

    shown = with_options(f"{name} on {keras.backend.backend()}", options)
    return KerasOptimizer(shown, build, tells=lambda rule: frozenset(told(rule).given))


class KerasRun:
    """A Keras optimizer with its variables."""

    def __init__(
        self,
        name: str,
        optimizer: Any,
        variables: list[Any],
        rule: Optimizer,
        notes: list[str],
        stated: Mapping[str, str],
    ) -> None:
        self._name, self._optimizer, self._variables, self.notes = name, optimizer, variables, notes
        held = {n: v for n, v in vars(optimizer).items() if isinstance(v, list) and len(v) == len(variables)}
        slots = [n for n, s in rule.slots().items() if not s.scalar]
        own = {slot: next((n for n in ATTRIBUTES.get(slot, ()) if n in held), None) for slot in slots}
        found = {slot: n for slot, n in own.items() if n is not None} | dict(stated)
        self._slots = slot_names(found, found, held, name)

    def step(self, grads: Sequence[np.ndarray], extras: Extras = MappingProxyType({})) -> None:
        """One application of gradients, which are copied."""
        with stepping(self._name):
            self._optimizer.apply([keras.ops.convert_to_tensor(np.array(g, copy=True)) for g in grads])

    def again(self, grads: Sequence[np.ndarray]) -> Callable[[], object]:
        """A step as a function without arguments, with nothing around it, so that it can be timed."""
        tensors = [keras.ops.convert_to_tensor(np.array(g, copy=True)) for g in grads]
        return lambda: self._optimizer.apply(tensors)

    def observe(self) -> Observation:
        """Copies of the variables."""
        held = vars(self._optimizer)
        state: list[dict[str, Value]] = [
            {slot: np.array(held[name][i]) for slot, name in self._slots.items()} for i in range(len(self._variables))
        ]
        return Observation([np.array(v) for v in self._variables], state)
