"""Keras' own tests of its optimizers, with their literal arrays, run on refgrad's rules in the place of Keras' classes."""

from __future__ import annotations

import importlib
import os
import unittest
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from refgrad import optimizers as o
from refgrad.candidates.names import HYPERPARAMETERS, known_as
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Range

#: tests that hold literal arrays by the beginning of their names; the others are of configuration and of clipping
TOLD = ("test_single_step", "test_weight_decay", "test_correctness_with_golden")
Config = Mapping[str, Any]

#: class -> the rule that it is, by its configuration, with the numbers that no configuration has
RULES: Mapping[str, Callable[[Config], Optimizer]] = {
    "SGD": lambda c: o.SGD(nesterov=c["nesterov"], lr_placement="velocity", decay="before"),
    "Adam": lambda c: (
        o.AMSGrad(order="torch", eps_placement="uncorrected", decay="before")
        if c["amsgrad"]
        else o.AdamW(eps_placement="uncorrected")
    ),
    "AdamW": lambda c: (
        o.AMSGrad(order="torch", eps_placement="uncorrected", decay="before")
        if c["amsgrad"]
        else o.AdamW(eps_placement="uncorrected")
    ),
    "Adamax": lambda c: o.Adamax(eps_placement="outside", decay="before"),
    "Nadam": lambda c: o.NAdam(momentum_decay=1.0, decay="before"),
    "Adagrad": lambda c: o.Adagrad(eps_placement="inside", decay="before"),
    "Adadelta": lambda c: o.Adadelta(decay="before"),
    "RMSprop": lambda c: o.RMSprop(
        centered=c["centered"], eps_placement="inside", lr_placement="buffer", decay="before"
    ),
    "Lion": lambda c: o.Lion(),
    "Lamb": lambda c: o.LAMB(decay="before"),
}


class Told(NamedTuple):
    """A test of Keras': the module and class that it is in, the optimizer that it is of, its method."""

    module: str
    case: str
    optimizer: str
    method: str

    @property
    def name(self) -> str:
        """As the ledger calls it."""
        return f"{self.module}.{self.method}"


@cache
def tests() -> tuple[Told, ...]:
    """The tests of every class that is one of `RULES`."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return tuple(told for name in RULES for told in _of(name))


def _of(name: str) -> Iterator[Told]:
    module = importlib.import_module(f"keras.src.optimizers.{name.lower()}_test")
    for case in vars(module).values():
        if isinstance(case, type) and issubclass(case, unittest.TestCase) and case.__module__ == module.__name__:
            methods = [n for n in dir(case) if n.startswith(TOLD)]
            yield from (Told(f"{name.lower()}_test", case.__name__, name, n) for n in sorted(methods))


class Substitute:
    """A rule under a Keras class's constructor and methods, as far as its tests use these."""

    def __init__(self, cls: type, name: str, **arguments: Any) -> None:
        config = cls(**arguments).get_config()
        rule = RULES[name](config)
        numbers = {
            n: known_as(n, HYPERPARAMETERS, config) for n, legal in rule.legal().items() if isinstance(legal, Range)
        }
        self.rule: Optimizer = rule.replace(**{n: config[k] or 0.0 for n, k in numbers.items() if k is not None})
        self.states: dict[int, dict[str, Any]] = {}
        self.excluded: Callable[[Any], bool] = lambda variable: False

    @property
    def variables(self) -> list[float]:
        """The steps taken, and the learning rate."""
        return [max((s["t"] for s in self.states.values()), default=0), self.rule.numbers()["lr"]]

    def build(self, variables: Any) -> None:
        """A rule makes its state of each variable at the first step."""

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """Variables that do not decay, themselves or by a part of their names."""
        listed = {id(v) for v in var_list or ()}
        self.excluded = lambda v: id(v) in listed or any(part in v.name for part in var_names or ())

    def apply_gradients(self, pairs: Any) -> None:
        """One step of each variable."""
        for gradient, variable in pairs:
            p, g = (np.asarray(a, np.float32) for a in (variable.numpy(), np.asarray(gradient)))
            rule = self.rule.replace(weight_decay=0.0) if self.excluded(variable) else self.rule
            state = self.states.get(id(variable)) or rule.init(p)
            p, self.states[id(variable)] = rule.step(p, g, state, backend="numpy")
            variable.assign(p)


def differing(told: Told) -> str:
    """What Keras' test says of refgrad's rule: "" if it passes, else how it fails, in a line.

    Args:
        told: the test.
    """
    module = importlib.import_module(f"keras.src.optimizers.{told.module}")
    cls = getattr(module, told.optimizer)
    setattr(module, told.optimizer, lambda **arguments: Substitute(cls, told.optimizer, **arguments))
    try:
        result = unittest.TestResult()
        getattr(module, told.case)(told.method).run(result)
    finally:
        setattr(module, told.optimizer, cls)
    assert result.testsRun == 1
    for _, text in (*result.errors, *result.failures):
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return next((line for line in lines if line.startswith("Mismatched elements")), lines[-1])
    return "skipped" if result.skipped else ""
