"""Functions of gradients: byzfl, torchjd, torchcam, grad-cam, captum, scikit-dimension, POT."""

from __future__ import annotations

from typing import Any

from refgrad import gradients as g
from refgrad.optimizers.transform import Transform
from refgrad.surveys.implementations.record import Implementation

#: of classes that are driven by a function of `gradient_drivers`: package, target, claim and function
Row = tuple[str, str, Transform, str]


def row(known: Row, arguments: dict[str, Any] | None = None, **others: Any) -> Implementation:
    """A class of a package, driven by one of `gradient_drivers`."""
    package, target, claim, through = known
    name = target.replace(":", ".") + (
        f"({', '.join(f'{n}={v!r}' for n, v in arguments.items())})" if arguments else ""
    )
    return Implementation(
        package=package,
        target=target,
        claim=claim,
        through=f"gradient_drivers.{through}",
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
    row(("POT", "ot:emd", g.OptimalPlan(), "plan")),
    row(
        ("POT", "ot:sinkhorn", g.EntropicPlan(epsilon=0.5), "plan"),
        {"epsilon": 0.5, "method": "sinkhorn_log", "numItermax": 20000, "stopThr": 1e-9},
    ),
]
ROWS = [*BYZFL, *TORCHJD, *SALIENCY, *GEOMETRY]
