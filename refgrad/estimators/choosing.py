"""Estimators whose value shows a choice: which weights are kept, which category is drawn, which code is nearest.

Between scores that are equal to within rounding either choice is right, so that a choice is judged by a mask's scores and
selection, and value and gradients given the candidate's own choice. No caller hands a choice over: the reference makes it,
and that of a candidate is read off its results.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from refgrad.arithmetic.arrays import as_array
from refgrad.errors import ArgumentError
from refgrad.estimators.base import Estimator

Arrays = Mapping[str, np.ndarray]


class Selection(NamedTuple):
    """A mask rule (`refgrad.sparsity.base.Mask`) and the arrays that its scores are made of, ``w`` among them."""

    rule: Any
    arrays: Arrays

    def mask(self) -> np.ndarray:
        """What the rule chooses."""
        try:
            return self.rule.mask(**self.arrays)
        except ArgumentError as error:  # which calls them as the mask does
            raise ArgumentError(f"x is refused as the weights w of {self.rule}: {error}") from None


class Shown(NamedTuple):
    """A choice as results show it, and the entries of which they tell nothing."""

    mask: np.ndarray
    free: np.ndarray


class Choosing(Estimator):
    """An estimator with parameters that hold choices; a subclass says what chooses, and how results show it."""

    chosen: ClassVar[tuple[str, ...]] = ("mask",)

    def selections(self, given: Arrays) -> dict[str, Selection]:
        """What makes each choice of these arrays."""
        raise NotImplementedError

    def held(self, name: str, mask: np.ndarray, given: Arrays) -> np.ndarray:
        """The parameter that a choice is: by default one where an entry is chosen, zero elsewhere."""
        return mask.reshape(given["x"].shape).astype(given["x"].dtype)

    def shown(self, name: str, given: Arrays, seen: Arrays) -> Shown:
        """The choice that results show; ``seen`` has at least ``y``."""
        raise NotImplementedError

    def handed(self) -> list[str]:
        """The parameters but for choices, and the tables."""
        return [*(n for n in self.parameters if n not in self.chosen), *self.tables]

    def prepared(self, given: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """As `Estimator.prepared`; the choices are made where they are not among the arguments."""
        tables = {n: as_array(given[n], n) for n in self.tables if n in given}
        rest = {n: v for n, v in given.items() if n not in tables}
        absent = [n for n in self.chosen if n not in rest]
        missing = [n for n in self.tables if n not in given and absent]
        if missing:
            raise ArgumentError(f"{type(self).__name__} needs {missing[0]!r}; legal: an array")
        x = as_array(rest["x"], "x")
        arrays = super().prepared({**rest, **dict.fromkeys(absent, np.zeros_like(x))})
        known = {**arrays, **tables}
        if absent and x.size:
            for name, selection in self.selections(known).items():
                if name in absent:
                    arrays[name] = self.held(name, selection.mask(), known)
        return {**arrays, **tables}
