"""The interpreter of rules that have no graph: their bodies run as they stand, on arrays that round at random.

A legal program here rounds each operation as its style says, adds sums and products of matrices in random orders, contracts
products into FMA, and takes reciprocals. A mutant has one operation of the rule's text, wherever it is run, replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refgrad.arithmetic.body_mutations import BodyMutation, place_of, replaced, replacements, texts_of
from refgrad.arithmetic.dtypes import whole_numbers
from refgrad.arithmetic.operations import OPERATIONS as TABLE
from refgrad.oracle.acceptance.bodies import named
from refgrad.strength.body_arrays import RuleOfRun, RunArray, values_of
from refgrad.strength.body_operations import OPERATIONS, REAL
from refgrad.strength.rounding_styles import Array, Rounding


@dataclass
class BodyRun:
    """One run of a rule's body.

    Attributes:
        rounding: how results are rounded; None for real arithmetic, as near as there is (80 bits).
        mutation: what stands for what, if the run is one of a mutant.
        met: filled with every mutation that can be made of the operations that are run; None to leave that.
        random: where choices come from.
    """

    rounding: Rounding | None = None
    mutation: BodyMutation | None = None
    met: dict[BodyMutation, None] | None = None
    random: np.random.Generator = field(default_factory=lambda: np.random.Generator(np.random.Philox(0)))
    _texts: tuple[str, ...] = ()

    def results(self, rule: Any, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """The results of the rule's body by name.

        Args:
            rule: the rule.
            arrays: what its body takes, by name, in its order.

        Returns:
            Arrays of `dtype`.
        """
        self._texts = texts_of(rule)
        given = [a if whole_numbers(a) else self.array(a.astype(self.dtype)) for a in arrays.values()]
        with np.errstate(all="ignore"):
            found = (
                type(rule).scaled(RuleOfRun(rule, self), *given)
                if rule.kind == "scaling"
                else named(rule.apply(*given))
            )
            return {n: values_of(r) for n, r in found.items()}

    @property
    def dtype(self) -> Any:
        """The dtype that numbers are kept in: float64 for float32 numbers, longdouble for float64 or real ones."""
        return REAL if self.rounding is None else self.rounding.wide

    def array(self, values: Array) -> RunArray:
        """An array of this run."""
        return RunArray(values, self)

    def coin(self) -> bool:
        """True half of the time, in a program that rewrites."""
        return self.rounding is not None and self.rounding.style.rewrites and bool(self.random.random() < 0.5)

    def round(self, exact: Any) -> Array:
        """A result, rounded as this run does."""
        return np.asarray(exact, REAL) if self.rounding is None else self.rounding(exact)

    def do(self, op: str, *args: Any, **how: Any) -> Any:
        """One operation, noted in ``met``, or replaced if it is the mutation's."""
        if self.met is None and self.mutation is None:
            return self.unchanged(op, *args, **how)
        place = place_of(op, self._texts)
        if self.met is not None:
            self.met |= dict.fromkeys(BodyMutation(place, by) for by in replacements(op, args))
        if self.mutation is None or place != self.mutation.place:
            return self.unchanged(op, *args, **how)
        return replaced(self, self.mutation.by, op, args, how)

    def unchanged(self, op: str, *args: Any, **how: Any) -> Any:
        """One operation as the text says."""
        if op in TABLE and TABLE[op].boolean and TABLE[op].decide:
            return TABLE[op].on([values_of(a) for a in args])
        if op in ("add", "sub"):
            return self.array(self._sum(args[0], args[1], 1 if op == "add" else -1))
        operands = [self.operand(a) for a in args]
        if op == "mul":
            return RunArray(None, self, (operands[0], operands[1]))
        if op == "div":
            return self.array(self.quotient(*operands))
        return self.array(OPERATIONS[op](self, *operands, **how))

    def operand(self, value: Any) -> Array:
        """The numbers of an operand; a number of the text is rounded where it meets an array."""
        if isinstance(value, RunArray):
            return value.values
        numbers = np.asarray(value, self.dtype)
        return self.round(numbers) if not isinstance(value, np.ndarray) else numbers

    def _sum(self, a: Any, b: Any, sign: int) -> Array:
        """A sum; a product that is not rounded yet is fused into it or not."""
        pair = (a, b)
        products = [i for i, each in enumerate(pair) if isinstance(each, RunArray) and each.factors is not None]
        fused = int(self.random.choice(products)) if products and self.coin() else None
        parts = [each.factors[0] * each.factors[1] if i == fused else self.operand(each) for i, each in enumerate(pair)]
        return self.round(parts[0] + sign * parts[1])

    def quotient(self, a: Array, b: Array) -> Array:
        """A quotient, or a product with a reciprocal."""
        return self.round(a * self.round(1.0 / b)) if self.coin() else self.round(a / b)

    def total(self, x: Array, axes: tuple[int, ...], keepdims: bool = False) -> Array:
        """A declared sum in a random order, each addition rounded to nearest: the bound counts one rounding each."""
        if self.rounding is None:
            return np.asarray(np.sum(x, axis=axes, keepdims=keepdims))
        last = np.moveaxis(x, axes, range(-len(axes), 0))
        terms = last.reshape(*last.shape[: last.ndim - len(axes)], -1)
        terms = terms[..., self.random.permutation(terms.shape[-1])].astype(np.float32)
        in_turn = terms.shape[-1] and self.random.random() < 0.5
        total = np.cumsum(terms, axis=-1)[..., -1] if in_turn else np.add.reduce(terms, axis=-1)
        total = total.astype(np.float64)
        return np.expand_dims(total, axes) if keepdims else total

    def product(self, a: Array, b: Array) -> Array:
        """A product of matrices (..., m, k) and (..., k, n), or of vectors: rounded products, added in a random order."""
        left = a[None, :] if a.ndim == 1 else a
        right = b[:, None] if b.ndim == 1 else b
        terms = self.round(left[..., :, :, None] * right[..., None, :, :])
        found = self.total(terms, (terms.ndim - 2,))
        found = found[..., 0] if b.ndim == 1 else found
        return found[..., 0, :] if a.ndim == 1 and b.ndim > 1 else found[..., 0] if a.ndim == 1 else found
