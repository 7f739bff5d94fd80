"""Functions of gradients between tasks, workers, examples, images, domains and solvers; one module a subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refgrad.rooms import on_demand

if TYPE_CHECKING:
    from refgrad.gradients.balancing import (
        GuidedLossScaling,
        LossMagnitudeBalance,
        MagnitudeInvariantEncoding,
        PriorBias,
        ScoreGatedSharing,
    )
    from refgrad.gradients.contributions import (
        DiffROAR,
        MapGradientLoss,
        NormGrad,
        RankedMask,
        SaliencyProduct,
    )
    from refgrad.gradients.fits import (
        HertzContact,
        NashSutcliffe,
        TremaineWeinberg,
        WeightedLine,
        intrinsic_scatter,
    )
    from refgrad.gradients.saliency import (
        GradCAM,
        GradCAMPlusPlus,
        MinMaxMap,
        SmoothGrad,
        SmoothGradCAMPlusPlus,
        SmoothGradInputs,
    )
    from refgrad.gradients.tasks import BranchCalibration, GradNorm, ImpartialGradient, TaskGradientNormalization

__getattr__, __dir__ = on_demand(__name__)

__all__ = [
    "BranchCalibration",
    "DiffROAR",
    "GradCAM",
    "GradCAMPlusPlus",
    "GradNorm",
    "GuidedLossScaling",
    "HertzContact",
    "ImpartialGradient",
    "LossMagnitudeBalance",
    "MagnitudeInvariantEncoding",
    "MapGradientLoss",
    "MinMaxMap",
    "NashSutcliffe",
    "NormGrad",
    "PriorBias",
    "RankedMask",
    "SaliencyProduct",
    "ScoreGatedSharing",
    "SmoothGrad",
    "SmoothGradCAMPlusPlus",
    "SmoothGradInputs",
    "TaskGradientNormalization",
    "TremaineWeinberg",
    "WeightedLine",
    "intrinsic_scatter",
]
