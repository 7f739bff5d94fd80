"""What `verify` tells of a candidate that fails: all that `identify` finds, judged on the whole run, and in time."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import refgrad
from refgrad.estimators import ArcTan, Rectangular
from refgrad.optimizers import (
    SGD,
    AdaBelief,
    Adam,
    AdamW,
    BatchPerceptron,
    BatchScaledRate,
    Muon,
    NormalizedBatchPerceptron,
    Sophia,
)
from refgrad.oracle.acceptance.findings import Count
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.hypotheses import departures
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.hypotheses.departures import explain
from refgrad.oracle.hypotheses.run_screen import RunScreen
from refgrad.oracle.hypotheses.scored import Scored
from refgrad.oracle.hypotheses.screen import StepScreen
from refgrad.oracle.hypotheses.screens import judged, screen_of
from refgrad.oracle.hypotheses.search import Search
from refgrad.quantizers import Affine, EightBit, ScaledFloat
from refgrad.rule import Rule
from refgrad.sparsity import SET, Magnitude
from tests.depth import at_depth


def spike(x: np.ndarray) -> np.ndarray:
    return (x >= 0).astype(x.dtype)


def of_height_one(g: np.ndarray, x: np.ndarray, width: float) -> np.ndarray:
    """A rectangle whose height stays one whatever its width, which a width of one hides."""
    return g * (np.abs(x) < width / 2).astype(x.dtype)


def downhill(p: np.ndarray, g: np.ndarray, lr: float, weight_decay: float = 0.0) -> np.ndarray:
    """Steps along the raw gradient."""
    f = np.float32
    return p * f(1 - lr * weight_decay) - f(lr) * g


STEPS = at_depth(quick=5, suite=5, thorough=10)


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=2)
@pytest.mark.parametrize(
    ("candidate", "rule", "name"),
    [
        ((spike, of_height_one), Rectangular(width=0.4), "cotangent stands for cotangent (1 / width)"),
        (downhill, Muon(), "SGD(lr=0.02)"),
        (AdamW(lr=0.002), AdamW(), "lr=0.002"),
        (Adam(weight_decay=0.1), AdamW(weight_decay=0.1), "Adam(weight_decay=0.1)"),
        (ArcTan(alpha=3.7), ArcTan(), "alpha=3.7"),
        (Affine(bits=4), Affine(), "bits=4"),
        (Magnitude(sparsity=0.7), Magnitude(), "sparsity=0.7"),
        (SET(zeta=0.6), SET(), "zeta=0.6"),
        (EightBit(Adam(lr=0.002)), EightBit(), "rule_lr=0.002"),
        (NormalizedBatchPerceptron(), BatchPerceptron(), "NormalizedBatchPerceptron"),
        (BatchScaledRate(lr=0.35), BatchScaledRate(), "lr=0.35"),
    ],
    ids=lambda value: str(value) if isinstance(value, Rule) else "",
)
def test_verify_names_what_identify_names(candidate: Any, rule: Rule, name: str) -> None:
    verdict = refgrad.verify(candidate, rule, steps=STEPS, shrink=False)
    assert verdict.outcome == "does not conform"
    assert verdict.explanation is not None, verdict
    assert verdict.explanation.name == name
    assert not [note for note in verdict.notes if "was ended after" in note]


def claim_of(candidate: Any, rule: Rule, inputs: Any = None, seconds: float = 60.0) -> Claim:
    asked = {"steps": 4, "dtype": np.dtype(np.float32), "inputs": inputs, "explain": seconds, "time_limit": 60.0}
    return Claim.of(Request(candidate=candidate, rule=rule, **asked))


@pytest.mark.slow
def test_what_only_the_screen_does_not_see_is_not_told() -> None:
    """One element of thousands is wrong besides, so that nothing that fits the few fits the whole."""

    def almost(p: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, t: int) -> Any:
        p, state = AdamW(eps_placement="inside").step(p, g, {"m": m, "v": v, "t": t - 1})
        p = p.copy()
        p.reshape(-1)[1] += 1
        return p, state["m"], state["v"]

    claim = claim_of(almost, AdamW())
    record = claim.driven(claim.cases())
    found = explain(claim, record, claim.judge(record))
    assert found[0].name == "eps_placement=inside"
    assert found[0].outside == 4 * len(record.cases.arrays)
    assert not any(d.explains for d in found)


@pytest.mark.slow
def test_what_improves_nothing_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hypothesis under which as much is outside as under the claim is no nearest one."""
    claim = claim_of(AdamW(lr=0.5), AdamW(lr=0.1))
    record = claim.driven(claim.cases())
    tally = claim.judge(record)
    same, p = dict(tally.counts), tally.counts["p"]
    nearer = {**same, "p": Count(inside=p.inside + 1, outside=p.outside - 1, undecided=p.undecided)}
    told = [
        Scored(Change(n, n, "value", {"lr": 0.4}), counts, same) for n, counts in (("same", same), ("nearer", nearer))
    ]
    monkeypatch.setattr(departures, "_told", lambda *given: told)
    assert [d.name for d in explain(claim, record, tally)] == ["nearer"]


