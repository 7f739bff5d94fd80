"""The lengths that axes of a transform's arrays have: together, alone, and long, as far as what is computed lets them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from refgrad.arithmetic.replacing import Work
from refgrad.derived import derived
from refgrad.errors import ArgumentError
from refgrad.optimizers.transform import Transform, axes_named, below
from refgrad.oracle.inputs.cases import Arrays, Cases
from refgrad.oracle.inputs.sizes import WIDTHS
from refgrad.oracle.inputs.transforms import AXES, generate, is_number, no_number, of_any_axes, results_of
from refgrad.rule import is_own

#: lengths that all axes have together, and that one has where the others are as the rule says
LENGTHS, ALONE = (1, 2, 3, 7, 17, 33), (1, 19, 65)
#: of `WIDTHS` the greatest that all axes have together, and of which the others may be as the rule says whatever they are
TILES, SHORT = 128, 64
#: of a user's rule: those that each axis has in turn; two of a trial before, which says how what is computed grows
LONGER, PROBED = (1031, 4099, 65_537), 16
#: elements at most of the largest array then, and of all that is computed
MOST, MOST_WORK = 70_000, 1_000_000
#: elements at most of all that is computed for the first of these lengths, where what is computed grows with its square whatever
#: the other axes are: an axis that meets itself, as in self-attention, is long in one case at least
MOST_ONCE = 24_000_000
#: classes of which every label is driven
CLASSES = 257
#: operations whose bound takes the square of the length
QUADRATIC = frozenset({"argsort", "percentile", "solve"})
#: that of the longest axis, where all arrays together have no more elements than so many, and of any other, of fewer
LONG, ELEMENTS, FEW_ELEMENTS = 1031, 50_000, 12_500


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
        if left_out is not None and not own and no_number(result):
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
            made |= {f"{name}, of one sign": arrays} if is_number(rule, arrays) else {}
    return made


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


def _is_empty(result: Any) -> bool:
    """True if no result has an element."""
    return not any(np.size(part) for part in results_of(result))


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


def takes_one_of(rule: Transform, names: Set[str]) -> bool:
    """True if a rule's body does one of some operations, as far as its text is counted.

    Args:
        rule: the rule.
        names: those of the operations.
    """
    work = _work(rule, {})
    return work is not None and bool(work.names & names)


@lru_cache(maxsize=1024)  # many lengths are asked about by the same two trials
def _worked(rule: Transform, lengths: tuple[tuple[str, int], ...]) -> Work | None:
    arrays = generate(rule, 1, np.dtype(np.float32), 0, dict(lengths)).arrays[0]
    work = Work(rule)
    try:
        rule.check(*arrays.values())
        with np.errstate(all="ignore"):
            parts = results_of(work(*arrays.values()))
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
