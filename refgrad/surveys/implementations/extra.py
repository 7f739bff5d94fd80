"""What takes a loss, a second gradient, an estimate of the Hessian's diagonal or noise besides gradients; and L-BFGS."""

from __future__ import annotations

from typing import Any

from refgrad import optimizers as o
from refgrad.optimizers.base import Optimizer
from refgrad.surveys.implementations.record import Implementation, unreached

FLUSHED = {"subnormals": "either"}
#: optax takes no step where a squared norm is at most float64's epsilon
LEAST = {"least": 2.0**-52}
SGD, MOMENTUM = o.SGD(lr=0.1), o.SGD(lr=0.1, momentum=0.9)
BASE = o.SGD(lr=1.0)
LBFGS = o.LBFGS(lr=0.1, history=3)
#: torch's L-BFGS as one step a call, with nothing that ends it early
ONE_STEP = {"max_iter": 1, "tolerance_grad": -1.0, "tolerance_change": -float("inf")}


def optax(name: str, claim: Optimizer, variant: dict[str, Any], **others: Any) -> Implementation:
    """A transformation of optax on the leaves whose squares do not overflow, with all extra inputs."""
    place, _, attribute = name.rpartition(".")
    told = {"inputs": "with_extra_inputs", **others}
    return Implementation(
        package="optax",
        target=f"optax{'.' + place if place else ''}:{attribute}",
        claim=claim,
        variant=variant,
        scalars="float32",
        policy=FLUSHED,
        **told,
    )


def momo(name: str, claim: Optimizer, variant: dict[str, Any] | None = None, **options: Any) -> Implementation:
    """The package of MoMo's authors, which keeps one inner product a parameter: on one."""
    return Implementation(
        package="momo-opt",
        target=f"momo:{name}",
        claim=claim,
        variant=variant or {},
        options=options,
        inputs="one_leaf_with_extra_inputs",
    )


def mechanic(kept: bool) -> Implementation:
    """The package of Mechanic's authors."""
    return Implementation(
        package="mechanic-pytorch",
        target="mechanic_pytorch:mechanize",
        claim=o.Mechanic(inner=BASE),
        variant={"initial_m": 1e-6, "decay_point": "after", "keep_offset": kept},
        policy=FLUSHED,
        through="drivers.mechanized",
        arguments={"store_delta": kept},
        inputs="with_extra_inputs" if kept else "from_zero",
    )


def sam(claim: Optimizer, variant: dict[str, Any] | None = None, **arguments: Any) -> Implementation:
    """pytorch-optimizer's sharpness-aware minimization around torch's SGD."""
    return Implementation(
        package="pytorch-optimizer",
        target="pytorch_optimizer:SAM",
        claim=claim,
        variant=variant or {},
        through="drivers.around_momentum",
        arguments=arguments,
        inputs="with_extra_inputs",
    )


OPTAX = [
    unreached(optax("polyak_sgd", o.PolyakSGD(), LEAST)),
    optax("polyak_sgd", o.PolyakSGD(lr=0.3), {"lr_scales": "gradient", **LEAST}, options={"scaling": 0.3}),
    unreached(optax("polyak_sgd", o.PolyakSGD(f_min=0.25, gap="positive"), LEAST, options={"variant": "sps+"})),
    unreached(optax("contrib.momo", o.MoMo(lr=0.5), LEAST)),
    optax("contrib.momo", o.MoMo(lr=0.5, weight_decay=0.1), {"decay": "before", **LEAST}),
    unreached(optax("contrib.momo", o.MoMo(lr=0.5, adapt_lower_bound=True), LEAST)),
    unreached(optax("contrib.momo_adam", o.MoMoAdam(lr=0.5), LEAST)),
    optax("contrib.momo_adam", o.MoMoAdam(lr=0.5, weight_decay=0.1), {"decay": "before", **LEAST}),
    optax(
        "contrib.reduce_on_plateau",
        o.ReduceOnPlateau(inner=o.AdamW(lr=0.1, weight_decay=0.1), patience=2, cooldown=1, accumulation_size=2),
        {},
        through="drivers.after_adamw",
        arguments={"patience": 2, "cooldown": 1, "accumulation_size": 2},
    ),
    unreached(optax("contrib.sam", o.SAM(inner=o.Adam()), {"eps": 0.0}, through="drivers.opaque_sam")),
    optax("contrib.sophia", o.Sophia(interval=3), {"estimate": "stale", "momentum": "corrected"}),
    optax("noisy_sgd", o.AddNoise(inner=SGD), {}, through="drivers.keyed_noise", inputs="noise_of_optax"),
    optax(
        "contrib.mechanize",
        o.Mechanic(inner=BASE, s_init=1e-6),
        {"reward": "clipped", "keep_offset": False, "initial_s": 1e-6},
        through="drivers.around_sgd",
        inputs="from_zero",
    ),
    optax("lbfgs", LBFGS, {"scale_first": "euclidean"}, through="drivers.without_line_search", inputs="quadratic"),
]

ROWS = [
    *OPTAX,
    Implementation(
        package="torch",
        target="torch.optim:LBFGS",
        claim=LBFGS,
        variant={"scale_first": "sum", "pairs": "curved", "difference": "steps", "least_curvature": 1e-10},
        through="drivers.from_parameters",
        arguments={"lr": 0.1, "history_size": 3, **ONE_STEP},
        inputs="quadratic",
        note="one iteration a step, without its line search",
    ),
    sam(o.SAM(inner=MOMENTUM)),
    sam(o.ASAM(inner=MOMENTUM), {"eta": 0.0, "eps": 1e-12}, adaptive=True, rho=0.5),
    Implementation(
        package="pytorch-optimizer",
        target="pytorch_optimizer:SophiaH",
        claim=o.Sophia(gamma=1.0, clip=0.01, weight_decay=0.1, interval=1),
        options={"p": 0.01, "eps": 1e-12},
        inputs="with_extra_inputs",
        note="without gamma, and clipped at a hundredth: the paper's step with lr a hundredth",
    ),
    Implementation(
        package="pytorch-optimizer",
        target="pytorch_optimizer:AdaHessian",
        claim=o.AdaHessian(weight_decay=0.1),
        options={"eps": 1e-4},
        inputs="with_extra_inputs",
    ),
    momo("Momo", o.MoMo(lr=0.5, weight_decay=0.1)),
    momo("Momo", o.MoMo(start="zero"), bias_correction=True),
    momo("MomoAdam", o.MoMoAdam(lr=0.5, weight_decay=0.1), divide=True),
    momo("MomoAdam", o.MoMoAdam(lr=0.5, weight_decay=0.1), {"decay": "adamw"}, divide=False),
    mechanic(kept=True),
    mechanic(kept=False),
]
