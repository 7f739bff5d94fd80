"""Whether there is a card, asked of its driver: no package is imported to find out."""

from __future__ import annotations

import ctypes
import functools
import sys

#: what a survey calls missing where there is no card
CARD = "a CUDA device"


@functools.cache
def has_card() -> bool:
    """True if CUDA's driver is installed and finds a card."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
