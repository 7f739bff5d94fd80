"""Stability of SGD: the map of second moments by every batch that can be drawn, exact eigenvalues, torch's Hessians, goldens."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np
import pytest

from refgrad import gradients as g
from refgrad.errors import ArgumentError
from tests.gradients.judged import drawn, verdict
from tests.optimizers.tracked import dot, holds, largest, lift, mean, total

GOLDEN = np.array([[1.0, 0.0], [0.0, 2.0]])


@pytest.mark.parametrize("sampling", ["replacement", "distinct"])
@pytest.mark.parametrize(("count", "size"), [(4, 2), (3, 1), (3, 3), (1, 1)])
def test_the_map_is_the_mean_over_all_batches(count: int, size: int, sampling: str) -> None:
    rows, moments = drawn(g.SecondMomentStep(), 1, example=count)
    batches = list(
        product(range(count), repeat=size) if sampling == "replacement" else combinations(range(count), size)
    )
    want = np.zeros((3, 3))
    for batch in batches:
        step = np.eye(3) - 0.3 * rows[list(batch)].T @ rows[list(batch)] / size
        want += step @ moments @ step / len(batches)
    rule = g.SecondMomentStep(lr=0.3, batch=size, sampling=sampling)
    np.testing.assert_allclose(rule(rows, moments), want, rtol=1e-11, atol=1e-13)
    if sampling == "replacement":
        flat = g.second_moment_map(rows, 0.3, size) @ moments.ravel()
        np.testing.assert_allclose(flat.reshape(3, 3), want, rtol=1e-11, atol=1e-13)
    square = moments @ moments.T  # of none that is negative none becomes negative
    assert np.linalg.eigvalsh(rule(rows, square)).min() > -1e-12


@pytest.mark.parametrize("size", [1, 2, 4, 1000])
def test_the_bounds(size: int) -> None:
    (rows,) = drawn(g.StableRates(), 2, example=5)
    hessian = [[mean(lift(r[j]) * r[k] for r in rows) for k in range(3)] for j in range(3)]
    squares = [dot(r, r) for r in rows]
    trace, norm = mean(squares), total(x * x for row in hessian for x in row)
    bound = 2 * trace / ((1 - 1 / lift(size)) * norm + mean(s * s for s in squares) / size)
    found = g.StableRates(batch=size)(rows)
    holds([found["norms"], found["trace"]], [bound, 2 / trace])
    critical = g.critical_rate(rows, size)
    assert critical <= found["norms"] * (1 + 1e-12)
    radius = lambda lr: np.abs(np.linalg.eigvals(g.second_moment_map(rows, lr, size))).max()  # noqa: E731
    assert radius(critical) == pytest.approx(1.0, rel=1e-9)
    assert radius(0.99 * critical) < 1 < radius(1.01 * critical)
    assert g.critical_rate(3 * rows, size) == pytest.approx(critical / 9, rel=1e-9)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    assert g.critical_rate(rows @ turn, size) == pytest.approx(critical, rel=1e-9)


def test_the_golden_rates() -> None:
    found = g.StableRates(batch=1)(GOLDEN)
    assert found["trace"] == pytest.approx(0.8)
    assert found["norms"] == pytest.approx(10 / 17)
    assert g.StableRates(batch=10**9)(GOLDEN)["norms"] == pytest.approx(5 / 4.25)
    assert g.critical_rate(GOLDEN, 10**12) == pytest.approx(1.0)
    rows = np.random.default_rng(3).standard_normal((30, 4))
    rates = [g.critical_rate(rows, size) for size in (1, 4, 10**9)]
    assert rates[0] < 2 / np.trace(rows.T @ rows / 30) < rates[1] < rates[2]  # the trace is for batches of one alone
    assert rates[2] == pytest.approx(2 / np.linalg.eigvalsh(rows.T @ rows / 30)[-1], rel=1e-6)


def test_still_rows_are_always_stable() -> None:
    assert g.critical_rate(np.zeros((3, 2)), 1) == np.inf
    assert list(g.StableRates()(np.zeros((3, 2))).values()) == [np.inf, np.inf]
    flat = np.array([[1.0, 0.0], [2.0, 0.0]])
    assert g.critical_rate(flat, 1) == pytest.approx(g.critical_rate(flat[:, :1], 1))
    for call in (
        lambda: g.second_moment_map(flat, -1.0, 1),
        lambda: g.critical_rate(flat, 0),
        lambda: g.critical_rate(flat[0], 1),
    ):
        with pytest.raises(ArgumentError):
            call()


def test_traces() -> None:
    inputs, weight, outer = drawn(g.TwoLayerReluTrace(), 4)
    squares = [dot(x, x) for x in inputs]
    want = []
    for x, square in zip(inputs, squares, strict=True):
        before = [dot(w, x) for w in weight]
        want.append(
            total(
                largest(h, 0.0) * largest(h, 0.0) + (lift(b) * b * square if h.value > 0 else 0.0)
                for h, b in zip(before, outer, strict=True)
            )
        )
    holds(g.TwoLayerReluTrace()(inputs, weight, outer), mean(want))
    x, u, v = drawn(g.DiagonalNetworkTrace(), 5)
    terms = [total(lift(a) * a * (lift(b) * b + lift(c) * c) for a, b, c in zip(row, u, v, strict=True)) for row in x]
    holds(g.DiagonalNetworkTrace()(x, u, v), 4 * mean(terms))


def test_traces_as_torch_differentiates_twice() -> None:
    torch = pytest.importorskip("torch")
    arrays = {
        rule: [torch.tensor(a) for a in drawn(rule, 6)] for rule in (g.TwoLayerReluTrace(), g.DiagonalNetworkTrace())
    }
    networks: list[Any] = [lambda x, w, b: torch.relu(x @ w.T) @ b, lambda x, u, v: x @ (u * u - v * v)]
    for (rule, (x, *parameters)), network in zip(arrays.items(), networks, strict=True):
        fitted = network(x, *parameters)
        loss = lambda *p, x=x, network=network, fitted=fitted: ((network(x, *p) - fitted) ** 2).mean() / 2  # noqa: E731
        blocks = torch.autograd.functional.hessian(loss, tuple(parameters))
        trace = sum(blocks[i][i].reshape(p.numel(), p.numel()).trace() for i, p in enumerate(parameters))
        assert rule(x.numpy(), *(p.numpy() for p in parameters)) == pytest.approx(float(trace), rel=1e-12)


def without_the_spread(rows: np.ndarray, moments: np.ndarray) -> np.ndarray:
    step = np.eye(rows.shape[1], dtype=rows.dtype) - np.float32(0.1) * rows.T @ rows / np.float32(len(rows))
    return step @ moments @ step


def test_verdicts() -> None:
    assert not verdict(without_the_spread, g.SecondMomentStep()).conforms
    halved = lambda x, u, v: 2 * (x * x * (u * u + v * v)).sum(1).mean()  # noqa: E731
    assert not verdict(halved, g.DiagonalNetworkTrace()).conforms
