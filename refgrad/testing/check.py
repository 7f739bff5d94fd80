"""`check_laws`: does an implementation obey the laws of the rule that it says it is?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import ArgumentError, CandidateError, nearest
from refgrad.float_environment import guarded
from refgrad.isolation import hosting
from refgrad.kinds.table import kind_of, rule_of
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.time_limit import TIME_LIMIT, check_time_limit
from refgrad.rule import Rule
from refgrad.testing import check_cases, check_runs
from refgrad.testing.reports import BROKEN, LawReport
from refgrad.testing.trial import Trial


@guarded
def check_laws(
    candidate: Any,
    rule: Any,
    *,
    laws: Sequence[str] | None = None,
    examples: int = 50,
    dtype: Any = "float32",
    seed: int = 0,
    policy: Policy | Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    time_limit: float = TIME_LIMIT,
    isolate: bool | str = False,
) -> tuple[LawReport, ...]:
    """Run a candidate on inputs and on inputs derived from them, law by law; a broken law's inputs are shrunk.

    Args:
        candidate: whatever `refgrad.verify` takes.
        rule: the rule that it claims to be; it tells which laws apply.
        laws: names of laws; all that apply by default.
        examples: inputs tried for each law.
        dtype: of the parameters.
        seed: of the inputs.
        policy: what counts as rounding where two runs differ in bits.
        options: extra keyword arguments for the candidate's constructor.
        time_limit: seconds that one step may take of a candidate in a process of its own; here there is no limit.
        isolate: make and run the candidate in a process of its own, as for `refgrad.verify`, or where it cannot be
            asked for there, here.

    Returns:
        A report a law.

    Raises:
        ArgumentError: an unknown law, or no rule.
        ImportError: Hypothesis is not installed.
    """
    rule = rule_of(rule)
    every = known_laws(rule)
    for name in laws or ():
        if name not in every:
            raise ArgumentError(f"laws has {name!r}{nearest(name, every)}; legal: {', '.join(every)}")
    report = check_runs.report if kind_of(rule).stepped else check_cases.report

    def judged(thing: Any, resolve: Any) -> tuple[LawReport, ...]:
        trial = Trial.of(thing, rule, options, policy, examples, dtype, seed, resolve)
        asked = [law for name, law in every.items() if laws is None or name in laws]
        if resolve is None:
            return tuple(report(trial, law) for law in asked)
        _ = trial.claim  # what cannot be made at all breaks no law
        return tuple(_apart(report, trial, law) for law in asked)

    return hosting.judged(candidate, isolate, check_time_limit(time_limit), judged)[0]


def _apart(report: Any, trial: Trial, law: Any) -> LawReport:
    """What came of one law for a candidate in a process of its own, which may be lost at any time."""
    try:
        found: LawReport = report(trial, law)
        return found
    except (CandidateError, CandidateFault) as error:
        return LawReport(law.name, law.sentence, BROKEN, str(error))


def known_laws(rule: Rule) -> Mapping[str, Any]:
    """The laws that `check_laws` tries on implementations of a rule.

    Args:
        rule: the rule, an instance.

    Returns:
        Name -> law: those of the rule's kind, and the rule's own.

    >>> from refgrad.optimizers import SGD
    >>> "permutation" in known_laws(SGD())
    True
    """
    return {law.name: law for law in kind_of(rule).laws(rule)}
