"""Programs that conform, held against runs with random errors of the size of roundings: notes, and no refusal."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.examples import formulas
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.unlike import FARTHER, Distance, distances, said

F = np.float32
FEW: dict[str, Any] = {"explain": False, "shrink": False}
NOTE = "conforms, but unlike"


def attention(q, k, v, scale):
    scores = F(scale) * (q @ k.T)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers @ v / powers.sum(axis=-1, keepdims=True)


def by_powers_of_two(constant: float) -> Any:
    def attention(q, k, v, scale):
        scores = F(scale) * (q @ k.T)
        powers = np.exp2((scores - scores.max(axis=-1, keepdims=True)) * F(constant))
        return powers @ v / powers.sum(axis=-1, keepdims=True)

    return attention


def notes(program: Any, rule: Any, **how: Any) -> list[str]:
    verdict = refgrad.verify(program, rule, **how, **FEW)
    assert verdict.conforms
    assert verdict.exit_code == 0
    return [note for note in verdict.notes if note.startswith(NOTE)]


@pytest.mark.slow
def test_a_constant_that_is_cut_is_told_and_not_refused() -> None:
    (note,) = notes(by_powers_of_two(1.4427), formulas.attention())
    assert 10 < float(note.partition("result is ")[2].partition(" ")[0]) < 20, note


@pytest.mark.slow
@pytest.mark.parametrize("program", [attention, by_powers_of_two(math.log2(math.e))], ids=["written", "powers of two"])
def test_of_right_programs_nothing_is_told(program: Any) -> None:
    assert notes(program, formulas.attention()) == []


def found(rule: Any, program: Any, policy: Policy | None = None, dtype: str = "float32") -> dict[str, Distance]:
    random = np.random.Generator(np.random.Philox(0))
    arrays = {n: a.astype(dtype) for n, a in rule.drawn(rule.lengths, random).items()}
    got = program(*(a.copy() for a in arrays.values()))
    return distances(rule, [arrays], [got if isinstance(got, dict) else {"result": got}], policy or Policy())


def in_float16(q, k, v):
    shares = refgrad.softmax(F(0.125) * (q @ k.T))
    return shares.astype(np.float16).astype(F) @ v


def test_what_is_kept_at_a_place_is_a_rounding_where_the_policy_says_so() -> None:
    rule = formulas.attention()
    (told,) = said(found(rule, in_float16))
    assert told.startswith(f"{NOTE}: result is")
    assert found(rule, in_float16, Policy(stored={"p": "float16"}))["result"].farther < 1


def test_the_nearest_form_counts() -> None:
    @refgrad.formula(x="batch feature")
    def variance(x: Any) -> Any:
        return np.mean((x - np.mean(x, axis=-1, keepdims=True)) ** 2, axis=-1)

    def in_one_pass(x: Any) -> Any:
        return np.mean(x * x, axis=-1) - np.mean(x, axis=-1) ** 2

    def far(x: Any) -> Any:
        return in_one_pass(x + F(30)) if x.dtype == np.float32 else in_one_pass(x)

    assert found(variance(), far)["result"].farther > FARTHER
    assert found(variance(), in_one_pass)["result"].farther < FARTHER
    variance.form("moved")(lambda x: in_one_pass(x + 30.0))
    assert found(variance(), far)["result"].farther < FARTHER


def test_a_gradient_is_held_against_runs_of_its_derivation() -> None:
    rule = formulas.softmax().backward

    def right(x: Any, grad_output: Any) -> dict[str, Any]:
        shares = refgrad.softmax(x)
        return {"grad_x": shares * (grad_output - np.sum(shares * grad_output, axis=-1, keepdims=True))}

    def off(x: Any, grad_output: Any) -> dict[str, Any]:
        return {"grad_x": right(x, grad_output)["grad_x"] * F(1 + 1e-5)}

    assert list(said(found(rule, right))) == []
    assert len(list(said(found(rule, off)))) == 1


def test_of_what_is_exact_nothing_is_told() -> None:
    @refgrad.formula(x="batch feature")
    def turned(x: Any) -> Any:
        return x.T[::-1]

    assert found(turned(), lambda x: x.T[::-1]) == {}
