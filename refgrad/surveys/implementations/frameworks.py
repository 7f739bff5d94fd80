"""torch.optim in its three forms, and optax. What is given after the claim is what the code is found to do instead."""

from __future__ import annotations

import dataclasses
from typing import Any

from refgrad import optimizers as o
from refgrad.optimizers.base import Optimizer
from refgrad.surveys.implementations.record import Implementation, unreached

#: form -> the options that choose it
FORMS: dict[str, dict[str, bool]] = {
    "for-loop": {"foreach": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}
#: the classes that have a fused form
FUSED = ("SGD", "Adam", "AdamW", "Adagrad")


def torch(
    name: str,
    claim: Optimizer,
    options: dict[str, Any] | None = None,
    mutating: tuple[str, ...] = (),
    narrow: tuple[str, ...] = (),
    **variant: Any,
) -> list[Implementation]:
    """A class of torch.optim in each of its forms: ``mutating`` write into the gradients, scalars of ``narrow`` are float32."""
    return [
        Implementation(
            package="torch",
            target=f"torch.optim:{name}",
            claim=claim,
            variant=variant,
            options={**chosen, **(options or {})},
            form=form,
            name=f"torch.optim.{name}",
            mutates=form in mutating,
            scalars="float32" if form in narrow else "float64",
        )
        for form, chosen in FORMS.items()
        if form != "fused" or name in FUSED
    ]


def optax(name: str, claim: Optimizer, options: dict[str, Any] | None = None, **variant: Any) -> Implementation:
    """A transformation of optax: its scalars are float32 arrays, and XLA on a CPU flushes subnormal numbers."""
    place, _, attribute = name.rpartition(".")
    target = f"optax{'.' + place if place else ''}:{attribute}"
    inputs = "without_wide_magnitudes" if isinstance(claim, o.DoWG) else ""
    return Implementation(
        package="optax",
        target=target,
        claim=claim,
        variant=variant,
        scalars="float32",
        policy={"subnormals": "either"},
        options=options or {},
        inputs=inputs,
    )


DECOUPLED = {"decoupled_weight_decay": True}
#: torch's Adafactor: its own eps is that of the parameter's dtype
ADAFACTOR = o.Adafactor(weight_decay=1e-3)

TORCH = [
    *torch("SGD", o.SGD(lr=0.1)),
    *torch("SGD", o.SGD(lr=0.1, momentum=0.9, dampening=0.5, weight_decay=0.1), first_step="undamped"),
    *torch("SGD", o.SGD(lr=0.1, momentum=0.9, nesterov=True), mutating=("foreach",)),
    *torch("Adam", o.Adam(weight_decay=0.1)),
    *torch("Adam", o.AMSGrad(), {"amsgrad": True}, order="torch"),
    *torch("AdamW", o.AdamW()),
    *torch("AdamW", o.AMSGrad(decay="before", weight_decay=0.1), {"amsgrad": True}, order="torch"),
    *torch("NAdam", o.NAdam()),
    *torch("NAdam", o.NAdam(decay="before", weight_decay=0.1), DECOUPLED),
    *torch("RAdam", o.RAdam(), threshold="torch", eps_placement="uncorrected"),
    *torch(
        "RAdam",
        o.RAdam(decay="before", weight_decay=0.1),
        DECOUPLED,
        threshold="torch",
        eps_placement="uncorrected",
    ),
    *torch("Adamax", o.Adamax(), eps_placement="inside_max"),
    *torch("Adagrad", o.Adagrad(lr_decay=0.1)),
    *torch("Adadelta", o.Adadelta()),
    *torch("RMSprop", o.RMSprop()),
    *torch("RMSprop", o.RMSprop(momentum=0.9, weight_decay=0.1)),
    *map(unreached, torch("RMSprop", o.RMSprop(centered=True), variance="bare")),
    *torch("Rprop", o.Rprop(lr=0.01), reversal="skip"),
    # lr / (1 + lambd lr t)^alpha of a step count that is a tensor
    *torch("ASGD", o.ASGD(t0=3.0, weight_decay=0.1), narrow=("foreach",)),
    *[
        Implementation(
            package="torch",
            target="torch.optim:Adafactor",
            claim=ADAFACTOR,
            variant={"eps_placement": "clamp", "eps1": 2.0**-23},
            form=form,
            through="drivers.built",
            arguments=FORMS[form],
            note="its eps, where None is given, is that of the parameter's dtype",
        )
        for form in ("for-loop", "foreach")
    ],
]

CENTERED: dict[str, Any] = {"eps_placement": "inside", "variance": "bare"}

OPTAX = [
    optax("sgd", o.SGD(lr=0.1, momentum=0.9)),
    optax("adam", o.Adam()),
    optax("adam", o.Adam(eps_root=1e-8)),
    optax("adamw", o.AdamW()),
    optax("adamw", o.AdamW(eps_root=1e-8)),
    optax("amsgrad", o.AMSGrad(), order="optax"),
    optax("amsgrad", o.AMSGrad(), {"bias_correction_mu": False, "bias_correction_nu": False}),
    optax("nadam", o.NAdam(), schedule="constant"),
    optax("nadamw", o.NAdamW()),
    optax("radam", o.RAdam(), threshold="author"),
    optax("adamax", o.Adamax(), eps_placement="inside_max"),
    optax("adamaxw", o.AdamaxW(), eps_placement="inside_max"),
    optax("adabelief", o.AdaBelief()),
    optax("adadelta", o.Adadelta()),
    optax("adagrad", o.Adagrad(initial_accumulator_value=0.1, eps=1e-7), eps_placement="inside_or_still"),
    optax("adagrad", o.Adagrad(lr=0.1, initial_accumulator_value=0.1, eps=1e-7), eps_placement="inside"),
    optax("rmsprop", o.RMSprop(), eps_placement="inside", lr_placement="velocity"),
    optax("rmsprop", o.RMSprop(lr=0.1, alpha=0.9), eps_placement="inside", lr_placement="velocity"),
    optax("rmsprop", o.RMSprop(momentum=0.9, nesterov=True), eps_placement="inside", lr_placement="velocity"),
    optax("rmsprop", o.RMSprop(centered=True), **CENTERED, lr_placement="velocity"),
    optax("rmsprop", o.RMSprop(bias_correction=True), eps_placement="inside", lr_placement="velocity"),
    optax("lion", o.Lion(weight_decay=1e-3)),
    optax("lamb", o.LAMB()),
    dataclasses.replace(
        optax("rprop", o.Rprop(lr=0.01), reversal="delayed"),
        explained=False,
        note="the sign is that of gradient times last step, which underflows for gradients near the smallest number",
    ),
    optax("sign_sgd", o.SignDescent()),
    optax("signum", o.Signum()),
    optax("optimistic_gradient_descent", o.OptimisticGradient(alpha=0.7, beta=0.3)),
    optax("optimistic_adam_v2", o.OptimisticAdam(nesterov=True)),
    optax("optimistic_adam_v2", o.OptimisticAdam(alpha=0.7, beta=0.3), {"nesterov": False}),
    optax("yogi", o.Yogi(), correction="adam", initial_m=1e-6, initial_v=1e-6),
    optax(
        "adan",
        o.Adan(weight_decay=0.1, eps_root=1e-8),
        start="corrected",
        eps_placement="outside",
        decay="before",
        difference="one_minus_beta2",
    ),
    optax("contrib.ademamix", o.AdEMAMix(weight_decay=0.1)),
    optax("contrib.simplified_ademamix", o.SimplifiedAdEMAMix(alpha=0.5, weight_decay=0.1)),
    optax("contrib.adopt", o.ADOPT()),
    optax("contrib.acprop", o.ACProp(weight_decay=0.1), deviation="old"),
    optax("adafactor", o.Adafactor(relative_step=False), {"min_dim_size_to_factor": 1}, decay="fixed"),
    optax(
        "adafactor",
        o.Adafactor(relative_step=False, beta1=0.9, weight_decay=1e-3),
        {"min_dim_size_to_factor": 1, "momentum": 0.9, "weight_decay_rate": 1e-3},
        decay="fixed",
    ),
    optax("sm3", o.SM3(eps=1e-8)),
    optax("lars", o.LARS(weight_decay=0.1), ratio="joint"),
    optax("fromage", o.Fromage(), zero_norms="floored"),
    optax("novograd", o.NovoGrad(weight_decay=0.1)),
    optax("contrib.cocob", o.COCOB(), applied="by_difference"),
    optax("contrib.madgrad", o.MADGRAD(weight_decay=0.1), weights="padded", applied="by_difference"),
    # a warmup begins with a rate of zero there, so that it is left out; and the weights are of the next step's rate
    optax("contrib.schedule_free_sgd", o.ScheduleFreeSGD(weight_decay=0.1), {"warmup_steps": None}),
    optax("contrib.schedule_free_adamw", o.ScheduleFreeAdamW(weight_decay=0.1), {"warmup_steps": None}),
    optax("contrib.dog", o.DoG(weight_decay=0.01)),
    optax("contrib.dowg", o.DoWG()),
    optax("contrib.prodigy", o.Prodigy(weight_decay=0.1), bias_correction="adam"),
    optax("contrib.dadapt_adamw", o.DAdaptAdam(weight_decay=0.1), bias_correction="adam"),
    Implementation(
        package="optax",
        target="optax:scale_by_lion",
        claim=o.Lion(direction="refined"),
        scalars="float32",
        policy={"subnormals": "either"},
        through="drivers.scaled_lion",
        name="optax.scale_by_lion(mode='refined')",
    ),
]

ROWS = [*TORCH, *OPTAX]
