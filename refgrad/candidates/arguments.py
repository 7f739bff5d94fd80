"""A rule's hyperparameters as the arguments of a candidate's own constructor."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from refgrad.candidates.names import GRADIENT, HYPERPARAMETERS, PACKED, PARAMETER, known_as
from refgrad.errors import CandidateError, nearest
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Rule

Parameters = Mapping[str, inspect.Parameter]
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass
class Arguments:
    """Keyword arguments; the rule's fields that they carry; and notes on fields that could not be passed on."""

    keywords: dict[str, Any] = field(default_factory=dict)
    given: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def parameters_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a function, or of a class's constructor; one that takes ``**kwargs`` inherits its parents'."""
    # a class's own __init__ is what is wanted of each parent, not a signature made up by a metaclass
    sources: list[Any] = [function]
    if isinstance(function, type):
        sources = [vars(c)["__init__"] for c in inspect.getmro(function) if "__init__" in vars(c)]
    found: dict[str, inspect.Parameter] = {}
    for source in sources:
        try:
            parameters = inspect.signature(source).parameters
        except (TypeError, ValueError):
            break
        found = {**parameters, **found}
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
            break
    return {n: p for n, p in found.items() if n != "self" or not isinstance(function, type)}


def looks_like_update(function: Callable[..., Any]) -> bool:
    """True if a function takes a parameter and its gradient by names that say so."""
    names = parameters_of(function)
    return any(n in names for n in PARAMETER) and any(n in names for n in GRADIENT)


def takes_parameters(thing: Any) -> bool:
    """True if a function's first argument can only be the parameters: it is required, and no hyperparameter's name."""
    if isinstance(thing, type) or not callable(thing) or looks_like_update(thing):
        return False
    parameters = list(parameters_of(thing).values())
    if not parameters or parameters[0].default is not inspect.Parameter.empty:
        return False
    words = {*HYPERPARAMETERS, *(name for names in HYPERPARAMETERS.values() for name in names)}
    return parameters[0].name not in words


def takes_anything(parameters: Parameters) -> bool:
    """True if there is a ``**kwargs`` among the parameters."""
    return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())


def for_rule(
    parameters: Parameters, rule: Optimizer, options: Mapping[str, Any], name: str, *, built_in: bool
) -> Arguments:
    """Every hyperparameter that has a counterpart among the parameters, and the options, which win over them.

    Args:
        parameters: those of the constructor or function.
        rule: it has the values.
        options: keyword arguments as the user gave them.
        name: how messages call the candidate.
        built_in: whether it may have hyperparameters built in that it does not take, as a user's function may.

    Raises:
        CandidateError: an option that is not a parameter; or, unless ``built_in``, a number of the rule that has no
            counterpart and is neither zero nor its default, so that the candidate cannot be told to use it.
    """
    rule, named = rule.told(), {n: p for n, p in parameters.items() if p.kind in _NAMED}
    anything = takes_anything(parameters)
    check_options(options, named, anything, name)
    result = Arguments()
    _pack(named, rule, options, result)
    for word, value in rule.hyperparameters().items():
        target = known_as(word, HYPERPARAMETERS, named)
        if isinstance(value, str) or word in result.given:
            continue  # which named behaviour the candidate has is what is being judged
        if target is None:
            if word in rule.reads() and value != 0.0 and not (packed_in(word, named) or anything):
                result.notes.append(_untold(word, rule, named, name, built_in))
        elif target not in options and target not in result.keywords:
            result.given.add(word)
            # momentum=0 to a constructor that says None for "without"
            if not (value == 0.0 and named[target].default is None):
                result.keywords[target] = value
        elif target in result.keywords and target not in rule.legal():
            # one argument of another name stands for both: one of them alone cannot be another number
            result.given -= {n for n in result.given if known_as(n, HYPERPARAMETERS, named) == target}
    result.keywords.update(options)
    return result


def named_by(thing: Any, rule: Rule, options: Mapping[str, Any]) -> frozenset[str]:
    """The rule's hyperparameters that a function takes by their own names; a rule has its own.

    Args:
        thing: a function, a pair of which the first that is there counts, a class, or an object with a method ``forward``,
            ``quantize`` or, alone, ``dequantize``.
        rule: the rule that it claims to be.
        options: what the user sets, which the rule does not.
    """
    if isinstance(thing, Rule) or (isinstance(thing, type) and issubclass(thing, Rule)):
        return frozenset()
    thing = next((way for way in thing if way is not None), None) if isinstance(thing, tuple) else thing
    ways = ("forward", "quantize", "dequantize")
    inner = next((getattr(thing, n) for n in ways if callable(getattr(thing, n, None))), thing)
    if not callable(inner):
        return frozenset()
    named = {n for n, p in parameters_of(inner).items() if p.kind in _NAMED}
    return frozenset(n for n in rule.legal() if n in named) - set(options)


def with_options(name: str, options: Mapping[str, Any]) -> str:
    """How reports call a candidate with options."""
    return f"{name}({', '.join(f'{n}={v!r}' for n, v in options.items())})" if options else name


def _pack(named: Parameters, rule: Optimizer, options: Mapping[str, Any], result: Arguments) -> None:
    """Hyperparameters that go into one tuple; as many as it holds by default, whose values fill what the rule lacks."""
    for pack, fields in PACKED.items():
        present = [f for f in fields if f in rule.legal()]
        if pack not in named or pack in options or not set(present) & rule.reads():
            continue
        default = named[pack].default
        known = list(default) if isinstance(default, (tuple, list)) else [None] * len(present)
        taken = list(zip(fields, known, strict=False))
        result.keywords[pack] = tuple(getattr(rule, f) if f in present else value for f, value in taken)
        result.given |= {f for f, _ in taken if f in present}


def packed_in(word: str, present: Mapping[str, Any]) -> str | None:
    """The parameter that packs a hyperparameter, if it is there."""
    return next((pack for pack, fields in PACKED.items() if word in fields and pack in present), None)


def check_options(options: Mapping[str, Any], parameters: Mapping[str, Any], anything: bool, name: str) -> None:
    """`CandidateError` naming the nearest parameter for an option that the candidate does not take."""
    for option in options:
        if option not in parameters and not anything:
            legal = ", ".join(parameters) or "none"
            raise CandidateError(f"{name} takes no option {option!r}{nearest(option, parameters)}; legal: {legal}")


def _untold(word: str, rule: Optimizer, named: Parameters, name: str, built_in: bool) -> str:
    """The note on a number that could not be passed on, or the error where that makes the claim impossible."""
    value = getattr(rule, word)
    if value == rule.defaults()[word] or built_in:
        return f"{name} takes no {word}; it is judged with the rule's {word}={value!r}"
    legal = ", ".join(named) or "nothing"
    message = f"{name} takes no {word}, but the rule has {word}={value!r}; it takes: {legal}"
    raise CandidateError(f"{message}. Leave {word} at its default, or hand over a function that has it built in")
