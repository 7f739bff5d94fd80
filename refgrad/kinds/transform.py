"""Transforms of gradients: results judged against the enclosure of the body, run on arrays that carry bounds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from refgrad.arithmetic import exact
from refgrad.arithmetic.body_mutations import BodyMutation
from refgrad.arithmetic.dtypes import whole_numbers
from refgrad.arithmetic.replacing import Replacing
from refgrad.candidates.arguments import parameters_of
from refgrad.candidates.protocol import REFUSED, CandidateFault
from refgrad.candidates.resolve import load
from refgrad.candidates.transform import resolve
from refgrad.candidates.transform_arguments import told_names
from refgrad.errors import ArgumentError, RefgradError, bad_argument, shown
from refgrad.kinds.kind import NORMS, NOT_FINITE, SHAPES
from refgrad.kinds.record import Call, Driven, Question, Record, Results, Situation
from refgrad.kinds.stateless import Answer, Stateless, misshapen
from refgrad.optimizers.transform import Transform, axes_named, below
from refgrad.oracle.acceptance import no_numbers
from refgrad.oracle.acceptance.bodies import (
    MOST_WAYS,
    defined,
    judge_body,
    named,
    numbers_from_nan,
    opened,
    tried,
    ways,
)
from refgrad.oracle.acceptance.explicit_sets import Way, of_sets
from refgrad.oracle.acceptance.findings import Counts
from refgrad.oracle.acceptance.judgement import UNDECIDED, Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.inputs.cases import Arrays, Cases
from refgrad.oracle.inputs.extremes import CURVED, MAGNITUDES, MOST, far_from_zero, graded
from refgrad.oracle.inputs.lengths import sizes, takes_one_of
from refgrad.oracle.inputs.simpler import halves, ranked
from refgrad.oracle.inputs.transforms import MORE, elements_near, families, generate, norms_near
from refgrad.oracle.inputs.undefined import FEW, NEGATIVE, VALUES, not_finite
from refgrad.rule import Rule, is_own
from refgrad.signals import pass_on
from refgrad.tracing import Plans, plan_for

#: the keyword of `refgrad.kinds.record.Wanted.how` for an operation that is replaced
REPLACED = "replaced"
#: replacements with which a body may not run
MOVED = frozenset({"over the other axis"})
#: functions that are zero far below zero, and infinite far above it
EXPONENTIALS = frozenset({"exp", "expm1"})
#: how long each axis of a user's rule is in some case, or it is said that it is not
LONG_ENOUGH = 1024
#: the dtypes that results may have by a policy where the arrays have another
WIDER = (np.dtype(np.float32), np.dtype(np.float64))
#: of so many elements one is no number: one of all, and some of each group
EVERY = (MOST, 5)
#: what elements become, and of arrays of how many elements, which are what it costs: the other sign shows in few as in many;
#: those that all kinds have come last
SIGNS_AND_SIZES = ((VALUES, FEW), (NEGATIVE, FEW), (VALUES, MOST))


class TransformKind(Stateless):
    """See `refgrad.kinds.kind`; a case is the arrays that the rule names, which may differ in shape."""

    name = "transform"
    departs_whole = True
    legal_inputs = "refgrad.Cases with the rule's arrays in its order"

    def find(self, candidate: Any, options: Mapping[str, Any]) -> Any:
        """The candidate that a thing is."""
        return resolve(candidate, options)

    def named(self, subject: Any, rule: Any, thing: Any, options: Mapping[str, Any]) -> frozenset[str]:
        """The numbers that a candidate is told by name, those of a rule within among them."""
        found = super().named(subject, rule, thing, options)
        function = load(thing) if isinstance(thing, str) else thing
        if isinstance(function, Rule) or not callable(function):
            return found
        return found | (told_names(rule, parameters_of(function)) - set(options))

    def generate(self, rule: Transform, steps: int, dtype: np.dtype, seed: int, subject: Any = None) -> Cases:
        """As many cases as there are steps, of the shapes that the rule says."""
        cases = generate(rule, steps, dtype, seed)
        tried(rule, cases.arrays[0])
        return cases

    def sizes(self, rule: Transform, dtype: np.dtype, seed: int) -> Cases | None:
        """A case for each of several lengths of the rule's axes."""
        return sizes(rule, dtype, seed, [])

    def few(self, rule: Transform, asked: Driven) -> Cases:
        """A case of each family, one of more elements, and some of elements beside each number: it shows on some of them."""
        cases = generate(rule, len(families(rule)), asked.dtype, asked.seed)
        larger = self._larger(rule, asked)
        near = None if larger is None else elements_near(rule, larger, partial(self._takes, rule))
        return functools.reduce(Cases.with_more, (norms_near(rule, asked.dtype, asked.seed), larger, near), cases)

    def _larger(self, rule: Transform, asked: Driven) -> Cases | None:
        """A case of so many elements that a small share of them is one or more."""
        cases = sizes(rule, asked.dtype, asked.seed, [])
        known = {} if cases is None else {i: a[rule.primary].size for i, a in enumerate(cases.arrays)}
        most = max((i for i in known if known[i] <= MOST), key=lambda i: known[i], default=None)
        return None if most is None or cases is None else replace(cases.only(most), names=[MORE])

    def promised(self, subject: Any) -> tuple[str, ...]:
        """NaN and infinities."""
        return NOT_FINITE

    def situations(self, rule: Transform, asked: Driven) -> Iterator[Situation]:
        """Those of every kind, numbers of every magnitude, and NaN and infinities where every program gives the same."""
        yield from self.of_every_kind(rule, asked)
        yield from self._of_every_magnitude(rule, asked)
        yield from self._not_finite(rule, asked)

    def of_every_kind(self, rule: Transform, asked: Driven) -> Iterator[Situation]:
        """The situations of every kind, with the lengths that are left out."""
        left_out: list[str] = []
        sizes(rule, asked.dtype, asked.seed, left_out)
        for usual in super().situations(rule, asked):
            if usual.name != SHAPES:
                yield usual
                continue
            said = [f"{'; '.join(left_out)} (the formula itself gives NaN there)"] if left_out else []
            said += [each for each in (_too_long(rule), _short(rule, usual.cases)) if each]
            yield replace(usual, left_out="; ".join(said))

    def has_tails(self, rule: Transform) -> bool:
        """True if a rule takes an exponential, a logarithm or alike, which a program may replace from some number on."""
        return takes_one_of(rule, CURVED)

    def _of_every_magnitude(self, rule: Transform, asked: Driven) -> Iterator[Situation]:
        cases = sizes(rule, asked.dtype, asked.seed, []) if self.has_tails(rule) else None
        found = None if cases is None else graded(cases, _signed(rule), partial(_finite, rule))
        if found is not None:
            yield Situation(MAGNITUDES, found, rule)

    def _not_finite(self, rule: Transform, asked: Driven) -> Iterator[Situation]:
        """Norms near a bound, NaN and infinities."""
        near = norms_near(rule, asked.dtype, asked.seed)
        if near is not None:
            yield Situation(NORMS, near, rule)
        cases = sizes(rule, asked.dtype, asked.seed, [])
        # the first array last: it is the one that is looked at first elsewhere
        arrays = sorted(_floats(rule), key=lambda each: each == rule.primary)
        if cases is None:
            return
        driven: list[Arrays] = []
        for name, (values, most) in product(VALUES, SIGNS_AND_SIZES):
            changes = {name: values[name]} if name in values else {}
            for array, how_many in product(filter(partial(self.is_driven, rule), arrays), EVERY if changes else ()):
                found = not_finite(cases, array, partial(self._takes, rule), how_many, changes, most).get(name)
                if found is not None and not any(_alike(found.arrays[0], each) for each in driven):
                    driven.append(found.arrays[0])
                    yield from _settled(rule, name, found)

    def is_driven(self, rule: Transform, array: str) -> bool:
        """True of an array that is tried with NaN and infinities: every one."""
        return True

    def far(self, rule: Transform, cases: Cases) -> Cases | None:
        """Those of each array of which a rule with exponentials has finite results, and most of these are decided."""
        if not takes_one_of(rule, EXPONENTIALS):
            return None
        return far_from_zero(cases, _signed(rule), lambda arrays: _finite(rule, arrays) and _told(rule, arrays))

    def checked(self, rule: Transform, cases: Cases) -> Cases:
        """Cases with exactly the rule's arrays, in shapes that fit; a formula's body was tried on the first."""
        found = self.fitting(rule, cases)
        tried(rule, found.arrays[0])
        return found

    def fitting(self, rule: Transform, cases: Cases) -> Cases:
        """Cases with exactly the rule's arrays, in shapes that fit."""
        for arrays in cases.arrays:
            if list(arrays) != list(rule.shapes):
                legal = f"the arrays {', '.join(rule.shapes)} of {type(rule).__name__}"
                raise bad_argument("inputs", list(arrays), legal)
        cases = replace(cases, arrays=[_with_labels(rule, arrays) for arrays in cases.arrays])
        for arrays in cases.arrays:
            rule.check(*arrays.values())
        return cases

    def start(self, subject: Any, rule: Transform, call: Call) -> Callable[[Arrays], Any]:
        """The candidate as it is."""
        return lambda arrays: call(partial(subject.call, rule, arrays), subject.name)

    def questions(self, subject: Any, record: Record, call: Call) -> Iterator[Question]:
        """One a case; what is raised where the rule itself gives no number is a restriction."""
        each = zip(super().questions(subject, record, call), record.cases.arrays, strict=True)
        return (partial(_answered, question, record.rules[0], arrays, str(subject.name)) for question, arrays in each)

    def results(self, rule: Transform, arrays: Arrays, returned: Any, name: str) -> Results:
        """Results by name, held against the shapes and dtypes of the rule's own."""
        found, wanted = named(returned), named(rule.sketched(*arrays.values()))
        if len(found) == len(wanted) == 1:  # a tuple of one, or a dict of one, is what it holds
            found = dict(zip(wanted, found.values(), strict=True))
        if isinstance(returned, tuple | list) and len(found) == len(wanted):  # in the order of the rule's own
            found = dict(zip(wanted, found.values(), strict=True))
        if len(found) != len(wanted):
            raise CandidateFault("structure", f"{name} returned {len(found)} results; legal: {len(wanted)}")
        if found.keys() != wanted.keys():
            raise CandidateFault("structure", f"{name} returned {', '.join(found)}; legal: {', '.join(wanted)}")
        checked = {}
        for label, own in wanted.items():
            try:
                array = np.asarray(found[label])
            except (TypeError, ValueError):
                array = np.asarray(None)
            if array.dtype.kind == "O" or array.dtype.kind in "USM":
                legal = "an array of numbers"
                raise CandidateFault("structure", f"{name}'s {label} is {shown(found[label])}; legal: {legal}")
            if array.shape != np.shape(own) and array.size != 1:
                raise misshapen(f"{name}'s {label}", array.shape, np.shape(own))
            if isinstance(own, np.ndarray) and array.dtype not in (own.dtype, *WIDER):  # of those the policy knows
                raise CandidateFault("dtype", f"{name}'s {label} has dtype {array.dtype}; legal: {own.dtype}")
            checked[label] = array.reshape(np.shape(own))
        return checked

    def judge(self, rule: Transform, arrays: Arrays, seen: Results, policy: Policy, plans: Plans = plan_for) -> Answer:
        """Every result; all undecided where choices that rounding decides go too many ways."""
        check_dtypes(arrays[rule.primary].dtype, seen, policy)
        judged = judge_body(rule, arrays, seen, policy)
        return {n: (unknown(a) if judged is None else judged[n], a) for n, a in seen.items()}

    def no_numbers(self, rule: Transform, arrays: Arrays, seen: Results) -> Mapping[str, np.ndarray]:
        """By the body itself; of a derived gradient where NaN was handed in alone."""
        if numbers_from_nan(rule, arrays):
            return {}
        found = no_numbers.of_body(rule, arrays)
        if found is None or len(found) != len(seen):
            return {}
        return {
            n: np.broadcast_to(a, np.shape(seen[n])) if a.size > 1 else a.reshape(())
            for n, a in zip(seen, found, strict=True)
        }

    def ways(self, rule: Transform, record: Record, policy: Policy, given: Container[str]) -> list[Way]:
        """Those through the body's open choices, if they are few."""
        found = ways(rule, record.cases.arrays[-1], policy)
        return of_sets(found or [], {n: (a.shape, a.dtype) for n, a in record.seen[-1].items()}, policy)

    def exactly(self, rule: Transform, record: Record, digits: int) -> dict[str, Any]:
        """The body itself on exact numbers, where it has operations alone that these know."""
        arrays, seen = record.cases.arrays[-1], record.seen[-1]
        try:
            with np.errstate(all="ignore"):
                found = named(exact.run(rule.apply, list(arrays.values()), digits))
            return {n: np.broadcast_to(found[n], np.shape(a)) for n, a in seen.items()}
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RefgradError):
            return {}

    def unit(self, rule: Transform, name: str, arrays: Arrays, values: np.ndarray) -> np.dtype:
        """That of the result, if it has elements; a number of its own may be given in a wider one than that of the arrays."""
        return values.dtype if values.ndim else arrays[rule.primary].dtype

    def beside(self, rule: Transform, arrays: Arrays, values: np.ndarray) -> Arrays:
        """Arrays of the same shape; axes of one length need not be the same axis, so that nothing is broadcast."""
        return {n: a for n, a in arrays.items() if a.shape == values.shape}

    def notes(self, subject: Any, record: Record, counts: Counts) -> Iterator[str]:
        """Results that are undecided as a whole."""
        if any(c.undecided == c.total for c in counts.values()):
            yield f"choices that rounding decides went more than {MOST_WAYS} ways in some cases: undecided there"

    def comparable(self, rule: Transform, other: Transform, record: Record) -> bool:
        """The same arrays taken, and results of the same shapes given."""
        if rule.shapes.keys() != other.shapes.keys():
            return False
        try:
            return all(_shapes(rule, arrays) == _shapes(other, arrays) for arrays in record.cases.arrays)
        except (ArgumentError, ArithmeticError, IndexError, ValueError):
            return False

    def smaller(self, rule: Transform, cases: Cases, index: tuple[int, ...]) -> Iterator[Cases]:
        """Shorter axes, each of all arrays that have it; then plain numbers in the same order."""
        arrays = cases.arrays[0]
        for smaller_arrays in (*_shorter(rule, arrays), *_plainer(arrays)):
            if self._takes(rule, smaller_arrays):
                yield Cases([smaller_arrays], [""])

    def literal(self, rule: Transform, arrays: Arrays, plans: Plans = plan_for) -> list[np.ndarray]:
        """The body in float64."""
        wide = [a if whole_numbers(a) else np.asarray(a, np.float64) for a in arrays.values()]
        return [np.asarray(r, np.float64) for r in named(rule(*wide)).values()]

    def rewritten(self, rule: Transform) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """One operation of the body's text, replaced by another."""
        for mutation in met(rule, self.generate(rule, 1, np.dtype(np.float64), 0).arrays[0]):
            yield mutation.words, mutation.sentence, {REPLACED: mutation}

    def departed(self, rule: Transform, how: Mapping[str, Any]) -> Any:
        """The rule with that operation replaced."""
        return Replaced(rule, how[REPLACED]) if REPLACED in how else rule

    def laws(self, rule: Transform) -> tuple[Any, ...]:
        """Those of transforms."""
        from refgrad.kinds.laws.transform import LAWS

        return LAWS


