"""Ghost batch normalisation restated in sixty digits, against torch's layer on each part, and its laws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad import optimizers as o
from refgrad.errors import ArgumentError
from tests.optimizers.tracked import Tracked, holds, lift, mean, root, total

RANDOM = np.random.default_rng(3)
X, G = RANDOM.standard_normal((7, 2, 3)), RANDOM.standard_normal((7, 2, 3))
GAMMA, BETA = np.asarray([1.5, -0.5]), np.asarray([0.25, 2.0])
MEAN, VARIANCE = np.asarray([0.5, -1.0]), np.asarray([2.0, 0.5])

EPS = o.GhostBatchNorm().eps
PARTS = {
    "sized": [[0, 1, 2, 3, 4], [5, 6]],
    "even": [[0, 1, 2, 3], [4, 5, 6]],
    "interleaved": [[0, 2, 4, 6], [1, 3, 5]],
}


def statistics(channel: list[float], eps: float) -> tuple[Tracked, Tracked, Tracked]:
    centre = mean(channel)
    variance = mean((lift(x) - centre) * (lift(x) - centre) for x in channel)
    return centre, variance, root(variance + eps)


def check_forward(
    x: np.ndarray, parts: list[list[int]], momentum: float, running: str, got: tuple[Any, Any, Any]
) -> None:
    """Output and running statistics from those of `MEAN` and `VARIANCE`, each within its bound."""
    for c in range(2):
        kept = [lift(MEAN[c]), lift(VARIANCE[c])]
        for part in parts:
            channel = x[part, c].ravel().tolist()
            centre, variance, below = statistics(channel, EPS)
            holds(got[0][part, c], [lift(GAMMA[c]) * ((lift(v) - centre) / below) + float(BETA[c]) for v in channel])
            n = len(channel)
            seen = variance * n / (n - 1) if running == "unbiased" else variance
            kept = [a * (1 - momentum) + momentum * b for a, b in zip(kept, (centre, seen), strict=True)]
        holds([got[1][c], got[2][c]], kept)


def check_gradient(parts: list[list[int]], got: tuple[Any, ...]) -> None:
    """The gradients of `G` by the input, gamma and beta, each within its bound."""
    for c in range(2):
        products: list[Tracked] = []
        for part in parts:
            channel, g = X[part, c].ravel().tolist(), G[part, c].ravel().tolist()
            centre, _, below = statistics(channel, EPS)
            x_hat = [(lift(v) - centre) / below for v in channel]
            along, flat = mean(a * b for a, b in zip(x_hat, g, strict=True)), mean(g)
            want = [lift(GAMMA[c]) / below * (lift(a) - flat - b * along) for a, b in zip(g, x_hat, strict=True)]
            holds(got[0][part, c], want)
            products += [a * b for a, b in zip(x_hat, g, strict=True)]
        holds(got[1][c], [total(products)])
        holds(got[2][c], [total(G[:, c].ravel().tolist())])


@pytest.mark.parametrize("running", ["unbiased", "biased"])
@pytest.mark.parametrize("parts", list(PARTS))
def test_forward(parts: str, running: str) -> None:
    rule = o.GhostBatchNorm(size=5, parts=parts, running=running, momentum=0.25)
    check_forward(X, PARTS[parts], 0.25, running, rule(X, GAMMA, BETA, MEAN, VARIANCE))


@pytest.mark.parametrize("parts", list(PARTS))
def test_gradient(parts: str) -> None:
    check_gradient(PARTS[parts], o.GhostBatchNormGradient(size=5, parts=parts)(X, GAMMA, G))


def test_laws() -> None:
    rule = o.GhostBatchNorm(size=4, eps=0.0)
    zero, one = np.zeros(2), np.ones(2)
    y = rule(X, one, zero, zero, one)[0]
    other = X.copy()
    other[4:] *= 8.0  # the second part alone, by a power of two
    assert np.array_equal(rule(other, one, zero, zero, one)[0], y)
    assert np.array_equal(
        o.GhostBatchNorm(size=7, eps=0.0)(X, one, zero, zero, one)[0],
        o.GhostBatchNorm(size=99, eps=0.0)(X, one, zero, zero, one)[0],
    )
    for part in (slice(0, 4), slice(4, 7)):
        count = y[part, 0].size
        assert np.all(np.abs(np.mean(y[part], axis=(0, 2))) <= 8 * count * 2.0**-53)
        assert np.all(np.abs(np.mean(y[part] ** 2, axis=(0, 2)) - 1) <= 16 * count * 2.0**-53)


def test_a_part_of_one_number_has_no_unbiased_variance() -> None:
    one = np.ones(1)
    y, _, variance = o.GhostBatchNorm(size=1)(np.ones((2, 1)), one, 3 * one, one, one)
    assert y.tolist() == [[3.0], [3.0]]
    assert np.isnan(variance[0])
    with pytest.raises(ArgumentError, match="one number a channel"):
        o.GhostBatchNorm()(X, np.ones(3), BETA, MEAN, VARIANCE)


def prepared(layer: Any) -> Any:
    """A torch layer with the numbers of this page."""
    import torch

    with torch.no_grad():
        for theirs, mine in [
            (layer.weight, GAMMA),
            (layer.bias, BETA),
            (layer.running_mean, MEAN),
            (layer.running_var, VARIANCE),
        ]:
            theirs.copy_(torch.tensor(mine))
    return layer


def test_torch_on_each_part() -> None:
    """torch's layer, one part after the other, is within the same bounds."""
    torch = pytest.importorskip("torch")
    layer = prepared(torch.nn.BatchNorm1d(2, momentum=0.25).double())
    x = torch.tensor(X, requires_grad=True)
    out = torch.cat([layer(part) for part in torch.split(x, 5)])
    out.backward(torch.tensor(G))
    statistics_ = layer.running_mean.numpy(), layer.running_var.numpy()
    check_forward(X, PARTS["sized"], 0.25, "unbiased", (out.detach().numpy(), *statistics_))
    check_gradient(PARTS["sized"], tuple(t.grad.numpy() for t in (x, layer.weight, layer.bias)))


def test_tabnet() -> None:
    reason = "pytorch-tabnet is not installed"
    package = pytest.importorskip("pytorch_tabnet.tab_network", reason=reason, exc_type=ImportError)
    torch = pytest.importorskip("torch")
    layer = package.GBN(2, virtual_batch_size=5, momentum=0.25).double()
    prepared(layer.bn)
    flat = X[:, :, 0].copy()
    out = layer(torch.tensor(flat)).detach().numpy()
    check_forward(
        flat, PARTS["even"], 0.25, "unbiased", (out, layer.bn.running_mean.numpy(), layer.bn.running_var.numpy())
    )
