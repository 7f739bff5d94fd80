"""Estimators against implementations that are not ours: torch's, autograd through other forms, snntorch, spikingjelly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import estimators as e
from tests.estimators.signs import straight_through

torch = pytest.importorskip("torch", reason="compares with torch's autograd and its own estimators")
functional = torch.nn.functional


def detached(proxy: Any, y: Any) -> Any:
    """A value y with the gradient of a proxy: the straight-through arithmetic of most code."""
    return proxy + (y - proxy).detach()


def quadratic(x: Any) -> Any:
    inner = torch.where(x < 0, 2 * x + x * x, 2 * x - x * x)
    return torch.where(x < -1, -1.0, torch.where(x < 1, inner, 1.0))


def square_wave(x: Any, w: float = 0.1, terms: int = 10) -> Any:
    return 4 / math.pi * sum(torch.sin((2 * i + 1) * w * x) / (2 * i + 1) for i in range(terms + 1))


def swish_sign(x: Any, b: float = 5.0) -> Any:
    return 2 * torch.sigmoid(b * x) * (1 + b * x * (1 - torch.sigmoid(b * x))) - 1


PROXIES = [
    (e.IdentitySTE, lambda x: 1 * x),
    (e.ClippedSTE, lambda x: x.clamp(-1, 1)),
    (e.ClippedSTE(edge="exclusive"), functional.hardtanh),
    (e.ApproxSign, quadratic),
    (e.EDE, lambda x: 10 * torch.tanh(0.1 * x)),
    pytest.param(e.FDA, square_wave, marks=pytest.mark.slow, id="FDA"),
]


@pytest.mark.sample(suite=3)
@pytest.mark.parametrize(("rule", "proxy"), PROXIES, ids=lambda v: getattr(v, "__name__", str(v)))
def test_autograd_of_the_proxy(rule: Any, proxy: Any) -> None:
    rule = (rule() if isinstance(rule, type) else rule).replace(sign_at_zero="zero")
    verdict = refgrad.verify(straight_through(proxy), rule, steps=6)
    assert verdict.conforms, str(verdict)


def swish_by_autograd(x: Any) -> Any:
    return detached(swish_sign(x), torch.sign(x))


def reste_by_autograd(x: Any) -> Any:
    """Autograd of the power, but a straight line of the secant's slope near zero and a constant far out."""
    near, far = x.abs() <= 0.1, x.abs() > 1.5
    size = torch.where(near | far, 1.0, x.abs())
    return torch.where(near, 0.1 ** (1 / 3) / 0.1 * x, torch.where(far, 0.0 * x, torch.sign(x) * size ** (1 / 3)))


def test_reste_by_autograd_of_its_power() -> None:
    verdict = refgrad.verify(straight_through(reste_by_autograd), e.ReSTE(sign_at_zero="zero"), steps=6)
    assert verdict.conforms, str(verdict)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_biper_by_autograd_of_torch_sin(dtype: str) -> None:
    assert refgrad.verify(lambda x: torch.sin(20.0 * x), e.BiPer(stage="real"), dtype=dtype, steps=6).conforms
    rule = e.BiPer(sign_at_zero="zero")
    verdict = refgrad.verify(
        straight_through(lambda x: torch.sin(20.0 * x)), rule, dtype=dtype, steps=6, explain=False, shrink=False
    )
    # its forward is the sign of x: elsewhere than this rule's
    assert verdict.counts["x_grad"].outside == 0
    assert verdict.counts["y"].outside > 0


@pytest.mark.parametrize("scale", [0.0625, 0.1, 0.16430256])
def test_torch_fake_quantize(scale: float) -> None:
    def fake(x: Any) -> Any:
        return torch.fake_quantize_per_tensor_affine(x, scale, 3, -128, 127)

    verdict = refgrad.verify(fake, e.RoundingSTE(scale=scale, zero_point=3.0), steps=6)
    assert verdict.conforms, str(verdict)
    assert verdict.counts["x_grad"].total > 0


def test_clamp_by_autograd_is_not_torch_fake_quantize() -> None:
    def clamped(x: Any) -> Any:
        v = (x / 0.0625).clamp(-128, 127)
        return detached(v, v.round()) * 0.0625

    verdict = refgrad.verify(clamped, e.RoundingSTE(), steps=6)
    assert not verdict.conforms
    assert verdict.explanation is not None
    assert verdict.explanation.name == "window=unrounded"


def lsq_by_autograd(x: Any, scale: Any) -> Any:
    factor = 1 / math.sqrt(x.numel() * 7)
    s = scale * factor + (scale - scale * factor).detach()
    v = (x / s).clamp(-8, 7)
    return detached(v, v.round()) * s


def test_lsq_by_autograd_includes_the_edges() -> None:
    assert refgrad.verify(lsq_by_autograd, e.LSQ(edge="inclusive"), steps=6).conforms
    verdict = refgrad.verify(lsq_by_autograd, e.LSQ(), steps=9)
    assert not verdict.conforms
    assert verdict.departures[0].name == "edge=inclusive"


