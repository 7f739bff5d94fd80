"""A function of NumPy arrays, or its compiled twin where the arrays are large; the bits are the same."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from refgrad.arithmetic.operations.op import Value
from refgrad.backends import worth_compiling


def fast(function: Callable[..., Any], first: np.ndarray, *others: Any) -> Any:
    """``function(first, *others)``, by the function of the same name in `kernels` if the first array is large."""
    if isinstance(first, Value) or not worth_compiling(first.size):
        return function(first, *others)
    kernels = importlib.import_module("refgrad.quantizers.gguf.kernels")
    return getattr(kernels, function.__name__)(first, *others)
