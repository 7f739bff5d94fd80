"""Rules without state as the measurement sees them: the arrays that each kind is tried on, its programs, and its judge."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.candidates.masks import MaskSeen
from refgrad.oracle import aimed, mask_inputs, quantizer_inputs, transform_inputs
from refgrad.oracle.estimated import judge_results
from refgrad.oracle.judge import UNDECIDED, Judged
from refgrad.oracle.masked import judge_leaf
from refgrad.oracle.policy import Policy
from refgrad.oracle.quantized import has_graph, judge_parts
from refgrad.oracle.transformed import judge_case
from refgrad.rule import Rule, rules
from tests.oracle import graph_programs
from tests.oracle.attack import Rounding, Style
from tests.oracle.strength import bodies

Arrays = Mapping[str, np.ndarray]
Results = dict[str, np.ndarray]
#: what was judged of a program: statuses, and the values that they are of
Answers = list[tuple[Judged, np.ndarray]]
FLOAT32 = np.dtype(np.float32)
#: each operation once, to nearest
PLAINLY = Style("nearest", False, Policy())
#: the edge of a corner, on which it is decided which mutants count
EDGE = 4


@dataclass(frozen=True)
class Case:
    """Arrays of one family: those that a candidate is handed, and those that the rule's graph reads."""

    family: str
    arrays: Arrays
    given: Arrays


class Subject(ABC):
    """A rule with the arrays that it is tried on, its programs and its judge."""

    #: so many cases decide which mutants count
    few = 3
    #: so many runs are enough, whatever values they give
    most_runs: float = math.inf

    def __init__(self, rule: Any) -> None:
        self.rule = rule

    @abstractmethod
    def cases(self, seed: int) -> Iterator[Case]:
        """The families that `refgrad.verify` generates, in float32."""

    @abstractmethod
    def judged(self, case: Case, results: Results, policy: Policy, random: np.random.Generator) -> Answers:
        """What refgrad says of results; a `CandidateFault` for codes that the rule does not know."""

    def legal(self, case: Case, random: np.random.Generator, style: Style) -> Results:
        """The results of a random legal program."""
        return graph_programs.legal(self.rule, case.given, random, style)

    def mutated(self, case: Case, mutation: Any) -> Results:
        """The results of the rule as it stands, or changed, each operation in float32."""
        return graph_programs.mutated(self.rule, mutation, case.given)

    def mutants(self, cases: list[Case], most: int) -> list[Any]:
        """The mutants, which have a name and a sentence, that are others in real arithmetic on the corner of some case."""
        return graph_programs.mutants(self.rule, [corner(case.given) for case in cases], most)


def corner(arrays: Arrays) -> Arrays:
    """The first rows and columns."""
    shape = next(iter(arrays.values())).shape
    return {
        n: a[tuple(slice(0, EDGE if a.shape[i] == shape[i] else None) for i in range(min(a.ndim, 2)))].copy()
        for n, a in arrays.items()
    }


class OfEstimator(Subject):
    """Value and gradients."""

    def cases(self, seed: int) -> Iterator[Case]:
        made = aimed.generate(self.rule, 3, FLOAT32, seed)
        for name, arrays in zip(made.names, made.arrays, strict=True):
            yield Case(name, arrays, arrays)

    def judged(self, case: Case, results: Results, policy: Policy, random: np.random.Generator) -> Answers:
        return list(judge_results(self.rule, case.arrays, results, policy).values())


class OfMask(Subject):
    """The scores with the mask that follows, and that mask alone; equal scores in any order that the rule allows."""

    #: of infinities and NaN rewritten programs make other NaN
    left_out = ("NaN and infinities",)

    def cases(self, seed: int) -> Iterator[Case]:
        made = mask_inputs.generate(self.rule, FLOAT32, seed)
        for name, leaf in zip(made.names, made.leaves, strict=True):
            if name not in self.left_out:
                yield Case(name, leaf, self.rule.prepare(leaf["w"], {n: a for n, a in leaf.items() if n != "w"}))

    def judged(self, case: Case, results: Results, policy: Policy, random: np.random.Generator) -> Answers:
        scores = results["scores"]
        free = self.rule.ties in ("low", "high")
        chosen = self.rule.select(scores, random.random(scores.shape) < 0.5 if free else None)
        mask = self.rule.spread(chosen, case.arrays["w"].shape)
        shown = judge_leaf(self.rule, case.arrays, MaskSeen(mask, scores), policy).tensors
        hidden = judge_leaf(self.rule, case.arrays, MaskSeen(mask, None), policy).tensors
        return [(shown["scores"], scores), (shown["mask"], mask), (hidden["mask"], mask)]


