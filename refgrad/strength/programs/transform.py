"""Programs of a transform: its body, which has no graph, run as it stands."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from refgrad.kinds.record import Results
from refgrad.oracle.inputs.transforms import families, generate
from refgrad.rule import short_name
from refgrad.strength import body_programs
from refgrad.strength.programs.base import FLOAT32, Case, CasePrograms, Mutants
from refgrad.strength.rounding_styles import Style

#: axes that are made longer on every second seed, where that gives more results, and not only longer sums
LONGER: Mapping[str, int] = {"d": 200, "w": 100, "width": 100}
#: others for rules whose matrices are decomposed, and none for one of many choices, whose ways are judged one by one
LONGER_OF_RULE: Mapping[str, Mapping[str, int]] = {
    "TrActLinear": {"o": 200},
    "TrActConvolution": {"o": 60},
    "MoNNA": {},
}
#: a transform whose result is one number gives one value a run, so that runs are limited
MOST_RUNS, MOST_RUNS_OF_RULE = 20_000, {"MoNNA": 1_000}


class BodyPrograms(CasePrograms):
    """A rule that has no graph, whose body is run as it stands."""

    most_runs = MOST_RUNS

    def legal(self, case: Case, random: np.random.Generator, style: Style) -> Results:
        return body_programs.legal_program(self.rule, case.arrays, random, style)

    def mutated(self, case: Case, mutation: Any) -> Results:
        return body_programs.mutated_program(self.rule, mutation, case.arrays)

    def mutants(self, cases: Sequence[Case], most: float = math.inf) -> Mutants:
        return Mutants(body_programs.body_mutants(self.rule, [case.arrays for case in cases[: self.few]]))


class TransformPrograms(BodyPrograms):
    """The results of a transform, on arrays as short as the rule says, and on longer ones."""

    def __init__(self, rule: Any) -> None:
        super().__init__(rule)
        self.few = len(families(rule))
        self.most_runs = MOST_RUNS_OF_RULE.get(short_name(type(rule)), MOST_RUNS)

    def cases(self, seed: int) -> Iterator[Case]:
        longer = LONGER_OF_RULE.get(short_name(type(self.rule)), LONGER) if seed % 2 else {}
        made = generate(self.rule, self.few, FLOAT32, seed, longer)
        for name, arrays in zip(made.names, made.arrays, strict=True):
            yield Case(name, arrays, arrays)
