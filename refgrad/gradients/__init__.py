"""Functions of gradients between tasks, workers, examples, images, domains and solvers; one module a subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refgrad.rooms import on_demand

if TYPE_CHECKING:
    from refgrad.gradients.aggregation import (
        AdaptiveClipping,
        Bucketing,
        Bulyan,
        CoordinateMedian,
        GradientElimination,
        Krum,
        MeanAroundMedian,
        MultiKrum,
        NeighborMixing,
        TrimmedMean,
    )
    from refgrad.gradients.balancing import (
        GuidedLossScaling,
        LossMagnitudeBalance,
        MagnitudeInvariantEncoding,
        PriorBias,
        ScoreGatedSharing,
    )
    from refgrad.gradients.boosting import BoostedBinaryStep, BoostedRegressionStep, BoostedSoftmaxStep
    from refgrad.gradients.centers import GeometricMedian, LeastDiameterMean, LeastSpreadMean
    from refgrad.gradients.clipped_centers import CenteredClipping, WeiszfeldSteps
    from refgrad.gradients.coding import GradientCode, GradientDecoding
    from refgrad.gradients.contributions import DiffROAR, MapGradientLoss, NormGrad, RankedMask, SaliencyProduct
    from refgrad.gradients.convex_networks import ConvexReLUNetwork, ConvexReLUObjective, GroupSoftThreshold
    from refgrad.gradients.curvature import (
        DampedDirection,
        HutchinsonEstimates,
        LanczosTridiagonal,
        QuadraticRates,
        SpectralDensity,
        quadrature,
    )
    from refgrad.gradients.dimension import LabelSharpness, LikelihoodDimension, TwoNeighborDimension
    from refgrad.gradients.directions import ConjugateDirectionLoss, ConjugateDirectionStep
    from refgrad.gradients.domain_alignment import (
        Fishr,
        FishStep,
        GradientInnerProduct,
        HessianAlignment,
        InterdomainGradientVariance,
        InvariantRisk,
        VarianceRiskExtrapolation,
    )
    from refgrad.gradients.equilibrium import (
        ContourNudge,
        HomeostaticLoss,
        ImplicitGradient,
        JacobianSymmetry,
        OneSidedNudge,
        RecurrentBackpropagation,
    )
    from refgrad.gradients.feature_alignment import CorrelationAlignment, DeepKernelDiscrepancy, MaximumMeanDiscrepancy
    from refgrad.gradients.fits import HertzContact, NashSutcliffe, TremaineWeinberg, WeightedLine, intrinsic_scatter
    from refgrad.gradients.functionals import SobolevStep
    from refgrad.gradients.guidance import (
        AdaptiveProjectedGuidance,
        ClassifierFreeGuidance,
        DistillationWeights,
        DivergenceWeight,
    )
    from refgrad.gradients.influence import (
        CheckpointInfluence,
        ErrorNorm,
        ForgettingCount,
        ImportanceWeightedMean,
        LastLayerGradientNorm,
        LossChangeTerms,
        OppositionCosine,
        ScoreSampling,
    )
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
    from refgrad.gradients.saliency import (
        GradCAM,
        GradCAMPlusPlus,
        MinMaxMap,
        SmoothGrad,
        SmoothGradCAMPlusPlus,
        SmoothGradInputs,
    )
    from refgrad.gradients.scores import (
        AsymmetryProbe,
        FieldOverlap,
        GaugeResidual,
        GaussianGaugeField,
        GaussianPerturbationScore,
        JacobianAsymmetry,
        PerturbedPoints,
        score_dimension,
    )
    from refgrad.gradients.search import (
        DirichletConcentration,
        EntangledKernel,
        EntangledWeights,
        GumbelArchitectureGradient,
        GumbelArchitectureWeights,
        WidthImportance,
    )
    from refgrad.gradients.sgd_noise import (
        GradientNoise,
        LazyHingeLoss,
        LocalVarianceReducedStep,
        MultiplicativeGradientNoise,
        PerceptronNoise,
        WeightVariation,
    )
    from refgrad.gradients.softmax_head import (
        SoftmaxHeadGradient,
        SoftmaxHeadGradientVariance,
        SoftmaxHeadHessianDiagonal,
        SoftmaxHeadHessianProduct,
    )
    from refgrad.gradients.stability import (
        DiagonalNetworkTrace,
        SecondMomentStep,
        StableRates,
        TwoLayerReluTrace,
        critical_rate,
        second_moment_map,
    )
    from refgrad.gradients.subspaces import FastfoodParameters, SubspaceGradient, SubspaceParameters
    from refgrad.gradients.tasks import BranchCalibration, GradNorm, ImpartialGradient, TaskGradientNormalization
    from refgrad.gradients.transport import EntropicPlan, MongeGap, OptimalPlan, SinkhornDivergence, SinkhornPotentials
    from refgrad.gradients.tree_influence import (
        BoostInfluence,
        LeafInfluence,
        LeafRefit,
        RepresenterInfluence,
        RepresenterWeights,
    )

__getattr__, __dir__ = on_demand(__name__)

__all__ = [
    "AdaptiveClipping",
    "AdaptiveProjectedGuidance",
    "AsymmetryProbe",
    "BoostInfluence",
    "BoostedBinaryStep",
    "BoostedRegressionStep",
    "BoostedSoftmaxStep",
    "BranchCalibration",
    "Bucketing",
    "Bulyan",
    "CenteredClipping",
    "CheckpointInfluence",
    "ClassifierFreeGuidance",
    "ClosestPoints",
    "ConeOpacityReset",
    "ConjugateDirectionLoss",
    "ConjugateDirectionStep",
    "ContourNudge",
    "ConvexReLUNetwork",
    "ConvexReLUObjective",
    "CoordinateMedian",
    "CorrelationAlignment",
    "DampedDirection",
    "DeepKernelDiscrepancy",
    "DensityControl",
    "DiagonalNetworkTrace",
    "DiffROAR",
    "DirichletConcentration",
    "DistillationWeights",
    "DivergenceWeight",
    "EntangledKernel",
    "EntangledWeights",
    "EntropicPlan",
    "ErrorNorm",
    "FastfoodParameters",
    "FieldOverlap",
    "FishStep",
    "Fishr",
    "ForgettingCount",
    "GaugeResidual",
    "GaussianGaugeField",
    "GaussianGradientNorm",
    "GaussianPerturbationScore",
    "GaussianSplit",
    "GeometricMedian",
    "GradCAM",
    "GradCAMPlusPlus",
    "GradNorm",
    "GradientCode",
    "GradientDecoding",
    "GradientElimination",
    "GradientInnerProduct",
    "GradientNoise",
    "GroupSoftThreshold",
    "GuidedLossScaling",
    "GumbelArchitectureGradient",
    "GumbelArchitectureWeights",
    "HertzContact",
    "HessianAlignment",
    "HomeostaticLoss",
    "HutchinsonEstimates",
    "ImpartialGradient",
    "ImplicitGradient",
    "ImportanceWeightedMean",
    "InterdomainGradientVariance",
    "InvariantRisk",
    "JacobianAsymmetry",
    "JacobianSymmetry",
    "Krum",
    "LabelSharpness",
    "LanczosTridiagonal",
    "LastLayerGradientNorm",
    "LazyHingeLoss",
    "LeafInfluence",
    "LeafRefit",
    "LeastDiameterMean",
    "LeastSpreadMean",
    "LikelihoodDimension",
    "LocalVarianceReducedStep",
    "LossChangeTerms",
    "LossMagnitudeBalance",
    "MagnitudeInvariantEncoding",
    "MapGradientLoss",
    "MaximumMeanDiscrepancy",
    "MeanAroundMedian",
    "MinMaxMap",
    "MongeGap",
    "MultiKrum",
    "MultiplicativeGradientNoise",
    "NashSutcliffe",
    "NeighborMixing",
    "NormGrad",
    "OneSidedNudge",
    "OpacityReset",
    "OppositionCosine",
    "OptimalPlan",
    "PerceptronNoise",
    "PerceptualScale",
    "PerturbedPoints",
    "PriorBias",
    "QuadraticRates",
    "RankedMask",
    "RecurrentBackpropagation",
    "RenderingErrorMap",
    "RepresenterInfluence",
    "RepresenterWeights",
    "SaliencyProduct",
    "ScaleDifferenceProbability",
    "ScoreGatedSharing",
    "ScoreSampling",
    "SecondMomentStep",
    "SinkhornDivergence",
    "SinkhornPotentials",
    "SmoothGrad",
    "SmoothGradCAMPlusPlus",
    "SmoothGradInputs",
    "SobolevStep",
    "SoftmaxHeadGradient",
    "SoftmaxHeadGradientVariance",
    "SoftmaxHeadHessianDiagonal",
    "SoftmaxHeadHessianProduct",
    "SpectralDensity",
    "SpectralFisherInformation",
    "StableRates",
    "SubspaceGradient",
    "SubspaceParameters",
    "TaskGradientNormalization",
    "TremaineWeinberg",
    "TrimmedMean",
    "TwoLayerReluTrace",
    "TwoNeighborDimension",
    "VarianceRiskExtrapolation",
    "WeightVariation",
    "WeightedLine",
    "WeiszfeldSteps",
    "WidthImportance",
    "critical_rate",
    "intrinsic_scatter",
    "quadrature",
    "score_dimension",
    "second_moment_map",
]
