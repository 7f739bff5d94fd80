"""refgrad's own rules as candidates, so that one rule can be judged as another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.candidates.faults import building, stepping
from refgrad.candidates.protocol import Observation
from refgrad.errors import CandidateError, nearest
from refgrad.optimizers.base import Optimizer


@dataclass(frozen=True)
class Reference:
    """A rule, stepped in place. A class takes over the hyperparameters that it shares with the rule it is judged as."""

    name: str
    rule: Optimizer | type[Optimizer]
    options: Mapping[str, Any]

    def start(self, rule: Optimizer, params: Sequence[np.ndarray]) -> ReferenceRun:
        """The rule's state for a list of parameters."""
        with building(self.name):
            return ReferenceRun(self.name, self._instance(rule), params, list(rule.slots()))

    def _instance(self, rule: Optimizer) -> Optimizer:
        if isinstance(self.rule, Optimizer):
            return self.rule.replace(**self.options)
        legal = self.rule.legal()
        for option in self.options:
            if option not in legal:
                raise CandidateError(
                    f"{self.name} takes no option {option!r}{nearest(option, legal)}; legal: {', '.join(legal)}"
                )
        shared = {n: v for n, v in rule.hyperparameters().items() if str(legal.get(n)) == str(rule.legal()[n])}
        return self.rule(**{**shared, **self.options})


class ReferenceRun:
    """A rule with copies of the parameters and its state."""

    def __init__(self, name: str, rule: Optimizer, params: Sequence[np.ndarray], slots: list[str]) -> None:
        self._name, self._rule, self._slots = name, rule, slots
        self._params = [np.array(p, order="C", copy=True) for p in params]
        self._state = rule.init(self._params)

    def step(self, grads: Sequence[np.ndarray]) -> None:
        """One step in place."""
        with stepping(self._name):
            self._rule.step_(self._params, list(grads), self._state)

    def observe(self) -> Observation:
        """The arrays themselves."""
        slots = [s for s in self._slots if s in self._state]
        state = [{s: self._state[s][i] for s in slots} for i in range(len(self._params))]
        return Observation(self._params, state)
