"""What makes the next mask of a present one: a function of arrays in any framework, or a refgrad rule.

A function takes the weights first; ``mask``, ``t`` (or ``step``, ``epoch``), the rule's other arrays and its
hyperparameters go by name. It returns the next mask, a pair (mask, weights), or a dict with ``mask`` and perhaps ``w``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.candidates.arguments import check_options, parameters_of, takes_anything, with_options
from refgrad.candidates.faults import returned_array, stepping
from refgrad.candidates.mask_function import NAMES, MaskFunction
from refgrad.candidates.masks import resolve_mask
from refgrad.candidates.names import Names, known_as
from refgrad.candidates.protocol import CandidateFault
from refgrad.candidates.resolve import describe, load
from refgrad.errors import CandidateError, with_article
from refgrad.sparsity.dynamic import MaskUpdate

Arrays = Mapping[str, np.ndarray]

LEGAL = (
    "a function (w, mask, ...) -> mask, (mask, w) or a dict of these, a refgrad rule, or a string 'package.module:name'"
)

#: array or number -> names that functions give it, besides its own
WORDS: Names = {
    **NAMES,
    "mask": ("masks", "connections"),
    "t": ("step", "epoch", "round"),
    "early": ("initial", "w0", "init"),
}


@dataclass(frozen=True)
class UpdateCandidate:
    """A candidate: ``next`` gives ``mask`` and perhaps ``w`` from a rule, its arrays and the step."""

    name: str
    next: Callable[[MaskUpdate, Arrays, int], dict[str, np.ndarray]]


def resolve(thing: Any, options: Mapping[str, Any]) -> UpdateCandidate:
    """The candidate that a thing is; `CandidateError` if it is nothing that makes masks of masks."""
    name = thing if isinstance(thing, str) else describe(thing)
    thing = load(thing) if isinstance(thing, str) else thing
    if isinstance(thing, UpdateCandidate):
        return thing
    if isinstance(thing, MaskUpdate) or (isinstance(thing, type) and issubclass(thing, MaskUpdate)):
        mine = thing.replace(**options) if isinstance(thing, MaskUpdate) else thing(**options)
        return UpdateCandidate(str(mine), lambda rule, arrays, t: _of_rule(mine, arrays, t))
    if isinstance(thing, type) or not callable(thing):
        raise CandidateError(f"{name} is {with_article(type(thing).__name__)}; legal: {LEGAL}")
    function = resolve_mask(thing, options)  # which framework's arrays it takes
    if not isinstance(function, MaskFunction):
        raise CandidateError(f"{name} makes a mask of weights alone; legal: {LEGAL}")
    shown = with_options(name, options)
    return UpdateCandidate(shown, lambda rule, arrays, t: _called(function, rule, arrays, t))


def _of_rule(mine: MaskUpdate, arrays: Arrays, t: int) -> dict[str, np.ndarray]:
    mask = mine.after(arrays, t)
    return {"mask": mask, "w": mine.weights(arrays, mask, t)}


def _called(candidate: MaskFunction, rule: MaskUpdate, arrays: Arrays, t: int) -> dict[str, np.ndarray]:
    parameters = parameters_of(candidate.function)
    check_options(candidate.options, parameters, takes_anything(parameters), candidate.name)
    rest = dict(list(parameters.items())[1:])
    keywords = dict(candidate.options)
    wrapped = {n: candidate.wrap(a) for n, a in arrays.items()}
    inner = {n: v for r in rule.inner_rules().values() for n, v in r.hyperparameters().items()}
    for word, value in {**inner, **rule.hyperparameters(), **wrapped, "t": t}.items():
        target = known_as(word, WORDS, rest) if word != "w" else None
        if target is not None and target not in candidate.options:
            keywords[target] = value
    missing = [n for n, p in rest.items() if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    for name in missing:
        if name not in keywords:
            legal = ", ".join([*arrays, "t", *rule.legal()])
            raise CandidateError(f"{candidate.name} takes {name!r}, which {rule} does not have; legal: {legal}")
    with stepping(candidate.name):
        returned = candidate.function(wrapped["w"], **keywords)
    if isinstance(returned, Mapping):
        named = dict(returned)
    else:
        pair = tuple(returned) if isinstance(returned, tuple) else (returned,)
        named = dict(zip(("mask", "w"), pair, strict=False))
    if named.get("mask") is None:
        raise CandidateFault("structure", f"{candidate.name} returned no mask; legal: mask, (mask, w), or a dict")
    found = {n: candidate.unwrap(named[n]) for n in ("mask", "w") if named.get(n) is not None}
    return {n: returned_array(value, f"{n} of {candidate.name}") for n, value in found.items()}
