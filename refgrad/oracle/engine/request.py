"""What `verify` was asked, checked: every kind of rule has a judge that answers one of these with a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refgrad.oracle.acceptance.policy import Policy
from refgrad.rule import Rule


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
    resolve: Any = None
