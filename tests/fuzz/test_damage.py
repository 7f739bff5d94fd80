"""Damaged files of every kind are read or refused; a training is the literal body's whatever comes in between."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests import depth
from tests.fuzz import damage
from tests.fuzz.machine import Training


@pytest.mark.parametrize("kind", damage.KINDS)
def test_damaged_files_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    seeds = range(depth.at_depth(quick=10, suite=40, thorough=2000))
    found = {damage.outcome(kind, seed, tmp_path) for seed in seeds}
    assert found <= {damage.READ, damage.REFUSED, "not loaded"}


def test_what_is_not_damaged_is_read(tmp_path: Path) -> None:
    for kind, read in damage.KINDS.items():
        assert read(tmp_path, lambda data: data) == damage.READ, kind


def test_a_training_is_stepped_saved_loaded_and_refused_in_any_order() -> None:
    count = depth.at_depth(quick=3, suite=12, thorough=300)
    settings = hypothesis.settings(depth.examples(count), stateful_step_count=12)
    run_state_machine_as_test(Training, settings=hypothesis.settings(settings, deadline=None))
