"""`tolerances`: for those who are bound to a tolerance, the least that fits a rule, and what is wrong and passes under it."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import starmap
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.errors import ArgumentError, bad_argument, nearest
from refgrad.float_environment import guarded
from refgrad.foreign_arrays import read_array
from refgrad.kinds.record import Record
from refgrad.kinds.table import rule_of
from refgrad.layout import Section, Table
from refgrad.oracle.acceptance.findings import Output
from refgrad.oracle.acceptance.judgement import INSIDE, UNDECIDED
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.result import Report
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.frontier import TOLERANCES, Frontier, Pair, frontier, rounded_up, together
from refgrad.oracle.hypotheses.changes import NONE, Change, named
from refgrad.oracle.hypotheses.run_screen import UNDEFINED
from refgrad.oracle.hypotheses.screens import screen_of
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.written import of_steps
from refgrad.oracle.mutants import CASE_REWRITES, REWRITES, mutations

#: wrong programs that a text shows
SHOWN = 8


@dataclass(frozen=True)
class Wrong:
    """A program that is wrong on the cases, and the tolerances under which it passes: a mutant, or another named behaviour."""

    name: str
    sentence: str
    needs: Mapping[str, Frontier] = field(repr=False)

    def passes(self, pairs: Mapping[str, Pair]) -> bool:
        """True if a comparison of each tensor by a pair of its own takes it for right."""
        return all(needs.covered(*pairs[tensor]) for tensor, needs in self.needs.items())


@dataclass(frozen=True)
class Tolerance:
    """What one tensor asks for: the recommended pair, how many elements it is, and how many no tolerance covers."""

    rtol: float
    atol: float
    elements: int
    #: elements at which a decision may go either way, so that a right program may be as far off as the step is long
    either: int
    needs: Frontier = field(repr=False)


@dataclass(frozen=True)
class Tolerances(Report):
    """What `tolerances` found.

    Attributes:
        rule, dtype: what it is about.
        turns: how many steps, or cases, there were, in words.
        by_tensor: the recommended pair of each tensor, in the form ``|actual - expected| <= atol + rtol * |expected|``.
        rtol, atol: the recommended pair where one must do for all tensors.
        wrong: every wrong program that was tried.
        exact: the outputs that are compared exactly: codes, masks, choices.
    """

    rule: str
    dtype: str
    turns: str
    by_tensor: Mapping[str, Tolerance]
    rtol: float
    atol: float
    wrong: tuple[Wrong, ...]
    exact: tuple[str, ...] = ()

    @property
    def needs(self) -> Frontier:
        """All pairs that cover all tensors; its ``corners()`` are those that the others lie between."""
        return together([each.needs for each in self.by_tensor.values()])

    def covers(self, rtol: float, atol: float) -> bool:
        """True if no right program fails under one pair for all tensors, on these cases.

        Args:
            rtol, atol: the pair; neither is negative.

        Returns:
            True or false.

        Raises:
            ArgumentError: one is negative, or no number.
        """
        _check_tolerances(rtol, atol)
        return self.needs.covered(rtol, atol)

    def accepted(self, rtol: float | None = None, atol: float | None = None) -> tuple[Wrong, ...]:
        """The wrong programs that pass.

        Args:
            rtol, atol: one pair for all tensors; without them each tensor has its own recommended one.

        Returns:
            These programs.

        Raises:
            ArgumentError: one is negative, or no number.
        """
        pairs = {n: (t.rtol, t.atol) for n, t in self.by_tensor.items()}
        if rtol is not None or atol is not None:
            _check_tolerances(rtol or 0.0, atol or 0.0)
            pairs = dict.fromkeys(pairs, (rtol or 0.0, atol or 0.0))
        return tuple(each for each in self.wrong if each.passes(pairs))

    def sections(self) -> list[Section]:
        """What the report consists of: what is printed, and what a notebook shows."""
        return list(_sections(self))


@guarded
def tolerances(
    rule: Any,
    dtype: Any = None,
    arrays: Any = None,
    *,
    steps: int = 3,
    seed: int = 0,
    policy: Policy | Mapping[str, Any] | None = None,
) -> Tolerances:
    """The least tolerances that no right program of a rule exceeds, and the wrong programs that pass under them.

    What is expected is what the rule itself gives, in its dtype. What is compared is every output of one step, from the same
    state before it, or of one case. `refgrad.verify` needs no tolerance, and rejects every program that is listed here.

    Args:
        rule: a rule, such as ``refgrad.optimizers.AdamW(lr=1e-3)``, or its class.
        dtype: of the arrays; by default the one that the rule keeps them in, for most float32.
        arrays: your own, by the rule's names for them (``{"p": p, "g": g}`` of an optimizer's first step, ``{"x": x}`` of a
            quantizer), or `Cases`; by default those that `verify` generates.
        steps: how many steps, or cases, are generated.
        seed: of the generated arrays.
        policy: what counts as right; a `Policy`, or a dict of its fields.

    Returns:
        Of each tensor the pairs that cover it, and a recommended one: of the corners that under which the fewest wrong programs
        pass, of several the one that allows the least on average, both numbers rounded up to two digits. And what passes.

    Raises:
        ArgumentError: an argument is not legal, or the rule has no output that is compared by a tolerance.

    >>> from refgrad.optimizers import SGD
    >>> found = tolerances(SGD(lr=0.1), "float32", {"p": np.float32([1.0, 2.0]), "g": np.float32([0.5, 0.25])})
    >>> found.covers(found.rtol, found.atol), found.covers(0.0, 0.0)
    (True, False)
    """
    rule = rule_of(rule)
    request = Request.of(
        rule, rule, steps=steps, dtype=dtype, seed=seed, policy=policy, inputs=_inputs(rule, arrays, dtype)
    )
    claim = Claim.of(request)
    record = claim.drive(claim.cases())
    if record.faults:
        raise ArgumentError(f"{rule} cannot be run on these arrays: {record.faults[0].message}")
    outputs = [o for o in claim.kind.apart(record, claim.meant(record), claim.wanted) if o.step]
    asked = {_key(o): _Asked.of(o) for o in outputs if dtypes.is_float(_stored(record, o))}
    if not asked:
        raise ArgumentError(f"{rule} has no output that is compared by a tolerance; legal: a rule of numbers")
    wrong = tuple(_wrong(claim, record, asked))
    by_tensor = _by_tensor(list(asked.values()), wrong)
    pair = _recommended(list(asked.values()), lambda pair: sum(w.passes(dict.fromkeys(by_tensor, pair)) for w in wrong))
    count, turn = (record.steps, "step") if claim.kind.stepped else (record.answered, "case")
    return Tolerances(
        rule=str(rule),
        dtype=str(record.cases.arrays[0][rule.primary].dtype),
        turns=f"{count} {turn}{'s' * (count != 1)}",
        by_tensor=by_tensor,
        rtol=pair[0],
        atol=pair[1],
        wrong=wrong,
        exact=tuple(dict.fromkeys(o.tensor for o in outputs if _key(o) not in asked)),
    )


def _check_tolerances(rtol: Any, atol: Any) -> None:
    for name, value in {"rtol": rtol, "atol": atol}.items():
        if not isinstance(value, numbers.Real) or not float(value) >= 0.0:
            raise bad_argument(name, value, "a number from 0")


def _check_names(rule: Any, names: Iterable[str]) -> None:
    """`ArgumentError` for an array that the rule does not take."""
    if rule.kind == "optimizer":
        legal = ("p", "g", *rule.inputs())
    elif rule.kind == "transform":
        legal = tuple(rule.shapes)
    else:
        x = np.zeros((2, 256), np.float32)
        besides = rule.besides(x, np.random.default_rng(0)) if rule.kind == "quantizer" else {}
        legal = (*rule.takes(), *besides, *(("cotangent",) if rule.kind == "estimator" else ()))
    for name in names:
        if name not in legal:
            raise ArgumentError(f"arrays has {name!r}{nearest(name, legal)}; legal: {', '.join(dict.fromkeys(legal))}")


def _inputs(rule: Any, arrays: Any, dtype: Any) -> Any:
    """A caller's arrays as cases; None for generated ones."""
    if arrays is None or isinstance(arrays, Cases):
        return arrays
    if not isinstance(arrays, Mapping):
        raise bad_argument("arrays", type(arrays).__name__, "arrays by name, refgrad.Cases, or None")
    if rule.kind in ("optimizer", "transform", "estimator", "quantizer", "mask"):
        _check_names(rule, arrays)
    given = {name: np.asarray(read_array(value, f"arrays[{name!r}]")) for name, value in arrays.items()}
    if dtype is not None:
        wanted = dtypes.as_dtype(dtype)
        given = {n: a.astype(wanted) if dtypes.is_float(a.dtype) else a for n, a in given.items()}
    if "g" in given and "p" in given:
        extras = {n: [a] if a.ndim else float(a) for n, a in given.items() if n not in ("p", "g")}
        return of_steps([given["p"]], [[given["g"]]], extras=[extras] if extras else ())
    return Cases([given])