def test_a_whole_run_is_judged_as_something_else() -> None:
    claim = claim_of(SGD(lr=0.5), SGD(lr=0.1))
    record = claim.driven(claim.cases())
    half = Change("lr=0.5", "", "value", {"lr": 0.5})
    assert (judged(claim, record, half) or {})["p"].outside == 0
    assert judged(claim, record, NONE) == claim.judge(record).counts
    assert judged(claim, record, Change("lr=-1", "", "value", {"lr": -1.0})) is None


@pytest.mark.slow
def test_no_time_for_a_search_is_said() -> None:
    claim = claim_of(AdamW(eps_placement="inside"), AdamW(), seconds=0.0)
    record = claim.driven(claim.cases())
    assert explain(claim, record, claim.judge(record)) == ()
    assert record.notes == ["the search for what it is instead was ended after 0 seconds"]


def test_what_is_searched_on() -> None:
    optimizer, quantizer, matrices = claim_of(AdamW(), AdamW()), claim_of(Affine(), Affine()), claim_of(Muon(), Muon())
    for claim, screen in ((optimizer, StepScreen), (quantizer, RunScreen), (matrices, StepScreen)):
        record = claim.driven(claim.cases())
        found = screen_of(claim, record)
        assert type(found) is screen
        smaller = found.record.cases.arrays[0][claim.rule.primary].size
        assert smaller == record.cases.arrays[0][claim.rule.primary].size if claim is optimizer else smaller <= 1024


def test_a_candidate_that_refuses_small_cases_is_searched_on_all() -> None:
    def picky(x: np.ndarray) -> Any:
        if x.ndim == 2 and len(x) == 4 and x.shape[1] == 256:
            raise ValueError("too few rows")
        return Affine(ties="away").quantize(x).arrays

    claim = claim_of(picky, Affine())
    record = claim.driven(claim.cases())
    screen = screen_of(claim, record)
    assert isinstance(screen, RunScreen)
    assert screen.record is record or None not in screen.record.seen


def sophia(absolute: bool) -> Any:
    """Sophia by its algorithm, with the estimate's magnitude or the estimate itself."""
    f = np.float32

    def step(p: np.ndarray, g: np.ndarray, h: np.ndarray, m: np.ndarray, diagonal: np.ndarray, t: int) -> Any:
        m = f(0.96) * m + f(1 - 0.96) * g
        if (t - 1) % 10 == 0:
            diagonal = f(0.99) * diagonal + f(1 - 0.99) * (np.abs(h) if absolute else h)
        with np.errstate(all="ignore"):
            direction = np.clip(m / np.maximum(f(0.01) * diagonal, f(1e-12)), -1, 1)
        return p * f(1 - 1e-3 * 0.2) - f(1e-3) * direction, m, diagonal

    return step


def belief(corrected: bool) -> Any:
    """AdaBelief by its algorithm, with the deviation from the corrected mean or from the mean."""
    f = np.float32

    def step(p: np.ndarray, g: np.ndarray, m: np.ndarray, s: np.ndarray, t: int) -> Any:
        m = f(0.9) * m + f(1 - 0.9) * g
        d = g - (m / f(1 - 0.9**t) if corrected else m)
        s = f(0.999) * s + f(1 - 0.999) * d * d + f(1e-16)
        return p - f(1e-3) * (m / f(1 - 0.9**t)) / (np.sqrt(s / f(1 - 0.999**t)) + f(1e-16)), m, s

    return step


@pytest.mark.parametrize(
    ("make", "rule", "name"),
    [
        (sophia, Sophia(), "|h| stands for h"),
        (belief, AdaBelief(), "bias correction of m' by 1 - beta1^t in s'"),
    ],
    ids=["Sophia", "AdaBelief"],
)
def test_what_is_tried_late_is_named_and_is_not_the_rule(make: Any, rule: Rule, name: str) -> None:
    for wrong in (True, False):
        claim = claim_of(make(wrong), rule)
        search = Search(screen_of(claim, claim.drive(claim.cases())))
        search.plain()
        assert search.ranked[0].fits != wrong
        if wrong:
            search.further()
            assert search.ranked[0].fits
            assert search.ranked[0].change.name == name
            assert sum(s.fits for s in search.ranked) == 1


def of_half_the_range(x: np.ndarray) -> dict[str, np.ndarray]:
    """Scales for the range of another format, beside a convention that is harmless: zeros have the scale 1."""
    largest = np.float32(np.abs(x).max(initial=0))
    scale = np.float32(largest / np.float32(224)) if largest else np.float32(1)
    codes = np.clip(x / scale, -224, 224).astype(ml_dtypes.float8_e4m3fn).view(np.uint8)
    return {"scale": scale, "codes": codes}


@pytest.mark.slow
def test_a_fault_is_named_beside_a_convention() -> None:
    found = refgrad.verify(of_half_the_range, ScaledFloat()).explanation
    assert found is not None
    assert found.name == "empty_scale=one, half 448 in max(abs(x)) over each row / 448"
