"""Why a mutant that differs in real arithmetic is accepted all the same: each survivor has a reason, or is a defect."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: a rule, a pattern of names of mutants (all of it must match), and the reason
REASONS: Sequence[tuple[str, str, str]] = (
    (
        "AdaBelief",
        ".*eps.*",
        "eps of 1e-16 is kept in the second moment too, where it makes the root at least 1e-8; beside such a root it is "
        "less than a rounding",
    ),
)


def reason(rule: str, mutant: str) -> str | None:
    """The reason why a rule's mutant survives, if one is known."""
    return next((why for name, pattern, why in REASONS if name == rule and re.fullmatch(pattern, mutant)), None)