def _key(output: Output) -> tuple[str, int, int]:
    return output.tensor, output.step, output.leaf


def _stored(record: Record, output: Output) -> np.dtype:
    """The dtype that an output was given in: codes are judged as numbers, and are none."""
    seen = record.seen[output.step - 1 if output.step <= len(record.seen) else 0]
    given = seen.get(output.tensor) if isinstance(seen, Mapping) else None
    return np.asarray(output.values if given is None else given).dtype


@dataclass(frozen=True, eq=False)
class _Asked:
    """One output of one step or case: what is expected, how far a right program may be off, and where that is known."""

    tensor: str
    expected: np.ndarray
    low: np.ndarray
    high: np.ndarray
    known: np.ndarray
    either: int
    dtype: np.dtype
    needs: Frontier

    @classmethod
    def of(cls, output: Output) -> _Asked:
        """What an output of the rule itself asks for."""
        judged, expected = output.judged, output.values.astype(np.float64)
        known = (judged.status == INSIDE) & np.isfinite(expected) & np.isfinite(judged.low) & np.isfinite(judged.high)
        low, high = (dtypes.round_to(np.where(known, end, 0.0), output.unit) for end in (judged.low, judged.high))
        distance = np.where(known, np.maximum(high - expected, expected - low), 0.0)
        needs = frontier(np.abs(expected[known]), distance[known])
        either = int(np.count_nonzero(judged.status == UNDECIDED))
        return cls(output.tensor, expected, low, high, known, either, output.unit, needs)

    def of_wrong(self, output: Output) -> tuple[bool, Frontier]:
        """Whether a wrong program's output is outside for certain, and what it needs to pass."""
        truth = np.broadcast_to(output.judged.truth, self.expected.shape)
        given = dtypes.round_to(truth, self.dtype)
        decided = self.known & (output.judged.status != UNDECIDED)
        with np.errstate(all="ignore"):
            outside = decided & ~((given >= self.low) & (given <= self.high))
            distance = np.where(np.isfinite(given), np.abs(given - self.expected), math.inf)
        return bool(outside.any()), frontier(np.abs(self.expected[decided]), distance[decided])


