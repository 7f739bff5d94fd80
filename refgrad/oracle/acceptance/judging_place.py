"""Where judging kernels run: on the CPU, or on the device that a candidate's arrays lie on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from refgrad.backends.cuda.device import Device

#: elements from which on a judging kernel is compiled for a device, and arrays are put there: those below are judged sooner here
WORTH = 1 << 22

_PLACE: ContextVar[Device | None] = ContextVar("judging_place", default=None)


@contextmanager
def on(device: Device | None) -> Iterator[None]:
    """Within it judging kernels run on a device, where arrays are large enough.

    Args:
        device: the device; None for the CPU.

    >>> with on(None):
    ...     place_for(WORTH)
    """
    token = _PLACE.set(device)
    try:
        yield
    finally:
        _PLACE.reset(token)


def place_for(size: int) -> Device | None:
    """The device that arrays of a size are judged on; None for the CPU.

    Args:
        size: how many elements they have.
    """
    return _PLACE.get() if size >= WORTH else None
