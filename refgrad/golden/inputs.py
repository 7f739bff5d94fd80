"""The arrays of cases: corners of the families that `refgrad.verify` drives candidates with, and small arrays of odd shapes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from refgrad.arithmetic.dtypes import as_dtype
from refgrad.axes import COLUMN, ELEMENT, ROW, Axes
from refgrad.errors import ArgumentError, RefgradError
from refgrad.golden.levels import Level
from refgrad.kinds.kind import SETTING
from refgrad.kinds.record import Driven, Situation
from refgrad.kinds.table import kind_of
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.extremes import OF_FEW, REGULAR
from refgrad.oracle.inputs.transforms import BESIDE, MORE
from refgrad.oracle.inputs.undefined import VALUES
from refgrad.rule import Rule
from refgrad.strength.exercised import with_decays

#: steps after which an optimizer's cases are taken: the first, and one at which averages have gone their way
AT = (3, 1, 10)
#: situations that are looked at first
FIRST = ("NaN", "infinities", SETTING, "extremes", "zeros")
#: situations of faults that files do not name, which would take the room of cases of others
LEFT_OUT = ("uniform gradients", "repeated gradients")
#: the last step of a situation that a case is taken at
LAST = 12
#: one of so many elements is NaN or an infinity, the third first, of so many cases
EVERY, PLACE, SMALL = 5, 2, 3
#: cases of a rule without state that are generated, of kinds that make as many as one likes
FEW = 4
Arrays = Mapping[str, Any]


class Sample(NamedTuple):
    """Arrays as `refgrad.sets` takes them, and what they are like.

    Attributes:
        family: what reports call them.
        arrays: by name, and numbers.
        rule: that they are of, where it has another setting; None for the rule that they were asked for.
        outputs: the outputs that programs agree on there; all if there are none.
        nan_open: whether what comparisons, signs and maxima make of NaN is left open.
        may_meet: whether infinities may meet, so that NaN is right wherever it comes out.
    """

    family: str
    arrays: Arrays
    rule: Any = None
    outputs: frozenset[str] | None = None
    nan_open: bool = False
    may_meet: bool = False

    @property
    def finite(self) -> bool:
        """True if all numbers are."""
        return all(np.isfinite(np.asarray(a, np.float64)).all() for a in self.arrays.values())


def golden_rule(cls: type[Rule]) -> Rule:
    """The rule of a class whose cases, variants and faults are looked at: with its decays and momentum switched on.

    Args:
        cls: of the rule.
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
            yield from make(rule, kind, number, seed, level.elements if dtype == level.dtypes[0] else level.few)


def telling(rule: Rule, level: Level, dtype: str) -> Iterator[Sample]:
    """Arrays on which faults show that ordinary ones hide: the situations that `refgrad.verify` drives candidates through.

    One of each situation after the other. Of a rule that names what it makes of NaN there are cases with NaN that hold it to
    that, where a verdict leaves it open.

    Args:
        rule: what they are for.
        level: which seeds, and how many numbers.
        dtype: of the arrays.
    """
    kind: Any = kind_of(rule)
    make = _situated_steps if kind.stepped else _situated_cases
    for seed in level.seeds:
        with np.errstate(all="ignore"):
            found = list(kind.situations(rule, Driven(None, rule.reads(), as_dtype(dtype), seed)))
            found = [
                s
                for s in found
                if not (s.cases.absent or s.cases.saved or s.cases.counts or s.cases.settings or s.name in LEFT_OUT)
            ]
            found.sort(key=lambda s: FIRST.index(s.name) if s.name in FIRST else len(FIRST))
            if kind.stepped:
                more, most = _later(rule, kind, as_dtype(dtype), seed, level.few), level.few
            else:
                most = level.elements
                cases = itertools.islice(_cases(rule, kind, as_dtype(dtype), seed, most), SMALL)
                more = _not_finite(rule, kind, [s.arrays for s in cases], [s for s in found if s.name in VALUES])
                found = [s for s in found if s.name not in VALUES]
            edges = _edges(rule, kind, as_dtype(dtype), seed, most) if kind.name == "estimator" else iter(())
            every = [edges, more, *(make(each, kind, most) for each in found)]
            yield from (each for each in itertools.chain(*itertools.zip_longest(*every)) if each is not None)


def _edges(rule: Any, kind: Any, dtype: np.dtype, seed: int, most: int) -> Iterator[Sample]:
    """Those columns of the generated cases whose numbers have the fewest digits: the edges 0, 1 and the like are among them."""
    made: Cases = kind.generate(rule, FEW, dtype, seed)
    for name, arrays in zip(made.names, made.arrays, strict=True):
        x = np.asarray(arrays["x"])
        if x.ndim != 2 or x.size <= most:
            continue
        rows, columns = (each.stop for each in _corner(x.shape, most))
        fractions = np.frexp(x[:rows].astype(np.float64))[0] * 2.0**53
        digits = np.log2(np.gcd(fractions.astype(np.int64), 1 << 53)).sum(0)
        chosen = np.sort(np.argsort(-digits, kind="stable")[:columns])
        cut = _cut(rule.takes(), _unchosen(rule, arrays), (slice(0, rows), chosen))  # type: ignore[arg-type]
        if kind._takes(rule, cut):
            yield Sample(f"{name}, edges", cut)


