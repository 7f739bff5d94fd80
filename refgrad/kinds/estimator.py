"""Judging an estimator: its value and its vector-Jacobian products, where its decisions fall and between."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from refgrad.candidates.estimator import check_outputs, resolve
from refgrad.candidates.faults import copies
from refgrad.errors import ArgumentError
from refgrad.estimators.base import Estimator
from refgrad.estimators.choosing import Choosing
from refgrad.oracle.acceptance.judge import Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.stateless import judge_case
from refgrad.oracle.chosen import judge_choices
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.run import Answer, Arrays, Claim, Record
from refgrad.oracle.engine.time_limit import Call
from refgrad.oracle.engine.verdict import Finding, Verdict
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.estimators import generate
from refgrad.oracle.shrink_case import shrink
from refgrad.tracing import free_names, free_values


def judge(request: Request) -> Verdict:
    """The verdict on a candidate that claims to be an estimator."""
    rule = request.rule
    assert isinstance(rule, Estimator)
    given = request.own(Cases)
    if given is not None:
        for arrays in given.arrays:
            if "cotangent" not in arrays or "x" not in arrays:
                raise ArgumentError(f"{type(rule).__name__} needs 'cotangent' and 'x'; legal: arrays of one shape")
        given = Cases([rule.prepared(arrays) for arrays in given.arrays], given.names, given.seed)
    claim = _Claim(resolve(request.candidate, request.options), rule, request)
    return claim.verdict(given or generate(rule, request.steps, request.dtype, request.seed))


class _Claim(Claim):
    def start(self, call: Call) -> Callable[[Arrays], Mapping[str, np.ndarray]]:
        run = call(lambda: self.subject.start(self.rule), f"building {self.subject.name}")

        def ask(arrays: Arrays) -> Mapping[str, np.ndarray]:
            handed = copies({n: a for n, a in arrays.items() if n not in self.rule.chosen})
            results = call(lambda: run(handed), self.subject.name)
            wanted = {n: a for n, a in results.items() if n in self.rule.results()}
            return check_outputs(wanted, self.rule, arrays, self.subject.name)

        return ask

    def notes(self, record: Record) -> list[str]:
        missing = [n for n in self.rule.results() if record.seen and n not in record.seen[0]]
        return [f"{self.subject.name} gives no {', '.join(missing)}, which is not judged"] if missing else []

    def judge_one(self, rule: Estimator, arrays: Arrays, seen: Mapping[str, np.ndarray], policy: Policy) -> Answer:
        return judge_results(rule, arrays, seen, policy)

    def comparable(self, rule: Estimator, record: Record) -> bool:
        return rule.takes() == self.rule.takes() and rule.gives() == self.rule.gives()

    def unit_of(self, name: str, x: np.ndarray, values: np.ndarray) -> np.dtype:
        return np.dtype(bool) if name in self.rule.chosen else values.dtype

    def smallest(self, record: Record, first: Finding) -> Cases:
        return shrink(record.cases, first, self.rule, self.fails)


def judge_results(
    rule: Estimator, arrays: Arrays, seen: Mapping[str, np.ndarray], policy: Policy, change: Change = NONE
) -> Answer:
    """What a candidate answered to one case: each result with its status, and the values that were judged.

    ``change`` rewrites the rule's graph first.
    """
    x, chosen = arrays["x"], dict[str, tuple[Judged, np.ndarray]]()
    if isinstance(rule, Choosing) and "y" in seen and x.size:
        arrays, chosen = judge_choices(rule, arrays, seen, policy)
    free = dict(zip(free_names(rule, x.ndim), free_values(x.shape, {}), strict=True))
    plan = change.rewritten(rule.plan(x.shape))
    judged = judge_case(plan, free, arrays, seen, policy, frozenset({"x_grad"}))
    return {**chosen, **{n: (judged[n], seen[n]) for n in rule.results() if n in judged}}
