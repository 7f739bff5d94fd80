"""The arrays that a transform is tried with: ordinary numbers, many magnitudes, the format's edges, rows that repeat."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.errors import ArgumentError
from refgrad.optimizers.transform import Transform, axes_named, below, length_of
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.extremes import beside_numbers
from refgrad.oracle.inputs.sizes import TILED, normal
from refgrad.oracle.inputs.sizes import taken as taken_shapes
from refgrad.oracle.inputs.steps import epsilons
from refgrad.rule import Whole

#: what cases at another setting are called that have more elements, and elements below and above a number
MORE, BESIDE = "more elements", "elements near a bound"
#: shapes of arrays that may have any number of axes, beside those of two; and those of few elements
AXES: Sequence[tuple[int, ...]] = ((), (1,), (7,), (1027,), (3, 4, 5), (2, 1, 3), (2, 3, 4, 5), *TILED[2:])
FEW_AXES: Sequence[tuple[int, ...]] = ((), (2,), (2, 2), (2, 1, 2))


def generate(
    rule: Transform, cases: int, dtype: Any, seed: int, lengths: Mapping[str, int] = MappingProxyType({})
) -> Cases:
    """As many cases as asked for, of the shapes that the rule says, each of one family in turn.

    ``lengths`` are those of axes that shall be longer or shorter than the rule says. For a rule that is about NaN and
    infinities a tenth of all numbers are.
    """
    Whole(1).check("steps", cases)
    facts = dtypes.format_of(dtype)
    random = np.random.Generator(np.random.Philox(seed))
    made, names, known = [], [], families(rule)
    for case in range(cases):
        name = list(known)[case % len(known)]
        arrays = {}
        for array, axes in rule.shapes.items():
            known_lengths = {**rule.lengths, **lengths}
            shape = tuple(known_lengths[axis] for axis in axes_named(axes))
            if most := below(axes):
                arrays[array] = _labels(random, length_of(most, known_lengths), shape)
                continue
            family = _normal if array in rule.distinct and case % 2 else known[name]
            values = family(random, shape, facts)
            without_sign = array in rule.magnitudes and (case + case // len(known)) % 2 == 0
            values = np.abs(values) if axes.endswith("+") or without_sign else values
            if rule.about_nan:
                values = np.where(random.random(shape) < 0.1, random.choice([np.nan, np.inf, -np.inf], shape), values)
            clipped = np.where(np.isinf(values), values, np.clip(values, -facts.largest, facts.largest))
            arrays[array] = np.asarray(dtypes.round_to(clipped, dtype).astype(dtype))
        made.append(arrays)
        names.append(name)
    return Cases(made, names, seed)


def _labels(random: np.random.Generator, count: int, shape: tuple[int, ...]) -> np.ndarray:
    """Whole numbers below a count, every one of them where there are as many places."""
    size = math.prod(shape)
    if size < count:
        return random.integers(0, count, shape)
    return random.permutation(np.concatenate([np.arange(count), random.integers(0, count, size - count)])).reshape(
        shape
    )


def of_any_axes(rule: Transform, dtype: np.dtype, seed: int, shapes: Sequence[tuple[int, ...]]) -> Cases | None:
    """A case a shape of a rule that takes arrays of any number of axes, for those that it takes; None of another rule.

    Args:
        rule: the rule.
        dtype, seed: of the arrays.
        shapes: of all arrays together.
    """

    def make(shape: tuple[int, ...], random: np.random.Generator) -> Mapping[str, np.ndarray]:
        made = {name: normal(random, shape, dtype) for name in rule.shapes}
        try:
            rule.sketched(*made.values())
        except IndexError as error:  # an axis that is not there
            raise ArgumentError(f"{rule} takes no arrays of shape {shape}; legal: more axes") from error
        return made

    return taken_shapes(make, shapes, seed) if rule.any_axes else None


def norms_near(rule: Transform, dtype: np.dtype, seed: int) -> Cases | None:
    """Arrays of few elements whose norm, as a whole or row by row, is just below and just above each of the rule's numbers.

    Farther from a bound, and of more elements, what is added to a norm is lost among rounding errors. None of a rule that is
    judged by its condition, and none that the rule does not take.

    Args:
        rule: the rule.
        dtype, seed: of the arrays.
    """
    if not rule.by_steps or below(rule.shapes[rule.primary]):
        return None
    axes = {axis for named in rule.shapes.values() for axis in axes_named(named) if not axis.isdigit()}
    cases = of_any_axes(rule, dtype, seed, FEW_AXES) or generate(rule, 1, dtype, seed, dict.fromkeys(axes, 2))
    found: dict[str, Mapping[str, np.ndarray]] = {}
    for case, norm, rows in product(range(len(cases.arrays)), beside_numbers(rule, dtype), (False, True)):
        arrays = cases.arrays[case]
        made = {**arrays, rule.primary: _of_norm(arrays[rule.primary], norm, rows)}
        if (not rows or arrays[rule.primary].ndim > 1) and is_number(rule, made):
            found[f"{cases.name(case)}, norm{' of rows' if rows else ''} {norm:g}"] = made
    return Cases(list(found.values()), list(found), seed) if found else None


def elements_near(rule: Transform, cases: Cases, takes: Callable[[Mapping[str, np.ndarray]], bool]) -> Cases | None:
    """Arrays whose first half of elements is just below a number of the rule, and whose second just above: it may be a bound.

    Args:
        rule: the rule.
        cases: one case of it.
        takes: whether it takes arrays.

    Returns:
        A case for each number; None if there are none that it takes.
    """
    arrays = cases.arrays[0]
    primary = arrays[rule.primary]
    if primary.dtype.kind != "f":
        return None
    later = np.arange(primary.size).reshape(primary.shape) >= primary.size // 2
    near = beside_numbers(rule, primary.dtype)
    made = [
        {**arrays, rule.primary: np.where(later, above, below).astype(primary.dtype)}
        for below, above in zip(near[::2], near[1::2], strict=True)
    ]
    kept = [each for each in made if takes(each)]
    return Cases(kept, [BESIDE] * len(kept), cases.seed) if kept else None


def _of_norm(array: np.ndarray, norm: float, rows: bool) -> np.ndarray:
    """An array with another norm, of each row if so wanted; one of zeros as it is."""
    wide = array.astype(np.float64)
    lengths = np.sqrt(np.sum(wide * wide, axis=tuple(range(1, array.ndim)) if rows else None, keepdims=True))
    return np.asarray(np.where(lengths > 0, wide * (norm / np.where(lengths > 0, lengths, 1.0)), wide)).astype(
        array.dtype
    )


def is_number(rule: Transform, arrays: Mapping[str, np.ndarray]) -> bool:
    """True if a rule takes arrays, and not all that it gives is NaN."""
    try:
        rule.check(*arrays.values())
        with np.errstate(all="ignore"):
            return not no_number(rule.sketched(*arrays.values()))
    except (ArgumentError, ArithmeticError, IndexError, ValueError):
        return False


def results_of(result: Any) -> list[Any]:
    """The results of a rule, each by itself."""
    return list(
        result.values() if isinstance(result, dict) else result if isinstance(result, tuple | list) else [result]
    )


def no_number(result: Any) -> bool:
    """True if a result is all NaN, or one of several is."""
    return any(np.size(part) > 0 and bool(np.all(np.isnan(part))) for part in results_of(result))


def families(rule: Transform) -> dict[str, Family]:
    """What a rule is tried on: where it has an eps, numbers of its size and of its root's besides, which it shows on alone."""
    found = [v for v in epsilons(rule) if v < 1.0]  # an epsilon of privacy is no small number

    def small(power: float) -> Family:
        return lambda random, shape, facts: random.choice(found) ** power * random.standard_normal(shape)

    sizes = {"of the size of eps": small(1.0), "of the size of its root": small(0.5)} if found else {}
    return {"normal": FAMILIES["normal"], **sizes, **FAMILIES}