def _wrong(claim: Claim, record: Record, asked: Mapping[tuple[str, int, int], _Asked]) -> Iterator[Wrong]:
    """Mutants and variants that leave the rule's sets somewhere."""
    for change in _changes(claim, record):
        found: dict[str, list[Frontier]] = {}
        outside = False
        try:
            rules = [change.changed(rule) for rule in record.rules]
            for output in claim.kind.apart(record, rules, change.wanted(claim.request.policy)):
                if _key(output) in asked:
                    wrong, needs = asked[_key(output)].of_wrong(output)
                    outside |= wrong
                    found.setdefault(output.tensor, []).append(needs)
        except UNDEFINED:
            continue
        if outside:
            yield Wrong(change.name, change.sentence, {tensor: together(each) for tensor, each in found.items()})


def _changes(claim: Claim, record: Record) -> Iterator[Change]:
    """What is tried: other named behaviours, then mutants, none that changes roundings alone."""
    yield from (change for change in named(claim.rule) if not change.precision)
    for mutation in mutations(screen_of(claim, record).plans(NONE), REWRITES if claim.kind.stepped else CASE_REWRITES):
        if not mutation.precision:
            yield Change(mutation.name, mutation.sentence, "mutant", mutations=(mutation,))


def _recommended(asked: list[_Asked], passing: Callable[[Pair], int]) -> Pair:
    """Of the corners, rounded up, the pair under which the fewest wrong programs pass; of several, the least on average.

    One with an rtol of 1 or more, which lets zero pass for everything, is left out as long as there is another.
    """
    sizes = np.concatenate([np.abs(a.expected[a.known]) for a in asked])
    pairs = [(rounded_up(rtol), rounded_up(atol)) for rtol, atol in together([a.needs for a in asked]).corners()]

    def worth(pair: Pair) -> tuple[bool, int, float]:
        with np.errstate(divide="ignore"):
            allowed = np.maximum(np.log2(pair[1] + pair[0] * sizes), -1100.0)
        return pair[0] >= 1.0, passing(pair), float(allowed.mean()) if sizes.size else 0.0

    return min(pairs, key=worth)


