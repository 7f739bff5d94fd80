"""Rules with matrices: Muon with its iteration in float32, Shampoo, SOAP, GaLore, PSGD-Kron. All on matrices alone."""

from __future__ import annotations

from typing import Any

from refgrad import optimizers as o
from refgrad.surveys.implementations.keras import on_backends
from refgrad.surveys.implementations.packages import row
from refgrad.surveys.implementations.record import Implementation, unreached
from refgrad.surveys.implementations.wrappers import optax

MUON = o.Muon(weight_decay=0.1)
CLAMPED: dict[str, Any] = {"eps_placement": "clamp"}
TIMM: dict[str, Any] = {"module": "timm.optim.muon", "function": "zeropower_via_newtonschulz"}
PYTORCH_OPTIMIZER: dict[str, Any] = {
    "module": "pytorch_optimizer.optimizer.muon.base",
    "function": "zero_power_via_newton_schulz_5",
    "grouped": True,
}


def muon(
    package: str, target: str, options: dict[str, Any], arguments: dict[str, Any], inputs: str, **variant: Any
) -> Implementation:
    """Muon of a torch package, its iteration in float32."""
    return Implementation(
        package=package,
        target=target,
        claim=MUON,
        variant={**CLAMPED, **variant},
        options=options,
        through="drivers.iterating_in_float32",
        arguments=arguments,
        inputs=inputs,
        name=f"{package} Muon in float32({', '.join(f'{n}={v}' for n, v in options.items())})",
    )


def unpacked(
    name: str,
    claim: Any,
    reads: str,
    fixed: dict[str, Any] | None = None,
    inputs: str = "regular_matrices",
    **variant: Any,
) -> Implementation:
    """An optimizer of pytorch-optimizer whose state is in lists or objects."""
    return Implementation(
        package="pytorch-optimizer",
        target=f"pytorch_optimizer:{name}",
        claim=claim,
        variant=variant,
        through="drivers.unpacked",
        arguments={"reads": reads, **(fixed or {})},
        inputs=inputs,
        name=f"pytorch_optimizer.{name}",
    )


def on_matrices(known: Implementation, inputs: str = "regular_matrices") -> Implementation:
    """A row on inputs of matrices that are far from singular."""
    return Implementation(**{**vars(known), "inputs": inputs})


SHAMPOO = o.Shampoo(eps=0.01, weight_decay=0.1)

ROWS = [
    muon("torch", "torch.optim:Muon", {}, {}, "matrices"),
    muon("torch", "torch.optim:Muon", {"adjust_lr_fn": "match_rms_adamw"}, {}, "matrices", scale="rms"),
    unreached(muon("timm", "timm.optim.muon:Muon", {"adjust_lr_fn": "original"}, TIMM, "large_matrices")),
    muon(
        "timm", "timm.optim.muon:Muon", {}, TIMM, "large_matrices", nesterov=False, coefficients="stepwise", scale="rms"
    ),
    muon(
        "timm",
        "timm.optim.muon:Muon",
        {"ns_coefficients": "polar_express", "adjust_lr_fn": "rms_to_rms"},
        TIMM,
        "large_matrices",
        coefficients="polar_express_1",
        scale="ratio",
    ),
    muon(
        "timm",
        "timm.optim.muon:Muon",
        {"ns_coefficients": "polar_express_safer", "adjust_lr_fn": None},
        TIMM,
        "large_matrices",
        coefficients="polar_express_2",
        scale="none",
    ),
    *(
        muon("pytorch-optimizer", "pytorch_optimizer:Muon", {"foreach": loop}, PYTORCH_OPTIMIZER, "matrices")
        for loop in (False, True)
    ),
    muon(
        "pytorch-optimizer",
        "pytorch_optimizer:Muon",
        {"foreach": False, "ns_coeffs": "quintic", "use_adjusted_lr": True},
        PYTORCH_OPTIMIZER,
        "matrices",
        coefficients="stepwise",
        scale="rms",
    ),
    *on_backends("keras.optimizers:Muon", claim=MUON, variant={"buffer": "sum", "scale": "rms"}, inputs="matrices"),
    on_matrices(row("pytorch-optimizer", "Shampoo", SHAMPOO)),
    on_matrices(row("pytorch-optimizer", "Shampoo", SHAMPOO.replace(interval=3), refresh="whole")),
    on_matrices(
        row(
            "torch-optimizer",
            "Shampoo",
            SHAMPOO.replace(interval=2, weight_decay=0.0),
            exponent="order",
            statistics="preconditioned",
        )
    ),
    unpacked("SOAP", o.SOAP(interval=2), "soap"),
    unpacked("SOAP", o.SOAP(interval=3, shampoo_beta=0.9, beta1=0.9), "soap"),
    unpacked(
        "GaLore",
        o.GaLore(rank=2, interval=3, weight_decay=0.1),
        "galore",
        {"rank": 2, "update_proj_gap": 3, "scale": 0.25, "projection_type": "std"},
        refresh="whole",
        decay="after",
        eps_placement="uncorrected",
    ),
    unpacked(
        "Kron",
        o.PSGDKron(weight_decay=0.1),
        "kron",
        {"pre_conditioner_update_probability": 1.0, "balance_prob": 0.0, "weight_decouple": True},
        "probed_matrices",
    ),
    on_matrices(
        optax(
            "contrib.galore",
            o.GaLore(rank=2, interval=3, weight_decay=0.1),
            {"rank": 2, "update_proj_gap": 3, "scale": 0.25},
            side="longer",
        )
    ),
]
