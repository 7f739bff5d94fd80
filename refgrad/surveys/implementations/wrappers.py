"""What goes around an optimizer: clipping, averages, lookahead; and optimizers of matrices, and of state in 8 bits."""

from __future__ import annotations

import dataclasses
from typing import Any

from refgrad import optimizers as o
from refgrad import quantizers as q
from refgrad.optimizers.base import Optimizer
from refgrad.surveys.implementations.frameworks import optax
from refgrad.surveys.implementations.record import Implementation, unreached

ADAMW = o.AdamW(lr=0.1, weight_decay=0.1)
FLUSHED = {"subnormals": "either"}


def chained(name: str, claim: Optimizer, last: bool = False, note: str = "", **arguments: Any) -> Implementation:
    """A transformation of optax before AdamW, or after it."""
    place, _, attribute = name.rpartition(".")
    return Implementation(
        package="optax",
        target=f"optax{'.' + place if place else ''}:{attribute}",
        claim=claim,
        scalars="float32",
        policy=FLUSHED,
        through="drivers.after_adamw" if last else "drivers.before_adamw",
        arguments=arguments,
        note=note,
    )


def clipping(name: str, claim: Optimizer, each: bool = False, **variant: Any) -> Implementation:
    """A function of torch that changes gradients, before its AdamW."""
    bound = {"max_norm": 0.5} if name == "clip_grad_norm_" else {"clip_value": 0.5}
    return Implementation(
        package="torch",
        target=f"torch.nn.utils:{name}",
        claim=claim,
        variant=variant,
        through="drivers.changed_gradients",
        arguments={"each": each, **bound},
    )


WRAPPERS = [
    chained("clip", o.ClipByValue(inner=ADAMW, bound=0.5), max_delta=0.5),
    chained("clip_by_global_norm", o.ClipByGlobalNorm(inner=ADAMW, max_norm=0.5), max_norm=0.5),
    dataclasses.replace(
        chained("adaptive_grad_clip", o.AdaptiveClip(inner=ADAMW, clipping=0.1, units="column"), clipping=0.1),
        explained=False,
        note="a unit of a matrix is a column of its kernel; a matrix of one row or column is clipped as a vector",
    ),
    chained("centralize", o.Centralize(inner=ADAMW)),
    chained("contrib.normalize", o.NormalizedGradient(inner=ADAMW)),
    chained("keep_params_nonnegative", o.NonNegative(inner=ADAMW), last=True),
    Implementation(
        package="optax",
        target="optax:lookahead",
        claim=o.Lookahead(inner=ADAMW, k=2.0),
        scalars="float32",
        policy=FLUSHED,
        through="drivers.slow_weights_as_state",
        arguments={"k": 2, "alpha": 0.5},
    ),
    clipping("clip_grad_norm_", o.ClipByGlobalNorm(inner=ADAMW, max_norm=0.5), division="padded"),
    clipping("clip_grad_norm_", o.ClipByNorm(inner=ADAMW, max_norm=0.5), each=True, division="padded"),
    clipping("clip_grad_value_", o.ClipByValue(inner=ADAMW, bound=0.5)),
    Implementation(
        package="torch",
        target="torch.optim.swa_utils:get_ema_multi_avg_fn",
        claim=o.AveragedWeights(inner=ADAMW, decay=0.9),
        through="drivers.averaging_adamw",
        arguments={"decay": 0.9},
    ),
]


def muon(claim: Optimizer, options: dict[str, Any] | None = None, **variant: Any) -> Implementation:
    """optax's Muon, on matrices."""
    row = optax("contrib.muon", claim, options, **variant)
    return Implementation(**{**vars(row), "inputs": "two_matrices"})


MUON = [
    Implementation(
        package="torch",
        target="torch.optim:Muon",
        claim=o.Muon(lr=1e-3, weight_decay=0.1),
        variant={"eps_placement": "clamp", "internals": "bfloat16"},
        inputs="matrices",
        explained=False,
        note="its iteration is in bfloat16, of which few digits are known: too much is undecided for a verdict",
    ),
    muon(o.Muon(eps=1e-8, scale="wide", weight_decay=0.1), correction=True),
    unreached(muon(o.Muon(eps=1e-8, scale="rms", nesterov=False), {"consistent_rms": 0.2}, correction=True)),
    muon(o.Muon(eps=1e-8, scale="wide", coefficients="stepwise"), {"ns_coeffs": "dion"}, correction=True),
]

#: the dynamic maps of bitsandbytes in blocks of 256
SIGNED = q.Blockwise(map="bitsandbytes", block_size=256, normalize="reciprocal")
UNSIGNED = SIGNED.replace(map="bitsandbytes_unsigned")


def bitsandbytes(
    name: str, inner: Optimizer, second: q.Blockwise = UNSIGNED, inputs: str = "", **variant: Any
) -> Implementation:
    """An optimizer of bitsandbytes, whose codes are looked up on a grid on a CPU."""
    grid = {"signed": SIGNED.replace(search="grid"), "unsigned": second.replace(search="grid")}
    return Implementation(
        package="bitsandbytes",
        target=f"bitsandbytes.optim:{name}",
        claim=q.EightBit(inner, SIGNED, second),
        variant={**grid, **variant},
        inputs=inputs,
        steps=3,
        note="on a CPU codes are looked up on a grid of 65536 steps",
    )


def torchao(name: str, rule: Optimizer) -> Implementation:
    """An optimizer of torchao, without the compiler."""
    signed, unsigned = (
        q.Blockwise(map=m, block_size=256, ties="upper", least=1e-12) for m in ("bitsandbytes", "bitsandbytes_unsigned")
    )
    return Implementation(
        package="torchao",
        target=f"torchao.optim:{name}",
        claim=q.EightBit(rule, signed, unsigned, tails="unquantized"),
        environment={"TORCHDYNAMO_DISABLE": "1"},
        steps=3,
        note="scalars are rounded to float32 at every operation, and compared so",
    )


EIGHT_BITS = [
    bitsandbytes("Adam8bit", o.Adam()),
    bitsandbytes("AdamW8bit", o.AdamW()),
    bitsandbytes("SGD8bit", o.SGD(momentum=0.9)),
    bitsandbytes("RMSprop8bit", o.RMSprop(), SIGNED),
    bitsandbytes("Adagrad8bit", o.Adagrad(), SIGNED),
    bitsandbytes("Lion8bit", o.Lion()),
    bitsandbytes("AdEMAMix8bit", o.AdEMAMix()),
    bitsandbytes("LARS8bit", o.LARS(), inputs="two_steps", rule=o.SGD(momentum=0.9)),
    bitsandbytes("LAMB8bit", o.LAMB(), inputs="two_steps", rule=o.AdamW(weight_decay=0.0)),
    torchao("Adam8bit", o.Adam(scalars="float32")),
    torchao("AdamW8bit", o.AdamW(scalars="float32")),
]

ROWS = [*WRAPPERS, *MUON, *EIGHT_BITS]