class OfQuantizer(Subject):
    """The parts and what they stand for; the graph's arrays are rows, those of a candidate are not."""

    def cases(self, seed: int) -> Iterator[Case]:
        made = quantizer_inputs.generate(self.rule, FLOAT32, seed)
        for name, arrays in zip(made.names, made.arrays, strict=True):
            x = arrays["x"]
            if x.size > 1:
                yield Case(name, arrays, self.rule.given(x, self.rule.layout(x.shape)))

    def legal(self, case: Case, random: np.random.Generator, style: Style) -> Results:
        """The parts, and what follows from them as they are stored."""
        rule, layout = self.rule, self.rule.layout(case.arrays["x"].shape)

        def kept(name: str, values: np.ndarray) -> np.ndarray:
            if name == "y":
                return values
            shape = graph_programs.level_shape(rule.gives().get(name, "element"), (layout.rows, layout.width))
            stored = rule.stored(name, np.broadcast_to(values, shape).astype(np.float32), layout)
            return np.asarray(rule.values(name, stored, layout), np.float64)

        return graph_programs.legal(rule, case.given, random, style, kept)

    def judged(self, case: Case, results: Results, policy: Policy, random: np.random.Generator) -> Answers:
        rule, layout = self.rule, self.rule.layout(case.arrays["x"].shape)
        parts = {n: rule.stored(n, results[n], layout) for n in rule.parts}
        y = layout.joined(np.broadcast_to(results["y"], (layout.rows, layout.width)))
        return list(judge_parts(rule, case.arrays, {**parts, "y": y}, policy).values())


class OfTransform(Subject):
    """The results of a body that is run as it stands, on arrays as short as the rule says, and on longer ones."""

    #: axes that are made longer on every second seed, where that gives more results, and not only longer sums
    longer: Mapping[str, int] = {"d": 200, "w": 100, "width": 100}
    #: rules whose matrices are decomposed, and one of many choices, whose ways are judged one by one
    otherwise: Mapping[str, Mapping[str, int]] = {
        "TrActLinear": {"o": 200},
        "TrActConvolution": {"o": 60},
        "MoNNA": {},
    }
    runs: Mapping[str, int] = {"MoNNA": 1_000}

    def __init__(self, rule: Any) -> None:
        super().__init__(rule)
        self.few = len(transform_inputs.families(rule))
        self.most_runs = self.runs.get(type(rule).__name__, 20_000)

    def cases(self, seed: int) -> Iterator[Case]:
        longer = self.otherwise.get(type(self.rule).__name__, self.longer) if seed % 2 else {}
        made = transform_inputs.generate(self.rule, self.few, FLOAT32, seed, longer)
        for name, arrays in zip(made.names, made.arrays, strict=True):
            yield Case(name, arrays, arrays)

    def legal(self, case: Case, random: np.random.Generator, style: Style) -> Results:
        return self._results(bodies.Run(Rounding(style, random), random=random), case)

    def mutated(self, case: Case, mutation: Any) -> Results:
        plainly = Rounding(PLAINLY, np.random.Generator(np.random.Philox(0)))
        return self._results(bodies.Run(plainly, mutation), case)

    def _results(self, run: bodies.Run, case: Case) -> Results:
        return {n: a.astype(np.float32) for n, a in run.results(self.rule, case.arrays).items()}

    def mutants(self, cases: list[Case], most: int) -> list[Any]:
        return bodies.alterations(self.rule, [case.arrays for case in cases])[:most]

    def judged(self, case: Case, results: Results, policy: Policy, random: np.random.Generator) -> Answers:
        found = judge_case(self.rule, case.arrays, results, policy)
        if found is None:  # choices that rounding decides go too many ways
            found = {n: _undecided(a) for n, a in results.items()}
        return [(found[n], a) for n, a in results.items()]


def _undecided(values: np.ndarray) -> Judged:
    wide = values.astype(np.float64)
    return Judged(np.full(values.shape, UNDECIDED), wide, wide, wide)


SUBJECTS: Mapping[str, type[Subject]] = {
    "estimator": OfEstimator,
    "mask": OfMask,
    "quantizer": OfQuantizer,
    "transform": OfTransform,
}


def measurable() -> dict[str, Rule]:
    """The rules without state whose programs can be made of what they are made of, by name."""
    found: dict[str, Rule] = {}
    for name, cls in rules().items():
        if cls.kind in SUBJECTS and not (cls.kind == "quantizer" and not has_graph(cls())):  # type: ignore[arg-type]
            found[name] = cls()
    return found


def subject(rule: Rule) -> Subject:
    """A rule as the measurement sees it."""
    return SUBJECTS[rule.kind](rule)
