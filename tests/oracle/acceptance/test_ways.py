"""Rules with more ways through their decisions than are followed: never condemned, never confirmed; one of every kind."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import Cases, Inputs
from refgrad.arithmetic import enclosure
from refgrad.arithmetic.enclosure import LEAST_WAYS
from refgrad.arithmetic.graph import Graph
from refgrad.arithmetic.operations import OUTCOMES
from refgrad.arithmetic.primitives import tree_max, tree_sum
from refgrad.arithmetic.running_error import Bounded
from refgrad.errors import ArgumentError
from refgrad.estimators.base import Estimator, Parameter, Parameters
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.transform import Transform
from refgrad.oracle.acceptance.judge import Step, judge
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, UNDECIDED
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.quantized_state import judge_codes
from refgrad.oracle.engine.verdict import Verdict
from refgrad.quantizers.base import Quantized
from refgrad.quantizers.eight_bit import EightBit
from refgrad.quantizers.rows import Layout, RowQuantizer
from refgrad.rule import Choice, Flag, NonNegative, State, rules, zeros_like_param
from refgrad.sparsity.base import Unstructured
from refgrad.tracing import free_values, plan_for

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


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, pytest.param(8, marks=pytest.mark.thorough)])
def test_a_legal_program_is_right_however_many_signs_there_are(n: int) -> None:
    verdict = optimized(drawing(n), n)
    assert verdict.conforms, str(verdict)
    assert counts(verdict) == {"p": (4, 0, 4)}


@pytest.mark.parametrize("n", [2, 3, 5, pytest.param(7, marks=pytest.mark.slow)])
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


class Hidden(Optimizer):
    """A state of many signs, by which the next step goes; not registered."""

    state = State(m=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        return p - m, digits(g, p, 4)


@pytest.mark.parametrize(("ways", "bounds", "expected"), [(20, np.inf, UNDECIDED), (81, 40.0, INSIDE)])
def test_a_state_that_cannot_be_read_is_carried_on_as_anything(
    monkeypatch: pytest.MonkeyPatch, ways: int, bounds: float, expected: int
) -> None:
    few(monkeypatch, ways)
    plan = Hidden().plan((8,), 1)
    free = dict(zip(plan.free, free_values((8,), {"t": 1.0}), strict=True))
    given = {"p": Bounded(Y.astype(np.float64)), "g": Bounded(X.astype(np.float64)), "m": Bounded(np.zeros(8))}
    _, carried = judge(Step(plan, free, given, {"p": Y}), Policy())
    assert np.allclose(carried["m"].bound()[:4], bounds)
    assert np.allclose(carried["m"].value[4:], np.sign(X - Y)[4:] * 40)
    moved = {**given, "m": carried["m"]}
    for step, last in ((39.0, expected), (41.0, UNDECIDED if ways == 20 else OUTSIDE)):
        new = Y - np.where(np.arange(8) < 4, np.float32(step), np.sign(X - Y) * np.float32(40))
        judged, _ = judge(Step(plan, free, moved, {"p": new.astype(np.float32)}), Policy())
        assert judged["p"].status.tolist() == [last] * 4 + [INSIDE] * 4


class Steep(Estimator):
    """Its value has many signs of x and its parameter, as has the derivative; the parameter's gradient is a sum of these."""

    parameters = Parameters(edge=Parameter())

    def forward(self, x: Any, edge: Any) -> Any:
        return digits(x, edge, 4)

    def backward(self, cotangent: Any, x: Any, edge: Any) -> Any:
        each = cotangent * digits(x, edge, 4)
        return each, tree_sum(each)


#: what all four signs make together
ALL = 40.0


