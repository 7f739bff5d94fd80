"""A function that makes masks as a candidate: the weights go first, what else the rule takes and its hyperparameters by name.

It returns the mask, or ``(scores, mask)``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from refgrad.candidates.arguments import check_options, parameters_of, takes_anything
from refgrad.candidates.faults import stepping
from refgrad.candidates.names import Names, known_as
from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import CandidateError
from refgrad.sparsity.base import Mask

LEGAL = (
    "a function (w, ...) -> mask or (scores, mask) on NumPy arrays, torch tensors or JAX arrays; a torch.nn.utils.prune method, "
    "or a function of a module; a torch.ao.pruning sparsifier; a refgrad mask; or a string 'package.module:name'"
)

#: hyperparameter or array -> names that functions give it, besides its own
NAMES: Names = MappingProxyType(
    {
        "w": ("weight", "weights", "x", "tensor", "t", "W", "param", "scores", "values"),
        "g": ("grad", "gradient", "grads"),
        "sparsity": ("amount", "ratio", "prune_ratio", "sparsity_level", "target_sparsity"),
        "n": ("N",),
        "m": ("M", "group", "block_size"),
        "a": ("norms", "activations", "scaler_row", "column_norms"),
        "u": ("noise", "uniform", "random"),
    }
)


@dataclass(frozen=True)
class MaskSeen:
    """What a candidate returned: a mask, and the scores behind it if they can be read."""

    mask: np.ndarray
    scores: np.ndarray | None = None


class MaskCandidate(Protocol):
    """Something that claims to be a mask rule."""

    @property
    def name(self) -> str:
        """How reports call it."""

    def prune(self, rule: Mask, arrays: Mapping[str, np.ndarray]) -> MaskSeen:
        """The mask of ``arrays["w"]``, given what else the rule takes; the rule tells the hyperparameters."""


@dataclass(frozen=True)
class MaskFunction:
    """A function of arrays; ``wrap`` turns a NumPy array into the framework's own, ``unwrap`` turns that back."""

    name: str
    function: Callable[..., Any]
    options: Mapping[str, Any]
    wrap: Callable[[np.ndarray], Any]
    unwrap: Callable[[Any], np.ndarray]

    def prune(self, rule: Mask, arrays: Mapping[str, np.ndarray]) -> MaskSeen:
        """Call the function; what it returns is read by `read`."""
        wrapped = {n: self.wrap(a) for n, a in arrays.items()}
        first, keywords = self._bind(rule, wrapped)
        with stepping(self.name):
            returned = self.function(first, **keywords)
        return read(returned, self.unwrap, self.name)

    def _bind(self, rule: Mask, arrays: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        parameters = parameters_of(self.function)
        anything = takes_anything(parameters)
        check_options(self.options, parameters, anything, self.name)
        if not parameters:
            raise CandidateError(f"{self.name} takes no argument; legal: {LEGAL}")
        rest = dict(list(parameters.items())[1:])
        keywords = dict(self.options)
        for word, value in {**rule.hyperparameters(), **{n: a for n, a in arrays.items() if n != "w"}}.items():
            target = known_as(word, NAMES, rest)
            if target is not None and target not in keywords:
                keywords[target] = value
        required = [
            n
            for n, p in rest.items()
            if p.default is inspect.Parameter.empty
            and p.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        ]
        for name in required:
            if name not in keywords:
                legal = ", ".join(["w", *list(arrays)[1:], *rule.legal()])
                raise CandidateError(
                    f"{self.name} takes {name!r}, which {rule} does not have; legal: {legal}, or an option"
                )
        return arrays["w"], keywords


def read(returned: Any, unwrap: Callable[[Any], np.ndarray], name: str) -> MaskSeen:
    """A mask, or scores and a mask; `CandidateFault` for anything else."""
    pair = returned if isinstance(returned, tuple) else (None, returned)
    if len(pair) != 2 or pair[1] is None:
        raise CandidateFault("structure", f"{name} returned {type(returned).__name__}; legal: mask, or (scores, mask)")
    scores, mask = (None if part is None else unwrap(part) for part in pair)
    assert mask is not None
    return MaskSeen(mask, scores)


def speaks_of(function: Callable[..., Any], words: tuple[str, ...]) -> bool:
    """True if a function's annotations or module name a framework's arrays."""
    inner = inspect.unwrap(function)
    inner = getattr(inner, "func", inner)
    annotations = " ".join(str(a) for a in getattr(inner, "__annotations__", {}).values())
    return any(word in annotations or str(getattr(inner, "__module__", "")).startswith(word.lower()) for word in words)
