"""A function on arrays of a device's, as a candidate: it is handed copies of NumPy's arrays there, and its results come back.

That is CuPy's arrays, which torch reads where they are (`torch.from_dlpack`), and so do Triton's kernels and Numba's. What the
function writes into comes back too; large arrays are put there again where a kernel judges them.
"""

from __future__ import annotations

import functools
import inspect
import sys
from dataclasses import dataclass
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


def judging(name: str) -> device.Device | None:
    """The device that large arrays are judged on; None if CuPy, by which kernels run there, cannot be used.

    Args:
        name: the device that a candidate's arrays lie on.
    """
    found = device.of_cupy()
    try:
        if found is not None:
            check(name)
    except DeviceError:  # torch needs neither CuPy nor the driver that CuPy asks for
        return None
    return found


@dataclass(frozen=True)
class OnDevice:
    """A thing of a framework's whose arrays are to lie on a device.

    Args:
        thing: such as a class of torch's optimizers.
        device: where, as the framework says it.
    """

    thing: Any
    device: str

    @property
    def __name__(self) -> str:
        return getattr(self.thing, "__name__", type(self.thing).__name__)


def function(target: str, name: str) -> Any:
    """The function, or class of optimizers, of a target, `placed`.

    Args:
        target: ``package.module:name`` or ``path/to/file.py:name``.
        name: the device.

    Raises:
        CandidateError: it cannot be found, or is no function.
        DeviceError: the device cannot be used.
    """
    return placed(load(target), name)


def placed(thing: Any, name: str) -> Any:
    """A function of NumPy's arrays that calls one of arrays on a device; or what of a framework's is handed its own there.

    Args:
        thing: the function, a class of torch's optimizers or one of its instances, a transformation of optax or a function of
            its own that makes one.
        name: the device.

    Raises:
        ArgumentError: there is no such device.
        CandidateError: it is no function.
        DeviceError: the device cannot be used.
    """
    for belongs, available in ((_is_of_torch, _check_torch), (_is_of_optax, _check_jax)):
        if belongs(thing):
            available(name)
            return OnDevice(thing, name)
    check(name)
    if not callable(thing) or isinstance(thing, type | Rule) or not _has_signature(thing):
        what = f"a {type(thing).__name__}" if not isinstance(thing, type) else f"the class {thing.__name__}"
        raise CandidateError(
            f"the candidate is {what}; legal on a device: a function of CuPy's arrays, or an optimizer of torch's or optax's"
        )
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


def _is_of_torch(thing: Any) -> bool:
    """True of a class of torch's optimizers, and of an instance of one."""
    optim = getattr(sys.modules.get("torch"), "optim", None)
    return optim is not None and issubclass(thing if isinstance(thing, type) else type(thing), optim.Optimizer)


def _check_torch(name: str) -> None:
    """`DeviceError` if torch has no such device."""
    if name not in DEVICES:
        raise bad_argument("device", name, f"None, or {', '.join(map(repr, DEVICES))}")
    if not sys.modules["torch"].cuda.is_available():
        raise DeviceError(
            "device is 'cuda', but torch finds no CUDA device; legal: a torch that was built with CUDA, and a card"
        )


def _is_of_optax(thing: Any) -> bool:
    """True of a transformation, and of a function of optax's own that makes one."""
    optax = sys.modules.get("optax")
    own = (getattr(thing, "__module__", None) or "").partition(".")[0] == "optax"
    return optax is not None and (own or isinstance(thing, optax.GradientTransformation))


def _check_jax(name: str) -> None:
    """`DeviceError` if JAX has no such device."""
    if name not in DEVICES:
        raise bad_argument("device", name, f"None, or {', '.join(map(repr, DEVICES))}")
    try:
        sys.modules["jax"].devices(name)
    except RuntimeError:
        raise DeviceError(
            "device is 'cuda', but JAX finds no CUDA device; legal: a JAX that was built with CUDA, and a card"
        ) from None


def _has_signature(thing: Any) -> bool:
    try:
        inspect.signature(thing)
    except (TypeError, ValueError):
        return False
    return True
