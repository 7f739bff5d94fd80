"""Packages of torch optimizers: AdaBelief, AdamP, LAMB, RAdam and their like. Many write the coupled decay into ``p.grad``."""

from __future__ import annotations

from typing import Any

from refgrad import optimizers as o
from refgrad.optimizers.base import Optimizer
from refgrad.surveys.implementations.record import Implementation

#: distribution -> the module that its optimizers are in
MODULES = {
    "adabelief-pytorch": "adabelief_pytorch",
    "adamp": "adamp",
    "came-pytorch": "came_pytorch",
    "dadaptation": "dadaptation",
    "heavyball": "heavyball",
    "lion-pytorch": "lion_pytorch",
    "prodigyopt": "prodigyopt",
    "pytorch-optimizer": "pytorch_optimizer",
    "schedulefree": "schedulefree",
    "timm": "timm.optim",
    "torch-optimi": "optimi",
    "torch-optimizer": "torch_optimizer",
}


def row(
    package: str,
    name: str,
    claim: Optimizer,
    options: dict[str, Any] | None = None,
    through: str = "drivers.on_copies",
    inputs: str = "",
    explained: bool = True,
    searched: str = "",
    note: str = "",
    **variant: Any,
) -> Implementation:
    """A torch optimizer of a package, on copies of the gradients; the loop over parameters where there is a choice."""
    loop = {"foreach": False} if package in ("pytorch-optimizer", "torch-optimi") else {}
    loop |= {"multi_tensor": False, "compile_step": False} if package == "heavyball" else {}
    return Implementation(
        package=package,
        target=f"{MODULES[package]}:{name}",
        claim=claim,
        variant=variant,
        options={**loop, **(options or {})},
        through=through,
        inputs=inputs,
        explained=explained,
        searched=searched,
        note=note,
        name=f"{MODULES[package]}.{name}",
    )


DECAYED: dict[str, Any] = {"weight_decay": 0.1}
QUIET: dict[str, Any] = {"print_change_log": False}
#: so large that random gradients count as nearly orthogonal in some views, and not in others
DELTA: dict[str, Any] = {"delta": 2.5}
#: the author's code of RAdam, which many took over
AUTHOR: dict[str, Any] = {"threshold": "author", "eps_placement": "uncorrected", "decay": "before"}
#: timm clips gradients to a global norm of one unless it is told not to, which is no part of the rule
UNCLIPPED: dict[str, Any] = {"max_grad_norm": None}
#: torch-optimi keeps moments that are corrected already: what it does is judged by its parameters
CORRECTED = "drivers.by_parameters"
#: what RMSprop is run with
TAKEN: tuple[dict[str, Any], ...] = ({}, {"momentum": 0.9}, {"momentum": 0.9, "centered": True})
TENSORFLOW: dict[str, Any] = {
    "initial_scale": 1.0,
    "eps_placement": "inside",
    "lr_placement": "buffer",
    "variance": "bare",
}


def belief(claim: Optimizer, options: dict[str, Any], **variant: Any) -> Implementation:
    """The authors' AdaBelief."""
    return row("adabelief-pytorch", "AdaBelief", claim, {**QUIET, **options}, **variant)


def timm(name: str, claim: Optimizer, options: dict[str, Any] | None = None, **variant: Any) -> Implementation:
    """An optimizer of timm."""
    return row("timm", name, claim, options, **variant)


ADABELIEF = [
    belief(o.AdaBelief(**DECAYED), {}, rectify="author"),
    belief(o.AdaBelief(**DECAYED), {"rectify": False}),
    belief(o.AdaBelief(**DECAYED), {"degenerated_to_sgd": False}, rectify="still"),
    belief(o.AdaBelief(**DECAYED), {"rectify": False, "fixed_decay": True}, decay="fixed"),
    belief(o.AdaBelief(decay="coupled", **DECAYED), {"rectify": False, "weight_decouple": False}),
    belief(o.AdaBelief(amsgrad=True), {"rectify": False, "amsgrad": True}),
    row("torch-optimizer", "AdaBelief", o.AdaBelief(eps=1e-8, **DECAYED), decay="coupled"),
    row(
        "torch-optimizer",
        "AdaBelief",
        o.AdaBelief(amsgrad=True),
        {"amsgrad": True},
        eps_placement="maximum",
        decay="coupled",
    ),
    row("torch-optimizer", "AdaBelief", o.AdaBelief(), {"rectify": True}, rectify="torch_optimizer", decay="coupled"),
    timm("AdaBelief", o.AdaBelief(**DECAYED), rectify="author"),
    row("pytorch-optimizer", "AdaBelief", o.AdaBelief(**DECAYED)),
]

