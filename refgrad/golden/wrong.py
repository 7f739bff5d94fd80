"""What cases must refuse: the rule's other variants, and its mutants; and the wrong values that these give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes, floats
from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import RefgradError
from refgrad.golden.case import Case, Results, judge
from refgrad.golden.flags import OF_REWRITES
from refgrad.kinds.table import kind_of
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.hypotheses.equivalence import distinct, same
from refgrad.oracle.mutants import Mutation, mutations
from refgrad.oracle.sets import own_results
from refgrad.rule import Rule
from refgrad.strength import body_programs, graph_programs, mask_faults
from refgrad.strength.programs import programs_of, why_not
from refgrad.strength.programs.base import Case as ProgramCase
from refgrad.tracing import free_values, plan_for

#: what the rule without a named behaviour is called beside those that have one
DEFAULT = "the default"
#: mutants of a rule at most: of more, evenly spaced ones
MANY = 120
#: nodes of a graph from which the mutants of one step's alone are made
LARGE = 80
#: elements at which a wrong value is told
TOLD = 4
NOT_RUN = (RefgradError, CandidateFault, ArithmeticError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, eq=False)
class Wrong:
    """Something that is not the rule: its name and flag, and what it gives for a case (None if it does not take it)."""

    name: str
    flag: str
    results: Callable[[Case], Results | None]
    mutation: Any = None

    def refused(self, case: Case) -> bool:
        """True if the case alone tells it from the rule."""
        try:
            with np.errstate(all="ignore"):
                results = self.results(case)
                return results is None or any(each.outside.any() for each in judge(case, results).values())
        except NOT_RUN:
            return True  # it takes other arrays, or gives other outputs


def variants(rule: Rule) -> list[tuple[str, Rule]]:
    """The rule itself, named "", and each that differs in one named behaviour.

    Args:
        rule: as `refgrad.golden.inputs.golden_rule` gives it.
    """
    return [("", rule), *rule.variants()]


def others(every: Sequence[tuple[str, Rule]], own: Rule) -> list[Wrong]:
    """The variants besides one.

    Args:
        every: all of them.
        own: the one that is right.
    """
    return [_variant(name or DEFAULT, other) for name, other in every if other != own]


def _variant(name: str, other: Rule) -> Wrong:
    return Wrong(name, "OtherVariant", lambda case: _of_variant(other, case))


def _of_variant(other: Rule, case: Case) -> Results | None:
    """What a variant, in the case's setting, makes of it."""
    own, whole = case.rule, {n: _whole(n, v) for n, v in case.numbers.items()}
    same = _numbers(own).keys() == _numbers(other).keys()
    other = other.replace(**_numbers(own)) if same else other
    found = own_results(other, {**case.arrays, **whole})
    return {n: values for n, values in found.items() if n in case.sets} or None


def _numbers(rule: Any) -> dict[str, float]:
    return dict(rule.numbers())


def _whole(name: str, value: float) -> float | int:
    return int(value) if name == "t" else value


def mutants(rule: Any, case: Case) -> list[Wrong]:
    """The mutants of a rule, made from its graph or its body; none of a rule that has neither.

    Args:
        rule: as `refgrad.golden.inputs.golden_rule` gives it.
        case: one of its cases: what shapes are traced for.
    """
    if rule.kind == "optimizer":
        plans = list(dict.fromkeys(rule.plan(case.arrays["p"].shape, t) for t in (3, 1, 10)))
        plans = plans if len(plans[0].graph.nodes) < LARGE else plans[:1]
        found = [m for m in mutations(plans) if not m.precision and not m.model]
        return [Wrong(m.name, OF_REWRITES.get(m.rewrite.name, "OtherFault"), _of_step(m), m) for m in _some(found)]
    if rule.kind == "8-bit-optimizer" or why_not(rule) is not None:
        return []
    return [Wrong(m.name, _flag(m), _of_case(m), m) for m in _some(_of_kind(rule, case))]


