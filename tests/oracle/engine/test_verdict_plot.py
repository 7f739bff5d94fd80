"""The picture of a verdict: what it shows is what the verdict says, and without matplotlib one sentence says what to do."""

from __future__ import annotations

import copy
import math
import pickle
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.errors import ArgumentError
from refgrad.examples.numpy_adamw import adamw_eps_inside
from refgrad.oracle.acceptance.findings import AtStep, Count
from refgrad.oracle.engine.verdict import Verdict


@pytest.fixture(scope="module")
def verdict() -> Verdict:
    inputs = refgrad.Inputs(p=[np.ones(3, np.float32)], g=[[np.full(3, g, np.float32)] for g in (1e-4, 0.0, 0.5)])
    return refgrad.verify(
        adamw_eps_inside, refgrad.optimizers.AdamW(), inputs=inputs, explain=False, shrink=False, time_limit=math.inf
    )


@pytest.fixture
def figure_of() -> Any:
    matplotlib = pytest.importorskip("matplotlib", reason="draws with it")
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    return Figure


def test_a_verdict_knows_what_became_of_each_step(verdict: Verdict) -> None:
    assert set(verdict.by_step) == set(verdict.counts)
    for tensor, steps in verdict.by_step.items():
        assert sum((at.count for at in steps.values()), Count()) == verdict.counts[tensor]
        assert max(at.largest for at in steps.values()) == verdict.tightest[tensor]
    assert list(verdict.by_step["p"]) == [1, 2, 3]
    assert verdict.by_step["p"][1].largest > 1 > verdict.by_step["v"][1].largest


def test_the_document_is_without_them(verdict: Verdict) -> None:
    assert "by_step" not in verdict.to_dict()
    for again in (pickle.loads(pickle.dumps(verdict)), copy.deepcopy(verdict)):
        assert again.by_step == verdict.by_step
        assert (str(again), again.to_json()) == (str(verdict), verdict.to_json())


@pytest.mark.slow
def test_a_picture_has_a_line_a_tensor_and_a_cross_where_a_value_is_outside(verdict: Verdict, figure_of: Any) -> None:
    figure = verdict.plot()
    assert isinstance(figure, figure_of)
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_yscale()) == ("step", "symlog")
    assert axes.get_title().endswith(": does not conform")
    lines = {line.get_label().partition(":")[0]: line for line in axes.lines if ":" in line.get_label()}
    assert set(lines) == set(verdict.counts)
    for tensor, line in lines.items():
        assert [int(x) for x in line.get_xdata()] == list(verdict.by_step[tensor])
        assert list(line.get_ydata()) == [at.largest for at in verdict.by_step[tensor].values()]
        assert f"{verdict.counts[tensor].outside} outside" in line.get_label()
    crosses = [tuple(point) for c in axes.collections for point in c.get_offsets().tolist()]
    wrong = [
        (float(n), at.largest) for steps in verdict.by_step.values() for n, at in steps.items() if at.count.outside
    ]
    assert crosses == wrong != []


@pytest.mark.slow
def test_a_wrong_class_stands_above_all_numbers(verdict: Verdict, figure_of: Any) -> None:
    steps = {"mask": {1: AtStep(Count(3, 1), 0.0)}, "p": {1: AtStep(Count(4), 0.5)}}
    (axes,) = replace(verdict, by_step=steps, mode="the mask").plot().axes
    (point,) = [p for c in axes.collections for p in c.get_offsets().tolist()]
    assert point[0] == 1.0
    assert 1.0 < point[1] < axes.get_ylim()[1]
    assert axes.get_xlabel() == "case"


@pytest.mark.slow
def test_it_is_drawn_where_one_wants_it(verdict: Verdict, figure_of: Any, tmp_path: Path) -> None:
    left, right = figure_of().subplots(1, 2)
    figure = verdict.plot(right, path=tmp_path / "verdict.png")
    assert figure is right.figure
    assert not left.lines
    assert right.lines
    assert (tmp_path / "verdict.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_drawn_is_said_in_one_sentence(verdict: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match="no step was judged"):
        replace(verdict, by_step={}).plot()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ArgumentError, match=r"^verdict\.plot\(\) needs matplotlib, .*refgrad\[plot\]$"):
        verdict.plot()
