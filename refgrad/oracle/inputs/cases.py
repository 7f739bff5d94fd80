"""`Cases`: what a candidate is driven with, of every kind; and `Inputs`, the short way to write those of an optimizer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refgrad.arguments import FROM_ZERO, by_name, number, several
from refgrad.arithmetic.arrays import plain_array
from refgrad.arithmetic.dtypes import as_dtype, is_float
from refgrad.errors import ArgumentError, bad_argument
from refgrad.optimizers.base import Optimizer

Arrays = Mapping[str, np.ndarray]
#: what stands for numbers
NUMBERS = "numbers, or strings such as '0x1.8p+0', all rows of one length"


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
            FROM_ZERO.check("inputs.seed", self.seed)
        if not self.arrays:
            raise ArgumentError("inputs have no case; legal: at least one in inputs.arrays")
        for case, arrays in enumerate(self.arrays):
            _check_arrays(f"inputs.arrays[{case}]", arrays)
        for t, step in enumerate(self.steps):
            _check_several(f"inputs.steps[{t}]", step, "dicts of arrays")
            if len(step) != len(self.arrays):
                raise bad_argument(f"len(inputs.steps[{t}])", len(step), f"{len(self.arrays)}, one a case")
            for case, arrays in enumerate(step):
                _check_arrays(f"inputs.steps[{t}][{case}]", arrays)
        if self.numbers and len(self.numbers) != len(self.steps):
            raise bad_argument("len(inputs.numbers)", len(self.numbers), f"{len(self.steps)}, one a step")
        for t, given in enumerate(self.numbers):
            by_name(f"inputs.numbers[{t}]", given, "{'loss': 1.0}")

    @classmethod
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
            The number, at most ``step``.
        """
        return step - sum(t < step and case == leaf for t, case in self.absent)

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


def of_steps(
    p: Sequence[np.ndarray],
    g: Sequence[Sequence[np.ndarray | None]],
    names: Sequence[str] = (),
    seed: int | None = None,
    extras: Sequence[Mapping[str, Any]] = (),
) -> Cases:
    """The cases of a kind with state from columns; see `Inputs`.

    Args:
        p: the parameters before the first step, one array a leaf.
        g: for each step the gradients, one array a leaf; None where a leaf has none.
        names: what each leaf is called in reports.
        seed: the seed that they were made from, if they were.
        extras: for each step the extra inputs by name: one array a leaf, or a number.

    Returns:
        The cases.

    Raises:
        ArgumentError: no leaf or no step, or shapes that are not those of the parameters.
    """
    p, g = several("p", p, "arrays, one a leaf"), several("g", g, "gradients, one list a step")
    g = [several(f"g[{t}]", grads, "arrays, one a leaf") for t, grads in enumerate(g)]
    extras = several("extras", extras, "dicts, one a step")
    if not p or not g:
        raise ArgumentError("inputs p or g are empty; legal: at least one leaf and one step")
    for t, step in enumerate(extras):
        by_name(f"extras[{t}]", step, "{'loss': 1.0}")
    for i, array in enumerate(p):
        _check_arrays("inputs", {f"p[{i}]": _array(array)})
    absent = frozenset((t, i) for t, grads in enumerate(g) for i, each in enumerate(grads) if each is None)
    if absent:
        g = [[np.zeros_like(p[i]) if each is None and i < len(p) else each for i, each in enumerate(gs)] for gs in g]
    if extras and len(extras) != len(g):
        raise bad_argument("len(inputs.extras)", len(extras), f"{len(g)}, one a step")
    shapes = [np.shape(a) for a in p]
    rows: list[list[dict[str, np.ndarray]]] = []
    for t, grads in enumerate(g):
        columns = {"g": grads, **{n: v for n, v in (extras[t] if extras else {}).items() if not _is_number(v)}}
        for name, column in columns.items():
            _check_shapes(f"g[{t}]" if name == "g" else f"extras[{t}][{name!r}]", column, shapes)
        rows.append([{n: _array(column[i]) for n, column in columns.items()} for i in range(len(p))])
    single = [{n: float(v) for n, v in step.items() if _is_number(v)} for step in extras]
    return Cases([{"p": _array(a)} for a in p], names, seed, rows, single, absent)


