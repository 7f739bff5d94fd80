"""Laws of scalings."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refgrad.kinds.laws.case_law import REPEATABLE, Arrays, Call, CaseLaw, Claim
from refgrad.optimizers.batch_scaling import Scaling


def _own(call: Call, rule: Scaling, arrays: Arrays) -> Iterator[Claim]:
    """At the batch size that it is given for, the rate is the one that is given."""
    at = {**arrays, "batch": np.array(float(rule.hyperparameters()["batch"]))}
    yield Claim(at, call(at), {"rate": np.array(float(rule.numbers()["lr"]))})


def _grows(call: Call, rule: Scaling, arrays: Arrays) -> Iterator[Claim]:
    """A larger batch has no smaller rate."""
    larger = {**arrays, "batch": arrays["batch"] + 1}
    small, large = call(arrays), call(larger)
    message = "" if large["rate"] >= small["rate"] else f"rate falls from {small['rate']!r} to {large['rate']!r}"
    yield Claim(larger, large, message=message)


LAWS: tuple[CaseLaw, ...] = (
    REPEATABLE,
    CaseLaw(
        "own batch",
        "at its own batch size the rate is the one that is given",
        _own,
        lambda rule: "batch" in rule.legal(),
        universal=True,
    ),
    CaseLaw("grows", "a larger batch has no smaller rate", _grows, universal=True),
)
