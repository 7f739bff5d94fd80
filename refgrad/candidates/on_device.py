"""A function on arrays of a device's, as a candidate: it is handed copies of NumPy's arrays there, and its results come back.

That is CuPy's arrays, which torch reads where they are (`torch.from_dlpack`), and so do Triton's kernels and Numba's. What the
function writes into comes back too; the judge works on the CPU.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from refgrad.backends.cuda import cupy_errors, device
from refgrad.candidates.resolve import load
from refgrad.errors import CandidateError, DeviceError, bad_argument
from refgrad.foreign_arrays import is_foreign, leaves, mapped
from refgrad.rule import Rule

#: the devices that candidates can be handed arrays on
DEVICES = ("cuda",)


def check(name: str) -> None:
    """Check that a device is known, and that its arrays can be made.

    Args:
        name: its name.

    Raises:
        ArgumentError: there is no such device.
        DeviceError: CuPy, a driver or a card is not here.
    """
    if name not in DEVICES:
        raise bad_argument("device", name, f"None, or {', '.join(map(repr, DEVICES))}")
    found = device.of_cupy()
    if found is None:
        raise DeviceError("device is 'cuda', but CuPy is not installed; legal: pip install 'refgrad[gpu]'")
    with cupy_errors.explained(), found.running([]):
        found.put(np.zeros(1, np.float32))


def function(target: str, name: str) -> Callable[..., Any]:
    """The function of a target, `placed`.

    Args:
        target: ``package.module:name`` or ``path/to/file.py:name``.
        name: the device.

    Raises:
        CandidateError: it cannot be found, or is no function.
        DeviceError: the device cannot be used.
    """
    return placed(load(target), name)


def placed(thing: Any, name: str) -> Callable[..., Any]:
    """A function of NumPy's arrays that calls one of arrays on a device.

    Args:
        thing: the function.
        name: the device.

    Raises:
        ArgumentError: there is no such device.
        CandidateError: it is no function.
        DeviceError: the device cannot be used.
    """
    check(name)
    if not callable(thing) or isinstance(thing, type | Rule) or not _has_signature(thing):
        what = f"a {type(thing).__name__}" if not isinstance(thing, type) else f"the class {thing.__name__}"
        raise CandidateError(f"the candidate is {what}; legal on a device: a function of CuPy's arrays")
    there = device.of_cupy()
    assert there is not None

    @functools.wraps(thing)
    def call(*args: Any, **keywords: Any) -> Any:
        given = [*args, *keywords.values()]
        with there.running([]):
            copies = mapped(given, lambda leaf, path: there.put(leaf) if isinstance(leaf, np.ndarray) else leaf)
            result = thing(*copies[: len(args)], **dict(zip(keywords, copies[len(args) :], strict=True)))
            for leaf, copy in zip(leaves(given), leaves(copies), strict=True):
                if isinstance(leaf, np.ndarray) and leaf.flags.writeable:
                    leaf[...] = there.get(copy)
            return mapped(result, lambda leaf, path: _back(leaf, there))

    return call


def _back(leaf: Any, there: device.Device) -> Any:
    """A result on the host; one of another library, such as torch, by way of CuPy, which reads it where it is."""
    return there.get(there.read(leaf)) if is_foreign(leaf) else leaf


def _has_signature(thing: Any) -> bool:
    try:
        inspect.signature(thing)
    except (TypeError, ValueError):
        return False
    return True
