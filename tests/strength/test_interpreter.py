"""A random program computes what the rule says: exactly where all is exact, and otherwise each run in its own way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad.optimizers import SGD, Adafactor, AdamW, Lion, Muon
from refgrad.optimizers.base import Optimizer
from refgrad.strength.interpreter import Program
from refgrad.strength.rounding_styles import PLAIN, STYLES, random_scalars
from refgrad.tracing import free_values, plan_for

SHAPE = (4, 6)
#: numbers and roundings of which no step is inexact: all that is computed is a small multiple of 1/1024
EXACT = (
    SGD(lr=0.25, momentum=0.5, weight_decay=0.5),
    SGD(lr=0.25, momentum=0.5, dampening=0.5, nesterov=False),
    Lion(lr=0.25, beta1=0.5, beta2=0.75, weight_decay=0.5),
)


def program(rule: Optimizer, seed: int, style: Any, whole: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a random program gives after one step, and what the rule gives, in float32."""
    random = np.random.Generator(np.random.Philox(7))
    draw = (lambda: random.integers(-8, 9, SHAPE)) if whole else (lambda: random.standard_normal(SHAPE))
    p, g = (draw().astype(np.float32) for _ in range(2))
    state = rule.init(p)
    free = free_values(SHAPE, {"t": 1})
    plan = plan_for(rule, 2, free)
    arrays = {"p": p, "g": g, **{n: state[n] for n in rule.slots()}}
    choices = np.random.Generator(np.random.Philox(seed))
    wide = {n: np.asarray(a, np.float64) for n, a in arrays.items()}
    found = Program(plan, wide, random_scalars(plan, free, choices), style, choices).run()
    want, after = rule.step(p, g, state, backend="numpy")
    return found, {"p": want, **{n: after[n] for n in rule.slots()}}


@pytest.mark.parametrize("rule", EXACT, ids=str)
@pytest.mark.parametrize("style", STYLES)
def test_where_all_is_exact_every_program_gives_the_same(rule: Optimizer, style: str) -> None:
    for seed in range(10):
        found, want = program(rule, seed, STYLES[style], whole=True)
        for name, values in want.items():
            assert np.array_equal(np.broadcast_to(found[name], values.shape), values), (seed, name)


@pytest.mark.parametrize("rule", [AdamW(), Adafactor(), Muon()], ids=str)
def test_each_program_is_another_and_all_are_near_to_the_rule(rule: Optimizer) -> None:
    results = set()
    for seed in range(8):
        found, want = program(rule, seed, STYLES["rewritten"])
        p = np.asarray(found["p"])
        assert np.array_equal(p, p.astype(np.float32))
        assert np.abs(p - want["p"]).max() < 1e-5
        results.add(p.tobytes())
    assert len(results) > 1


def test_outputs_are_read_again_as_they_were_stored() -> None:
    """A parameter that is computed from a stored average sees what is left of it."""
    rule = AdamW(beta1=0.5)
    random = np.random.Generator(np.random.Philox(0))
    p, g = (random.standard_normal(SHAPE).astype(np.float32) for _ in range(2))
    state, free = rule.init(p), free_values(SHAPE, {"t": 1})
    plan = plan_for(rule, 2, free)
    arrays = {n: np.asarray(a, np.float64) for n, a in {"p": p, "g": g, **{n: state[n] for n in rule.slots()}}.items()}

    def run(stored: Any) -> dict[str, np.ndarray]:
        return Program(plan, arrays, plan.scalars(*free), PLAIN, np.random.Generator(np.random.Philox(0)), stored).run()

    lost = run(lambda name, values: values * (name != "m"))
    assert not lost["m"].any()
    # without a first moment nothing is left of the step but the decay
    assert np.allclose(lost["p"], p * (1 - rule.lr * rule.weight_decay), rtol=1e-6)
    assert np.abs(run(lambda name, values: values)["p"] - lost["p"]).max() > 1e-4
