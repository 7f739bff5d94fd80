"""The table of kinds as the measurement sees them; a kind's file is imported when a rule of the kind is first measured."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import cast

from refgrad.errors import ArgumentError, with_article
from refgrad.rule import Rule
from refgrad.strength.programs.base import Programs

#: a kind of rule -> the class that makes its programs
KINDS: Mapping[str, str] = {
    "optimizer": "optimizer.OptimizerPrograms",
    "estimator": "estimator.EstimatorPrograms",
    "mask": "mask.MaskPrograms",
    "mask-update": "mask_update.MaskUpdatePrograms",
    "quantizer": "quantizer.QuantizerPrograms",
    "transform": "transform.TransformPrograms",
    "scaling": "scaling.ScalingPrograms",
    "8-bit-optimizer": "eight_bit.EightBitPrograms",
}


def class_of(kind: str) -> type[Programs]:
    """The class that makes the programs of a kind."""
    module, _, name = KINDS[kind].partition(".")
    return cast(type[Programs], getattr(importlib.import_module(f"{__name__}.{module}"), name))


def programs_of(rule: Rule) -> Programs:
    """A rule as the measurement sees it.

    Raises:
        ArgumentError: no program of the rule can be made at random.
    """
    why = why_not(rule)
    if why is not None:
        raise ArgumentError(f"{rule} {why}")
    return class_of(rule.kind)(rule)


def why_not(rule: Rule) -> str | None:
    """Why no program of a rule can be made at random; None if one can."""
    if rule.kind not in KINDS:
        return (
            f"is {with_article(rule.kind)}, of which no program is made; legal: a rule of the kinds {', '.join(KINDS)}"
        )
    return class_of(rule.kind).why_not(rule)
