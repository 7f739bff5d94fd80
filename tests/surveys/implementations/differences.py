"""Where implementations leave their rules over time, as data: by which shapes and settings, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.surveys.implementations.over_time import MATRICES, OTHER, OWN, SHAPES, SLACK


@dataclass(frozen=True)
class Apart:
    """A difference that is known.

    Args:
        reason: what the implementation does.
        shapes: the shapes at which it shows.
        settings: the settings in which it shows; None for all.
        slack: how near both still are, where the difference is one of precision.
    """

    reason: str
    shapes: tuple[tuple[int, ...], ...] = ()
    settings: tuple[str, ...] | None = None
    slack: float = SLACK


#: target -> the difference
APART: Mapping[str, Apart] = {
    "torch.optim:ASGD": Apart("torch keeps eta and mu as float32 tensors", slack=1e-7),
    "torch.optim:Adafactor": Apart(
        "of three axes torch factors the last two, refgrad the first by all others", ((2, 3, 4),)
    ),
    "torch_optimizer:RAdam": Apart("it computes in float32", slack=1e-6),
    "timm.optim:RAdamLegacy": Apart("it computes in float32", slack=1e-6),
    "timm.optim:AdamWLegacy": Apart(
        "the peak of its schedule is the rate that it is built with; here that is a number of its own", SHAPES, (OTHER,)
    ),
    **{
        f"heavyball:{name}": Apart("its scalars are float32", slack=1e-7)
        for name in ("AdamW", "NAdam", "RMSprop", "SGD")
    },
    "torch_optimizer:NovoGrad": Apart("it computes in float32", slack=1e-7),
    "timm.optim:NvNovoGrad": Apart("it computes in float32", slack=1e-7),
    "pytorch_optimizer:AdaFactor": Apart(
        "with relative steps it does not read the learning rate, where refgrad takes the smaller of both", SHAPES
    ),
    "pytorch_optimizer:SM3": Apart(
        "of three axes it keeps a maximum of each, refgrad of rows and columns", ((2, 3, 4),)
    ),
    "pytorch_optimizer:CAME": Apart(
        "of three axes it factors the last two, refgrad the first by all others", ((2, 3, 4),)
    ),
    "came_pytorch:CAME": Apart("of three axes it factors the last two, refgrad the first by all others", ((2, 3, 4),)),
    "pytorch_optimizer:LARS": Apart("what is no matrix is not scaled", ((), (5,))),
    "pytorch_optimizer:MARS": Apart("what is no matrix is AdamW's", ((), (5,))),
    "pytorch_optimizer:Yogi": Apart("one number is the first value of both moments", SHAPES, (OTHER,)),
    "torch_optimizer:Yogi": Apart("one number is the first value of both moments", SHAPES, (OTHER,)),
    "torch_optimizer:LARS": Apart("without decay it is momentum SGD (without_decay=plain)", SHAPES, (OWN,)),
    "optax:adafactor": Apart(
        "of three axes it factors the largest two, refgrad the first by all others; its powers of the step are float32",
        ((2, 3, 4),),
        slack=1e-8,
    ),
    "optax.contrib:madgrad": Apart("the root of its step count is float32", slack=1e-7),
    "optax.contrib:schedule_free_sgd": Apart(
        "under a schedule it weighs a step by the learning rate of the next: its count starts at 1", SHAPES
    ),
    "optax.contrib:schedule_free_adamw": Apart(
        "under a schedule it weighs a step by the learning rate of the next: its count starts at 1", SHAPES
    ),
    "optax.contrib:dowg": Apart(
        "its first squared distance is eps, unless it is told another; here that is a number of its own",
        SHAPES,
        (OTHER,),
    ),
    "optax.contrib:muon": Apart("what is no matrix is Adam's", ((), (5,), (2, 3, 4))),
    "pytorch_optimizer:Shampoo": Apart("of three axes each has a factor of its own", ((2, 3, 4),)),
    "torch_optimizer:Shampoo": Apart("of three axes each has a factor of its own", ((2, 3, 4),)),
    "pytorch_optimizer:SOAP": Apart(
        "where the first gradient has not full rank, the basis of what it does not reach is the library's; its QR is in float32",
        ((4, 7), (6, 4)),
        slack=1e-7,
    ),
    "pytorch_optimizer:GaLore": Apart(
        "the signs of singular vectors are the library's, and the moments are kept as the basis changes", MATRICES
    ),
    **{
        f"momo:{name}": Apart("the average of inner products is a float32 tensor", slack=1e-6)
        for name in ("Momo", "MomoAdam")
    },
    **{
        f"keras.optimizers:{name}": Apart("its learning rate, and the factor of a decay, are float32", slack=1e-6)
        for name in (*("SGD", "Adam", "AdamW", "Adamax", "Nadam", "Adagrad", "Adadelta", "RMSprop", "Lion", "Lamb"),)
    },
    "keras.optimizers:Muon": Apart(
        "its epsilon is AdamW's, and beside the norm is 1e-7; its learning rate is float32", MATRICES, (OTHER,), 1e-8
    ),
    **{
        f"{package}:PID": Apart(
            "without momentum, which is its default, it is SGD: no other term is left", SHAPES, (OWN,)
        )
        for package in ("pytorch_optimizer", "torch_optimizer")
    },
    "optax.contrib:galore": Apart("its bases are those of the gradient in float32", slack=1e-8),
    "optax:adabelief": Apart(
        "its eps is the one beside the root; the one in the second moment is eps_root, of the same default",
        SHAPES,
        (OTHER,),
    ),
    "optax.contrib:acprop": Apart(
        "its eps is the one beside the root; the one in the second moment is eps_root, of the same default",
        SHAPES,
        (OTHER,),
    ),
}

#: target -> why it is not run so
UNASKED: Mapping[str, str] = {
    "optax:noisy_sgd": "it draws its noise itself",
    "pytorch_optimizer:Kron": "its factors are float32, and a parameter in float64 raises",
    "optax:sm3": "a number without axes raises",
    "adam_mini:Adam_mini": "a number without axes raises",
    "torch_optimizer:Adafactor": "three axes raise",
}
