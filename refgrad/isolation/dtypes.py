"""The dtypes whose bytes may cross between a host and its child, by name."""

from __future__ import annotations

from collections.abc import Mapping

import ml_dtypes
import numpy as np

NARROW = (
    "bfloat16",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
    "float8_e4m3b11fnuz",
    "float8_e3m4",
)
DTYPES: Mapping[str, np.dtype] = {
    **{np.dtype(code).name: np.dtype(code) for code in "?bBhHiIlLqQefdFD"},
    **{name: np.dtype(getattr(ml_dtypes, name)) for name in NARROW if hasattr(ml_dtypes, name)},
}
#: the other way; a dtype of another byte order is none of them
NAMES: Mapping[np.dtype, str] = {dtype: name for name, dtype in DTYPES.items()}


class MessageError(Exception):
    """A value that cannot cross, or bytes that are no message."""
