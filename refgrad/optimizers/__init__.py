"""Every update rule, by name."""

from refgrad.optimizers.adagrad import Adadelta, Adagrad
from refgrad.optimizers.adam import Adam, AdamW, AMSGrad
from refgrad.optimizers.adam_momenta import Adan, AdEMAMix, Grams, LaProp, QHAdam, SimplifiedAdEMAMix
from refgrad.optimizers.adam_relatives import Adamax, NAdam, RAdam
from refgrad.optimizers.adam_scales import ADOPT, ACProp, AdamaxW, NAdamW, Yogi
from refgrad.optimizers.belief import AdaBelief, DiffGrad
from refgrad.optimizers.layerwise import LAMB, SGDP, AdamP
from refgrad.optimizers.momentum import PID, QHM, SGDW, AggMo, OptimisticGradient
from refgrad.optimizers.rmsprop import RMSprop
from refgrad.optimizers.sgd import SGD
from refgrad.optimizers.sign import Lion
from refgrad.optimizers.sign_momentum import Rprop, SignSGD, Signum, Tiger

__all__ = [
    "ADOPT",
    "LAMB",
    "PID",
    "QHM",
    "SGD",
    "SGDP",
    "SGDW",
    "ACProp",
    "AMSGrad",
    "AdEMAMix",
    "AdaBelief",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamP",
    "AdamW",
    "Adamax",
    "AdamaxW",
    "Adan",
    "AggMo",
    "DiffGrad",
    "Grams",
    "LaProp",
    "Lion",
    "NAdam",
    "NAdamW",
    "OptimisticGradient",
    "QHAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SignSGD",
    "Signum",
    "SimplifiedAdEMAMix",
    "Tiger",
    "Yogi",
]
