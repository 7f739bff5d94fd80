"""Mutants of a rule, made from its own graph by general rewrites, run in float32 and judged; all should be rejected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from refgrad.arithmetic import floats
from refgrad.candidates.protocol import Observation
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.drive import Record
from refgrad.oracle.engine.steps import judge_record
from refgrad.oracle.hypotheses.changes import Change
from refgrad.oracle.hypotheses.equivalence import distinct
from refgrad.oracle.inputs.cases import Inputs
from refgrad.oracle.mutants import Mutation, mutations
from refgrad.rule import Range
from refgrad.tracing import free_values
from tests.oracle.strength.judges import JUDGES, rejections
from tests.oracle.strength.problems import EDGE, ORDINARY, corner, problems

STEPS = 10
#: what survives is looked at for so many steps more, on other numbers
LONGER, SEEDS = 30, (1, 2)
#: of rules of more mutants than so many, of which one alone takes seconds, so many are tried
MANY, SAMPLE = 1000, 100
#: most faults show in the first steps
FIRST = 2
SWITCHED_ON = {"weight_decay": 0.1, "momentum": 0.9, "lr_decay": 0.1}
Figures = dict[str, Any]


def configured(cls: type[Optimizer]) -> Optimizer:
    """A rule with its decays and momentum switched on, so that there is something to mutate."""
    legal = cls.legal()
    return cls(**{n: v for n, v in SWITCHED_ON.items() if isinstance(legal.get(n), Range)})


def considered(rule: Optimizer) -> tuple[list[Mutation], int]:
    """The mutants of a rule that are others in real arithmetic along a trajectory; none that only rounds otherwise.

    Of very many some at random; and how many there are before any is left out.
    """
    plans = list(dict.fromkeys(rule.plan((EDGE, EDGE), t) for t in range(1, STEPS + 1)))
    every = [m for m in mutations(plans) if not m.precision]
    chosen = every
    if len(every) > MANY:
        random = np.random.Generator(np.random.Philox(0))
        chosen = [every[i] for i in sorted(random.permutation(len(every))[:SAMPLE])]
    return distinct(rule, chosen, 2), len(every)


def run(rule: Optimizer, change: Change, inputs: Inputs) -> Record:
    """A changed rule on one array, each operation in float32."""
    state = {n: v for n, v in rule.init(inputs.p[0]).items() if n != "t"}
    p = np.array(inputs.p[0])
    record = Record(inputs, [rule])
    record.seen.append(Observation([p], [dict(state)]))
    for t, (g,) in enumerate(inputs.g, 1):
        scalar_values = {n: float(v) for n, v in state.items() if rule.slots()[n].scalar}
        extras, given = inputs.of_leaf(t, 0, rule)
        free = free_values(g.shape, {"t": t, **scalar_values, **given})
        plan = change.plans(rule, g.ndim, free)
        arrays = {"p": p, "g": g, **extras, **{n: v for n, v in state.items() if n not in scalar_values}}
        scalars = [np.float32(s) for s in plan.scalars(*free)]
        new = floats.evaluate(plan.graph, arrays, scalars)
        new = {n: np.broadcast_to(np.asarray(a, np.float32), np.shape(arrays[n])).copy() for n, a in new.items()}
        p = new.pop("p")
        state = {**new, **dict(zip(scalar_values, plan.scalar_outputs(*free), strict=True))}
        record.seen.append(Observation([p], [dict(state)]))
    return record


def mutants(rule: Optimizer, found: list[Mutation] | None = None) -> Figures:
    """Every mutant, by every judge."""
    sets = _Sets(rule)
    names = ("refgrad", *JUDGES)
    rejected = {name: {"ordinary": 0, "all": 0} for name in names}
    made, impossible, survivors = 0, 0, []
    found, every = considered(rule) if found is None else (found, len(found))
    sampled = {"sampled of": every} if every > MANY else {}
    for mutation in found:
        change = Change(mutation.name, mutation.sentence, "mutant", mutations=(mutation,))
        try:
            trial = _Trial(rule, change).on(sets)
        except (ArithmeticError, ValueError):
            impossible += 1  # it cannot be run with these hyperparameters
            continue
        made += 1
        for name in names:
            rejected[name]["ordinary"] += name in trial.ordinary
            rejected[name]["all"] += name in trial.wrong
        if "refgrad" not in trial.wrong:
            survivors.append({"name": mutation.name, "sentence": mutation.sentence, "share": trial.share})
    return {"made": made, "impossible": impossible, "rejected": rejected, "survivors": survivors, **sampled}


class _Sets:
    """The problems that mutants are tried on, made when they are needed: few numbers, many, and others for survivors."""

    def __init__(self, rule: Optimizer) -> None:
        self.rule = rule
        self._known: dict[int, list[Inputs]] = {}
        whole = problems(rule, STEPS, 0)
        self._makers: list[Callable[[], list[Inputs]]] = [lambda: [corner(each) for each in whole], lambda: whole]
        for seed in SEEDS:
            self._makers.append(lambda seed=seed: problems(rule, LONGER, seed, attacked=True))  # type: ignore[misc]

    def __iter__(self) -> Iterator[list[Inputs]]:
        for number, make in enumerate(self._makers):
            if number not in self._known:
                self._known[number] = make()
            yield self._known[number]


class _Trial:
    """One mutant, and who found it wrong: on ordinary numbers, and on any."""

    def __init__(self, rule: Optimizer, change: Change) -> None:
        self.rule, self.change = rule, change
        self.ordinary: set[str] = set()
        self.wrong: set[str] = set()
        #: the largest error over what is allowed
        self.share = 0.0

    def on(self, sets: _Sets) -> _Trial:
        """Few numbers, then many; and others if refgrad has not found it wrong by then."""
        for number, each in enumerate(sets):
            if "refgrad" in self.wrong and number >= 2:
                break
            for inputs in each:
                self._look(inputs)
        return self

    def _look(self, inputs: Inputs) -> None:
        ordinary = inputs.names[0] == ORDINARY
        known = self.ordinary if ordinary else self.wrong
        if len(known) == 1 + len(JUDGES):
            return
        record = run(self.rule, self.change, inputs)
        found: set[str] = set()
        if not known >= set(JUDGES):
            for step in rejections(record, 0):
                found |= step
                if len(found) == len(JUDGES):
                    break
        if "refgrad" not in known and self._outside(record):
            found.add("refgrad")
        self.wrong |= found
        if ordinary:
            self.ordinary |= found

    def _outside(self, record: Record) -> bool:
        """Whether some value is outside, in the first steps or in all."""
        for steps in (FIRST, record.steps):
            part = Record(record.inputs, record.rules, record.seen[: steps + 1])
            outcome = judge_record(part, part.rules, Policy())
            self.share = max(self.share, *outcome.tightest.values())
            if outcome.first is not None:
                return True
        return False
