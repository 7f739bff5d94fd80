"""What is measured of which rules: a part is a function from a rule's name to figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from refgrad.optimizers.base import Optimizer
from refgrad.rule import rules
from tests.oracle.cases import exercised
from tests.oracle.strength import casewise, legal, subjects, wrong

Figures = dict[str, Any]
#: a part, a rule's name, and how many values are to be judged
Unit = tuple[str, str, int]


def optimizers() -> dict[str, type[Optimizer]]:
    """Every optimizer of the registry, by name."""
    found = rules(Optimizer).items()
    return {n: cls for n, cls in found if issubclass(cls, Optimizer) and cls.__module__.startswith("refgrad.")}


def _attacked(name: str, values: int) -> Figures:
    rule = exercised(optimizers()[name]())
    return {"rule": str(rule), **legal.attacked(rule, values)}


def _by_hand(name: str, values: int) -> Figures:
    return legal.by_hand(optimizers()[name])


def _mutants(name: str, values: int) -> Figures:
    rule = wrong.configured(optimizers()[name])
    return {"rule": str(rule), **wrong.mutants(rule)}


def _cases_attacked(name: str, values: int) -> Figures:
    rule = subjects.measurable()[name]
    return {"rule": str(rule), **casewise.random_programs(subjects.subject(rule), values)}


def _cases_mutants(name: str, values: int) -> Figures:
    rule = subjects.measurable()[name]
    return {"rule": str(rule), **casewise.mutants(subjects.subject(rule))}


PARTS: Mapping[str, Callable[[str, int], Figures]] = {
    "random": _attacked,
    "hand": _by_hand,
    "mutants": _mutants,
    "case programs": _cases_attacked,
    "case mutants": _cases_mutants,
}


def parts() -> dict[str, list[str]]:
    """The rules of each part."""
    names, cases = list(optimizers()), list(subjects.measurable())
    return {"hand": names, "random": names, "mutants": names, "case mutants": cases, "case programs": cases}


def measured(unit: Unit) -> tuple[Unit, Figures | str]:
    """One part of one rule's figures, with the seconds that it took; or why they could not be had."""
    started = time.monotonic()
    part, name, values = unit
    try:
        figures = PARTS[part](name, values)
    except Exception as error:  # one rule that fails leaves the others to be measured
        return unit, f"{type(error).__name__}: {error}"
    return unit, {**figures, "asked": values, "seconds": round(time.monotonic() - started, 1)}