def _alike(arrays: Arrays, others: Arrays) -> bool:
    """True if all arrays are the same: of few elements there may be no other than of many."""
    return all(a.shape == others[n].shape and a.tobytes() == others[n].tobytes() for n, a in arrays.items())


def _settled(rule: Transform, name: str, cases: Cases) -> Iterator[Situation]:
    """A situation of what is not finite, if programs settle it in one way, or in ways that can be followed."""
    if defined(rule, cases.arrays[0], Policy()):
        yield Situation(name, cases, rule)
    elif opened(rule, cases.arrays[0], Policy()):
        yield Situation(name, replace(cases, nan_open=True), rule)


def _answered(question: Question, rule: Transform, arrays: Arrays, name: str) -> Any:
    """The answer to a question.

    Raises:
        CandidateFault: "refused" of a program that raises where all that the rule gives is NaN, as a solver of singular systems.
    """
    try:
        return question()
    except Exception as error:
        pass_on(error)
        own = isinstance(error, RefgradError) and getattr(error, "kind", "") != "raised"
        if own or not _no_number(rule, arrays):
            raise
        said = str(error) if isinstance(error, CandidateFault) else f"{type(error).__name__}: {error}"
        raise CandidateFault(REFUSED, f"{name} raises where {type(rule).__name__} gives no number: {said}") from None