def test_lsq_plus_by_autograd() -> None:
    def quantize(x: Any, scale: Any, offset: Any) -> Any:
        v = ((x - offset) / scale).clamp(0, 15)
        return detached(v, v.round()) * scale + offset

    inputs = refgrad.Cases.of(
        x=np.linspace(-1.7, 2.3, 64, dtype=np.float32).reshape(4, 16) * np.float32(1.01),
        cotangent=np.linspace(-1, 3, 64, dtype=np.float32).reshape(4, 16),
        scale=np.full((1, 1), 0.11, np.float32),
        offset=np.full((1, 1), -0.3, np.float32),
    )
    verdict = refgrad.verify(quantize, e.LSQPlus(), inputs=inputs)
    assert verdict.conforms, str(verdict)
    assert set(verdict.counts) == {"y", "x_grad", "scale_grad", "offset_grad"}


def test_torch_gumbel_softmax() -> None:
    def by_torch(x: Any, e: Any, tau: float) -> Any:
        noise = torch.distributions.Gumbel  # what torch draws inside gumbel_softmax is -log of exponential noise
        assert noise is not None
        return functional.softmax((x - e.log()) / tau, dim=-1)

    verdict = refgrad.verify(by_torch, e.GumbelSoftmax(tau=0.5), steps=6)
    assert verdict.conforms, str(verdict)


def test_rotation_trick_by_autograd() -> None:
    def rotated(x: Any, q: Any) -> Any:
        with torch.no_grad():
            u, v = functional.normalize(x, dim=1), functional.normalize(q, dim=1)
            w = functional.normalize(u + v, dim=1)
            ratio = q.norm(dim=1, keepdim=True) / x.norm(dim=1, keepdim=True)
        return ratio * (x - 2 * w * (w * x).sum(1, keepdim=True) + 2 * v * (u * x).sum(1, keepdim=True))

    verdict = refgrad.verify(rotated, e.RotationTrick(), steps=6)
    assert verdict.conforms, str(verdict)


def test_libra_by_autograd() -> None:
    def libra(x: Any) -> Any:
        centred = x - x.mean(1, keepdim=True)
        v = centred / centred.std(1, keepdim=True)
        scale = 2.0 ** torch.round(torch.log2(v.abs().mean(1, keepdim=True))).detach()
        return straight_through(lambda z: 10 * torch.tanh(0.1 * z)).apply(v) * scale

    verdict = refgrad.verify(libra, e.LibraPB(sign_at_zero="zero"), steps=6)
    assert verdict.conforms, str(verdict)


def test_spikingjelly() -> None:
    surrogate = pytest.importorskip("spikingjelly.activation_based.surrogate", reason="compares with spikingjelly")
    pairs = [
        (surrogate.ATan(alpha=2.0), e.ArcTan()),
        (surrogate.Sigmoid(alpha=4.0), e.SigmoidSpike()),
        (surrogate.SoftSign(alpha=2.0), e.SoftSign()),
        (surrogate.PiecewiseQuadratic(alpha=2.0), e.Triangular(gamma=2.0, width=0.5)),
        (surrogate.PiecewiseExp(alpha=1.0), e.PiecewiseExponential()),
        (surrogate.Erf(alpha=2.0), e.GaussianSpike()),
        (surrogate.Rect(alpha=1.0), e.Rectangular()),
        (surrogate.SuperSpike(alpha=1.0), e.FastSigmoid(k=1.0)),
    ]
    for candidate, rule in pairs:
        verdict = refgrad.verify(candidate, rule, steps=6)
        assert verdict.conforms, str(verdict)


def test_snntorch() -> None:
    surrogate = pytest.importorskip("snntorch.surrogate", reason="compares with snntorch")
    for candidate, rule in [
        (surrogate.fast_sigmoid(slope=25), e.FastSigmoid(step_at_zero="zero")),
        (surrogate.atan(alpha=2.0), e.ArcTan(step_at_zero="zero")),
    ]:
        verdict = refgrad.verify(candidate, rule, steps=6)
        assert verdict.conforms, str(verdict)
    not_one = refgrad.verify(surrogate.triangular(), e.Triangular(gamma=1.0, step_at_zero="zero"), steps=6)
    assert not_one.counts["x_grad"].outside > not_one.counts["x_grad"].inside


@pytest.mark.slow
def test_jax() -> None:
    jax = pytest.importorskip("jax", reason="compares with JAX's custom_vjp")
    numpy = jax.numpy

    @jax.custom_vjp
    def binarized(x: Any, frequency: Any) -> Any:
        return numpy.sign(numpy.sin(frequency * x))

    def forward(x: Any, frequency: Any) -> Any:
        return binarized(x, frequency), (x, frequency)

    def backward(kept: Any, g: Any) -> Any:
        x, frequency = kept
        return g * frequency * numpy.cos(frequency * x), None

    binarized.defvjp(forward, backward)
    # one shape, since JAX compiles each; in all situations torch is BiPer, above
    x = np.linspace(-2, 2, 65, dtype=np.float32).reshape(5, 13)
    own = refgrad.Cases.of(x=x, cotangent=np.cos(3 * x))
    verdict = refgrad.verify(binarized, e.BiPer(sign_at_zero="zero"), inputs=own)
    assert verdict.conforms, str(verdict)
    assert verdict.counts["x_grad"].inside == x.size
    # of a plain function JAX's own derivative is asked
    assert refgrad.verify(lambda x: numpy.sin(20.0 * x), e.BiPer(stage="real"), inputs=own).conforms
