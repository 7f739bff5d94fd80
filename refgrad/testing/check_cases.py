"""Laws of kinds without state, run on a candidate: inputs are drawn by Hypothesis, which also makes them smaller."""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import ArgumentError
from refgrad.kinds.laws.case_law import Arrays, Call, CaseLaw
from refgrad.kinds.laws.case_law import Claim as LawClaim
from refgrad.kinds.record import Record
from refgrad.oracle.engine.reproduce import hexes
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.inputs.cases import Cases
from refgrad.testing.case_strategies import strategy_of, undrawable
from refgrad.testing.hypothesis_runner import smallest
from refgrad.testing.reports import BROKEN, EXEMPT, HOLDS, ROUNDING, LawReport
from refgrad.testing.trial import Trial

#: why nothing is known of a law that was tried
UNREACHED = "the candidate shows nothing that it compares, on any of the inputs"


def report(trial: Trial, law: CaseLaw) -> LawReport:
    """What came of one law."""
    reason = trial.rule.exempt().get(law.name) or ("" if law.applies(trial.rule) else "the rule is not of that kind")
    reason = undrawable(trial.rule) or reason
    if trial.rule.exempt_laws is None and not law.universal:
        reason = "nothing is said of it"
    if reason:
        return LawReport(law.name, law.sentence, EXEMPT, reason)
    rounded: list[bool] = []
    broken = _smallest(trial, law, rounded)
    if broken is None and not rounded:
        return LawReport(law.name, law.sentence, EXEMPT, UNREACHED)
    if broken is None:
        return LawReport(law.name, law.sentence, ROUNDING if any(rounded) else HOLDS)
    arrays, message = broken
    return LawReport(law.name, law.sentence, BROKEN, message, {n: hexes(a) for n, a in arrays.items()})


def caller(trial: Trial) -> Call:
    """The candidate as a function of one case's arrays, asked under the guard of every verdict."""
    known: dict[tuple[Any, ...], Claim] = {(): trial.claim}

    def call(arrays: Arrays, **hyperparameters: Any) -> dict[str, np.ndarray]:
        key = tuple(sorted(hyperparameters.items()))
        if key not in known:
            known[key] = trial.told(hyperparameters)
        record = known[key].drive(Cases([{n: np.asarray(a) for n, a in arrays.items()}], [""]))
        if record.faults:
            raise CandidateFault(record.faults[0].kind, record.faults[0].message)
        return {n: np.asarray(a) for n, a in record.seen[0].items()}

    return call


def _smallest(trial: Trial, law: CaseLaw, rounded: list[bool]) -> tuple[Arrays, str] | None:
    """The smallest arrays found on which a law is broken, with what differs; None if there are none."""
    call = caller(trial)
    drawn = strategy_of(trial.rule, trial.dtype, law.moderate)
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
                if message and not _within_rounding(trial, claim):
                    return message
                if _compares(claim):
                    rounded.append(bool(message))
    except CandidateFault as fault:
        return f"{fault.kind}: {fault}"
    return ""


def _compares(claim: LawClaim) -> bool:
    """True if there is a number that a claim says something of."""
    said = [a for n, a in claim.got.items() if n in claim.want or not claim.want]
    return any(np.size(a) for a in said)


def _within_rounding(trial: Trial, claim: LawClaim) -> bool:
    """True if a claim that is broken to the bit holds for what a conforming candidate may do: what is, and what should be.

    What should be alone says nothing: it is the rule's own of a candidate that is far from it.
    """
    hang_together = trial.claim.kind.results_hang_together
    both = [dict(claim.got), *([{**claim.got, **claim.want}] if claim.want and not hang_together else [])]
    return all(results and _conforms(trial, claim.arrays, results) for results in both)


def _conforms(trial: Trial, given: Arrays, results: dict[str, np.ndarray]) -> bool:
    """True if results could be a conforming candidate's."""
    arrays = {n: np.asarray(a) for n, a in given.items()}  # a scaling is handed numbers
    record = Record(Cases([arrays], [""]), [trial.rule], [results])
    try:
        tally = trial.claim.judge(record)
    except ArgumentError:
        return False
    judged = any(count.total for count in tally.counts.values())  # of what was not looked at, nothing is known
    return judged and not tally.outside and not tally.faults
