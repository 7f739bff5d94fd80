"""Simple faults of a formula: results twice, half, of the other sign, zero, a mean in place of a sum; labels off by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.optimizers.transform import Transform, axes_named, below, length_of
from refgrad.oracle.acceptance.bodies import named

#: what a result is taken by, in words
FACTORS: Mapping[str, float] = {"twice": 2.0, "halved": 0.5, "with the other sign": -1.0, "zero": 0.0}


@dataclass(frozen=True)
class ResultFault:
    """A factor at a result.

    Attributes:
        result: the result's name; empty for all of them.
        by: one of `FACTORS`, an axis, or a hyperparameter.
        over: True if it is divided by the length of that axis, or by that hyperparameter, and not multiplied.
    """

    result: str
    by: str
    over: bool = False

    @property
    def words(self) -> str:
        """The fault, as a sentence."""
        which = self.result or "every result"
        if self.by in FACTORS:
            return f"{which} is {self.by}" if self.by in ("zero", "halved") else f"{which} is taken {self.by}"
        return f"{which} is {'divided' if self.over else 'multiplied'} by {self.by}"

    def factor(self, rule: Transform, arrays: Sequence[Any]) -> float:
        """The factor, for arrays of some lengths."""
        if self.by in FACTORS:
            return FACTORS[self.by]
        numbers = rule.numbers()
        value = numbers[self.by] if self.by in numbers else float(_lengths(rule, arrays)[self.by])
        return 1.0 / value if self.over else value

    def made(self, rule: Transform, arrays: Sequence[Any]) -> Any:
        """What the rule's body gives with it."""
        factor = self.factor(rule, arrays)
        results = dict(named(rule.apply(*arrays)))
        for name in [self.result] if self.result else list(results):
            results[name] = -results[name] if factor == -1.0 else results[name] * factor
        if list(results) == ["result"]:
            return results["result"]
        return tuple(results.values()) if "result[0]" in results else results


@dataclass(frozen=True)
class LabelFault:
    """Labels that are read otherwise.

    Attributes:
        array: the array of whole numbers.
        shift: what is added to each, round and round; None where all of them are taken for zero.
    """

    array: str
    shift: int | None

    @property
    def words(self) -> str:
        """The fault, as a sentence."""
        if self.shift is None:
            return f"{self.array} are not read: the first is taken everywhere"
        return f"{self.array} are read as the {'next' if self.shift > 0 else 'previous'} ones"

    def made(self, rule: Transform, arrays: Sequence[Any]) -> Any:
        """What the rule's body gives with it."""
        lengths = _lengths(rule, arrays)
        count = length_of(below(rule.shapes[self.array]), lengths)
        read = [
            a if name != self.array else np.zeros_like(a) if self.shift is None else (a + self.shift) % count
            for name, a in zip(rule.shapes, arrays, strict=True)
        ]
        return rule.apply(*read)


def faults_of(rule: Transform, arrays: Mapping[str, np.ndarray]) -> Iterator[ResultFault | LabelFault]:
    """Those of a rule: of each of its results, of all together, and of its labels.

    Args:
        rule: the rule.
        arrays: what it takes.
    """
    results = list(named(rule(*arrays.values())))
    axes = [axis for axis in _lengths(rule, list(arrays.values())) if not axis.isdigit()]
    numbers = [name for name, value in rule.numbers().items() if name != "scalars" and value not in (0.0, 1.0)]
    yield from (LabelFault(n, shift) for n, text in rule.shapes.items() if below(text) for shift in (1, -1, None))
    for result in [*results, *([""] if len(results) > 1 else [])]:
        yield from (ResultFault(result, by) for by in FACTORS)
        yield from (ResultFault(result, by, over) for by in (*axes, *numbers) for over in (True, False))


def _lengths(rule: Transform, arrays: Sequence[Any]) -> dict[str, int]:
    """How long axes are."""
    found: dict[str, int] = {}
    for text, array in zip(rule.shapes.values(), arrays, strict=True):
        found |= dict(zip(axes_named(text), np.shape(array), strict=False))
    return found
