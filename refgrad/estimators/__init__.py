"""Estimators: functions with a declared gradient, from straight-through to periodic; one module a family."""

from __future__ import annotations

from refgrad.estimators.base import Estimator
from refgrad.estimators.categorical import GumbelSoftmax, ReinMax, RotationTrick
from refgrad.estimators.filters import DoReFaWeights, LibraPB, XNORWeights
from refgrad.estimators.learned import LSQ, PACT, TQT, LSQPlus
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
from refgrad.estimators.surrogates import DSQ, EDE, FDA, RBNN, ApproxSign, BiPer, ReSTE, SwishSign

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
    "RPReLU",
    "RSign",
    "ReSTE",
    "Rectangular",
    "ReinMax",
    "RotationTrick",
    "RoundingSTE",
    "SigmoidSpike",
    "SoftSign",
    "StochasticBinarization",
    "SwishSign",
    "Triangular",
    "XNORWeights",
]
