"""What a candidate without state answered, few arrays and many, and hypotheses judged on it: one class a kind of rule."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from refgrad.arithmetic import floats
from refgrad.candidates import estimator as estimators
from refgrad.candidates import masks
from refgrad.candidates import quantizer as quantizers
from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import ArgumentError, CandidateError
from refgrad.kinds import estimator, mask, quantizer
from refgrad.oracle.acceptance.findings import Count, Fault
from refgrad.oracle.acceptance.judge import OUTSIDE
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.run import Answer, Arrays
from refgrad.oracle.engine.steps import count
from refgrad.oracle.engine.time_limit import watched
from refgrad.oracle.hypotheses.changes import Change
from refgrad.oracle.hypotheses.crossings import edge
from refgrad.oracle.hypotheses.recovery import Recovered, shortest_decimal
from refgrad.oracle.inputs import estimators as estimator_inputs
from refgrad.oracle.inputs import masks as mask_inputs
from refgrad.oracle.inputs import quantizers as quantizer_inputs
from refgrad.rule import Range
from refgrad.tracing import Plan, free_values, plan_for

#: a number is looked for over so many powers of two on either side of a claim, and then by so many bisections
OCTAVES, FINE = 8, 48
#: cases whose values tell whether two hypotheses are the same, and the relative difference that is one
BATTERY, DIFFERENCE = 3, 1e-12


@dataclass(eq=False)
class Asked(ABC):
    """Cases with their answers, and the rule that the candidate was asked as."""

    name: str
    rule: Any
    dtype: np.dtype
    ask_again: Callable[[Any], list[Mapping[str, np.ndarray]]]
    answers: list[tuple[Arrays, Mapping[str, np.ndarray]]]
    whole: Any = None
    faults: list[Fault] = field(default_factory=list)

    @classmethod
    def ask(
        cls, thing: Any, options: Mapping[str, Any], rule: Any, dtype: np.dtype, seed: int, inputs: Any, limit: float
    ) -> Asked:
        """Ask a candidate as a rule; faults are kept."""
        cases = list(inputs.arrays) if hasattr(inputs, "arrays") else cls.cases(rule, dtype, seed)
        name, call = cls.resolved(thing, options, rule)
        found = cls(name, rule, dtype, lambda given: _answered(call, given, limit)[0], [], cases)
        few = [cls.few(arrays) for arrays in cases]
        seen, faults = _answered(call, few, limit)
        found.answers, found.faults = list(zip(few, seen, strict=False)), faults
        return found

    @cached_property
    def many(self) -> Asked:
        """The same candidate on all cases."""
        seen = self.ask_again(self.whole)
        return type(self)(self.name, self.rule, self.dtype, self.ask_again, list(zip(self.whole, seen, strict=False)))

    def counts(self, rule: Any, change: Change, policy: Policy) -> dict[str, Count] | None:
        """How many values are outside under a hypothesis, by result; None where it cannot be judged.

        One that is wrong on the first case is not asked further.
        """
        judged = self.judged(rule, change, policy, 1)
        if judged is None:
            return None
        if not any((status.status == OUTSIDE).any() for answer in judged for status, _ in answer.values()):
            judged = self.judged(rule, change, policy) or judged
        total: dict[str, Count] = {}
        for answer in judged:
            for name, (status, _) in answer.items():
                total[name] = total.get(name, Count()) + count(status)
        return total

    def judged(self, rule: Any, change: Change, policy: Policy, most: int | None = None) -> list[Answer] | None:
        """The answers, or the first of them, under a hypothesis."""
        try:
            changed = rule.replace(**change.rule) if change.rule else rule
            if not self.alike(changed):
                return None
            return [self.judge(changed, change, arrays, seen, policy) for arrays, seen in self.answers[:most]]
        except (ArgumentError, ArithmeticError, CandidateFault, IndexError, ValueError):
            return None

    def distance(self, rule: Any, policy: Policy) -> tuple[int, float]:
        """How many values are outside, and how far, on a scale that grows slowly."""
        judged = self.judged(rule, Change("", "", "none"), policy)
        if judged is None:
            return 1 << 62, math.inf
        outside, far, size = 0, 0.0, 0
        for answer in judged:
            for status, values in answer.values():
                outside += int((status.status == OUTSIDE).sum())
                with np.errstate(all="ignore"):
                    half = np.maximum((status.high - status.low) / 2, np.finfo(np.float64).tiny)
                    away = np.log1p(np.abs(values.astype(np.float64) - status.truth) / half)
                usable = np.isfinite(away)
                far += float(np.sum(away[usable]))
                size += int(usable.sum())
        return outside, far / max(size, 1)

    def recovered(self, rule: Any, name: str, claimed: float, policy: Policy) -> Recovered | None:
        """The number with which nothing is outside, and the interval of such numbers; None if none is found."""
        legal = rule.range_of(name)
        if not isinstance(legal, Range):
            return None

        def at(value: float) -> tuple[int, float]:
            if value not in legal:
                return 1 << 62, math.inf
            return self.distance(rule.replace(**{name: value}), policy)

        start = claimed if claimed > 0 else 1.0
        grid = sorted({start * 2.0 ** (k / 2) for k in range(-2 * OCTAVES, 2 * OCTAVES + 1)} | _inside(legal))
        scored = [(at(v)[::-1], v) for v in grid]
        best = min(range(len(grid)), key=lambda k: scored[k][0])
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
        value = _least(lambda v: at(v)[1], low, high)
        fitting = next((v for v in (value, grid[best]) if at(v)[0] == 0), None)
        if fitting is None:
            return None
        ends = [edge(lambda v: at(v)[0] == 0, fitting, end, FINE) for end in (low, high)]
        told = shortest_decimal(ends[0], ends[1], fitting)
        told = claimed if ends[0] <= claimed <= ends[1] else told
        return Recovered(name, self.told_by, claimed, told if at(told)[0] == 0 else fitting, ends[0], ends[1], True)

    def same(self, one: Any, other: Any) -> bool:
        """Whether two hypotheses compute the same on other numbers than were seen."""
        a, b = (self._values(each.changed, each.change) for each in (one, other))
        if a is None or b is None or len(a) != len(b):
            return False
        with np.errstate(all="ignore"):
            return all(x.shape == y.shape and bool(np.all(_close(x, y))) for x, y in zip(a, b, strict=True))

    def _values(self, rule: Any, change: Change) -> list[np.ndarray] | None:
        """A hypothesis in float64 on a battery of cases."""
        found: list[np.ndarray] = []
        try:
            for seed in range(BATTERY):
                for arrays in self.cases(self.rule, np.dtype(np.float64), 1000 + seed):
                    found += self.literal(rule, change, arrays)
        except (ArgumentError, ArithmeticError, IndexError, ValueError):
            return None
        return found

    #: what a number is told by
    told_by: ClassVar[str] = "all"

    @staticmethod
    @abstractmethod
    def cases(rule: Any, dtype: np.dtype, seed: int) -> list[Arrays]:
        """Arrays that a candidate is asked."""

    @staticmethod
    @abstractmethod
    def resolved(thing: Any, options: Mapping[str, Any], rule: Any) -> tuple[str, Callable[[Arrays], Any]]:
        """What a candidate is called, and a function from arrays to its answer."""

    @staticmethod
    def few(arrays: Arrays) -> Arrays:
        """A part of a case; all of it unless a kind says otherwise."""
        return arrays

    @abstractmethod
    def alike(self, rule: Any) -> bool:
        """Whether the answers could be another rule's."""

    @abstractmethod
    def judge(
        self, rule: Any, change: Change, arrays: Arrays, seen: Mapping[str, np.ndarray], policy: Policy
    ) -> Answer:
        """One answer under a hypothesis."""

    @abstractmethod
    def plan(self, rule: Any) -> Plan | None:
        """The graph that mutants are made of, if there is one."""

    @abstractmethod
    def literal(self, rule: Any, change: Change, arrays: Arrays) -> list[np.ndarray]:
        """What a hypothesis makes of some float64 arrays."""


