"""A user's rule, run before any candidate is asked: what is wrong with its body is said of it, and not of a candidate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from refgrad.errors import ArgumentError, RefgradError, TraceError
from refgrad.kinds.kind import Kind
from refgrad.oracle.inputs.cases import Cases
from refgrad.rule import Rule, is_own
from refgrad.signals import pass_on
from refgrad.tracing import Plan, free_names, trace

#: what is written in place of numbers that are drawn in a body, or that it keeps
INSTEAD = "a body that gives the same of the same arrays: what np.random draws, the time, or what was kept is handed in"


def check_body(kind: Kind, rule: Rule, cases: Cases) -> None:
    """Run a user's rule twice on the first of some cases.

    Args:
        kind: the rule's.
        rule: the rule; one of refgrad's own is left to its tests.
        cases: what a candidate will be driven with.

    Raises:
        ArgumentError: the body raises, or gives other numbers when it is run again.
    """
    if is_own(type(rule)):
        return
    first, again = ((_results(kind, rule, cases), _of_body(rule, cases)) for _ in range(2))
    if not all(a is None or b is None or _same(a, b) for a, b in zip(first, again, strict=True)):
        raise ArgumentError(f"{type(rule).__name__}'s body gives other numbers when it is run again; legal: {INSTEAD}")


def _results(kind: Kind, rule: Any, cases: Cases) -> Sequence[Any] | None:
    """The rule's results in float64; None where the kind cannot tell, or the rule refuses the case."""
    name = type(rule).__name__
    arrays = {n: np.array(a) for n, a in cases.arrays[0].items()}
    for step in cases.steps[:1]:
        arrays |= {n: np.array(a) for n, a in step[0].items()}
    try:
        with np.errstate(all="ignore"):
            return kind.literal(rule, arrays, _traced)
    except TraceError as error:
        raise ArgumentError(f"{name} cannot be judged: {error}") from error
    except RefgradError:
        return None
    except NotImplementedError as error:
        lacking = str(error) or "a method that its kind asks for; docs/own-rule.md says which"
        raise ArgumentError(f"{name} has not written {lacking}") from error
    except Exception as error:  # whatever it is, it is the rule's and no candidate's
        pass_on(error)
        raise ArgumentError(f"{name}'s body raised {type(error).__name__}: {error}") from error


def _of_body(rule: Any, cases: Cases) -> Sequence[Any] | None:
    """What a body that is traced gives on plain numbers; None where it takes more than these, or is none."""
    try:
        like = np.asarray(cases.arrays[0][rule.primary], np.float64)
        given = {n: np.asarray(cases.arrays[0].get(n, like), np.float64) for n in rule.takes()}
        with np.errstate(all="ignore"):
            return list(rule.body(given | dict.fromkeys(rule.scalar_inputs(), 1.0)).values())
    except Exception as error:  # what is wrong with it is told of its trace
        pass_on(error)
        return None


def _traced(rule: Any, ndim: int, free: tuple[float, ...]) -> Plan:
    """A plan that is made anew: one that is kept holds what was drawn when it was made."""
    return trace(rule, ndim, dict(zip(free_names(rule, ndim), free, strict=True)))


def _same(first: Sequence[Any], again: Sequence[Any]) -> bool:
    return len(first) == len(again) and all(
        np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True) for a, b in zip(first, again, strict=True)
    )
