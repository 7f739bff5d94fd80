"""Programs of a mask update: the next mask and the weights under it, which are bits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from refgrad.kinds import mask_update
from refgrad.oracle.acceptance.policy import Policy
from refgrad.strength.mask_faults import UPDATES, MaskFault, OtherBehaviour, differing
from refgrad.strength.programs.base import FLOAT32, Case, CasePrograms, Judgement, Mutants, Results
from refgrad.strength.rounding_styles import Style


class MaskUpdatePrograms(CasePrograms):
    """The next mask and the weights under it; legal programs differ in the order of equal entries alone."""

    def cases(self, seed: int) -> Iterator[Case]:
        made = mask_update.generate(self.rule, FLOAT32, seed)
        for name, arrays in zip(made.names, made.arrays, strict=True):
            yield Case(name.partition(",")[0], arrays, arrays)

    def legal(self, case: Case, random: np.random.Generator, style: Style) -> Results:
        return self._results(self.rule, case, random.random(case.arrays["w"].shape) < 0.5)

    def mutated(self, case: Case, mutation: Any) -> Results:
        results = self._results(mutation.rule if isinstance(mutation, OtherBehaviour) else self.rule, case, None)
        return mutation(results, case.arrays) if isinstance(mutation, MaskFault) else results

    def _results(self, rule: Any, case: Case, preferred: np.ndarray | None) -> Results:
        given, t = mask_update.handed(rule, case.arrays)
        mask = rule.after(given, t, preferred)
        return {"mask": mask, "w": rule.weights(given, mask, t)}

    def mutants(self, cases: Sequence[Case], most: float = math.inf) -> Mutants:
        """Faults of a mask and of its weights, and the rule with each other named behaviour."""
        variants = [(n, r) for n, r in self.rule.variants() if not n.startswith(("scalars", "ties"))]
        others = [OtherBehaviour(name, rule) for name, rule in variants]
        return Mutants(differing(self.mutated, [*UPDATES, *others], cases))

    def judgement(self, case: Case, results: Results, policy: Policy) -> Judgement:
        return mask_update.judge_move(self.rule, case.arrays, results)
