from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad.oracle.engine.verdict import Verdict
from refgrad.oracle.engine.verdict_text import explanation, sections, short_hex

WRONG = """\
DOES NOT CONFORM: mine:adamw is not AdamW(lr=0.01)
It agrees with AdamW(lr=0.01) in which eps is added under the square root (eps_position=inside): \
0 of 12288 elements outside; AdamW(lr=0.01) itself: 9811

Elements
  tensor  inside  outside  undecided  error/allowed
  p         2477     9811          0            812
  m        12288        0          0          0.312
  v        12287        0          1
  all      27052     9811          1

First finding
  where   step 2, p[3, 2] of parameter ['w'], float32
  value   0.5 (0x1p-1)
  truth   0.25 (0x1p-2)
  legal   [0.125, 0.375] ([0x1p-3, 0x1.8p-2])
  off by  812.5 ulps of the truth
  inputs  p = 1 (0x1p+0), g = -0, v = 0.75 (0x1.8p-1), t = 2

Smallest input that fails
  input  float32, shape (1,)
  p      [0x1p+0]
  g      [0x1.99999ap-4]

Reproduce
  import refgrad
  refgrad.verify('mine:adamw', refgrad.optimizers.AdamW(lr=0.01))

How it was judged
  mode    step-locked (from the candidate's own state at each step)
  run     10 steps, float32, seed 0
  policy  roundings=3, subnormals=keep
  with    numpy 2.4

Notes
  lr=0.01 is taken from param_groups[0]"""


def test_all_that_is_known_of_a_wrong_candidate(wrong: Verdict) -> None:
    assert str(wrong) == WRONG
    assert str(wrong) == WRONG


def test_a_notebook_shows_the_same_words(wrong: Verdict, right: Verdict, unjudged: Verdict) -> None:
    for verdict in (wrong, right, unjudged):
        page = verdict._repr_html_()
        root = ET.fromstring(page)
        assert " ".join(" ".join(root.itertext()).split()) == " ".join(str(verdict).split())
    assert ET.fromstring(wrong._repr_html_())[0].get("style") == "color:#d2372f;font-weight:bold"
    marked = replace(right, candidate="<b>mine</b>")
    assert "&lt;b&gt;mine" in marked._repr_html_()


def test_frameworks_are_named_that_are_what_it_is_or_may_be(wrong: Verdict) -> None:
    keras = "keras.optimizers.AdamW is AdamW(eps_placement='uncorrected')"
    assert keras not in str(wrong)
    theirs = replace(wrong.departures[1], name="eps_placement=uncorrected, policy subnormals=flush")
    for departures in ((theirs,), (replace(wrong.departures[1], doubt="it is not sure"),), ()):
        (told,) = [s for s in sections(replace(wrong, departures=departures)) if s.title == "Elsewhere"]
        assert told.lines == (keras,)
    raised = replace(wrong, departures=(), counts={})
    assert not raised.total.outside
    assert keras not in str(raised)


def test_nothing_is_said_where_there_is_nothing_to_say(right: Verdict, unjudged: Verdict) -> None:
    assert [s.title for s in sections(right)] == ["", "Elements", "How it was judged"]
    assert str(right).splitlines()[0] == "CONFORMS: mine:adamw is AdamW()"
    assert [s.title for s in sections(unjudged)] == ["", "Faults", "How it was judged"]
    assert "  step 1, raised: mine:adamw raised ZeroDivisionError" in str(unjudged)
    assert str(unjudged).startswith("COULD NOT BE JUDGED: mine:adamw against AdamW()\n")


def test_without_an_explanation_the_nearest_departure_is_named(wrong: Verdict) -> None:
    nearest = replace(wrong, departures=wrong.departures[:1])
    assert explanation(nearest) == (
        "no known departure explains it; the nearest is AdamW(lr=0.01) in which there is no second moment (beta2=0): "
        "12000 of 12288 elements outside"
    )
    near = replace(wrong.departures[0], name="near", outside=90)
    far = replace(wrong.departures[0], name="far", outside=91)
    for departures in ((near, far), (far, near)):
        assert "(near): 90 of 12288" in explanation(replace(wrong, departures=departures))
    assert explanation(replace(wrong, departures=())) == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.1, "0x1.999999999999ap-4"), (1.0, "0x1p+0"), (-0.75, "-0x1.8p-1"), (math.inf, "inf"), (math.nan, "nan")],
)
def test_hex_floats_are_short_and_read_back(value: float, shown: str) -> None:
    assert short_hex(value) == shown
    assert math.isnan(value) or float.fromhex(shown) == value


def strict(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_json_is_strict_and_keeps_every_bit(poisoned: Verdict) -> None:
    data = strict(poisoned.to_json())
    assert data["outcome"] == "does not conform"
    assert data["exit_code"] == 1
    assert data["first"]["value"] == {"value": "nan", "hex": "nan", "decimal": "nan"}
    assert data["first"]["low"] == {"value": "-inf", "hex": "-inf", "decimal": "-inf"}
    assert float.fromhex(data["first"]["inputs"]["v"]["hex"]) == 0.75
    assert math.copysign(1.0, float.fromhex(data["first"]["inputs"]["g"]["hex"])) == -1.0
    assert data["counts"]["p"] == {"inside": 2477, "outside": 9811, "undecided": 0}
    assert data["counterexample"]["g"] == [["0x1.99999a0000000p-4"]]


def test_a_findings_numbers_are_short_in_its_dtype_and_exact_besides(wrong: Verdict) -> None:
    assert wrong.first is not None
    near = float(np.float32(0.1))
    first = replace(wrong.first, value=near, truth=0.1, inputs={"g": float(np.float32(1e-7)), "t": 2.0})
    verdict = replace(wrong, first=first)
    shown = str(verdict)
    assert "  value   0.1 (0x1.99999ap-4)\n" in shown
    assert "  truth   0.1 (0x1.999999999999ap-4)\n" in shown
    assert "  inputs  g = 1e-07 (0x1.ad7f2ap-24), t = 2\n" in shown
    data = verdict.to_dict()["first"]
    assert data["value"] == {"value": near, "hex": near.hex(), "decimal": "0.1"}
    assert data["inputs"]["g"]["decimal"] == "1e-07"
    half = replace(verdict, first=replace(first, value=float(ml_dtypes.bfloat16(0.1)), dtype="bfloat16"))
    assert half.to_dict()["first"]["value"]["decimal"] == "0.1"


def test_values_of_a_wrong_class_are_shown(poisoned: Verdict) -> None:
    shown = str(poisoned)
    assert "  value   nan\n" in shown
    assert "  legal   [-inf, inf] ([-inf, inf])\n" in shown
    assert "  off by  inf ulps of the truth\n" in shown


def test_raising_carries_the_report(wrong: Verdict, right: Verdict) -> None:
    with pytest.raises(AssertionError) as raised:
        wrong.raise_if_wrong()
    assert str(raised.value) == WRONG
    assert right.raise_if_wrong() is right
