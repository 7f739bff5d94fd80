"""NVRTC, CUDA's compiler as a library: called by ctypes, without a driver, a card or CuPy.

The options are those under which operators mean IEEE's operations, one rounding each; CuPy's own way to compile
(`cupy.RawModule`) adds ``-ftz=true`` behind what its caller says, so that it is not used. What the compiler made is read, and
refused if an operation is contracted, approximate or flushes subnormal numbers (`refgrad.backends.cuda.ieee`).
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from refgrad.backends import kernel_cache
from refgrad.backends.cuda import ieee
from refgrad.backends.source import KernelSource
from refgrad.errors import ArgumentError, RefgradError

#: what every kernel is compiled with, besides the architecture
OPTIONS = ("-fmad=false", "-ftz=false", "-prec-div=true", "-prec-sqrt=true", "-std=c++17")
#: the architecture of a card of compute capability 9.0
USUAL = "sm_90"
#: the versions of the library that are looked for, newest first, with the folders of their wheels
_VERSIONS = ((13, "cu13/lib"), (12, "cuda_nvrtc/lib"))


class CompilerMissing(RefgradError):
    """NVRTC is not installed, or cannot be loaded; the text says what installs it."""


class CompilerError(RefgradError):
    """NVRTC refused a kernel; the text is its log."""


class Compiled(NamedTuple):
    """What a kernel was compiled to.

    Args:
        ptx: the text of PTX, which is what is checked and interpreted.
        cubin: machine code of one architecture, which is what is loaded.
    """

    ptx: str
    cubin: bytes


def _candidates() -> Iterator[str]:
    """Where the library may be: in NVIDIA's wheels, then where the system finds it."""
    found = importlib.util.find_spec("nvidia")
    for number, folder in _VERSIONS:
        for root in found.submodule_search_locations or () if found else ():
            path = Path(root) / folder / f"libnvrtc.so.{number}"
            if path.exists():
                yield str(path)
    yield from (f"libnvrtc.so.{number}" for number, _ in _VERSIONS)


@cache
def _library() -> Any:
    for path in _candidates():
        # NVRTC opens a library of its own by name, which the system finds where it is loaded already
        beside = [*Path(path).parent.glob("libnvrtc-builtins.so.*")] if "/" in path else []
        try:
            for each in beside:
                ctypes.CDLL(str(each))
            return ctypes.CDLL(path)
        except OSError:
            continue
    raise CompilerMissing("NVRTC, which compiles CUDA kernels, is not installed; legal: pip install 'refgrad[cuda]'")


def is_here() -> bool:
    """True if NVRTC can be loaded."""
    try:
        _library()
    except CompilerMissing:
        return False
    return True


@cache
def version() -> tuple[int, int]:
    """The version of NVRTC, such as (13, 0).

    Raises:
        CompilerMissing: it is not installed.
    """
    major, minor = ctypes.c_int(), ctypes.c_int()
    _library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return major.value, minor.value


def architectures() -> tuple[str, ...]:
    """The architectures that this NVRTC compiles for, oldest first.

    Raises:
        CompilerMissing: it is not installed.
    """
    count = ctypes.c_int()
    _library().nvrtcGetNumSupportedArchs(ctypes.byref(count))
    numbers = (ctypes.c_int * count.value)()
    _library().nvrtcGetSupportedArchs(numbers)
    return tuple(f"sm_{number}" for number in numbers)


def compile_source(source: KernelSource, arch: str = USUAL) -> Compiled:
    """A kernel compiled for an architecture, from the folder of kernels where it was compiled before.

    Args:
        source: the kernel, in CUDA C++.
        arch: the architecture, such as "sm_90".

    Raises:
        ArgumentError: NVRTC knows no such architecture.
        CompilerMissing: NVRTC is not installed.
        CompilerError: NVRTC refused the text, or what it made is not IEEE's operations one by one.
    """
    known = architectures()
    if arch not in known:
        raise ArgumentError(f"arch is {arch!r}; legal: {', '.join(known)}")
    makers = f"nvrtc {version()[0]}.{version()[1]} {arch} {' '.join(OPTIONS)}"
    kept = kernel_cache.read(source, makers)
    if kept is not None:
        text, _, cubin = kept.partition(b"\0")
        return Compiled(text.decode(), cubin)
    made = compile_text(source.text, arch, OPTIONS)
    wrong = ieee.violations(made.ptx)
    if wrong:
        raise CompilerError(f"NVRTC made of the kernel what is not IEEE's operations one by one: {wrong[0]}")
    kernel_cache.write(source, made.ptx.encode() + b"\0" + made.cubin, makers)
    return made


def compile_text(text: str, arch: str = USUAL, options: tuple[str, ...] = OPTIONS) -> Compiled:
    """A text compiled; nothing is kept, and nothing looked at.

    Args:
        text: CUDA C++.
        arch: the architecture.
        options: what NVRTC is told besides.

    Raises:
        CompilerMissing: NVRTC is not installed.
        CompilerError: NVRTC refused the text.
    """
    library, program = _library(), ctypes.c_void_p()
    _check(library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"refgrad.cu", 0, None, None))
    try:
        told = [option.encode() for option in (f"-arch={arch}", *options)]
        if library.nvrtcCompileProgram(program, len(told), (ctypes.c_char_p * len(told))(*told)):
            log = _got("ProgramLog", program).rstrip(b"\0").decode(errors="replace").strip()
            raise CompilerError(f"NVRTC refused a kernel: {log}")
        return Compiled(_got("PTX", program).rstrip(b"\0").decode(), _got("CUBIN", program))
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _got(what: str, program: ctypes.c_void_p) -> bytes:
    """What NVRTC has of a program: "PTX", "CUBIN" or "ProgramLog"."""
    size = ctypes.c_size_t()
    _check(getattr(_library(), f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    room = ctypes.create_string_buffer(max(size.value, 1))
    _check(getattr(_library(), f"nvrtcGet{what}")(program, room))
    return room.raw[: size.value]


def _check(code: int) -> None:
    if code:
        name = _library().nvrtcGetErrorString
        name.restype = ctypes.c_char_p
        raise CompilerError(f"NVRTC failed: {name(code).decode()}")
