"""What the candidate's program does to floating-point numbers, and what it runs on: the header of a verdict."""

from __future__ import annotations

import platform
import sys

import numpy as np

from refgrad.float_environment import FLUSHED, of_candidate


def environment() -> dict[str, str]:
    """Versions of what is loaded, whether subnormals survive where the candidate runs, and how is rounded if not to nearest."""
    found = {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()}
    for name in ("torch", "jax", "optax"):
        if name in sys.modules:
            found[name] = str(getattr(sys.modules[name], "__version__", "unknown"))
    deviations = of_candidate()
    found["subnormals"] = "flushed" if FLUSHED in deviations else "kept"
    rounding = [each for each in deviations if each != FLUSHED]
    return found | ({"rounding": rounding[0].removeprefix("rounding ")} if rounding else {})
