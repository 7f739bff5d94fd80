"""What gives a verdict again: the smallest input that fails, and a line of Python, both with exact numbers as hex strings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from refgrad.optimizers.base import Optimizer
from refgrad.oracle.engine.verdict import Counterexample
from refgrad.oracle.inputs.steps import Inputs
from refgrad.rule import Rule, qualified_name

#: elements of an array that a counterexample holds
KEPT = 64
#: whole numbers below this are as easy to read as they are exact
PLAIN = 1000.0
#: a smallest failing input of steps is written out in the line if its parameter has no more elements
SHOWN = 16


def line(candidate: str, rule: Rule, made: str, **given: Any) -> str:
    """A call of `refgrad.verify`.

    Args:
        candidate: what reports call it; a target is quoted, a thing of which only the name is known stands as it is.
        rule: what it claims to be.
        made: the arguments that make its inputs.
        given: further arguments by name; those that are empty are left out.
    """
    target = repr(candidate.partition("(")[0]) if ":" in candidate else candidate
    more = "".join(f", {word}={value!r}" for word, value in given.items() if value)
    return f"refgrad.verify({target}, {called(rule)}, {made}{more})"


def called(rule: Rule) -> str:
    """The call that makes a rule, by full names, those of the rules in it as well."""
    own, default = rule.hyperparameters(), rule.defaults()
    fields = [f"{n}={called(x) if isinstance(x, Rule) else repr(x)}" for n, x in own.items() if x != default[n]]
    return f"{qualified_name(type(rule)).replace(':', '.')}({', '.join(fields)})"


def generated(dtype: np.dtype, seed: int | None, steps: int | None = None) -> str:
    """The arguments that have inputs generated; ``steps`` where the rule's kind counts them."""
    counted = "" if steps is None else f"steps={steps}, "
    return f"{counted}dtype={str(dtype)!r}, seed={seed}"


def nested(array: np.ndarray) -> Any:
    """Numbers nested as they are, small whole ones plain and others as hex strings; one without axes as a list of one."""
    if array.ndim > 1:
        return [nested(row) for row in array]
    return [x if x.is_integer() and abs(x) < PLAIN else x.hex() for x in map(float, array.reshape(-1))]


def of_arrays(arrays: Mapping[str, np.ndarray], primary: str) -> Counterexample:
    """The counterexample of a rule without state: arrays by name."""
    first = arrays[primary]
    return Counterexample(str(first.dtype), first.shape, arrays={n: hexes(a) for n, a in arrays.items()})


def of_steps(least: Inputs) -> Counterexample:
    """The counterexample of a rule with state: the first leaf of inputs."""
    p = least.p[0]
    one = lambda value: value if isinstance(value, float | int) else value[0]  # noqa: E731
    extras = {n: tuple(hexes(one(step[n])) for step in least.extras) for n in least.given(1)}
    return Counterexample(str(p.dtype), p.shape, hexes(p), tuple(hexes(g[0]) for g in least.g), extras=extras)


def made_by_steps(inputs: Inputs, least: Counterexample | None, rule: Optimizer) -> str:
    """The arguments that make the inputs of steps again: the smallest that fail, if there are such and they are few."""
    if least is None or np.prod(least.shape) > SHOWN:
        return generated(inputs.p[0].dtype, inputs.seed, len(inputs.g))
    shaped = lambda each: np.asarray(each, object).reshape(least.shape).tolist()  # noqa: E731
    text = f"{shaped(least.p)!r}, {[shaped(g) for g in least.g]!r}, {least.dtype!r}"
    for name, extra in rule.inputs().items():
        text += f", {name}={[e[0] if extra.scalar else shaped(e) for e in least.extras[name]]!r}"
    return f"inputs=refgrad.Inputs.of({text})"


def hexes(values: Any) -> tuple[str, ...]:
    """The first numbers of an array, or one number, as hex strings."""
    return tuple(float(x).hex() for x in np.asarray(values, dtype=np.float64).ravel()[:KEPT])
