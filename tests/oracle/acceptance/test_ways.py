"""Rules with more ways through their decisions than are followed: never condemned, never confirmed; one of every kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import Cases, Inputs, MaskInputs
from refgrad.arithmetic import enclosure
from refgrad.arithmetic.primitives import tree_max, tree_sum
from refgrad.estimators.base import Estimator, Parameter, Parameters
from refgrad.oracle.engine.verdict import Verdict
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.transform import Transform
from refgrad.quantizers.rows import Layout, RowQuantizer
from refgrad.rule import NonNegative, State
from refgrad.sparsity.base import Unstructured

FACTORS = (0.1, 0.3, 0.7, 1.1, 1.3, 1.7, 1.9, 2.3)


def digits(a: Any, b: Any, n: int) -> Any:
    """A number whose digits to the base three are signs, which all say whether a is larger than b."""
    return sum(3.0**k * np.sign(a * c - b * c) for k, c in enumerate(FACTORS[:n]))


def few(monkeypatch: pytest.MonkeyPatch, ways: int = 20) -> None:
    """Follow no more ways than a few."""
    monkeypatch.setattr(enclosure, "most_ways", lambda size: ways)


def counts(verdict: Verdict) -> dict[str, tuple[int, int, int]]:
    """Inside, outside, undecided, by output."""
    return {name: (c.inside, c.outside, c.undecided) for name, c in verdict.counts.items()}


X = np.random.default_rng(0).standard_normal(8).astype(np.float32)
#: half of it is X
Y = np.concatenate([X[:4], -X[4:]])


def signed(n: int) -> Optimizer:
    """A rule with many signs, of which an element where p and g are equal may take any."""

    class Signed(Optimizer):
        lr: NonNegative = 1.0
        state = State()

        def update(self, p: Any, g: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
            return (p - self.lr * digits(g, p, n),)

    return Signed()


def drawing(n: int, off: float = 1.0) -> Callable[..., Any]:
    """A legal program: where p and g are equal it takes signs at random; one coefficient may be off."""
    random = np.random.default_rng(1)

    def step(p: Any, g: Any, t: Any, lr: Any) -> Any:
        total = np.zeros_like(p)
        for k, c in enumerate(FACTORS[:n]):
            sign = np.where(g == p, random.choice([-1, 1], p.shape), np.sign(g * np.float32(c) - p * np.float32(c)))
            total = total + np.float32(3.0**k * (off if k == n - 1 else 1.0)) * sign.astype(p.dtype)
        return p - np.float32(lr) * total

    return step


def optimized(candidate: Callable[..., Any], n: int) -> Verdict:
    return refgrad.verify(candidate, signed(n), inputs=Inputs([Y], [[X]], ["x"]), explain=False, shrink=False)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 8])
def test_a_legal_program_is_right_however_many_signs_there_are(n: int) -> None:
    verdict = optimized(drawing(n), n)
    assert verdict.conforms, str(verdict)
    assert counts(verdict) == {"p": (4, 0, 4)}


@pytest.mark.parametrize("n", [2, 3, 5, 7])
def test_one_coefficient_that_is_off_is_outside_at_every_element(n: int) -> None:
    assert counts(optimized(drawing(n, 1.01), n)) == {"p": (0, 8, 0)}


def test_an_optimizer_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is open is undecided, right or wrong; the rest is decided as ever."""
    few(monkeypatch)
    assert counts(optimized(drawing(5), 5)) == {"p": (4, 0, 4)}
    assert counts(optimized(drawing(5, 1.01), 5)) == {"p": (0, 4, 4)}
    equal = Inputs([X], [[X]], ["x"])
    verdict = refgrad.verify(drawing(5), signed(5), inputs=equal, explain=False, shrink=False)
    assert (verdict.outcome, counts(verdict)) == ("could not be judged", {"p": (0, 0, 8)})


def test_a_step_that_cannot_be_read_is_unknown_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state is hidden: it is carried on as anything where it has more ways."""

    class Hidden(Optimizer):
        state = State(m=lambda p: np.zeros_like(p))

        def update(self, p: Any, g: Any, m: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
            return p - m, digits(g, p, 4)

    def make() -> Callable[..., Any]:
        rest: dict[str, Any] = {}
        random = np.random.default_rng(1)

        def step(p: Any, g: Any) -> Any:
            m = rest.get("m", np.zeros_like(p))
            choices = random.choice([-1, 1], (4, *p.shape))
            signs = [np.where(g == p, choices[k], np.sign(g - p)) for k in range(4)]
            rest["m"] = sum(np.float32(3.0**k) * s for k, s in enumerate(signs)).astype(p.dtype)
            return p - m

        return step

    inputs = Inputs([Y], [[X], [X]], ["x"])
    for ways in (20, 81):
        few(monkeypatch, ways)
        verdict = refgrad.verify(make(), Hidden(), inputs=inputs, explain=False, shrink=False)
        assert verdict.counts["p"].outside == 0, str(verdict)


class Steep(Estimator):
    """Its value has many signs of x and its parameter, as has the derivative; the parameter's gradient is a sum of these."""

    parameters = Parameters(edge=Parameter())

    def forward(self, x: Any, edge: Any) -> Any:
        return digits(x, edge, 4)

    def backward(self, cotangent: Any, x: Any, edge: Any) -> Any:
        each = cotangent * digits(x, edge, 4)
        return each, tree_sum(each)


def steep(wrong: float = 1.0) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def value(x: Any, edge: Any) -> Any:
        ones = np.where(x > edge, 1, -1)
        return (np.float32(wrong) * 40 * ones).astype(x.dtype)

    def derivative(g: Any, x: Any, edge: Any) -> Any:
        each = (g * 40 * np.where(x > edge, 1, -1)).astype(x.dtype)
        return each, each.sum(dtype=x.dtype).reshape(edge.shape)

    return value, derivative


def test_an_estimator_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """So is the sum of what is undecided, and no other one."""
    few(monkeypatch)
    equal = np.full(8, X[0])
    for x, (expected, total) in {
        "all": (equal, ((0, 0, 8), (0, 0, 1))),
        "some": (np.where(np.arange(8) < 4, X[0], -2 * np.abs(X)).astype(np.float32), ((4, 0, 4), (0, 0, 1))),
        "none": ((-2 * np.abs(X)).astype(np.float32), ((8, 0, 0), (1, 0, 0))),
    }.values() and (
        (equal, ((0, 0, 8), (0, 0, 1))),
        (np.where(np.arange(8) < 4, X[0], X[0] - np.abs(X)).astype(np.float32), ((4, 0, 4), (0, 0, 1))),
        ((X[0] - np.abs(X)).astype(np.float32), ((8, 0, 0), (1, 0, 0))),
    ):
        cases = Cases([{"x": x, "cotangent": Y, "edge": np.full(1, X[0])}], ["x"])
        verdict = refgrad.verify(steep(), Steep(), inputs=cases, explain=False, shrink=False)
        assert counts(verdict) == {"y": expected, "x_grad": expected, "edge_grad": total}
        wrong = refgrad.verify(steep(1.01), Steep(), inputs=cases, explain=False, shrink=False)
        assert counts(wrong)["y"] == (0, expected[0], expected[2])
