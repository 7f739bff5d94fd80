"""What `verify` was asked, checked: every kind of rule has a judge that answers one of these with a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.oracle.acceptance.policy import Policy
from refgrad.rule import Rule


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """The arguments of `refgrad.verify`; ``inputs`` is what the rule's kind takes, or None to have them generated."""

    candidate: Any
    rule: Rule
    steps: int
    dtype: np.dtype
    seed: int
    policy: Policy
    inputs: Any
    options: Mapping[str, Any]
    state_names: Any
    shrink: bool
    #: seconds that the search for what a failing candidate is may take; 0 for none
    explain: float
    time_limit: float
    #: makes the candidate elsewhere, with the arguments of `refgrad.kinds.kind.Kind.resolve`; None to make it here
    resolve: Any = None