def _no_number(rule: Transform, arrays: Arrays) -> bool:
    """True if a rule's results have elements, and all of them are NaN."""
    try:
        results = [np.asarray(each) for each in named(rule.sketched(*arrays.values())).values()]
    except (ArgumentError, ArithmeticError, IndexError, ValueError):
        return False
    numbers = [each for each in results if each.size]
    return bool(numbers) and all(each.dtype.kind == "f" and bool(np.isnan(each).all()) for each in numbers)


class Replaced:
    """A transform with an operation of its text replaced; all else is the transform's."""

    def __init__(self, rule: Transform, mutation: BodyMutation) -> None:
        self._rule = rule
        self.apply: Any = Replacing(rule, mutation)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rule, name)

    def __call__(self, *arrays: np.ndarray) -> Any:
        with np.errstate(all="ignore"):
            return self.apply(*(a.copy() for a in arrays))


def unknown(values: np.ndarray) -> Judged:
    """All elements undecided.

    Args:
        values: what was seen.
    """
    free = np.full(values.shape, np.inf)
    return Judged(np.full(values.shape, UNDECIDED), np.full(values.shape, np.nan), -free, free)


def met(rule: Transform, arrays: Arrays) -> Iterator[BodyMutation]:
    """Every replacement of an operation that a body meets, with which it runs.

    Args:
        rule: whose body.
        arrays: what it is run on.
    """
    found: dict[BodyMutation, None] = {}
    with np.errstate(all="ignore"):
        Replacing(rule, met=found)(*arrays.values())
    for mutation in found:
        if mutation.by not in MOVED or _runs(rule, mutation, arrays):
            yield mutation


