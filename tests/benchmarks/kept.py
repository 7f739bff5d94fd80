"""Results of benchmarks that are kept as JSON, with the machine and the versions that they were measured on."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

SCHEMA = "refgrad-benchmarks-1"
#: packages whose versions are kept, where they are installed
PACKAGES = (
    "refgrad",
    "numpy",
    "numba",
    "torch",
    "jax",
    "optax",
    "ml_dtypes",
    "numexpr",
    "bitsandbytes",
    "torchao",
    "gguf",
)


def write(path: Path, results: Sequence[Any]) -> None:
    """Keep some results.

    Args:
        path: of the file.
        results: plain data.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {"schema": SCHEMA, "measured": _now(), "environment": environment(), "results": list(results)}
    path.write_text(json.dumps(found, indent=1) + "\n")


def read(path: Path) -> dict[str, Any]:
    """What `write` kept.

    Raises:
        SystemExit: the file is something else.
    """
    found = json.loads(path.read_text())
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise SystemExit(f"{path} has no results of benchmarks; legal: a file that --save wrote")
    return found


def environment() -> dict[str, str]:
    """The machine, without its name, and the versions of packages."""
    found = {"system": platform.system(), "machine": platform.machine(), "processor": _processor()}
    load = os.getloadavg()[0] / (os.cpu_count() or 1)  # above one the machine had more to do than this
    found |= {"cores": str(os.cpu_count()), "load of a core": f"{load:.1f}", "python": platform.python_version()}
    return found | {name: version for name in PACKAGES if (version := _version(name)) is not None}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((text.split(":")[1].strip() for text in lines if text.startswith("model name")), "")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
