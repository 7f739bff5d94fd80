"""Programs of an estimator: its value and its gradients."""

from __future__ import annotations

from collections.abc import Iterator

from refgrad.kinds.estimator import judge_results
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.inputs.estimators import generate
from refgrad.strength.programs.base import FLOAT32, Case, CasePrograms, Judgement, Results


class EstimatorPrograms(CasePrograms):
    """The value and the gradients of an estimator, from its graph."""

    def cases(self, seed: int) -> Iterator[Case]:
        made = generate(self.rule, 3, FLOAT32, seed)
        for name, arrays in zip(made.names, made.arrays, strict=True):
            yield Case(name, arrays, arrays)

    def judgement(self, case: Case, results: Results, policy: Policy) -> Judgement:
        return judge_results(self.rule, case.arrays, results, policy)
