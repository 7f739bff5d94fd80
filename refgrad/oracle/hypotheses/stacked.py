"""A few elements of an optimizer's run, judged many steps at once: cheap enough for hundreds of mutants.

Where every slot was read, each output is judged by itself, given all that was observed; what two hypotheses have in
common is judged once. Only the judge on the whole run decides; this says which hypotheses are worth it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from refgrad.arithmetic import floats, rewriting, scalar_error, scalar_math
from refgrad.arithmetic.enclosure import Enclosure
from refgrad.arithmetic.graph import Graph
from refgrad.arithmetic.running_error import Bounded, Model, scalar
from refgrad.arithmetic.scalar_math import Expr
from refgrad.candidates.protocol import Observation
from refgrad.kinds.kind import Kind
from refgrad.kinds.record import Record
from refgrad.kinds.table import kind_of
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance import comparing, judge
from refgrad.oracle.acceptance.findings import Count, Counts, Output, count
from refgrad.oracle.acceptance.judgement import Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.tally import Tally
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.hypotheses.free_running import FreeRun
from refgrad.oracle.hypotheses.sketched import FEW, MANY, Sets, counted, hopeless
from refgrad.oracle.hypotheses.stack import Stack, stack_of
from refgrad.oracle.inputs.written import Inputs
from refgrad.tracing import Plan, free_names, free_values

#: elements of each leaf that are looked at, where nothing else is said
ELEMENTS = 64


@dataclass(eq=False)
class Stacked:
    """An optimizer's run, or the part of it that is looked at, and what was judged on it already."""

    record: Record
    policy: Policy
    elements: int = ELEMENTS
    #: by leaf further elements that are looked at, by their flat places
    besides: Mapping[int, np.ndarray] = field(default_factory=dict)
    #: the same run under the claim, where this one's rule is another
    claimed: Stacked | None = None
    _known: dict[Any, Count] = field(default_factory=dict)
    #: by rule and step: the arithmetic of scalars, the names' values, and what was evaluated already
    _pairs: dict[Any, tuple[scalar_math.Table, dict[str, Any], dict[Expr, Any]]] = field(default_factory=dict)
    _inputs: dict[Any, dict[str, Bounded]] = field(default_factory=dict)
    _sets: dict[Any, Sets | None] = field(default_factory=dict)
    _wide: dict[Any, dict[str, np.ndarray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        answered = [each for each in self.record.seen if each is not None]
        self.record = dataclasses.replace(self.record, seen=answered)

    @property
    def kind(self) -> Kind:
        """That of optimizers."""
        return kind_of("optimizer")

    @property
    def rule(self) -> Optimizer:
        """What the candidate was told to be, of the first leaf."""
        rule: Optimizer = self.record.rules[0]
        return rule

    @cached_property
    def locked(self) -> bool:
        """True if every array slot of every leaf was read after every step."""
        return all(
            n in state
            for seen in self.record.seen[1:]
            for rule, state in zip(self.record.rules, seen.state, strict=True)
            for n, slot in rule.slots().items()
            if not slot.scalar
        )

    @cached_property
    def couples(self) -> bool:
        """True if some rule reduces over a tensor, so that elements cannot be judged apart."""
        return self.kind.couples(self.record)

    @cached_property
    def stacks(self) -> list[Stack]:
        """The leaves, stacked by rule (and by shape)."""
        groups: dict[Any, list[int]] = {}
        for leaf, rule in enumerate(self.record.rules):
            p = self.record.cases.arrays[leaf]["p"]
            groups.setdefault((rule, p.shape if self.couples else p.ndim), []).append(leaf)
        return [
            stack_of(self.record, leaves, self.couples, self.elements, self.besides)
            for leaves in groups.values()
            if len(self.record.seen) > 1
        ]

    def judged_counts(self, change: Change) -> Counts | None:
        """The statuses of elements under a change, by output; None if it changes which slots or extra inputs there are.

        Raises:
            ArgumentError, ArithmeticError, ValueError: the change is not defined for these hyperparameters.
        """
        rules = [change.changed(rule) for rule in self.record.rules]
        if [_kept_and_given(r) for r in rules] != [_kept_and_given(r) for r in self.record.rules]:
            return None
        if not self.locked or any(rule.scope == "tree" for rule in rules):
            return self._told_quickly(change) or Tally().adding(self._outputs(change)).counts
        total: dict[str, Count] = {}
        for stack in self.stacks:
            rule = change.changed(stack.rule)
            for output, each in self._stack_counts(stack, rule, change, change.policy_of(self.policy)).items():
                total[output] = total.get(output, Count()) + each
        return total

    def _outputs(self, change: Change) -> Iterator[Output]:
        return self.kind.outputs(self.part, self.part_rules(change), change.wanted(self.policy))

    def follow(self, change: Change) -> FreeRun:
        """The part that is looked at, followed from the start under a change."""
        return FreeRun.of(self.part, self._outputs(change))

    @cached_property
    def followed(self) -> FreeRun | None:
        """The same under the claim, where the state cannot be read; None for trees."""
        if self.locked or any(rule.scope == "tree" for rule in self.record.rules):
            return None
        return self.follow(NONE)

    def _told_quickly(self, change: Change) -> Counts | None:
        """What is outside under a change that is wrong beyond doubt, about; None where only the judge can tell."""
        if self.followed is None or not change.parts or change.precision:
            return None
        found = self.followed.distances(self.part_rules(change), change.plans, {})
        return {n: counted(each) for n, each in found.items()} if hopeless(list(found.values()), MANY) else None

    def steps_by_plan(
        self, stack: Stack, rule: Optimizer, change: Change
    ) -> dict[Plan, list[tuple[int, dict[str, float]]]]:
        """The plans that the steps of a stack take under a change, each with its steps and their free values."""
        found: dict[Plan, list[tuple[int, dict[str, float]]]] = {}
        slots = [n for n, s in rule.slots().items() if s.scalar]
        initial = rule.init(np.zeros(1, np.float32)) if slots else {}
        current = {n: float(initial[n]) for n in slots}
        for t, read, given in zip(stack.steps, stack.scalar_values, stack.given, strict=True):
            current = {n: read.get(n, v) for n, v in current.items()}
            free = free_values(stack.shape, {"t": t, **current, **given})
            plan = change.plans(rule, stack.ndim, free)
            names = dict(zip(free_names(rule, stack.ndim), free, strict=True))
            found.setdefault(plan, []).append((t, names))
            if slots:
                current = dict(zip(slots, plan.scalar_outputs(*free), strict=True))
        return found

    def _stack_counts(self, stack: Stack, rule: Optimizer, change: Change, policy: Policy) -> Counts:
        total: dict[str, Count] = {}
        for plan, frees in self.steps_by_plan(stack, rule, change).items():
            numbers = rewriting.keys(plan.graph)
            given = tuple((t, *names.items()) for t, names in frees)
            keys = {  # rules that differ in what an output does not read have one count of it
                output: (id(stack), output, numbers[node.index], policy, given, rule.scalars, _read(plan, rule, output))
                for output, node in plan.graph.outputs.items()
                if output in stack.after
            }
            unknown = {o: rewriting.cone(plan.graph, o) for o, key in keys.items() if key not in self._known}
            sketched = self._sketched(stack, unknown, rule, frees) if self._sketches(change) else {}
            for output, cone in unknown.items():
                known = sketched.get(output) or count(self.judged(stack, cone, output, rule, frees, policy))
                self._known[keys[output]] = known
            for output, key in keys.items():
                total[output] = total.get(output, Count()) + self._known[key]
        return total

    def judged(
        self,
        stack: Stack,
        cone: Graph,
        output: str,
        rule: Optimizer,
        frees: list[tuple[int, dict[str, float]]],
        policy: Policy,
    ) -> Judged:
        """One output of some steps against its acceptance sets, given all other outputs."""
        steps = tuple(t for t, _ in frees)
        before, after = stack.at(steps)
        model = comparing.model_for(policy, after["p"].dtype)
        with np.errstate(all="ignore"):
            if (id(stack), steps, model) not in self._inputs:
                self._inputs[id(stack), steps, model] = _inputs(before, after, model)
            inputs = self._inputs[id(stack), steps, model]
            scalars = self.scalars(cone, rule, frees, model, after["p"].ndim)
            enclosure = Enclosure(cone, model, stack.batch)
            return judge.judge_outputs(enclosure, inputs, scalars, {output: after[output]}, policy)[0][output]

    def _sketches(self, change: Change) -> bool:
        """True if a change that is not the claim has sets that are hardly wider than the claim's."""
        rough = change.policy or any(m.precision or m.model for m in change.mutations)
        return bool(self.claimed or change.parts) and not rough

    def _sketched(
        self, stack: Stack, cones: Mapping[str, Graph], rule: Optimizer, frees: list[tuple[int, dict[str, float]]]
    ) -> Counts:
        """What is outside of outputs that are wrong beyond doubt, about; of another rule of all, if one is."""
        found = {
            o: each for o, cone in cones.items() if (each := self._distances(stack, cone, o, rule, frees)) is not None
        }
        wrong = {o for o, each in found.items() if hopeless([each], FEW)}
        told = found if wrong and self.claimed is not None else wrong
        return {o: counted(found[o]) for o in told}

    def _distances(
        self, stack: Stack, cone: Graph, output: str, rule: Optimizer, frees: list[tuple[int, dict[str, float]]]
    ) -> np.ndarray | None:
        """How far an output of some steps is from what was observed, in half-widths of the claim's sets."""
        sets = (self.claimed or self).sets_of(self.stacks.index(stack), output)
        if sets is None or sets.observed.shape != stack.after[output].shape:
            return None
        steps = tuple(t for t, _ in frees)
        if (id(stack), steps) not in self._wide:
            before, after = stack.at(steps)
            wide = {n: a.astype(np.float64) for n, a in before.items()}
            wide |= {rewriting.observed_name(n): a.astype(np.float64) for n, a in after.items()}
            self._wide[id(stack), steps] = wide
        model = comparing.model_for(self.policy, stack.after["p"].dtype)
        scalars = [each.value for each in self.scalars(cone, rule, frees, model, stack.after["p"].ndim)]
        (values,) = floats.evaluate(cone, self._wide[id(stack), steps], scalars, stack.batch).values()
        return sets.rows(stack.rows(steps)).distances(values)

    def sets_of(self, number: int, output: str) -> Sets | None:
        """The acceptance sets of an output of a stack at all steps, under the claim; None if some step has none."""
        if not self.locked or number >= len(self.stacks):
            return None
        if (number, output) not in self._sets:
            stack, parts, order = self.stacks[number], [], list[int]()
            for plan, frees in self.steps_by_plan(stack, stack.rule, NONE).items():
                if output not in plan.graph.outputs or output not in stack.after:
                    break
                cone = rewriting.cone(plan.graph, output)
                judged = self.judged(stack, cone, output, stack.rule, frees, self.policy)
                steps = tuple(t for t, _ in frees)
                parts.append(Sets.of(judged, stack.at(steps)[1][output]))
                order += stack.rows(steps)
            whole = bool(parts) and len(order) == len(stack.steps)
            sets = Sets.stacked(parts, order).blunted(stack.after[output].dtype) if whole else None
            self._sets[number, output] = sets
        return self._sets[number, output]

    def scalars(
        self, graph: Graph, rule: Optimizer, frees: list[tuple[int, dict[str, float]]], model: Model, ndim: int
    ) -> list[Bounded]:
        """The scalars of a graph, one value a step along the first axis."""
        exprs = graph.scalars()
        columns = [self._evaluated(exprs, rule, names, model.flushes) for _, names in frees]
        found = []
        for i in range(len(exprs)):
            if all(column[i] == columns[0][i] for column in columns):
                found.append(scalar(*columns[0][i], model))
                continue
            values = [scalar(*column[i], model) for column in columns]
            shape = (len(frees),) + (1,) * (ndim - 1)
            value = np.asarray([float(v.value) for v in values]).reshape(shape)
            found.append(Bounded(value, np.asarray([float(v.bound()) for v in values]).reshape(shape)))
        return found

    def _evaluated(
        self, exprs: list[Expr], rule: Optimizer, free: Mapping[str, float], flushes: bool
    ) -> list[scalar_error.Pair]:
        key = (rule, tuple(free.items()), flushes)
        if key not in self._pairs:
            table = scalar_error.table(rule.scalars, flushes)
            names = {n: table["const"](v) for n, v in {**rule.numbers(), **free}.items()}
            self._pairs[key] = (table, names, {})
        table, names, memo = self._pairs[key]
        return [scalar_math.evaluate(e, names, table, memo) for e in exprs]

    @cached_property
    def part(self) -> Record:
        """The run with few elements, all leaves of a rule in one, to be judged step by step."""
        if self.couples:
            return self.record
        stacks = self.stacks
        shapes = [(s.after["p"].shape[1],) + (1,) * (s.ndim - 1) if s.ndim else () for s in stacks]
        params = [
            [s.before["p"][0].reshape(shape)] + [row.reshape(shape) for row in s.after["p"]]
            for s, shape in zip(stacks, shapes, strict=True)
        ]
        steps = len(self.record.seen)

        def read(name: str, t: int) -> list[np.ndarray]:
            return [s.before[name][t].reshape(shape) for s, shape in zip(stacks, shapes, strict=True)]

        names = [n for n in stacks[0].rule.read_only() if n != "g"]
        grads = [read("g", t) for t in range(steps - 1)]
        extras = [{**{n: read(n, t) for n in names}, **stacks[0].given[t]} for t in range(steps - 1)]
        seen = []
        for t in range(steps):
            state: list[dict[str, Any]] = []
            for s, shape in zip(stacks, shapes, strict=True):
                slots = {n: a[t - 1].reshape(shape) for n, a in s.after.items() if n != "p"} if t else {}
                state.append({**slots, **(s.scalar_values[t] if t < len(s.scalar_values) else {})})
            seen.append(Observation([column[t] for column in params], state))
        cases = Inputs([c[0] for c in params], grads, extras=extras)
        return Record(cases, [s.rule for s in stacks], seen)

    def part_rules(self, change: Change) -> list[Optimizer]:
        """The rules of that part under a change."""
        return [change.changed(rule) for rule in self.part.rules]


def _inputs(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], model: Model) -> dict[str, Bounded]:
    """What an output's own part reads: what was there before the step, and the other outputs as they were seen."""
    inputs = {n: Bounded(a.astype(np.float64)) for n, a in before.items()}
    for name, values in after.items():
        seen = comparing.conditioned(values.astype(np.float64), values.dtype, model)
        inputs[rewriting.observed_name(name)] = seen
    return inputs


def _read(plan: Plan, rule: Optimizer, output: str) -> tuple[tuple[str, float], ...]:
    """The hyperparameters that an output's own part reads, with their values."""
    nodes = rewriting.cone_nodes(plan.graph, output)
    used = {n for node in nodes if node.op == "scalar" for n in scalar_math.names_in(node.attribute)}
    return tuple((n, value) for n, value in rule.numbers().items() if n in used)


def _kept_and_given(rule: Optimizer) -> tuple[list[str], list[str]]:
    """The slots and the extra inputs of a rule."""
    return list(rule.slots()), list(rule.inputs())
