"""Laws of rules without state, run on a candidate: inputs are drawn by Hypothesis, which also makes them smaller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.candidates.protocol import CandidateFault
from refgrad.estimators.base import Estimator
from refgrad.kinds.laws.case_law import Arrays, Call, CaseLaw
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.reproduce import hexes
from refgrad.rule import Rule
from refgrad.testing.case_strategies import drawable
from refgrad.testing.hypothesis_runner import smallest
from refgrad.testing.kinds import KINDS, within_rounding
from refgrad.testing.reports import BROKEN, EXEMPT, HOLDS, ROUNDING, LawReport


@dataclass(frozen=True)
class Trial:
    """Who is tried as which rule, and how hard."""

    rule: Rule
    candidate: Any
    options: Mapping[str, Any]
    policy: Policy
    examples: int
    dtype: np.dtype
    seed: int


def report(trial: Trial, law: CaseLaw) -> LawReport:
    """What came of one law."""
    reason = trial.rule.exempt().get(law.name) or ("" if law.applies(trial.rule) else "the rule is not of that kind")
    if isinstance(trial.rule, Estimator) and not drawable(trial.rule):
        reason = "it takes arrays that are not drawn"
    if trial.rule.exempt_laws is None and not law.universal:
        reason = "nothing is said of it"
    if reason:
        return LawReport(law.name, law.sentence, EXEMPT, reason)
    rounded: list[bool] = []
    broken = _smallest(trial, law, rounded)
    if broken is None:
        return LawReport(law.name, law.sentence, ROUNDING if any(rounded) else HOLDS)
    arrays, message = broken
    return LawReport(law.name, law.sentence, BROKEN, message, {n: hexes(a) for n, a in arrays.items()})


def _smallest(trial: Trial, law: CaseLaw, rounded: list[bool]) -> tuple[Arrays, str] | None:
    """The smallest arrays found on which a law is broken, with what differs; None if there are none."""
    kind = KINDS[trial.rule.kind]
    call = kind.call(trial.candidate, trial.options, trial.rule)
    drawn = kind.draw(trial.rule, trial.dtype, law.moderate)
    broken = lambda arrays: _broken(trial, law, call, arrays, rounded)  # noqa: E731
    return smallest(drawn, broken, _length, examples=trial.examples, seed=trial.seed)


def _length(arrays: Arrays) -> tuple[int, int]:
    """How much there is to read: elements, and digits."""
    values = [float(v).hex() for a in arrays.values() for v in np.asarray(a, np.float64).ravel()]
    return len(values), sum(map(len, values))


def _broken(trial: Trial, law: CaseLaw, call: Call, arrays: Arrays, rounded: list[bool]) -> str:
    """What is broken by more than rounding; empty if nothing is."""
    try:
        with np.errstate(all="ignore"):
            for claim in law.claims(call, trial.rule, arrays):
                message = claim.broken()
                if message and not within_rounding(trial.rule, claim, trial.policy):
                    return message
                rounded.append(bool(message))
    except CandidateFault as fault:
        return f"{fault.kind}: {fault}"
    return ""
