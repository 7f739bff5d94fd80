"""Programs of a mask: the scores from its graph, and the mask that follows; equal scores in any order that is allowed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from refgrad.kinds.record import Results
from refgrad.kinds.stateless import Answer
from refgrad.oracle.acceptance.policy import Policy
from refgrad.strength import mask_faults
from refgrad.strength.programs.base import Case, CasePrograms, Mutants
from refgrad.strength.rounding_styles import Style

#: of infinities and NaN rewritten programs make other NaN
LEFT_OUT = ("NaN and infinities",)


class MaskPrograms(CasePrograms):
    """The scores with the mask that follows, judged together, and that mask judged alone."""

    def cases(self, seed: int) -> Iterator[Case]:
        return (case for case in super().cases(seed) if case.family not in LEFT_OUT)

    def legal(self, case: Case, random: np.random.Generator, style: Style) -> Results:
        scores = super().legal(case, random, style)["scores"]
        any_order = self.rule.ties in ("low", "high")
        preferred = random.random(scores.shape) < 0.5 if any_order else None
        return {"scores": scores, "mask": self._mask(case, scores, preferred)}

    def mutated(self, case: Case, mutation: Any) -> Results:
        fault = mutation if isinstance(mutation, mask_faults.MaskFault) else None
        scores = super().mutated(case, mutation if fault is None else None)["scores"]
        results = {"scores": scores, "mask": self._mask(case, scores, None)}
        return results if fault is None else fault(results, case.arrays)

    def _mask(self, case: Case, scores: np.ndarray, preferred: np.ndarray | None) -> np.ndarray:
        return np.asarray(self.rule.spread(self.rule.select(scores, preferred), case.arrays["w"].shape))

    def mutants(self, cases: Sequence[Case], most: float = math.inf) -> Mutants:
        of_scores = super().mutants(cases, most).tried
        return Mutants([*of_scores, *mask_faults.differing(self.mutated, mask_faults.MASKS, cases[: self.few])])

    def answer(self, case: Case, given: Results, policy: Policy) -> Answer:
        alone = self.kind.judge(self.rule, case.arrays, {"mask": given["mask"]}, policy)
        return {**self.kind.judge(self.rule, case.arrays, given, policy), "mask alone": alone["mask"]}
