"""Every update rule, by name.

To write one of your own is to subclass `Optimizer`: typed hyperparameters, state slots, and the paper's update. With a
``citation`` it can be found by its qualified name, too.

>>> import numpy as np
>>> from refgrad.optimizers import Optimizer
>>> from refgrad.rule import Decay, NonNegative, State, zeros_like_param
>>> class HeavyBall(Optimizer):
...     lr: NonNegative = 0.1
...     mass: Decay = 0.9
...     state = State(m=zeros_like_param)
...
...     def update(self, p, g, m, t):
...         m = self.mass * m + g
...         return p - self.lr * m, m
>>> rule, p = HeavyBall(lr=0.5), np.ones(2)
>>> rule.step(p, np.ones(2), rule.init(p))
(array([0.5, 0.5]), {'t': 1, 'm': array([1., 1.])})
"""

from typing import TYPE_CHECKING

from refgrad.rooms import on_demand

if TYPE_CHECKING:
    from refgrad.optimizers.adagrad import Adadelta, Adagrad
    from refgrad.optimizers.adam import Adam, AdamW, AMSGrad
    from refgrad.optimizers.adam_clipped import MARS, AdamMini, StableAdamW
    from refgrad.optimizers.adam_momenta import (
        Adan,
        AdEMAMix,
        Grams,
        LaProp,
        OptimisticAdam,
        QHAdam,
        SimplifiedAdEMAMix,
    )
    from refgrad.optimizers.adam_relatives import Adamax, NAdam, RAdam
    from refgrad.optimizers.adam_scales import ADOPT, ACProp, AdamaxW, AdaMod, NAdamW, Yogi
    from refgrad.optimizers.adaptive_batch import (
        AdAdaGrad,
        AdAdaGradNorm,
        AdaGradNorm,
        AugmentedInnerProductTest,
        CoordinateTest,
        InnerProductTest,
        NormTest,
    )
    from refgrad.optimizers.averaging import ASGD, COCOB, ScheduleFreeAdamW, ScheduleFreeSGD
    from refgrad.optimizers.base import Optimizer
    from refgrad.optimizers.batch_scaling import BatchScaledRate, RegimeAdaptation, SpikedRate
    from refgrad.optimizers.belief import AdaBelief, DiffGrad
    from refgrad.optimizers.cautious import CautiousAdamW, CautiousLion
    from refgrad.optimizers.curvature import AdaHessian, GaussNewtonDiagonal, HutchinsonDiagonal, Sophia
    from refgrad.optimizers.dual_averaging import MADGRAD
    from refgrad.optimizers.exadam import EXAdam
    from refgrad.optimizers.factored import CAME, SM3, Adafactor
    from refgrad.optimizers.first_layer import TrActConvolution, TrActLinear
    from refgrad.optimizers.galore import GaLore
    from refgrad.optimizers.ghost import GhostBatchNorm, GhostBatchNormGradient
    from refgrad.optimizers.gradient_before import GradientBefore, ZeroNaNs
    from refgrad.optimizers.kron import PSGDKron
    from refgrad.optimizers.layerwise import LAMB, SGDP, AdamP
    from refgrad.optimizers.logistic import (
        BatchPerceptron,
        LogisticDescent,
        NormalizedBatchPerceptron,
        NormalizedLogisticDescent,
        Perceptron,
    )
    from refgrad.optimizers.loss_aware import MoMo, MoMoAdam, PolyakSGD
    from refgrad.optimizers.mechanic import Mechanic
    from refgrad.optimizers.momentum import PID, PNM, QHM, SGDW, AccSGD, AggMo, OptimisticGradient
    from refgrad.optimizers.muon import Muon
    from refgrad.optimizers.noise import AddNoise, LangevinDynamics, PrivateAggregate
    from refgrad.optimizers.parameter_free import DAdaptAdam, DoG, DoWG, Prodigy
    from refgrad.optimizers.pixelwise import PixelwiseClip
    from refgrad.optimizers.plateau import ReduceOnPlateau
    from refgrad.optimizers.private import Diff2Difference, Diff2Restart
    from refgrad.optimizers.proxies import ParameterScaledRate, QKLayerNorm, RateSensitivity, ZLoss
    from refgrad.optimizers.quasi_newton import LBFGS
    from refgrad.optimizers.rmsprop import RMSprop
    from refgrad.optimizers.robust import M3, RM3, Coherence, MoNNA, NearestNeighborAverage, WinsorizedMean
    from refgrad.optimizers.sgd import SGD
    from refgrad.optimizers.shampoo import SOAP, Shampoo
    from refgrad.optimizers.sharpness import ASAM, SAM
    from refgrad.optimizers.sign import Lion
    from refgrad.optimizers.sign_momentum import Rprop, SignDescent, Signum, Tiger
    from refgrad.optimizers.stored import Stored
    from refgrad.optimizers.trust_ratio import LARS, Fromage, NovoGrad
    from refgrad.optimizers.wrappers import (
        AdaptiveClip,
        AveragedWeights,
        Centralize,
        ClipByGlobalNorm,
        ClipByNorm,
        ClipByValue,
        Lookahead,
        NonNegative,
        NormalizedGradient,
    )

