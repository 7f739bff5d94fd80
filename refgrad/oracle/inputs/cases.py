"""`Cases`: what a candidate is driven with, of every kind."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refgrad.arguments import FROM_ZERO, by_name
from refgrad.errors import ArgumentError, bad_argument
from refgrad.float_environment import in_standard
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs.numbers import numbers

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Cases:
    """Named arrays, case by case and step by step.

    A kind without state takes each case by itself, in one step: ``arrays`` is all there is. A kind with state takes the
    cases together, as the leaves of one run: ``arrays`` is what stands before the first step (the parameter ``p``), and
    ``steps`` is what each step brings (the gradient ``g``, and extra inputs that are arrays).

    Attributes:
        arrays: for each case, arrays by the rule's names for them, of one float dtype.
        names: what each case is called in reports.
        seed: the seed that they were made from, if they were.
        steps: for each step, and each case, the arrays of that step by name; empty for kinds without state.
        numbers: for each step, the extra inputs that are one number of all cases (the loss), by name.
        absent: pairs of a step and a case, counted from 0, at which the case has no gradient: it is left as it is.
        saved: steps, counted from 0, before which the candidate's state is saved, and loaded into another one made alike.
        rates: by step, counted from 0, the factor by which the rate of every group is changed before it, as a scheduler does.
        counts: by step, counted from 0, how many steps the candidate is told before it that it has taken, as by a saved state.
        settings: for each case the hyperparameters that it has otherwise than the rule, as a group of parameters may.
        judged: the steps that are judged, counted from 0; all if there are none, or where the state cannot be read.
        outputs: the outputs that are judged in full; of others only whether they are numbers where none can be. None for all.
        nan_open: whether what comparisons, signs and maxima make of NaN is left open: programs settle it in several ways.
        may_meet: whether infinities may meet in one program and not in another, so that NaN and infinities are alike.

    Raises:
        ArgumentError: no case, something that is no NumPy array, or a step that has not one entry a case.
    """

    arrays: Sequence[Arrays]
    names: Sequence[str] = ()
    seed: int | None = None
    steps: Sequence[Sequence[Arrays]] = ()
    numbers: Sequence[Mapping[str, float]] = ()
    absent: frozenset[tuple[int, int]] = frozenset()
    saved: frozenset[int] = frozenset()
    rates: Mapping[int, float] = field(default_factory=dict)
    counts: Mapping[int, int] = field(default_factory=dict)
    settings: Sequence[Mapping[str, float]] = ()
    judged: frozenset[int] = frozenset()
    outputs: frozenset[str] | None = None
    nan_open: bool = False
    may_meet: bool = False

    def __post_init__(self) -> None:
        for name, what in (
            ("arrays", "dicts of arrays"),
            ("names", "texts"),
            ("steps", "lists of dicts"),
            ("numbers", "dicts"),
        ):
            _check_several(f"inputs.{name}", getattr(self, name), what)
        if self.seed is not None:
            object.__setattr__(self, "seed", FROM_ZERO.check("inputs.seed", self.seed))
        if not self.arrays:
            raise ArgumentError("inputs have no case; legal: at least one in inputs.arrays")
        for case, arrays in enumerate(self.arrays):
            check_arrays(f"inputs.arrays[{case}]", arrays)
        for t, step in enumerate(self.steps):
            _check_several(f"inputs.steps[{t}]", step, "dicts of arrays")
            if len(step) != len(self.arrays):
                raise bad_argument(f"len(inputs.steps[{t}])", len(step), f"{len(self.arrays)}, one a case")
            for case, arrays in enumerate(step):
                check_arrays(f"inputs.steps[{t}][{case}]", arrays)
        if self.numbers and len(self.numbers) != len(self.steps):
            raise bad_argument("len(inputs.numbers)", len(self.numbers), f"{len(self.steps)}, one a step")
        for t, given in enumerate(self.numbers):
            by_name(f"inputs.numbers[{t}]", given, "{'loss': 1.0}")

    @classmethod
    @in_standard
    def of(cls, dtype: Any = "float32", **arrays: Any) -> Cases:
        """One case, of a kind without state.

        Args:
            dtype: the float dtype of all arrays.
            arrays: each of the rule's arrays by name, of any shape that the rule takes: an array, which is cast, or numbers or
                hex strings, nested as they are.

        Returns:
            Cases with that one alone.

        Raises:
            ArgumentError: no float dtype, what is no number or no hex float, or lists of different lengths in one array.

        >>> Cases.of(x=[0.5, -1.0], cotangent=[1.0, 1.0]).arrays[0]["x"]
        array([ 0.5, -1. ], dtype=float32)
        """
        return cls([{name: numbers(values, dtype, name) for name, values in arrays.items()}], [""])

    def name(self, case: int) -> str:
        """What a case is called: its name, or its number in brackets.

        Args:
            case: its number, from 0.

        Returns:
            The name.
        """
        return self.names[case] if case < len(self.names) else f"[{case}]"

    def only(self, case: int) -> Cases:
        """One of the cases, by itself.

        Args:
            case: its number, from 0.

        Returns:
            Cases with that one, in all steps.
        """
        return self.leaves(lambda i, _: i == case)

    def leaves(self, keeps: Callable[[int, Arrays], bool]) -> Cases:
        """The cases for which a function of their number and arrays is true.

        Args:
            keeps: from a case's number and its arrays to true or false.

        Returns:
            Cases with these, in their order and in all steps.
        """
        own = [i for i, arrays in enumerate(self.arrays) if keeps(i, arrays)]
        steps = [[step[i] for i in own] for step in self.steps]
        return dataclasses.replace(
            self,
            arrays=[self.arrays[i] for i in own],
            names=[self.name(i) for i in own],
            steps=steps,
            absent=frozenset((t, own.index(i)) for t, i in self.absent if i in own),
            settings=[self.settings[i] for i in own] if self.settings else (),
        )

    def mapped(self, change: Callable[[np.ndarray], np.ndarray]) -> Cases:
        """The same cases with every array changed.

        Args:
            change: from an array to another one.

        Returns:
            Cases with the same names, numbers and events.
        """
        row = lambda cases: [{n: np.asarray(change(a)) for n, a in arrays.items()} for arrays in cases]  # noqa: E731
        return dataclasses.replace(self, arrays=row(self.arrays), steps=[row(step) for step in self.steps])

    def rule_at(self, step: int, rule: Optimizer) -> Optimizer:
        """A rule with the rate that it has at a step.

        Args:
            step: its number, from 1.
            rule: the rule with the rate that it has at first.

        Returns:
            The rule; another one where the rate was changed before.
        """
        factor = math.prod(each for t, each in self.rates.items() if t < step)
        return rule if factor == 1.0 else rule.replace(lr=rule.numbers()["lr"] * factor)

    def with_more(self, more: Cases | None) -> Cases:
        """These cases and more of them, of a kind without state.

        Args:
            more: cases of the same rule; None for none.

        Returns:
            These cases and then those.
        """
        if more is None:
            return self
        names = [self.name(i) for i in range(len(self.arrays))] + [more.name(i) for i in range(len(more.arrays))]
        return dataclasses.replace(self, arrays=[*self.arrays, *more.arrays], names=names)

    def at_steps(self, chosen: slice | Sequence[int]) -> Cases:
        """The same cases with some of the steps.

        Args:
            chosen: a slice of the steps, or their numbers from 0.

        Returns:
            Cases with these steps in that order, and without a seed.
        """
        at = list(range(len(self.steps))[chosen] if isinstance(chosen, slice) else chosen)
        return dataclasses.replace(
            self,
            seed=None,
            steps=[self.steps[i] for i in at],
            numbers=[self.numbers[i] for i in at] if self.numbers else (),
            absent=frozenset((at.index(t), case) for t, case in self.absent if t in at),
            saved=frozenset(at.index(t) for t in self.saved if t in at),
            rates={at.index(t): factor for t, factor in self.rates.items() if t in at},
            counts=self._counts_at(at),
            judged=frozenset(at.index(t) for t in self.judged if t in at),
        )

    def with_array(self, case: int, name: str, array: np.ndarray, step: int | None = None) -> Cases:
        """The same cases with another array in one place.

        Args:
            case: its number, from 0.
            name: what the array is called.
            array: the new one.
            step: its number, from 0; None for before the first step.

        Returns:
            Cases with that array.
        """
        row = lambda cases: [{**a, name: array} if i == case else a for i, a in enumerate(cases)]  # noqa: E731
        if step is None:
            return dataclasses.replace(self, arrays=row(self.arrays))
        steps = [row(each) if t == step else each for t, each in enumerate(self.steps)]
        return dataclasses.replace(self, steps=steps)

    def with_number(self, step: int, name: str, value: float) -> Cases:
        """The same cases with another number at a step.

        Args:
            step: its number, from 0.
            name: what the number is called.
            value: the new one.

        Returns:
            Cases with that number.
        """
        given = [{**each, name: value} if t == step else each for t, each in enumerate(self.numbers)]
        return dataclasses.replace(self, numbers=given)

    # what cases of an optimizer are called there

    @property
    def p(self) -> list[np.ndarray]:
        """The parameters before the first step, one a leaf."""
        return [arrays["p"] for arrays in self.arrays]

    @property
    def g(self) -> list[list[np.ndarray]]:
        """For each step the gradients, one a leaf."""
        return [[arrays["g"] for arrays in step] for step in self.steps]

    def gradient(self, step: int, leaf: int) -> np.ndarray:
        """The gradient of a leaf at a step.

        Args:
            step: its number, from 1.
            leaf: its number, from 0.

        Returns:
            An array shaped like the leaf's parameter; zeros where it has no gradient.
        """
        return self.steps[step - 1][leaf]["g"]

    def given(self, step: int, leaf: int) -> bool:
        """True if a leaf has a gradient at a step.

        Args:
            step: its number, from 1.
            leaf: its number, from 0.

        Returns:
            False where the leaf is left as it is.
        """
        return (step - 1, leaf) not in self.absent

    def count(self, step: int, leaf: int) -> int:
        """How many gradients a leaf has had up to a step: the step that it is at by itself.

        Args:
            step: its number, from 1.
            leaf: its number, from 0.

        Returns:
            The number, at most ``step`` unless it was told another count.
        """
        told = max((t for t in self.counts if t < step), default=0)
        taken = step - told - sum(told <= t < step and case == leaf for t, case in self.absent)
        return self.counts.get(told, 0) + taken

    def _counts_at(self, chosen: Sequence[int]) -> dict[int, int]:
        """The counts before some of the steps, where they do not follow from the one before."""
        if not self.counts:
            return {}
        found: dict[int, int] = {}
        last = 0
        for place, t in enumerate(chosen):
            before = self.count(t + 1, -1) - 1
            found |= {place: before} if before != last else {}
            last = before + 1
        return found

    def extras(self, step: int) -> dict[str, Any]:
        """The extra inputs of a step.

        Args:
            step: its number, from 1.

        Returns:
            Name -> one array a leaf, or a number.
        """
        leaves = self.steps[step - 1]
        arrays: dict[str, Any] = {n: [leaf[n] for leaf in leaves] for n in leaves[0] if n != "g"}
        return arrays | (dict(self.numbers[step - 1]) if self.numbers else {})

    def of_leaf(self, step: int, leaf: int, rule: Optimizer) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """The extra inputs that a rule takes of one leaf at a step.

        Args:
            step: its number, from 1.
            leaf: its number, from 0.
            rule: the rule.

        Returns:
            Name -> array, and name -> number.

        Raises:
            ArgumentError: one is missing.
        """
        wanted = rule.inputs()
        if not wanted:
            return {}, {}
        given: dict[str, Any] = {**self.steps[step - 1][leaf], **(self.numbers[step - 1] if self.numbers else {})}
        for name in wanted:
            if name not in given:
                raise ArgumentError(f"inputs have no {name!r} at step {step}, which {type(rule).__name__}'s step takes")
        arrays = {n: given[n] for n, extra in wanted.items() if not extra.scalar}
        return arrays, {n: float(given[n]) for n, extra in wanted.items() if extra.scalar}


def check_arrays(place: str, arrays: Any) -> None:
    """Refuse what is no dict of arrays.

    Args:
        place: what errors call it.
        arrays: by name.

    Raises:
        ArgumentError: it is no mapping, or something in it is no NumPy array.
    """
    if not isinstance(arrays, Mapping):
        raise bad_argument(place, type(arrays).__name__, "arrays by name")
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise bad_argument(f"{place}[{name!r}]", type(array).__name__, "a NumPy array")


def _check_several(place: str, value: Any, what: str) -> None:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise bad_argument(place, value, f"a list of {what}")
    if what == "texts" and not all(isinstance(each, str) for each in value):
        raise bad_argument(place, value, f"a list of {what}")
