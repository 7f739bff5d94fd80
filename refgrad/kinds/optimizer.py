"""Optimizers: driven step by step, each step judged from the candidate's own previous state."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from refgrad.arithmetic import exact
from refgrad.candidates.names import check_stated
from refgrad.candidates.protocol import ABSENT, COUNTED, GROUPS, RATES, SAVED, STRIDED, TOLD
from refgrad.candidates.resolve import resolve
from refgrad.kinds.joint_leaf import joined
from refgrad.kinds.kind import NORMS, NOT_FINITE, SETTING
from refgrad.kinds.leaf import Leaf, judge_ahead, locked_steps
from refgrad.kinds.record import FREE, LOCKED, Driven, Record, Situation, Wanted
from refgrad.kinds.stateless import judged_of
from refgrad.kinds.stepped import Stepped
from refgrad.kinds.strays import strays
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance import stochastic_rounding
from refgrad.oracle.acceptance.explicit_sets import Way, of_step
from refgrad.oracle.acceptance.findings import Counts, Fault, Output
from refgrad.oracle.acceptance.judge import how_matrices
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.inputs.calls import (
    IN_GROUPS,
    SHAPES,
    absent_gradients,
    changed_rates,
    grouped,
    in_groups,
    large_gradients,
    late_steps,
    like_leaves,
    norms_near,
    repeated_gradients,
    saved_and_loaded,
    small_run,
    uniform_gradients,
    zeros,
)
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.extremes import by_columns
from refgrad.oracle.inputs.far_steps import FAR_STEPS, counts, far_steps, numbers_kept, why_not_far
from refgrad.oracle.inputs.settings import other_setting, other_settings, settable
from refgrad.oracle.inputs.steps import completed, generate, sizes
from refgrad.oracle.inputs.undefined import infinite_gradients, nan_gradients
from refgrad.tracing import Plan, Plans, free_values, known_plans, plan_for

#: the edge that tensors are cut to where a rule reduces over them
EDGE = 8
#: situations of gradients that are no ordinary numbers, and what makes the cases, if a rule has any
GRADIENTS = {
    "uniform gradients": uniform_gradients,
    "large gradients": large_gradients,
    "NaN": nan_gradients,
    "infinities": infinite_gradients,
}

#: what a run at another setting is called, by what makes it
CALLED = {like_leaves: "leaves of like size", late_steps: "late steps", norms_near: NORMS}


class OptimizerKind(Stepped):
    """See `refgrad.kinds.kind`; a case is a leaf: ``p``, then ``g`` and the rule's extra inputs at each step."""

    name = "optimizer"
    fewer_are = "matrices alone"

    def resolve(
        self, candidate: Any, rule: Optimizer, options: Mapping[str, Any], state_names: Mapping[str, str] | None
    ) -> Any:
        """The candidate; ``state_names`` say what its state calls the rule's slots."""
        return resolve(candidate, options, check_stated(state_names, rule.slots(), str(rule)))

    def generate(self, rule: Optimizer, steps: int, dtype: np.dtype, seed: int, subject: Any = None) -> Cases:
        """Leaves that reach the rule's decisions and the edges of the format."""
        return generate(steps, dtype, seed, rule)

    def promised(self, subject: Any) -> tuple[str, ...]:
        """NaN and infinities."""
        return NOT_FINITE

    def unreached(self, rule: Optimizer, reached: Container[str]) -> Iterator[str]:
        """Counts beyond those of a run, where the rule's step depends on the count and that could not be set."""
        if FAR_STEPS not in reached and counts(rule):
            yield why_not_far(rule)

    def situations(self, rule: Optimizer, asked: Driven) -> Iterator[Situation]:
        """Those of every kind, then what happens between steps and parameters, as far as the candidate can be asked for it."""
        yield from super().situations(rule, asked)
        able: frozenset[str] = getattr(asked.subject, "abilities", frozenset())
        alone = rule.scope != "tree"
        counted = alone and not numbers_kept(rule)
        how = (rule, asked.dtype, asked.seed)
        yield Situation("zeros", zeros(*how), rule)
        if STRIDED in able:
            yield Situation("not contiguous", by_columns(small_run(*how, 2, SHAPES)), rule)
        for name, make in GRADIENTS.items():
            cases = make(*how)
            if cases is not None:
                yield Situation(name, cases, rule)
        if not alone:
            yield Situation(CALLED[like_leaves], like_leaves(*how), rule)
            if GROUPS in able:
                yield Situation(IN_GROUPS, in_groups(*how), rule)
        quick = other_setting(rule, settable(rule, asked.named)) or rule
        repeated = repeated_gradients(quick, asked.dtype, asked.seed)
        if repeated is not None:
            yield Situation("repeated gradients", repeated, quick)
        near = norms_near(*how)
        if near is not None:
            yield Situation(CALLED[norms_near], near, rule, near="max_norm" not in asked.named)
        yield from self._together(rule, asked)
        if (
            ABSENT in able and counted and not rule.inner_rules()
        ):  # a wrapper may go on with what it keeps of the parameter
            yield Situation("absent gradients", absent_gradients(*how), rule)
        if SAVED in able:
            yield Situation("saved and loaded", saved_and_loaded(*how), rule)
        other = other_setting(rule, asked.named & rule.reads())
        if GROUPS in able and counted and other is not None:
            yield Situation("groups", grouped(*how, other), rule)
        if RATES in able and alone and "lr" in rule.numbers():
            apart = other if GROUPS in able and counted else None
            yield Situation("changed rates", changed_rates(*how, apart), rule)
        yield Situation(CALLED[late_steps], late_steps(*how), rule, alike=True)
        # a wrapper of a framework keeps counts within others, of which one that is found says nothing of the rest
        if COUNTED in able and not numbers_kept(rule) and (TOLD in able or not rule.inner_rules()):
            far = far_steps(*how)
            yield from [] if far is None else [Situation(FAR_STEPS, far, rule)]

    def _together(self, rule: Optimizer, asked: Driven) -> Iterator[Situation]:
        """Another setting where one number is made of many: a large leaf hides what is beside a norm, early steps what grows."""
        makes: list[Callable[..., Cases | None]] = [like_leaves] if rule.scope == "tree" else []
        makes += [late_steps] if numbers_kept(rule) else []
        others = other_settings(rule, settable(rule, asked.named), asked.named)
        if norms_near(rule, asked.dtype, asked.seed) is not None:
            makes += [norms_near]
        for make in makes if others else ():
            made = ((make(r, asked.dtype, asked.seed), r) for r in others)
            found = [Situation(f"{SETTING}: {CALLED[make]}", cases, r) for cases, r in made if cases is not None]
            yield replace(found[0], instead=partial(iter, found[1:]))

    def sizes(self, rule: Optimizer, dtype: np.dtype, seed: int) -> Cases | None:
        """Leaves of many shapes in one run."""
        return sizes(rule, dtype, seed)

    def expected(self, rule: Optimizer) -> tuple[str, ...]:
        """The parameter and the state."""
        return ("p", *rule.slots())

    def completed(self, rule: Optimizer, cases: Cases) -> Cases:
        """The cases with the extra inputs that the rule takes."""
        return completed(cases, rule)

    def whole(self, rule: Optimizer, record: Record) -> Record:
        """All leaves as one, where a step couples them."""
        return joined(record, rule) if rule.scope == "tree" else record

    def traced(self, rule: Optimizer, record: Record, plans: Plans = plan_for) -> list[Plan]:
        """Those of its steps; none where random bits are not known, so that sets are too wide to tell mutants apart."""
        if record.unknown:
            return []
        shape, numbers = record.cases.p[0].shape, dict.fromkeys(rule.scalar_inputs(), 1.0)
        found = (plans(rule, len(shape), free_values(shape, {**numbers, "t": t})) for t in range(1, record.steps + 1))
        return list(dict.fromkeys(found))

    def fewer(self, cases: Cases) -> Cases | None:
        """The matrices alone."""
        matrices = [arrays["p"].ndim == 2 for arrays in cases.arrays]
        return None if all(matrices) or not any(matrices) else cases.leaves(lambda i, _: matrices[i])

    def outputs(self, record: Record, rules: list[Optimizer], wanted: Wanted) -> Iterator[Output]:
        """Every tensor of every completed step of every leaf, in order of steps; the initial state first."""
        policy = wanted.policy.opened() if record.cases.nan_open else wanted.policy
        leaves = [Leaf(record, leaf, rule, policy, wanted.plans) for leaf, rule in enumerate(rules)]
        chosen = record.cases.judged if is_locked(record) else frozenset()
        taken = next((t for t, seen in enumerate(record.seen) if seen is None), len(record.seen))
        rest = (t for t in range(1, taken) if t - 1 not in chosen)
        far = strays([leaf.distances for leaf in leaves], rest) if chosen else frozenset[int]()
        for t, seen in enumerate(record.seen):
            if seen is None:
                return
            if chosen and t and t - 1 not in chosen and t not in far:
                continue
            if t and len(leaves) > 1:
                judge_ahead(leaves, t)
            for leaf in leaves:
                yield from judged_of(record.cases, leaf.outputs(t))

    def ways(self, rule: Optimizer, record: Record, policy: Policy, given: Container[str]) -> list[Way]:
        """Those of the step, given slots of the state."""
        step = Leaf(record, 0, rule, policy, plan_for).step(record.steps)
        return of_step(step, policy, {n: a for n, a in step.after.items() if n in given})

    def exactly(self, rule: Optimizer, record: Record, digits: int) -> dict[str, Any]:
        """The step from the state as it was seen; what depends on the new state goes on from that too."""
        step = Leaf(record, 0, rule, Policy(), plan_for).step(record.steps)
        before = {n: b.value for n, b in step.before.items()}
        names = {**rule.numbers(), **step.free}
        found = exact.evaluate(step.plan.graph, before, names, digits, observed=step.after)
        unique = step.after.keys() - step.plan.graph.not_unique()
        return {n: np.broadcast_to(a, step.after[n].shape) for n, a in found.items() if n in unique}

    def computed_from(self, rule: Optimizer, record: Record) -> Mapping[str, frozenset[str]]:
        """By the graph of the step: of AMSGrad the largest second moment is computed from the second moment."""
        return Leaf(record, 0, rule, Policy(), plan_for).step(record.steps).plan.graph.computed_from()

    def judged_as_seen(self, rule: Optimizer, record: Record) -> frozenset[str]:
        """Bases: of eigenvectors, of singular vectors, and orthogonal factors."""
        return Leaf(record, 0, rule, Policy(), plan_for).step(record.steps).plan.graph.not_unique()

    def apart(self, record: Record, rules: list[Optimizer], wanted: Wanted) -> Iterator[Output]:
        """Every tensor after each step, from what was there before it, whatever the step's other tensors are."""
        leaves = [Leaf(record, leaf, rule, wanted.policy, wanted.plans) for leaf, rule in enumerate(rules)]
        for t in range(1, len(record.seen)):
            for leaf in leaves:
                yield from leaf.apart(t)

    def faults(self, record: Record, wanted: Wanted) -> Iterator[Fault]:
        """Random bits that are not fair, where the candidate draws its own."""
        if record.unknown:
            steps = locked_steps(record, record.rules, wanted.policy)
            count, fault = stochastic_rounding.judge(steps, wanted.policy)
            record.notes.append(
                f"{count} stochastic roundings were looked at for a bias and for bits that are used twice"
            )
            yield from [] if fault is None else [fault]

    def notes(self, subject: Any, record: Record, counts: Counts) -> Iterator[str]:
        """How operations on matrices were judged, of all plans that the run took."""
        pairs = zip(record.rules, record.cases.p, strict=True)
        yield from how_matrices(plan.graph for rule, p in pairs for plan in known_plans(rule, p.ndim))

    def mode(self, tensors: Iterable[str], record: Record) -> str:
        """Step-locked if every slot was read after every step."""
        return LOCKED if is_locked(record) else FREE

    def reduced(self, record: Record) -> Cases | None:
        """Small tensors, where a rule reduces over them; else the record itself, of which few elements are looked at."""
        if sum(each is not None for each in record.seen) < 2 or not self.couples(record):
            return None
        cut = (slice(0, EDGE),) * 8
        return record.cases.mapped(lambda a: a[cut[: a.ndim]])

    def couples(self, record: Record) -> bool:
        """True if some rule reduces over a tensor, or over all."""
        return any(rule.scope == "tree" for rule in record.rules) or any(
            plan_for(rule, p.ndim, free_values(p.shape, dict.fromkeys(rule.scalar_inputs(), 1.0))).graph.couples()
            for rule, p in zip(record.rules, record.cases.p, strict=True)
        )

    def laws(self, rule: Optimizer) -> tuple[Any, ...]:
        """Those of optimizers, and those that the rule's own mechanisms bring."""
        from refgrad.kinds.laws.single_run import laws_of

        return laws_of(rule)


def is_locked(record: Record) -> bool:
    """True if every slot of every leaf, numbers too, was read after every step, in a shape that fits."""
    leaves = [Leaf(record, i, rule, Wanted().policy, plan_for) for i, rule in enumerate(record.rules)]
    times = [t for t, seen in enumerate(record.seen) if t and seen is not None]
    return all(set(leaf.slots) <= set(leaf.state(t)) for leaf in leaves for t in times)


KIND = OptimizerKind()
