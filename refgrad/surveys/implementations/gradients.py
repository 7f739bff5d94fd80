"""Functions of gradients: aggregation, tasks, examples, saliency, guidance, curvature, dimension, transport and fits."""

from __future__ import annotations

from typing import Any

from refgrad import gradients as g
from refgrad.optimizers.transform import Transform
from refgrad.surveys.implementations.record import Implementation

#: XLA takes numbers below the smallest normal one for zero
FLUSHED = {"subnormals": "either"}
#: of what a function drives: package, target, claim, and the function, which is one of `gradient_drivers` if it names no module
Row = tuple[str, str, Transform, str]


def row(known: Row, arguments: dict[str, Any] | None = None, **others: Any) -> Implementation:
    """A class of a package, driven by a function."""
    package, target, claim, through = known
    name = target.replace(":", ".") + (
        f"({', '.join(f'{n}={v!r}' for n, v in arguments.items())})" if arguments else ""
    )
    return Implementation(
        package=package,
        target=target,
        claim=claim,
        through=through if "." in through else f"gradient_drivers.{through}",
        arguments=arguments or {},
        **{"name": name, **others},
    )


def byzfl(name: str, claim: Transform, arguments: dict[str, Any] | None = None, **others: Any) -> Implementation:
    """An aggregation of byzfl with one fault."""
    return row(("byzfl", f"byzfl:{name}", claim, "aggregator"), {"f": 1} if arguments is None else arguments, **others)


BYZFL = [
    byzfl("Median", g.CoordinateMedian(), {}),
    byzfl("TrMean", g.TrimmedMean(faults=1)),
    byzfl("Meamed", g.MeanAroundMedian(faults=1)),
    byzfl("Krum", g.Krum(faults=1), variant={"neighbors": "more"}),
    byzfl("MultiKrum", g.MultiKrum(faults=1, keep=6), variant={"neighbors": "more"}, inputs="seven_workers"),
    byzfl("MDA", g.LeastDiameterMean(faults=1)),
    byzfl(
        "GeometricMedian", g.WeiszfeldSteps(), {"nu": 0.1, "T": 3}, variant={"start": "zero"}, inputs="seven_workers"
    ),
    row(
        ("byzfl", "byzfl:CenteredClipping", g.CenteredClipping(radius=0.5, rounds=2), "centered"), {"L": 2, "tau": 0.5}
    ),
    byzfl("NNM", g.NeighborMixing(faults=1)),
    byzfl("ARC", g.AdaptiveClipping(faults=1)),
]

TORCHJD = [
    row(
        ("torchjd", "torchjd.aggregation:Krum", g.Krum(faults=1), "jacobian_aggregator"),
        {"n_byzantine": 1},
        variant={"distance": "distances"},
    ),
    row(
        ("torchjd", "torchjd.aggregation:TrimmedMean", g.TrimmedMean(faults=1), "jacobian_aggregator"),
        {"trim_number": 1},
    ),
    row(("torchjd", "torchjd.aggregation:IMTLG", g.ImpartialGradient(), "impartial"), inputs="independent_tasks"),
]

TASKS = [
    row(
        ("gradnorm-pytorch", "gradnorm_pytorch:GradNormLossWeighter", g.GradNorm(), "task_drivers.loss_weighter"),
        {"learning_rate": 0.025, "restoring_force_alpha": 1.5},
        variant={"exponent": "minus_alpha", "reduction": "mean"},
        inputs="balanced_tasks",
    ),
    row(
        ("LibMTL", "LibMTL.weighting:GradNorm", g.GradNorm(), "task_drivers.scaled_logits"),
        {"lr": 0.025, "alpha": 1.5},
        variant={"parameters": "logits"},
        inputs="balanced_tasks",
    ),
    row(
        ("LibMTL", "LibMTL.weighting:IMTL", g.ImpartialGradient(), "task_drivers.impartial_trainer"),
        inputs="independent_tasks",
    ),
]

EXAMPLES = [
    row(
        ("captum", "captum.influence:TracInCP", g.CheckpointInfluence(), "example_drivers.checkpoints"),
        inputs="finite_examples",
    )
]

CURVATURE = [
    row(
        ("PyHessian", "pyhessian:hessian", g.LanczosTridiagonal(), "curvature_drivers.tridiagonal"),
        {"steps": 3},
        variant={"norms": "padded"},
        inputs="signed_starts",
        note="density raises: torch.eig is gone; what it was handed is judged",
    ),
]

GUIDANCE = [
    row(
        ("diffusers", "diffusers.guiders:ClassifierFreeGuidance", g.ClassifierFreeGuidance(), "guidance"),
        {"guidance_scale": 7.5},
    ),
    row(
        (
            "diffusers",
            "diffusers.guiders:ClassifierFreeGuidance",
            g.ClassifierFreeGuidance(base="conditional"),
            "guidance",
        ),
        {"guidance_scale": 7.5, "use_original_formulation": True},
    ),
    *(
        row(
            (
                "diffusers",
                "diffusers.guiders.adaptive_projected_guidance:normalized_guidance",
                g.AdaptiveProjectedGuidance(),
                "projected_guidance",
            ),
            {"scale": 7.5, "parallel": 0.0, "momentum": -0.5, "radius": 2.5, "use_original_formulation": original},
            variant={"form": form},
        )
        for original, form in ((False, "unconditional"), (True, "conditional"))
    ),
]

