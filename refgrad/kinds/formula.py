"""Formulas of one's own: transforms whose function, gradient and results are known, so that more of their faults have a name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, combinations
from typing import Any

import numpy as np

from refgrad.arithmetic.body_mutations import BodyMutation
from refgrad.arithmetic.replacing import Replacing
from refgrad.kinds.kind import FEW
from refgrad.kinds.record import Record
from refgrad.kinds.result_faults import LabelFault, ResultFault, faults_of
from refgrad.kinds.transform import REPLACED, Replaced, TransformKind, met
from refgrad.optimizers.transform import Transform
from refgrad.oracle.acceptance import unlike_numbers
from refgrad.oracle.acceptance.findings import Counts
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.unlike import FARTHER, looked_at, said
from refgrad.oracle.inputs.cases import Arrays

#: what is said of a program that is refused for what it makes of numbers that are not finite
LEAVES_OUT = (
    "NaN or an infinity was handed in here: a product with zero makes NaN of it, and a program that selects, or leaves out "
    "what a mask or an edge hides, does not; where both are meant to be right, declare the other one as a form: "
    '@formula.form("...")'
)
#: the keyword of `refgrad.kinds.record.Wanted.how` for two arrays that are taken for one another
EXCHANGED = "exchanged"
#: the same for results that are off by a factor
SCALED = "scaled"
#: those of a derivative's operations that are tried: what is left out, signs, means and numbers
IN_DERIVATIVES = frozenset({"first", "second", "minus", "mean", "number halved", "exchanged"})
#: the family of cases of ordinary numbers, and how many of these a program is held against roundings on, at most
ORDINARY, LIKE = "normal", 50_000


class FormulaKind(TransformKind):
    """See `refgrad.kinds.kind`; a transform that `refgrad.formula` made of a function, or the gradient of one."""

    def has_tails(self, rule: Transform) -> bool:
        """Of a formula always: a kernel may take another way from any number on."""
        return True

    def is_driven(self, rule: Any, array: str) -> bool:
        """Of a gradient, the formula's arrays: NaN that reaches a result is zero times NaN in programs, and zero in others."""
        return rule.gradient_of is None or array in rule.differentiated().shapes

    def unlike(self, rule: Transform, record: Record, policy: Policy) -> Iterator[str]:
        """Of a formula, results that are farther from the truth on ordinary numbers than roundings make them."""
        cases, known = record.cases, [i for i, each in enumerate(record.seen) if each is not None]
        chosen = [i for i in known if cases.name(i) == ORDINARY] or known[:FEW]
        chosen = [i for i in chosen if 0 < sum(a.size for a in cases.arrays[i].values()) <= LIKE]
        if not chosen:
            return iter(())
        arrays, seen = [cases.arrays[i] for i in chosen], [record.seen[i] for i in chosen]
        found = looked_at(rule, arrays, seen, policy, numbers=True)
        far = {name for name, each in found.distances.items() if each.farther > FARTHER}
        shifts = {pair: one for pair, one in found.shifts.items() if pair[0] not in far}
        return chain(said(found.distances), unlike_numbers.said(shifts))

    def notes(self, subject: Any, record: Record, counts: Counts) -> Iterator[str]:
        """A way out where a program that leaves out products with zero is refused for what is not finite."""
        yield from super().notes(subject, record, counts)
        driven = (a for arrays in record.cases.arrays for a in arrays.values() if a.dtype.kind == "f")
        if any(count.outside for count in counts.values()) and any(not np.isfinite(a).all() for a in driven):
            yield LEAVES_OUT

    def rewritten(self, rule: Any) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """An operation of the text, or of its derivative, replaced by another; faults of results; arrays exchanged."""
        arrays = self.generate(rule, 1, np.dtype(np.float64), 0).arrays[0]
        yield from results_changed(rule, arrays)
        written: Any = _differentiated(rule)
        for mutation in met(written, {n: a for n, a in arrays.items() if n in written.shapes}):
            yield mutation.words, mutation.sentence, {REPLACED: mutation}
        # a term that is left out says more than one whose sign cancels the other
        derived = sorted(
            met(rule, arrays) if written is not rule else (), key=lambda m: m.by not in ("first", "second")
        )
        for mutation in derived:
            if mutation.place.derived_from and mutation.by in IN_DERIVATIVES:
                yield mutation.words, mutation.sentence, {REPLACED: mutation}
        yield from arrays_exchanged(rule)

    def departed(self, rule: Any, how: Mapping[str, Any]) -> Any:
        """The formula with that operation replaced, those arrays exchanged, or that fault."""
        if EXCHANGED in how:
            return _Exchanged(rule, how[EXCHANGED])
        if SCALED in how:
            return _Scaled(rule, how[SCALED])
        return _Differentiated(rule, how[REPLACED]) if REPLACED in how else rule


class _Differentiated(Replaced):
    """A formula with an operation replaced; of a gradient, one of its own, or one of the formula that it is the gradient of."""

    def __init__(self, rule: Any, mutation: BodyMutation) -> None:
        super().__init__(rule, mutation)
        written = _differentiated(rule)
        if written is not rule and not mutation.place.derived_from:
            self.apply = rule.of(Replacing(written, mutation))


class _Scaled(Replaced):
    """A transform with a factor at one of its results, or at all of them; or labels that are read otherwise."""

    def __init__(self, rule: Transform, fault: ResultFault | LabelFault) -> None:
        self._rule = rule
        self.apply: Any = lambda *arrays: fault.made(rule, arrays)


class _Exchanged(Replaced):
    """A transform that takes two arrays for one another."""

    def __init__(self, rule: Transform, pair: tuple[str, str]) -> None:
        self._rule, (first, second) = rule, pair
        taken = [{first: second, second: first}.get(name, name) for name in rule.shapes]
        places = [list(rule.shapes).index(name) for name in taken]
        self.apply: Any = lambda *arrays: rule.apply(*(arrays[place] for place in places))


def results_changed(rule: Transform, arrays: Arrays) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Faults of the results of a formula, and of its labels: as `refgrad.kinds.kind.Kind.departures`.

    Args:
        rule: the formula.
        arrays: what it takes.
    """
    for fault in faults_of(rule, arrays):
        yield fault.words, fault.words, {SCALED: fault}


def arrays_exchanged(rule: Transform) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Two arrays of the same axes taken for one another: as `refgrad.kinds.kind.Kind.departures`.

    Args:
        rule: the formula.
    """
    for first, second in combinations(rule.shapes, 2):
        if rule.shapes[first].split() == rule.shapes[second].split():
            words = f"{first} and {second} are exchanged"
            yield words, words, {EXCHANGED: (first, second)}


def _differentiated(rule: Any) -> Any:
    """The formula that a rule is the gradient of, or the rule itself."""
    return rule if rule.gradient_of is None else rule.differentiated()


KIND = FormulaKind()
