"""What frameworks and authors call a rule, where theirs is not its default: data for `refgrad show` and failing verdicts.

A framework's class that does not conform to the paper's rule of the same name is another named behaviour of the rule; these
sentences say which. Each line is a row of `refgrad.surveys.implementations`, by which it was found, or says who found it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["ELSEWHERE", "alike", "sentences"]

#: rule -> what others call it -> the hyperparameters that it has there
ELSEWHERE: Mapping[str, Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "ACProp": {
            "optax.contrib.acprop": {"deviation": "old"},
        },
        "AMSGrad": {
            "torch.optim.Adam(amsgrad=True)": {"order": "torch"},
            "optax.amsgrad": {"order": "optax"},
            "keras.optimizers.Adam(amsgrad=True)": {
                "order": "torch",
                "eps_placement": "uncorrected",
                "decay": "before",
            },
        },
        "Adadelta": {
            "keras.optimizers.Adadelta": {"decay": "before"},
        },
        "Adafactor": {
            "torch.optim.Adafactor": {"eps_placement": "clamp", "eps1": 2.0**-23},
            "optax.adafactor": {"relative_step": False, "decay": "fixed"},
        },
        "Adagrad": {
            "optax.adagrad": {"eps_placement": "inside_or_still"},
            "keras.optimizers.Adagrad": {"eps_placement": "inside", "decay": "before"},
        },
        "Adam": {
            "keras.optimizers.Adam": {"eps_placement": "uncorrected"},
        },
        "AdamP": {
            "adamp.AdamP": {"test": "author"},
        },
        "AdamW": {
            "keras.optimizers.AdamW": {"eps_placement": "uncorrected"},
        },
        "Adamax": {
            "torch.optim.Adamax": {"eps_placement": "inside_max"},
            "optax.adamax": {"eps_placement": "inside_max"},
            "keras.optimizers.Adamax": {"eps_placement": "outside", "decay": "before"},
        },
        "AdamaxW": {
            "optax.adamaxw": {"eps_placement": "inside_max"},
        },
        "Adan": {
            "optax.adan": {
                "start": "corrected",
                "eps_placement": "outside",
                "decay": "before",
                "difference": "one_minus_beta2",
            },
            "the authors' Adan": {"start": "corrected", "eps_placement": "outside"},
        },
        "COCOB": {
            "optax.contrib.cocob": {"applied": "by_difference"},
        },
        "CautiousAdamW": {
            "the authors' c_adamw.AdamW(foreach=False)": {"rescaling": "at_least", "eps_placement": "uncorrected"},
            "timm.optim.AdamWLegacy(caution=True)": {"rescaling": "at_least"},
        },
        "CautiousLion": {
            "timm.optim.Lion(caution=True)": {"rescaling": "at_least"},
        },
        "ClipByGlobalNorm": {
            "torch.nn.utils.clip_grad_norm_": {"division": "padded"},
        },
        "ClipByNorm": {
            "torch.nn.utils.clip_grad_norm_": {"division": "padded"},
        },
        "DAdaptAdam": {
            "optax.contrib.dadapt_adamw": {"bias_correction": "adam"},
        },
        "DiffGrad": {
            "the authors' diffgrad": {"eps_placement": "uncorrected"},
        },
        "Fromage": {
            "optax.fromage": {"zero_norms": "floored"},
        },
        "GaLore": {
            "optax.contrib.galore": {"side": "longer"},
            "pytorch_optimizer.GaLore": {"refresh": "whole", "decay": "after", "eps_placement": "uncorrected"},
        },
        "Grams": {
            "the authors' Grams": {"eps_placement": "uncorrected"},
        },
        "LAMB": {
            "keras.optimizers.Lamb": {"decay": "before"},
        },
        "LARS": {
            "optax.lars": {"ratio": "joint"},
        },
        "LaProp": {
            "pytorch_optimizer.LaProp": {"eps_placement": "hidden"},
            "the authors' LaProp": {"decay": "fixed"},
        },
        "MADGRAD": {
            "optax.contrib.madgrad": {"weights": "padded", "applied": "by_difference"},
        },
        "MARS": {
            "the authors' MARS": {"first_change": "from_zero"},
        },
        "Muon": {
            "torch.optim.Muon": {"eps_placement": "clamp", "internals": "bfloat16"},
            "optax.contrib.muon": {"scale": "wide", "correction": True},
            "keras.optimizers.Muon": {"buffer": "sum", "scale": "rms"},
        },
        "NAdam": {
            "optax.nadam": {"schedule": "constant"},
            "keras.optimizers.Nadam": {"momentum_decay": 1.0, "decay": "before"},
        },
        "PSGDKron": {
            "kron_torch.Kron": {
                "lr": 3e-4,
                "damping": 2**-11.5,
                "padding": 1e-12,
                "vectors": "diagonal",
                "decayed": "matrices",
                "updates": "annealed",
            },
        },
        "Prodigy": {
            "optax.contrib.prodigy": {"bias_correction": "adam"},
        },
        "RAdam": {
            "torch.optim.RAdam": {"threshold": "torch", "eps_placement": "uncorrected"},
            "optax.radam": {"threshold": "author"},
            "the authors' RAdam": {
                "threshold": "author",
                "before": "still",
                "eps_placement": "uncorrected",
                "decay": "before",
            },
        },
        "RMSprop": {
            "torch.optim.RMSprop(centered=True)": {"variance": "bare", "centered": True},
            "optax.rmsprop": {"eps_placement": "inside", "lr_placement": "velocity"},
            "keras.optimizers.RMSprop": {"eps_placement": "inside", "lr_placement": "buffer", "decay": "before"},
        },
        "Rprop": {
            "torch.optim.Rprop": {"reversal": "skip"},
            "optax.rprop": {"reversal": "delayed"},
        },
        "SGD": {
            "torch.optim.SGD": {"first_step": "undamped"},
            "keras.optimizers.SGD": {"lr_placement": "velocity", "decay": "before"},
        },
        "SGDP": {
            "adamp.SGDP": {"test": "author", "kept": "projected"},
        },
        "ScheduleFreeAdamW": {
            "schedulefree.AdamWScheduleFreePaper": {"correction": "rate", "initial_lr_max": -1.0},
        },
        "Shampoo": {
            "torch_optimizer.Shampoo": {"exponent": "order", "statistics": "preconditioned"},
            "pytorch_optimizer.Shampoo": {"refresh": "whole"},
        },
        "Sophia": {
            "the authors' SophiaG": {"floor": "padded"},
            "optax.contrib.sophia": {"estimate": "stale", "momentum": "corrected"},
        },
        "Yogi": {
            "optax.yogi": {"correction": "adam", "initial_m": 1e-06, "initial_v": 1e-06},
        },
    }
)


#: between the names of several whose rule one candidate may be
AND = " and "


def sentences(rule: str) -> list[str]:
    """What others call a rule, one line each.

    Args:
        rule: its plain name.

    >>> sentences("AMSGrad")[0]
    "torch.optim.Adam(amsgrad=True) is AMSGrad(order='torch')"
    """
    return [f"{name} is {written(rule, changes)}" for name, changes in ELSEWHERE.get(rule, {}).items()]


def alike(rule: str, name: str) -> list[str]:
    """What others call a rule with the named behaviours of a departure; its scalars and policy do not count.

    Args:
        rule: its plain name.
        name: the departure's, such as ``"eps_placement=inside, scalars=float32"``.

    >>> alike("AdamW", "eps_placement=uncorrected, scalars=float32")
    ["keras.optimizers.AdamW is AdamW(eps_placement='uncorrected')"]
    """
    parts = {part for part in name.split(", ") if not part.startswith(("scalars=", "policy "))}
    others = ELSEWHERE.get(rule, {}).items()
    same = [(n, c) for n, c in others if {f"{field}={value}" for field, value in c.items()} == parts]
    return [f"{n} is {written(rule, changes)}" for n, changes in same]


def written(rule: str, changes: Mapping[str, Any]) -> str:
    """A rule with hyperparameters as Python."""
    return f"{rule}({', '.join(f'{name}={value!r}' for name, value in changes.items())})"
