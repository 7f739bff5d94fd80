"""What no bound sees: errors that stay within acceptance sets, and are yet far from what roundings make of the formula.

Sets have room for the worst roundings, and where errors depend on one another for more. A wrong constant may hide there. A body
that is run in float64 with random errors of the size of roundings says how far programs of it usually are from the truth: a
program that is several times farther than the worst of these runs rounds otherwise, or is another formula. That is no proof.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.dtypes import as_dtype, whole_numbers
from refgrad.arithmetic.perturbed import runs
from refgrad.errors import RefgradError
from refgrad.formula_forms import bodies
from refgrad.oracle.acceptance.bodies import named
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.unlike_numbers import Shift, Slopes, shift, slopes

#: runs with random errors, and how many times farther than the worst of them a program is unlike them
RUNS, FARTHER = 24, 2.0
#: of a result this share of the elements is left out, those that are farthest: a decision may go another way in a few
LEFT_OUT = 0.02
#: a uniform error's root mean square, as a share of the largest
UNIFORM = 3**-0.5

Arrays = Mapping[str, np.ndarray]


class Errors(NamedTuple):
    """The errors of one result.

    Attributes:
        units: of the program (first) and of the runs, a row each, in units of what is usual.
        kept: the elements, of all, that are looked at.
        usual: what is usual for each of these.
        unit: the largest relative error of one rounding.
    """

    units: np.ndarray
    kept: np.ndarray
    usual: np.ndarray
    unit: float


class Distance(NamedTuple):
    """How far a result is from the truth: the root mean square of errors, each in units of what is usual for the element.

    Attributes:
        own: that of the program.
        usual: the largest one of the runs with random errors.
    """

    own: float
    usual: float

    @property
    def farther(self) -> float:
        """How many times as far the program is as the worst of the runs."""
        return self.own / self.usual if self.usual else 0.0


def distances(
    rule: Any, cases: Sequence[Arrays], seen: Sequence[Mapping[str, Any]], policy: Policy
) -> dict[str, Distance]:
    """How far each result is, over some cases together; where a formula has forms, from the form that it is nearest to.

    Args:
        rule: a formula.
        cases: what the program was handed, case by case, of ordinary numbers.
        seen: what it gave.
        policy: the family of programs that it belongs to, which says what is rounded.

    Returns:
        By result; none where a body does not run with errors, or its results are exact or not finite.
    """
    return looked_at(rule, cases, seen, policy).distances


class Found(NamedTuple):
    """What errors say.

    Attributes:
        distances: by result, how far it is.
        shifts: by result and number of the formula, the number and how far it is off.
    """

    distances: dict[str, Distance]
    shifts: dict[tuple[str, str], tuple[float, Shift]]


def looked_at(
    rule: Any, cases: Sequence[Arrays], seen: Sequence[Mapping[str, Any]], policy: Policy, numbers: bool = False
) -> Found:
    """How far results are, as `distances`, and how far numbers of the formula are off.

    Args:
        rule, cases, seen, policy: as there.
        numbers: True to look at numbers of the formula.
    """
    found: dict[str, Distance] = {}
    off: dict[tuple[str, str], tuple[float, Shift]] = {}
    for which, body in enumerate(bodies(rule)):
        errors = [_errors(rule, body, arrays, got, policy) for arrays, got in zip(cases, seen, strict=True)]
        known = [slopes(rule, which, arrays) for arrays in cases] if numbers else []
        for name in seen[0] if seen else ():
            parts = [each[name] for each in errors if each is not None and name in each]
            if not parts:
                continue
            each = _distance(np.concatenate([part.units for part in parts], axis=1))
            if name not in found or each.farther < found[name].farther:
                found[name] = each
                off = {pair: one for pair, one in off.items() if pair[0] != name} | _shifts(rule, name, errors, known)
    return Found(found, off)


def _shifts(
    rule: Any, name: str, errors: Sequence[Mapping[str, Errors] | None], known: Sequence[Slopes]
) -> dict[tuple[str, str], tuple[float, Shift]]:
    """How far each number of the formula is off by the errors of one result, over all cases."""
    found = {}
    for number in dict.fromkeys(n for each in known for n in each):
        pairs = [
            (own[name], each[number][name])
            for own, each in zip(errors, known, strict=True)
            if own is not None and name in own and name in each.get(number, {})
        ]
        pairs = [(own, slope) for own, slope in pairs if slope.shape == own.kept.shape]
        if not pairs:
            continue
        along = [np.nan_to_num(slope[own.kept] / own.usual) for own, slope in pairs]
        value = float(getattr(rule, number))
        one = shift(
            np.concatenate([own.units for own, _ in pairs], axis=1), np.concatenate(along), pairs[0][0].unit, value
        )
        if one is not None:
            found[name, number] = (value, one)
    return found


def said(found: Mapping[str, Distance]) -> Iterator[str]:
    """A sentence for each result that is unlike.

    Args:
        found: as `distances` gives it.
    """
    for name, each in found.items():
        if each.farther > FARTHER:
            yield (
                f"conforms, but unlike: {name} is {each.farther:.3g} times as far from the truth as runs of the formula with "
                f"random errors of the size of roundings (root mean square {each.own:.3g}, of runs up to {each.usual:.3g}); "
                "it rounds more than it says, or a constant is off"
            )


def _errors(
    rule: Any, body: Callable[..., Any], arrays: Arrays, seen: Mapping[str, Any], policy: Policy
) -> dict[str, Errors] | None:
    """The errors of each result."""
    given = arrays[rule.primary].dtype
    stored = policy.results_in(given)
    narrow = dtypes.format_of(stored).unit_roundoff
    computed = dtypes.format_of(dtypes.working(given)).unit_roundoff
    unit = computed if policy.precision == "wide" else dtypes.format_of(given).unit_roundoff
    places = {place: dtypes.format_of(as_dtype(form, "stored")).unit_roundoff for place, form in policy.stored}
    wide = [a.copy() if whole_numbers(a) else a.astype(np.float64) for a in arrays.values()]
    try:
        with np.errstate(all="ignore"):
            truth = named(body(*(a.copy() for a in wide)))
            tried = [named(each) for each in runs(body, wide, unit, RUNS, places=places)]
    except (RefgradError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None
    random = np.random.Generator(np.random.Philox(len(tried)))
    found = {}
    for name, got in seen.items():
        true = np.ravel(np.asarray(truth[name], np.float64))
        rows = [np.ravel(np.asarray(each[name], np.float64).view(np.ndarray)) for each in (*tried, {name: got})]
        if any(row.shape != true.shape for row in rows):
            return None
        off = np.array(rows) - true
        last = narrow * np.abs(true) if narrow > unit else np.zeros_like(true)
        off[:-1] += random.uniform(-1.0, 1.0, off[:-1].shape) * last
        usual = np.sqrt(np.mean(off[:-1] ** 2, axis=0))
        kept = np.isfinite(off).all(axis=0) & (usual > 0) & (np.abs(true) > dtypes.format_of(stored).smallest_normal)
        if kept.any():
            units = (off[:, kept] / usual[kept])[[-1, *range(RUNS)]]
            found[name] = Errors(units, kept, usual[kept], max(unit, narrow))
    return found


def _distance(units: np.ndarray) -> Distance:
    squares = np.sort(units**2, axis=1)
    squares = squares[:, : max(1, squares.shape[1] - int(squares.shape[1] * LEFT_OUT))]
    own, *others = np.sqrt(np.mean(squares, axis=1))
    return Distance(float(own), float(max(others)))