def steep(off: float = 1.0) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Both functions, every sign taken for one where it is open; the value may be off."""

    def side(x: Any, edge: Any) -> Any:
        return np.where(x >= edge, ALL, -ALL).astype(x.dtype)

    def derivative(cotangent: Any, x: Any, edge: Any) -> Any:
        each = cotangent * side(x, edge)
        return each, each.sum().reshape(edge.shape)

    return lambda x, edge: np.float32(off) * side(x, edge), derivative


@pytest.mark.parametrize(
    ("equal", "elements", "total"), [(8, (0, 0, 8), (0, 0, 1)), (4, (4, 0, 4), (0, 0, 1)), (0, (8, 0, 0), (1, 0, 0))]
)
def test_an_estimator_beyond_the_limit(
    monkeypatch: pytest.MonkeyPatch, equal: int, elements: tuple[int, ...], total: tuple[int, ...]
) -> None:
    """The sum of what is undecided is undecided too, and no other one."""
    few(monkeypatch)
    edge = np.full(1, X[0])
    x = np.where(np.arange(8) < equal, edge, edge - 1 - np.abs(X)).astype(np.float32)
    cases = Cases([{"x": x, "cotangent": np.abs(X), "edge": edge}], ["x"])
    verdict = refgrad.verify(steep(), Steep(), inputs=cases, explain=False, shrink=False)
    assert counts(verdict) == {"y": elements, "x_grad": elements, "edge_grad": total}
    assert verdict.outcome == ("could not be judged" if equal else "conforms")  # no sum of what is undecided is known
    wrong = refgrad.verify(steep(1.01), Steep(), inputs=cases, explain=False, shrink=False)
    assert counts(wrong) == {"y": (0, elements[0], elements[2]), "x_grad": elements, "edge_grad": total}


class Kept(Unstructured):
    """A mask whose scores are many signs of two arrays."""

    def scores(self, w: Any, edge: Any) -> Any:
        return digits(w, edge, 4) + w


#: the first two may have any score from -40 to 40 and a little; the others have 41, 42, -41, -42
W = np.asarray([0.5, 0.25, 1.0, 2.0, -1.0, -2.0], np.float32)
CASE = {"w": W, "edge": np.asarray([0.5, 0.25, 0.0, 0.0, 0.0, 0.0], np.float32)}


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ([0, 2, 3], (4, 0, 2)),
        ([1, 2, 3], (4, 0, 2)),
        ([2, 3, 4], (4, 0, 2)),
        ([2, 3, 5], (2, 2, 2)),
        ([0, 2, 4], (2, 2, 2)),
    ],
)
def test_a_mask_beyond_the_limit(
    monkeypatch: pytest.MonkeyPatch, kept: list[int], expected: tuple[int, int, int]
) -> None:
    """Entries of which nothing is known may be kept or not; the order of the others is as it is."""
    few(monkeypatch)
    mask = np.isin(np.arange(6), kept)
    verdict = refgrad.verify(lambda w, edge: mask, Kept(), inputs=Cases([CASE], ["w"]), explain=False, shrink=False)
    found = counts(verdict)["mask"]
    assert found[1] == expected[1], str(verdict)
    assert found[0] + found[2] == 6 - expected[1]
    assert found[2] >= 2


def test_scores_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch)
    scores = np.where(W >= CASE["edge"], ALL, -ALL).astype(np.float32) + W
    for off, expected in ((0.0, (4, 0, 2)), (1e-3, (0, 4, 2))):
        judged = refgrad.verify(
            lambda w, edge, off=off: (scores + np.float32(off), np.argsort(np.argsort(-scores)) < 3),
            Kept(),
            inputs=Cases([CASE], ["w"]),
            explain=False,
            shrink=False,
        )
        assert counts(judged)["scores"] == expected


def test_scores_that_go_different_ways_are_each_right() -> None:
    """One entry has the lowest score that it may have and another one the highest."""
    scores = np.asarray([-ALL, ALL, ALL, ALL, -ALL, -ALL], np.float32) + W
    candidate = lambda w, edge: (scores, np.argsort(np.argsort(-scores)) < 3)  # noqa: E731
    verdict = refgrad.verify(candidate, Kept(), inputs=Cases([CASE], ["w"]), explain=False, shrink=False)
    assert verdict.conforms, str(verdict)


class Coded(RowQuantizer):
    """One scale a row, and codes that are many signs of each element and the scale."""

    parts = ("scale", "codes")

    def layout(self, shape: tuple[int, ...]) -> Layout:
        return Layout.flat(shape, 4)

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        scale = tree_max(np.abs(given["x"]), "row")
        codes = digits(given["x"], scale, 4)
        return {"scale": scale, "codes": codes, "y": self.restore({"scale": scale, "codes": codes})}

    def restore(self, parts: Mapping[str, Any]) -> Any:
        return parts["codes"] * parts["scale"]

    def stored(self, part: str, values: np.ndarray, layout: Layout) -> np.ndarray:
        return values.reshape(-1) if part == "scale" else layout.joined(values.astype(np.int8))

    def values(self, part: str, kept: np.ndarray, layout: Layout) -> np.ndarray:
        return kept.reshape(-1, 1) if part == "scale" else layout.cut(kept.astype(np.float32))


def coded(x: Any, off: int = 0) -> dict[str, np.ndarray]:
    """Every sign of the largest elements taken for one, where the rule takes it for zero."""
    scale = np.abs(x).reshape(-1, 4).max(axis=1)
    codes = np.where(x.reshape(-1, 4) == scale[:, None], ALL, off - ALL).reshape(-1).astype(np.int8)
    return {"scale": scale, "codes": codes}


@pytest.mark.parametrize(("off", "expected"), [(0, (6, 0, 2)), (1, (0, 6, 2))])
def test_a_quantizer_beyond_the_limit(
    monkeypatch: pytest.MonkeyPatch, off: int, expected: tuple[int, int, int]
) -> None:
    x = np.abs(X)
    assert counts(refgrad.verify(lambda x: coded(x), Coded(), inputs=Cases([{"x": x}], ["x"])))["codes"] == (8, 0, 0)
    few(monkeypatch)
    verdict = refgrad.verify(
        lambda x: coded(x, off), Coded(), inputs=Cases([{"x": x}], ["x"]), explain=False, shrink=False
    )
    assert counts(verdict)["codes"] == expected
    known = judge_codes(Coded(), Bounded(x.astype(np.float64)), Quantized(coded(x, off), x.shape, x.dtype), Policy())
    assert np.bincount(known["codes"].status, minlength=3).tolist() == list(expected)


class Chosen(Transform):
    """How many of some numbers are larger than others; each comparison is a choice."""

    shapes = {"a": "n", "b": "n"}

    def apply(self, a: Any, b: Any) -> Any:
        larger = (a * 0.1 - b * 0.1 > 0.0).astype(np.float32)
        return np.sum(a * larger), np.sum(a * 1.0)


@pytest.mark.parametrize(("equal", "expected"), [(6, (1, 0, 0)), (7, (0, 0, 1))])
def test_a_transform_beyond_the_limit(equal: int, expected: tuple[int, int, int]) -> None:
    """The case is undecided as a whole, right or wrong: six choices go 64 ways, seven go more."""
    a = np.arange(1, 9, dtype=np.float32)
    b = np.where(np.arange(8) < equal, a, 100.0).astype(np.float32)
    cases = Cases([{"a": a, "b": b}], ["a"])
    for wrong in (0.0, 0.5):
        subset = np.float32(4.0 + 2.0 + wrong)  # the second and the fourth count as larger
        verdict = refgrad.verify(
            lambda a, b, s=subset: (s, np.sum(a)), Chosen(), inputs=cases, explain=False, shrink=False
        )
        right = expected if not wrong or equal == 7 else (0, 1, 0)
        assert counts(verdict)["result[0]"] == right
        assert verdict.outcome == ("could not be judged" if equal == 7 else "does not conform" if wrong else "conforms")


def graphs(rule: Any) -> Iterator[Graph]:
    """What a rule is judged through: the graph of its body, early and late; none where it is run as it stands."""
    if isinstance(rule, EightBit):
        yield from (graph for part in (rule.rule, rule.signed, rule.unsigned) for graph in graphs(part))
        return
    for t in () if isinstance(rule, Transform) else (1.0, 7.0):
        try:
            yield plan_for(rule, 2, free_values((4, 4), dict.fromkeys(rule.scalar_inputs(), t))).graph
        except NotImplementedError:
            return
        if not rule.scalar_inputs():
            return


def most(rule: Any) -> int:
    """How many ways an element has at most: every decision that it may depend on open, none tied to another."""
    return max((math.prod(OUTCOMES[n.op] for n in g.nodes if n.op in OUTCOMES) for g in graphs(rule)), default=1)


def named(rule: Any) -> Iterator[Any]:
    """A rule and those that differ from it in one named behaviour, as far as that is legal."""
    yield rule
    for name, legal in rule.legal().items():
        values: list[Any] = list(legal.sentences) if isinstance(legal, Choice) else []
        for value in values + ([True, False] if isinstance(legal, Flag) else []):
            with contextlib.suppress(ArgumentError):
                if value != getattr(rule, name) and name != "scalars":
                    yield rule.replace(**{name: value})


@pytest.mark.slow
def test_no_rule_shipped_has_more_ways_than_are_followed() -> None:
    """Those with 64 and more are the table of docs/enclosure.md; as many as the most has are followed of every element."""
    shipped = [cls() for cls in rules().values()]
    ways = {str(rule): most(rule) for base in shipped for rule in named(base)}
    assert sum(w > 1 for w in ways.values()) > 200
    assert max(ways.values()) == 384 < LEAST_WAYS
    text = Path(__file__).parents[3].joinpath("docs", "enclosure.md").read_text()
    table = dict(re.findall(r"^\| `(.*)` \| (\d+) \|", text, re.MULTILINE))
    assert {rule: int(w) for rule, w in table.items()} == {rule: w for rule, w in ways.items() if w >= 64}
