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
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path

from refgrad import whole_file
from refgrad.backends.compiler import target
from refgrad.backends.source import KernelSource

FORMAT = "refgrad-kernel-2"


#: bytes that a file of one kernel may have: hundreds of times what any has
LARGEST = 64 << 20


def folder() -> Path | None:
    """REFGRAD_CACHE_DIR, or ``refgrad`` in the user's cache folder; None where the user has none, as in some containers."""
    chosen = os.environ.get("REFGRAD_CACHE_DIR")
    if chosen:
        return Path(chosen)
    user = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(user or Path.home() / ".cache") / "refgrad"
    except RuntimeError:  # neither HOME nor an entry in the list of users
        return None


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


def path_of(source: KernelSource, makers: str | None = None) -> Path | None:
    """Where a kernel is kept; None where none is."""
    place = folder()
    return None if place is None else place / f"{key(source, makers)}.kernel"


def read(source: KernelSource, makers: str | None = None) -> bytes | None:
    """The machine code of a kernel; None if there is none that can be trusted."""
    path = path_of(source, makers)
    if path is None:
        return None
    try:
        if not (_is_ours(path.parent, stat.S_ISDIR) and _is_ours(path, stat.S_ISREG)):
            return None
        header, _, code = path.read_bytes().partition(b"\n")
        facts = json.loads(header)
    except (OSError, ValueError, RecursionError):  # brackets within brackets, thousands deep
        return None
    wanted = {"format": FORMAT, "key": key(source, makers), "sha256": hashlib.sha256(code).hexdigest()}
    return code if facts == wanted else None


def write(source: KernelSource, code: bytes, makers: str | None = None) -> None:
    """Keep a kernel; a folder that cannot be written, or none, is no error."""
    path = path_of(source, makers)
    if path is None:
        return
    facts = {"format": FORMAT, "key": key(source, makers), "sha256": hashlib.sha256(code).hexdigest()}
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with whole_file.written(path, 0o600, synced=False, own=True) as file:  # what is cut has another checksum
            file.write(json.dumps(facts).encode() + b"\n" + code)


def _is_ours(path: Path, of_kind: Callable[[int], bool]) -> bool:
    """True for a folder or a file, and no pipe or device, of this user's that nobody else may write; a file is not too large."""
    facts = path.stat()
    if not of_kind(facts.st_mode) or (stat.S_ISREG(facts.st_mode) and facts.st_size > LARGEST):
        return False
    if not hasattr(os, "getuid"):
        return True
    return facts.st_uid == os.getuid() and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
