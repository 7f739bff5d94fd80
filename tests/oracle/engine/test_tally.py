"""What judging adds up, on statuses that are made by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from refgrad.oracle.acceptance.findings import Count, Output, count, ulps
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, UNDECIDED, Judged
from refgrad.oracle.engine import tally as tally_module
from refgrad.oracle.engine.tally import Tally, tightness, where_none_is_outside

F = np.dtype(np.float32)


def output(statuses: list[int], values: list[float], step: int = 1, tensor: str = "p", unit: np.dtype = F) -> Output:
    truth = np.ones(len(values))
    judged = Judged(np.asarray(statuses, np.uint8), truth, truth - 0.5, truth + 0.5)
    return Output(step, 0, tensor, judged, np.asarray(values, np.float32), unit, lambda index: {"i": float(index[0])})


def test_counts_add_up_by_tensor() -> None:
    tally = Tally().adding([output([0, 1, 2], [1, 2, 1]), output([0, 0], [1, 1]), output([2], [1], tensor="m")])
    assert tally.counts == {"p": Count(3, 1, 1), "m": Count(0, 0, 1)}
    assert (tally.outside, tally.decided) == (1, 4)
    assert tally.errors == {} == tally.tightest


def test_the_first_value_outside_is_kept_with_what_it_was_made_of() -> None:
    late, first = output([OUTSIDE], [9.0], step=3), output([INSIDE, OUTSIDE], [1.0, 3.0], step=2)
    found = Tally().adding([output([INSIDE], [1.0]), first, late]).first
    assert found is first
    finding = found.finding("weights")
    assert (finding.step, finding.index, finding.value, finding.truth) == (2, (1,), 3.0, 1.0)
    assert (finding.low, finding.high, finding.leaf, finding.inputs) == (0.5, 1.5, "weights", {"i": 1.0})
    assert finding.ulps == 2.0 / 2.0**-23


def test_what_is_undecided_is_no_distance() -> None:
    assert tightness(output([INSIDE, UNDECIDED], [1.25, 9.0]).judged, np.asarray([1.25, 9.0])) == 0.5


def test_distances_are_measured_after_the_first_step_and_where_there_are_units() -> None:
    tally = Tally()
    for each in (
        output([0], [1.0], step=0),
        output([0], [1.0], unit=np.dtype(bool), tensor="mask"),
        output([0], [1.0]),
    ):
        tally.add(each, measured=True)
    assert set(tally.errors) == {"p"}
    assert set(tally.tightest) == {"p", "mask"}


def test_units_in_the_last_place() -> None:
    assert ulps(1.0 + 2.0**-22, 1.0, F) == 2.0
    assert ulps(math.nan, 1.0, F) == math.inf
    assert count(output([0, 0, 1, 2], [1, 1, 1, 1]).judged) == Count(2, 1, 1)


def test_nothing_is_judged_after_a_value_outside() -> None:
    judged: list[int] = []

    def outputs(last: int) -> Iterator[Output]:
        for step, status in enumerate([INSIDE, UNDECIDED, last, INSIDE]):
            judged.append(step)
            yield output([status], [1.0], step=step)

    assert where_none_is_outside(outputs(OUTSIDE)) is None
    assert judged == [0, 1, 2]
    found = where_none_is_outside(outputs(INSIDE))
    assert found is not None
    assert found.counts == Tally().adding(outputs(INSIDE)).counts


@pytest.mark.parametrize("most", [0, 3, 4096])
def test_small_outputs_that_are_added_up_together(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is as if each had been added by itself, names and steps in the order in which they came."""
    random, each = np.random.default_rng(0), []
    for step in (0, 1, 1, 2, 3, 3, 3):
        for tensor in ("v", "p") if step != 2 else ("p", "v"):
            size = int(random.integers(0, 5))
            statuses = random.choice([INSIDE, INSIDE, OUTSIDE, UNDECIDED], size).tolist()
            values = random.choice([1.0, 1.25, 1.0 + 2.0**-22, math.nan, math.inf, -3.0], size).tolist()
            each.append(output(statuses, values, step, tensor, np.dtype(bool) if step == 3 and size > 2 else F))
    alone, together = Tally(), Tally()
    monkeypatch.setattr(tally_module, "SMALL", most)
    for one in each:
        alone.add(one, measured=True)
        together.add_measured(one)
    together.settle()
    assert alone.outside > 0
    assert together == alone
    for name in ("counts", "tightest", "errors", "by_step"):
        assert list(getattr(together, name)) == list(getattr(alone, name))
    assert together.first is alone.first
    assert list(together.by_step["p"]) == list(alone.by_step["p"])
