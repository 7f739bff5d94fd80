"""Estimators: functions with a declared gradient, from straight-through to periodic; one module a family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refgrad.rooms import on_demand

if TYPE_CHECKING:
    from refgrad.estimators.base import Estimator
    from refgrad.estimators.categorical import GumbelSoftmax, ReinMax, RotationTrick, StraightThroughGumbel
    from refgrad.estimators.codebook import VectorQuantization
    from refgrad.estimators.filters import DoReFaWeights, LibraPB, ReCU, XNORWeights
    from refgrad.estimators.learned import LSQ, PACT, TQT, LSQPlus
    from refgrad.estimators.proximal import ProxConnect, ProxQuant
    from refgrad.estimators.rotation import RBNNRotation
    from refgrad.estimators.scales import XNORPlusPlus, XNORPlusPlusChannel, XNORPlusPlusDense
    from refgrad.estimators.spikes import (
        ArcTan,
        FastSigmoid,
        GaussianSpike,
        MultiGaussian,
        PiecewiseExponential,
        Rectangular,
        SigmoidSpike,
        SoftSign,
        Triangular,
    )
    from refgrad.estimators.straight_through import (
        EWGS,
        WAGE,
        ClippedSTE,
        DoReFaActivation,
        IdentitySTE,
        RoundingSTE,
        RPReLU,
        RSign,
        StochasticBinarization,
    )
    from refgrad.estimators.surrogates import DSQ, EDE, FDA, RBNN, ApproxSign, BiPer, BiPerActivation, ReSTE, SwishSign

__getattr__, __dir__ = on_demand(__name__)

__all__ = [
    "DSQ",
    "EDE",
    "EWGS",
    "FDA",
    "LSQ",
    "PACT",
    "RBNN",
    "TQT",
    "WAGE",
    "ApproxSign",
    "ArcTan",
    "BiPer",
    "BiPerActivation",
    "ClippedSTE",
    "DoReFaActivation",
    "DoReFaWeights",
    "Estimator",
    "FastSigmoid",
    "GaussianSpike",
    "GumbelSoftmax",
    "IdentitySTE",
    "LSQPlus",
    "LibraPB",
    "MultiGaussian",
    "PiecewiseExponential",
    "ProxConnect",
    "ProxQuant",
    "RBNNRotation",
    "RPReLU",
    "RSign",
    "ReCU",
    "ReSTE",
    "Rectangular",
    "ReinMax",
    "RotationTrick",
    "RoundingSTE",
    "SigmoidSpike",
    "SoftSign",
    "StochasticBinarization",
    "StraightThroughGumbel",
    "SwishSign",
    "Triangular",
    "VectorQuantization",
    "XNORPlusPlus",
    "XNORPlusPlusChannel",
    "XNORPlusPlusDense",
    "XNORWeights",
]
