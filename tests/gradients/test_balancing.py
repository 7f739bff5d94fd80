"""Balance between losses, and what a network shares or takes: equations in exact numbers, autograd, properties, verdicts."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import refgrad
from refgrad.errors import ArgumentError
from refgrad.gradients import (
    GuidedLossScaling,
    LossMagnitudeBalance,
    MagnitudeInvariantEncoding,
    MagnitudeInvariantHypernetwork,
    PriorBias,
    ScoreGatedSharing,
    SubnetDistillation,
)
from refgrad.oracle.inputs.transforms import generate

mp.dps = 60


@pytest.mark.parametrize("count", [0, 1, 7])
def test_the_encodings_norm_is_that_of_their_number(count: int) -> None:
    gamma = np.random.default_rng(count).random(count)
    encoded = MagnitudeInvariantEncoding()(gamma)
    np.testing.assert_allclose(np.linalg.norm(encoded), np.sqrt(count), rtol=1e-15)
    assert MagnitudeInvariantEncoding(encoding="complement")(gamma).sum() == pytest.approx(count, rel=1e-15)
    turned = [f(mp.pi * mpf(float(g)) / 2) for f in (mp.cos, mp.sin) for g in gamma]
    np.testing.assert_allclose(encoded, np.array(turned, float), rtol=1e-14)


def test_the_encodings_ends_are_the_axes() -> None:
    np.testing.assert_allclose(MagnitudeInvariantEncoding()(np.array([0.0, 1.0])), [1, 0, 0, 1], atol=1e-16)


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_more_or_fewer_axes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ArgumentError, match=r"gamma\.ndim is"):
        MagnitudeInvariantEncoding()(np.ones(shape))


@pytest.mark.parametrize("classes", [1, 80])
@pytest.mark.parametrize("images", [1, 4])
def test_a_prior_is_its_equations(images: int, classes: int) -> None:
    random = np.random.default_rng(images)
    foreground, background = random.integers(1, 40, images) * 1.0, random.integers(1000, 90000, images) * 1.0
    found = PriorBias(classes=classes)(foreground, background)
    inside, outside = (Fraction(float(a.sum())) for a in (foreground, background))
    prior = inside / (inside + outside) / classes
    assert found["prior"] == pytest.approx(float(prior), rel=1e-15)
    odds = (1 - prior) / prior
    assert found["bias"] == pytest.approx(float(-mp.log(mpf(odds.numerator) / odds.denominator)), rel=1e-14)
    assert 1 / (1 + np.exp(-found["bias"])) == pytest.approx(float(prior), rel=1e-13)
    assert found["threshold"] == pytest.approx(float(prior * classes), rel=1e-15)
    # the cross entropy of labels that are right as often as the prior says is least there
    entropy = lambda b: float(prior) * np.logaddexp(0, -b) + float(1 - prior) * np.logaddexp(0, b)  # noqa: E731
    assert entropy(found["bias"]) < min(entropy(found["bias"] - 0.1), entropy(found["bias"] + 0.1))


@pytest.mark.parametrize("foreground", [[0.0, 1.0], [3.0, 4.0], [0.0, 0.25]])
@pytest.mark.parametrize(
    "rule", [GuidedLossScaling(), GuidedLossScaling(normalizer="foreground", regression_norm=2.25)]
)
def test_a_guided_loss_is_autograds(rule: GuidedLossScaling, foreground: list[float]) -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    x, y = random.standard_normal((6, 4)), random.uniform(0.1, 1, 6)
    w = torch.tensor(random.standard_normal(4), requires_grad=True)
    losses = torch.nn.functional.softplus(torch.tensor(x) @ w)
    (gradient,) = torch.autograd.grad(losses.sum(), w, retain_graph=True)
    count = sum(foreground)
    divisor = count + 2 if rule.normalizer == "foreground_and_images" else count
    of_boxes = y.sum() / max(1.0, count * rule.regression_norm)
    of_classes = losses.sum() / divisor
    scaled = of_classes * (of_boxes / of_classes).detach()
    scaled.backward()
    found = rule(losses.detach().numpy(), y, np.array(foreground), gradient.numpy())
    assert found["loss"] == pytest.approx(of_boxes, rel=1e-13)
    np.testing.assert_allclose(found["gradient"], w.grad.numpy(), rtol=1e-12)
    larger = rule(8 * losses.detach().numpy(), y, np.array(foreground), 8 * gradient.numpy())
    np.testing.assert_array_equal(larger["gradient"], found["gradient"])


@pytest.mark.parametrize("subnets", [1, 2, 5])
def test_balanced_losses_have_the_value_of_the_largest_subnets(subnets: int) -> None:
    random = np.random.default_rng(subnets)
    losses, gradients = random.uniform(0.5, 4, subnets), random.standard_normal((subnets, 3))
    found = LossMagnitudeBalance()(losses, gradients)
    exact = [Fraction(float(v)) for v in losses]
    wanted = [
        sum(exact[0] / loss * Fraction(float(g)) for loss, g in zip(exact, column, strict=True))
        for column in gradients.T
    ]
    np.testing.assert_allclose(found["gradient"], np.array(wanted, float), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(found["factors"] * losses, losses[0], rtol=1e-15)
    scale = np.array([1.0, *[4.0] * (subnets - 1)])
    again = LossMagnitudeBalance()(scale * losses, scale[:, None] * gradients)
    np.testing.assert_array_equal(again["gradient"], found["gradient"])


@pytest.mark.parametrize("shares", ["low", "high"])
def test_gated_weights_are_autograds(shares: str) -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    scores = np.array([0.1, 0.5, 0.75, 1.0])
    shared, specific, upstream = random.standard_normal((3, 4, 3))
    leaves = [torch.tensor(a, requires_grad=True) for a in (scores, shared, specific)]
    gate = (leaves[0] <= 0.5 if shares == "low" else leaves[0] >= 0.5).double()
    gate = (gate + leaves[0] - leaves[0].detach())[:, None]  # straight through
    weights = gate * leaves[1] + (1 - gate) * leaves[2]
    (weights * torch.tensor(upstream)).sum().backward()
    found = ScoreGatedSharing(shares=shares)(scores, shared, specific, upstream)
    np.testing.assert_allclose(found["weights"], weights.detach().numpy(), rtol=1e-14)
    for name, leaf in zip(("grad_scores", "grad_shared", "grad_specific"), leaves, strict=True):
        np.testing.assert_allclose(found[name], leaf.grad.numpy(), rtol=1e-13, atol=1e-15, err_msg=name)


@pytest.mark.parametrize("form", ["residual", "default"])
@pytest.mark.parametrize("encoding", ["circle", "proportional"])
def test_a_hypernetworks_parameters_are_their_equation(form: str, encoding: str) -> None:
    random = np.random.default_rng(3)
    gamma, base = random.random(2), random.standard_normal(4)
    of_cosines, of_sines, output = (random.standard_normal(shape) for shape in ((3, 2), (3, 2), (4, 3)))
    found = MagnitudeInvariantHypernetwork(form=form, encoding=encoding, slope=0.25)(
        gamma, of_cosines, of_sines, output, base
    )
    turn = [mp.pi * mpf(float(g)) / 2 for g in gamma]
    first = [mp.cos(t) for t in turn] if encoding == "circle" else [mpf(float(g)) for g in gamma]
    second = [mp.sin(t) for t in turn] if encoding == "circle" else [mpf(0)] * 2
    hidden = [mp.fdot(c, first) + mp.fdot(s, second) for c, s in zip(of_cosines, of_sines, strict=True)]
    reached = [h if h > 0 else h / 4 for h in hidden]
    wanted = [
        mp.fdot(row, reached) + (mpf(float(b)) if form == "residual" else 0)
        for row, b in zip(output, base, strict=True)
    ]
    np.testing.assert_allclose(found, np.array(wanted, float), rtol=1e-13, atol=1e-14)


def test_what_is_predicted_grows_in_proportion_without_the_encoding_alone() -> None:
    random = np.random.default_rng(4)
    gamma, base = random.random(2) / 4, np.zeros(4)
    arrays = [random.standard_normal(shape) for shape in ((3, 2), (3, 2), (4, 3))]
    plain = MagnitudeInvariantHypernetwork(encoding="proportional")
    np.testing.assert_allclose(plain(4 * gamma, *arrays, base), 4 * plain(gamma, *arrays, base), rtol=1e-14)
    nothing = MagnitudeInvariantHypernetwork()(gamma, *arrays[:2], 0 * arrays[2], base + 1.5)
    np.testing.assert_array_equal(nothing, base + 1.5)  # of a last layer of zeros the parameters are their own


@pytest.mark.parametrize("divergence", ["cross_entropy", "kullback_leibler"])
def test_distillation_is_its_equation_and_torchs(divergence: str) -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(5)
    student, teacher = random.standard_normal((2, 5, 4))
    labels, counted = np.array([0, 3, 1, 1, 2]), np.array([1, 0, 1, 1, 0])
    found = SubnetDistillation(share=0.25, divergence=divergence)(student, teacher, labels, counted)
    kept = torch.tensor(counted == 1)
    logits, target = torch.tensor(student)[kept], torch.tensor(teacher)[kept].softmax(1)
    torch_loss = (
        torch.nn.functional.cross_entropy(logits, target)
        if divergence == "cross_entropy"
        else torch.nn.functional.kl_div(logits.log_softmax(1), target, reduction="batchmean")
    )
    assert found["distillation"] == pytest.approx(float(torch_loss), rel=1e-14)
    of_labels = torch.nn.functional.cross_entropy(logits, torch.tensor(labels)[kept])
    assert found["language"] == pytest.approx(float(of_labels), rel=1e-14)
    assert found["loss"] == pytest.approx(0.25 * found["distillation"] + 0.75 * found["language"], rel=1e-15)

    def logs(row: Any) -> list[Any]:
        whole = mp.log(mp.fsum(mp.exp(mpf(float(z))) for z in row))
        return [mpf(float(z)) - whole for z in row]

    wanted = mpf(0)
    for s, t in zip(student[counted == 1], teacher[counted == 1], strict=True):
        for a, b in zip(logs(s), logs(t), strict=True):
            wanted -= mp.exp(b) * (a if divergence == "cross_entropy" else a - b) / 3
    assert found["distillation"] == pytest.approx(float(wanted), rel=1e-14)


def test_a_subnet_that_is_the_largest_has_its_entropy_alone_and_tokens_that_do_not_count_say_nothing() -> None:
    logits, labels = np.random.default_rng(6).standard_normal((3, 4)), np.array([0, 1, 2])
    same = SubnetDistillation(share=1.0, divergence="kullback_leibler")(logits, logits, labels, np.ones(3, int))
    assert same["loss"] == 0
    none = np.zeros(3, int)
    assert SubnetDistillation()(logits, logits, labels, none)["loss"] == 0
    assert np.isnan(SubnetDistillation(empty="undefined")(logits, logits, labels, none)["loss"])


def guided(
    classification: Any, regression: Any, foreground: Any, gradient: Any, regression_norm: Any, wrong: str = ""
) -> Any:
    count = foreground.sum()
    divisor = count if wrong == "images" else count + np.float32(len(foreground))
    boxes = regression.sum() / max(np.float32(1), count * np.float32(regression_norm))
    classes = classification.sum() / divisor
    scale = boxes / (classification.sum() if wrong == "sum" else classes)
    return {
        "loss": scale * classes,
        "scale": scale,
        "gradient": gradient if wrong == "no factor" else scale * gradient / divisor,
    }


def balanced(losses: Any, gradients: Any, wrong: str = "") -> Any:
    reference = losses.mean() if wrong == "mean" else losses[0]
    factors = losses / reference if wrong == "inverse" else reference / losses
    factors[0] = 1.0
    return {"factors": factors, "gradient": (gradients if wrong == "unscaled" else factors[:, None] * gradients).sum(0)}


def prior(foreground: Any, background: Any, classes: Any, wrong: str = "") -> Any:
    all_ = background.sum() + (0 if wrong == "odds" else foreground.sum())
    found = foreground.sum() / all_ / np.float32(1 if wrong == "classes" else classes)
    bias = np.log(found / (np.float32(1) - found)) * np.float32(-1 if wrong == "sign" else 1)
    return {"prior": found, "bias": bias, "threshold": found * np.float32(classes)}


def gated(scores: Any, shared: Any, specific: Any, upstream: Any, threshold: Any, wrong: str = "") -> Any:
    bit = (scores >= threshold if wrong == "inverted" else scores <= threshold)[:, None].astype(np.float32)
    one = np.float32(1)
    of_scores = (upstream * (shared if wrong == "shared alone" else shared - specific)).sum(1)
    return {
        "weights": bit * shared + (one - bit) * specific,
        "grad_scores": of_scores,
        "grad_shared": bit * upstream,
        "grad_specific": (one - bit) * upstream,
    }


def hypernetwork(
    gamma: Any, of_cosines: Any, of_sines: Any, output: Any, base: Any, slope: Any = 0.01, wrong: str = ""
) -> Any:
    turn = gamma * np.float32(np.pi if wrong == "half a turn" else np.pi / 2)
    hidden = of_cosines @ np.cos(turn) + of_sines @ np.sin(turn)
    predicted = output @ np.where(hidden > 0, hidden, np.float32(0 if wrong == "no slope" else slope) * hidden)
    return predicted if wrong == "no base" else predicted + base


def distilled(student: Any, teacher: Any, labels: Any, counted: Any, share: Any = 0.5, wrong: str = "") -> Any:
    from scipy.special import log_softmax, softmax

    tokens = np.arange(len(labels))
    said = log_softmax(student, axis=1) - (log_softmax(teacher, axis=1) if wrong == "entropy" else 0)
    each = {
        "distillation": -(softmax(teacher, axis=1) * said).sum(1),
        "language": -log_softmax(student, axis=1)[tokens, labels],
    }
    keep = counted >= 0 if wrong == "all tokens" else counted == 1
    count = max(keep.sum(), 1)
    parts = {name: np.float32(np.where(keep, losses, 0).sum() / count) for name, losses in each.items()}
    first, second = parts.values() if wrong != "exchanged" else reversed(parts.values())
    return {"loss": np.float32(share * first + (1 - share) * second), **parts}


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=3)
@pytest.mark.parametrize(
    ("rule", "program", "wrong"),
    [
        (MagnitudeInvariantHypernetwork(), hypernetwork, ("half a turn", "no slope", "no base")),
        (SubnetDistillation(share=0.25), distilled, ("entropy", "all tokens", "exchanged")),
        (GuidedLossScaling(), guided, ("images", "sum", "no factor")),
        (LossMagnitudeBalance(), balanced, ("mean", "inverse", "unscaled")),
        (PriorBias(), prior, ("odds", "classes", "sign")),
        (ScoreGatedSharing(), gated, ("inverted", "shared alone")),
    ],
    ids=lambda v: getattr(v, "__name__", None) or str(v),
)
def test_programs_are_told_apart(rule: Any, program: Any, wrong: tuple[str, ...]) -> None:
    verdict = refgrad.verify(program, rule, explain=False)
    assert verdict.conforms, str(verdict)
    for fault in wrong:
        wrong_program = partial(program, wrong=fault)
        ordinary = generate(rule, 12, "float32", 0)
        verdict = refgrad.verify(wrong_program, rule, inputs=ordinary, explain=False)
        assert not verdict.conforms, fault
