"""Functions of gradients as a device computes them, by NumPy: sums, products and elementary functions of fixed bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic import fixed_bits, matrices
from refgrad.optimizers.transform import Transform


def tree_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """As `numpy.matmul`, with terms that are added along the tree."""
    left, right = a[None] if a.ndim == 1 else a, b[:, None] if b.ndim == 1 else b
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    left, right = (np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (left, right))
    found = matrices.tree_product(left, right)
    found = found[..., 0] if b.ndim == 1 else found
    if a.ndim == 1:
        found = found[..., 0] if b.ndim == 1 else found[..., 0, :]
    return np.asarray(found)


def with_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on products of arrays of fixed bits are added along the tree."""
    composed = fixed_bits.FixedBits._composed

    def product(array: Any, ufunc: np.ufunc, inputs: Any) -> Any:
        if ufunc is not np.matmul:
            return composed(array, ufunc, inputs)
        plain = [np.asarray(fixed_bits._plain(x)) for x in inputs]
        return array._each(tree_product(*(x if x.dtype.kind == "f" else x.astype(array.working) for x in plain)))

    monkeypatch.setattr(fixed_bits.FixedBits, "_composed", product)


class Dotted(np.ndarray):
    """An array whose method ``dot`` adds along the tree."""

    def dot(self, other: Any, out: Any = None) -> Any:
        """The product of matrices."""
        return tree_product(np.asarray(self), np.asarray(other))


def fixed_quantizer(rule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on a quantizer computes on arrays of fixed bits, by NumPy."""
    with_products(monkeypatch)
    cls, encode, decode = type(rule), type(rule).encode, type(rule).decode

    def encoded(self: Any, x: np.ndarray) -> Any:
        return fixed_bits.unfixed(encode(self, fixed_bits.as_fixed(x, x.dtype)))

    def decoded(self: Any, arrays: Any, shape: Any) -> Any:
        given = {name: fixed_bits.as_fixed(a, a.dtype).view(Dotted) for name, a in arrays.items()}
        return np.asarray(decode(self, given, shape))

    monkeypatch.setattr(cls, "encode", encoded)
    monkeypatch.setattr(cls, "decode", decoded)


class Fixed:
    """A function of gradients that computes on arrays of fixed bits, and is otherwise the rule.

    Args:
        rule: the rule.
        monkeypatch: while it lasts products on such arrays are added along the tree.
    """

    def __init__(self, rule: Transform, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rule = rule
        with_products(monkeypatch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rule, name)

    def __call__(self, *arrays: Any) -> Any:
        return self.rule.computed_by(self._body, arrays)

    def _body(self, *wide: np.ndarray) -> Any:
        working = next(a.dtype for a in wide if a.dtype.kind == "f")
        return fixed_bits.unfixed(self.rule.apply(*(fixed_bits.as_fixed(a, working) for a in wide)))
