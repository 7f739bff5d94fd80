"""Legal programs of a rule: random ones, and the rewrites that were made by hand; none of them may be rejected."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from refgrad.candidates.resolve import resolve
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.drive import drive
from refgrad.oracle.engine.steps import judge_record
from tests.oracle import adam_cases
from tests.oracle.attack import STYLES, Attacker
from tests.oracle.rewritten import LEGAL, rewritten
from tests.oracle.strength.judges import rejections
from tests.oracle.strength.problems import ORDINARY, problems, stacked
from tests.oracle.strength.tally import Tally

STEPS = 8
#: so many arrays are one, unless little is asked for
STACKED, LITTLE = 3, 1_000_000
#: so many values are enough of rules that multiply matrices: theirs are small, and cost a thousand times as much a value
OF_MATRICES = 300_000
Figures = dict[str, Any]


def attacked(rule: Optimizer, values: int) -> Figures:
    """Random programs, another at each step, until so many values were judged.

    Programs that round to nearest are shown to the usual comparisons as well: a program on an array is one step of one
    problem. How far the sets were used is measured on those that take the three roundings which the policy allows.
    """
    found: Figures = {"values": 0, "outside": 0, "undecided": 0, "share": {}}
    tally = Tally()
    values = min(values, OF_MATRICES) if rule.plan((2, 2), 1).graph.matrix() else values
    for seed in itertools.count(0, STACKED):
        seeds = range(seed, seed + (1 if values < LITTLE else STACKED))
        for inputs in stacked([problems(rule, STEPS, s, attacked=True) for s in seeds]):
            for name, style in STYLES.items():
                record = drive(Attacker(style, seed), rule, inputs)
                assert not record.faults, record.faults
                outcome = judge_record(record, record.rules, style.policy)
                for output, count in outcome.counts.items():
                    found["values"] += count.total
                    found["outside"] += count.outside
                    found["undecided"] += count.undecided
                    if name == "thrice":
                        kind = "p" if output == "p" else "state"
                        found["share"][kind] = max(found["share"].get(kind, 0.0), outcome.tightest[output])
                if style.rounding == "nearest":
                    steps = list(rejections(record, 0))
                    # a run in which some value is outside counts as one
                    wrong = [*itertools.chain(*steps), *(["refgrad"] if outcome.first is not None else [])]
                    tally.count(wrong, inputs.names[0] == ORDINARY, programs=len(steps))
        if found["values"] >= values:
            return {**found, **tally.figures()}
    raise AssertionError


def by_hand(cls: type[Optimizer]) -> Figures:
    """The rewrites of `tests.oracle.rewritten`, and for AdamW those of `tests.oracle.adam_cases`; each one program."""
    tally = Tally()
    for rule, candidate in _candidates(cls):
        outcomes: dict[bool, set[str]] = {True: set(), False: set()}
        for inputs in problems(rule, STEPS, 0):
            record = drive(resolve(candidate, {}), rule, inputs)
            assert not record.faults, record.faults
            wrong = set().union(*rejections(record, 0))
            if judge_record(record, record.rules, Policy()).first is not None:
                wrong.add("refgrad")
            outcomes[inputs.names[0] == ORDINARY] |= wrong
        tally.add(outcomes[True], outcomes[True] | outcomes[False])
    return tally.figures()


def _candidates(cls: type[Optimizer]) -> Iterator[tuple[Optimizer, Any]]:
    for case in LEGAL:
        if type(case[0]) is cls:
            yield case[0], rewritten(*case)
    if cls.__name__ == "AdamW":
        for program in adam_cases.LEGAL.values():
            yield cls(), _quiet(program)


def _quiet(program: adam_cases.Program) -> Any:
    def candidate(p: Any, g: Any, m: Any, v: Any, t: Any) -> Any:
        with np.errstate(all="ignore"):
            return program(p, g, m, v, t)

    return candidate
