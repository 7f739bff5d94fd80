"""Every quantizer, by name."""

from typing import TYPE_CHECKING

from refgrad.rooms import on_demand

if TYPE_CHECKING:
    from refgrad.quantizers.adaround import AdaRound
    from refgrad.quantizers.affine import Affine
    from refgrad.quantizers.base import Quantized, Quantizer
    from refgrad.quantizers.blockwise import AF4, FP4, NF4, Blockwise
    from refgrad.quantizers.buckets import QSGD
    from refgrad.quantizers.cast import Cast
    from refgrad.quantizers.codebooks import KMeans, OptimalCodebook, ProductQuantizer
    from refgrad.quantizers.eight_bit import EightBit, PercentileClipping, stable_embedding
    from refgrad.quantizers.gguf import (
        IQ4_NL,
        Q2_K,
        Q3_K,
        Q4_0,
        Q4_1,
        Q4_K,
        Q5_0,
        Q5_1,
        Q5_K,
        Q6_K,
        Q8_0,
        TQ1_0,
        TQ2_0,
    )
    from refgrad.quantizers.gradients import OneBit, SignSGD, TernGrad, error_feedback, majority_vote
    from refgrad.quantizers.half_quadratic import HQQ
    from refgrad.quantizers.microscaling import MX, NVFP4
    from refgrad.quantizers.natural import NUQSGD, NaturalCompression
    from refgrad.quantizers.nonuniform import N2UQ, N2UQWeights
    from refgrad.quantizers.powers import INQ, APoT, LogQuantizer
    from refgrad.quantizers.powersgd import PowerSGD
    from refgrad.quantizers.scaled_floats import ScaledFloat
    from refgrad.quantizers.sparse import RandomK, TopK
    from refgrad.quantizers.ternary import BWN, TTQ, TWN, BitNetActivations, BitNetWeights
    from refgrad.quantizers.training import DoReFaGradient, WAGEError, WAGEGradient, lsq_plus_scale, lsq_scale
    from refgrad.quantizers.transforms import hadamard, smooth_scales
    from refgrad.quantizers.weights import AWQ, GPTQ, RoundToNearest, hessian

__getattr__, __dir__ = on_demand(__name__)

__all__ = [
    "AF4",
    "AWQ",
    "BWN",
    "FP4",
    "GPTQ",
    "HQQ",
    "INQ",
    "IQ4_NL",
    "MX",
    "N2UQ",
    "NF4",
    "NUQSGD",
    "NVFP4",
    "Q2_K",
    "Q3_K",
    "Q4_0",
    "Q4_1",
    "Q4_K",
    "Q5_0",
    "Q5_1",
    "Q5_K",
    "Q6_K",
    "Q8_0",
    "QSGD",
    "TQ1_0",
    "TQ2_0",
    "TTQ",
    "TWN",
    "APoT",
    "AdaRound",
    "Affine",
    "BitNetActivations",
    "BitNetWeights",
    "Blockwise",
    "Cast",
    "DoReFaGradient",
    "EightBit",
    "KMeans",
    "LogQuantizer",
    "N2UQWeights",
    "NaturalCompression",
    "OneBit",
    "OptimalCodebook",
    "PercentileClipping",
    "PowerSGD",
    "ProductQuantizer",
    "Quantized",
    "Quantizer",
    "RandomK",
    "RoundToNearest",
    "ScaledFloat",
    "SignSGD",
    "TernGrad",
    "TopK",
    "WAGEError",
    "WAGEGradient",
    "error_feedback",
    "hadamard",
    "hessian",
    "lsq_plus_scale",
    "lsq_scale",
    "majority_vote",
    "smooth_scales",
    "stable_embedding",
]
