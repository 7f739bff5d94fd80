"""Rules without a graph: legal programs of their bodies, and mutants of their texts, a user's rule among them."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.optimizers import ParameterScaledRate, SpikedRate
from refgrad.optimizers.transform import Transform
from refgrad.strength.body_interpreter import BodyRun
from refgrad.strength.body_programs import body_mutants, legal_program, mutated_program
from refgrad.strength.programs import programs_of
from refgrad.strength.rounding_styles import STYLES


class Centred(Transform):
    """Rows without their mean: a user's own rule, in a file of its own."""

    shapes = {"x": "n d"}

    def apply(self, x):
        return x - np.mean(x, axis=1, keepdims=True)


def numbers(seed: int = 0) -> dict[str, np.ndarray]:
    return {"x": np.random.Generator(np.random.Philox(seed)).standard_normal((6, 5)).astype(np.float32)}


def test_mutants_are_told_apart_in_real_arithmetic() -> None:
    """What is the same number in another form is no mutant; each alteration is of one place in the text."""
    rule = ParameterScaledRate()
    cases = [case.arrays for case in programs_of(rule).cases(0)]
    found = body_mutants(rule, cases)
    names = {m.name for m in found}
    assert len(names) == len(found) > 10
    assert names >= {"div for mul in p * p", "double for sum in np.sum(p * p)"}
    # the last case is all zeros, and twice nothing is nothing
    assert not [m for m in body_mutants(rule, cases[-1:]) if m.name.startswith("double for sum")]


def test_the_text_of_a_users_rule_is_mutated_too() -> None:
    found = {m.name: m for m in body_mutants(Centred(), [numbers()])}
    assert "sum for mean in np.mean(x, axis=1, keepdims=True)" in found
    assert all(m.sentence.endswith("of test_body_programs.py") for m in found.values())
    x = numbers()["x"]
    added = mutated_program(Centred(), found["add for sub in x - np.mean(x, axis=1, keepdims=True)"], {"x": x})
    assert np.allclose(added["result"], x + x.mean(axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("style", STYLES)
def test_legal_programs_are_near_to_the_rule(style: str) -> None:
    random = np.random.Generator(np.random.Philox(3))
    x = numbers()["x"]
    found = [legal_program(Centred(), {"x": x}, random, STYLES[style])["result"] for _ in range(8)]
    assert len({f.tobytes() for f in found}) > 1
    assert all(np.allclose(f, x - x.mean(axis=1, keepdims=True), atol=1e-6) for f in found)


def test_real_arithmetic_is_finer_than_float64() -> None:
    x = numbers()["x"]
    real = BodyRun().results(Centred(), {"x": x})["result"]
    assert real.dtype == np.longdouble
    assert np.array_equal(mutated_program(Centred(), None, {"x": x})["result"].shape, real.shape)


def test_formulas_of_one_number_are_run_and_mutated() -> None:
    rule, case = SpikedRate(noise=2.0), {"batch": np.array(7.0), "epochs": np.array(1.0)}
    want = rule.rate(7)
    rates = {float(legal_program(rule, case, _generator(seed), STYLES["thrice"])["rate"]) for seed in range(40)}
    assert len(rates) > 3
    assert all(abs(rate / want - 1) < 1e-14 for rate in rates)
    found = {m.name: m for m in body_mutants(rule, [case])}
    doubled = mutated_program(rule, found["double for mul in s * s"], case)["rate"]
    s = 2.0 / 7**0.5
    assert abs(doubled - 2 / (1 + 2 * s * s)) < 1e-14


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))
