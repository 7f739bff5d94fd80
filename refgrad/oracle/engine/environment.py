"""What this process does to floating-point numbers, and what it runs on: the header of a verdict."""

from __future__ import annotations

import platform
import sys

import numpy as np


def flushes_subnormals() -> bool:
    """Whether this thread flushes subnormal results to zero, as some libraries make it do on import."""
    tiny = np.full(1, np.finfo(np.float32).smallest_normal, np.float32)
    with np.errstate(under="ignore"):
        return bool((tiny * np.float32(0.5))[0] == 0)


def environment() -> dict[str, str]:
    """Versions of what is loaded, and whether subnormals survive."""
    found = {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()}
    for name in ("torch", "jax", "optax"):
        if name in sys.modules:
            found[name] = str(getattr(sys.modules[name], "__version__", "unknown"))
    found["subnormals"] = "flushed" if flushes_subnormals() else "kept"
    return found
