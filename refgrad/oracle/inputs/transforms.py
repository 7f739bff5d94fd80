"""The arrays that a transform is tried with: ordinary numbers, many magnitudes, the format's edges, rows that repeat."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.replacing import Work
from refgrad.derived import derived
from refgrad.errors import ArgumentError
from refgrad.optimizers.transform import Transform, axes_named, below, length_of
from refgrad.oracle.inputs.cases import Arrays, Cases
from refgrad.oracle.inputs.extremes import beside_numbers
from refgrad.oracle.inputs.sizes import TILED, WIDTHS, normal
from refgrad.oracle.inputs.sizes import taken as taken_shapes
from refgrad.oracle.inputs.steps import epsilons
from refgrad.rule import Whole, is_own

#: lengths that all axes have together, and that one has where the others are as the rule says
LENGTHS, ALONE = (1, 2, 3, 7, 17, 33), (1, 19, 65)
#: of `WIDTHS` the greatest that all axes have together, and of which the others may be as the rule says whatever they are
TILES, SHORT = 128, 64
#: of a user's rule: those that each axis has in turn; two of a trial before, which says how what is computed grows
LONGER, PROBED = (1031, 4099, 65_537), 16
#: elements at most of the largest array then, and of all that is computed
MOST, MOST_WORK = 70_000, 1_000_000
#: what cases at another setting are called that have more elements, and elements below and above a number
MORE, BESIDE = "more elements", "elements near a bound"
#: elements at most of all that is computed for the first of these lengths, where what is computed grows with its square whatever
#: the other axes are: an axis that meets itself, as in self-attention, is long in one case at least
MOST_ONCE = 24_000_000
#: classes of which every label is driven
CLASSES = 257
#: shapes of arrays that may have any number of axes, beside those of two; and those of few elements
AXES: Sequence[tuple[int, ...]] = ((), (1,), (7,), (1027,), (3, 4, 5), (2, 1, 3), (2, 3, 4, 5), *TILED[2:])
FEW_AXES: Sequence[tuple[int, ...]] = ((), (2,), (2, 2), (2, 1, 2))
#: operations whose bound takes the square of the length
QUADRATIC = frozenset({"argsort", "percentile", "solve"})
#: that of the longest axis, where all arrays together have no more elements than so many, and of any other, of fewer
LONG, ELEMENTS, FEW_ELEMENTS = 1031, 50_000, 12_500


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


def sizes(rule: Transform, dtype: np.dtype, seed: int, left_out: list[str] | None = None) -> Cases | None:
    """A case for each of several lengths of the rule's axes, all of one length, and each axis alone of another.

    Args:
        rule: the rule; of a user's, every axis is long in turn.
        dtype, seed: of the arrays.
        left_out: is filled with the cases whose result the rule itself has as NaN, such as a variance of one number.
    """
    kept, asked = _kept(rule), (np.dtype(dtype), seed, left_out is None)
    if asked not in kept:  # several situations of a run ask for the same; those of another run are let go
        kept.clear()
        names: list[str] | None = None if left_out is None else []
        kept[asked] = _made(rule, dtype, seed, names), names or []
    cases, names_left_out = kept[asked]
    if left_out is not None:
        left_out += names_left_out
    return cases


@derived
def _kept(rule: Transform) -> dict[tuple[np.dtype, int, bool], tuple[Cases | None, list[str]]]:
    """The cases of a rule of many lengths that were made last."""
    return {}


def _made(rule: Transform, dtype: np.dtype, seed: int, left_out: list[str] | None) -> Cases | None:
    """See `sizes`."""
    own = is_own(type(rule))
    axes = sorted({axis for named in rule.shapes.values() for axis in axes_named(named)})
    axes = [axis for axis in axes if not axis.isdigit()]  # those have the length that they are called by
    wanted = [dict.fromkeys(axes, n) for n in LENGTHS] if axes else []
    wanted += [{axis: n} for axis in axes for n in ALONE] if len(axes) > 1 else []
    wanted += [{axis: LONG} for axis in axes] if own else [*_long(rule, axes)]
    found: dict[str, Arrays] = {}
    taken: list[dict[str, int]] = []
    evened = [] if own else list(map(_even, wanted))
    for number, lengths in enumerate([*wanted, *evened, *_exact(rule, axes)]):
        again = len(wanted) <= number < len(wanted) + len(evened) and any(_even(o) == lengths for o in taken)
        if lengths is None or lengths in taken or again or _beyond(rule, lengths):
            continue
        made = generate(rule, 1, dtype, seed, lengths).arrays[0]
        if not own and LONG in lengths.values() and _loops(rule, lengths):
            made = _tempered(rule, made, np.copysign)
        if own and LONG in lengths.values() and not moderate(rule, lengths, made):
            continue
        name = ", ".join(f"{axis} = {n}" for axis, n in lengths.items())
        try:
            rule.check(*made.values())
            result = rule.sketched(*made.values())
        except ArgumentError:
            continue
        if not own and _is_empty(result):
            continue
        if left_out is not None and not own and _nan(result):
            left_out += [] if max(lengths.values()) >= LONG // 1024 * 1024 else [name]
            continue
        found[name] = made
        taken.append(lengths)
    if not own:
        found |= _of_one_sign(rule, found, taken)
    cases = Cases(list(found.values()), list(found), seed) if found else None
    more = of_any_axes(rule, dtype, seed, AXES)
    return more if cases is None else cases.with_more(more)


def _loops(rule: Transform, lengths: Mapping[str, int]) -> bool:
    """True if a rule goes in a loop over an axis that is long."""
    short, double = (_work(rule, {axis: min(n, most) for axis, n in lengths.items()}) for most in (PROBED, 2 * PROBED))
    return short is not None and double is not None and short.ops != double.ops


def _tempered(rule: Transform, arrays: Arrays, sign: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Arrays:
    """Arrays whose floats have magnitudes from a half to one: what is multiplied many times does not grow beyond all bounds.

    Args:
        rule: the rule.
        arrays: the arrays.
        sign: gives magnitudes the signs that it makes of those of the arrays.
    """
    random = np.random.Generator(np.random.Philox(len(arrays)))
    return {
        n: a if below(rule.shapes[n]) else np.asarray(sign(random.uniform(0.5, 1.0, a.shape), a)).astype(a.dtype)
        for n, a in arrays.items()
    }


def _of_one_sign(rule: Transform, found: Mapping[str, Arrays], taken: Sequence[Mapping[str, int]]) -> dict[str, Arrays]:
    """Beside an array of each axis that is long, one of the same shape whose numbers are positive, and not far from equal.

    What is added up there is as large as their number lets it be: of either sign, sums stay near the root of it, far below what a
    narrow accumulator holds.
    """
    long_ = {name: lengths for name, lengths in zip(found, taken, strict=True) if max(lengths.values()) in LONGER[:2]}
    axes = {name: max(lengths, key=lambda axis: lengths[axis]) for name, lengths in long_.items()}
    longest = {axis: name for name, axis in axes.items()}  # of two lengths of an axis the second
    made: dict[str, Arrays] = {}
    for name in longest.values():
        if not _loops(rule, long_[name]):
            arrays = _tempered(rule, found[name], lambda sizes, _: sizes)
            made |= {f"{name}, of one sign": arrays} if _is_number(rule, arrays) else {}
    return made


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
        if (not rows or arrays[rule.primary].ndim > 1) and _is_number(rule, made):
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


def _is_number(rule: Transform, arrays: Mapping[str, np.ndarray]) -> bool:
    """True if a rule takes arrays, and not all that it gives is NaN."""
    try:
        rule.check(*arrays.values())
        with np.errstate(all="ignore"):
            return not _nan(rule.sketched(*arrays.values()))
    except (ArgumentError, ArithmeticError, IndexError, ValueError):
        return False


def _exact(rule: Transform, axes: list[str]) -> Iterator[dict[str, int]]:
    """Lengths that are widths of vectors and of blocks, of all axes together and of each alone, as far as they cost little.

    Where labels are below an axis they are as many as that is long, so that each occurs.
    """
    for n in (n for n in WIDTHS if n <= TILES and axes):
        together = dict.fromkeys(axes, n)
        if (n < LENGTHS[-1] and _largest(rule, together) <= MOST // 2) or _few(rule, together):
            yield together
    for axis, n in product(axes if len(axes) > 1 else (), WIDTHS):
        alone = {axis: n}
        if n <= SHORT:
            yield alone
            continue
        for others in (None, 3, 2, 1):
            lengths = alone | ({} if others is None else {o: others for o in axes if o != axis})
            if _few(rule, lengths):
                yield lengths
                break
    yield from ({axes[0]: n} for n in WIDTHS if n > TILES and len(axes) == 1 and _few(rule, {axes[0]: n}))
    yield from _labelled(rule)


def _few(rule: Transform, lengths: Mapping[str, int]) -> bool:
    """True if little enough is computed of arrays of some lengths: as much more as twice a short length says."""
    probed = ({axis: min(n, most) for axis, n in lengths.items()} for most in (PROBED, 2 * PROBED))
    try:
        short, double = (_work(rule, each) for each in probed)
    except AttributeError:  # a primitive of refgrad's own, within an optimizer's update, is not counted
        return _largest(rule, lengths) <= FEW_ELEMENTS
    if short is None or double is None or _largest(rule, lengths) > MOST or short.size == 0:
        return False
    doublings = math.log2(max(*lengths.values(), PROBED) / PROBED)
    times = max(double.size / short.size, double.ops / max(short.ops, 1)) * (2.0 if short.names & QUADRATIC else 1.0)
    return bool(short.size * times**doublings <= MOST_WORK)


def _labelled(rule: Transform) -> Iterator[dict[str, int]]:
    """As many labels as classes, of more classes than a byte has numbers and as few else as may be."""
    for text in rule.shapes.values():
        most, axes = below(text), axes_named(text)
        if most and not most.isdigit() and axes and not any(axis.isdigit() for axis in axes):
            lengths = {**dict.fromkeys(axes, 1), axes[-1]: CLASSES, most: CLASSES}
            if _few(rule, lengths):
                yield lengths


def _beyond(rule: Transform, lengths: Mapping[str, int]) -> bool:
    """True if an axis is longer than the rule is tried with."""
    return any(lengths.get(axis, 0) > most for axis, most in rule.longest.items())


def _even(lengths: dict[str, int] | None) -> dict[str, int] | None:
    """Lengths of which a long one is a multiple of 1024, for a rule that takes multiples alone; None of short ones."""
    if lengths is None or max(lengths.values()) < LONG:
        return None
    return {axis: n // 1024 * 1024 or n for axis, n in lengths.items()}


def _parts(result: Any) -> list[Any]:
    """The results of a rule, each by itself."""
    return list(
        result.values() if isinstance(result, dict) else result if isinstance(result, tuple | list) else [result]
    )


def _nan(result: Any) -> bool:
    """True if a result is all NaN, or one of several is."""
    return any(np.size(part) > 0 and bool(np.all(np.isnan(part))) for part in _parts(result))


def _is_empty(result: Any) -> bool:
    """True if no result has an element."""
    return not any(np.size(part) for part in _parts(result))


def _long(rule: Transform, axes: list[str]) -> Iterator[dict[str, int]]:
    """Each axis long by itself, the others as the rule says or as short as need be, if what is computed grows no faster."""
    for axis in axes:
        short = _work(rule, {axis: PROBED})
        double = _work(rule, {axis: 2 * PROBED})
        if short is None or double is None:
            continue
        linear = double.size <= 2.2 * short.size and double.ops == short.ops and not (short.names & QUADRATIC)
        others = _others(rule, axis, axes)
        power = 1.0 if linear else max(2.0, math.log2(max(double.size, 1) / max(short.size, 1)))
        for length in LONGER if linear else LONGER[:1]:
            growth = (length / PROBED) ** power
            for most in (MOST_WORK,) if linear or double.ops != short.ops else (MOST_WORK, MOST_ONCE):
                lengths = next(
                    ({axis: length} | o for o in others if _cheap(rule, axis, length, o, most / growth)), None
                )
                if lengths is not None:
                    yield lengths
                    break


def _cheap(rule: Transform, axis: str, length: int, others: Mapping[str, int], most: float) -> bool:
    """True if a rule takes others' lengths, and computes few enough elements beside a short axis in the place of a long one."""
    work = _work(rule, {**others, axis: PROBED})
    return work is not None and work.size <= most and _largest(rule, {**others, axis: length}) <= MOST


