"""What can be checked as a quantizer: something that makes codes and scales of an array, and perhaps an array of those.

A function ``f(x, **hyperparameters)`` on NumPy arrays that returns the rule's parts, as a dict by name or a tuple in the
rule's order (one array is the last part, or of a packed format the bytes); what a rule takes besides, such as uniforms, it
is handed by name, and so are the scales and zero points that it has as arguments, under which it makes codes. Or a pair of
such a function and one that goes back, ``g(*parts)`` by name or in order; a pair of None and that; an object with methods
``quantize`` and ``dequantize``, or the second alone; a quantizer of refgrad; or a function or an observer of torch's
(`torch_quantizer`). A decoder alone is judged on every code that the rule has.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from refgrad.candidates.arguments import check_options, parameters_of, takes_anything, with_options
from refgrad.candidates.faults import returned_array
from refgrad.candidates.frameworks import candidate_of
from refgrad.candidates.protocol import CandidateFault
from refgrad.candidates.resolve import describe, describe_rule, load
from refgrad.errors import CandidateError, nearest, with_article
from refgrad.quantizers.base import Quantized, Quantizer

LEGAL = (
    "a function f(x) that returns the rule's parts, a pair (quantize, dequantize) of functions, an object with these "
    "methods or with dequantize alone, a quantizer of refgrad, or a string 'package.module:name'"
)

Parts = dict[str, np.ndarray]


@dataclass(frozen=True)
class QuantizerCandidate:
    """A candidate: its parts of an array, if it is no decoder alone, and the array of its parts if it has a way back.

    ``taken`` are the names of what it takes; ``given`` those of the rule's parts among them, which it is handed (`handed_parts`).
    """

    name: str
    quantize: Callable[..., Parts] | None
    dequantize: Callable[[Quantizer, Parts, np.ndarray], Any] | None = None
    taken: frozenset[str] = frozenset()
    given: tuple[str, ...] = ()


def handed_parts(candidate: QuantizerCandidate, rule: Quantizer) -> QuantizerCandidate:
    """A candidate that knows which of a rule's parts it takes: those under which it makes codes.

    Args:
        candidate: the candidate.
        rule: the rule that it claims to be.

    Raises:
        CandidateError: it takes some of the numbers that codes are made under, and makes others by itself.
    """
    given = tuple(n for n in rule.parts if n in candidate.taken)
    if not given:
        return candidate
    under = [n for n in rule.parts[:-1] if n not in rule.constant_parts()]
    missing = [n for n in under if n not in given]
    if missing or rule.parts[-1] in given:
        legal = f"a function of x, or of x with {', '.join(under)}" if under else "a function of x"
        raise CandidateError(f"{candidate.name} takes {', '.join(given)} of {rule}; legal: {legal}")
    return replace(candidate, given=given)


def resolve(thing: Any, options: Mapping[str, Any]) -> QuantizerCandidate:
    """The candidate that a thing is; `CandidateError` if it is nothing that can be checked as a quantizer."""
    named = (thing[0] or thing[1]) if isinstance(thing, tuple) and len(thing) == 2 else thing
    name = thing if isinstance(thing, str) else describe(named)
    thing = load(thing) if isinstance(thing, str) else thing
    if isinstance(thing, QuantizerCandidate):
        return thing
    shown = with_options(name, options)
    if isinstance(thing, Quantizer) or (isinstance(thing, type) and issubclass(thing, Quantizer)):
        return _reference(shown, thing, options)
    if (known := candidate_of("quantizer", thing, name, options)) is not None:
        return QuantizerCandidate(*known)
    forward, backward = _ways(thing)
    alone = forward is None and callable(backward)
    if not (callable(forward) or alone) or not (backward is None or callable(backward)):
        raise CandidateError(f"{name} is {with_article(type(thing).__name__)}; legal: {LEGAL}")
    parameters = parameters_of(backward if alone else forward)
    check_options(options, parameters, takes_anything(parameters), name)

    def quantize(rule: Quantizer, x: np.ndarray, **besides: np.ndarray) -> Parts:
        taken = {n: a for n, a in besides.items() if n in parameters}
        returned = forward(x, **{**_bound(forward, rule), **taken, **options})
        return named_parts(returned, rule, name, frozenset(taken))

    def dequantize(rule: Quantizer, parts: Parts, x: np.ndarray) -> Any:
        assert backward is not None
        taken = [n for n in parameters_of(backward) if n in parts]
        if taken:
            return backward(**{n: parts[n] for n in taken}, **_bound(backward, rule))
        return backward(*(parts[n] for n in rule.parts), **_bound(backward, rule))

    back = None if backward is None else dequantize
    if alone:
        return QuantizerCandidate(shown, None, back)
    return QuantizerCandidate(shown, quantize, back, frozenset(parameters) - set(options))


def _ways(thing: Any) -> tuple[Any, Any]:
    """The function to parts, and that back or None."""
    if isinstance(thing, tuple):
        return thing if len(thing) == 2 else (None, None)
    made = not isinstance(thing, type) or isinstance(inspect.getattr_static(thing, "quantize", None), _OF_CLASSES)
    if made and callable(getattr(thing, "quantize", None)):
        return thing.quantize, getattr(thing, "dequantize", None)
    if not callable(thing) and callable(getattr(thing, "dequantize", None)):
        return None, thing.dequantize
    return thing, None


#: methods that a class has without an instance
_OF_CLASSES = (staticmethod, classmethod)


def _bound(function: Callable[..., Any], rule: Quantizer) -> dict[str, Any]:
    """The rule's hyperparameters that a function takes by their names."""
    parameters = parameters_of(function)
    by_name = {n for n, p in parameters.items() if p.kind is not inspect.Parameter.POSITIONAL_ONLY}
    return {n: value for n, value in rule.hyperparameters().items() if n in by_name and n not in rule.parts}


