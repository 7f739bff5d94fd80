"""Compiled kernels on disk, shared between processes.

A file is a line of JSON (its key, and the checksum of what follows) and machine code. It is written under another name
and renamed, so that two writers do no harm; whatever is not exactly what was asked for is ignored. Nothing is unpickled.
Machine code is only taken from a folder and files that belong to this user and that nobody else may write.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

from refgrad.backends.compiler import target
from refgrad.backends.source import KernelSource

FORMAT = "refgrad-kernel-2"


def folder() -> Path:
    """REFGRAD_CACHE_DIR, or ``refgrad`` in the user's cache folder."""
    chosen = os.environ.get("REFGRAD_CACHE_DIR")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "refgrad"


@cache
def _makers() -> str:
    return f"{FORMAT} numba {version('numba')} llvmlite {version('llvmlite')} {target()}"


def key(source: KernelSource, makers: str | None = None) -> str:
    """What a kernel is known by: its text, its types, and the versions and the processor that it was made for.

    Args:
        source: the kernel.
        makers: what it is compiled by and for, where that is not Numba and this processor.
    """
    parts = [source.text, str(source.dtype), *source.arrays, *source.types, str(source.scalars), makers or _makers()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def path_of(source: KernelSource, makers: str | None = None) -> Path:
    """Where a kernel is kept."""
    return folder() / f"{key(source, makers)}.kernel"


def read(source: KernelSource, makers: str | None = None) -> bytes | None:
    """The machine code of a kernel; None if there is none that can be trusted."""
    path = path_of(source, makers)
    try:
        if not (_is_ours(path.parent) and _is_ours(path)):
            return None
        header, _, code = path.read_bytes().partition(b"\n")
        facts = json.loads(header)
    except (OSError, ValueError):
        return None
    wanted = {"format": FORMAT, "key": key(source, makers), "sha256": hashlib.sha256(code).hexdigest()}
    return code if facts == wanted else None


def write(source: KernelSource, code: bytes, makers: str | None = None) -> None:
    """Keep a kernel; a folder that cannot be written is no error."""
    path = path_of(source, makers)
    facts = {"format": FORMAT, "key": key(source, makers), "sha256": hashlib.sha256(code).hexdigest()}
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".new")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(json.dumps(facts).encode() + b"\n" + code)
            os.replace(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _is_ours(path: Path) -> bool:
    facts = path.stat()
    if not hasattr(os, "getuid"):
        return True
    return facts.st_uid == os.getuid() and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
