"""What is installed and how this machine computes, for a report of a problem or a look before one."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path

from refgrad import float_environment
from refgrad.backends import kernel_cache
from refgrad.layout import BAD, PLAIN, Section
from refgrad.version import VERSION

#: what refgrad needs, and what it uses where it is there, with what for
NEEDED = ("numpy", "numba", "llvmlite", "scipy", "ml_dtypes", "mpmath", "click", "rich")
USED = {
    "hypothesis": "laws",
    "pytest": "the marker and the fixture",
    "torch": "judges its optimizers, functions and masks",
    "jax": "judges JAX functions",
    "optax": "judges its transformations",
    "keras": "judges its optimizers",
    "matplotlib": "verdict.plot()",
    "safetensors": "golden files",
    "cupy-cuda13x": "arrays on a card",
    "cupy-cuda12x": "the same for drivers of CUDA 12",
    "nvidia-cuda-nvrtc": "compiles CUDA kernels",
    "nvidia-cuda-nvrtc-cu12": "the same for drivers of CUDA 12",
}


def sections() -> list[Section]:
    """What there is: versions, packages, the processor and its arithmetic, the cache of kernels.

    Returns:
        Sections of a text; nothing of a framework is imported. One that needs attention has the tone ``"bad"``.
    """
    return [
        Section(f"refgrad {VERSION}", pairs=_python()),
        Section("Needed", pairs=tuple((name, _version(name) or "MISSING") for name in NEEDED), tone=_tone(NEEDED)),
        Section(
            "Used where it is there",
            pairs=tuple((n, f"{_version(n) or 'not installed'} ({what})") for n, what in USED.items()),
        ),
        Section("Arithmetic", pairs=_arithmetic(), tone=PLAIN if float_environment.is_standard() else BAD),
        Section("Kernels", pairs=_kernels()),
    ]


def _tone(names: tuple[str, ...]) -> str:
    return PLAIN if all(map(_version, names)) else BAD


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _python() -> tuple[tuple[str, str], ...]:
    return (
        ("Python", f"{platform.python_version()} ({sys.executable})"),
        ("system", f"{platform.system()} {platform.release()}, {platform.machine()}"),
        ("processors", str(os.cpu_count())),
    )


def _arithmetic() -> tuple[tuple[str, str], ...]:
    found = float_environment.deviations()
    return (
        ("environment", f"{', '.join(found)}: set by something that was loaded here" if found else "standard"),
        ("device", _device()),
    )


def _device() -> str:
    """Where kernels run; whether there is a card is not asked, since that would load CuPy."""
    cpu = "kernels for NumPy's arrays run on the CPU"
    if importlib.util.find_spec("cupy") is None:
        return f"{cpu}; CuPy is not installed, whose arrays CUDA kernels compute"
    return f"{cpu}, CUDA kernels for those of CuPy, which is installed"


def _kernels() -> tuple[tuple[str, str], ...]:
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    return (("cache", _cache()), ("C compiler", compiler or "none, and none is needed"))


def _cache() -> str:
    """Where compiled kernels are kept, and how many there are."""
    folder = kernel_cache.folder()
    if folder is None:
        return "none, since the user has no folder: kernels are compiled by each process; REFGRAD_CACHE_DIR names one"
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    size = sum(path.stat().st_size for path in files)
    return f"{folder}: {len(files)} files, {size / 2**20:.1f} MiB{'' if _writable(folder) else ', NOT WRITABLE'}"


def _writable(folder: Path) -> bool:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return os.access(existing, os.W_OK)
