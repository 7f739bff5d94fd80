"""Laws of update rules: what must hold between a run on some inputs and a run on inputs derived from them.

A law knows no expected value. It says how inputs are changed, and what that does to the outputs; both are exact in binary
floating point (a permutation, a sign, a power of two), so that a rule obeys it to the bit. What a rule says of itself
(`Optimizer.scaling`, `Optimizer.exempt`) is written beside its equations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from refgrad.arithmetic.scalar_math import names_in
from refgrad.axes import COLUMN, ROW, TENSOR
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs.cases import Cases
from refgrad.rule import Kind


@dataclass(frozen=True)
class Law:
    """One law.

    Attributes:
        name: how reports and `Optimizer.exempt` call it.
        sentence: what it says.
        applies: whether it says anything of a rule.
        change: from inputs, and the rule that tells what its extra inputs are, to the inputs of the other run.
        base: what is done to both runs' inputs first.
        expected: from what a run gave after a step (``p`` and the slots), its parameter before the first step and the
            other's, to what the other gives: some tensors by name.
        hyperparameters: those that the law is about, which a rule takes for it.
        moderate: whether inputs are kept from the edges of the format, where a power of two is not exact.
    """

    name: str
    sentence: str
    applies: Callable[[Optimizer], bool]
    change: Callable[[Cases, Optimizer], Cases]
    expected: Callable[[Mapping[str, np.ndarray], np.ndarray, np.ndarray], Mapping[str, np.ndarray]]
    hyperparameters: Mapping[str, Any]
    base: Callable[[Cases], Cases] = lambda inputs: inputs
    moderate: bool = False

    #: what is wrong with one run by itself; such a law has no other run
    holds: Callable[[Optimizer, Any], str] | None = None
    #: the rule that this run conforms to, if it is not the one that the law is asked of
    judged_as: Optimizer | None = None

    @classmethod
    def single(
        cls,
        name: str,
        sentence: str,
        hyperparameters: Mapping[str, Any],
        holds: Callable[[Optimizer, Any], str],
        judged_as: Optimizer | None = None,
        as_row: bool = False,
    ) -> Law:
        """A law of one run; ``as_row``: the parameter is a matrix of one row."""
        base = (lambda inputs: inputs.mapped(_row)) if as_row else (lambda inputs: inputs)
        return cls(
            name,
            sentence,
            _always,
            lambda inputs, rule: inputs,
            lambda after, start, other: {},
            hyperparameters,
            base,
            moderate=True,
            holds=holds,
            judged_as=judged_as,
        )

    def subject(self, rule: Optimizer) -> Optimizer:
        """The rule with the hyperparameters that the law is about, as far as it has them."""
        wanted: dict[str, Any] = {n: v for n, v in self.hyperparameters.items() if n in rule.legal()}
        wanted |= {n: self.subject(inner) for n, inner in rule.inner_rules().items() if isinstance(inner, Optimizer)}
        return rule.replace(**wanted)


def is_local(rule: Optimizer) -> bool:
    """True if the elements of a tensor do not see each other, by the rule's own graph."""
    graph = rule.plan((4, 4), 3).graph
    couples = graph.matrix() or any(node.axes in (ROW, COLUMN, TENSOR) for node in graph.nodes)
    return not couples and not any(name.endswith("_length") for e in graph.scalars() for name in names_in(e))


def _changed(
    cases: Cases, rule: Optimizer, change: Callable[[np.ndarray], np.ndarray], which: Callable[[Kind], bool]
) -> Cases:
    """The gradients changed, and the extra inputs that are of some kinds."""
    kinds = {n: extra.facts for n, extra in rule.inputs().items()}

    def one(name: str, value: Any) -> Any:
        if name != "g" and not (name in kinds and which(kinds[name])):
            return value
        return float(change(np.asarray(value))) if isinstance(value, float) else change(value)

    steps = [[{n: one(n, a) for n, a in leaf.items()} for leaf in step] for step in cases.steps]
    numbers = [{n: one(n, v) for n, v in step.items()} for step in cases.numbers]
    return replace(cases, steps=steps, numbers=numbers)