__getattr__, __dir__ = on_demand(__name__)

__all__ = [
    "ADOPT",
    "ASAM",
    "ASGD",
    "CAME",
    "COCOB",
    "LAMB",
    "LARS",
    "LBFGS",
    "M3",
    "MADGRAD",
    "MARS",
    "PID",
    "PNM",
    "QHM",
    "RM3",
    "SAM",
    "SGD",
    "SGDP",
    "SGDW",
    "SM3",
    "SOAP",
    "ACProp",
    "AMSGrad",
    "AccSGD",
    "AdAdaGrad",
    "AdAdaGradNorm",
    "AdEMAMix",
    "AdaBelief",
    "AdaGradNorm",
    "AdaHessian",
    "AdaMod",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamMini",
    "AdamP",
    "AdamW",
    "Adamax",
    "AdamaxW",
    "Adan",
    "AdaptiveClip",
    "AddNoise",
    "AggMo",
    "AugmentedInnerProductTest",
    "AveragedWeights",
    "BatchPerceptron",
    "BatchScaledRate",
    "CautiousAdamW",
    "CautiousLion",
    "Centralize",
    "ClipByGlobalNorm",
    "ClipByNorm",
    "ClipByValue",
    "Coherence",
    "CoordinateTest",
    "DAdaptAdam",
    "Diff2Difference",
    "Diff2Restart",
    "DiffGrad",
    "DoG",
    "DoWG",
    "EXAdam",
    "Fromage",
    "GaLore",
    "GaussNewtonDiagonal",
    "GhostBatchNorm",
    "GhostBatchNormGradient",
    "GradientBefore",
    "Grams",
    "HutchinsonDiagonal",
    "InnerProductTest",
    "LaProp",
    "LangevinDynamics",
    "Lion",
    "LogisticDescent",
    "Lookahead",
    "Mechanic",
    "MoMo",
    "MoMoAdam",
    "MoNNA",
    "Muon",
    "NAdam",
    "NAdamW",
    "NearestNeighborAverage",
    "NonNegative",
    "NormTest",
    "NormalizedBatchPerceptron",
    "NormalizedGradient",
    "NormalizedLogisticDescent",
    "NovoGrad",
    "OptimisticAdam",
    "OptimisticGradient",
    "Optimizer",
    "PSGDKron",
    "ParameterScaledRate",
    "Perceptron",
    "PixelwiseClip",
    "PolyakSGD",
    "PrivateAggregate",
    "Prodigy",
    "QHAdam",
    "QKLayerNorm",
    "RAdam",
    "RMSprop",
    "RateSensitivity",
    "ReduceOnPlateau",
    "RegimeAdaptation",
    "Rprop",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "Shampoo",
    "SignDescent",
    "Signum",
    "SimplifiedAdEMAMix",
    "Sophia",
    "SpikedRate",
    "StableAdamW",
    "Stored",
    "Tiger",
    "TrActConvolution",
    "TrActLinear",
    "WinsorizedMean",
    "Yogi",
    "ZLoss",
    "ZeroNaNs",
]
