"""What `verify` and `identify` were asked, checked: the arguments of both, and of the command line, are read here alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refgrad.arguments import STEPS, by_name, flag
from refgrad.arithmetic.dtypes import as_dtype
from refgrad.errors import bad_argument
from refgrad.formulas import Formula
from refgrad.legal import as_number, as_whole
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.time_limit import check_time_limit
from refgrad.rule import Rule

#: seconds that the search for what a failing candidate is may take where nothing else is said
EXPLAIN_SECONDS = 60.0
#: the same of a formula of one's own: what is told by then are single faults, and what is left are pairs of them
FORMULA_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """The arguments of `refgrad.verify`; ``inputs`` is what the rule's kind takes, or None to have them generated.

    Where nothing is said, it is judged as `refgrad.verify` does by default, without what is done about a failing candidate.
    """

    candidate: Any
    rule: Rule
    steps: int = 10
    dtype: np.dtype
    seed: int = 0
    #: True to draw the seed after the candidate has been loaded
    draws_seed: bool = False
    policy: Policy = field(default_factory=Policy)
    inputs: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    state_names: Any = None
    shrink: bool = False
    #: seconds that the search for what a failing candidate is may take; 0 for none
    explain: float = 0.0
    time_limit: float = math.inf
    #: makes the candidate elsewhere, with the arguments of `refgrad.kinds.kind.Kind.resolve`; None to make it here
    resolve: Callable[..., Any] | None = None

    @classmethod
    def of(
        cls,
        candidate: Any,
        rule: Rule,
        *,
        dtype: Any = None,
        policy: Policy | Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        explain: bool | float = False,
        time_limit: float = math.inf,
        **more: Any,
    ) -> Request:
        """A request from arguments as a caller writes them.

        Args:
            candidate, rule: who claims to be what.
            dtype: of the arrays; by default the one that the rule keeps them in.
            policy: a `Policy`, a dict of its fields, or None for the usual one.
            options: of the candidate's constructor.
            explain: true for `EXPLAIN_SECONDS`, or `FORMULA_SECONDS` of a formula, false for no search, or seconds.
            time_limit: seconds that one question may take.
            more: the other fields, as they are.

        Raises:
            ArgumentError: one of them is not legal.
        """
        if options is not None:
            by_name("options", options, "{'lr': 0.1}")
        if "seed" in more:
            more["seed"] = check_seed(more["seed"])
        more["steps"] = STEPS.check("steps", more.get("steps", cls.steps))
        flag("shrink", more.get("shrink", False))
        return cls(
            candidate=candidate,
            rule=rule,
            dtype=as_dtype(rule.kept_in if dtype is None else dtype),
            policy=Policy.of(policy).checked(rule),
            options=dict(options or {}),
            explain=FORMULA_SECONDS if explain is True and is_formula(rule) else check_explain(explain),
            time_limit=check_time_limit(time_limit),
            **more,
        )


def check_seed(value: Any) -> int:
    """A seed as an int; `ArgumentError` unless a whole number from 0 on."""
    number = as_whole(value)
    if number is None or number < 0:
        raise bad_argument("seed", value, "a whole number from 0 on")
    return number


def is_formula(rule: Rule) -> bool:
    """True of a formula of one's own, and of its gradient."""
    return isinstance(rule, Formula)


def check_explain(value: Any) -> float:
    """Seconds for the search, 0 for none; `ArgumentError` unless a bool or a number that is not negative."""
    if isinstance(value, bool):
        return EXPLAIN_SECONDS if value else 0.0
    seconds = as_number(value)
    if not seconds >= 0:
        raise bad_argument("explain", value, "true, false, or seconds that are not negative")
    return seconds