def _answered(call: Callable[[Arrays], Any], cases: list[Arrays], limit: float) -> tuple[list[Any], list[Fault]]:
    seen: list[Any] = []
    with watched(limit) as watch:
        for number, arrays in enumerate(cases, 1):
            try:
                handed = {n: np.array(x, copy=True) for n, x in arrays.items()}
                seen.append(watch(functools.partial(call, handed), "candidate"))
            except CandidateFault as fault:
                return seen, [Fault(fault.kind, number, str(fault))]
            except (ArgumentError, CandidateError):
                raise
            except Exception as error:  # whatever a stranger's code raises is a finding, not our traceback
                return seen, [Fault("raised", number, f"{type(error).__name__}: {error}")]
    return seen, []


def _inside(legal: Range) -> set[float]:
    """Numbers along a bounded range."""
    if not (math.isfinite(legal.low) and math.isfinite(legal.high)):
        return set()
    return {legal.low + (legal.high - legal.low) * k / 32 for k in range(1, 32)}


def _least(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function that falls and rises again is least, by the golden section."""
    ratio = (math.sqrt(5) - 1) / 2
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    at_a, at_b = function(a), function(b)
    for _ in range(FINE):
        if at_a <= at_b:
            high, b, at_b = b, a, at_a
            a = high - ratio * (high - low)
            at_a = function(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + ratio * (high - low)
            at_b = function(b)
    return a if at_a <= at_b else b


def _close(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    near = np.abs(x - y) <= DIFFERENCE * np.maximum(np.abs(x), np.abs(y))
    return near | (x == y) | (np.isnan(x) & np.isnan(y))


def _evaluated(plan: Plan, shape: tuple[int, ...], arrays: Arrays) -> dict[str, np.ndarray]:
    wide = {n: np.asarray(a, np.float64) for n, a in arrays.items()}
    return floats.evaluate(plan.graph, wide, list(plan.scalars(*free_values(shape, {}))))


class AskedEstimator(Asked):
    """An estimator's value and gradients."""

    @staticmethod
    def cases(rule: Any, dtype: np.dtype, seed: int) -> list[Arrays]:
        return list(estimator_inputs.generate(rule, 3, dtype, seed).arrays)

    @staticmethod
    def resolved(thing: Any, options: Mapping[str, Any], rule: Any) -> tuple[str, Callable[[Arrays], Any]]:
        subject = estimators.resolve(thing, options)
        run = subject.start(rule)

        def call(arrays: Arrays) -> dict[str, np.ndarray]:
            handed = {n: a for n, a in arrays.items() if n not in rule.chosen}
            wanted = {n: a for n, a in run(handed).items() if n in rule.results()}
            return estimators.check_outputs(wanted, rule, arrays, subject.name)

        return subject.name, call

    @staticmethod
    def few(arrays: Arrays) -> Arrays:
        rows = arrays["x"].shape[0]
        cut = lambda a: a[: 4 if a.shape[0] == rows else None, : 64 if a.shape[1:2] == arrays["x"].shape[1:2] else None]  # noqa: E731
        return {n: cut(a).copy() for n, a in arrays.items()}

    def alike(self, rule: Any) -> bool:
        return rule.takes() == self.rule.takes() and rule.gives() == self.rule.gives() and not rule.chosen

    def judge(self, rule: Any, change: Change, arrays: Arrays, seen: Any, policy: Policy) -> Answer:
        return estimator.judge_results(rule, rule.prepared(arrays), seen, policy, change)

    def plan(self, rule: Any) -> Plan | None:
        return rule.plan(self.answers[0][0]["x"].shape)

    def literal(self, rule: Any, change: Change, arrays: Arrays) -> list[np.ndarray]:
        shape = arrays["x"].shape
        found = _evaluated(change.rewritten(rule.plan(shape)), shape, arrays)
        return [np.broadcast_to(found[n], shape) for n in rule.results() if n in found]


class AskedQuantizer(Asked):
    """A quantizer's parts, and what they stand for."""

    @staticmethod
    def cases(rule: Any, dtype: np.dtype, seed: int) -> list[Arrays]:
        return list(quantizer_inputs.generate(rule, dtype, seed).arrays)

    @staticmethod
    def resolved(thing: Any, options: Mapping[str, Any], rule: Any) -> tuple[str, Callable[[Arrays], Any]]:
        subject = quantizers.resolve(thing, options)

        def call(arrays: Arrays) -> dict[str, np.ndarray]:
            return quantizer.answer(subject, rule, arrays)

        return subject.name, call

    def alike(self, rule: Any) -> bool:
        if rule.parts != self.rule.parts:
            return False
        try:
            arrays = self.answers[0][0] if self.answers else {"x": np.ones((2, 256), self.dtype)}
            return quantizer.shapes_of(rule, arrays) == quantizer.shapes_of(self.rule, arrays)
        except ArgumentError:
            return False

    def judge(self, rule: Any, change: Change, arrays: Arrays, seen: Any, policy: Policy) -> Answer:
        return quantizer.judge_parts(rule, arrays, dict(seen), policy, change)

    def plan(self, rule: Any) -> Plan | None:
        if not quantizer.has_graph(rule):
            return None
        x = self.answers[0][0]["x"]
        return plan_for(rule, 2, free_values(rule.given(x, rule.layout(x.shape))["x"].shape, {}))

    def literal(self, rule: Any, change: Change, arrays: Arrays) -> list[np.ndarray]:
        if not quantizer.has_graph(rule):
            return [np.asarray(a, np.float64) for a in quantizer.truth_of(rule, arrays).values()]
        rows = rule.given(np.ascontiguousarray(arrays["x"], np.float64), rule.layout(arrays["x"].shape))
        shape = rows["x"].shape
        found = _evaluated(change.rewritten(plan_for(rule, 2, free_values(shape, {}))), shape, rows)
        return [np.broadcast_to(np.asarray(found[n], np.float64), shape) for n in sorted(found)]


class AskedMask(Asked):
    """A mask, and the scores behind it if they were given."""

    @staticmethod
    def cases(rule: Any, dtype: np.dtype, seed: int) -> list[Arrays]:
        return list(mask_inputs.generate(rule, dtype, seed).leaves)

    @staticmethod
    def resolved(thing: Any, options: Mapping[str, Any], rule: Any) -> tuple[str, Callable[[Arrays], Any]]:
        subject = masks.resolve_mask(thing, options)

        def call(arrays: Arrays) -> dict[str, np.ndarray]:
            seen = subject.prune(rule, arrays)
            mask = np.asarray(seen.mask)
            if mask.shape != arrays["w"].shape:
                raise CandidateFault("shape", f"the mask has shape {mask.shape}; legal: {arrays['w'].shape}, that of w")
            return {"mask": mask.astype(bool), **({} if seen.scores is None else {"scores": np.asarray(seen.scores)})}

        return subject.name, call

    def alike(self, rule: Any) -> bool:
        return rule.takes().keys() == self.rule.takes().keys()

    def judge(self, rule: Any, change: Change, arrays: Arrays, seen: Any, policy: Policy) -> Answer:
        scores = mask.like_units(seen["scores"], rule, arrays["w"].shape) if "scores" in seen else None
        leaf = mask.judge_leaf(rule, arrays, masks.MaskSeen(seen["mask"], scores), policy, change)
        values = {"mask": seen["mask"], "scores": scores}
        return {n: (judged, np.asarray(values[n])) for n, judged in leaf.tensors.items()}

    def plan(self, rule: Any) -> Plan | None:
        w = rule.units(self.answers[0][0]["w"])
        return plan_for(rule, w.ndim, free_values(w.shape, {}))

    def literal(self, rule: Any, change: Change, arrays: Arrays) -> list[np.ndarray]:
        given = rule.prepare(arrays["w"], {n: a for n, a in arrays.items() if n != "w"})
        shape = given["w"].shape
        plan = change.rewritten(plan_for(rule, len(shape), free_values(shape, {})))
        scores = np.asarray(_evaluated(plan, shape, given)["scores"], np.float64)
        scores = np.broadcast_to(scores, rule.score(**arrays).shape)
        return [rule.select(scores).astype(np.float64)]


ASKED: Mapping[str, type[Asked]] = {"estimator": AskedEstimator, "quantizer": AskedQuantizer, "mask": AskedMask}
