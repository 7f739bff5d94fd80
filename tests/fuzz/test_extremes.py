"""Hyperparameters at the ends of what is legal: each method gives something, or says what has no value."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from refgrad.errors import RefgradError
from refgrad.hyperparameters import MOST
from refgrad.legal import Range, Whole
from refgrad.rule import Rule, rules
from tests.fuzz import judge, subjects
from tests.fuzz.subjects import Drawn

DRAWN = Drawn((4, 8), "float32", "signed", 5)
NEAR_ZERO, NEAR_ONE, LARGE = 5e-324, 1.0 - 2.0**-53, 1e308
#: whole numbers that say how much is computed, or kept in memory, and not only which numbers
AMOUNTS = frozenset(
    {
        *("block", "block_size", "bucket", "count", "group", "group_size", "height", "width", "history", "kernel"),
        *("iterations", "kernels", "levels", "rank", "rounds", "size", "steps", "subspaces", "clusters", "padding"),
        *("m", "n", "ns_steps", "terms"),
    }
)


def extremes(cls: type[Rule]) -> Iterator[Rule]:
    """A rule with one hyperparameter at an end of its range."""
    for name, legal in cls.legal().items():
        values: tuple[Any, ...] = ()
        if isinstance(legal, Range):
            values = (-LARGE, 0.0, NEAR_ZERO, NEAR_ONE, 1.0, LARGE, legal.low, legal.high)
        elif isinstance(legal, Whole) and name not in AMOUNTS:
            values = (legal.low, MOST if legal.high is None else legal.high)
        for value in values:
            try:
                rule = cls(**{name: value})
            except RefgradError:
                continue
            yield rule


@pytest.mark.sample(quick=10, suite=60)
@pytest.mark.parametrize("name", sorted(rules()))
def test_every_method_gives_something_or_a_clear_error(name: str) -> None:
    for rule in extremes(rules()[name]):
        for method in set(subjects.methods(rule)) - {"constructor"}:
            with warnings.catch_warnings(), np.errstate(all="ignore"), judge.in_time(subjects.LONG):
                warnings.simplefilter("ignore")
                try:
                    subject = subjects.subject(rule, method, DRAWN)
                    subject.call(dict(subject.arguments))
                except RefgradError:
                    continue