def _reference(name: str, thing: Any, options: Mapping[str, Any]) -> QuantizerCandidate:
    if isinstance(thing, Quantizer):
        if options:
            raise CandidateError(f"{name} is a rule already; legal options: none, not {', '.join(options)}")
        mine = thing
    else:
        mine = thing(**options)

    def quantize(rule: Quantizer, x: np.ndarray, **besides: np.ndarray) -> Parts:
        taken = {n: a for n, a in besides.items() if n in parameters_of(mine.quantize)}
        return dict(mine.quantize(x, **taken).arrays)

    def dequantize(rule: Quantizer, parts: Parts, x: np.ndarray) -> Any:
        return mine.dequantize(Quantized(parts, x.shape, x.dtype))

    return QuantizerCandidate(describe_rule(mine), quantize, dequantize)


def named_parts(result: Any, rule: Quantizer, name: str, given: frozenset[str] = frozenset()) -> Parts:
    """What a function returned, by the names of the rule's parts; bytes of a packed format are unpacked.

    Args:
        result: what was returned.
        rule: the quantizer.
        name: how messages call the function.
        given: the parts that it was handed, and need not return.
    """
    own = tuple(n for n in rule.parts if n not in given)
    unpack = getattr(rule, "unpack", None)
    if unpack is not None and not isinstance(result, (Mapping, tuple, list)):
        return dict(unpack(returned_array(result, f"what {name} returned")).arrays)
    legal = f"a dict with {', '.join(own)}, a tuple of these, or {own[-1]} alone"
    if isinstance(result, Mapping):
        missing = [n for n in rule.parts[-1:] if n not in result]
        if missing:
            raise CandidateFault("structure", f"{name} returned no {missing[0]!r}; legal: {legal}")
        known = (*rule.parts, "y")
        for part in result:
            if part not in known:
                hint = nearest(str(part), known)
                raise CandidateFault("structure", f"{name} returned {part!r}{hint}; legal: {', '.join(known)}")
        return {n: returned_array(result[n], f"{n} of {name}") for n in (*rule.parts, "y") if n in result}
    if isinstance(result, (tuple, list)):
        shown = [n for n in own if n not in rule.constant_parts()]
        if len(result) == len(shown):
            return {n: returned_array(a, f"{n} of {name}") for n, a in zip(shown, result, strict=True)}
        if len(result) != len(own):
            raise CandidateFault("structure", f"{name} returned {len(result)} values; legal: {legal}")
        return {n: returned_array(a, f"{n} of {name}") for n, a in zip(own, result, strict=True)}
    if len([n for n in own if n not in rule.constant_parts()] if given else own) > 1:
        raise CandidateFault("structure", f"{name} returned {with_article(type(result).__name__)}; legal: {legal}")
    return {own[-1]: returned_array(result, f"{own[-1]} of {name}")}
