"""What can be checked as a scaling: a function of a batch size that makes a learning rate, or several numbers by name.

A function takes the batch size by a name of `BATCH` or first, the number of epochs as ``epochs``, and hyperparameters by name.
It returns the rate, or a dict with ``rate`` and whatever else the rule scales.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from refgrad.candidates.arguments import check_options, parameters_of, takes_anything, with_options
from refgrad.candidates.resolve import describe, load
from refgrad.candidates.transform import told
from refgrad.errors import CandidateError, with_article
from refgrad.optimizers.batch_scaling import Scaling

LEGAL = "a function (batch, ...) -> rate or a dict of numbers, a scaling of refgrad, or a string 'package.module:name'"
#: names that functions give the batch size
BATCH = ("batch", "batch_size", "new_batch", "size")


@dataclass(frozen=True)
class ScalingCandidate:
    """A candidate: the numbers that it makes of a rule, a batch size and a number of epochs."""

    name: str
    call: Callable[[Scaling, int, int], Any]


def resolve(thing: Any, options: Mapping[str, Any]) -> ScalingCandidate:
    """The candidate that a thing is; `CandidateError` if it is nothing that can be checked as a scaling."""
    name = thing if isinstance(thing, str) else describe(thing)
    thing = load(thing) if isinstance(thing, str) else thing
    if isinstance(thing, ScalingCandidate):
        return thing
    if isinstance(thing, Scaling) or (isinstance(thing, type) and issubclass(thing, Scaling)):
        mine = thing.replace(**options) if isinstance(thing, Scaling) else thing(**options)
        return ScalingCandidate(f"refgrad's {mine}", lambda rule, batch, epochs: mine.scaled(batch, epochs))
    if isinstance(thing, type) or not callable(thing):
        raise CandidateError(f"{name} is {with_article(type(thing).__name__)}; legal: {LEGAL}")
    parameters = parameters_of(thing)
    check_options(options, parameters, takes_anything(parameters), name)
    return ScalingCandidate(
        with_options(name, options), lambda rule, batch, epochs: _called(thing, rule, batch, epochs, options)
    )


def _called(function: Callable[..., Any], rule: Scaling, batch: int, epochs: int, options: Mapping[str, Any]) -> Any:
    parameters = parameters_of(function)
    word = next((n for n in BATCH if n in parameters and n != "batch"), None)
    if word is None and "batch" in parameters and "base_batch" in parameters:
        word = "batch"
    word = word or next(iter(parameters), None)
    rest = {n: p for n, p in parameters.items() if n != word}
    keywords = {**told(rule, rest), **options}
    if "base_batch" in rest and "batch" in rule.legal():
        keywords["base_batch"] = rule.hyperparameters()["batch"]
    if "epochs" in rest:
        keywords["epochs"] = epochs
    return function(batch, **keywords)
