"""What `verify` says of candidates that are right, wrong, rude, or secretive."""

from __future__ import annotations

import json

import numpy as np
import pytest

import refgrad
from refgrad import ArgumentError, Inputs
from refgrad.candidates.resolve import resolve
from refgrad.errors import CandidateError
from refgrad.optimizers import LAMB, AdamW, Lion
from refgrad.oracle.inputs.steps import generate

RULE = AdamW()


def right(p, g, m, v, t):
    new, state = RULE.step(p, g, {"t": t - 1, "m": m, "v": v}, backend="numpy")
    return new, state["m"], state["v"]


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=2)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_a_rule_conforms_to_itself_on_every_dtype(dtype: str) -> None:
    verdict = refgrad.verify(AdamW(lr=1e-2), AdamW(lr=1e-2), dtype=dtype)
    assert verdict.conforms, str(verdict)
    assert verdict.mode == "step-locked"
    assert verdict.exit_code == 0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_verdict() -> None:
    first, second = (refgrad.verify(right, RULE, seed=3).to_dict() for _ in range(2))
    assert first == second
    assert json.loads(json.dumps(first, allow_nan=False)) == json.loads(json.dumps(second))


def test_hidden_state_is_judged_free_running() -> None:
    memory: dict[str, np.ndarray] = {}

    def hidden(p, g, t):
        m, v = memory.get(("m", p.shape), np.zeros_like(p)), memory.get(("v", p.shape), np.zeros_like(p))
        p, m, v = right(p, g, m, v, t)
        memory["m", p.shape], memory["v", p.shape] = m, v
        return p

    inputs = Inputs.of([1.0, -2.0, 0.0], [[0.5, 1.0, -3.0], [0.25, -1.0, 2.0], [1.0, 1.0, 1.0]])
    verdict = refgrad.verify(hidden, RULE, inputs=inputs)
    assert verdict.mode == "free-running"
    assert verdict.conforms, str(verdict)


def wrong_sign(p, g, m, t, half):
    c = np.float32(0.9) * m + np.float32(1 - 0.9) * g
    sign = np.where(np.abs(c) < 1e-6, np.float32(half), np.sign(c))
    return p - np.float32(1e-4) * sign, np.float32(0.99) * m + np.float32(1 - 0.99) * g


def near_zero() -> Inputs:
    """A second gradient that makes Lion's direction zero to within rounding."""
    g = np.float32(1.7)
    return Inputs.of([1.0], [[float(g)], [float(np.float32(-0.09) * g)]])


@pytest.mark.parametrize(("sign", "conforms"), [(1.0, True), (-1.0, True), (0.0, True), (0.5, False), (-0.5, False)])
def test_either_sign_of_nearly_zero_is_accepted_but_nothing_between(sign: float, conforms: bool) -> None:
    verdict = refgrad.verify(
        lambda p, g, m, t: wrong_sign(p, g, m, t, sign), Lion(), inputs=near_zero(), explain=False, shrink=False
    )
    assert verdict.conforms is conforms, str(verdict)
    if conforms:
        assert verdict.counts["p"].undecided == 1


def test_nan_and_infinity_by_class() -> None:
    inputs = Inputs.of([1.0, 1.0, 1.0], [[np.nan, np.inf, 0.5], [1.0, 1.0, 1.0]])
    assert refgrad.verify(right, RULE, inputs=inputs).conforms

    def swallows(p, g, m, v, t):
        return right(p, np.nan_to_num(g, nan=0.0), m, v, t)

    verdict = refgrad.verify(swallows, RULE, inputs=inputs, explain=False, shrink=False)
    assert not verdict.conforms
    assert verdict.first is not None
    assert verdict.first.index == (0,)
    assert np.isnan(verdict.first.truth)


def raises(p, g, m, v, t):
    raise ZeroDivisionError("by zero")


def mutates(p, g, m, v, t):
    result = right(p, g, m, v, t)
    g += 1
    return result


def wider(p, g, m, v, t):
    return right(p.astype(np.float64), g.astype(np.float64), m.astype(np.float64), v.astype(np.float64), t)


def flattened(p, g, m, v, t):
    return tuple(a.ravel() for a in right(p, g, m, v, t))


def aliasing(p, g, m, v, t):
    new = right(p, g, m, v, t)
    return new[0], g if t == 1 else m, new[2]


@pytest.mark.sample(quick=1, suite=3)
@pytest.mark.parametrize(
    ("candidate", "kind"),
    [(raises, "raised"), (mutates, "mutated"), (wider, "dtype"), (flattened, "shape"), (aliasing, "aliased")],
)
def test_rude_candidates_get_a_verdict(candidate: object, kind: str) -> None:
    verdict = refgrad.verify(candidate, RULE)
    assert not verdict.conforms
    assert kind in [fault.kind for fault in verdict.faults], str(verdict)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 3)])
def test_shapes(shape: tuple[int, ...]) -> None:
    p = np.ones(shape, np.float32)
    verdict = refgrad.verify(AdamW, AdamW, inputs=Inputs([p], [[p * 2], [p]]))
    assert (verdict.outcome, verdict.exit_code) == (("conforms", 0) if p.size else ("could not be judged", 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps is 0; legal: a whole number from 1"),
        ({"dtype": "int32"}, "legal: a float dtype"),
        ({"dtype": "flaot32"}, "legal: a float dtype"),
        ({"policy": {"subnormal": "keep"}}, "did you mean 'subnormals'"),
        ({"policy": {"roundings": 0}}, "legal: a whole number from 1 to 64"),
    ],
)
def test_bad_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        refgrad.verify(right, RULE, **arguments)


@pytest.mark.slow
def test_a_departure_is_named() -> None:
    def flushing(p, g, m, v, t):
        flush = lambda a: np.where(np.abs(a) < np.finfo(np.float32).tiny, np.float32(0), a)  # noqa: E731
        return tuple(flush(a) for a in right(p, flush(g), m, v, t))

    verdict = refgrad.verify(flushing, RULE)
    assert not verdict.conforms
    assert verdict.explanation is not None
    assert "subnormals" in verdict.explanation.name
    assert refgrad.verify(flushing, RULE, policy={"subnormals": "either"}).conforms


class Choosy:
    """A rule that wants parameters of so many elements."""

    name = "choosy"

    def __init__(self, rule, least):
        self.candidate, self.least = resolve(rule), least

    def start(self, rule, params):
        if min(p.size for p in params) < self.least:
            raise CandidateError(f"choosy wants {self.least} elements")
        return self.candidate.start(rule, params)


def test_a_candidate_that_is_not_built_with_a_small_parameter_is_shrunk_as_far_as_it_goes() -> None:
    verdict = refgrad.verify(Choosy(AdamW(lr=2e-3), 8), RULE, steps=2, explain=False)
    assert verdict.counterexample is not None
    assert 8 <= np.prod(verdict.counterexample.shape) < 16


@pytest.mark.slow
def test_a_candidate_that_is_not_built_with_smaller_leaves_is_explained_by_the_whole_run() -> None:
    inputs = generate(2, "float32", 0).only(0)
    verdict = refgrad.verify(Choosy(LAMB(eps=1e-3), 4096), LAMB(), inputs=inputs, shrink=False, explain=120)
    assert not verdict.conforms
    assert verdict.explanation is not None
    assert (verdict.explanation.name, verdict.explanation.sure) == ("eps=0.001", "fact")
