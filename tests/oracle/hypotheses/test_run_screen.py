"""Hypotheses of a small run, judged by the kind's own judge."""

from __future__ import annotations

import numpy as np

from refgrad.kinds.record import Record
from refgrad.kinds.table import kind_of
from refgrad.optimizers import Adam
from refgrad.oracle.acceptance.findings import Count
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.hypotheses.recovered import ALL
from refgrad.oracle.hypotheses.run_screen import RunScreen
from refgrad.quantizers import Affine, Cast, EightBit
from tests.oracle.hypotheses.fakes import Line, recorded

TURNED = Change("sign=turned", "", rule={"sign": "turned"})


def screen_of(used: Line, cases: int = 3) -> RunScreen:
    kind, record = recorded(used, cases=cases)
    return RunScreen(kind, record, Policy())


def test_what_is_wrong_is_looked_at_no_further() -> None:
    screen = screen_of(Line(slope=3.0))
    assert screen.counts(TURNED) == {"y": Count(0, 8)}
    assert screen.kind.judged == 2  # the second case is judged before it is known that it is one
    assert screen.counts(NONE) == {"y": Count(0, 24)}


def test_what_fits_is_looked_at_as_a_whole() -> None:
    screen = screen_of(Line(sign="turned"))
    assert screen.counts(TURNED) == {"y": Count(24)}


def test_what_cannot_be_judged() -> None:
    screen = screen_of(Line())
    assert screen.counts(Change("bits=13", "", rule={"bits": 13})) is None
    assert screen.counts(Change("slope=-1", "", rule={"slope": -1.0})) is None
    assert screen.counts(Change("other", "", of=Adam())) is None
    assert RunScreen(screen.kind, Record(screen.record.cases, [Line()]), Policy()).counts(NONE) is None


def test_a_number_is_recovered_besides_a_change() -> None:
    screen = screen_of(Line(slope=3.7, sign="turned"))
    assert screen.recover(NONE, ALL, {}, True, lambda: False) is None
    (told,) = screen.recover(TURNED, ALL, {}, True, lambda: False) or []
    assert (told.name, told.value, told.claimed, told.output) == ("slope", 3.7, 2.0, ALL)
    assert told.low <= 3.7 <= told.high
    assert told.high - told.low < 1e-5


def test_only_how_far_a_value_reaches_is_asked_if_it_is_known() -> None:
    screen = screen_of(Line(slope=4.0), cases=1)
    (told,) = screen.recover(NONE, ALL, {}, True, lambda: False, {"slope": 4.0}) or []
    assert told.low <= 4.0 <= told.high
    assert told.high - told.low < 2e-5
    assert screen.recover(NONE, ALL, {}, True, lambda: True) is None


def test_a_floor_is_read_off_the_results_that_are_wrong() -> None:
    kind, rule, floored = kind_of("quantizer"), Affine(), Affine(smallest_scale=2.0**-23)
    cases = kind.generate(rule, 8, np.dtype(np.float32), 0)  # one of zeros among them
    results = [dict(floored.quantize(arrays["x"]).arrays) for arrays in cases.arrays]
    screen = RunScreen(kind, Record(cases, [rule], results), Policy())
    (told,) = screen.recover(NONE, ALL, {}, True, lambda: False) or []
    assert (told.name, told.determined) == ("smallest_scale", True)
    assert told.low <= 2.0**-23 <= told.high


def test_all_results_tell_together() -> None:
    screen = screen_of(Line(slope=3.0))
    assert screen.telling(NONE, {"y": Count(1, 1)}) == [ALL]
    assert screen.telling(NONE, {"y": Count(2)}) == []
    assert screen.plans(NONE) == []
    assert screen.used() == {"slope", "shift"}


def test_only_rules_that_give_what_was_seen_are_tried() -> None:
    kind, rule = kind_of("quantizer"), Affine()
    cases = kind.generate(rule, 1, np.dtype(np.float32), 0).only(0)
    record = Record(cases, [rule], [dict(rule.quantize(cases.arrays[0]["x"]).arrays)])
    screen = RunScreen(kind, record, Policy())
    assert screen.counts(Change("ties=away", "", rule={"ties": "away"})) is not None
    assert screen.counts(Change("cast", "", "rule", of=Cast())) is None
    assert [plan.rule for plan in screen.plans(NONE)] == [rule]


def test_an_8_bit_run_has_the_plans_of_its_update() -> None:
    rule = EightBit(Adam(), min_8bit_size=1)
    kind = kind_of(rule)
    cases = kind.generate(rule, 2, np.dtype(np.float32), 0)
    screen = RunScreen(kind, Record(cases, [rule] * len(cases.arrays)), Policy())
    assert {type(plan.rule) for plan in screen.plans(NONE)} == {Adam}
