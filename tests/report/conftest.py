"""Verdicts made by hand: one of each outcome."""

from __future__ import annotations

import math

import pytest

from refgrad.oracle.acceptance.findings import Count, Fault, Finding
from refgrad.oracle.engine.outcomes import CONFORMS, DIFFERS, UNJUDGED, Counterexample, Departure
from refgrad.oracle.engine.verdict import Verdict
from tests.literal import literal_bodies as literal_bodies

POLICY = {"roundings": 3, "subnormals": "keep"}
RUN = {"policy": POLICY, "mode": "step-locked", "steps": 10, "dtype": "float32", "seed": 0}


@pytest.fixture
def wrong() -> Verdict:
    first = Finding(
        step=2,
        tensor="p",
        leaf="['w']",
        index=(3, 2),
        dtype="float32",
        value=0.5,
        truth=0.25,
        low=0.125,
        high=0.375,
        ulps=812.5,
        inputs={"p": 1.0, "g": -0.0, "v": 0.75, "t": 2.0},
    )
    return Verdict(
        outcome=DIFFERS,
        candidate="mine:adamw",
        rule="AdamW(lr=0.01)",
        counts={"p": Count(2477, 9811, 0), "m": Count(12288), "v": Count(12287, 0, 1)},
        first=first,
        departures=(
            Departure("beta2=0", "there is no second moment", 12000, 12288),
            Departure("eps_position=inside", "eps is added under the square root.", 0, 12288),
        ),
        counterexample=Counterexample("float32", (1,), ("0x1.0000000000000p+0",), (("0x1.99999a0000000p-4",),)),
        reproduce="import refgrad\nrefgrad.verify('mine:adamw', refgrad.optimizers.AdamW(lr=0.01))",
        tightest={"p": 812.5, "m": 0.3125},
        environment={"numpy": "2.4"},
        notes=("lr=0.01 is taken from param_groups[0]",),
        **RUN,  # type: ignore[arg-type]
    )


@pytest.fixture
def right() -> Verdict:
    return Verdict(CONFORMS, "mine:adamw", "AdamW()", counts={"p": Count(64)}, **RUN)  # type: ignore[arg-type]


@pytest.fixture
def unjudged() -> Verdict:
    fault = Fault("raised", 1, "mine:adamw raised ZeroDivisionError: division by zero")
    return Verdict(UNJUDGED, "mine:adamw", "AdamW()", faults=(fault,), **RUN)  # type: ignore[arg-type]


@pytest.fixture
def poisoned(wrong: Verdict) -> Verdict:
    from dataclasses import replace

    assert wrong.first is not None
    first = replace(wrong.first, value=math.nan, low=-math.inf, high=math.inf, ulps=math.inf)
    return replace(wrong, first=first)