ADAM = [
    row("torch-optimizer", "DiffGrad", o.DiffGrad(**DECAYED), eps_placement="uncorrected"),
    row(
        "pytorch-optimizer",
        "DiffGrad",
        o.DiffGrad(**DECAYED),
        eps_placement="uncorrected",
        eps_root=1e-15,
        decay="before",
    ),
    row("adamp", "AdamP", o.AdamP(**DELTA, **DECAYED), test="author"),
    row("adamp", "AdamP", o.AdamP(nesterov=True, **DELTA, **DECAYED), test="author"),
    timm("AdamP", o.AdamP(**DELTA, **DECAYED), test="author"),
    row("torch-optimizer", "AdamP", o.AdamP(**DELTA, **DECAYED), test="author", norms="added"),
    row("pytorch-optimizer", "AdamP", o.AdamP(**DELTA, **DECAYED), test="author", eps_placement="uncorrected"),
    row(
        "pytorch-optimizer",
        "AdamP",
        o.AdamP(weight_decay=0.5, **DELTA),
        {"weight_decouple": False},
        explained=False,
        note="a coupled decay changes nothing",
        test="author",
        eps_placement="uncorrected",
        weight_decay=0.0,
    ),
    row("adamp", "SGDP", o.SGDP(momentum=0.9, **DELTA, **DECAYED), test="author", kept="projected"),
    row("adamp", "SGDP", o.SGDP(momentum=0.9, nesterov=True, **DELTA, **DECAYED), test="author"),
    timm("SGDP", o.SGDP(momentum=0.9, **DELTA, **DECAYED), test="author"),
    row(
        "torch-optimizer",
        "SGDP",
        o.SGDP(momentum=0.9, **DELTA, **DECAYED),
        test="author",
        kept="projected",
        norms="added",
    ),
    row("pytorch-optimizer", "SGDP", o.SGDP(momentum=0.9, **DELTA, **DECAYED), test="author"),
    row("torch-optimizer", "Lamb", o.LAMB(**DECAYED), correction="none", phi="clamped"),
    row("torch-optimizer", "Lamb", o.LAMB(**DECAYED), {"debias": True}, correction="step", phi="clamped"),
    row(
        "pytorch-optimizer",
        "Lamb",
        o.LAMB(**DECAYED),
        correction="first",
        phi="clamped",
        ratio="eps",
        decay="before",
    ),
    timm("Lamb", o.LAMB(**DECAYED), UNCLIPPED),
    timm("Lamb", o.LAMB(), UNCLIPPED, adapt="with_decay"),
    timm("Lamb", o.LAMB(ratio="capped", **DECAYED), {**UNCLIPPED, "trust_clip": True}),
    timm("Lamb", o.LAMB(decay="before", **DECAYED), {**UNCLIPPED, "decoupled_decay": True}),
    timm("Lamb", o.LAMB(grad_averaging=False, **DECAYED), {**UNCLIPPED, "grad_averaging": False}),
    row(
        "torch-optimizer",
        "RAdam",
        o.RAdam(**DECAYED),
        explained=False,
        note="its step size is kept by the step's number: a group takes that of the group before it",
        **AUTHOR,
    ),
    row("pytorch-optimizer", "RAdam", o.RAdam(**DECAYED), before="still", **AUTHOR),
    timm("RAdamLegacy", o.RAdam(**DECAYED), **AUTHOR),
    timm("NAdamW", o.NAdam(decay="before", **DECAYED), schedule="current"),
    timm("AdamWLegacy", o.AdamW(**DECAYED)),
    timm("AdamWLegacy", o.AdamW(peak_lr=1e-3, decay="corrected", **DECAYED), {"corrected_weight_decay": True}),
    row("pytorch-optimizer", "EXAdam", o.EXAdam(**DECAYED)),
    row("torch-optimi", "Adam", o.Adam(), None, CORRECTED),
    row("torch-optimi", "AdamW", o.AdamW(**DECAYED), None, CORRECTED),
    row(
        "torch-optimi",
        "RAdam",
        o.RAdam(decay="before", **DECAYED),
        {"decouple_wd": True},
        CORRECTED,
        threshold="author",
    ),
    row("heavyball", "AdamW", o.AdamW(**DECAYED), eps_placement="clamped"),
    row(
        "heavyball",
        "NAdam",
        o.NAdam(),
        eps_placement="clamped",
        explained=False,
        note="a decay enters the gradient, and then weight_decay times the parameter is taken off the step besides",
    ),
]

SIGN_AND_SGD = [
    timm("Lion", o.Lion(**DECAYED)),
    row("lion-pytorch", "Lion", o.Lion(**DECAYED)),
    row("pytorch-optimizer", "Lion", o.Lion(decay="coupled", **DECAYED), {"weight_decouple": False}),
    row("pytorch-optimizer", "Lion", o.Lion(decay="fixed", **DECAYED), {"fixed_decay": True}),
    row("torch-optimi", "Lion", o.Lion(**DECAYED)),
    row("torch-optimizer", "SGDW", o.SGDW(dampening=0.3), decay="constant", first_step="undamped"),
    row("torch-optimi", "SGD", o.SGD(lr=0.1, momentum=0.9, **DECAYED), {"dampening": False}),
    row("heavyball", "SGD", o.SGD(lr=0.1), decay="before"),
    row("heavyball", "RMSprop", o.RMSprop(), decay="before", bias_correction=True, eps_placement="clamped"),
    *[
        Implementation(
            package="timm",
            target="timm.optim:RMSpropTF",
            claim=o.RMSprop(eps=1e-10, alpha=0.9, **taken),
            variant=TENSORFLOW,
            through="drivers.from_parameters",
            arguments=taken,
        )
        for taken in TAKEN
    ],
]

ROWS = [*ADABELIEF, *ADAM, *SIGN_AND_SGD]