def _runs(rule: Transform, mutation: BodyMutation, arrays: Arrays) -> bool:
    """True if the body runs with an operation replaced, and its results have the shapes that they had."""
    try:
        with np.errstate(all="ignore"):
            found = named(Replacing(rule, mutation)(*arrays.values()))
    except (ArithmeticError, IndexError, RefgradError, TypeError, ValueError):
        return False
    own = named(rule.sketched(*arrays.values()))
    return {n: np.shape(r) for n, r in found.items()} == {n: np.shape(r) for n, r in own.items()}


def _too_long(rule: Transform) -> str:
    """The lengths that a rule of refgrad's is not tried with; empty of a rule without a bound."""
    found = ", ".join(f"{axis} longer than {most}" for axis, most in rule.longest.items())
    return f"{found} (what it costs, or what may be off, grows too fast)" if found else ""


def _short(rule: Transform, cases: Cases) -> str:
    """The axes of a user's rule that are long in no case; empty where there are none."""
    if is_own(type(rule)):
        return ""
    longest: dict[str, int] = {}
    for arrays in cases.arrays:
        for name, text in rule.shapes.items():
            for axis, n in zip(axes_named(text), arrays[name].shape, strict=True):
                longest[axis] = max(n, longest.get(axis, 0))
    found = [f"{axis} longer than {n}" for axis, n in longest.items() if n < LONG_ENOUGH and not axis.isdigit()]
    return f"{', '.join(found)} (what is computed grows faster than that, or a length is bounded)" if found else ""


