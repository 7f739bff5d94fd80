"""A damaged answer over a pipe is read, or is the candidate's fault, and nothing else happens."""

from __future__ import annotations

import random
from unittest import mock

import pytest

from tests import depth
from tests.fuzz import pipe


@pytest.mark.parametrize("kind", pipe.KINDS)
def test_damaged_answers_are_read_or_a_fault(kind: str) -> None:
    seeds = range(depth.at_depth(quick=40, suite=150, thorough=5000))
    found = {pipe.outcome(kind, seed) for seed in seeds}
    assert {pipe.READ, pipe.FAULT, pipe.UNJUDGED} <= found <= {pipe.READ, pipe.FAULT, pipe.UNJUDGED, pipe.REFUSED}


@pytest.mark.parametrize("kind", pipe.KINDS)
def test_what_is_not_damaged_is_read_as_it_was_written(kind: str) -> None:
    with mock.patch.object(
        random.Random, "choice", lambda draw, among: max(among) if among == (0, 1, 1, 2) else among[0]
    ):
        assert pipe.outcome(kind, 0) == pipe.READ
