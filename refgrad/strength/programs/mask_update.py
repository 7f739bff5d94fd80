"""Programs of a mask update: the next mask and the weights under it, which are bits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from refgrad.kinds.mask_update import handed
from refgrad.kinds.record import Results
from refgrad.strength.mask_faults import UPDATES, MaskFault, OtherBehaviour, differing
from refgrad.strength.programs.base import Case, CasePrograms, Mutants
from refgrad.strength.rounding_styles import Style


class MaskUpdatePrograms(CasePrograms):
    """The next mask and the weights under it; legal programs differ in the order of equal entries alone."""

    def cases(self, seed: int) -> Iterator[Case]:
        for case in super().cases(seed):  # a family at several steps
            yield replace(case, family=case.family.partition(",")[0])

    def legal(self, case: Case, random: np.random.Generator, style: Style) -> Results:
        return self._results(self.rule, case, random.random(case.arrays["w"].shape) < 0.5)

    def mutated(self, case: Case, mutation: Any) -> Results:
        results = self._results(mutation.rule if isinstance(mutation, OtherBehaviour) else self.rule, case, None)
        return mutation(results, case.arrays) if isinstance(mutation, MaskFault) else results

    def _results(self, rule: Any, case: Case, preferred: np.ndarray | None) -> Results:
        given, t = handed(rule, case.arrays)
        mask = rule.after(given, t, preferred)
        return {"mask": mask, "w": rule.weights(given, mask, t)}

    def mutants(self, cases: Sequence[Case], most: float = math.inf) -> Mutants:
        """Faults of a mask and of its weights, and the rule with each other named behaviour."""
        variants = [(n, r) for n, r in self.rule.variants() if not n.startswith(("scalars", "ties"))]
        others = [OtherBehaviour(name, rule) for name, rule in variants]
        return Mutants(differing(self.mutated, [*UPDATES, *others], cases))
