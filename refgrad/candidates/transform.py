"""What can be checked as a transform: something that makes arrays, or numbers, of arrays.

A function that takes the rule's arrays by its names for them, or in its order, and hyperparameters by name; a function of
torch on the gradients of ``parameters``, such as ``clip_grad_norm_``; an optax transformation, or a function that makes one;
or a transform of refgrad.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.candidates.arguments import check_options, parameters_of, takes_anything, with_options
from refgrad.candidates.resolve import describe, load
from refgrad.errors import CandidateError
from refgrad.optimizers.transform import Transform
from refgrad.rule import Rule

LEGAL = (
    "a function of the rule's arrays, an optax.GradientTransformation or a function that returns one, a function of torch "
    "on `parameters`, a transform of refgrad, or a string 'package.module:name'"
)

#: hyperparameter -> names that functions give it, besides its own
NAMES: Mapping[str, tuple[str, ...]] = {
    "bound": ("clip_value", "max_delta", "max_value"),
    "max_norm": ("max_norm", "clip_norm"),
    "clipping": ("clipping", "clip_factor"),
    "threshold": ("clip_value", "max_norm"),
    "keep": ("k",),
    "faults": ("f",),
}

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class TransformCandidate:
    """A candidate: what it makes of arrays by the rule's names."""

    name: str
    call: Callable[[Transform, Arrays], Any]


def resolve(thing: Any, options: Mapping[str, Any]) -> TransformCandidate:
    """The candidate that a thing is; `CandidateError` if it is nothing that can be checked as a transform."""
    name = thing if isinstance(thing, str) else describe(thing)
    thing = load(thing) if isinstance(thing, str) else thing
    if isinstance(thing, TransformCandidate):
        return thing
    shown = with_options(name, options)
    if isinstance(thing, Transform):
        return TransformCandidate(f"refgrad's {thing}", lambda rule, arrays: thing(*arrays.values()))
    if isinstance(thing, type) and issubclass(thing, Transform):
        made = thing(**options)
        return TransformCandidate(f"refgrad's {made}", lambda rule, arrays: made(*arrays.values()))
    if _is_optax(thing):
        return TransformCandidate(shown, lambda rule, arrays: _transformed(thing, arrays))
    if not callable(thing):
        raise CandidateError(f"{name} is a {type(thing).__name__}; legal: {LEGAL}")
    parameters = parameters_of(thing)
    check_options(options, parameters, takes_anything(parameters), name)
    if next(iter(parameters), "") == "parameters":
        return TransformCandidate(shown, lambda rule, arrays: _in_place(thing, rule, arrays, options))
    return TransformCandidate(shown, lambda rule, arrays: _called(thing, rule, arrays, options))


def told(rule: Rule, parameters: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """The rule's numbers, those of a rule in it as well, by the names that a function gives them."""
    found: dict[str, Any] = {}
    for inner in rule.inner_rules().values():
        found |= told(inner, parameters)
    for word, value in rule.hyperparameters().items():
        known = next((n for n in (word, *NAMES.get(word, ())) if n in parameters), None)
        if known is not None and not isinstance(value, str | Rule):
            found[known] = value
    return found


def _called(function: Callable[..., Any], rule: Transform, arrays: Arrays, options: Mapping[str, Any]) -> Any:
    parameters = parameters_of(function)
    if _makes_optax(function):
        return _transformed(function(**{**told(rule, parameters), **options}), arrays)
    keywords = {**told(rule, {n: p for n, p in parameters.items() if n not in arrays}), **options}
    if all(n in parameters for n in arrays):
        return function(**arrays, **keywords)
    taken = {n for n in keywords if n in parameters}
    free = [n for n, p in parameters.items() if n not in taken and p.default is inspect.Parameter.empty]
    by_name = [n for n in arrays if n in parameters]
    if by_name and len(free) == len(by_name):  # it takes only some of the arrays
        return function(**{n: arrays[n] for n in by_name}, **keywords)
    if not free or len(free) >= len(arrays):
        return function(*arrays.values(), **keywords)
    return function(*list(arrays.values())[-len(free) :], **keywords)


def _makes_optax(function: Callable[..., Any]) -> bool:
    """Whether a function says that it returns an optax transformation."""
    returned = getattr(function, "__annotations__", {}).get("return", "")
    return "GradientTransformation" in (returned if isinstance(returned, str) else getattr(returned, "__name__", ""))


def _is_optax(thing: Any) -> bool:
    optax = sys.modules.get("optax")
    return optax is not None and isinstance(thing, optax.GradientTransformation)


def _transformed(transformation: Any, arrays: Arrays) -> Any:
    import jax.numpy as jnp

    g = jnp.asarray(arrays["g"])
    p = jnp.asarray(arrays.get("p", arrays["g"]))
    return np.asarray(transformation.update(g, transformation.init(p), p)[0])


def _in_place(function: Callable[..., Any], rule: Transform, arrays: Arrays, options: Mapping[str, Any]) -> Any:
    import torch

    from refgrad.candidates.torch_optimizer import to_array, to_tensor

    tensor = to_tensor(np.array(arrays.get("p", arrays["g"]), order="C", copy=True)).requires_grad_()
    tensor.grad = to_tensor(np.array(arrays["g"], order="C", copy=True))
    with torch.no_grad():
        function([tensor], **{**told(rule, parameters_of(function)), **options})
    return to_array(tensor.grad)
