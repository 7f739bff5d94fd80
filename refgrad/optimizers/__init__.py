"""Every update rule, by name."""

from refgrad.optimizers.adagrad import Adadelta, Adagrad
from refgrad.optimizers.adam import Adam, AdamW, AMSGrad
from refgrad.optimizers.adam_relatives import Adamax, NAdam, RAdam
from refgrad.optimizers.belief import AdaBelief, DiffGrad
from refgrad.optimizers.layerwise import LAMB, SGDP, AdamP
from refgrad.optimizers.rmsprop import RMSprop
from refgrad.optimizers.sgd import SGD
from refgrad.optimizers.sign import Lion

__all__ = [
    "LAMB",
    "SGD",
    "SGDP",
    "AMSGrad",
    "AdaBelief",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamP",
    "AdamW",
    "Adamax",
    "DiffGrad",
    "Lion",
    "NAdam",
    "RAdam",
    "RMSprop",
]
