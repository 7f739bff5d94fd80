"""Estimators of filters, of learned parameters and of codes, against autograd through what authors' code does."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import estimators as e
from refgrad.estimators import indicators, schedules
from refgrad.estimators.rotation import Rotation, learned_rotation, rotate, sides
from tests.estimators.signs import sign_with
from tests.literal import literal_bodies as literal_bodies

torch = pytest.importorskip("torch", reason="compares with torch's autograd")
functional = torch.nn.functional


#: the gradient as it is, and a triangle's, as ReCU's and BiPer's code has it
Sign = sign_with(lambda x, g: g)
QuadraticSign = sign_with(lambda x, g: (2 - torch.abs(2 * x)).clamp(min=0) * g)


def recu(x: Any, tau: float) -> Any:
    centred = x - x.mean(1, keepdim=True)
    v = centred / (torch.sqrt(centred.var(1, keepdim=True) + 1e-5) / 2 / np.sqrt(2))
    quantile = (-torch.mean(torch.abs(v)) * math.log(2 - 2 * tau)).detach().item()
    return Sign.apply(torch.clamp(v, -quantile, quantile))


def activation(x: Any) -> Any:
    return QuadraticSign.apply(x / torch.sqrt(x.var(1, keepdim=True) + 1e-5))


def tensorpack(x: Any) -> Any:
    t = torch.tanh(x)
    u = t / t.abs().amax() * 0.5 + 0.5
    return 2 * (u + (torch.round(u * 3) / 3 - u).detach()) - 1


def staircase(x: Any, low: Any, high: Any, alpha: Any) -> Any:
    """DSQ's soft function under autograd, with the hard one's values."""
    width = (high - low) / 3
    i = ((x - low) / width).floor().clamp(0, 2).detach()
    middle = low + (i + 0.5) * width
    phi = torch.tanh(torch.log(2 / alpha - 1) / width * (x - middle)) / (1 - alpha)
    soft = low + width * (i + (phi + 1) / 2)
    hard = low + width * torch.where(x >= middle, i + 1, i)
    inside = soft + (hard - soft).detach()
    return torch.where(x < low, low, torch.where(x > high, high, inside))


def rotated(x: Any, rotated: Any, theta: Any) -> Any:
    return x + torch.abs(torch.sin(theta)) * (rotated - x)


def quantized(x: Any, codebook: Any) -> Any:
    q = codebook[torch.cdist(x.detach()[None], codebook[None])[0].argmin(dim=1)]
    return x + (q - x).detach()


def proximal(x: Any) -> Any:
    q = torch.where(x >= 0, 1.0, -1.0)
    return q + torch.sign(x - q) * torch.relu(torch.abs(x - q) - 0.1)


def regularized(x: Any) -> Any:
    return torch.sin(20.0 * x)


CANDIDATES = [
    (recu, e.ReCU(sign_at_zero="zero")),
    (activation, e.BiPerActivation(sign_at_zero="zero")),
    (lambda x: QuadraticSign.apply(x), e.BiPerActivation(mode="evaluation", sign_at_zero="zero")),
    (tensorpack, e.DoReFaWeights(maximum="differentiated")),
    (staircase, e.DSQ()),
    (rotated, e.RBNNRotation()),
    (lambda x, alpha, beta: x * alpha * beta, e.XNORPlusPlus()),
    (lambda x, alpha: x * alpha, e.XNORPlusPlusChannel()),
    (lambda x, gamma: x * gamma, e.XNORPlusPlusDense()),
    (quantized, e.VectorQuantization(written="detached")),
    (proximal, e.ProxQuant()),
    (lambda x: x + (proximal(x) - x).detach(), e.ProxConnect()),
]


@pytest.mark.sample(quick=2, suite=3)
@pytest.mark.parametrize(("candidate", "rule"), CANDIDATES, ids=[str(rule) for _, rule in CANDIDATES])
def test_autograd(candidate: Any, rule: Any) -> None:
    # the value of a detached difference is rounded twice
    policy = {"roundings": 3} if isinstance(rule, (e.ProxConnect, e.DSQ)) else None
    verdict = refgrad.verify(candidate, rule, steps=6, policy=policy)
    assert verdict.conforms, str(verdict)
    assert set(verdict.counts) == {*rule.results(), *rule.chosen}


def test_the_maximum_as_a_constant_is_told_from_the_differentiated_one() -> None:
    verdict = refgrad.verify(tensorpack, e.DoReFaWeights(), steps=6)
    assert verdict.counts["y"].outside == 0
    assert verdict.explanation is not None
    assert verdict.explanation.name == "maximum=differentiated"


def test_torchs_hard_gumbel() -> None:
    """torch draws exponential noise inside: here the same draw is its noise, so that torch's own code runs."""

    def hard(x: Any, e: Any, tau: float) -> Any:
        soft = functional.softmax((x - e.log()) / tau, dim=-1)
        index = soft.max(-1, keepdim=True)[1]
        return torch.zeros_like(x).scatter_(-1, index, 1.0) - soft.detach() + soft

    verdict = refgrad.verify(hard, e.StraightThroughGumbel(tau=0.5), steps=6)
    assert verdict.conforms, str(verdict)
    without_noise = lambda x, e, tau: hard(x, torch.ones_like(e), tau)  # noqa: E731
    wrong = refgrad.verify(without_noise, e.StraightThroughGumbel(tau=0.5), steps=3, explain=False, shrink=False)
    assert wrong.counts["mask"].outside > 0