def _others(rule: Transform, axis: str, axes: list[str]) -> list[dict[str, int]]:
    """Lengths of all other axes beside a long one: as the rule says, and shorter ones, the longest first.

    Where axes may not be as short as that together, since one has to be twice another, say, each is made as short as it may be
    beside the others.
    """
    apart = [other for other in axes if other != axis]
    found = [{}, *(dict.fromkeys(apart, n) for n in (3, 2, 1))]
    known = [lengths for lengths in found if _gives(rule, {**lengths, axis: PROBED})]
    return known if found[-1] in known else [*known, _shortened(rule, axis, apart)]


def _shortened(rule: Transform, axis: str, apart: list[str]) -> dict[str, int]:
    """The lengths of a rule with each axis as short as the others let it be, which are shortened in turn, twice."""
    lengths = {other: rule.lengths[other] for other in apart}
    for other in (*apart, *apart):
        shorter = range(1, min(lengths[other], 4))
        fits = (n for n in shorter if _gives(rule, {**lengths, other: n, axis: PROBED}))
        lengths[other] = next(fits, lengths[other])
    return lengths


def _gives(rule: Transform, lengths: Mapping[str, int]) -> bool:
    """True if a rule takes arrays of some lengths, and its results have elements."""
    work = _work(rule, lengths)
    return work is not None and work.gave


