"""Rules without state as the measurement sees them: the arrays that each kind is tried on, its programs, and its judge."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.candidates.masks import MaskSeen
from refgrad.candidates.protocol import CandidateFault
from refgrad.estimators.base import level_shape
from refgrad.kinds import mask_update
from refgrad.kinds.estimator import judge_results
from refgrad.kinds.mask import judge_leaf
from refgrad.kinds.quantizer import judge_parts
from refgrad.kinds.transform import judge_case
from refgrad.oracle.acceptance.judge import UNDECIDED, Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.inputs import estimators, masks, quantizers, transforms
from tests.oracle import graph_programs
from tests.oracle.attack import Rounding, Style
from tests.oracle.strength import bodies, spoiled
from tests.oracle.strength.spoiled import Spoiled, Variant

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
        made = estimators.generate(self.rule, 3, FLOAT32, seed)
        for name, arrays in zip(made.names, made.arrays, strict=True):
            yield Case(name, arrays, arrays)

    def judged(self, case: Case, results: Results, policy: Policy, random: np.random.Generator) -> Answers:
        return list(judge_results(self.rule, case.arrays, results, policy).values())


class OfMask(Subject):
    """The scores with the mask that follows, and that mask alone; equal scores in any order that the rule allows."""

    #: of infinities and NaN rewritten programs make other NaN
    left_out = ("NaN and infinities",)

    def cases(self, seed: int) -> Iterator[Case]:
        made = masks.generate(self.rule, FLOAT32, seed)
        for name, leaf in zip(made.names, made.leaves, strict=True):
            if name not in self.left_out:
                yield Case(name, leaf, self.rule.prepare(leaf["w"], {n: a for n, a in leaf.items() if n != "w"}))

    def legal(self, case: Case, random: np.random.Generator, style: Style) -> Results:
        """Scores, and a mask of them."""
        scores = super().legal(case, random, style)["scores"]
        free = self.rule.ties in ("low", "high")
        return {"scores": scores, "mask": self._mask(case, scores, random.random(scores.shape) < 0.5 if free else None)}

    def mutated(self, case: Case, mutation: Any) -> Results:
        changed = isinstance(mutation, Spoiled)
        scores = super().mutated(case, None if changed else mutation)["scores"]
        results = {"scores": scores, "mask": self._mask(case, scores, None)}
        return mutation(results, case.arrays) if changed else results

    def _mask(self, case: Case, scores: np.ndarray, prefer: np.ndarray | None) -> np.ndarray:
        return np.asarray(self.rule.spread(self.rule.select(scores, prefer), case.arrays["w"].shape))

    def mutants(self, cases: list[Case], most: int) -> list[Any]:
        """Those of the scores, and whatever may be wrong with a mask."""
        return [*super().mutants(cases, most), *spoiled.differing(self, spoiled.MASKS, cases)]

    def judged(self, case: Case, results: Results, policy: Policy, random: np.random.Generator) -> Answers:
        scores, mask = results["scores"], results["mask"]
        shown = judge_leaf(self.rule, case.arrays, MaskSeen(mask, scores), policy).tensors
        hidden = judge_leaf(self.rule, case.arrays, MaskSeen(mask, None), policy).tensors
        return [(shown["scores"], scores), (shown["mask"], mask), (hidden["mask"], mask)]


class OfUpdate(Subject):
    """The next mask and the weights under it, which are bits: programs differ in the order of equal entries alone."""

    def cases(self, seed: int) -> Iterator[Case]:
        made = mask_update.generate(self.rule, FLOAT32, seed)
        for name, arrays in zip(made.names, made.arrays, strict=True):
            yield Case(name.partition(",")[0], arrays, arrays)

    def legal(self, case: Case, random: np.random.Generator, style: Style) -> Results:
        """Equal entries in random order."""
        return self._results(self.rule, case, random.random(case.arrays["w"].shape) < 0.5)

    def mutated(self, case: Case, mutation: Any) -> Results:
        results = self._results(mutation.rule if isinstance(mutation, Variant) else self.rule, case, None)
        return mutation(results, case.arrays) if isinstance(mutation, Spoiled) else results

    def _results(self, rule: Any, case: Case, prefer: np.ndarray | None) -> Results:
        given, t = mask_update.handed(rule, case.arrays)
        mask = rule.after(given, t, prefer)
        return {"mask": mask, "w": rule.weights(given, mask, t)}

    def mutants(self, cases: list[Case], most: int) -> list[Any]:
        """Whatever may be wrong with a mask or its weights, and other named behaviours."""
        variants = [Variant(n, r) for n, r in self.rule.variants() if not n.startswith(("scalars", "ties"))]
        return spoiled.differing(self, [*spoiled.UPDATES, *variants], list(self.cases(0)))

    def judged(self, case: Case, results: Results, policy: Policy, random: np.random.Generator) -> Answers:
        return list(mask_update.judge_move(self.rule, case.arrays, results).values())


class OfQuantizer(Subject):
    """The parts and what they stand for; the graph's arrays are rows, those of a candidate are not."""

    def cases(self, seed: int) -> Iterator[Case]:
        made = quantizers.generate(self.rule, FLOAT32, seed)
        for name, arrays in zip(made.names, made.arrays, strict=True):
            x = arrays["x"]
            if x.size > 1:
                yield Case(name, arrays, self.rule.given(x, self.rule.layout(x.shape)))

    def legal(self, case: Case, random: np.random.Generator, style: Style) -> Results:
        """The parts, and what follows from them as they are stored."""
        kept = parts_kept(self.rule, self.rule.layout(case.arrays["x"].shape))
        return graph_programs.legal(self.rule, case.given, random, style, kept)

    def judged(self, case: Case, results: Results, policy: Policy, random: np.random.Generator) -> Answers:
        rule, layout = self.rule, self.rule.layout(case.arrays["x"].shape)
        try:
            parts = {n: rule.stored(n, results[n], layout) for n in rule.parts}
        except IndexError as error:  # numbers of which the table has none
            raise CandidateFault("structure", str(error)) from None
        y = layout.joined(np.broadcast_to(results["y"], (layout.rows, layout.width)))
        return list(judge_parts(rule, case.arrays, {**parts, "y": y}, policy).values())


def parts_kept(rule: Any, layout: Any) -> Callable[[str, np.ndarray], np.ndarray]:
    """What is left of a part's values where they are stored, and read again for what follows."""

    def kept(name: str, values: np.ndarray) -> np.ndarray:
        if name == "y":
            return values
        shape = level_shape(rule.gives().get(name, "element"), (layout.rows, layout.width))
        stored = rule.stored(name, np.broadcast_to(values, shape).astype(np.float32), layout)
        return np.asarray(rule.values(name, stored, layout), np.float64)

    return kept


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
        self.few = len(transforms.families(rule))
        self.most_runs = self.runs.get(type(rule).__name__, 20_000)

    def cases(self, seed: int) -> Iterator[Case]:
        longer = self.otherwise.get(type(self.rule).__name__, self.longer) if seed % 2 else {}
        made = transforms.generate(self.rule, self.few, FLOAT32, seed, longer)
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
