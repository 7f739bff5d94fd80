"""Hyperparameters that act through decisions alone: the values with which no decision is wrong, as an exact count has them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import Inputs
from refgrad.arithmetic.primitives import tree_sum
from refgrad.optimizers import Lion
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.hypotheses.recovered import Recovered
from refgrad.rule import NonNegative, Positive


class Gated(Optimizer):
    """A step of one length for gradients that are large enough; no rule of the catalogue."""

    lr: Positive = 1e-3
    gate: NonNegative = 1.0

    def update(self, p: Any, g: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        return (p - self.lr * np.where(np.abs(g) > self.gate, g, 0.5 * g),)


class GatedRows(Gated):
    """The same of whole rows."""

    def update(self, p: Any, g: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        return (p - self.lr * np.where(tree_sum(g * g, "row") > self.gate, g, 0.5 * g),)


RANDOM = np.random.Generator(np.random.Philox(3))
P, *G = (RANDOM.standard_normal((24, 24)).astype(np.float32) for _ in range(5))
INPUTS = Inputs([P], [[g] for g in G])


def told(used: Optimizer, claimed: Optimizer) -> dict[str, Recovered]:
    """What was recovered of a rule that claims to be itself at other hyperparameters; nothing else may explain it."""
    found = refgrad.identify(used, claimed, inputs=INPUTS)
    assert [e.title for e in found.explanations] == [str(used)], str(found)
    assert found.best is not None
    return {r.name: r for r in found.best.recovered}


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=3)
@pytest.mark.parametrize(
    ("used", "claimed", "name"),
    [
        (Lion(beta1=0.93), Lion(), "beta1"),
        (Lion(beta1=0.93, beta2=0.98, lr=3.3e-4, weight_decay=0.02), Lion(weight_decay=0.1), "beta1"),
        (Gated(gate=1.3), Gated(), "gate"),
        (Gated(gate=1.3, lr=3.3e-3), Gated(), "gate"),
        (GatedRows(gate=30.0), GatedRows(gate=20.0), "gate"),
    ],
    ids=str,
)
def test_what_decisions_tell(used: Optimizer, claimed: Optimizer, name: str) -> None:
    found = told(used, claimed)
    assert {n for n, v in used.numbers().items() if v != claimed.numbers()[n]} <= set(found)
    for each, r in found.items():
        assert r.low <= used.numbers()[each] <= r.high, r
    assert found[name].determined
    assert not found[name].low <= claimed.numbers()[name] <= found[name].high


@pytest.mark.slow
def test_the_interval_is_what_the_signs_leave() -> None:
    """Each sign of beta1 m + (1 - beta1) g says on which side of g / (g - m) beta1 lies; the ends are the nearest of these."""
    used, p = Lion(beta1=0.93), P
    below, above = Fraction(0), Fraction(1)
    state = used.init(p)
    for each in G:
        moved, after = used.step(p, each, state)
        for gradient, m, step in zip(each.flat, state["m"].flat, (moved - p).flat, strict=True):
            if gradient * m < 0 and step:
                edge = Fraction(float(gradient)) / (Fraction(float(gradient)) - Fraction(float(m)))
                # the step goes against the sign, which is that of m where beta1 is larger than the edge
                below, above = (max(below, edge), above) if (step < 0) == (m > 0) else (below, min(above, edge))
        p, state = moved, after
    found = told(used, Lion())["beta1"]
    assert found.low <= below < Fraction(0.93) < above <= found.high
    width = float(above - below)
    for beyond in (found.low - width / 50, found.high + width / 50):
        verdict = refgrad.verify(used, Lion(beta1=beyond), inputs=INPUTS, explain=False, shrink=False)
        assert verdict.exit_code == 1


def test_decisions_that_all_went_right_tell_nothing_wrong() -> None:
    """Gradients so far from the gate that it may lie anywhere between: nothing but the claim is named."""
    inputs = Inputs.of([1.0, 2.0, -3.0], [[0.5, 2.0, -0.25], [0.25, -3.0, 0.5]])
    found = refgrad.identify(Gated(gate=1.3), Gated(), inputs=inputs)
    assert found.best is not None
    assert found.best.title == "Gated", str(found)
    assert not found.best.recovered