def _largest(rule: Transform, lengths: Mapping[str, int]) -> int:
    """The number of elements of the largest array."""
    known = {**rule.lengths, **lengths}
    return max(math.prod(known[a] for a in axes_named(axes)) for axes in rule.shapes.values())


def _work(rule: Transform, lengths: Mapping[str, int]) -> Work | None:
    """What is computed for arrays of some lengths; None if the rule does not take them, or goes a way that is not counted."""
    return _worked(rule, tuple(sorted(lengths.items()))) if rule.by_steps else None


def exponential(rule: Transform) -> bool:
    """True if a rule takes an exponential, as far as its text is counted."""
    work = _work(rule, {})
    return work is not None and bool(work.names & {"exp", "expm1"})


@lru_cache(maxsize=1024)  # many lengths are asked about by the same two trials
def _worked(rule: Transform, lengths: tuple[tuple[str, int], ...]) -> Work | None:
    arrays = generate(rule, 1, np.dtype(np.float32), 0, dict(lengths)).arrays[0]
    work = Work(rule)
    try:
        rule.check(*arrays.values())
        with np.errstate(all="ignore"):
            parts = _parts(work(*arrays.values()))
    except (ArgumentError, ArithmeticError, TypeError, ValueError):
        return None
    work.gave = any(np.size(part) for part in parts)
    work.size = work.size or sum(int(np.size(part)) for part in parts)  # of a body that only moves numbers
    return work


def moderate(rule: Transform, lengths: Mapping[str, int], arrays: Mapping[str, np.ndarray]) -> bool:
    """True if arrays of which an axis is long have few enough elements: what a rule costs may grow with the cube of them.

    Args:
        rule: the rule.
        lengths: those of axes that are not as the rule says.
        arrays: the arrays.
    """
    longest = max(rule.lengths, key=lambda axis: rule.lengths[axis], default="")
    return sum(a.size for a in arrays.values()) <= (ELEMENTS if longest in lengths else FEW_ELEMENTS)


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
