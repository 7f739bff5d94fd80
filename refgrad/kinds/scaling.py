"""Scalings: numbers that are made of a batch size, judged to within the roundings of float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from refgrad.candidates.protocol import CandidateFault
from refgrad.candidates.scaling import resolve
from refgrad.errors import bad_argument
from refgrad.kinds.record import Call, Record, Results
from refgrad.kinds.stateless import Answer, Stateless
from refgrad.optimizers.batch_scaling import Scaling
from refgrad.oracle.acceptance.findings import Output
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.inputs.cases import Arrays, Cases
from refgrad.oracle.inputs.scalings import generate
from refgrad.tracing import Plans, plan_for


class ScalingKind(Stateless):
    """See `refgrad.kinds.kind`; a case is ``batch``, and perhaps ``epochs``, whole numbers as arrays without axes."""

    name = "scaling"
    counted = False
    legal_inputs = "refgrad.Cases with batch"

    def find(self, candidate: Any, options: Mapping[str, Any]) -> Any:
        """The candidate that a thing is."""
        return resolve(candidate, options)

    def generate(self, rule: Scaling, steps: int, dtype: np.dtype, seed: int, subject: Any = None) -> Cases:
        """A case a batch size."""
        return generate(rule, seed)

    def checked(self, rule: Scaling, cases: Cases) -> Cases:
        """Cases of one batch size each, from 1."""
        for arrays in cases.arrays:
            batch = arrays.get("batch")
            if batch is None or batch.size != 1 or not float(batch.reshape(-1)[0]) >= 1:
                raise bad_argument("inputs", {n: a.tolist() for n, a in arrays.items()}, "batch, one number from 1")
        return cases

    def expected(self, rule: Scaling) -> tuple[str, ...]:
        """Everything that the rule scales."""
        return tuple(rule.scaled(1))

    def start(self, subject: Any, rule: Scaling, call: Call) -> Callable[[Arrays], Any]:
        """The candidate with numbers in place of arrays."""
        return lambda arrays: call(lambda: subject.call(rule, *_numbers(arrays)), subject.name)

    def results(self, rule: Scaling, arrays: Arrays, returned: Any, name: str) -> Results:
        """Numbers by name; one number is the rate."""
        found = dict(returned) if isinstance(returned, Mapping) else {"rate": returned}
        wanted = rule.scaled(*_numbers(arrays))
        kept = {}
        for result in (n for n in wanted if n in found):
            value = np.asarray(found[result])
            if value.size != 1 or value.dtype.kind not in "fiu":
                raise CandidateFault("structure", f"{name}'s {result} is {found[result]!r}; legal: one number")
            kept[result] = value.reshape(()).astype(np.float64)
        if not kept:
            raise CandidateFault("structure", f"{name} returned {returned!r}; legal: {', '.join(wanted)}")
        return kept

    def judge(self, rule: Scaling, arrays: Arrays, seen: Results, policy: Policy, plans: Plans = plan_for) -> Answer:
        """Each number; whole ones exactly, others to within the roundings of as many operations as the rule has."""
        wanted = rule.scaled(*_numbers(arrays))
        return {n: (_judged(float(value), wanted[n], n, rule, policy), value) for n, value in seen.items()}

    def comparable(self, rule: Scaling, other: Scaling, record: Record) -> bool:
        """Another that makes all the numbers that were seen."""
        seen: Results = next((each for each in record.seen if each is not None), {})
        return set(seen) <= set(other.scaled(1))

    def smaller(self, rule: Scaling, cases: Cases, index: tuple[int, ...]) -> Iterator[Cases]:
        """Smaller batch sizes."""
        batch, epochs = _numbers(cases.arrays[0])
        for size in (1, 2, 3, batch // 2):
            if 1 <= size < batch:
                yield Cases([{"batch": np.array([float(size)]), "epochs": np.array([float(epochs)])}], [""])

    def shrunk_from(self, cases: Cases, first: Output) -> list[Cases]:
        """The case with an axis, as a person writes its numbers."""
        return [cases.only(first.leaf).mapped(np.atleast_1d)]

    def literal(self, rule: Scaling, arrays: Arrays, plans: Plans = plan_for) -> list[np.ndarray]:
        """The numbers."""
        return [np.array(v) for v in rule.scaled(*_numbers(arrays)).values()]

    def laws(self, rule: Scaling) -> tuple[Any, ...]:
        """Those of scalings."""
        from refgrad.kinds.laws.scaling import LAWS

        return LAWS


def _numbers(arrays: Arrays) -> tuple[int, int]:
    epochs = arrays.get("epochs", np.ones(1))
    return int(arrays["batch"].reshape(-1)[0]), int(epochs.reshape(-1)[0])


def _judged(value: float, truth: float, name: str, rule: Scaling, policy: Policy) -> Judged:
    """A number against the rule's own, which is off by as many roundings itself; no operation cancels."""
    error = 0.0 if name == "epochs" else (policy.roundings + 1) * rule.operations * 2.0**-53 * abs(truth)
    status = INSIDE if value == truth or abs(value - truth) <= error else OUTSIDE
    return Judged(*(np.asarray(x) for x in (status, truth, truth - error, truth + error)))


KIND = ScalingKind()
