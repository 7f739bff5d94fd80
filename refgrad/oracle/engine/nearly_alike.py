"""Named behaviours that differ from the claim by less than roundings may: which of the two is nearer to what was seen.

1e-6 beside a norm of 1 is eight units in the last place of float32, and a program may take as many roundings: no bound tells
the two apart, so that both conform. Few programs take as many: where each operation is granted one rounding, one of the two
is left, which is no proof, and is told.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from refgrad.errors import RefgradError
from refgrad.kinds.record import Record, Situation
from refgrad.oracle.acceptance.policy import Policy
from refgrad.rule import Rule

#: a number that is no more than this may be lost beside a norm
SMALL = 1e-4


def variants(rule: Rule) -> list[tuple[str, Rule]]:
    """Those named behaviours of a rule that have a small number which the rule has not, or have it not.

    Args:
        rule: the rule.

    Returns:
        What each is called, and the rule with it.

    >>> from refgrad.optimizers import ClipByNorm
    >>> [name for name, _ in variants(ClipByNorm())]
    ['division=padded']
    """
    found = []
    for name, variant in rule.variants():
        numbers, apart = {**rule.numbers(), **variant.numbers()}, rule.reads() ^ variant.reads()
        if any(0.0 < numbers.get(each, 0.0) <= SMALL for each in apart):
            found.append((name, variant))
    return found


def told(claim: Any, situation: Situation, record: Record) -> Iterator[str]:
    """A sentence for each variant that what was seen in a situation fits, each operation taken with one rounding.

    Args:
        claim: the claim as it is made there, which what was seen fits.
        situation: says whether variants are to be told apart there.
        record: what was seen.
    """
    known = variants(situation.rule) if situation.near else []
    if not known:
        return
    narrow = dataclasses.replace(claim.request.policy, roundings=1, scalar_roundings=1)
    for name, variant in known:
        try:
            if not _fits(claim, record, variant, narrow):
                continue
        except RefgradError:  # it is not defined there
            continue
        numbers = ", ".join(
            f"{n}={v:g}" for n, v in variant.numbers().items() if n in variant.reads() - situation.rule.reads()
        )
        also = f"{name}{f' ({numbers})' if numbers else ''}"
        if _fits(claim, record, None, narrow):
            yield f"{also}: fits as well, and no input tells it apart from the claim"
        else:
            yield f"{also}: fits better, within what roundings of the claim may make"


def _fits(claim: Any, record: Record, rule: Rule | None, policy: Policy) -> bool:
    rules = None if rule is None else [rule] * len(record.rules)
    tally = claim.judge(record, rules, dataclasses.replace(claim.wanted, policy=policy))
    return not (tally.outside or tally.faults) and bool(tally.decided)
