"""What may be wrong with a mask, or with the update of one, whatever its rule: mutants that no graph has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Results = dict[str, np.ndarray]
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Spoiled:
    """A change of a rule's own results, given the arrays that they are of."""

    name: str
    change: Callable[[Results, Arrays], Results]

    @property
    def sentence(self) -> str:
        """What is wrong."""
        return f"the mask or the weights: {self.name}"

    def __call__(self, results: Results, given: Arrays) -> Results:
        return {**results, **self.change(results, given)}


@dataclass(frozen=True)
class Variant:
    """Another rule in a rule's place: one that differs in a named behaviour."""

    name: str
    rule: Any

    @property
    def sentence(self) -> str:
        """Which behaviour."""
        return f"the rule with {self.name}"


def differing(subject: Any, wrong: Iterable[Any], cases: Sequence[Any]) -> list[Any]:
    """Those that give other results than the rule on some case."""
    own = [subject.mutated(case, None) for case in cases]
    pairs = list(zip(cases, own, strict=True))
    return [each for each in wrong if any(_other(subject.mutated(case, each), made) for case, made in pairs)]


def _other(results: Results, made: Results) -> bool:
    return any(not np.array_equal(results[n], made[n], equal_nan=n != "mask") for n in made)


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
#: of a mask
MASKS = tuple(Spoiled(name, lambda made, given, f=f: {"mask": f(made["mask"])}) for name, f in _MASKS)
#: of the next mask and the weights under it
UPDATES = (
    *MASKS,
    Spoiled("not moved", lambda made, given: {"mask": given["mask"] != 0}),
    Spoiled("weights not masked", lambda made, given: {"w": given["w"]}),
    Spoiled("weights doubled", lambda made, given: {"w": 2 * made["w"]}),
)
