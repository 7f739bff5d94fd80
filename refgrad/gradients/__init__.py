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
        MagnitudeInvariantHypernetwork,
        PriorBias,
        ScoreGatedSharing,
        SubnetDistillation,
    )
    from refgrad.gradients.bias_bits import InductiveBiasBits
    from refgrad.gradients.boosting import BoostedBinaryStep, BoostedRegressionStep, BoostedSoftmaxStep
    from refgrad.gradients.centers import GeometricMedian, LeastDiameterMean, LeastSpreadMean
    from refgrad.gradients.clipped_centers import CenteredClipping, WeiszfeldSteps
    from refgrad.gradients.coding import GradientCode, GradientDecoding
    from refgrad.gradients.contributions import (
        DiffROAR,
        MapGradientLoss,
        MetaNormGradStep,
        NormGrad,
        RankedMask,
        SaliencyProduct,
    )
    from refgrad.gradients.convex_networks import (
        ConvexReLUNetwork,
        ConvexReLUObjective,
        ConvexReLUProgram,
        GroupSoftThreshold,
    )
    from refgrad.gradients.curvature import (
        DampedDirection,
        HutchinsonEstimates,
        LanczosTridiagonal,
        QuadraticRates,
        SpectralDensity,
        quadrature,
    )
    from refgrad.gradients.depth_selection import DepthSelection
    from refgrad.gradients.dimension import LabelSharpness, LikelihoodDimension, TwoNeighborDimension
    from refgrad.gradients.directions import (
        ConjugateDirectionLoss,
        ConjugateDirectionSolution,
        ConjugateDirectionStep,
    )
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
        EquilibriumState,
        HomeostaticLoss,
        ImplicitGradient,
        JacobianSymmetry,
        OneSidedNudge,
        RecurrentBackpropagation,
    )
    from refgrad.gradients.feature_alignment import (
        CorrelationAlignment,
        DeepKernelDiscrepancy,
        MaximumMeanDiscrepancy,
        OneSampleDiscrepancy,
    )
    from refgrad.gradients.filtering import CovarianceFilterStep, covariance_filter
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
        PathScore,
        ScoreSampling,
    )
    from refgrad.gradients.perception import PerceptualScale, ScaleDifferenceProbability, SpectralFisherInformation
    from refgrad.gradients.points import (
        ClosestPoints,
        ConeOpacityReset,
        DensityControl,
        ErrorBoxes,
        GaussianGradientNorm,
        GaussianSplit,
        OpacityReset,
        RenderingErrorMap,
    )
    from refgrad.gradients.resizing import BilinearResize
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
        ScoreDimension,
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
    from refgrad.gradients.sequential_coding import MultiplexedRepeat, SelectiveRepeat
    from refgrad.gradients.sgd_noise import (
        GradientNoise,
        LazyHingeLoss,
        LocalVarianceReducedStep,
        MultiplicativeGradientNoise,
        PerceptronNoise,
        PrivateLocalStep,
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
        RelabelInfluence,
        RepresenterInfluence,
        RepresenterWeights,
    )
    from refgrad.gradients.tree_kernels import LeafKernel, PathKernel, TreeOutputKernel
    from refgrad.gradients.unit_patterns import ActivationPatterns

__getattr__, __dir__ = on_demand(__name__)

__all__ = [
    "ActivationPatterns",
    "AdaptiveClipping",
    "AdaptiveProjectedGuidance",
    "AsymmetryProbe",
    "BilinearResize",
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
    "ConjugateDirectionSolution",
    "ConjugateDirectionStep",
    "ContourNudge",
    "ConvexReLUNetwork",
    "ConvexReLUObjective",
    "ConvexReLUProgram",
    "CoordinateMedian",
    "CorrelationAlignment",
    "CovarianceFilterStep",
    "DampedDirection",
    "DeepKernelDiscrepancy",
    "DensityControl",
    "DepthSelection",
    "DiagonalNetworkTrace",
    "DiffROAR",
    "DirichletConcentration",
    "DistillationWeights",
    "DivergenceWeight",
    "EntangledKernel",
    "EntangledWeights",
    "EntropicPlan",
    "EquilibriumState",
    "ErrorBoxes",
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
    "InductiveBiasBits",
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
    "LeafKernel",
    "LeafRefit",
    "LeastDiameterMean",
    "LeastSpreadMean",
    "LikelihoodDimension",
    "LocalVarianceReducedStep",
    "LossChangeTerms",
    "LossMagnitudeBalance",
    "MagnitudeInvariantEncoding",
    "MagnitudeInvariantHypernetwork",
    "MapGradientLoss",
    "MaximumMeanDiscrepancy",
    "MeanAroundMedian",
    "MetaNormGradStep",
    "MinMaxMap",
    "MongeGap",
    "MultiKrum",
    "MultiplexedRepeat",
    "MultiplicativeGradientNoise",
    "NashSutcliffe",
    "NeighborMixing",
    "NormGrad",
    "OneSampleDiscrepancy",
    "OneSidedNudge",
    "OpacityReset",
    "OppositionCosine",
    "OptimalPlan",
    "PathKernel",
    "PathScore",
    "PerceptronNoise",
    "PerceptualScale",
    "PerturbedPoints",
    "PriorBias",
    "PrivateLocalStep",
    "QuadraticRates",
    "RankedMask",
    "RecurrentBackpropagation",
    "RelabelInfluence",
    "RenderingErrorMap",
    "RepresenterInfluence",
    "RepresenterWeights",
    "SaliencyProduct",
    "ScaleDifferenceProbability",
    "ScoreDimension",
    "ScoreGatedSharing",
    "ScoreSampling",
    "SecondMomentStep",
    "SelectiveRepeat",
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
    "SubnetDistillation",
    "SubspaceGradient",
    "SubspaceParameters",
    "TaskGradientNormalization",
    "TreeOutputKernel",
    "TremaineWeinberg",
    "TrimmedMean",
    "TwoLayerReluTrace",
    "TwoNeighborDimension",
    "VarianceRiskExtrapolation",
    "WeightVariation",
    "WeightedLine",
    "WeiszfeldSteps",
    "WidthImportance",
    "covariance_filter",
    "critical_rate",
    "intrinsic_scatter",
    "quadrature",
    "score_dimension",
    "second_moment_map",
]
