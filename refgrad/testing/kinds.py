"""What laws ask of a kind of rule without state: how a candidate is called, how results are judged, how inputs are drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.candidates import estimator as estimators
from refgrad.candidates import masks
from refgrad.candidates import quantizer as quantizers
from refgrad.candidates.faults import copies
from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import ArgumentError
from refgrad.estimators.base import Estimator
from refgrad.kinds.estimator import judge_results
from refgrad.kinds.laws import estimator, mask, quantizer
from refgrad.kinds.laws.case_law import Arrays, Call, CaseLaw, Claim
from refgrad.kinds.mask import judge_leaf
from refgrad.kinds.quantizer import answer, judge_parts
from refgrad.oracle.acceptance.judge import outside
from refgrad.oracle.acceptance.policy import Policy
from refgrad.quantizers.base import Quantizer
from refgrad.rule import Rule
from refgrad.sparsity.base import Mask
from refgrad.testing import case_strategies as strategies

Results = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Kind:
    """A kind's laws, its candidates as functions, whether some results are acceptable, and inputs.

    What a law expects takes the place of what was seen, to be judged; not so (``whole``) where results hang together.
    """

    laws: tuple[CaseLaw, ...]
    call: Callable[[Any, Mapping[str, Any], Any], Call]
    acceptable: Callable[[Any, Arrays, Results, Policy], bool]
    draw: Callable[[Any, np.dtype, bool], Any]
    whole: bool = False


def _estimator(thing: Any, options: Mapping[str, Any], rule: Estimator) -> Call:
    run = estimators.resolve(thing, options).start(rule)

    def call(arrays: Arrays, **hyperparameters: Any) -> dict[str, np.ndarray]:
        results = run(copies(arrays))
        return {n: np.asarray(results[n]) for n in rule.results() if n in results}

    return call


def _estimates(rule: Estimator, arrays: Arrays, results: Results, policy: Policy) -> bool:
    judged = judge_results(rule, arrays, results, policy)
    return not outside(status for status, _ in judged.values())


def _quantizer(thing: Any, options: Mapping[str, Any], rule: Quantizer) -> Call:
    subject = quantizers.resolve(thing, options)

    def call(arrays: Arrays, **hyperparameters: Any) -> dict[str, np.ndarray]:
        return answer(subject, rule, arrays)

    return call


def _quantized(rule: Quantizer, arrays: Arrays, results: Results, policy: Policy) -> bool:
    judged = judge_parts(rule, arrays, dict(results), policy)
    return not outside(status for status, _ in judged.values())


def _mask(thing: Any, options: Mapping[str, Any], rule: Mask) -> Call:
    def call(arrays: Arrays, **hyperparameters: Any) -> dict[str, np.ndarray]:
        told = isinstance(thing, Mask) and hyperparameters
        subject = masks.resolve_mask(thing.replace(**hyperparameters) if told else thing, options)
        given = copies(arrays)
        seen = subject.prune(rule.replace(**hyperparameters) if hyperparameters else rule, given)
        return {"mask": np.asarray(seen.mask).astype(bool)}

    return call


def _masked(rule: Mask, arrays: Arrays, results: Results, policy: Policy) -> bool:
    judged = judge_leaf(rule, arrays, masks.MaskSeen(np.asarray(results["mask"], bool)), policy)
    return not outside([judged.tensors["mask"]])


KINDS: Mapping[str, Kind] = {
    "estimator": Kind(estimator.LAWS, _estimator, _estimates, strategies.estimates),
    "quantizer": Kind(quantizer.LAWS, _quantizer, _quantized, strategies.quantized, whole=True),
    "mask": Kind(mask.LAWS, _mask, _masked, strategies.masked),
}


def within_rounding(rule: Rule, claim: Claim, policy: Policy) -> bool:
    """Whether a claim that is broken to the bit holds for what a conforming candidate may do."""
    kind = KINDS[rule.kind]
    results = dict(claim.got) if kind.whole else {**claim.got, **claim.want}
    try:
        return bool(results) and kind.acceptable(rule, claim.arrays, results, policy)
    except (ArgumentError, CandidateFault):
        return False
