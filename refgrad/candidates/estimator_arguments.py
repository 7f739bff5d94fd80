"""Which argument of a function takes which of an estimator's arrays and hyperparameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.candidates.arguments import check_options, parameters_of, takes_anything
from refgrad.candidates.names import HYPERPARAMETERS, Names, known_as
from refgrad.errors import CandidateError
from refgrad.estimators.base import Estimator
from refgrad.rule import Rule

Arrays = Mapping[str, np.ndarray]

#: what arguments are called besides the rule's own names
ARGUMENTS: Names = {**HYPERPARAMETERS, "n": ("N",), "m": ("M",)}
COTANGENT = ("cotangent", "g", "grad", "grad_output", "grad_y", "dy")


@dataclass(frozen=True)
class Bound:
    """Which argument of a function takes what: arrays by the rule's names for them, and constants."""

    arrays: Mapping[str, str]
    constants: Mapping[str, Any]

    def parameters(self, rule: Estimator) -> dict[str, str]:
        """The arguments that take the rule's parameters, with these."""
        return {argument: name for argument, name in self.arrays.items() if name in rule.handed()}


def bind(
    parameters: Mapping[str, inspect.Parameter],
    rule: Estimator,
    options: Mapping[str, Any],
    name: str,
    first: tuple[str, ...] = ("x",),
) -> Bound:
    """Match arguments with a rule: the first ones take ``first``, the others go by name.

    Raises:
        CandidateError: an argument without a default stands for nothing; an option is none of the arguments.
    """
    check_options(options, parameters, takes_anything(parameters), name)
    named = {n: p for n, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    arrays: dict[str, str] = {}
    free = [n for n in named if n not in options]
    for meaning in first:
        own = [n for n in free if n in (COTANGENT if meaning == "cotangent" else (meaning,))]
        if not (own or free):
            raise CandidateError(
                f"{name} takes no argument for {meaning}; legal: ({', '.join(first)}, parameters by name)"
            )
        arrays[own[0] if own else free[0]] = meaning
        free.remove(own[0] if own else free[0])
    constants = dict(options)
    values = {n: v for inner in rule.inner_rules().values() for n, v in inner.hyperparameters().items()}
    values |= rule.hyperparameters()
    for word in (*rule.handed(), *values):
        argument = known_as(word, ARGUMENTS, [n for n in free if n not in arrays and n not in constants])
        if argument is None or isinstance(values.get(word), str | Rule):
            continue
        if word in rule.handed():
            arrays[argument] = word
        else:
            constants[argument] = values[word]
    for argument in free:
        if argument not in arrays and argument not in constants and named[argument].default is inspect.Parameter.empty:
            legal = ", ".join([*rule.handed(), *rule.legal()])
            raise CandidateError(
                f"{name} has an argument {argument!r} that stands for nothing in {type(rule).__name__}; legal: {legal}, "
                "an option of that name, or a default"
            )
    return Bound(arrays, constants)


def called(function: Callable[..., Any], bound: Bound, values: Mapping[str, Any]) -> Any:
    """Call with arguments that may be positional only: those up to the last bound one in order, where all are known."""
    named = {**{a: values[m] for a, m in bound.arrays.items()}, **bound.constants}
    parameters = parameters_of(function)
    positional = [n for n, p in parameters.items() if p.kind is p.POSITIONAL_ONLY and n in named]
    return function(*[named.pop(n) for n in positional], **named)
