"""What can be said of a rule's steps from its equations: other rules that it becomes, and how far it moves at most."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Limit:
    """At the hyperparameters ``at`` a rule is another one, which shares its other hyperparameters but for ``of``.

    ``rule`` is the other's name, as `refgrad.rule.find` takes it, or the hyperparameter that is a rule which this one wraps.
    """

    rule: str
    at: Mapping[str, Any]
    of: Mapping[str, Any] = field(default_factory=dict)


def largest_adam_step(rule: Any, t: int) -> float:
    """The largest step of Adam, by the Cauchy-Schwarz inequality between its two averages (Kingma & Ba 2015, section 2.1).

    With the averages m and v of t gradients, |m| is at most sqrt(v) times the root of the sum of (weight in m)^2 over
    (weight in v); lr times that, corrected for the averages' start at zero, is no less than the step.
    """
    if rule.beta2 == 0.0:
        return math.inf
    ratios = [((1 - rule.beta1) * rule.beta1**i) ** 2 / ((1 - rule.beta2) * rule.beta2**i) for i in range(t)]
    first, second = (1 - rule.beta1**t, 1 - rule.beta2**t) if rule.bias_correction else (1.0, 1.0)
    return float(rule.lr * math.sqrt(sum(ratios) * second) / first)
