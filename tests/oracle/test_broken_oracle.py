"""An oracle that is broken on purpose is caught: by legal programs that it rejects, or by mutants that it accepts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.arithmetic import choices, enclosure, function_error, running_error
from refgrad.arithmetic.operations import OPERATIONS
from refgrad.arithmetic.running_error import Bounded, Model
from refgrad.optimizers import SGD, AdamW, Lion
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance import bodies, comparing, judge, judgement, quantized_parts, stateless
from refgrad.oracle.inputs.written import Inputs
from refgrad.strength.random_candidate import RandomCandidate
from refgrad.strength.rounding_styles import STYLES, Style
from tests.kinds.test_optimizer import judged
from tests.oracle.adam_cases import MUTANTS
from tests.oracle.cases import inputs

Patch = Callable[[pytest.MonkeyPatch], None]

#: 0.625 and its complement are numbers of float32, so that no rounding of theirs hides others; the step of SGD from a
#: parameter of zero is one product with a scalar
RULES = (AdamW(beta1=0.625), Lion(beta2=0.625, weight_decay=0.1), SGD(lr=1e-3))
#: a weight just above a power of two, so that what it is multiplied with loses no room for roundings
WEIGHT = 2.0**-2 + 2.0**-8

#: mutants that differ from AdamW by little
SLIGHT = (
    "lr off by 0.01 percent",
    "beta2 0.9991",
    "1 - beta2 in float32",
    "root of twelve bits",
    "v truncated to bfloat16",
)


def false_alarms() -> Iterator[int]:
    """How many values of each legal program that is rejected are outside."""
    problems = [(rule, inputs(rule, 6), 1) for rule in RULES] + [(Lion(beta2=1 - WEIGHT), _overtaken(), 16)]
    attacked = (_attacked(rule, style, *rest) for rule, *rest in problems for style in STYLES.values())
    return (verdict.total.outside for verdict in attacked if verdict.total.outside)


def _overtaken() -> Inputs:
    """An average that is small beside the next gradient, which is just above a power of two.

    There the three roundings of a + w (b - a) are each as large as they get, and those of (1 - w) a + w b are two.
    """
    random = np.random.Generator(np.random.Philox(0))
    first, second = random.standard_normal(4096) / 4096, 1.0 + random.random(4096) / 64
    return Inputs.of(np.ones(4096), [first, second])


def _attacked(rule: Optimizer, style: Style, numbers: Inputs, blocks: int) -> refgrad.Verdict:
    return refgrad.verify(
        RandomCandidate(style, seed=1, blocks=blocks),
        rule,
        policy=style.policy,
        inputs=numbers,
        shrink=False,
        explain=False,
    )


def misses() -> Iterator[str]:
    """Which slight mutants are accepted."""
    return (n for n in SLIGHT if not judged(MUTANTS[n], steps=4, shrink=False, explain=False).total.outside)


def _wrapped(name: str, change: Callable[[Any, tuple[Any, ...]], Any]) -> Patch:
    """A function of the enclosure whose result is changed."""
    module = next(m for m in (running_error, function_error) if hasattr(m, name))
    original = getattr(module, name)

    def patch(patcher: pytest.MonkeyPatch) -> None:
        broken = lambda *args: change(original(*args), args)  # noqa: E731
        patcher.setattr(module, name, broken)
        if name in OPERATIONS:  # whose record holds the function itself
            patcher.setitem(OPERATIONS, name, dataclasses.replace(OPERATIONS[name], error=broken))

    return patch


def _without_carried(result: Bounded, args: tuple[Any, ...]) -> Bounded:
    """The rounding of the operation itself, and nothing of what its operands bring."""
    model = next(a for a in args if isinstance(a, Model))
    return result._replace(error=np.minimum(result.bound(), model.charge * np.abs(result.value)))


def _for_all(patcher: pytest.MonkeyPatch, name: str, broken: Callable[..., Any]) -> None:
    """A function of `comparing`, in every module that judges by it."""
    for module in (comparing, judge, bodies, stateless, quantized_parts):
        patcher.setattr(module, name, broken)


def _scaled(factor: float) -> Patch:
    original = comparing.compare

    def compare(acceptable: Bounded, *rest: Any) -> Any:
        return original(acceptable._replace(error=acceptable.bound() * factor), *rest)

    return lambda patcher: _for_all(patcher, "compare", compare)


def _model(**changes: float) -> Patch:
    original = comparing.model_for
    return lambda patcher: _for_all(patcher, "model_for", lambda *args: dataclasses.replace(original(*args), **changes))


def _one_decision(patcher: pytest.MonkeyPatch) -> None:
    patcher.setattr(choices.Choices, "take", lambda self, node, decision: decision.result)


def _nothing_outside(patcher: pytest.MonkeyPatch) -> None:
    original = comparing.compare

    def compare(*args: Any) -> judgement.Judged:
        found = original(*args)
        return dataclasses.replace(found, status=np.zeros_like(found.status))

    _for_all(patcher, "compare", compare)


NARROW: dict[str, Patch] = {
    "sets of a third of the width": _scaled(1 / 3),
    "one rounding an operation": _model(roundings=1),
    "no underflow": _model(underflow=0.0),
    "products carry no error on": _wrapped("product", _without_carried),
    "sums carry no error on": _wrapped("total", _without_carried),
    "roots carry no error on": _wrapped("sqrt", _without_carried),
    "scalars are exact": lambda patcher: patcher.setattr(
        judge, "scalar", lambda value, error, model: Bounded(np.asarray(value))
    ),
    "no interpolation": lambda patcher: patcher.setattr(
        enclosure.Enclosure, "_interpolation", lambda self, grouped, values: None
    ),
    "one decision alone": _one_decision,
}
WIDE: dict[str, Patch] = {
    "sets a thousand times as wide": _scaled(1e3),
    "nothing is outside": _nothing_outside,
    "bfloat16 for float32": _model(unit_roundoff=2.0**-8),
}


@pytest.mark.slow
def test_an_oracle_that_is_whole_is_not_caught() -> None:
    assert list(false_alarms()) == []
    assert list(misses()) == []


@pytest.mark.sample(suite=4)
@pytest.mark.slow
@pytest.mark.parametrize("name", NARROW)
def test_a_narrow_oracle_rejects_legal_programs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    NARROW[name](monkeypatch)
    assert next(false_alarms(), 0) > 0


@pytest.mark.sample(suite=2)
@pytest.mark.slow
@pytest.mark.parametrize("name", WIDE)
def test_a_wide_oracle_accepts_mutants(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    WIDE[name](monkeypatch)
    assert next(misses(), None) is not None
