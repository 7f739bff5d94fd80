"""A function of NumPy arrays, or its compiled twin where the arrays are large; the bits are the same."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from refgrad.quantizers.base import WORTH_COMPILING


def fast(function: Callable[..., Any], first: np.ndarray, *others: Any) -> Any:
    """``function(first, *others)``, by the function of the same name in `kernels` if the first array is large."""
    if first.size < WORTH_COMPILING:
        return function(first, *others)
    kernels = importlib.import_module("refgrad.quantizers.gguf.kernels")
    return getattr(kernels, function.__name__)(first, *others)
