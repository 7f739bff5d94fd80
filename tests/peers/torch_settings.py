"""torch's own database of optimizers: each class with each set of hyperparameters that torch tests it with, judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from inspect import signature
from typing import Any, NamedTuple

import refgrad
from refgrad import optimizers as o
from refgrad.candidates.names import HYPERPARAMETERS, PACKED, known_as
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Range, Whole

Settings = Mapping[str, Any]
#: steps that each is judged on
STEPS = 3


def _amsgrad(plain: Optimizer, decay: str) -> Callable[[Settings], Optimizer]:
    return lambda s: o.AMSGrad(order="torch", decay=decay) if s["amsgrad"] else plain


#: class -> the rule that it is, by its settings, without their numbers
RULES: Mapping[str, Callable[[Settings], Optimizer]] = {
    "SGD": lambda s: o.SGD(nesterov=s["nesterov"], first_step="undamped"),
    "Adam": _amsgrad(o.Adam(), "coupled"),
    "AdamW": _amsgrad(o.AdamW(), "before"),
    "NAdam": lambda s: o.NAdam(decay="before" if s["decoupled_weight_decay"] else "coupled"),
    "RAdam": lambda s: o.RAdam(
        threshold="torch",
        eps_placement="uncorrected",
        decay="before" if s["decoupled_weight_decay"] else "coupled",
    ),
    "Adamax": lambda s: o.Adamax(eps_placement="inside_max"),
    "Adagrad": lambda s: o.Adagrad(),
    "Adadelta": lambda s: o.Adadelta(),
    "RMSprop": lambda s: o.RMSprop(variance="bare", centered=True) if s["centered"] else o.RMSprop(),
    "Rprop": lambda s: o.Rprop(reversal="skip"),
    "ASGD": lambda s: o.ASGD(),
    "Adafactor": lambda s: o.Adafactor(eps_placement="clamp", eps1=2.0**-23, decay_exponent=-s["beta2_decay"]),
}
#: class -> why it is not asked here
UNASKED: Mapping[str, str] = {
    "SparseAdam": "its gradients are sparse tensors",
    "LBFGS": "it evaluates its closure as often as it likes; the survey judges it on inputs of its own",
    "Muon": "it iterates in bfloat16; the survey judges it in float32",
}


class Setting(NamedTuple):
    """One set of hyperparameters of a class, as torch's database has it."""

    optimizer: str
    given: Settings

    @property
    def name(self) -> str:
        """As the ledger calls it."""
        told = ", ".join(f"{n}={v!r}" for n, v in self.given.items())
        return f"{self.optimizer}({told})"


@cache
def settings() -> tuple[Setting, ...]:
    """Every class and set on a CPU, but for those of `UNASKED`."""
    from torch.testing._internal.common_optimizers import optim_db

    every = [
        Setting(vars(info)["optim_cls"].__name__, each.kwargs)
        for info in optim_db
        for each in info.optim_inputs_func(device="cpu")
    ]
    return tuple(each for each in every if each.optimizer not in UNASKED)


def rule_of(setting: Setting) -> Optimizer:
    """The rule of a setting, with all of its numbers."""
    import torch

    parameters = signature(getattr(torch.optim, setting.optimizer)).parameters
    every: dict[str, Any] = {n: p.default for n, p in parameters.items()} | dict(setting.given)
    rule = RULES[setting.optimizer](every)
    legal = {n: each for n, each in rule.legal().items() if isinstance(each, Range | Whole)}
    numbers: dict[str, Any] = {n: known_as(n, HYPERPARAMETERS, every) for n in legal}
    found = {n: float(every[k]) for n, k in numbers.items() if k is not None and every[k] is not None}
    for word in PACKED.keys() & every.keys():
        found |= dict(zip([n for n in PACKED[word] if n in legal], every[word], strict=False))
    return rule.replace(**found)


def candidate(setting: Setting) -> Callable[[Any], Any]:
    """The class with its settings, as a function of the parameters; where it climbs, on gradients of the other sign."""
    import torch

    cls: Any = getattr(torch.optim, setting.optimizer)

    class Descending(cls):  # type: ignore[misc]
        def step(self, closure: Any = None) -> Any:
            """The same step on negated gradients."""
            for group in self.param_groups:
                for p in group["params"]:
                    p.grad = None if p.grad is None else -p.grad
            return super().step(closure)

    chosen = Descending if setting.given.get("maximize") else cls
    return lambda params: chosen(params, **setting.given)


def differing(setting: Setting) -> str:
    """What differs in a setting, "" if it conforms.

    Args:
        setting: the class and its hyperparameters.
    """
    verdict = refgrad.verify(candidate(setting), rule_of(setting), steps=STEPS, shrink=False, explain=False)
    if verdict.conforms:
        return ""
    return f"{verdict.outcome}: {verdict.faults[0].kind}" if verdict.faults else verdict.outcome
