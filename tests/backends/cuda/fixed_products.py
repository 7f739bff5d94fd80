"""Functions of gradients as a device computes them, by NumPy: sums, products of matrices and elementary functions of fixed bits."""

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


class Fixed:
    """A function of gradients that computes on arrays of fixed bits, and is otherwise the rule.

    Args:
        rule: the rule.
        monkeypatch: while it lasts products on such arrays are added along the tree.
    """

    def __init__(self, rule: Transform, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rule, composed = rule, fixed_bits.FixedBits._composed

        def with_products(array: Any, ufunc: np.ufunc, inputs: Any) -> Any:
            if ufunc is not np.matmul:
                return composed(array, ufunc, inputs)
            plain = [np.asarray(fixed_bits._plain(x)) for x in inputs]
            return array._each(tree_product(*(x if x.dtype.kind == "f" else x.astype(array.working) for x in plain)))

        monkeypatch.setattr(fixed_bits.FixedBits, "_composed", with_products)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rule, name)

    def __call__(self, *arrays: Any) -> Any:
        return self.rule.computed_by(self._body, arrays)

    def _body(self, *wide: np.ndarray) -> Any:
        working = next(a.dtype for a in wide if a.dtype.kind == "f")
        return fixed_bits.unfixed(self.rule.apply(*(fixed_bits.as_fixed(a, working) for a in wide)))