class PACT(torch.nn.Module):
    """A module with a parameter of its own."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.alpha, self.bits = torch.nn.Parameter(torch.ones(1)), bits

    def forward(self, x: Any) -> Any:
        clipped = self.form(x)
        steps = 2**self.bits - 1
        return clipped + (torch.round(clipped * (steps / self.alpha)) * (self.alpha / steps) - clipped).detach()

    def form(self, x: Any) -> Any:
        y = functional.relu(x)
        return torch.where(y < self.alpha, y, self.alpha)


class PACTByAbsolutes(PACT):
    def form(self, x: Any) -> Any:
        return 0.5 * (x.abs() - (x - self.alpha).abs() + self.alpha)


class PACTByMinimum(PACT):
    def form(self, x: Any) -> Any:
        return torch.minimum(x.clamp(min=0), self.alpha)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_tie_of_pact_that_is_exact_goes_up_whatever_the_rule(bits: int) -> None:
    """At two bits and more no other multiple of alpha is a tie and a float, so that what tells `ties` apart is rounding alone."""
    steps = 2**bits - 1
    ties = [Fraction(2 * k + 1, 2 * steps) for k in range(steps)]
    floats = [tie for tie in ties if not tie.denominator & (tie.denominator - 1)]
    assert floats == [Fraction(1, 2)]
    x, alpha = np.float32([0.5]), np.float32(1)
    found = [e.PACT(bits=bits, ties=ties).forward(x, alpha) for ties in ("even", "away", "up")]
    assert {float(np.rint(y[0] * steps)) for y in found} == {2.0 ** (bits - 1)}


@pytest.mark.parametrize(
    ("module", "rule"),
    [
        (PACT, e.PACT(at_zero="blocked")),
        (PACTByAbsolutes, e.PACT(at_zero="half", at_alpha="half")),
        (PACTByMinimum, e.PACT(at_alpha="half")),
    ],
)
def test_three_codings_of_pact(module: Any, rule: Any) -> None:
    """Their values differ in roundings; which gradient goes where at 0 and at alpha is what tells them apart."""
    x = np.asarray([[-1.0, -0.0, 0.0, 0.3, 0.5, 0.75, 1.0, 2.0]], np.float32)
    given = refgrad.Cases.of(x=x, cotangent=np.ones_like(x), alpha=[[0.75]])
    verdict = refgrad.verify(module, rule, inputs=given)
    assert verdict.counts["x_grad"].outside == verdict.counts["alpha_grad"].outside == 0, str(verdict)
    for other in (e.PACT(at_zero="blocked"), e.PACT(at_zero="half", at_alpha="half"), e.PACT(at_alpha="half")):
        if other != rule:
            assert not refgrad.verify(module, other, inputs=given, explain=False, shrink=False).conforms


@pytest.mark.sample(suite=1)
@pytest.mark.parametrize("ties", ["even", "away", "up"])
def test_ties(ties: str) -> None:
    """At halves, which a scale of a power of two meets exactly."""
    written = {
        "even": np.rint,
        "away": lambda v: np.trunc(v) + np.where(np.abs(v - np.trunc(v)) >= 0.5, np.copysign(np.float32(1), v), 0),
        "up": lambda v: np.floor(v) + (v - np.floor(v) >= 0.5),
    }

    def pair(how: str) -> Any:
        codes = lambda x: written[how](x / np.float32(0.0625))  # noqa: E731
        forward = lambda x: (np.clip(codes(x), -128, 127) * 0.0625).astype(x.dtype)  # noqa: E731
        return forward, lambda g, x: g * ((codes(x) >= -128) & (codes(x) <= 127))

    rule = e.RoundingSTE(ties=ties)
    for how in written:
        verdict = refgrad.verify(pair(how), rule, steps=3)
        assert verdict.conforms == (how == ties), str(verdict)
        if how != ties:
            assert verdict.explanation is not None
            assert verdict.explanation.name == f"ties={how}"


def test_the_regularization_of_biper() -> None:
    """tau mean(sin^2) under autograd, added to what the network sends back."""
    x = torch.linspace(-0.3, 0.3, 64, dtype=torch.float64, requires_grad=True)
    (0.037 * (0.5 - 0.5 * torch.cos(2 * 20.0 * x)).mean()).backward()
    rule = e.BiPer(tau=0.037, stage="real")
    zero = np.zeros(64)
    found = rule.differentiate(zero, x.detach().numpy(), backend="numpy")["x_grad"]
    # each side has some ten roundings of numbers of this size
    np.testing.assert_allclose(found, x.grad.numpy(), rtol=0, atol=16 * 2.0**-53 * np.abs(found).max())
    assert schedules.biper(17, 600) == pytest.approx(0.037, abs=2.0**-53)
    assert schedules.recu(0, 600) == pytest.approx(0.85, abs=2.0**-52)
    assert schedules.recu(599, 600) < 0.99


def test_rotations() -> None:
    """Orthogonal, and no step of the learning lowers the fit; as the authors' code has it, step by step."""
    assert [sides(n) for n in (1, 7, 12, 27, 64)] == [(1, 1), (1, 7), (3, 4), (3, 9), (8, 8)]
    random = np.random.default_rng(3)
    w = random.standard_normal((5, 3, 4))
    start = Rotation(*(np.linalg.qr(random.standard_normal((n, n)))[0] for n in (3, 4)))
    fits = []
    for rounds in range(5):
        found = learned_rotation(w, start, rounds)
        for side in found:
            assert np.abs(side @ side.T - np.eye(len(side))).max() <= 64 * 2.0**-53
        turned = rotate(w, found)
        assert turned.shape == w.shape
        assert abs(np.sum(turned**2) - np.sum(w**2)) <= 256 * 2.0**-53 * np.sum(w**2)
        fits.append(np.abs(turned).sum())
    slack = 256 * 2.0**-53 * fits[-1]
    assert all(b >= a - slack for a, b in itertools.pairwise(fits))
    assert fits[-1] > fits[0]
    left, right = (torch.from_numpy(r.copy()) for r in start)
    x = torch.from_numpy(w)
    for _ in range(3):
        b = torch.sign(left.T @ x @ right)
        u, _, v = torch.svd(sum(p @ right.T @ q.T for p, q in zip(b, x, strict=True)))
        left = v @ u.T
        u, _, v = torch.svd(sum(q.T @ left @ p for p, q in zip(b, x, strict=True)))
        right = u @ v.T
    for ours, theirs in zip(learned_rotation(w, start, 3), (left, right), strict=True):
        assert np.abs(ours - theirs.numpy()).max() <= 2.0**-40  # the gaps of singular values are as small as 1/64


