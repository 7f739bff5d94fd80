"""Packages of torch optimizers: momentum, sign, and Adam's relatives with several moments."""

from __future__ import annotations

from typing import Any

from refgrad import optimizers as o
from refgrad.optimizers.base import Optimizer
from refgrad.surveys.implementations.packages import CORRECTED, DECAYED, row, timm
from refgrad.surveys.implementations.record import Implementation

YOGI: dict[str, Any] = {"correction": "adam", "initial_m": 1e-6, "initial_v": 1e-6}
WHOLE_START = "drivers.with_whole_start"
BETAS = {"betas": (0.0, 0.9, 0.99)}
NUS = {"nus": (0.7, 1.0)}


def pytorch(name: str, claim: Optimizer, options: dict[str, Any] | None = None, **variant: Any) -> Implementation:
    """An optimizer of pytorch-optimizer."""
    return row("pytorch-optimizer", name, claim, options, **variant)


ROWS = [
    pytorch("AccSGD", o.AccSGD()),
    row("torch-optimizer", "AccSGD", o.AccSGD()),
    pytorch("AdaMod", o.AdaMod(**DECAYED), sizes="corrected"),
    row("torch-optimizer", "AdaMod", o.AdaMod(**DECAYED), sizes="corrected"),
    pytorch(
        "PNM",
        o.PNM(),
        explained=False,
        searched="decoupled weight decay before the step by lr times weight_decay",
        note="its decay is decoupled by default: weight_decouple=False is the rule's",
    ),
    pytorch("SGDW", o.SGDW(), decay="before", first_step="undamped"),
    row("torch-optimizer", "SGDW", o.SGDW(), decay="constant", first_step="undamped"),
    row("torch-optimizer", "SGDW", o.SGDW(nesterov=True), decay="constant", first_step="undamped"),
    timm("SGDW", o.SGDW(), decay="before", first_step="undamped"),
    pytorch("QHM", o.QHM(lr=0.1)),
    row("torch-optimizer", "QHM", o.QHM(lr=0.1)),
    pytorch("AggMo", o.AggMo(), BETAS),
    row("torch-optimizer", "AggMo", o.AggMo(), BETAS),
    pytorch("SignSGD", o.Signum(**DECAYED), {"momentum": 0.9}),
    pytorch("Tiger", o.Tiger()),
    pytorch("QHAdam", o.QHAdam(), NUS, corrected_state=True),
    row("torch-optimizer", "QHAdam", o.QHAdam(), NUS, corrected_state=True),
    pytorch("Adan", o.Adan(**DECAYED), start="corrected", eps_placement="outside"),
    pytorch("Adan", o.Adan(**DECAYED), {"foreach": True}, start="corrected", eps_placement="outside"),
    timm("Adan", o.Adan(**DECAYED), {"foreach": False}, start="corrected", eps_placement="outside"),
    row("torch-optimi", "Adan", o.Adan(**DECAYED), None, CORRECTED, start="corrected", eps_placement="outside"),
    pytorch("AdEMAMix", o.AdEMAMix(beta3=0.999, **DECAYED), {"weight_decouple": True}),
    pytorch(
        "AdEMAMix",
        o.AdEMAMix(beta3=0.999, warmup=5.0),
        {"t_alpha_beta3": 5.0},
        explained=False,
        searched="coupled weight decay",
        note="its decay is coupled by default: weight_decouple=True is the rule's",
    ),
    row(
        "pytorch-optimizer",
        "SimplifiedAdEMAMix",
        o.SimplifiedAdEMAMix(),
        explained=False,
        note="another rule under the same name",
    ),
    pytorch("LaProp", o.LaProp(**DECAYED), eps_placement="hidden"),
    timm(
        "LaProp",
        o.LaProp(**DECAYED),
        {"foreach": False},
        explained=False,
        note="the correction of the second moment is a sum in float32, and drifts over hundreds of steps",
    ),
    pytorch("Grams", o.Grams()),
    # its decay is decoupled unless it is told otherwise
    pytorch("Yogi", o.Yogi(), {"weight_decouple": False}, **YOGI),
    row("torch-optimizer", "Yogi", o.Yogi(), **YOGI),
    pytorch("ADOPT", o.ADOPT(**DECAYED), {"weight_decouple": True}, clip="counted", first_step="decays"),
    timm("Adopt", o.ADOPT(**DECAYED), {"decoupled": True, "foreach": False}),
    row(
        "pytorch-optimizer",
        "PID",
        o.PID(),
        explained=False,
        searched="d_buffer not updated",
        note="its first step takes no change of the gradient: a first gradient of NaN leaves that average at zero",
    ),
    row(
        "torch-optimizer",
        "PID",
        o.PID(),
        first_gradient="lost",
        explained=False,
        note="the first gradient enters the integral without dampening",
    ),
    *[
        Implementation(
            package=package,
            target=f"{package.replace('-', '_')}:Lookahead",
            claim=o.Lookahead(inner=o.AdamW(lr=0.1, weight_decay=0.1), k=2.0, alpha=0.5),
            variant=variant,
            through="drivers.around_adamw",
            arguments={"k": 2, "alpha": 0.5},
        )
        for package, variant in (("torch-optimizer", {"sync": "at_once"}), ("pytorch-optimizer", {}))
    ],
    *[
        Implementation(
            package="schedulefree",
            target=f"schedulefree:{name}",
            claim=claim,
            variant={"initial_lr_max": -1.0, **variant},
            options={"foreach": foreach},
            through="drivers.in_training",
            form="foreach" if foreach else "for-loop",
        )
        for foreach in (False, True)
        for name, claim, variant in (
            ("SGDScheduleFree", o.ScheduleFreeSGD(warmup_steps=4.0), {}),
            ("SGDScheduleFree", o.ScheduleFreeSGD(weight_decay=0.1, r=1.0), {}),
            ("AdamWScheduleFree", o.ScheduleFreeAdamW(weight_decay=0.1), {}),
            ("AdamWScheduleFreePaper", o.ScheduleFreeAdamW(weight_decay=0.1, warmup_steps=4.0), {"correction": "rate"}),
        )
    ],
    row("prodigyopt", "Prodigy", o.Prodigy(**DECAYED), through=WHOLE_START),
    row("prodigyopt", "Prodigy", o.Prodigy(), {"use_bias_correction": True}, WHOLE_START, bias_correction="adam"),
    row("dadaptation", "DAdaptAdam", o.DAdaptAdam(**DECAYED), {"decouple": True}),
    row(
        "dadaptation",
        "DAdaptAdam",
        o.DAdaptAdam(),
        {"decouple": True, "use_bias_correction": True},
        bias_correction="adam",
    ),
]
