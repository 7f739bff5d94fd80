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
    from refgrad.gradients.balancing import MagnitudeInvariantEncoding
    from refgrad.gradients.centers import GeometricMedian, LeastDiameterMean, LeastSpreadMean
    from refgrad.gradients.clipped_centers import CenteredClipping, WeiszfeldSteps
    from refgrad.gradients.coding import GradientCode, GradientDecoding
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
    "BoostInfluence",
    "Bucketing",
    "Bulyan",
    "CenteredClipping",
    "CheckpointInfluence",
    "CoordinateMedian",
    "ErrorNorm",
    "ForgettingCount",
    "GeometricMedian",
    "GradientCode",
    "GradientDecoding",
    "GradientElimination",
    "ImportanceWeightedMean",
    "Krum",
    "LastLayerGradientNorm",
    "LeafInfluence",
    "LeafRefit",
    "LeastDiameterMean",
    "LeastSpreadMean",
    "LossChangeTerms",
    "MagnitudeInvariantEncoding",
    "MeanAroundMedian",
    "MultiKrum",
    "NeighborMixing",
    "OppositionCosine",
    "RepresenterInfluence",
    "RepresenterWeights",
    "ScoreSampling",
    "TrimmedMean",
    "WeiszfeldSteps",
]
