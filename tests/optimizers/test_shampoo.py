"""Shampoo and SOAP: the equations once more in sixty digits, laws, and implementations that we did not write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

import refgrad
from refgrad.arithmetic import exact, matrix_error
from refgrad.arithmetic.running_error import Bounded
from refgrad.optimizers import SOAP, Shampoo
from refgrad.oracle.acceptance.comparing import model_for
from refgrad.oracle.acceptance.policy import Policy
from refgrad.surveys.implementations.drivers import on_copies
from refgrad.surveys.implementations.inputs import regular_matrices
from refgrad.tracing import free_values
from tests.optimizers.test_muon import HADAMARD
from tests.optimizers.test_paper import DIGITS, Hyperparameters

RANDOM = np.random.default_rng(5)
TINY = mpf(10) ** -(DIGITS - 15)


def power(s: Any, exponent: Any) -> Any:
    """A power of a positive definite matrix, e^(exponent log S), without a decomposition."""
    return mpmath.expm(exponent * mpmath.logm(s))


def shampoo(p: Any, g: Any, s: dict[str, Any], t: int, h: Any) -> Any:
    g = g + h.weight_decay * p
    exponent = -mpf(1) / (2 if h.exponent == "order" else 4)
    due = t % h.interval == 0 if h.refresh == "whole" else (t - 1) % h.interval == 0
    s["left"] = s["left"] + g * g.T
    if due:
        s["left_root"] = power(s["left"], exponent)
    half = s["left_root"] * g
    other = half if h.statistics == "preconditioned" else g
    s["right"] = s["right"] + other.T * other
    if due:
        s["right_root"] = power(s["right"], exponent)
    return p - h.lr * half * s["right_root"]


def matrix(a: Any) -> Any:
    return mpmath.matrix(np.asarray(a, np.float64).tolist())


def arrays_of(rule: Any, state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {n: state[n] for n in rule.slots()}


def names_of(rule: Any, plan: Any, shape: tuple[int, ...], t: int) -> dict[str, float]:
    return {**rule.numbers(), **dict(zip(plan.free, free_values(shape, {"t": t}), strict=True))}


def agree(got: Any, want: Any, slack: Any = TINY) -> None:
    flat = list(want) if isinstance(want, mpmath.matrix) else list(np.ravel(want))
    for a, b in zip(np.ravel(got), flat, strict=True):
        assert abs(a - b) <= slack * (1 + abs(b))


BASE = Shampoo(weight_decay=0.1, eps=0.5, interval=2)


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize("rule", [BASE, *(v for n, v in BASE.variants() if not n.startswith("scalars"))], ids=str)
def test_shampoo_is_the_papers_equations(rule: Shampoo) -> None:
    shape = (2, 3)
    p = RANDOM.standard_normal(shape)
    state = rule.init(p)
    assert np.array_equal(state["left"], 0.5 * np.eye(2))
    assert np.array_equal(state["right"], 0.5 * np.eye(3))
    for t in (1, 2, 3):
        g = RANDOM.standard_normal(shape)
        plan = rule.plan(shape, t)
        arrays = {"p": p, "g": g, **arrays_of(rule, state)}
        got = exact.evaluate(plan.graph, arrays, names_of(rule, plan, shape, t), DIGITS)
        with mpmath.workdps(DIGITS + 20):
            said = {n: matrix(state[n]) for n in rule.slots()}
            said["p"] = shampoo(matrix(p), matrix(g), said, t, Hyperparameters(rule))
            for name, want in said.items():
                agree(got[name], want)
        p, state = rule.step(p, g, state)


def test_shampoo_of_a_vector_has_one_preconditioner() -> None:
    rule, g = Shampoo(lr=1.0, eps=1.0), np.asarray([3.0, 4.0])
    p, state = rule.step(np.zeros(2), g, rule.init(np.zeros(2)))
    # (I + g g^T)^(-1/2) g is g over the root of 1 + g.g
    assert np.abs(p + g / np.sqrt(26.0)).max() <= 2.0**-50
    assert state["left"].shape == (2, 2)


def soap(p: Any, g: Any, s: dict[str, Any], t: int, h: Any) -> tuple[Any, dict[str, Any]]:
    """One step from the second on; and the products whose orthogonal factors are the next bases."""
    q_l, q_r = s["left_basis"], s["right_basis"]
    turned = q_l.T * g * q_r
    s["m"] = h.beta1 * s["m"] + (1 - h.beta1) * g
    s["v"] = h.beta2 * s["v"] + (1 - h.beta2) * turned.apply(lambda x: x**2)
    ahead = q_l.T * s["m"] * q_r
    n = mpmath.matrix(p.rows, p.cols)
    for i in range(p.rows):
        for j in range(p.cols):
            n[i, j] = ahead[i, j] / (mpmath.sqrt(s["v"][i, j]) + h.eps)
    size = h.lr
    if h.correct_bias:
        size *= mpmath.sqrt(1 - h.beta2 ** (t - 1)) / (1 - h.beta1 ** (t - 1))
    p = (1 - h.lr * h.weight_decay) * (p - size * (q_l * n * q_r.T))
    s["left"] = h.shampoo_beta * s["left"] + (1 - h.shampoo_beta) * (g * g.T)
    s["right"] = h.shampoo_beta * s["right"] + (1 - h.shampoo_beta) * (g.T * g)
    factored = {}
    if (t - 1) % h.interval == 0:
        orders = {}
        for side in ("left", "right"):
            q, second = s[f"{side}_basis"], s[side]
            quotients = [(q[:, j].T * second * q[:, j])[0] for j in range(q.cols)]
            orders[side] = sorted(range(q.cols), key=lambda j, known=quotients: -known[j])  # type: ignore[misc]
            product = second * q
            factored[side] = [[product[i, j] for j in orders[side]] for i in range(q.rows)]
        s["v"] = mpmath.matrix([[s["v"][i, j] for j in orders["right"]] for i in orders["left"]])
    return p, factored


@pytest.mark.parametrize("rule", [SOAP(interval=2), SOAP(interval=1, correct_bias=False, eps=0.1)], ids=str)
def test_soap_is_the_papers_equations(rule: SOAP) -> None:
    shape = (3, 2)
    p = RANDOM.standard_normal(shape)
    state = rule.init(p)
    for t in range(1, 6):
        g = RANDOM.standard_normal(shape)
        plan = rule.plan(shape, t)
        arrays = {"p": p, "g": g, **arrays_of(rule, state)}
        got = exact.evaluate(plan.graph, arrays, names_of(rule, plan, shape, t), DIGITS)
        with mpmath.workdps(DIGITS + 20):
            said = {n: matrix(state[n]) for n in rule.slots()}
            if t == 1:
                gain = 1 - mpf(rule.shampoo_beta)
                for side, gram in (("left", matrix(g) * matrix(g).T), ("right", matrix(g).T * matrix(g))):
                    agree(got[side], gain * gram)
                    diagonal = matrix_of(got[f"{side}_basis"]).T * (gain * gram) * matrix_of(got[f"{side}_basis"])
                    off = [abs(diagonal[i, j]) for i in range(gram.rows) for j in range(gram.rows) if i != j]
                    assert max(off) <= TINY
                    assert all(diagonal[i, i] >= diagonal[i + 1, i + 1] for i in range(gram.rows - 1))
                agree(got["p"], matrix(p))
            else:
                said["p"], factored = soap(matrix(p), matrix(g), said, t, Hyperparameters(rule))
                for name in ("p", "m", "v", "left", "right"):
                    agree(got[name], said[name])
                for side, product in factored.items():
                    q = matrix_of(got[f"{side}_basis"])
                    triangle = q.T * mpmath.matrix(product)
                    assert max(abs(triangle[i, j]) for i in range(q.rows) for j in range(i)) <= TINY
                    agree(np.asarray((q.T * q).tolist()), mpmath.eye(q.rows))
        p, state = rule.step(p, g, state)


def matrix_of(a: Any) -> Any:
    return mpmath.matrix(a.tolist())


# Laws.


def test_rotated_gradients_give_rotated_steps() -> None:
    """U G V moves a parameter of zero by U times the step times V: in sixty digits, by a rotation that is exact in binary."""
    rule, p = Shampoo(eps=1.0), np.zeros((4, 4))
    g = np.rint(RANDOM.standard_normal((4, 4)) * 64)
    moved = []
    for each in (g, HADAMARD @ g @ HADAMARD):
        plan, arrays = rule.plan(p.shape, 1), {"p": p, "g": each, **arrays_of(rule, rule.init(p))}
        moved.append(exact.evaluate(plan.graph, arrays, names_of(rule, plan, p.shape, 1), DIGITS)["p"])
    with mpmath.workdps(DIGITS):
        agree(moved[1], matrix(HADAMARD) * matrix_of(moved[0]) * matrix(HADAMARD))


@pytest.mark.slow
def test_a_root_is_within_its_bound_of_the_truth() -> None:
    """By float32 decompositions of ill-conditioned matrices too: NumPy's eigh and svd, in that precision."""
    model = model_for(Policy(), np.dtype(np.float32))
    for spread in (0.0, 2.0, 4.0):
        for order in (2, 4):
            basis = np.linalg.qr(RANDOM.standard_normal((6, 6)))[0]
            s = (basis * 10.0 ** RANDOM.uniform(-spread, 0.0, 6)) @ basis.T
            s = ((s + s.T) / 2).astype(np.float32)
            known = matrix_error.inverse_root(Bounded(s.astype(np.float64)), order, model)
            values, vectors = np.linalg.eigh(s)
            u, sizes, v = np.linalg.svd(s)
            with mpmath.workdps(DIGITS):
                truth = np.asarray(power(matrix(s), -mpf(1) / order).tolist(), dtype=object)
            for found in ((vectors * values ** (-1 / order)) @ vectors.T, (u * sizes ** (-1 / order)) @ v, truth):
                assert np.all(np.abs(found.astype(object) - known.value) <= known.bound())
            assert spread > 2.0 or known.bound().max() < 0.1 * np.abs(known.value).max()


