"""Functions that cannot be traced: results judged by the spread of perturbed runs, which every verdict says first."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from refgrad.errors import ArgumentError
from refgrad.kinds.formula import FormulaKind, arrays_exchanged, results_changed
from refgrad.kinds.kind import Kind
from refgrad.kinds.record import STATISTICAL, Driven, Record, Situation
from refgrad.kinds.stateless import Answer
from refgrad.kinds.transform import check_dtypes, unknown
from refgrad.optimizers.transform import Transform, axes_named
from refgrad.oracle.acceptance.explicit_sets import Way
from refgrad.oracle.acceptance.findings import Counts
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.spreads import is_seen_through, judge_spread
from refgrad.oracle.inputs.cases import Arrays, Cases
from refgrad.oracle.inputs.extremes import REGULAR
from refgrad.oracle.inputs.transforms import generate
from refgrad.tracing import Plans, plan_for

#: cases on which hypotheses are tried
TRIED = 2
#: lengths of all axes together, and of one alone; elements of the largest array at most
LENGTHS, ALONE, MOST = (1, 2, 3, 4, 7, 8, 16, 17, 32, 33, 64, 128), (1, 19, 65, 256), 4500


class OpaqueKind(FormulaKind):
    """See `refgrad.kinds.kind`; a transform whose body is run in float64 alone."""

    def generate(self, rule: Transform, steps: int, dtype: np.dtype, seed: int, subject: Any = None) -> Cases:
        """As many cases as there are steps, without those that the function refuses or makes nothing finite of.

        Raises:
            ArgumentError: it refuses all of them, and what it says of the first.
        """
        cases, refused = generate(rule, steps, dtype, seed), list[str]()
        kept = [i for i, arrays in enumerate(cases.arrays) if self._computes(rule, arrays, refused)]
        if not kept:
            legal = "a function that takes arrays of ordinary numbers of these axes"
            raise ArgumentError(
                f"{type(rule).__name__} gives nothing finite: {(refused or ['NaN'])[0]}; legal: {legal}"
            )
        return replace(cases, arrays=[cases.arrays[i] for i in kept], names=[cases.names[i] for i in kept])

    def sizes(self, rule: Transform, dtype: np.dtype, seed: int) -> Cases | None:
        """A case for each of several lengths, of all axes and of each alone, as far as the function takes them."""
        axes = sorted({axis for named in rule.shapes.values() for axis in axes_named(named) if not axis.isdigit()})
        wanted = [dict.fromkeys(axes, n) for n in LENGTHS] if axes else []
        wanted += [{axis: n} for axis, n in product(axes, ALONE)]
        found: dict[str, Arrays] = {}
        for lengths in wanted:
            arrays = generate(rule, 1, dtype, seed, lengths).arrays[0]
            if max(a.size for a in arrays.values()) <= MOST and self._computes(rule, arrays, []):
                found[", ".join(f"{axis} = {n}" for axis, n in lengths.items())] = arrays
        return Cases(list(found.values()), list(found), seed) if found else None

    def situations(self, rule: Transform, asked: Driven) -> Iterator[Situation]:
        """Those of every kind; none of NaN and infinities.

        Where inputs alone are off at random, arrays are not driven on which a function hardly depends on these, as on arrays of
        one number: its own roundings may carry farther there.
        """
        for each in Kind.situations(self, rule, asked):
            cases = each.cases
            if each.name != "extremes" or is_seen_through(rule, cases.arrays[0]):
                yield each
                continue
            kept = [i for i, name in enumerate(cases.names) if name not in REGULAR]
            if kept:
                kept_cases = replace(
                    cases, arrays=[cases.arrays[i] for i in kept], names=[cases.names[i] for i in kept]
                )
                yield replace(each, cases=kept_cases)

    def checked(self, rule: Transform, cases: Cases) -> Cases:
        """Cases with exactly the rule's arrays, in shapes that fit."""
        return self.fitting(rule, cases)

    def judge(self, rule: Transform, arrays: Arrays, seen: Any, policy: Policy, plans: Plans = plan_for) -> Answer:
        """Every result by its spread; all undecided where the function refuses the arrays, or these with errors."""
        check_dtypes(arrays[rule.primary].dtype, seen, policy)
        try:
            judged = judge_spread(rule, arrays, seen, policy)
        except ArgumentError:
            return {n: (unknown(a), a) for n, a in seen.items()}
        return {n: (judged[n], a) for n, a in seen.items()}

    def no_numbers(self, rule: Transform, arrays: Arrays, seen: Any) -> Mapping[str, np.ndarray]:
        """Nowhere: nothing is known of what is on the way."""
        return {}

    def ways(self, rule: Transform, record: Record, policy: Policy, given: Container[str]) -> list[Way]:
        """None."""
        return []

    def exactly(self, rule: Transform, record: Record, digits: int) -> dict[str, Any]:
        """Nothing: the function knows no other numbers than float64."""
        return {}

    def reduced(self, record: Record) -> Cases | None:
        """The first few cases: a hypothesis is as many runs as a claim."""
        cases = record.cases
        return replace(cases, arrays=cases.arrays[:TRIED], names=cases.names[:TRIED])

    def mode(self, tensors: Iterable[str], record: Record) -> str:
        """Statistical."""
        return STATISTICAL

    def notes(self, subject: Any, record: Record, counts: Counts) -> Iterator[str]:
        """By how many times as much as is estimated a kernel may be off, where the function says so."""
        times = record.rules[0].times
        if times != 1.0:
            yield f"times={times:g}: a kernel may be off by {times:g} times as much as the runs say"

    def unlike(self, rule: Transform, record: Record, policy: Policy) -> Iterator[str]:
        """Nothing: the verdict itself is by such runs."""
        return iter(())

    def rewritten(self, rule: Transform) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Results with factors, labels read otherwise, arrays exchanged; nothing of the text, which is not looked into."""
        yield from results_changed(rule, self.generate(rule, 1, np.dtype(np.float64), 0).arrays[0])
        yield from arrays_exchanged(rule)

    def _takes(self, rule: Any, arrays: Arrays) -> bool:
        return self._computes(rule, arrays, [])

    def _computes(self, rule: Transform, arrays: Arrays, refused: list[str]) -> bool:
        """True if the function takes arrays and makes something finite of them; else ``refused`` is told why."""
        try:
            rule.check(*arrays.values())
            results = self.literal(rule, arrays)
        except (ArgumentError, ArithmeticError, IndexError, ValueError) as error:
            refused.append(str(error))
            return False
        return all(r.size == 0 or bool(np.isfinite(r).any()) for r in results)


KIND = OpaqueKind()
