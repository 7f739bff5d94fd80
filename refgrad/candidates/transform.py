"""What can be checked as a transform: something that makes arrays, or numbers, of arrays.

A function that takes the rule's arrays by its names for them, or in its order, and hyperparameters by name; a function of
torch on the gradients of ``parameters``, such as ``clip_grad_norm_``; an optax transformation, or a function that makes one;
or a transform of refgrad.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from refgrad.candidates.arguments import check_options, parameters_of, takes_anything, with_options
from refgrad.candidates.frameworks import candidate_of
from refgrad.candidates.resolve import describe, describe_rule, load
from refgrad.candidates.transform_arguments import Arrays, TransformCandidate, told
from refgrad.errors import CandidateError, with_article
from refgrad.optimizers.transform import Transform

LEGAL = (
    "a function of the rule's arrays, an optax.GradientTransformation or a function that returns one, a function of torch "
    "on `parameters`, a transform of refgrad, or a string 'package.module:name'"
)


def resolve(thing: Any, options: Mapping[str, Any]) -> TransformCandidate:
    """The candidate that a thing is; `CandidateError` if it is nothing that can be checked as a transform."""
    name = thing if isinstance(thing, str) else describe(thing)
    thing = load(thing) if isinstance(thing, str) else thing
    if isinstance(thing, TransformCandidate):
        return thing
    shown = with_options(name, options)
    if isinstance(thing, type) and issubclass(thing, Transform):
        thing = thing(**options)
    if isinstance(thing, Transform):
        return TransformCandidate(describe_rule(thing), lambda rule, arrays: thing(*arrays.values()))
    if callable(thing):
        parameters = parameters_of(thing)
        check_options(options, parameters, takes_anything(parameters), name)
    found: TransformCandidate | None = candidate_of("transform", thing, shown, options)
    if found is not None:
        return found
    if not callable(thing):
        raise CandidateError(f"{name} is {with_article(type(thing).__name__)}; legal: {LEGAL}")
    return TransformCandidate(shown, lambda rule, arrays: _called(thing, rule, arrays, options))


def _called(function: Callable[..., Any], rule: Transform, arrays: Arrays, options: Mapping[str, Any]) -> Any:
    parameters = parameters_of(function)
    keywords = {**told(rule, {n: p for n, p in parameters.items() if n not in arrays}), **options}
    named = {n for n, p in parameters.items() if p.kind is not inspect.Parameter.POSITIONAL_ONLY}
    if all(n in named for n in arrays) or _by_keywords_alone(parameters):
        return function(**arrays, **keywords)
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters.values()):
        return function(*arrays.values(), **keywords)
    taken = {n for n in keywords if n in parameters}
    free = [n for n, p in parameters.items() if n not in taken and p.default is inspect.Parameter.empty]
    by_name = [n for n in arrays if n in parameters]
    if by_name and len(free) == len(by_name):  # it takes only some of the arrays
        return function(**{n: arrays[n] for n in by_name}, **keywords)
    if not free or len(free) >= len(arrays):
        return function(*arrays.values(), **keywords)
    return function(*list(arrays.values())[-len(free) :], **keywords)


def _by_keywords_alone(parameters: Mapping[str, inspect.Parameter]) -> bool:
    """True of a function that takes any keywords, and nothing by its place."""
    placed = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    )
    kinds = [p.kind for p in parameters.values()]
    return inspect.Parameter.VAR_KEYWORD in kinds and not any(kind in placed for kind in kinds)
