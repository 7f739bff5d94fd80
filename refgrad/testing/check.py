"""`check_laws`: does an implementation obey the laws of the rule that it says it is?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from refgrad.errors import ArgumentError, nearest
from refgrad.float_environment import guarded
from refgrad.kinds.table import kind_of, rule_of
from refgrad.oracle.acceptance.policy import Policy
from refgrad.rule import Rule
from refgrad.testing import check_cases, check_runs
from refgrad.testing.reports import LawReport
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
    trial = Trial.of(candidate, rule, options, policy, examples, dtype, seed)
    report = check_runs.report if kind_of(rule).stepped else check_cases.report
    return tuple(report(trial, law) for name, law in every.items() if laws is None or name in laws)


def known_laws(rule: Rule) -> Mapping[str, Any]:
    """The laws of a rule's kind, and of the rule, by name."""
    return {law.name: law for law in kind_of(rule).laws(rule)}
