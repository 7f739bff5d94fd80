"""A rule with something around it that keeps nothing: a gradient that is clipped, centred or normalized before the step.

A screen that looks at few elements cannot judge what takes the norm of all, so that these are judged on the run itself: on
the first step of the first leaf each, and what is right there on all of it.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

from refgrad.candidates.protocol import Observation
from refgrad.errors import ArgumentError
from refgrad.kinds.record import Record
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.stored import Stored
from refgrad.optimizers.wrapper import Wrapper
from refgrad.oracle.acceptance.findings import Counts
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.hypotheses.changes import Change, named
from refgrad.oracle.hypotheses.screens import explained
from refgrad.rule import rules, short_name

#: bounds that are usual besides those that a wrapper has of itself
BOUNDS = (0.1, 0.25, 0.5, 2.0, 5.0, 10.0)


def wrapped(claim: Claim, record: Record) -> Iterator[tuple[Change, Counts]]:
    """The wrappers of a claim under which nothing of a run is wrong, each with the statuses of its elements.

    Args:
        claim: who claims to be what; only optimizers have wrappers.
        record: the whole run.
    """
    if not isinstance(claim.rule, Optimizer) or record.unknown or len(record.seen) < 2:
        return
    first = _first(record)
    if any(each is None for each in first.seen):
        return
    for wrapper in wrappers(claim.rule):
        text = str(wrapper).removesuffix("()")
        change = Change(text, f"it is {text}, not {short_name(type(claim.rule))}", "rule", of=wrapper)
        counts: Counts | None = None
        # one that takes the norm of all parameters is judged on all as one
        for run in (first, record) if wrapper.scope == "leaf" else (claim.kind.whole(wrapper, record),):
            counts = explained(claim, run, change)
            if not counts:
                break
        if counts:
            yield change, counts


def wrappers(rule: Optimizer) -> Iterator[Optimizer]:
    """Every rule around a rule that keeps and takes what this does: with its own numbers, with usual bounds, in each form."""
    for cls in rules().values():
        # how a rule is stored is a matter of roundings, and no other gradient
        if not issubclass(cls, Wrapper) or issubclass(cls, Stored) or isinstance(rule, cls):
            continue
        try:
            plain = cls(inner=rule, scalars=rule.scalars)
        except ArgumentError:
            continue
        bounds = [n for n in ("max_norm", "bound") if n in plain.legal()]
        sized = [plain, *(plain.replace(**{n: value}) for n in bounds for value in BOUNDS)]
        own = [c.rule for c in named(plain) if set(c.rule) <= cls.__annotations__.keys() - {"inner"}]
        for each, fields in itertools.product(sized, ({}, *own)):
            try:
                found = each.replace(**fields)
            except ArgumentError:  # a behaviour that goes with another one alone
                continue
            if list(found.slots()) == list(rule.slots()) and list(found.inputs()) == list(rule.inputs()):
                yield found


def _first(record: Record) -> Record:
    """The first step of the first leaf."""
    seen = [None if each is None else Observation(each.params[:1], each.state[:1]) for each in record.seen[:2]]
    cases = record.cases.only(0).at_steps(slice(0, 1))
    return dataclasses.replace(record, cases=cases, rules=record.rules[:1], seen=seen)
