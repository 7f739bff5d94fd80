"""What arrays a rule may be handed."""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.errors import ArgumentError, bad_argument


def as_array(value: Any, name: str) -> np.ndarray:
    """A NumPy array of a float dtype; `ArgumentError` for anything else."""
    if not isinstance(value, np.ndarray):
        if not isinstance(value, np.generic):
            raise ArgumentError(f"{name} is a {type(value).__name__}; legal: a NumPy array of a float dtype")
        value = np.asarray(value)
    if not dtypes.is_float(value.dtype):
        raise bad_argument(f"{name}.dtype", str(value.dtype), "a float dtype, such as float32, float64 or bfloat16")
    return value
