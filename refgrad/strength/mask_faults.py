"""Faults that a mask, or the update of one, may have whatever its rule is: mutants that no graph has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from refgrad.kinds.record import Results
from refgrad.oracle.inputs.cases import Arrays

Fault = TypeVar("Fault")


@dataclass(frozen=True)
class MaskFault:
    """A change of a rule's own results, given the arrays that they are of."""

    name: str
    change: Callable[[Results, Arrays], Results]

    @property
    def sentence(self) -> str:
        """What is wrong."""
        return f"the mask or the weights: {self.name}"

    def __call__(self, results: Results, given: Arrays) -> Results:
        """The results, changed."""
        return {**results, **self.change(results, given)}


@dataclass(frozen=True)
class OtherBehaviour:
    """Another rule in a rule's place: one that differs in a named behaviour."""

    name: str
    rule: Any

    @property
    def sentence(self) -> str:
        """Which behaviour."""
        return f"the rule with {self.name}"


def differing(
    mutated: Callable[[Any, Fault | None], Results], faults: Iterable[Fault], cases: Sequence[Any]
) -> list[Fault]:
    """The faults that give other results than the rule on some case.

    Args:
        mutated: the results on a case, of the rule with a fault, or of the rule itself (None).
        faults: those that are tried.
        cases: the cases that they are tried on.
    """
    pairs = [(case, mutated(case, None)) for case in cases]
    return [each for each in faults if any(_differ(mutated(case, each), own) for case, own in pairs)]


def _differ(results: Results, own: Results) -> bool:
    return any(not np.array_equal(results[n], own[n], equal_nan=n != "mask") for n in own)


def _counted(mask: np.ndarray) -> np.ndarray:
    return np.cumsum(mask).reshape(mask.shape)


_MASKS: tuple[tuple[str, Callable[[np.ndarray], np.ndarray]], ...] = (
    ("complement", lambda mask: ~mask),
    ("all", np.ones_like),
    ("one more", lambda mask: mask | (_counted(~mask) == 1)),
    ("one less", lambda mask: mask & (_counted(mask) != 1)),
    ("shifted", lambda mask: np.roll(mask, 1)),
    ("upside down", lambda mask: mask[::-1].copy()),
)


def _of_mask(name: str, change: Callable[[np.ndarray], np.ndarray]) -> MaskFault:
    return MaskFault(name, lambda made, given: {"mask": change(made["mask"])})


#: faults of a mask
MASKS = tuple(_of_mask(name, change) for name, change in _MASKS)
#: faults of the next mask and of the weights under it
UPDATES = (
    *MASKS,
    MaskFault("not moved", lambda made, given: {"mask": given["mask"] != 0}),
    MaskFault("weights not masked", lambda made, given: {"w": given["w"]}),
    MaskFault("weights doubled", lambda made, given: {"w": 2 * made["w"]}),
)
