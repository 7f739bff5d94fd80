"""Functions of gradients between tasks, workers, examples, images, domains and solvers; one module a subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refgrad.rooms import on_demand

if TYPE_CHECKING:
    from refgrad.gradients.balancing import MagnitudeInvariantEncoding
    from refgrad.gradients.boosting import BoostedBinaryStep, BoostedRegressionStep, BoostedSoftmaxStep
    from refgrad.gradients.centers import GeometricMedian
    from refgrad.gradients.convex_networks import ConvexReLUNetwork, ConvexReLUObjective, GroupSoftThreshold
    from refgrad.gradients.dimension import LabelSharpness, LikelihoodDimension, TwoNeighborDimension
    from refgrad.gradients.directions import ConjugateDirectionLoss, ConjugateDirectionStep
    from refgrad.gradients.equilibrium import (
        ContourNudge,
        HomeostaticLoss,
        ImplicitGradient,
        JacobianSymmetry,
        OneSidedNudge,
        RecurrentBackpropagation,
    )
    from refgrad.gradients.functionals import SobolevStep
    from refgrad.gradients.perception import PerceptualScale, ScaleDifferenceProbability, SpectralFisherInformation
    from refgrad.gradients.points import (
        ClosestPoints,
        ConeOpacityReset,
        DensityControl,
        GaussianGradientNorm,
        GaussianSplit,
        OpacityReset,
        RenderingErrorMap,
    )
    from refgrad.gradients.search import (
        DirichletConcentration,
        EntangledKernel,
        EntangledWeights,
        GumbelArchitectureGradient,
        GumbelArchitectureWeights,
        WidthImportance,
    )
    from refgrad.gradients.subspaces import FastfoodParameters, SubspaceGradient, SubspaceParameters
    from refgrad.gradients.transport import (
        EntropicPlan,
        MongeGap,
        OptimalPlan,
        SinkhornDivergence,
        SinkhornPotentials,
    )

__getattr__, __dir__ = on_demand(__name__)

__all__ = [
    "BoostedBinaryStep",
    "BoostedRegressionStep",
    "BoostedSoftmaxStep",
    "ClosestPoints",
    "ConeOpacityReset",
    "ConjugateDirectionLoss",
    "ConjugateDirectionStep",
    "ContourNudge",
    "ConvexReLUNetwork",
    "ConvexReLUObjective",
    "DensityControl",
    "DirichletConcentration",
    "EntangledKernel",
    "EntangledWeights",
    "EntropicPlan",
    "FastfoodParameters",
    "GaussianGradientNorm",
    "GaussianSplit",
    "GeometricMedian",
    "GroupSoftThreshold",
    "GumbelArchitectureGradient",
    "GumbelArchitectureWeights",
    "HomeostaticLoss",
    "ImplicitGradient",
    "JacobianSymmetry",
    "LabelSharpness",
    "LikelihoodDimension",
    "MagnitudeInvariantEncoding",
    "MongeGap",
    "OneSidedNudge",
    "OpacityReset",
    "OptimalPlan",
    "PerceptualScale",
    "RecurrentBackpropagation",
    "RenderingErrorMap",
    "ScaleDifferenceProbability",
    "SinkhornDivergence",
    "SinkhornPotentials",
    "SobolevStep",
    "SpectralFisherInformation",
    "SubspaceGradient",
    "SubspaceParameters",
    "TwoNeighborDimension",
    "WidthImportance",
]