class Inputs:
    """`Cases` of an optimizer, written shortly: calling this makes `Cases`.

    Args:
        p: the parameters before the first step, one array a leaf, all of one float dtype.
        g: for each step the gradients, one array a leaf, shaped like the parameters; None where a leaf has none at a step,
            which leaves it as it is.
        names: what each leaf is called in reports.
        seed: the seed that they were made from, if they were.
        extras: for each step the extra inputs of rules that have them, by name: one array a leaf, or a number.

    Raises:
        ArgumentError: no leaf or no step, or shapes that are not those of the parameters.
    """

    def __new__(cls, *columns: Any, **more: Any) -> Cases:  # type: ignore[misc]
        """The cases."""
        return of_steps(*columns, **more)

    @staticmethod
    def of(p: Any, g: Any, dtype: Any = "float32", **extras: Any) -> Cases:
        """One leaf, of an optimizer.

        Args:
            p: the parameter before the first step, of any shape: an array, which is cast, or numbers or hex strings.
            g: for each step a gradient shaped like ``p``, or None where there is none at that step.
            dtype: the float dtype of the parameter, the gradients and the extra inputs.
            extras: the rule's extra inputs by name: for each step an array shaped like ``p`` (one of unsigned integers, such as
                random bits, keeps its dtype), or a number, such as the loss.

        Returns:
            Cases of that leaf alone, and of as many steps as there are gradients.

        Raises:
            ArgumentError: there is no step, extra inputs are not given for each, or are of unequal length; a gradient of another
                size than ``p``; what is no number or no hex float.

        >>> Inputs.of([1.0, 2.0], [[0.5, -0.5]]).g
        [[array([ 0.5, -0.5], dtype=float32)]]
        """
        leaf, given = numbers(p, dtype, "p"), several("g", g, "gradients, one a step")
        columns = {name: several(name, column, "inputs, one a step") for name, column in extras.items()}
        for name, column in columns.items():
            if len(column) != len(given):
                raise bad_argument(f"len({name})", len(column), f"{len(given)}, one a step")
        steps = [{n: _extra(v[t], dtype, leaf.shape, n) for n, v in columns.items()} for t in range(len(given))]
        grads = [[None if each is None else _like(numbers(each, dtype, "g"), leaf.shape, "g")] for each in given]
        return of_steps([leaf], grads, [""], extras=steps if columns else ())


def _like(array: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    """An array of as many numbers as the parameter has, in its shape."""
    if array.size != math.prod(shape):
        raise bad_argument(f"{name}.shape", array.shape, f"{shape}, that of p")
    return array.reshape(shape)


def numbers(values: Any, dtype: Any, name: str = "inputs") -> np.ndarray:
    """Numbers or hex strings as an array.

    Args:
        values: an array, which is cast; or numbers or hex strings, nested as they are.
        dtype: the float dtype of the result.
        name: what errors call them.

    Returns:
        An array of the same shape; one number becomes one of one axis.

    Raises:
        ArgumentError: what is no number or no hex float, lists of different lengths in one array, or no float dtype.
    """
    dtype = as_dtype(dtype)
    if isinstance(values, np.ndarray):
        array = plain_array(values, name)
        if array.dtype.kind not in "iub" and not is_float(array.dtype):
            raise bad_argument(f"{name}.dtype", str(array.dtype), "a dtype of numbers")
        return array.astype(dtype)
    try:
        nested = np.atleast_1d(np.asarray(values, dtype=object))
    except ValueError:
        raise bad_argument(name, values, NUMBERS) from None
    flat = [_number(v, name) for v in nested.ravel()]
    return np.asarray(flat, dtype=np.float64).astype(dtype).reshape(nested.shape)


def _number(value: Any, name: str = "inputs") -> float:
    """A number, or one as a string: in hexadecimal with 0x before it, in decimals without."""
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    if isinstance(value, str):
        try:
            return float.fromhex(value) if "x" in value.lower() else float(value)
        except (ValueError, OverflowError):
            raise bad_argument(name, value, NUMBERS) from None
    return number(value, name, NUMBERS)


def _check_arrays(place: str, arrays: Any) -> None:
    if not isinstance(arrays, Mapping):
        raise bad_argument(place, type(arrays).__name__, "arrays by name")
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise bad_argument(f"{place}[{name!r}]", type(array).__name__, "a NumPy array")


def _check_shapes(place: str, arrays: Any, shapes: list[tuple[int, ...]]) -> None:
    arrays = several(place, arrays, "arrays, one a leaf")
    for i, array in enumerate(arrays):
        _check_arrays("inputs", {f"{place}[{i}]": _array(array)})
    found = [np.shape(a) for a in arrays]
    if found != shapes:
        raise bad_argument(f"inputs.{place} shapes", found, f"{shapes}, those of p")


def _array(value: Any) -> Any:
    """NumPy makes numbers of arrays without axes; these are arrays again."""
    return np.asarray(value) if isinstance(value, np.generic) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int)


def _extra(value: Any, dtype: Any, shape: tuple[int, ...], name: str) -> Any:
    """One extra input of one leaf: numbers shaped like it, or one number."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "u":
        return [_like(value, shape, name)]
    if isinstance(value, list | tuple | np.ndarray) and np.shape(value) != ():
        return [_like(numbers(value, dtype, name), shape, name)]
    return _number(value, name)


def _check_several(place: str, value: Any, what: str) -> None:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise bad_argument(place, value, f"a list of {what}")
    if what == "texts" and not all(isinstance(each, str) for each in value):
        raise bad_argument(place, value, f"a list of {what}")
