"""What rules' pictures show: a way down, a staircase and its error, a surrogate, a pattern."""

from __future__ import annotations

import re
import xml.etree.ElementTree as xml

import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.estimators import LSQ, ClippedSTE
from refgrad.gradients import Krum
from refgrad.optimizers import SGD, AdamW, MoMo, Sophia
from refgrad.quantizers import NF4, EightBit, ProductQuantizer
from refgrad.report.site import svg
from refgrad.report.site.pictures import START, STEPS, height, path, pictures
from refgrad.rule import Rule
from refgrad.sparsity import NOfM


def test_a_path_starts_where_it_is_told_and_goes_down() -> None:
    rows = path(SGD(lr=0.05))
    assert rows.shape == (STEPS + 1, 2)
    assert tuple(rows[0]) == START
    assert height(rows[-1]) < 0.01 * height(rows[0])


def test_a_path_that_is_lost_ends() -> None:
    assert len(path(SGD(lr=5.0))) < STEPS


@pytest.mark.parametrize(
    ("rule", "count"),
    [
        (AdamW(), 2),
        (Sophia(), 2),
        (MoMo(), 2),
        (NF4(), 2),
        (ProductQuantizer(), 2),
        (LSQ(), 2),
        (NOfM(), 1),
        (EightBit(), 2),
    ],
)
def test_a_picture_is_svg_that_names_itself_and_no_colour(rule: Rule, count: int) -> None:
    drawn = pictures(rule)
    assert len(drawn) == count
    for text in drawn:
        root = xml.fromstring(text)
        assert root.find("{*}title") is not None
        assert "\n" not in text  # Markdown leaves HTML on one line alone
        assert re.findall(r"#[0-9a-f]{3,}|rgb|nan|inf", text) == []


def test_a_transform_is_not_drawn() -> None:
    assert pictures(Krum()) == ()


def test_the_surrogate_of_a_clipped_estimator_is_one_inside_and_zero_outside() -> None:
    _, gradient = pictures(ClippedSTE())
    line = re.search(r'class="curve" points="([^"]*)"', gradient)
    assert line is not None
    ys = {point.split(",")[1] for point in line[1].split()}
    assert len(ys) == 2


def test_a_mask_has_a_square_a_weight() -> None:
    mask = np.array([[True, False], [False, False]])
    text = svg.cells("one", mask)
    assert (text.count('class="kept"'), text.count('class="pruned"')) == (1, 3)


def test_a_line_is_broken_at_what_is_no_number_and_axes_have_few_round_numbers() -> None:
    panel = svg.Panel("gap", (0, 3), svg.ends(np.array([0.0, np.nan, 2.0, 4.0])))
    panel.line([0, 1, 2, 3], [0.0, np.nan, 2.0, 4.0])
    assert panel.text().count("<polyline") == 2
    ticks = re.findall(r'class="tick"[^>]*>([^<]*)<', panel.text())
    assert {"0", "1", "2", "3", "4"} <= set(ticks)
    assert len(ticks) <= 14


@pytest.mark.parametrize(
    ("rule", "method"),
    [(SGD(lr=0.125), "step"), (NF4(block_size=128), "quantize"), (LSQ(), "both"), (NOfM(n=1, m=8), "mask")],
    ids=str,
)
def test_a_rule_that_needs_more_than_a_picture_has_is_not_drawn(
    rule: Rule, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ArgumentError("it needs more")

    monkeypatch.setattr(type(rule), method, refuse)
    assert pictures.__wrapped__(rule) == ()


def test_a_panel_without_a_number_has_an_axis_all_the_same() -> None:
    low, high = svg.ends(np.array([np.nan, np.inf]))
    assert low < 0.0 < 1.0 < high
    panel = svg.Panel("nothing", (0, 1), (low, high))
    panel.line([0, 1], [np.nan, np.nan])
    assert "<polyline" not in panel.text()
