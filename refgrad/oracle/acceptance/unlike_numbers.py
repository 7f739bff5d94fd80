"""A number of a formula that a program has a little otherwise: errors that go along with the derivative by that number.

One element's error says little, where roundings are as large. Over many elements, and many cases, the errors of another number
add up along the derivative, and those of roundings do not: the estimate of how far off the number is becomes as sharp as cases
are many (``steps=400`` has 67 cases of ordinary numbers). Runs with random errors say how far it is off by accident.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from refgrad.arithmetic.dtypes import whole_numbers
from refgrad.errors import RefgradError
from refgrad.formula_forms import bodies
from refgrad.oracle.acceptance.bodies import named

#: a step of a number, for its derivative, as a share of the number and of one
STEP = 1e-5
#: how many times the largest estimate of the runs that of a program may be
FARTHER = 2.0
#: roundings that a program's numbers may have seen, as of 1 - smoothing, which are the same in every case
ROUNDINGS = 4.0

Slopes = Mapping[str, Mapping[str, np.ndarray]]


class Shift(NamedTuple):
    """How far a number is off.

    Attributes:
        own: of the program, with its sign.
        usual: the largest one of the runs with random errors, by magnitude.
        least: what numbers may be off by because they are rounded.
    """

    own: float
    usual: float
    least: float

    @property
    def told(self) -> bool:
        """True if it is more than an accident."""
        return abs(self.own) > max(FARTHER * self.usual, self.least)


def slopes(rule: Any, which: int, arrays: Mapping[str, np.ndarray]) -> Slopes:
    """The derivatives of a formula's results by its numbers, in float64.

    Args:
        rule: the formula.
        which: of what programs of it may compute (`refgrad.formula_forms.bodies`), the number.
        arrays: what it takes.

    Returns:
        By number and result, flat arrays; none of a number without two legal neighbours.
    """
    found: dict[str, Mapping[str, np.ndarray]] = {}
    wide = [a.copy() if whole_numbers(a) else a.astype(np.float64) for a in arrays.values()]
    for name, value in rule.hyperparameters().items():
        if not isinstance(value, float):
            continue
        step = STEP * max(abs(value), 1.0 if value == 0.0 else abs(value))
        try:
            ends = [bodies(replace(rule, **{name: value + way * step}))[which] for way in (1.0, -1.0)]
            with np.errstate(all="ignore"):
                high, low = (_flat(body, wide) for body in ends)
        except (RefgradError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            continue
        found[name] = {r: (high[r] - low[r]) / (2.0 * step) for r in high if high[r].shape == low[r].shape}
    return found


def _flat(body: Callable[..., Any], arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    return {n: np.ravel(np.asarray(x, np.float64)) for n, x in named(body(*(a.copy() for a in arrays))).items()}


def shift(units: np.ndarray, slope: np.ndarray, unit: float, value: float) -> Shift | None:
    """How far a number is off by errors, of a program (first) and of runs, a row each.

    Args:
        units: errors, each in units of what is usual for its element.
        slope: derivatives by the number, in the same units.
        unit: the largest relative error of one rounding.
        value: the number.

    Returns:
        None where no element depends on the number.

    >>> errors = np.array([[1e-3, 2e-3], [1e-5, -1e-5]])
    >>> shift(errors, np.array([1.0, 2.0]), 6e-8, 0.1).own
    0.001
    """
    size = float(np.sum(slope * slope))
    if not np.isfinite(size) or size == 0.0:
        return None
    own, *runs = (units @ slope / size).tolist()
    return Shift(own, max(map(abs, runs)), ROUNDINGS * unit * max(1.0, abs(value)))


def said(found: Mapping[tuple[str, str], tuple[float, Shift]]) -> Iterator[str]:
    """A sentence for each number that is off, by the result that knows it best.

    Args:
        found: by result and number the number, and how far it is off.
    """
    best: dict[str, tuple[float, str, float, Shift]] = {}
    for (result, number), (value, each) in found.items():
        surely = abs(each.own) / each.usual if each.usual else 0.0
        if each.told and surely > best.get(number, (0.0,))[0]:
            best[number] = (surely, result, value, each)
    for number, (_, result, value, each) in best.items():
        yield (
            f"conforms, but unlike: {result} is as if {number} were {value + each.own:.9g} in place of {value:.9g}, off by "
            f"{each.own:.2g} where roundings make it seem off by up to {each.usual:.2g}"
        )
