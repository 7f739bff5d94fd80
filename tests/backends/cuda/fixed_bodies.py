"""Rules that compute on arrays of fixed bits, by NumPy, as a device does: a plain call adds in NumPy's order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic.fixed_bits import as_fixed, unfixed
from refgrad.optimizers.transform import Transform


def fixed_quantizer(rule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on a quantizer computes on arrays of fixed bits."""
    cls, encode, decode = type(rule), type(rule).encode, type(rule).decode

    def encoded(self: Any, x: np.ndarray) -> Any:
        return unfixed(encode(self, as_fixed(x, x.dtype)))

    def decoded(self: Any, arrays: Any, shape: Any) -> Any:
        return np.asarray(decode(self, {name: as_fixed(a, a.dtype) for name, a in arrays.items()}, shape))

    monkeypatch.setattr(cls, "encode", encoded)
    monkeypatch.setattr(cls, "decode", decoded)


class Fixed:
    """A function of gradients that computes on arrays of fixed bits, and is otherwise the rule.

    Args:
        rule: the rule.
    """

    def __init__(self, rule: Transform) -> None:
        self.rule = rule

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rule, name)

    def __call__(self, *arrays: Any) -> Any:
        return self.rule.computed_by(self._body, arrays)

    def _body(self, *wide: np.ndarray) -> Any:
        working = next(a.dtype for a in wide if a.dtype.kind == "f")
        return unfixed(self.rule.apply(*(as_fixed(a, working) for a in wide)))
