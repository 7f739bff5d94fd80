"""Arrays of zeros, of one number, of one sign, with a row of zeros, with ends that are each other's negative, small and large."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.oracle.inputs.cases import Arrays, Cases
from refgrad.rule import Rule

#: of how many elements an array is at most that is changed
MOST = 1024
#: and of another, of which more is certain
LEAST = 16
#: what ends the names of its cases
OF_FEW = ", few elements"
#: the largest number of a format to this power: its fifth power is finite, the largest is 2^24 for float32
LARGE = 3 / 16

#: the smallest normal number of a format to this power: 2^-31 for float32
SMALL = 1 / 4

#: the situation of numbers between ordinary and large ones
MAGNITUDES = "every magnitude"
#: functions with tails, which programs replace by simpler ones from some bound on
CURVED = frozenset(
    (
        "exp",
        "expm1",
        "exp2",
        "log",
        "log1p",
        "log2",
        "logaddexp",
        "tanh",
        "erf",
        "expit",
        "power",
        "sinh",
        "cosh",
        "arctan",
    )
)
#: the magnitudes between which graded numbers lie: activations take another branch within these
GRADED = (2.0**-3, 2.0**7)

#: norms are so many times a number of the rule: just below a bound, and just above
NEAR = (1 - 2.0**-4, 1 + 2.0**-4)

Change = Callable[[np.ndarray], np.ndarray]


def beside_numbers(rule: Rule, dtype: np.dtype) -> list[float]:
    """What is just below and just above each number of a rule, those of rules within among them: one may be a bound.

    Args:
        rule: the rule.
        dtype: of what is compared with it; numbers whose squares are none of its normal numbers are left out.
    """
    facts = dtypes.format_of(dtypes.working(dtype))
    known = sorted({value for name, value in rule.numbers().items() if name in rule.reads() and value > 0})
    within = (v for v in known if facts.smallest_normal < v * v / 64 and v * v * 64 < facts.largest)
    return [value * factor for value in within for factor in NEAR]


def large(array: np.ndarray) -> np.ndarray:
    """An array times a number far above those of ordinary cases, whose powers are finite still.

    Args:
        array: of any float dtype.
    """
    return (array * np.asarray(dtypes.format_of(array.dtype).largest ** LARGE, array.dtype)).astype(array.dtype)


def small(array: np.ndarray) -> np.ndarray:
    """An array times a number far below those of ordinary cases, whose squares are normal numbers still.

    Args:
        array: of any float dtype.
    """
    least = 2.0 ** np.floor(np.log2(dtypes.format_of(array.dtype).smallest_normal) * SMALL)
    return (array * np.asarray(least, array.dtype)).astype(array.dtype)


def of_one_number(array: np.ndarray) -> np.ndarray:
    """The first number throughout: what is made of differences is zero.

    Args:
        array: of any float dtype, with an element.
    """
    return np.full_like(array, array.flat[0])


def one_alone(array: np.ndarray) -> np.ndarray:
    """The last number, beside zeros.

    Args:
        array: of any float dtype, with an element.
    """
    kept = np.zeros_like(array)
    kept[(-1,) * array.ndim] = array[(-1,) * array.ndim]
    return kept


def _rows_of_one_number(array: np.ndarray) -> np.ndarray:
    return np.broadcast_to(array[..., :1], array.shape).copy()


def _zero_row(array: np.ndarray) -> np.ndarray:
    kept = array.copy()
    kept[:1] = 0
    return kept


def _symmetric(array: np.ndarray) -> np.ndarray:
    """With the largest magnitude of each row at both ends."""
    kept, most = array.copy(), np.abs(array).max(axis=-1)
    kept[..., 0], kept[..., -1] = most, -most
    return kept


CHANGES: Mapping[str, Change] = {
    "all zero": np.zeros_like,
    "a row of zeros": _zero_row,
    "max = -min": _symmetric,
    "large": large,
}
#: those that are driven only where the rule has finite numbers for them: equations may be singular there
REGULAR: Mapping[str, Change] = {
    "small": small,
    "all equal": of_one_number,
    "equal in each row": _rows_of_one_number,
    "all negative": lambda array: -np.abs(array),
    "all positive": np.abs,
    "one alone": one_alone,
}


def extremes(
    cases: Cases, primary: str, takes: Callable[[Arrays], bool], finite: Callable[[Arrays], bool]
) -> Cases | None:
    """A case of few elements, with two axes if there is one, changed in each way that a rule takes; None if there is none.

    Another has very few: of a long sum, or of a large system, too little is certain to tell a result from its double.

    Args:
        cases: cases of many shapes.
        primary: the array that is changed.
        takes: whether the rule takes the arrays of a case.
        finite: whether it has finite numbers for them.
    """
    kept: dict[str, Arrays] = {}
    for most, said in ((MOST, ""), (LEAST, OF_FEW)):
        few = [a for a in cases.arrays if a[primary].ndim and 1 < a[primary].size <= most]
        if not few:
            continue
        arrays = max(few, key=lambda a: (a[primary].ndim == 2, a[primary].size))
        every = {**CHANGES, **(REGULAR if arrays[primary].dtype.kind == "f" else {})}
        made = {name: {**arrays, primary: change(arrays[primary])} for name, change in every.items()}
        kept |= {f"{n}{said}": each for n, each in made.items() if (finite if n in REGULAR else takes)(each)}
    return Cases(list(kept.values()), list(kept), cases.seed) if kept else None


def _far(array: np.ndarray) -> np.floating:
    """So far below zero the exponential of a number is zero, and so far above it is infinite."""
    return dtypes.working(array.dtype).type(2.0 * np.log(dtypes.format_of(dtypes.working(array.dtype)).largest))


def _rows_apart(array: np.ndarray) -> np.ndarray:
    """Whole rows far below zero and far above it in turn."""
    signs = np.where(np.arange(array.shape[0]) % 2, 1.0, -1.0).reshape(-1, *(1,) * (array.ndim - 1))
    return array + signs * _far(array)


AWAY: Mapping[str, Change] = {
    "far below zero": lambda array: array - _far(array),
    "far above zero": lambda array: array + _far(array),
    "rows far below and above zero": _rows_apart,
}


def far_from_zero(cases: Cases, names: Iterable[str], takes: Callable[[Arrays], bool]) -> Cases | None:
    """A case of few elements of which one array as a whole, or row by row, is far below zero or far above; None if there is none.

    Args:
        cases: cases of many shapes.
        names: the arrays that are changed, each in cases of its own.
        takes: whether the rule has finite numbers for the arrays of a case.
    """
    found: dict[str, Arrays] = {}
    for name in names:
        few = [a for a in cases.arrays if a[name].ndim and 1 < a[name].size <= MOST and a[name].dtype.kind == "f"]
        if not few:
            continue
        arrays = max(few, key=lambda a: (a[name].ndim == 2, a[name].size))
        for how, change in AWAY.items():
            moved = {**arrays, name: change(arrays[name]).astype(arrays[name].dtype)}
            found |= {f"{name} {how}": moved} if takes(moved) else {}
    return Cases(list(found.values()), list(found), cases.seed) if found else None


def graded(cases: Cases, names: Iterable[str], takes: Callable[[Arrays], bool]) -> Cases | None:
    """A case of few elements whose arrays, each by itself and all together, have numbers of every magnitude that is common.

    Ordinary numbers end at four, and large ones begin far beyond: between them activations have their tails, and kernels bounds
    from which on they take another formula.

    Args:
        cases: cases of many shapes.
        names: the arrays that are changed.
        takes: whether the rule has finite numbers for the arrays of a case.
    """
    known = [n for n in names if all(a[n].dtype.kind == "f" for a in cases.arrays)]
    few = [a for a in cases.arrays if known and all(1 < a[n].size <= MOST for n in known)]
    if not few:
        return None
    arrays = max(few, key=lambda a: sum(a[n].size for n in known))
    random = np.random.Generator(np.random.Philox(cases.seed))
    made = {n: _graded(arrays[n], random) for n in known}
    found = {f"{n} of every magnitude": {**arrays, n: each} for n, each in made.items()}
    if len(made) > 1:
        found["all arrays of every magnitude"] = {**arrays, **made}
    kept = {name: each for name, each in found.items() if takes(each)}
    return Cases(list(kept.values()), list(kept), cases.seed) if kept else None


def _graded(array: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Numbers of either sign whose magnitudes are as far apart as their number allows, in any order."""
    low, high = np.log2(GRADED)
    powers = low + (high - low) * (np.arange(array.size) // 2 + random.random(array.size)) / ((array.size + 1) // 2)
    signs = np.where(np.arange(array.size) % 2, 1.0, -1.0)
    return random.permutation(signs * np.exp2(powers)).reshape(array.shape).astype(array.dtype)


def by_columns(cases: Cases) -> Cases:
    """The same numbers in arrays that lie column by column in memory, where they have two axes."""
    return cases.mapped(np.asfortranarray)