def _later(rule: Any, kind: Any, dtype: np.dtype, seed: int, most: int) -> Iterator[Sample]:
    """The first leaves at steps at which something happens that does not at others: multiples of the rule's own counts."""
    if kind.told(rule) is not rule:
        return
    counts = [int(v) for v in rule.numbers().values() if 2 <= v <= LAST and float(v).is_integer()]
    steps = list(dict.fromkeys(t for t in (*counts, *(n + 1 for n in counts), max(AT))))
    made: Cases = kind.generate(rule, max(steps), dtype, seed)
    for t, number in itertools.product(steps, range(min(2, len(made.arrays)))):
        found = _at_step(rule, rule, made.only(number).mapped(lambda a: a[_corner(a.shape, most)].copy()), t)
        if found.finite:
            yield found


def _not_finite(rule: Any, kind: Any, small: Sequence[Arrays], found: Sequence[Situation]) -> Iterator[Sample]:
    """Small cases with NaN and infinities in place of some numbers, as far as programs agree on what comes of them.

    A rule that says what comes of NaN is held to that.
    """
    said = any("nan" in name.split("_") for name in rule.legal())
    of_primary = [e for e in found if not np.isfinite(np.asarray(e.cases.arrays[0][rule.primary], np.float64)).all()]
    agreed = {each.name: each.cases for each in of_primary}
    for (name, value), arrays in itertools.product(VALUES.items(), small):
        x = np.asarray(arrays[rule.primary])
        if not (said or name in agreed) or x.size <= PLACE or x.dtype.kind in "iub":
            continue
        here = np.arange(x.size).reshape(x.shape) % EVERY == PLACE
        changed = {**arrays, rule.primary: np.where(here, x.dtype.type(value), x)}
        if not kind._takes(rule, {n: np.asarray(a) for n, a in changed.items()}):
            continue
        if said:
            yield Sample(f"{name}, as named", changed, may_meet=name == "infinities")
        else:
            cases = agreed[name]
            yield Sample(name, changed, None, cases.outputs, cases.nan_open, cases.may_meet)


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
    # the first are those of one step, for as many leaves as are looked at; then the other steps of each leaf
    for t, leaf in itertools.product(steps, leaves):
        found = _at_step(rule, inner, leaf, t)
        if found.finite:
            yield found


def _at_step(rule: Any, inner: Any, leaf: Cases, t: int) -> Sample:
    """One step of a leaf, from the state that the rule itself comes to."""
    p = leaf.p[0]
    state: dict[str, Any] = rule.init(p)
    for step in range(1, t):
        arrays, numbers = leaf.of_leaf(step, 0, inner)
        extras: dict[str, Any] = {**arrays, **numbers}
        p, state = rule.step(p, leaf.gradient(step, 0), state, backend="numpy", **extras)
    arrays, numbers = leaf.of_leaf(t, 0, inner)
    own = {n: state[n] for n in rule.slots()} if inner is rule else {}
    return Sample(leaf.names[0], {"p": p, "g": leaf.gradient(t, 0), **own, **arrays, **numbers, "t": t})


def _situated_steps(found: Situation, kind: Any, most: int) -> Iterator[Sample]:
    """The leaves of a situation, each at the last step, or at that at which its gradient is not finite."""
    rule, cases = found.rule, found.cases
    if kind.told(rule) is not rule:  # its state is codes, which no other setting has
        return
    for number in range(len(cases.arrays)):
        leaf = cases.only(number)
        if not leaf.arrays[0]["p"].size:
            continue
        leaf = leaf.mapped(lambda a: a[_corner(a.shape, most)].copy())
        last = min(len(leaf.steps), LAST)
        undefined = [t for t in range(1, last + 1) if not np.isfinite(leaf.gradient(t, 0).astype(np.float64)).all()]
        for t in undefined[:1] or dict.fromkeys((last, 1)):
            sample = _at_step(rule, rule, leaf, t)
            yield _as_situated(sample, found)


def _situated_cases(found: Situation, kind: Any, most: int) -> Iterator[Sample]:
    """Corners of the cases of a situation."""
    for name, arrays in zip(found.cases.names, found.cases.arrays, strict=True):
        if found.name == "extremes" and name in REGULAR:
            continue  # of the faults that files name they refuse few, and take the room of cases that refuse more
        if (found.name == "extremes" and name.endswith(OF_FEW)) or name in (MORE, BESIDE):
            continue  # corners have few elements, too, and hold one side of a bound
        few = _few(found.rule, kind, arrays, most)
        if few is not None:
            yield _as_situated(Sample(name, few), found)


def _as_situated(sample: Sample, found: Situation) -> Sample:
    name = found.name if found.name in sample.family else f"{found.name}: {sample.family}".rstrip(": ")
    cases = found.cases
    return sample._replace(
        family=name[:100],
        rule=found.rule,
        outputs=cases.outputs,
        nan_open=cases.nan_open,
        may_meet=cases.may_meet,
    )


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
        if few is not None and Sample(name, few).finite:
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
