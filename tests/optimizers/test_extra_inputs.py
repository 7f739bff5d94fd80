"""Rules whose step takes more than parameter, gradient and state: the mechanism, on a rule that has all kinds of inputs."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import optimizers as o
from refgrad.arithmetic.exact import evaluate
from refgrad.errors import ArgumentError
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs.steps import completed, generate
from refgrad.rule import Extra, Extras, NonNegative, State, copy_of_param, zeros_like_param
from refgrad.tracing import literal


class Mixed(Optimizer):
    """A rule for these tests: it is in no registry."""

    lr: NonNegative = 0.1
    sigma: NonNegative = 0.5

    extras = Extras(
        second=Extra("gradient", at="there"),
        h=Extra("curvature"),
        noise=Extra("noise", when="sigma"),
        bits=Extra("bits", bits=8),
        loss=Extra("loss"),
    )
    state = State(there=copy_of_param, m=zeros_like_param)

    def update(self, p: Any, g: Any, second: Any, h: Any, noise: Any, bits: Any, loss: Any, *rest: Any) -> Any:
        there, m, _ = rest
        there = p + g
        m = 0.5 * m + second / np.maximum(h, 1.0)
        if self.sigma:
            m = m + self.sigma * noise
        rate = self.lr * (loss - 1.0) if loss > 1.0 else self.lr
        return p - rate * m - bits * 2.0**-12, there, m


RULE = Mixed()


def case(dtype: Any = np.float32, shape: tuple[int, ...] = (3, 4)) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    random = np.random.default_rng(0)
    p, g, second, noise = (random.standard_normal(shape).astype(dtype) for _ in range(4))
    h = (random.standard_normal(shape) ** 2 + 1).astype(dtype)
    bits = random.integers(0, 256, shape).astype(np.uint32)
    return p, g, {"second": second, "h": h, "noise": noise, "bits": bits, "loss": 2.5}


def function(p: Any, g: Any, second: Any, h: Any, noise: Any, bits: Any, loss: Any, m: Any, lr: Any, sigma: Any) -> Any:
    """The rule once more, its way around."""
    m = m * np.float32(0.5) + second / np.maximum(h, np.float32(1)) + np.float32(sigma) * noise
    rate = lr * (loss - 1.0) if loss > 1.0 else lr
    return p - np.float32(rate) * m - bits.astype(np.float32) / np.float32(4096), m


def test_every_backend_gives_the_same_bits() -> None:
    p, g, extras = case(shape=(64, 33))
    results = []
    for backend in ("numpy", "numba"):
        for loss in (0.5, 2.5):
            results.append(RULE.step(p, g, RULE.init(p), backend=backend, **{**extras, "loss": loss}))
    for (a, one), (b, other) in zip(results[:2], results[2:], strict=True):
        assert np.array_equal(a, b)
        assert all(np.array_equal(one[n], other[n]) for n in one)
    assert not np.array_equal(results[0][0], results[1][0])


def test_in_place_is_the_pure_step_and_leaves_inputs_alone() -> None:
    p, g, extras = case()
    new, state = RULE.step(p, g, RULE.init(p), **extras)
    before = {n: np.copy(a) for n, a in extras.items()}
    own, q = RULE.init(p), p.copy()
    RULE.step_(q, g, own, **extras)
    assert np.array_equal(q, new)
    assert all(np.array_equal(own[n], state[n]) for n in state)
    assert all(np.array_equal(extras[n], a) for n, a in before.items())


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_trees_and_other_dtypes(dtype: str) -> None:
    p, g, extras = case(np.dtype(dtype))
    tree = lambda a: {"a": a, "b": [a[:1]]} if isinstance(a, np.ndarray) else a  # noqa: E731
    new, state = RULE.step(tree(p), tree(g), RULE.init(tree(p)), **{n: tree(a) for n, a in extras.items()})
    alone, own = RULE.step(p, g, RULE.init(p), **extras)
    assert np.array_equal(new["a"], alone)
    assert np.array_equal(new["b"][0], alone[:1])
    assert np.array_equal(state["m"]["a"], own["m"])
    assert new["a"].dtype == np.dtype(dtype)


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=1)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_the_enclosure_holds_what_the_backends_give(dtype: str) -> None:
    for backend in ("numpy", "numba"):
        verdict = refgrad.verify(RULE, RULE, steps=3, dtype=dtype, options={"backend": backend})
        assert verdict.conforms, str(verdict)
        assert verdict.mode == "step-locked"
        assert set(verdict.counts) == {"p", "m", "there"}


def test_the_graph_with_many_digits_is_the_body_on_exact_numbers() -> None:
    random = np.random.default_rng(1)
    few = lambda: random.integers(-8, 9, (3, 4)) / 4  # noqa: E731
    arrays = {n: few() for n in ("p", "g", "second", "noise", "m")} | {"h": 2.0 ** random.integers(0, 3, (3, 4))}
    arrays |= {"there": few(), "bits": random.integers(0, 256, (3, 4)) * 1.0}
    rule = Mixed(lr=0.25)  # every operation is exact on these
    scalar_values = {"t": 1.0, "loss": 2.5}
    many = evaluate(rule.plan((3, 4), 1, {"loss": 2.5}).graph, arrays, {**rule.numbers(), **scalar_values}, 40)
    plain = literal(rule, arrays, scalar_values)
    assert all(np.array_equal(np.asarray(many[n], np.float64), plain[n]) for n in plain)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"second": None}, "Mixed's step needs second=, another gradient"),
        ({"secnd": 1.0}, "takes no input 'secnd'; did you mean 'second'"),
        ({"loss": "much"}, "loss is 'much'; legal: a number"),
        ({"h": np.ones(3, np.float32)}, r"h.shape is \(3,\); legal: \(3, 4\)"),
        ({"h": np.ones((3, 4))}, "h.dtype is 'float64'"),
        ({"h": [1.0]}, "h is a list"),
        ({"bits": np.full((3, 4), 256, np.uint32)}, r"bits is .*256.*; legal: whole numbers from 0 to 2\*\*8 - 1"),
        ({"bits": np.full((3, 4), 0.5, np.float32)}, "bits is .*0.5"),
        ({"bits": np.full((3, 4), -1, np.int32)}, "bits is dtype.*int32"),
    ],
    ids=str,
)
def test_illegal_inputs_are_refused(changes: dict[str, Any], message: str) -> None:
    p, g, extras = case()
    given = {n: v for n, v in {**extras, **changes}.items() if v is not None}
    state, q = RULE.init(p), p.copy()
    for step in (RULE.step, RULE.step_):
        with pytest.raises(ArgumentError, match=message):
            step(q, g, state, **given)
    assert np.array_equal(p, q)
    assert state["t"] == 0


def test_shared_memory_is_refused_where_it_is_written() -> None:
    p, g, extras = case()
    with pytest.raises(ArgumentError, match="share memory"):
        RULE.step_(p, g, RULE.init(p), **{**extras, "h": p})
    RULE.step_(p, g, RULE.init(p), **{**extras, "second": g})  # both are only read


def test_rules_without_extra_inputs_take_none() -> None:
    p = np.ones(3, np.float32)
    with pytest.raises(ArgumentError, match="AdamW takes no input 'loss'; legal besides p, g, state: none"):
        o.AdamW().step(p, p.copy(), o.AdamW().init(p), loss=1.0)


def test_an_input_that_is_switched_off_is_not_asked_for() -> None:
    p, g, extras = case()
    rule = Mixed(sigma=0.0)
    assert list(rule.inputs()) == ["second", "h", "bits", "loss"]
    del extras["noise"]
    rule.step(p, g, rule.init(p), **extras)


@pytest.mark.slow
def test_a_function_is_judged() -> None:
    verdict = refgrad.verify(function, RULE)
    assert verdict.conforms, str(verdict)
    assert set(verdict.counts) == {"p", "m"}


@pytest.mark.sample(quick=1, suite=2)
@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["second", "h", "noise", "bits", "loss"])
def test_a_function_that_misreads_one_input_differs_and_the_line_reproduces_it(wrong: str) -> None:
    def misread(
        p: Any, g: Any, second: Any, h: Any, noise: Any, bits: Any, loss: Any, m: Any, lr: Any, sigma: Any
    ) -> Any:
        given: dict[str, Any] = {"second": second, "h": h, "noise": noise, "bits": bits, "loss": loss}
        given[wrong] = given[wrong] * 2 if wrong != "bits" else given[wrong] + np.uint32(1)
        return function(p, g, *given.values(), m, lr, sigma)

    verdict = refgrad.verify(misread, RULE, steps=4, explain=False)
    assert verdict.exit_code == 1
    assert verdict.counterexample is not None
    assert set(verdict.counterexample.extras) == set(RULE.inputs())
    line = verdict.reproduce.replace(f"{Mixed.__module__}.Mixed", "Mixed")
    name = line[len("refgrad.verify(") : line.index(", Mixed")]
    again = eval(line.replace(name, "misread"), {"refgrad": refgrad, "Mixed": Mixed, "misread": misread})
    assert again.exit_code == 1
    assert name in str(verdict)


def test_inputs_that_change_an_input_are_a_fault() -> None:
    def writes(
        p: Any, g: Any, second: Any, h: Any, noise: Any, bits: Any, loss: Any, m: Any, lr: Any, sigma: Any
    ) -> Any:
        result = function(p, g, second, h, noise, bits, loss, m, lr, sigma)
        h[...] = 0
        return result

    assert refgrad.verify(writes, RULE, shrink=False, explain=False).faults[0].kind == "mutated"


def test_generated_inputs_are_the_same_each_time_and_for_each_name() -> None:
    one, other = generate(4, "float32", 3, RULE), generate(4, "float32", 3, RULE)
    for a, b in [(one.extras(t), other.extras(t)) for t in (1, 2, 3, 4)]:
        assert a["loss"] == b["loss"]
        assert all(
            np.array_equal(x, y) for n in ("second", "h", "noise", "bits") for x, y in zip(a[n], b[n], strict=True)
        )
    fewer = completed(generate(4, "float32", 3), Mixed(sigma=0.0))
    assert all(np.array_equal(x, y) for x, y in zip(fewer.extras(3)["h"], one.extras(3)["h"], strict=True))


def test_own_inputs_must_have_them() -> None:
    inputs = refgrad.Inputs.of([1.0, 2.0], [[0.5, 0.25]])
    with pytest.raises(ArgumentError, match=r"inputs have no 'second'"):
        refgrad.verify(function, RULE, inputs=inputs)


def test_wrappers_hand_extra_inputs_on() -> None:
    p, g, extras = case()
    rule = o.Lookahead(inner=RULE, k=1.0, alpha=0.5)
    new, _ = rule.step(p, g, rule.init(p), **extras)
    inner, _ = RULE.step(p, g, RULE.init(p), **extras)
    assert np.array_equal(new, p + np.float32(0.5) * (inner - p))


def test_torch_takes_them_by_name_or_by_closure() -> None:
    torch = pytest.importorskip("torch")

    class Theirs(torch.optim.Optimizer):
        def __init__(self, params: Any, lr: float = 0.1, sigma: float = 0.5) -> None:
            super().__init__(params, {"lr": lr, "sigma": sigma})

        def step(self, closure: Any, h: Any, noise: Any, bits: Any) -> None:  # type: ignore[override]
            loss = closure().item()
            group = self.param_groups[0]
            with torch.no_grad():
                for p in group["params"]:
                    p.add_(p.grad)
                    self.state[p]["old"] = p.grad.clone()
                closure()
                for p, diagonal, normal, whole in zip(group["params"], h, noise, bits, strict=True):
                    p.sub_(self.state[p]["old"])
                    state = self.state[p]
                    m = state.get("m", torch.zeros_like(p)) * 0.5 + p.grad / diagonal.clamp_min(1.0)
                    state["m"] = m + group["sigma"] * normal
                    rate = group["lr"] * (loss - 1.0) if loss > 1.0 else group["lr"]
                    p.sub_(rate * state["m"]).sub_(whole.to(torch.float32) * 2.0**-12)

    # the point is added to and taken from again, which rounds: whole numbers keep it exact
    whole = lambda k: np.arange(k, k + 4, dtype=np.float32)  # noqa: E731
    extras = {"second": [whole(2), whole(1)], "h": [whole(1), whole(0)], "noise": [whole(3), whole(-2)]}
    bits = [np.arange(4, dtype=np.uint32), np.full(4, 255, np.uint32)]
    inputs = refgrad.Inputs.of(whole(0), [whole(1), whole(-3)], bits=bits, loss=[2.0, 1.0], **extras)
    first = refgrad.verify(Theirs, RULE, inputs=inputs.at_steps([0]))
    assert first.conforms, str(first)
    assert set(first.counts) == {"p", "m", "there"}
    verdict = refgrad.verify(Theirs, Mixed(lr=0.2), inputs=inputs, options={"lr": 0.1}, explain=False, shrink=False)
    assert verdict.exit_code == 1
    assert sys.modules["torch"].is_grad_enabled()
