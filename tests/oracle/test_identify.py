"""What `identify` says of candidates that are rules, variants, wrong in a known way, or nothing that it knows."""

from __future__ import annotations

import importlib
import json
import math
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import ArgumentError, CandidateError, Inputs
from refgrad.optimizers import ADOPT, SGD, AdamW, Lion, ZeroNaNs
from refgrad.oracle.explanation import AMBIGUOUS, IDENTIFIED, MISBEHAVES, UNKNOWN
from refgrad.oracle.identification import Identification
from tests.optimizers.test_stored import CHANCE, UNFAIR, drawing
from tests.oracle.adam_cases import LEGAL, MUTANTS, Program
from tests.oracle.identified import ADAM, REWRITTEN, UNNAMED
from tests.oracle.rewritten import MUTANTS as TEXTS
from tests.oracle.rewritten import ids, rewritten


def named(program: Program, rule: Any = AdamW, **options: Any) -> Identification:
    """What a program in NumPy is."""

    def candidate(p, g, m, v, t):
        with np.errstate(all="ignore"):
            return program(p, g, m, v, t)

    return refgrad.identify(candidate, rule, **options)


def titles(found: Identification) -> list[str]:
    return [explanation.title for explanation in found.explanations]


def test_every_mutant_has_a_name_or_a_reason() -> None:
    assert {*ADAM, *UNNAMED} == set(MUTANTS)
    assert not {*ADAM} & {*UNNAMED}


@pytest.mark.sample(suite=1)
@pytest.mark.slow
@pytest.mark.parametrize("name", ADAM)
def test_a_mutant_is_named(name: str) -> None:
    found = named(MUTANTS[name], steps=6)
    assert found.outcome in (IDENTIFIED, AMBIGUOUS), str(found)
    assert found.best is not None
    assert found.best.title in [f"AdamW{end}" for end in ADAM[name]], str(found)
    assert found.best.outside == 0
    assert found.itself is not None
    assert found.itself.outside > 0


@pytest.mark.sample(quick=1, suite=1)
@pytest.mark.slow
@pytest.mark.parametrize("name", LEGAL)
def test_a_legal_program_is_the_rule_itself(name: str) -> None:
    found = named(LEGAL[name], steps=6)
    assert titles(found) == ["AdamW"], str(found)


CASES = [case for case in TEXTS if (type(case[0]).__name__, *case[1:3]) in REWRITTEN and len(case) == 3]


# every second of them: a search takes seconds
@pytest.mark.sample(suite=1)
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES[::2], ids=ids)
def test_a_rewritten_rule_is_named(case: tuple[Any, ...]) -> None:
    rule, old, new = case
    found = refgrad.identify(rewritten(*case), rule)
    assert found.best is not None, str(found)
    assert found.best.title.startswith(type(rule).__name__)
    assert found.best.title.endswith(REWRITTEN[type(rule).__name__, old, new]), str(found)


@pytest.mark.slow
def test_what_no_rewrite_makes_is_nothing_known() -> None:
    found = named(MUTANTS["gradient plus its mean"], steps=4)
    assert found.outcome == UNKNOWN
    assert found.exit_code == 1
    assert found.explanations == ()
    assert 1 <= len(found.nearest) <= 3
    assert all(e.outside for e in found.nearest)
    assert "nothing that I know" in str(found)


@pytest.mark.slow
def test_hypotheses_that_leave_the_real_numbers_do_not_end_the_search() -> None:
    """Some rewrites of ADOPT take a root of a negative number of steps."""
    found = refgrad.identify(ADOPT(), ADOPT(), steps=4)
    assert found.outcome == IDENTIFIED, str(found)
    assert titles(found)[0] == "ADOPT"


@pytest.mark.thorough
@pytest.mark.slow
def test_a_nonsense_candidate_is_nothing_known_among_all_rules() -> None:
    def nonsense(p, g, m, t):
        return (p - np.float32(0.01) * np.tanh(g + m)).astype(p.dtype), (np.float32(0.7) * m + np.sin(g)).astype(
            p.dtype
        )

    found = refgrad.identify(nonsense, steps=3)
    assert found.outcome == UNKNOWN, str(found)
    assert found.claim is None
    assert len(found.rules) > 1


@pytest.mark.parametrize(("seconds", "told"), [(0.0, True), (math.inf, False)])
def test_a_search_has_a_budget_and_says_when_it_ended(
    monkeypatch: pytest.MonkeyPatch, seconds: float, told: bool
) -> None:
    """What the rule itself says of a candidate is known all the same."""
    monkeypatch.setattr(importlib.import_module("refgrad.oracle.identify"), "SECONDS", seconds)
    found = refgrad.identify(lambda x: np.sin(x) * np.float32(3), ZeroNaNs(), steps=2)
    ended = [note for note in found.notes if "ended after 0 seconds of processor time" in note]
    assert bool(ended) is told
    assert found.outcome == UNKNOWN
    assert found.itself is not None
    assert (found.hypotheses < 8) is told
    assert not told or ended[0] in str(found)


@pytest.mark.sample(suite=1)
@pytest.mark.slow
@pytest.mark.parametrize("name", ["textbook", "folded_eps"])
def test_a_program_is_found_among_all_rules(name: str) -> None:
    found = named(LEGAL[name], None, steps=4)
    assert found.best is not None
    assert found.best.title == "AdamW", str(found)


