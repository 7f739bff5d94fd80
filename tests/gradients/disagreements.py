"""Where programs disagree with the rules of the room: lines that show it, and what they gave.

``python -m tests.gradients.disagreements`` writes their table into docs/departures.md; `test_disagreements.py` runs those whose
packages are installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

PAGE = Path(__file__).parents[2] / "docs" / "departures.md"
BEGIN, END = "<!-- disagreements -->", "<!-- end of disagreements -->"


@dataclass(frozen=True)
class Disagreement:
    """A line of a program, what it gave, and the rule that gives the same.

    Args:
        program: who, with the version that was run.
        what: what is different.
        line: an expression, of what `names` has.
        gave: what it was, as numbers in a row.
        rule: an expression of refgrad that gives the same; empty if none does.
        instead: what the rule at its defaults gives, as an expression; empty where there is nothing to compare.
        packages: the modules that the line needs, by the names that it has for them.
        room: how far numbers may be from these, as a share of the largest.
    """

    program: str
    what: str
    line: str
    gave: tuple[float, ...]
    rule: str = ""
    instead: str = ""
    packages: tuple[str, ...] = ()
    room: float = 1e-5

    def missing(self) -> list[str]:
        """The modules that are not installed."""
        return [name for name in self.packages if importlib.util.find_spec(name.partition(".")[0]) is None]

    def run(self, expression: str) -> np.ndarray:
        """The numbers of an expression."""
        for name in self.packages:
            importlib.import_module(name)
        tops = {name.partition(".")[0] for name in self.packages}
        return numbers(eval(expression, {**names(), **{top: sys.modules[top] for top in tops}}))

    def of_rule(self, expression: str) -> np.ndarray:
        """The numbers of an expression that is of refgrad alone."""
        return numbers(eval(expression, names()))


def numbers(found: Any) -> np.ndarray:
    """What a line gave, as numbers in a row."""
    if isinstance(found, Mapping):
        found = list(found.values())
    if isinstance(found, tuple | list):
        return np.concatenate([numbers(each) for each in found])
    return np.asarray(found, np.float64).ravel()


def names() -> dict[str, Any]:
    """What lines are made of."""
    from refgrad import gradients
    from refgrad.surveys.implementations import curvature_drivers, gradient_drivers, task_drivers, transport_drivers

    random = np.random.default_rng(0)
    x = random.standard_normal((11, 4))
    spoiled = x.copy()
    spoiled[2, 1] = np.nan
    activations, small = np.abs(random.standard_normal((3, 4, 5))), 1e-3 * random.standard_normal((3, 4, 5))
    return {
        "np": np,
        "g": gradients,
        "x": x,
        "several": np.random.default_rng(8).standard_normal((6, 11, 4)),
        "spoiled": spoiled,
        "A": np.array([[[1.0, 2.0], [0.0, 1.0]]]),
        "G": np.array([[[1.0, -1.0], [0.5, 0.0]]]),
        "activations": activations,
        "small": small,
        "tasks": (np.diag([2.0, 1.0, 0.5]), np.ones(3), np.array([1.6875, 0.9375, 0.375]), np.ones(3)),
        "drive": gradient_drivers,
        "tasks_of": task_drivers,
        "curvature_of": curvature_drivers,
        "transport_of": transport_drivers,
        "GAP": "ott.neural.methods.monge_gap:monge_gap_from_samples",
        "weight": weight,
    }


def weight(map_of: Any, activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """The weight of each channel by the map of one that is 1 in one place: a map is linear in activations at fixed weights."""
    return np.array([np.max(map_of(a[None], b[None])) / np.max(a) for a, b in zip(activations, gradients, strict=True)])


ALL = (
    Disagreement(
        "byzfl 0.0.11 Krum",
        "one neighbour more than the publication: another row wins",
        "[byzfl.Krum(f=3)(each)[0] for each in several]",
        (
            -0.042673828,
            0.62569388,
            0.66329388,
            -0.98828865,
            -0.034565972,
            0.3375348,
        ),
        "[g.Krum(faults=3, neighbors='more')(each)[0] for each in several]",
        "[g.Krum(faults=3)(each)[0] for each in several]",
        ("byzfl",),
    ),
    Disagreement(
        "torchjd 0.18.0 Krum",
        "sums of distances in place of squares: another row wins",
        "[torchjd.aggregation.Krum(n_byzantine=3)(torch.tensor(each))[0].item() for each in several]",
        (
            0.85979399,
            1.8184817,
            0.66329388,
            -1.7129221,
            -0.034565972,
            1.2926465,
        ),
        "[g.Krum(faults=3, distance='distances')(each)[0] for each in several]",
        "[g.Krum(faults=3)(each)[0] for each in several]",
        ("torchjd.aggregation", "torch"),
    ),
    Disagreement(
        "byzfl 0.0.11 Krum",
        "selects the row that has a NaN",
        "byzfl.Krum(f=3)(spoiled.copy())",
        (
            -0.70373524,
            np.nan,
            -0.62327446,
            0.041325979,
        ),
        "",
        "g.Krum(faults=3)(spoiled)",
        ("byzfl",),
    ),
    Disagreement(
        "byzfl 0.0.11 GeometricMedian",
        "one NaN makes the result NaN everywhere",
        "byzfl.GeometricMedian()(spoiled.copy())",
        (
            np.nan,
            np.nan,
            np.nan,
            np.nan,
        ),
        "",
        "",
        ("byzfl",),
    ),
    Disagreement(
        "torch 2.13.0 median",
        "of an even count the lower of both middle values, where NumPy and byzfl take their mean",
        "torch.median(torch.tensor(x[:10]), dim=0).values.numpy()",
        (
            -0.53566937,
            -0.12961363,
            -0.62327446,
            0.10490012,
        ),
        "g.CoordinateMedian(even='lower')(x[:10])",
        "g.CoordinateMedian()(x[:10])",
        ("torch",),
    ),
    Disagreement(
        "torchcam 0.5.0 GradCAMpp",
        "the division is lost: shares are squared gradients",
        "weight(drive.activation_map('torchcam.methods:GradCAMpp'), A, G)",
        (1.125,),
        "weight(g.GradCAMPlusPlus(shares='undivided'), A, G)",
        "weight(g.GradCAMPlusPlus(), A, G)",
        ("torchcam.methods", "torch"),
    ),
    Disagreement(
        "grad-cam 1.5.7 GradCAMPlusPlus",
        "1e-6 is added to a denominator of the size of squared gradients: of gradients of a thousandth weights shrink",
        "weight(drive.weighted_map('pytorch_grad_cam:GradCAMPlusPlus'), activations, small)",
        (
            0.0025034751,
            0.0025294182,
            0.00051466628,
        ),
        "weight(g.GradCAMPlusPlus(eps=1e-6), activations, small)",
        "weight(g.GradCAMPlusPlus(), activations, small)",
        ("pytorch_grad_cam", "torch"),
    ),
    Disagreement(
        "torchcam 0.5.0 SmoothGradCAMpp",
        "mean squares for the numerator, sums of products in the denominator, the last sample's gradient; here all are one",
        "weight(drive.activation_map('torchcam.methods:SmoothGradCAMpp', std=1e-12), A, G)",
        (0.75,),
        "weight(lambda a, b: g.SmoothGradCAMPlusPlus(numerator='second', denominator='sum_products', gradient='last')"
        "(a, np.stack([b] * 4)), A, G)",
        "weight(lambda a, b: g.SmoothGradCAMPlusPlus()(a, np.stack([b] * 4)), A, G)",
        ("torchcam.methods", "torch"),
    ),
    Disagreement(
        "gradnorm-pytorch 0.2.3",
        "the exponent has the other sign: targets of slow tasks are small",
        "tasks_of.loss_weighter('gradnorm_pytorch:GradNormLossWeighter', restoring_force_alpha=1.5)(*tasks)['targets']",
        (
            0.53220766,
            1.2852567,
            5.0804232,
        ),
        "g.GradNorm(exponent='minus_alpha')(*tasks)['targets']",
        "g.GradNorm()(*tasks)['targets']",
        ("gradnorm_pytorch", "torch"),
    ),
    Disagreement(
        "torchjd 0.18.0 IMTLG",
        "in float32 a task of a small gradient is dropped: the pseudo-inverse's cut-off sees squares of norms",
        "torchjd.aggregation.IMTLG()(torch.tensor([[1.0, 0.0], [0.0, 1e-4]])).numpy()",
        (
            1.0,
            0.0,
        ),
        "",
        "g.ImpartialGradient()(np.float32([[1.0, 0.0], [0.0, 1e-4]]))['direction']",
        ("torchjd.aggregation", "torch"),
    ),
    Disagreement(
        "diffusers 0.42.1 normalized_guidance",
        "from the unconditional prediction, by default",
        "drive.projected_guidance('diffusers.guiders.adaptive_projected_guidance:normalized_guidance', 3.0, 0.0, 0.0, 0.0)"
        "(np.array([[[3.0, 4.0]]]), np.array([[[1.0, 0.0]]]), np.zeros((1, 1, 2)))['guided']",
        (
            -0.92,
            1.44,
        ),
        "g.AdaptiveProjectedGuidance(scale=3.0, radius=0.0, form='unconditional')"
        "(np.array([[[3.0, 4.0]]]), np.array([[[1.0, 0.0]]]), np.zeros((1, 1, 2)))['guided']",
        "g.AdaptiveProjectedGuidance(scale=3.0, radius=0.0)"
        "(np.array([[[3.0, 4.0]]]), np.array([[[1.0, 0.0]]]), np.zeros((1, 1, 2)))['guided']",
        ("diffusers", "torch"),
    ),
    Disagreement(
        "PyHessian 0.1 density",
        "1e-6 is added to norms: of a Hessian of the size 1e-5 Lanczos' diagonal is another",
        "curvature_of.tridiagonal('pyhessian:hessian', 2)(1e-5 * np.diag([1.0, 2.0, 4.0]), np.ones(3))['diagonal']",
        (
            2.3333307e-05,
            2.4079181e-05,
        ),
        "g.LanczosTridiagonal(steps=2, norms='padded')(1e-5 * np.diag([1.0, 2.0, 4.0]), np.ones(3))['diagonal']",
        "g.LanczosTridiagonal(steps=2)(1e-5 * np.diag([1.0, 2.0, 4.0]), np.ones(3))['diagonal']",
        ("pyhessian", "torch"),
    ),
    Disagreement(
        "scikit-dimension 0.5.0 MLE",
        "`K` is not the number of neighbours",
        "skdim.id.MLE(K=4).fit(x).dimension_",
        (1.8249912,),
        "",
        "g.LikelihoodDimension(neighbors=4)(x)",
        ("skdim.id",),
    ),
    Disagreement(
        "POT 0.9.7.post1 empirical_sinkhorn_divergence",
        "what plans cost, without their entropy",
        "ot.bregman.empirical_sinkhorn_divergence(x[:, :2], x[:, 2:], 5.0)",
        (0.50507137,),
        "g.SinkhornDivergence(epsilon=5.0, iterations=300, values='plan')(x[:, :2], x[:, 2:])",
        "g.SinkhornDivergence(epsilon=5.0, iterations=300)(x[:, :2], x[:, 2:])",
        ("ot.bregman",),
    ),
    Disagreement(
        "ott-jax 0.6.0 monge_gap_from_samples",
        "the entropy form, larger by 2 epsilon log n: an identity has a gap",
        "transport_of.monge_gap(GAP, 300, epsilon=1.0)(x, x)",
        (2.8942788,),
        "g.MongeGap(epsilon=1.0, iterations=300, form='entropy')(x, x)",
        "g.MongeGap(epsilon=1.0, iterations=300)(x, x)",
        ("ott", "diffrax"),
    ),
    Disagreement(
        "ott-jax 0.6.0 monge_gap_from_samples",
        "with scale_cost a scaled cost is taken from a displacement that is not scaled",
        "transport_of.monge_gap(GAP, 300, epsilon=1.0, scale_cost=10.0)(x, x + 1.0)",
        (7.9522476,),
        "",
        "g.MongeGap(epsilon=1.0, iterations=300, form='entropy')(x, x + 1.0)",
        ("ott", "diffrax"),
    ),
    Disagreement(
        "torch 2.14.1 interpolate",
        "in float32 places between pixels are float32 numbers",
        "drive.resized('torch.nn.functional:interpolate', 1, 7, align_corners=False)"
        "(np.float32([np.arange(17.0) ** 2]))[0] - g.BilinearResize(height=1, width=7)(np.float32([np.arange(17.0) ** 2]))[0]",
        (
            0.0,
            0.0,
            1.9073486e-06,
            0.0,
            7.6293945e-06,
            1.5258789e-05,
            -1.5258789e-05,
        ),
        "",
        "",
        ("torch",),
    ),
    Disagreement(
        "captum 0.9.0 NoiseTunnel, vargrad",
        "a variance as the mean of squares less the mean's square, in float32",
        "drive.noise_tunnel('captum.attr:NoiseTunnel', 'vargrad')(np.float32([[1000.0], [1000.1], [1000.2]]))",
        (-0.0625,),
        "",
        "g.SmoothGrad(statistic='variance')(np.float32([[1000.0], [1000.1], [1000.2]]))",
        ("captum.attr", "torch"),
    ),
    Disagreement(
        "captum 0.9.0 TracInCP",
        "a NaN in one example makes the influences of all examples of its batch NaN",
        "__import__('refgrad.surveys.implementations.example_drivers', fromlist=['x']).checkpoints('captum.influence:TracInCP')"
        "(np.array([[[np.nan], [1.0]]]), np.array([[[2.0]]]), np.ones(1))",
        (
            np.nan,
            np.nan,
        ),
        "",
        "g.CheckpointInfluence()(np.array([[[np.nan], [1.0]]]), np.array([[[2.0]]]), np.ones(1))",
        ("captum.influence", "torch"),
    ),
)


def shown(found: Any) -> str:
    """Numbers as people read them."""
    return ", ".join(f"{value:.6g}" for value in found)


def table() -> str:
    """The table in Markdown."""
    lines = ["| program | what is different | reproduce | gives | the rule gives | as |", "|---|---|---|---|---|---|"]
    for each in ALL:
        own = shown(each.of_rule(each.instead)) if each.instead else ""
        rule = f"`{each.rule}`" if each.rule else ""
        lines.append(f"| {each.program} | {each.what} | `{each.line}` | {shown(each.gave)} | {own} | {rule} |")
    return "\n".join(lines)


if __name__ == "__main__":
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