@pytest.mark.parametrize("spoil", ["turned", "scaled", "swapped", "none"])
def test_eigenvectors_are_judged_by_their_residuals(spoil: str) -> None:
    model = model_for(Policy(), np.dtype(np.float32))
    s = RANDOM.standard_normal((5, 5))
    s = (s @ s.T).astype(np.float32)
    q = np.linalg.eigh(s)[1][:, ::-1].copy() * np.asarray([1, -1, 1, -1, 1], np.float32)
    if spoil == "turned":
        q[:, 0] += 1e-3 * q[:, 1]
    if spoil == "scaled":
        q[:, 2] *= 1.001
    if spoil == "swapped":
        q = q[:, [1, 0, 2, 3, 4]]
    seen = q.astype(np.float64)
    found = matrix_error.eigenbasis(Bounded(s.astype(np.float64)), Bounded(seen), model)
    outside = (np.abs(seen - found.value) > found.bound()).any(axis=0)
    assert outside.any() == (spoil != "none")


# Implementations: those that conform are in refgrad/surveys/implementations/matrices.py.


def test_torch_optimizers_shampoo_is_not_the_papers() -> None:
    """Its statistic of the columns is of what the rows' root was applied to already, and its exponents are -1/k."""
    pytest.importorskip("torch_optimizer", reason="torch_optimizer is missing", exc_type=ImportError)
    rule = Shampoo(eps=0.01, interval=2)
    candidate = on_copies("torch_optimizer:Shampoo")
    assert not refgrad.verify(candidate, rule, inputs=regular_matrices(), shrink=False, explain=False).conforms


def test_a_verdict_says_how_matrices_were_judged() -> None:
    shampoo, soap = (refgrad.verify(r, r, inputs=regular_matrices()).notes for r in (Shampoo(), SOAP(interval=2)))
    assert any("derived bound" in note for note in shampoo)
    assert any("a-posteriori residual" in note for note in soap)