def _by_tensor(asked: list[_Asked], wrong: Sequence[Wrong]) -> dict[str, Tolerance]:
    found = {}
    for tensor in dict.fromkeys(a.tensor for a in asked):
        own = [a for a in asked if a.tensor == tensor]
        theirs = [each.needs[tensor] for each in wrong if tensor in each.needs]
        pair = _recommended(own, lambda pair, theirs=theirs: sum(needs.covered(*pair) for needs in theirs))  # type: ignore[misc]
        elements, either = sum(int(a.known.sum()) for a in own), sum(a.either for a in own)
        found[tensor] = Tolerance(*pair, elements, either, together([a.needs for a in own]))
    return found


def _sections(found: Tolerances) -> Iterator[Section]:
    """What a person reads."""
    yield Section("", (f"{found.rule} in {found.dtype}: what no right program exceeds in {found.turns}",))
    rows = [(n, f"{t.rtol:g}", f"{t.atol:g}", str(t.elements), str(t.either)) for n, t in found.by_tensor.items()]
    rows.append(("one pair for all", f"{found.rtol:g}", f"{found.atol:g}", "", ""))
    header = ("tensor", "rtol", "atol", "elements", "either way")
    yield Section("|actual - expected| <= atol + rtol |expected|", table=Table(header, tuple(rows)))
    if found.exact:
        yield Section("Compared exactly", (", ".join(found.exact),))
    accepted, all_at_once = found.accepted(), found.accepted(found.rtol, found.atol)
    lines = [
        f"{len(accepted)} of {len(found.wrong)} wrong programs pass, and {len(all_at_once)} under one pair for all"
    ]
    lines += [f"{each.name}: {each.sentence}" for each in accepted[:SHOWN]]
    lines += [f"... and {len(accepted) - SHOWN} more"] if len(accepted) > SHOWN else []
    yield Section("What passes though it is wrong", tuple(lines))
    if found.dtype == "float32":
        header = ("default of", "rtol", "atol", "covers", "wrong that pass")
        yield Section("Elsewhere", table=Table(header, tuple(starmap(partial(_default, found), TOLERANCES.items()))))


def _default(found: Tolerances, name: str, pair: Pair) -> tuple[str, ...]:
    """How a comparison that is used elsewhere does with what it takes where nothing is said."""
    covers = "yes" if found.covers(*pair) else "no"
    return name, f"{pair[0]:g}", f"{pair[1]:g}", covers, f"{len(found.accepted(*pair))} of {len(found.wrong)}"
