"""The arrays of cases: corners of the families that `refgrad.verify` drives candidates with, and small arrays of odd shapes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from refgrad.arithmetic.dtypes import as_dtype
from refgrad.axes import COLUMN, ELEMENT, ROW, Axes
from refgrad.errors import ArgumentError, RefgradError
from refgrad.golden.levels import Level
from refgrad.kinds.table import kind_of
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs.cases import Cases
from refgrad.rule import Rule
from refgrad.strength.exercised import with_decays

#: steps after which an optimizer's cases are taken: the first, and one at which averages have gone their way
AT = (3, 1, 10)
#: cases of a rule without state that are generated, of kinds that make as many as one likes
FEW = 4
Arrays = Mapping[str, Any]


class Sample(NamedTuple):
    """Arrays as `refgrad.sets` takes them, and what they are like."""

    family: str
    arrays: Arrays


def golden_rule(cls: type[Rule]) -> Rule:
    """The rule of a class whose cases, variants and faults are looked at: with its decays and momentum switched on.

    Args:
        cls: one of refgrad's rules.
    """
    rule: Any = cls()
    if isinstance(rule, Optimizer):
        return with_decays(type(rule))
    # so that few numbers are quantized all the same
    return rule.replace(min_8bit_size=1) if rule.kind == "8-bit-optimizer" else rule


def drawn(rule: Rule, level: Level, dtype: str) -> Iterator[Sample]:
    """Arrays that cases may be made of, the most telling first.

    Args:
        rule: what they are for.
        level: which seeds, and how many numbers.
        dtype: of the arrays.
    """
    kind, number = kind_of(rule), as_dtype(dtype)
    make = _steps if kind.stepped else _cases
    for seed in level.seeds:
        with np.errstate(all="ignore"):
            yield from make(rule, kind, number, seed, level.elements)


def _corner(shape: tuple[int, ...], most: int, rows: int = 4) -> tuple[slice, ...]:
    """The first rows and columns of an array, of so many numbers at most."""
    if len(shape) < 2:
        return (slice(0, most),) * len(shape)
    rows = min(rows, shape[0])
    return (slice(0, rows), slice(0, max(1, most // rows)), *(slice(0, 1),) * (len(shape) - 2))


def _steps(rule: Any, kind: Any, dtype: np.dtype, seed: int, most: int) -> Iterator[Sample]:
    """One leaf each, at a step of its own, from the state that the rule itself comes to."""
    inner = kind.told(rule)
    made: Cases = kind.generate(rule, max(AT), dtype, seed)
    leaves = [made.only(i).mapped(lambda a: a[_corner(a.shape, most)].copy()) for i in range(len(made.arrays))]
    steps = AT if inner is rule else (1,)
    for t, leaf in itertools.product(steps, leaves):
        p = leaf.p[0]
        state: dict[str, Any] = rule.init(p)
        for step in range(1, t):
            arrays, numbers = leaf.of_leaf(step, 0, inner)
            extras: dict[str, Any] = {**arrays, **numbers}
            p, state = rule.step(p, leaf.gradient(step, 0), state, backend="numpy", **extras)
        arrays, numbers = leaf.of_leaf(t, 0, inner)
        own = {n: state[n] for n in rule.slots()} if inner is rule else {}
        given = {"p": p, "g": leaf.gradient(t, 0), **own, **arrays, **numbers, "t": t}
        if all(np.isfinite(np.asarray(a, np.float64)).all() for a in given.values()):
            yield Sample(leaf.names[0], given)


def _cases(rule: Any, kind: Any, dtype: np.dtype, seed: int, most: int) -> Iterator[Sample]:
    """Corners of generated cases, then small cases of other shapes."""
    made = kind.generate(rule, FEW, dtype, seed)
    try:
        sizes = kind.sizes(rule, dtype, seed)
    except (ArithmeticError, LookupError, ValueError):  # a shape that a variant cannot take, and does not refuse either
        sizes = None
    small = [] if sizes is None else list(zip(sizes.names, sizes.arrays, strict=True))
    for name, arrays in itertools.chain(zip(made.names, made.arrays, strict=True), small):
        few = _few(rule, kind, arrays, most)
        if few is not None and all(np.isfinite(np.asarray(a, np.float64)).all() for a in few.values()):
            yield Sample(name, few)


def _few(rule: Any, kind: Any, arrays: Arrays, most: int) -> Arrays | None:
    """A corner of a case that the rule takes; the case itself if that is small; None of what is not."""
    shape = arrays[rule.primary].shape
    if not 1 < arrays[rule.primary].size and rule.kind != "scaling":
        return None
    if arrays[rule.primary].size > most and rule.kind in ("estimator", "quantizer", "mask"):
        # groups of masks are of four and eight
        at = _corner(shape, most, 3 if rule.kind == "mask" else 4)
        try:
            given = _unchosen(rule, arrays)
            cut = _cut_quantizer(given, at) if rule.kind == "quantizer" else _cut(rule.takes(), given, at)
            checked = kind.checked(rule, Cases([cut], [""])).arrays[0]
            kind.own(rule, Cases([checked], [""]))
            if kind._takes(rule, checked):
                return _unchosen(rule, checked)
        except (RefgradError, ArgumentError, ArithmeticError, LookupError, TypeError, ValueError):
            pass
    given = _unchosen(rule, arrays)
    total = sum(np.asarray(a).size for a in given.values())
    return given if total <= 16 * most else None


def _unchosen(rule: Any, arrays: Arrays) -> dict[str, np.ndarray]:
    """A case without the choices that an implementation makes itself, among the numbers that are left."""
    return {n: a for n, a in arrays.items() if n not in getattr(rule, "chosen", ())}


def _cut_quantizer(arrays: Arrays, at: tuple[slice, ...]) -> dict[str, np.ndarray]:
    """What is quantized alone; what the rule takes besides is made anew."""
    return {"x": arrays["x"][at].copy()}


def _cut(axes: Mapping[str, Axes], arrays: Arrays, at: tuple[slice, ...]) -> dict[str, np.ndarray]:
    """Part of every array: of one number a row rows alone, of one a column columns, of others nothing."""
    kept = {ELEMENT: at, ROW: at[:1], COLUMN: (slice(None), *at[1:])}
    found = {}
    for name, array in arrays.items():
        along = axes.get(name, ())
        own = at[1:] if along == COLUMN and np.ndim(array) == 1 else kept.get(along, ())
        found[name] = np.asarray(array)[own].copy()
    return found


def plain(arrays: Arrays) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """The arrays of a case, and its numbers.

    Args:
        arrays: as `refgrad.sets` takes them.
    """
    numbers = {n: float(v) for n, v in arrays.items() if isinstance(v, float | int)}
    return {n: np.asarray(v) for n, v in arrays.items() if n not in numbers}, numbers