def _normal(random: np.random.Generator, shape: tuple[int, ...], facts: dtypes.Format) -> np.ndarray:
    return random.standard_normal(shape)


def _scaled(random: np.random.Generator, shape: tuple[int, ...], facts: dtypes.Format) -> np.ndarray:
    low, high = np.log2(facts.smallest_normal) / 4, min(np.log2(facts.largest) / 4, 12.0)
    values = np.asarray(np.exp2(random.uniform(low, high, shape)) * random.choice([-1.0, 1.0], shape))
    return np.where(random.random(shape) < 0.1, 0.0, values)


def _shifted(random: np.random.Generator, shape: tuple[int, ...], facts: dtypes.Format) -> np.ndarray:
    """A common part that dwarfs the differences, so that they are small where means are taken away."""
    return 3.0 + random.standard_normal(shape) * 2.0**-6


def _small(random: np.random.Generator, shape: tuple[int, ...], facts: dtypes.Format) -> np.ndarray:
    return random.standard_normal(shape) * 2.0**-10


def _repeated(random: np.random.Generator, shape: tuple[int, ...], facts: dtypes.Format) -> np.ndarray:
    """Whole numbers of few values, so that there are ties; the first two rows are the same."""
    values = np.asarray(np.rint(random.standard_normal(shape) * 2.0))
    if len(shape) > 1 and shape[0] > 1:
        values[1] = values[0]
    return values


def _zero(random: np.random.Generator, shape: tuple[int, ...], facts: dtypes.Format) -> np.ndarray:
    return np.zeros(shape)


Family = Callable[[np.random.Generator, tuple[int, ...], dtypes.Format], np.ndarray]
#: those that leave little open come first, so that a call among the first that is wrong is seen to be
FAMILIES: dict[str, Family] = {
    "normal": _normal,
    "scaled": _scaled,
    "small": _small,
    "shifted": _shifted,
    "repeated": _repeated,
    "zero": _zero,
}
