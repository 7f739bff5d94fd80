"""The reductions: axes are folded by name, and many terms become one number."""

from __future__ import annotations

import numpy as np

from refgrad.arithmetic import folding
from refgrad.arithmetic import running_error as bounds
from refgrad.arithmetic.folding import Fold
from refgrad.arithmetic.operations.op import Op, Symbol

_ADDED, _LARGEST = Fold("add", np.add, 0.0), Fold("maximum", np.maximum, -np.inf)

ROWS = (
    Op(
        "sum",
        1,
        numpy=lambda x, names: folding.tree(np.asarray(x), names, _ADDED),
        exact=lambda m, terms: m.fsum(terms),
        error=bounds.add_up,
        kind="reduction",
        sketch=lambda x, axes: np.sum(x, axis=axes, keepdims=True),
        attributed=True,
        fold=_ADDED,
        symbol=Symbol(latex=r"\sum %s"),
    ),
    Op(
        "max",
        1,
        numpy=lambda x, names: folding.tree(np.asarray(x), names, _LARGEST),
        exact=lambda m, terms: max(terms, default=-m.inf),
        error=lambda x, axes, terms, model: bounds.largest(x, axes, model),
        kind="reduction",
        sketch=lambda x, axes: np.max(x, axis=axes, keepdims=True, initial=-np.inf),
        attributed=True,
        fold=_LARGEST,
    ),
)
