"""Why refgrad accepts a mutant that is another in real arithmetic: each survivor has a reason, or is a defect."""

from __future__ import annotations

import re
from collections.abc import Sequence

ROUNDING = "less than a rounding: "
NUMBERS = "a gap of the numbers, not of the sets: "

#: rules, a pattern of names of mutants (all of it must match), and the reason
REASONS: Sequence[tuple[tuple[str, ...], str, str]] = (
    (
        ("AdaBelief", "ACProp"),
        ".*eps.*",
        ROUNDING + "eps of 1e-16 is kept in the second moment too, whose root is then at least 1e-8",
    ),
    (
        ("PSGDKron",),
        r"sqrt.* stands for .* (padding|\+ 1e-06)",
        NUMBERS
        + "it shows where the step's root mean square is of the size of 1e-6, and the generated ones are larger",
    ),
    (
        ("DSQ",),
        "the other boundary of x >= .*",
        ROUNDING
        + "the middle of an interval is made of a third of high - low, so that on which side of it an x lies that "
        "meets it is open",
    ),
    (
        ("LibraPB",),
        ".*k t.*",
        ROUNDING + "k t is ten times 0.1, which is 1 to within 1e-16",
    ),
    (
        ("Adan",),
        "decoupled weight decay after the step .*",
        ROUNDING + "1 - lr weight_decay and 1 / (1 + lr weight_decay) differ by the square of 1e-4",
    ),
    (
        ("CautiousLion",),
        "decoupled weight decay after the step .*",
        "the step's scale is a mean of decisions, some of which are open on every generated array, so that it is known to fewer "
        "digits than lr times weight_decay has",
    ),
    (
        ("DAdaptAdam",),
        "g - s stands for g in .*",
        ROUNDING
        + "s is of the size of d0, a millionth of the gradients, until d has grown, for which the runs are short",
    ),
    (
        ("DoG",),
        "eps beside the root|g stands for g .*",
        ROUNDING
        + "the first steps are a millionth of the norm of all parameters over the root of all squares; where a parameter "
        "is zero there is no decay to be seen",
    ),
)


def reason(rule: str, mutant: str) -> str | None:
    """The reason why a rule's mutant survives, if one is known."""
    return next((why for names, pattern, why in REASONS if rule in names and re.fullmatch(pattern, mutant)), None)
