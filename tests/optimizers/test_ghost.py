"""Ghost batch normalisation restated in sixty digits, against torch's layer on each part, and its laws."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad import optimizers as o
from refgrad.errors import ArgumentError
from tests.optimizers.tracked import Tracked, holds, lift, mean, root, total

RANDOM = np.random.default_rng(3)
X, G = RANDOM.standard_normal((7, 2, 3)), RANDOM.standard_normal((7, 2, 3))
GAMMA, BETA = np.asarray([1.5, -0.5]), np.asarray([0.25, 2.0])
MEAN, VARIANCE = np.asarray([0.5, -1.0]), np.asarray([2.0, 0.5])

PARTS = {
    "sized": [[0, 1, 2, 3, 4], [5, 6]],
    "even": [[0, 1, 2, 3], [4, 5, 6]],
    "interleaved": [[0, 2, 4, 6], [1, 3, 5]],
}


def statistics(channel: list[float], eps: float) -> tuple[Tracked, Tracked, Tracked]:
    centre = mean(channel)
    variance = mean((lift(x) - centre) * (lift(x) - centre) for x in channel)
    return centre, variance, root(variance + eps)


@pytest.mark.parametrize("running", ["unbiased", "biased"])
@pytest.mark.parametrize("parts", list(PARTS))
def test_forward(parts: str, running: str) -> None:
    rule = o.GhostBatchNorm(size=5, parts=parts, running=running, momentum=0.25)
    y, means, variances = rule(X, GAMMA, BETA, MEAN, VARIANCE)
    for c in range(2):
        kept = [lift(MEAN[c]), lift(VARIANCE[c])]
        for part in PARTS[parts]:
            channel = X[part, c].ravel().tolist()
            centre, variance, below = statistics(channel, rule.eps)
            want = [lift(GAMMA[c]) * ((lift(x) - centre) / below) + float(BETA[c]) for x in channel]
            holds(y[part, c], want)
            n = len(channel)
            seen = variance * n / (n - 1) if running == "unbiased" else variance
            kept = [0.75 * kept[0] + 0.25 * centre, 0.75 * kept[1] + 0.25 * seen]
        holds([means[c], variances[c]], kept)


@pytest.mark.parametrize("parts", list(PARTS))
def test_gradient(parts: str) -> None:
    rule = o.GhostBatchNormGradient(size=5, parts=parts)
    g_x, g_gamma, g_beta = rule(X, GAMMA, G)
    for c in range(2):
        products = []
        for part in PARTS[parts]:
            channel, g = X[part, c].ravel().tolist(), G[part, c].ravel().tolist()
            centre, _, below = statistics(channel, rule.eps)
            x_hat = [(lift(x) - centre) / below for x in channel]
            along = mean(a * b for a, b in zip(x_hat, g, strict=True))
            flat = mean(g)
            holds(
                g_x[part, c],
                [lift(GAMMA[c]) / below * (lift(a) - flat - b * along) for a, b in zip(g, x_hat, strict=True)],
            )
            products += [a * b for a, b in zip(x_hat, g, strict=True)]
        holds(g_gamma[c], [total(products)])
        holds(g_beta[c], [total(G[:, c].ravel().tolist())])


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


def test_torch_on_each_part() -> None:
    torch = pytest.importorskip("torch")
    layer = torch.nn.BatchNorm1d(2, momentum=0.25).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(GAMMA))
        layer.bias.copy_(torch.tensor(BETA))
        layer.running_mean.copy_(torch.tensor(MEAN))
        layer.running_var.copy_(torch.tensor(VARIANCE))
    x = torch.tensor(X, requires_grad=True)
    out = torch.cat([layer(part) for part in torch.split(x, 5)])
    out.backward(torch.tensor(G))
    y, mean_, variance = o.GhostBatchNorm(size=5, momentum=0.25)(X, GAMMA, BETA, MEAN, VARIANCE)
    g_x, g_gamma, g_beta = o.GhostBatchNormGradient(size=5)(X, GAMMA, G)
    pairs = [(out, y), (layer.running_mean, mean_), (layer.running_var, variance), (x.grad, g_x)]
    for theirs, mine in [*pairs, (layer.weight.grad, g_gamma), (layer.bias.grad, g_beta)]:
        # both are within a bound of 21 numbers' sums of the truth (see above): twice that
        assert np.max(np.abs(theirs.detach().numpy() - mine)) <= 2 * 64 * 21 * 2.0**-53


def test_tabnet() -> None:
    package = pytest.importorskip(
        "pytorch_tabnet.tab_network", reason="pytorch-tabnet is not installed", exc_type=ImportError
    )
    torch = pytest.importorskip("torch")
    layer = package.GBN(2, virtual_batch_size=5, momentum=0.25).double()
    flat = X[:, :, 0].copy()
    out = layer(torch.tensor(flat))
    y, mean_, variance = o.GhostBatchNorm(size=5, momentum=0.25, parts="even")(
        flat, np.ones(2), np.zeros(2), np.zeros(2), np.ones(2)
    )
    for theirs, mine in [(out, y), (layer.bn.running_mean, mean_), (layer.bn.running_var, variance)]:
        assert np.max(np.abs(theirs.detach().numpy() - mine)) <= 2 * 64 * 7 * 2.0**-53
