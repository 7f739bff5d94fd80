"""What the arrays and the operations of a body ask of the run that they belong to; `refgrad.strength.body_interpreter` is one."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from refgrad.strength.rounding_styles import Array, Rounding


class Run(Protocol):
    """One run of a rule's body. Arrays are wider than the precision whose numbers they hold, as `Rounding` says."""

    rounding: Rounding | None
    random: np.random.Generator

    @property
    def dtype(self) -> Any:
        """The dtype that numbers are kept in: float64, or longdouble in real arithmetic."""

    def do(self, op: str, *args: Any, **how: Any) -> Any:
        """One operation by name, which may be the one that a mutant replaces."""

    def unchanged(self, op: str, *args: Any, **how: Any) -> Any:
        """One operation by name, as the rule's text says."""

    def array(self, values: Array) -> Any:
        """An array of this run."""

    def operand(self, value: Any) -> Array:
        """The numbers of an operand."""

    def round(self, exact: Any) -> Array:
        """A result, rounded as this run does."""

    def quotient(self, a: Array, b: Array) -> Array:
        """A quotient."""

    def total(self, x: Array, axes: tuple[int, ...], keepdims: bool = False) -> Array:
        """A sum over some axes."""

    def product(self, a: Array, b: Array) -> Array:
        """A product of matrices, or with a vector."""
