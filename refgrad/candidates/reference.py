"""refgrad's own rules as candidates, so that one rule can be judged as another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from refgrad.candidates.arguments import check_options
from refgrad.candidates.faults import building, stepping
from refgrad.candidates.protocol import COUNTED, TOLD, Extras, Observation
from refgrad.optimizers.base import Optimizer


@dataclass(frozen=True)
class Reference:
    """A rule, stepped in place. A class takes over the hyperparameters that it shares with the rule it is judged as.

    Options are hyperparameters, and ``backend``, so that a rule's own kernels can be judged.
    """

    name: str
    rule: Optimizer | type[Optimizer]
    options: Mapping[str, Any]

    abilities: frozenset[str] = frozenset({COUNTED, TOLD})

    def takes(self, rule: Optimizer) -> frozenset[str]:
        """The hyperparameters that a class shares with the rule; one that is built already is told nothing."""
        if isinstance(self.rule, Optimizer):
            return frozenset()
        legal = self.rule.legal()
        return frozenset(n for n in rule.hyperparameters() if str(legal.get(n)) == str(rule.legal()[n])) - set(
            self.options
        )

    def start(self, rule: Optimizer, params: Sequence[np.ndarray]) -> ReferenceRun:
        """The rule's state for a list of parameters."""
        with building(self.name):
            backend = str(self.options.get("backend", "auto"))
            return ReferenceRun(self.name, self._instance(rule), params, list(rule.slots()), backend)

    def _instance(self, rule: Optimizer) -> Optimizer:
        legal = self.rule.legal()
        options = {n: v for n, v in self.options.items() if n != "backend"}
        check_options(options, legal, False, self.name)
        if isinstance(self.rule, Optimizer):
            return self.rule.replace(**options)
        shared = {n: v for n, v in rule.hyperparameters().items() if str(legal.get(n)) == str(rule.legal()[n])}
        return self.rule(**{**shared, **options})


class ReferenceRun:
    """A rule with copies of the parameters and its state."""

    def __init__(
        self, name: str, rule: Optimizer, params: Sequence[np.ndarray], slots: list[str], backend: str
    ) -> None:
        self._name, self._rule, self._slots, self._backend = name, rule, slots, backend
        self._params = [np.array(p, order="C", copy=True) for p in params]
        self._state = rule.init(self._params)

    def step(self, grads: Sequence[np.ndarray], extras: Extras = MappingProxyType({})) -> None:
        """One step in place."""
        given: dict[str, Any] = {n: extras[n] for n in self._rule.inputs() if n in extras}
        with stepping(self._name):
            self._rule.step_(self._params, list(grads), self._state, backend=self._backend, **given)

    def again(self, grads: Sequence[np.ndarray]) -> Callable[[], object]:
        """A step as a function without arguments, with nothing around it, so that it can be timed."""
        rule, params, kept, state, backend = self._rule, self._params, list(grads), self._state, self._backend
        return lambda: rule.step_(params, kept, state, backend=backend)

    def set_count(self, count: int) -> None:
        """Go on as after so many steps."""
        self._state["t"] = count

    def observe(self) -> Observation:
        """The arrays themselves."""
        slots = [s for s in self._slots if s in self._state]
        state = [{s: self._state[s][i] for s in slots} for i in range(len(self._params))]
        return Observation(self._params, state)
