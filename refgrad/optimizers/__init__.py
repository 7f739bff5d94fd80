"""Every update rule, by name."""

from refgrad.optimizers.adagrad import Adadelta, Adagrad
from refgrad.optimizers.adam import Adam, AdamW, AMSGrad
from refgrad.optimizers.adam_clipped import MARS, AdamMini, StableAdamW
from refgrad.optimizers.adam_momenta import Adan, AdEMAMix, Grams, LaProp, OptimisticAdam, QHAdam, SimplifiedAdEMAMix
from refgrad.optimizers.adam_relatives import Adamax, NAdam, RAdam
from refgrad.optimizers.adam_scales import ADOPT, ACProp, AdamaxW, NAdamW, Yogi
from refgrad.optimizers.averaging import ASGD, COCOB, ScheduleFreeAdamW, ScheduleFreeSGD
from refgrad.optimizers.belief import AdaBelief, DiffGrad
from refgrad.optimizers.cautious import CautiousAdamW, CautiousLion
from refgrad.optimizers.dual_averaging import MADGRAD
from refgrad.optimizers.factored import CAME, SM3, Adafactor
from refgrad.optimizers.layerwise import LAMB, SGDP, AdamP
from refgrad.optimizers.momentum import PID, QHM, SGDW, AggMo, OptimisticGradient
from refgrad.optimizers.parameter_free import DAdaptAdam, DoG, DoWG, Prodigy
from refgrad.optimizers.rmsprop import RMSprop
from refgrad.optimizers.sgd import SGD
from refgrad.optimizers.sign import Lion
from refgrad.optimizers.sign_momentum import Rprop, SignSGD, Signum, Tiger
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

__all__ = [
    "ADOPT",
    "ASGD",
    "CAME",
    "COCOB",
    "LAMB",
    "LARS",
    "MADGRAD",
    "MARS",
    "PID",
    "QHM",
    "SGD",
    "SGDP",
    "SGDW",
    "SM3",
    "ACProp",
    "AMSGrad",
    "AdEMAMix",
    "AdaBelief",
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
    "AggMo",
    "AveragedWeights",
    "CautiousAdamW",
    "CautiousLion",
    "Centralize",
    "ClipByGlobalNorm",
    "ClipByNorm",
    "ClipByValue",
    "DAdaptAdam",
    "DiffGrad",
    "DoG",
    "DoWG",
    "Fromage",
    "Grams",
    "LaProp",
    "Lion",
    "Lookahead",
    "NAdam",
    "NAdamW",
    "NonNegative",
    "NormalizedGradient",
    "NovoGrad",
    "OptimisticAdam",
    "OptimisticGradient",
    "Prodigy",
    "QHAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "SignSGD",
    "Signum",
    "SimplifiedAdEMAMix",
    "StableAdamW",
    "Tiger",
    "Yogi",
]