@pytest.mark.slow
def test_two_faults_in_two_tensors() -> None:
    def both(p, g, m, v, t):
        m_new = MUTANTS["1 - beta1 missing"](p, g, m, v, t)[1]
        _, _, v_new = LEGAL["textbook"](p, g, m, v, t)
        direction = m_new / np.float32(1 - 0.9**t) / np.sqrt(v_new / np.float32(1 - 0.999**t) + np.float32(1e-8))
        return p - np.float32(1e-3) * (direction + np.float32(1e-2) * p), m_new, v_new

    found = named(both, steps=5)
    assert titles(found) == ["AdamW(eps_placement='inside') with g stands for (1 - beta1) g"], str(found)


@pytest.mark.slow
def test_the_hyperparameters_that_were_used() -> None:
    used = AdamW(lr=3e-4, beta2=0.95, eps=1e-6, weight_decay=0.1)
    found = refgrad.identify(used, AdamW(), steps=5)
    assert titles(found) == ["AdamW(lr=0.0003, beta2=0.95, eps=1e-06, weight_decay=0.1)"], str(found)
    assert found.best is not None
    told = {r.name: r for r in found.best.recovered if r.output == "p"}
    assert {n: r.value for n, r in told.items() if n != "beta2"} == {
        "lr": 3e-4,
        "beta1": 0.9,
        "eps": 1e-6,
        "weight_decay": 0.1,
    } or {"lr", "eps", "weight_decay"} <= set(told)
    for name, r in told.items():
        assert r.low <= getattr(used, name) <= r.high
        assert r.determined


@pytest.mark.thorough
@pytest.mark.slow
def test_a_wrong_rate_of_a_wrong_variant() -> None:
    found = refgrad.identify(AdamW(lr=3e-4, eps_placement="inside"), AdamW())
    assert titles(found) == ["AdamW(lr=0.0003, eps_placement='inside')"], str(found)


@pytest.mark.thorough
@pytest.mark.slow
def test_explanations_that_the_inputs_do_not_tell_apart_are_all_named() -> None:
    """With positive gradients alone, a magnitude or a sign that is missing does not show."""
    inputs = Inputs.of([1.0, 2.0, -3.0], [[1.0, 0.5, 2.0]])
    found = refgrad.identify(Lion(), Lion, inputs=inputs)
    assert found.outcome == AMBIGUOUS
    assert titles(found)[0] == "Lion"
    assert len(titles(found)) > 1
    assert "differ from it on other inputs" in str(found)
    assert refgrad.identify(Lion(), Lion, steps=4).outcome == IDENTIFIED


@pytest.mark.slow
def test_hidden_state_is_judged_from_the_start() -> None:
    memory: dict[Any, np.ndarray] = {}

    def hidden(p, g, t):
        m, v = (memory.get((n, p.shape, t), np.zeros_like(p)) for n in "mv")
        p, m, v = MUTANTS["eps inside the root"](p, g, m, v, t)
        memory["m", p.shape, t + 1], memory["v", p.shape, t + 1] = m, v
        return p

    inputs = Inputs.of(np.linspace(-1, 1, 8), [np.linspace(-2, 1, 8) * 1e-4, np.linspace(1, -3, 8) * 1e-4])
    found = refgrad.identify(hidden, AdamW, inputs=inputs)
    assert found.mode == "free-running"
    assert "AdamW(eps_placement='inside')" in titles(found), str(found)


@pytest.mark.thorough
@pytest.mark.slow
def test_the_same_twice_and_as_json() -> None:
    first, second = (named(MUTANTS["eps twice"], steps=3).to_dict() for _ in range(2))
    assert first == second
    assert (
        json.loads(json.dumps(first, allow_nan=False))["explanations"][0]["name"] == "eps under the root and beside it"
    )


@pytest.mark.slow
def test_what_a_person_reads() -> None:
    text = str(named(MUTANTS["eps twice"], steps=3)).splitlines()
    assert text[0].endswith("is AdamW with eps under the root and beside it")
    assert "0 of " in "\n".join(text[:6])
    assert "AdamW itself: " in "\n".join(text[:6])
    assert any("sqrt(v_hat + eps) + eps" in line for line in text)


def test_whatever_raises_is_a_fault() -> None:
    def raises(p, g, m, v, t):
        raise ZeroDivisionError("by zero")

    found = refgrad.identify(raises, AdamW)
    assert (found.outcome, found.exit_code) == ("misbehaves", 1)
    assert found.faults[0].kind == "raised"


def test_bad_arguments() -> None:
    with pytest.raises(ArgumentError, match=r"legal: a rule such as .*, or one of 'optimizer'"):
        refgrad.identify(AdamW, "AdamW")
    with pytest.raises(CandidateError, match="stands for nothing"):
        refgrad.identify(lambda p, g, momenta: (p, momenta), SGD)


@pytest.mark.thorough
@pytest.mark.slow
def test_a_failing_verdict_names_a_mutant() -> None:
    def candidate(p, g, m, v, t):
        with np.errstate(all="ignore"):
            return MUTANTS["eps twice"](p, g, m, v, t)

    verdict = refgrad.verify(candidate, AdamW(), shrink=False)
    assert verdict.explanation is not None
    assert verdict.explanation.name == "eps under the root and beside it"


@pytest.mark.thorough
@pytest.mark.slow
def test_random_bits_that_a_candidate_draws_by_itself_are_not_held_against_it() -> None:
    found = refgrad.identify(drawing(lambda bits, t: bits), CHANCE, steps=4)
    assert found.best is not None, str(found)
    assert found.best.kind == "none"
    assert found.exit_code == 0
    unfair, _ = UNFAIR["the same at every step"]
    found = refgrad.identify(drawing(unfair), CHANCE, steps=4)
    assert found.outcome == MISBEHAVES
    assert [f.kind for f in found.faults] == ["biased"]
