"""Inputs aimed at decisions: they land there, and they catch what no other input catches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import optimizers as o
from refgrad.oracle.inputs.decision_boundaries import decisions
from refgrad.oracle.inputs.steps import generate
from refgrad.strength.exercised import exercised
from tests.depth import at_depth
from tests.oracle.cases import shipped
from tests.oracle.rewritten import rewritten

#: wrong on nothing but a thin strip beside a decision's edge
ONLY_AIMED: list[tuple[Any, ...]] = [
    # a sign that is zero in a dead zone, relative to what cancels in it
    (o.Lion(beta1=0.7), "np.sign(c)", "np.where(np.abs(c) < 2.0**-18 * np.abs(self.beta1 * m), 0.0, np.sign(c))"),
    (o.Lion(beta1=0.7), "np.sign(c)", "np.where(np.abs(c) < 2.0**-18 * np.abs(self.beta1 * m), 0.5, np.sign(c))"),
    # maxima that take the larger one only if it is larger by a little
    (
        o.Adamax(),
        "np.maximum(self.beta2 * u, size)",
        "np.where(size > self.beta2 * u * (1 + 2.0**-18), size, self.beta2 * u)",
    ),
    (
        o.Adamax(),
        "np.maximum(self.beta2 * u, size)",
        "np.where(self.beta2 * u > size * (1 + 2.0**-18), self.beta2 * u, size)",
    ),
]


@pytest.mark.sample(suite=2)
@pytest.mark.slow
@pytest.mark.parametrize("case", ONLY_AIMED, ids=lambda c: f"{type(c[0]).__name__}: {c[2]}")
def test_a_thin_strip_is_found_by_aimed_inputs_alone(case: tuple[Any, ...]) -> None:
    rule, mutant = case[0], rewritten(*case)
    for seed in range(3):
        plain = generate(10, "float32", seed)
        assert refgrad.verify(mutant, rule, inputs=plain).conforms
        verdict = refgrad.verify(mutant, rule, seed=seed, shrink=False, explain=False)
        assert verdict.exit_code == 1, str(verdict)


DECIDING = [rule for rule in map(exercised, shipped()) if decisions(rule.plan((4, 4), 7))]


STEPS = at_depth(quick=3, suite=3, thorough=6)


@pytest.mark.sample(quick=3, suite=10)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("rule", DECIDING, ids=str)
def test_the_rule_itself_conforms_on_them(rule: Any, dtype: str) -> None:
    plain, aimed = generate(STEPS, dtype, 1), generate(STEPS, dtype, 1, rule)
    assert (
        rule.plan((2, 2), 1).graph.matrix()
        or all(  # those have smaller inputs of their own
            a.dtype == b.dtype and a.shape == b.shape
            for x, y in zip(plain.g, aimed.g, strict=True)
            for a, b in zip(x, y[: len(x)], strict=True)
        )
    )
    again = generate(STEPS, dtype, 1, rule)
    assert all(
        a.tobytes() == b.tobytes() for x, y in zip(again.g, aimed.g, strict=True) for a, b in zip(x, y, strict=True)
    )
    refgrad.verify(rule, rule, inputs=aimed).raise_if_wrong()


def test_they_land_where_the_sign_is_open() -> None:
    """More than a twentieth of all signs in the aimed leaves, against hardly any in others."""
    rule = o.Lion(beta1=0.7)
    undecided = [
        refgrad.verify(rule, rule, inputs=inputs, explain=False, shrink=False).counts["p"].undecided
        for inputs in (generate(10, "float32", 0), generate(10, "float32", 0, rule))
    ]
    assert undecided[1] - undecided[0] > 2 * 4096 * 9 / 20


def test_rules_without_decisions_get_the_plain_inputs() -> None:
    plain, aimed = generate(3, "float32", 0), generate(3, "float32", 0, o.AdamW())
    assert all(
        a.tobytes() == b.tobytes() for x, y in zip(plain.g, aimed.g, strict=True) for a, b in zip(x, y, strict=True)
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_leaves_are_small_as_a_whole_where_a_norm_has_an_eps(dtype: str) -> None:
    """Those of a tensor-wide eps, and rows of each eps of several."""
    made = generate(3, dtype, 0, o.NovoGrad(eps=1e-8))
    assert made.names[3:] == ["eps", "root of eps"]
    for leaf, size in ((3, 1e-8), (4, 1e-4)):
        for g in (made.p, *made.g):
            norms = np.sqrt((g[leaf].astype(np.float64) ** 2).sum(1))
            assert size / 2**9 * 8 * 0.5 < norms.min() < norms.max() < size * 8 * 2
    assert generate(3, dtype, 0, o.AdamW()).names == generate(3, dtype, 0, o.SGDP(eps=0.0)).names == made.names[:3]
    rows = np.abs(generate(3, dtype, 0, o.CAME(eps1=1e-20, eps2=1e-6)).p[3].astype(np.float64)).max(1)
    assert rows[::2].max() < 1e-19 < 1e-9 < rows[1::2].min()


def test_a_decision_that_is_one_a_row_is_met() -> None:
    """AdamP's rows near the edge of its test of the cosine."""
    rule = o.AdamP()
    inputs = generate(6, "float32", 0, rule)
    moved = [
        t for t, (x, y) in enumerate(zip(generate(6, "float32", 0).g, inputs.g, strict=True), 1) if (x[0] != y[0]).any()
    ]
    assert moved == [2, 6]
    p, state = inputs.p[0], rule.init(inputs.p[0])
    p, state = rule.step(p, inputs.g[0][0], state, backend="numpy")
    p, g = p.astype(np.float64), inputs.g[1][0].astype(np.float64)
    cosine = np.abs((p * g).sum(1)) / np.sqrt((p * p).sum(1) * (g * g).sum(1))
    at_edge = np.abs(cosine / (rule.delta / np.sqrt(p.shape[1])) - 1) < 1 / 8
    assert at_edge.mean() > 0.5
