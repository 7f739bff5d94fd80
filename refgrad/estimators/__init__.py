"""Estimators: functions with a declared gradient, from straight-through to periodic; one module a family."""

from __future__ import annotations

from refgrad.estimators.base import Estimator
from refgrad.estimators.learned import LSQ, PACT, LSQPlus
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
    ClippedSTE,
    DoReFaActivation,
    IdentitySTE,
    RoundingSTE,
    RPReLU,
    RSign,
    StochasticBinarization,
)
from refgrad.estimators.surrogates import EDE, FDA, RBNN, ApproxSign, BiPer, ReSTE, SwishSign

__all__ = [
    "EDE",
    "EWGS",
    "FDA",
    "LSQ",
    "PACT",
    "RBNN",
    "ApproxSign",
    "ArcTan",
    "BiPer",
    "ClippedSTE",
    "DoReFaActivation",
    "Estimator",
    "FastSigmoid",
    "GaussianSpike",
    "IdentitySTE",
    "LSQPlus",
    "MultiGaussian",
    "PiecewiseExponential",
    "RPReLU",
    "RSign",
    "ReSTE",
    "Rectangular",
    "RoundingSTE",
    "SigmoidSpike",
    "SoftSign",
    "StochasticBinarization",
    "SwishSign",
    "Triangular",
]