def _shorter(rule: Transform, arrays: Arrays) -> Iterator[dict[str, np.ndarray]]:
    """Arrays that are cut along an axis, where it is shorter than it was in all of them."""
    axes = {name: axes_named(text) for name, text in rule.shapes.items()}
    lengths = {axis: n for name, named_ in axes.items() for axis, n in zip(named_, arrays[name].shape, strict=False)}
    for axis, length in lengths.items():
        for part in halves(length):
            yield {
                name: np.ascontiguousarray(a[tuple(part if own == axis else slice(None) for own in axes[name])])
                if a.ndim == len(axes[name])
                else a
                for name, a in arrays.items()
            }


def _plainer(arrays: Arrays) -> Iterator[dict[str, np.ndarray]]:
    for name, array in arrays.items():
        plain = np.zeros_like(array) if whole_numbers(array) else ranked(array)
        if plain.tobytes() != np.ascontiguousarray(array).tobytes():
            yield {**arrays, name: plain}


def _floats(rule: Transform) -> list[str]:
    """The arrays that are no whole numbers."""
    return [name for name, text in rule.shapes.items() if not below(text)]


def _signed(rule: Transform) -> list[str]:
    """The arrays of floats whose numbers may be negative."""
    return [name for name in _floats(rule) if not rule.shapes[name].endswith("+")]


