"""Implementations beside their rules over two dozen steps: rates that vary, every number of axes, numbers off their defaults."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import pytest

from refgrad.surveys.implementations import Implementation, known
from tests.surveys.implementations.differences import APART, UNASKED
from tests.surveys.implementations.over_time import (
    CLAIM,
    MATRICES,
    OTHER,
    OWN,
    SETTINGS,
    SHAPES,
    SLACK,
    Unasked,
    distance,
)
from tests.surveys.implementations.test_table import named, runs_here

#: these differ only in what no step shows: groups, a float32 sum of hundreds of steps, a rate that is not read
BESIDES = ("torch_optimizer:RAdam", "pytorch_optimizer:AdaFactor", "timm.optim:LaProp")
#: of Keras' backends the one that `test_table` takes
ROWS = [
    row
    for row in known()
    if row.claim.kind == "optimizer"
    and (row.explained or row.target in BESIDES)
    and row.environment.get("KERAS_BACKEND", "torch") == "torch"
]


def cases() -> Iterator[Any]:
    """Each row that is installed by each setting; the claim's own numbers are the oracle's, and here only in thorough."""
    for row in ROWS:
        for setting in SETTINGS:
            slow = setting == CLAIM or (row.package == "optax" and setting == OWN)
            marks = [pytest.mark.thorough] if slow else []
            if runs_here(row) and row.target not in UNASKED:
                yield pytest.param(row, setting, id=f"{named(row)}-{setting}", marks=marks)


def differences(row: Implementation, setting: str) -> dict[tuple[int, ...], float]:
    """How far the row is from its rule, by shape, where that is more than nothing."""
    with contextlib.redirect_stdout(io.StringIO()):
        found = distance(row, setting)
    slack = APART.get(row.target)
    near = slack.slack if slack is not None else SLACK
    return {shape: gap for shape, gap in found.items() if not gap <= near}


@pytest.mark.sample(quick=4, suite=10)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("row", "setting"), list(cases()))
def test_it_is_its_rule_over_time(row: Implementation, setting: str) -> None:
    try:
        found = differences(row, setting)
    except Unasked as reason:
        pytest.skip(str(reason))
    apart = APART.get(row.target)
    if apart is not None and (apart.settings is None or setting in apart.settings):
        assert set(found) <= set(apart.shapes)
    else:
        assert found == {}


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("target", [t for t in APART if any(row.target == t and runs_here(row) for row in ROWS)])
def test_what_is_said_to_differ_does(target: str) -> None:
    """By more than what is asked of all others, in one of its settings."""
    apart, rows = APART[target], [row for row in ROWS if row.target == target and runs_here(row)]
    with contextlib.redirect_stdout(io.StringIO()):
        gaps = [distance(row, setting) for row in rows for setting in apart.settings or (CLAIM, OTHER)]
    assert any(gap > SLACK for found in gaps for gap in found.values())


def test_what_is_said_to_differ_is_a_row() -> None:
    targets = {row.target for row in known()}
    assert {*APART, *UNASKED} <= targets
    assert all(
        set(apart.shapes) <= {*SHAPES, *MATRICES} and set(apart.settings or ()) <= {CLAIM, OTHER, OWN}
        for apart in APART.values()
    )
