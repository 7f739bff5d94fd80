"""Which rules are measured case by case, and as what."""

from __future__ import annotations

from collections.abc import Mapping

from refgrad.kinds.quantizer import has_graph
from refgrad.rule import Rule, rules
from tests.oracle.strength.eight_bits import OfEightBit
from tests.oracle.strength.stateless import OfEstimator, OfMask, OfQuantizer, OfTransform, OfUpdate, Subject

SUBJECTS: Mapping[str, type[Subject]] = {
    "estimator": OfEstimator,
    "mask": OfMask,
    "mask-update": OfUpdate,
    "quantizer": OfQuantizer,
    "transform": OfTransform,
    "8-bit-optimizer": OfEightBit,
}


def measurable() -> dict[str, Rule]:
    """The rules whose programs can be made of what they are made of, by name; update rules are not among them."""
    found: dict[str, Rule] = {}
    for name, cls in rules().items():
        shipped = cls.__module__.startswith("refgrad.") and cls.kind in SUBJECTS
        if shipped and not (cls.kind == "quantizer" and not has_graph(cls())):  # type: ignore[arg-type]
            found[name] = cls()
    return found


def subject(rule: Rule) -> Subject:
    """A rule as the measurement sees it."""
    return SUBJECTS[rule.kind](rule)
