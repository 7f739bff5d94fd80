"""Floating-point environments that libraries leave behind, set for a while: of x86-64 and AArch64 under Linux."""

from __future__ import annotations

import ctypes
import platform
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from refgrad.float_environment import CUT, DOWN, FLUSHED, UP, restore, saved

#: machine -> where the control word stands in ``fenv_t``, and the bits that make each environment
WORDS = {
    "x86_64": (28, {FLUSHED: 0x8040, DOWN: 0x2000, UP: 0x4000, CUT: 0x6000}),
    "aarch64": (0, {FLUSHED: 1 << 24, UP: 1 << 22, DOWN: 2 << 22, CUT: 3 << 22}),
}
EVERY = (FLUSHED, DOWN, UP, CUT)


def make(*deviations: str) -> None:
    """Make this thread deviate; skips the test on other machines."""
    if platform.system() != "Linux" or platform.machine() not in WORDS:
        pytest.skip("the layout of this machine's environment is not known here")
    at, bits = WORDS[platform.machine()]
    environment = bytearray(saved())
    (word,) = struct.unpack_from("I", environment, at)
    for each in deviations:
        word |= bits[each]
    struct.pack_into("I", environment, at, word)
    restore(bytes(environment))


@contextmanager
def deviating(*deviations: str) -> Iterator[None]:
    """This thread deviating within."""
    found = saved()
    make(*deviations)
    try:
        yield
    finally:
        restore(found)


def rounds_down_from_now_on() -> None:
    """What a C library does that forgets itself."""
    code = {"x86_64": 0x400, "aarch64": 0x800000}.get(platform.machine())
    if code is None:
        pytest.skip("the code of the rounding is not known here")
    ctypes.CDLL(None).fesetround(code)
