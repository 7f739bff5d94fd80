"""Functions of gradients between tasks, workers, examples, images, domains and solvers; one module a subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refgrad.rooms import on_demand

if TYPE_CHECKING:
    from refgrad.gradients.balancing import MagnitudeInvariantEncoding
    from refgrad.gradients.curvature import (
        DampedDirection,
        HutchinsonEstimates,
        LanczosTridiagonal,
        QuadraticRates,
        SpectralDensity,
        quadrature,
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
    from refgrad.gradients.feature_alignment import (
        CorrelationAlignment,
        DeepKernelDiscrepancy,
        MaximumMeanDiscrepancy,
    )
    from refgrad.gradients.guidance import (
        AdaptiveProjectedGuidance,
        ClassifierFreeGuidance,
        DistillationWeights,
        DivergenceWeight,
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

__getattr__, __dir__ = on_demand(__name__)

__all__ = [
    "AdaptiveProjectedGuidance",
    "AsymmetryProbe",
    "ClassifierFreeGuidance",
    "CorrelationAlignment",
    "DampedDirection",
    "DeepKernelDiscrepancy",
    "DiagonalNetworkTrace",
    "DistillationWeights",
    "DivergenceWeight",
    "FieldOverlap",
    "FishStep",
    "Fishr",
    "GaugeResidual",
    "GaussianGaugeField",
    "GaussianPerturbationScore",
    "GradientInnerProduct",
    "GradientNoise",
    "HessianAlignment",
    "HutchinsonEstimates",
    "InterdomainGradientVariance",
    "InvariantRisk",
    "JacobianAsymmetry",
    "LanczosTridiagonal",
    "LazyHingeLoss",
    "LocalVarianceReducedStep",
    "MagnitudeInvariantEncoding",
    "MaximumMeanDiscrepancy",
    "MultiplicativeGradientNoise",
    "PerceptronNoise",
    "PerturbedPoints",
    "QuadraticRates",
    "SecondMomentStep",
    "SoftmaxHeadGradient",
    "SoftmaxHeadGradientVariance",
    "SoftmaxHeadHessianDiagonal",
    "SoftmaxHeadHessianProduct",
    "SpectralDensity",
    "StableRates",
    "TwoLayerReluTrace",
    "VarianceRiskExtrapolation",
    "WeightVariation",
    "critical_rate",
    "quadrature",
    "score_dimension",
    "second_moment_map",
]
