"""What gives a verdict again: the smallest input that fails, and a line of Python, both with exact numbers as hex strings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from refgrad.oracle.engine.outcomes import Counterexample
from refgrad.oracle.inputs.cases import Cases
from refgrad.rule import Rule, qualified_name
from refgrad.rule_text import as_python

#: elements of an array that a counterexample holds
KEPT = 64
#: whole numbers below this are as easy to read as they are exact
PLAIN = 1000.0
#: a smallest failing input of steps is written out in the line if its parameter has no more elements
SHOWN = 16


def line(claim: Any, cases: Cases, least: Cases | None) -> str:
    """A call of `refgrad.verify` that gives a verdict again.

    Args:
        claim: the candidate, the rule and the request; a target is quoted, a thing of which only the name is known stands
            as it is, one without a name as ``candidate``, and inputs of the caller's own that are many as ``inputs``.
        cases: what it was driven with.
        least: the smallest that fail, if there are such; they are written out if they are few.
    """
    request = claim.request
    given = {"options": dict(request.options), "policy": request.policy.changed(), "state_names": request.state_names}
    made = _written(claim.rule, least) if least is not None else ""
    first = cases.arrays[0][claim.rule.primary]
    if not made and request.inputs is None:  # whatever the situation, the whole run reaches it again
        made = generated(first.dtype, request.seed, request.steps if claim.kind.counted else None)
    if not made and request.inputs is not None:
        made = "inputs=inputs"
    if not made:
        made = generated(
            first.dtype, cases.seed, (len(cases.steps) or len(cases.arrays)) if claim.kind.counted else None
        )
    return call("verify", claim.subject.name, claim.rule, made, given)


def call(function: str, candidate: str, rule: Rule, made: str, given: Mapping[str, Any]) -> str:
    """A call of one of refgrad's functions; further arguments that are empty are left out."""
    more = "".join(f", {word}={as_python(value)}" for word, value in given.items() if value)
    return f"refgrad.{function}({target(candidate)}, {called(rule)}, {made}{more})"


def target(candidate: str, unnamed: str = "candidate") -> str:
    """A candidate as an argument: a target is quoted, one without a name stands as ``unnamed``."""
    named = unnamed if candidate.endswith("<lambda>") else candidate
    return repr(candidate.partition("(")[0]) if ":" in candidate else named


def _written(rule: Rule, least: Cases) -> str:
    """The argument that makes the smallest cases; empty if there are too many numbers in them."""
    if len(least.arrays) > 1 or least.saved or least.rates or least.counts or least.settings:
        return ""
    arrays = least.arrays[0]
    if least.steps:
        return "" if arrays["p"].size > SHOWN else f"inputs=refgrad.Inputs.of({_steps(least)})"
    if any(a.size > KEPT or not a.ndim for a in arrays.values()):
        return ""
    text = ", ".join(f"{n}={nested(a)!r}" for n, a in arrays.items())
    return f"inputs=refgrad.Cases.of({str(arrays[rule.primary].dtype)!r}, {text})"


def _steps(least: Cases) -> str:
    """The arguments of `Inputs.of` for one leaf."""
    p = least.p[0]
    shaped = lambda a: np.asarray(hexes(a), object).reshape(p.shape).tolist()  # noqa: E731
    each = [shaped(g) if least.given(t, 0) else None for t, (g,) in enumerate(least.g, 1)]
    text = f"{shaped(p)!r}, {each!r}, {str(p.dtype)!r}"
    for name, value in least.extras(1).items():
        known = [least.extras(t)[name] for t in range(1, len(least.steps) + 1)]
        written = [float(v).hex() if isinstance(value, float) else shaped(v[0]) for v in known]
        text += f", {name}={written!r}"
    return text


def called(rule: Rule) -> str:
    """The call that makes a rule, by full names, those of the rules in it as well."""
    place, _, name = qualified_name(type(rule)).partition(":")
    own, default = rule.hyperparameters(), rule.defaults()
    stated = [(n, x) for n, x in own.items() if x != default[n] or n in rule.claimed]
    fields = [f"{n}={called(x) if isinstance(x, Rule) else as_python(x)}" for n, x in stated]
    return f"{place}.{name.rpartition('<locals>.')[2]}({', '.join(fields)})"


def generated(dtype: np.dtype, seed: int | None, steps: int | None = None) -> str:
    """The arguments that have inputs generated; ``steps`` where the rule's kind counts them."""
    counted = "" if steps is None else f"steps={steps}, "
    return f"{counted}dtype={str(dtype)!r}, seed={seed}"


def nested(array: np.ndarray) -> Any:
    """Numbers nested as they are, small whole ones plain and others as hex strings; one without axes as a list of one."""
    if array.ndim > 1:
        return [nested(row) for row in array]
    if array.dtype.kind in "iu":
        return array.reshape(-1).tolist()
    return [x if x.is_integer() and abs(x) < PLAIN else x.hex() for x in map(float, array.reshape(-1))]


def counterexample(least: Cases, rule: Rule) -> Counterexample:
    """The smallest cases that fail, as hex floats: of one case arrays by name, of a leaf parameter, gradients and extras."""
    arrays = least.arrays[0]
    first = arrays[rule.primary]
    dtype, shape = str(first.dtype), first.shape
    if not least.steps:
        return Counterexample(dtype, shape, arrays={n: hexes(a) for n, a in arrays.items()})
    steps = range(1, len(least.steps) + 1)
    one = lambda value: value if isinstance(value, float) else value[0]  # noqa: E731
    extras = {n: tuple(hexes(one(least.extras(t)[n])) for t in steps) for n in least.extras(1)}
    grads = tuple(hexes(least.gradient(t, 0)) for t in steps)
    return Counterexample(dtype, shape, hexes(first), grads, extras=extras, events=tuple(_events(least)))


def as_printed(least: Cases) -> Cases:
    """The cases that are read back from their text, which has one NaN for all."""
    return least.mapped(lambda a: a if a.dtype.kind in "biu" else np.where(np.isnan(a), a.dtype.type(np.nan), a))


def _events(least: Cases) -> Iterator[str]:
    """What happens to the first leaf besides its gradients."""
    yield from (f"step {t} has no gradient" for t in range(1, len(least.steps) + 1) if not least.given(t, 0))
    yield from (f"the state is saved and loaded before step {t + 1}" for t in sorted(least.saved))
    yield from (
        f"the rate is multiplied by {factor:g} before step {t + 1}" for t, factor in sorted(least.rates.items())
    )
    yield from (f"the state says {count} steps before step {t + 1}" for t, count in sorted(least.counts.items()))
    if least.settings and least.settings[0]:
        yield f"in a group of its own with {', '.join(f'{n}={v:g}' for n, v in least.settings[0].items())}"


def hexes(values: Any) -> tuple[str, ...]:
    """The first numbers of an array, or one number, as hex strings."""
    return tuple(float(x).hex() for x in np.asarray(values, dtype=np.float64).ravel()[:KEPT])