def survivors(rule: Any, left: Sequence[Wrong]) -> list[Wrong]:
    """Those of some mutants that are others than the rule in real arithmetic.

    Args:
        rule: the rule.
        left: mutants that no case refuses.
    """
    of_graph = [each.mutation for each in left if isinstance(each.mutation, Mutation)]
    if rule.kind == "optimizer":
        real = {m.name for m in distinct(rule, of_graph, 2)}
    else:  # in float64, on the cases that verdicts are given by, which meet boundaries
        changed = [(m.name, Change(m.name, m.sentence, "mutant", mutations=(m,))) for m in of_graph]
        real = {name for name, change in changed if not same((rule, NONE), (rule, change))}
    return [each for each in left if each.name in real or not isinstance(each.mutation, Mutation)]


def _some(found: Sequence[Any]) -> Sequence[Any]:
    return found if len(found) <= MANY else [found[i * len(found) // MANY] for i in range(MANY)]


def _flag(mutation: Any) -> str:
    if isinstance(mutation, Mutation):
        return OF_REWRITES.get(mutation.rewrite.name, "OtherFault")
    return "WrongSelection" if isinstance(mutation, mask_faults.MaskFault) else "OtherFault"


def _of_kind(rule: Any, case: Case) -> list[Any]:
    """The mutations of a rule without state."""
    programs: Any = programs_of(rule)
    read = _program_case(rule, case)
    if rule.kind in ("transform", "scaling"):
        return list(body_programs.body_mutants(rule, [case.arrays]))
    if rule.kind == "mask-update":
        return list(programs.mutants([read]).tried)
    plan, _ = graph_programs.plan_of(rule, read.read[rule.primary].shape)
    found: list[Any] = list(mutations([plan], graph_programs.REWRITES))
    return [*found, *mask_faults.MASKS] if rule.kind == "mask" else found


def _program_case(rule: Any, case: Case) -> ProgramCase:
    graph = kind_of(rule).graph(rule, case.arrays)
    return ProgramCase(case.family, case.arrays, case.arrays if graph is None else graph.arrays)


def _of_step(mutation: Mutation) -> Callable[[Case], Results]:
    def results(case: Case) -> Results:
        rule: Any = case.rule
        values = {n: case.numbers[n] for n in rule.scalar_inputs()}
        shape = case.arrays["p"].shape
        free = free_values(shape, values)
        plan = mutation.apply(plan_for(rule, len(shape), free))
        dtype = case.arrays["p"].dtype
        working = [dtypes.working(dtype).type(s) for s in plan.scalars(*free)]
        found: Mapping[str, Any] = floats.evaluate(plan.graph, case.arrays, working)
        narrow = {n: dtypes.round_to(np.asarray(a, np.float64), dtype) for n, a in found.items() if n in case.sets}
        return {n: np.broadcast_to(a, case.sets[n].low.shape) for n, a in narrow.items()}

    return results


def _of_case(mutation: Any) -> Callable[[Case], Results]:
    def results(case: Case) -> Results:
        rule: Any = case.rule
        programs: Any = programs_of(rule)
        read = _program_case(rule, case)
        if rule.kind != "quantizer":
            found = {n: a for n, a in programs.mutated(read, mutation).items() if n in case.sets}
            # a choice that the graph is handed, and does not give
            return {n: each.reference for n, each in case.sets.items() if n in getattr(rule, "chosen", ())} | found
        answer = programs.answer(read, programs.mutated(read, mutation), Policy())
        return {n: values for n, (_, values) in answer.items() if n in case.sets}

    return results


def told(wrong: Wrong, case: Case) -> dict[str, Any] | None:
    """The wrong values at the elements where they are furthest off; None if they are no numbers of the case's outputs.

    Args:
        wrong: what is refused.
        case: the case that refuses it.
    """
    try:
        with np.errstate(all="ignore"):
            results = wrong.results(case)
            outside = (
                {} if results is None else {n: j.outside for n, j in judge(case, results).items() if j.outside.any()}
            )
    except NOT_RUN:
        return None
    if results is None or not outside:
        return None
    name = next(iter(outside))
    values, each = np.asarray(results[name], np.float64).reshape(-1), case.sets[name]
    off = np.where(outside[name].reshape(-1), np.abs(values - each.truth.reshape(-1)), -1.0)
    off = np.where(np.isfinite(values), np.where(np.isnan(off), np.inf, off), -1.0)
    at = [int(i) for i in np.argsort(-off, kind="stable")[:TOLD] if off[i] >= 0]
    return {"output": name, "at": sorted(at), "value": [float(values[i]) for i in sorted(at)]} if at else None