def test_scales_as_outer_products() -> None:
    random = np.random.default_rng(4)
    x, g = (torch.from_numpy(random.standard_normal((3, 4, 5))) for _ in range(2))
    alpha, down, across = (torch.from_numpy(random.integers(1, 8, n) / 4).requires_grad_() for n in (3, 4, 5))
    (x * torch.einsum("o,h,w->ohw", alpha, down, across) * g).sum().backward()
    beta = e.XNORPlusPlus.outer(down.detach().numpy(), across.detach().numpy())
    found = e.XNORPlusPlus().both(g.numpy(), x.numpy(), backend="numpy", alpha=alpha.detach().numpy(), beta=beta)
    grads = [found["alpha_grad"].ravel()]
    grads += e.XNORPlusPlus.outer_gradient(found["beta_grad"], down.detach().numpy(), across.detach().numpy())
    for ours, theirs in zip(grads, (alpha, down, across), strict=True):
        assert np.abs(ours - theirs.grad.numpy()).max() <= 64 * 2.0**-53 * float((x * g).abs().sum())


def test_losses_of_a_codebook() -> None:
    random = np.random.default_rng(5)
    x = torch.from_numpy(random.standard_normal((6, 3))).requires_grad_()
    codebook = torch.from_numpy(random.standard_normal((4, 3))).requires_grad_()
    index = torch.cdist(x, codebook).argmin(1)
    q = codebook[index]
    (functional.mse_loss(q, x.detach()) + 0.25 * functional.mse_loss(x, q.detach())).backward()
    plain = [a.detach().numpy() for a in (x, codebook, q)]
    ours = e.VectorQuantization.codebook_gradient(plain[0], plain[1], index.numpy())
    assert np.abs(ours - codebook.grad.numpy()).max() <= 16 * 2.0**-53 * np.abs(ours).max()
    ours = e.VectorQuantization.commitment_gradient(plain[0], plain[2])
    assert np.abs(ours - x.grad.numpy()).max() <= 16 * 2.0**-53 * np.abs(ours).max()


def test_indicators_of_reste_as_its_code_has_them() -> None:
    z = torch.from_numpy(np.random.default_rng(6).standard_normal(200))
    power = torch.sign(z) * z.abs() ** (1 / 3)
    error = torch.norm(power - torch.sign(z)).item()
    stability = torch.var(z.abs()).item()
    assert abs(indicators.estimating_error(z.numpy(), 3.0) - error) <= 256 * 2.0**-53 * error
    assert abs(indicators.gradient_stability(z.numpy()) - stability) <= 256 * 2.0**-53 * stability