def _turned(inputs: Cases, rule: Optimizer) -> Cases:
    turned = _changed(inputs, rule, np.negative, lambda kind: kind.odd)
    return replace(turned, arrays=[{"p": -p} for p in inputs.p])


def _everything(function: Callable[[np.ndarray], np.ndarray]) -> Any:
    return lambda after, start, other: {name: function(value) for name, value in after.items()}


def _always(rule: Optimizer) -> bool:
    return True


def _reversed(a: np.ndarray) -> np.ndarray:
    return a[::-1].copy()


def _first(a: np.ndarray) -> np.ndarray:
    return a[:1].copy()


def _row(a: np.ndarray) -> np.ndarray:
    return a.reshape(1, -1)


def _without_gradient(inputs: Cases, rule: Optimizer) -> Cases:
    return _changed(inputs, rule, np.zeros_like, lambda kind: kind.odd)


def _four_fold(inputs: Cases, rule: Optimizer) -> Cases:
    return _changed(inputs, rule, lambda g: g * g.dtype.type(4), lambda kind: kind.scales)


def _from_zero(inputs: Cases) -> Cases:
    return replace(inputs, arrays=[{"p": np.zeros_like(p)} for p in inputs.p])


def _unmoved(after: Mapping[str, np.ndarray], start: np.ndarray, other: np.ndarray) -> Mapping[str, np.ndarray]:
    return {"p": other}


LAWS: tuple[Law, ...] = (
    Law(
        "odd",
        "with the signs of parameter and gradients turned, the parameter is the negative, and states differ in sign at most",
        _always,
        _turned,
        lambda after, start, other: {"p": -after["p"], **{f"|{n}|": abs(v) for n, v in after.items() if n != "p"}},
        {},
    ),
    Law(
        "permutation",
        "elements do not see each other: in another order they give the same, in that order",
        is_local,
        lambda inputs, rule: inputs.mapped(_reversed),
        _everything(_reversed),
        {},
    ),
    Law(
        "alone",
        "elements do not see each other: one of them alone gives what it gives among others",
        is_local,
        lambda inputs, rule: inputs.mapped(_first),
        _everything(_first),
        {},
    ),
    Law(
        "shape",
        "the shape does not matter: as a row of a matrix, elements give what they give as a vector",
        is_local,
        lambda inputs, rule: inputs.mapped(_row),
        _everything(_row),
        {},
    ),
    Law(
        "still",
        "without gradients, from the initial state and with no decay, the parameter stays where it is",
        _always,
        _without_gradient,
        _unmoved,
        {"weight_decay": 0.0},
    ),
    Law(
        "no rate",
        "with a learning rate of zero and no decay the parameter stays where it is",
        lambda rule: "lr" in rule.legal(),
        lambda inputs, rule: inputs,
        _unmoved,
        {"lr": 0.0, "weight_decay": 0.0},
        moderate=True,
    ),
    Law(
        "scale invariance",
        "gradients four times as large move the parameter alike, if eps and decay are zero",
        lambda rule: rule.scaling == "invariant",
        _four_fold,
        lambda after, start, other: {"p": after["p"]},
        {"eps": 0.0, "eps_root": 0.0, "weight_decay": 0.0},
        moderate=True,
    ),
    Law(
        "linearity",
        "from a parameter of zero, gradients four times as large move it four times as far, if decay is zero",
        lambda rule: rule.scaling == "linear",
        _four_fold,
        lambda after, start, other: {"p": 4 * after["p"]},
        {"weight_decay": 0.0},
        base=_from_zero,
        moderate=True,
    ),
)
BY_NAME: Mapping[str, Law] = {law.name: law for law in LAWS}
