"""Packages of torch optimizers whose rules see a whole tensor, its rows or its columns, and cautious ones."""

from __future__ import annotations

from typing import Any

from refgrad import optimizers as o
from refgrad.surveys.implementations.momenta import pytorch
from refgrad.surveys.implementations.packages import DECAYED, row, timm
from refgrad.surveys.implementations.record import Implementation, unreached

EPS2: dict[str, Any] = {"eps2": (1e-30, 1e-3)}
FLOAT32 = "drivers.with_float32_momentum"

RELATIVE: dict[str, Any] = {
    "explained": False,
    "note": "with relative steps it does not read the learning rate, where the rule takes the smaller of both",
}

ZERO_IS_FIRST: dict[str, Any] = {
    "explained": False,
    "note": "a running norm of zero is taken for that of a first step: the next gradient's enters it whole",
}

ROWS = [
    row("pytorch-optimizer", "AdaFactor", o.Adafactor(), {"betas": (None, 0.999)}, FLOAT32, **RELATIVE, decay="step"),
    row(
        "pytorch-optimizer",
        "AdaFactor",
        o.Adafactor(beta1=0.9, weight_decay=1e-3),
        {"betas": (0.9, 0.999)},
        FLOAT32,
        **RELATIVE,
        decay="step",
    ),
    row("torch-optimizer", "Adafactor", o.Adafactor(), EPS2, **RELATIVE, decay="step"),
    unreached(
        row(
            "torch-optimizer",
            "Adafactor",
            o.Adafactor(relative_step=False, scale_parameter=False, **DECAYED),
            EPS2,
            decay="step",
        )
    ),
    pytorch("MADGRAD", o.MADGRAD(), weights="padded"),
    row("torch-optimizer", "MADGRAD", o.MADGRAD(), weights="padded"),
    timm("MADGRAD", o.MADGRAD(), weights="padded"),
    # without its slow average, AdEMAMix is AdamW
    pytorch("AdEMAMix", o.CautiousAdamW(), {"cautious": True, "alpha": 0.0, "weight_decouple": True}),
    pytorch("Lion", o.CautiousLion(**DECAYED), {"cautious": True}),
    timm("AdamWLegacy", o.CautiousAdamW(), {"caution": True}, rescaling="at_least"),
    timm("Lion", o.CautiousLion(**DECAYED), {"caution": True}, rescaling="at_least"),
    pytorch("SM3", o.SM3(eps=1e-30)),
    row(
        "pytorch-optimizer",
        "LARS",
        o.LARS(**DECAYED),
        buffer_holds="directions",
        explained=False,
        note="what is no matrix is not scaled",
    ),
    row(
        "torch-optimizer",
        "LARS",
        o.LARS(**DECAYED),
        buffer_holds="directions",
        explained=False,
        note="where the gradient is zero nothing decays",
    ),
    row("torch-optimizer", "LARS", o.LARS(), buffer_holds="directions", without_decay="plain"),
    pytorch("Fromage", o.Fromage()),
    pytorch("NovoGrad", o.NovoGrad(**DECAYED)),
    pytorch("NovoGrad", o.NovoGrad(averaging=True)),
    row("torch-optimizer", "NovoGrad", o.NovoGrad(**DECAYED), **ZERO_IS_FIRST),
    timm("NvNovoGrad", o.NovoGrad(**DECAYED), **ZERO_IS_FIRST),
    pytorch("StableAdamW", o.StableAdamW()),
    row("torch-optimi", "StableAdamW", o.StableAdamW()),
    # vectors are AdamW's unless it is told otherwise
    pytorch("MARS", o.MARS(**DECAYED), {"optimize_1d": True}, first_change="from_zero", eps_placement="hidden"),
    pytorch("CAME", o.CAME(**DECAYED)),
    row("came-pytorch", "CAME", o.CAME(**DECAYED), {"eps": (1e-30, 1e-16)}),
    *[
        Implementation(
            package="adam-mini",
            target="adam_mini:Adam_mini",
            claim=o.AdamMini(blocks=blocks, **DECAYED),
            through="drivers.named_parameters",
            arguments={"name": name, "dim": 64, "n_heads": 1, "verbose": False},
            note="its blocks follow from the parameters' names",
        )
        for name, blocks in (("mlp", "row"), ("other", "tensor"))
    ],
]