SALIENCY = [
    row(("torchcam", "torchcam.methods:GradCAM", g.GradCAM(), "activation_map")),
    row(
        ("torchcam", "torchcam.methods:GradCAMpp", g.GradCAMPlusPlus(), "activation_map"),
        variant={"shares": "undivided"},
        inputs="finite_maps",
    ),
    row(("grad-cam", "pytorch_grad_cam:GradCAM", g.GradCAM(), "weighted_map")),
    row(("grad-cam", "pytorch_grad_cam:GradCAMPlusPlus", g.GradCAMPlusPlus(), "weighted_map"), variant={"eps": 1e-6}),
    row(("captum", "captum.attr:LayerGradCam", g.GradCAM(), "layer_map"), variant={"relu": False}),
    row(("captum", "captum.attr:LayerGradCam", g.GradCAM(), "layer_map"), {"relu_attributions": True}),
    *(
        row(("captum", "captum.attr:NoiseTunnel", g.SmoothGrad(statistic=statistic), "noise_tunnel"), {"kind": kind})
        for statistic, kind in (("mean", "smoothgrad"), ("square", "smoothgrad_sq"))
    ),
    row(
        ("captum", "captum.attr:NoiseTunnel", g.SmoothGrad(statistic="variance"), "noise_tunnel"),
        {"kind": "vargrad"},
        explained=False,
        note="the mean's square is taken from the mean of squares, which cancel",
    ),
    *(
        row(
            ("torch", "torch.nn.functional:interpolate", g.BilinearResize(height=7, width=9, places=places), "resized"),
            {"height": 7, "width": 9, "align_corners": corners, "wide": wide},
            explained=wide,
            note="" if wide else "how far a place is between two pixels is a float32 number",
        )
        for places, corners in (("centres", False), ("corners", True))
        for wide in (False, True)
    ),
]

GEOMETRY = [
    row(
        ("scikit-dimension", "skdim.id:MLE", g.LikelihoodDimension(neighbors=3), "dimension"),
        {"fitted": {"n_neighbors": 3}},
    ),
    row(
        ("scikit-dimension", "skdim.id:MLE", g.LikelihoodDimension(neighbors=3, over_points="mean"), "dimension"),
        {"fitted": {"n_neighbors": 3, "comb": "mean"}},
    ),
    row(
        ("scikit-dimension", "skdim.id:TwoNN", g.TwoNeighborDimension(), "dimension"),
        {"fitted": {}, "discard_fraction": 0.1},
        inputs="distinct_points",
    ),
]

#: POT imports every framework that is installed, and some end the process of one another: tensorflow, then triton
NUMPY_ALONE = {f"POT_BACKEND_DISABLE_{name}": "1" for name in ("PYTORCH", "JAX", "CUPY", "TENSORFLOW")}

TRANSPORT = [
    row(("POT", "ot:emd", g.OptimalPlan(), "transport_drivers.plan"), environment=NUMPY_ALONE),
    row(
        ("POT", "ot:sinkhorn", g.EntropicPlan(epsilon=0.5), "transport_drivers.plan"),
        {"epsilon": 0.5, "method": "sinkhorn_log", "numItermax": 20000, "stopThr": 1e-9},
        environment=NUMPY_ALONE,
    ),
    row(
        (
            "POT",
            "ot.bregman:empirical_sinkhorn_divergence",
            g.SinkhornDivergence(epsilon=2.0, first="columns"),
            "transport_drivers.divergence",
        ),
        {"reg": 2.0, "numIterMax": 2},
        variant={"values": "plan"},
        inputs="near_points",
        environment=NUMPY_ALONE,
    ),
    row(("dit", "dit.divergences:earth_movers_distance_coupling", g.OptimalPlan(), "transport_drivers.coupling")),
    row(
        ("ott-jax", "ott.solvers.linear:solve", g.SinkhornPotentials(), "transport_drivers.potentials"),
        {"iterations": 2, "epsilon": 0.5},
        variant={"first": "columns"},
        policy=FLUSHED,
        inputs="near_points",
    ),
    row(
        ("ott-jax", "ott.solvers.linear:solve", g.EntropicPlan(epsilon=0.5), "transport_drivers.converged_plan"),
        {"epsilon": 0.5, "iterations": 300},
        policy=FLUSHED,
        inputs="near_points",
    ),
    row(
        (
            "ott-jax",
            "ott.tools.sinkhorn_divergence:sinkhorn_divergence",
            g.SinkhornDivergence(epsilon=2.0),
            "transport_drivers.debiased",
        ),
        {"iterations": 2, "epsilon": 2.0},
        variant={"first": "columns"},
        policy=FLUSHED,
        inputs="near_points",
    ),
    row(
        (
            "ott-jax",
            "ott.neural.methods.monge_gap:monge_gap_from_samples",
            g.MongeGap(),
            "transport_drivers.monge_gap",
        ),
        {"iterations": 2, "epsilon": 0.5},
        variant={"first": "columns", "form": "entropy"},
        policy=FLUSHED,
        inputs="near_images",
        requires=("diffrax", "optimistix"),
    ),
]

FITS = [
    row(("scikit-learn", "sklearn.metrics:r2_score", g.NashSutcliffe(), "efficiency"), inputs="varied_points"),
    row(("numpy", "numpy:polyfit", g.WeightedLine(), "polynomial"), inputs="lines_of_points"),
]

ROWS = [
    *(*BYZFL, *TORCHJD, *TASKS, *EXAMPLES),
    *(*SALIENCY, *GUIDANCE, *CURVATURE),
    *(*GEOMETRY, *TRANSPORT, *FITS),
]
