"""What makes masks and can be checked: a function of arrays, a refgrad rule, or what torch and JAX have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.candidates.arguments import with_options
from refgrad.candidates.faults import stepping
from refgrad.candidates.frameworks import candidate_of
from refgrad.candidates.mask_function import LEGAL, MaskCandidate, MaskFunction, MaskSeen
from refgrad.candidates.resolve import describe, load
from refgrad.errors import CandidateError, with_article
from refgrad.sparsity.base import Mask


@dataclass(frozen=True)
class ReferenceMask:
    """A refgrad mask as a candidate."""

    name: str
    rule: Mask

    def prune(self, rule: Mask, arrays: Mapping[str, np.ndarray]) -> MaskSeen:
        """The rule's own scores and mask."""
        others = {n: v for n, v in arrays.items() if n != "w" and n in self.rule.takes()}
        with stepping(self.name):
            return MaskSeen(self.rule.mask(arrays["w"], **others), self.rule.score(arrays["w"], **others))


def resolve_mask(thing: Any, options: Mapping[str, Any]) -> MaskCandidate:
    """The mask candidate that a thing is.

    Raises:
        CandidateError: the thing cannot be found, or is nothing that makes masks.
    """
    name = thing if isinstance(thing, str) else describe(thing)
    thing = load(thing) if isinstance(thing, str) else thing
    if hasattr(thing, "prune") and isinstance(getattr(thing, "name", None), str):
        return thing
    if isinstance(thing, Mask) or (isinstance(thing, type) and issubclass(thing, Mask)):
        rule = thing.replace(**options) if isinstance(thing, Mask) else thing(**options)
        return ReferenceMask(with_options(str(rule), {}), rule)
    found: MaskCandidate | None = candidate_of("mask", thing, name, options)
    if found is not None:
        return found
    if isinstance(thing, type) or not callable(thing):
        raise CandidateError(f"{name} is {with_article(type(thing).__name__)}; legal: {LEGAL}")
    return MaskFunction(with_options(name, options), thing, options, lambda a: a, np.asarray)
