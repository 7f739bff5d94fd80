"""Every public optimizer of torch and optax is judged as a rule, or stands in a table with the reason why not."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import pytest

from refgrad.optimizers.base import Optimizer
from refgrad.rule import rules
from refgrad.surveys.implementations import known as implementations
from tests.optimizers import coverage as known


def judged(package: str) -> dict[str, set[str]]:
    """The names of a package that are run, each with the rules that they are judged as: the table's, and the tests' own."""
    pairs = [(row.target, row.rule) for row in implementations()]
    found: dict[str, set[str]] = {}
    for target, rule in pairs:
        place, _, name = target.partition(":")
        if place == package:
            found.setdefault(name, set()).add(type(rule).__name__)
    return found


def functions(module: Any) -> set[str]:
    """The public functions of a module."""
    return {
        n
        for n in dir(module)
        if not n.startswith("_")
        and n[0].islower()
        and callable(getattr(module, n))
        and not inspect.isclass(getattr(module, n))
    }


def compare(public: set[str], mapped: Mapping[str, str], others: Mapping[str, str]) -> None:
    assert not set(mapped) & set(others)
    assert not public - set(mapped) - set(others), "new names: map them to a rule, or say why not in coverage.py"
    assert not (set(mapped) | set(others)) - public, "names that are gone"
    assert all(rule in rules(Optimizer) for rule in mapped.values())
    assert all(others.values())


def test_torch() -> None:
    optim = pytest.importorskip("torch").optim
    classes = {
        n
        for n, c in vars(optim).items()
        if inspect.isclass(c) and issubclass(c, optim.Optimizer) and c is not optim.Optimizer
    }
    compare(classes, known.TORCH, known.TORCH_OTHERS)
    run = judged("torch.optim")
    assert {name: rule for name, rule in known.TORCH.items() if rule not in run.get(name, ())} == {}


def test_optax() -> None:
    optax = pytest.importorskip("optax")
    compare(functions(optax), known.OPTAX, known.OPTAX_OTHERS)
    run = judged("optax")
    wrapped = {type(row.rule).__name__ for row in implementations() if row.package == "optax" and row.through}
    missing = {
        name: rule for name, rule in known.OPTAX.items() if rule not in run.get(name, ()) and rule not in wrapped
    }
    assert missing == {}


def test_optax_contrib() -> None:
    pytest.importorskip("optax")
    from optax import contrib

    compare(functions(contrib), known.CONTRIB, known.CONTRIB_OTHERS)
    run = judged("optax.contrib")
    wrapped = {type(row.rule).__name__ for row in implementations() if row.package == "optax" and row.through}
    missing = {n: rule for n, rule in known.CONTRIB.items() if rule not in run.get(n, ()) and rule not in wrapped}
    assert missing == {}