def check_dtypes(dtype: np.dtype, seen: Results, policy: Policy) -> None:
    """Check that results have the dtype that a policy says; a number by itself may have any.

    Args:
        dtype: that of the arrays that were handed in.
        seen: the results.
        policy: what counts as correct.

    Raises:
        CandidateFault: one has another.
    """
    legal = policy.results_in(dtype)
    for label, array in seen.items():
        if array.ndim and array.dtype != legal:
            known = array.dtype in WIDER and policy.result == "own"
            how = f", or {array.dtype} by the policy result={str(array.dtype)!r}" if known else ""
            raise CandidateFault("dtype", f"{label} has dtype {array.dtype}; legal: {legal}{how}")


def _finite(rule: Transform, arrays: Arrays) -> bool:
    """True if a rule takes arrays, and its own results are finite numbers."""
    try:
        rule.check(*arrays.values())
        with np.errstate(all="ignore"):
            found = named(rule.sketched(*arrays.values())).values()
    except (ArgumentError, ArithmeticError, IndexError, ValueError):
        return False
    return all(np.isfinite(np.asarray(each, np.float64)).all() for each in found)


def _told(rule: Transform, arrays: Arrays) -> bool:
    """True if at least half of what a rule gives itself is decided, so that something is judged there."""
    own = {n: np.asarray(a) for n, a in named(rule.sketched(*arrays.values())).items()}
    judged = judge_body(rule, arrays, own, Policy())
    return judged is not None and all(
        2 * np.sum(each.status == UNDECIDED) <= each.status.size for each in judged.values()
    )


def _shapes(rule: Transform, arrays: Arrays) -> dict[str, tuple[int, ...]]:
    return {n: np.shape(r) for n, r in named(rule.sketched(*arrays.values())).items()}


def _with_labels(rule: Transform, arrays: Arrays) -> Arrays:
    """A caller's arrays, of which those that are declared as whole numbers are that."""
    found = dict(arrays)
    for name, text in rule.shapes.items():
        if below(text) and not whole_numbers(arrays[name]):
            wrong = arrays[name][arrays[name] != np.rint(arrays[name])]
            if wrong.size:
                raise bad_argument(f"inputs' {name}", float(wrong[0]), "whole numbers")
            found[name] = arrays[name].astype(np.int64)
    return found


KIND = TransformKind()
