"""The one small protocol between the oracle and whatever is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from refgrad.errors import RefgradError
from refgrad.optimizers.base import Optimizer

Value = np.ndarray | float
#: the extra inputs of a step by name: one array a leaf, or a number of all leaves
Extras = Mapping[str, Sequence[np.ndarray] | float]


@dataclass(frozen=True)
class Observation:
    """What can be seen of a candidate between two steps.

    ``params`` are the parameters, one array a leaf; ``state`` has, one mapping a leaf, the rule's slots that could be
    read, by the rule's names for them (a scalar slot as a float). A slot that is missing cannot be read. The arrays may be
    views of the candidate's own memory: whoever keeps one copies it.
    """

    params: Sequence[np.ndarray]
    state: Sequence[Mapping[str, Value]]


#: what a candidate may be able to do besides (`Candidate.abilities`): take None for a gradient, have its state saved and loaded
#: (`save_and_load`), have parameters in groups with settings of their own (`start_groups`), have the rates of all groups changed
#: between steps (`scale_rates`), be handed arrays that are not contiguous, as frameworks have them, and have its count of steps
#: set (`set_count`), as where a state that was saved late is loaded; `TOLD` besides, if each step is handed its count, so that
#: nothing within the candidate can hold another
ABSENT, SAVED, GROUPS, RATES, STRIDED, COUNTED = "absent", "saved", "groups", "rates", "strided", "counted"
TOLD = "told the count"


#: the kinds of the fault of a candidate that says that it does not take what it was handed, no more than a restriction: as it
#: says there, and as it said of itself beforehand, in the same words
REFUSED, DECLARED = "refused", "refused as declared"
REFUSALS = frozenset({REFUSED, DECLARED})


class Run(Protocol):
    """A candidate that has been given its parameters."""

    def step(self, grads: Sequence[Any], extras: Extras = ..., /) -> None:
        """One step with one gradient a leaf, an array. The arrays are the caller's, who may reuse them afterwards.

        Of a candidate that is able to it (`ABSENT`) a gradient may be None.

        ``extras`` are handed only for a rule that takes extra inputs: those, by the rule's names for them. A run that does
        not take all of them says which it does by an attribute ``extras_taken``, a set of names.

        A run that can be timed has ``again(grads)``, which gives a step as a function without arguments.
        """

    def observe(self) -> Observation:
        """The parameters and the state as they are now."""


class Candidate(Protocol):
    """Something that claims to be a rule."""

    @property
    def name(self) -> str:
        """How reports call it."""

    @property
    def abilities(self) -> frozenset[str]:
        """What it can do besides: of `ABSENT`, `SAVED`, `GROUPS`, `RATES`, `STRIDED`, `COUNTED`, `TOLD`."""

    def takes(self, rule: Optimizer) -> frozenset[str]:
        """The rule's hyperparameters that it is told by name, so that it follows when the rule's are others."""

    def start(self, rule: Optimizer, params: Sequence[np.ndarray]) -> Run:
        """Hand it its parameters, copied; ``rule`` tells the hyperparameters, and which slots are asked for."""


@dataclass(eq=False)  # an exception is itself alone, and can be hashed
class CandidateFault(RefgradError):
    """The candidate broke the protocol; ``kind`` is a key of `refgrad.oracle.engine.verdict.FAULTS`, or of `REFUSALS`."""

    kind: str
    message: str
    details: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return str(self.message)
