"""A rule's methods on arrays of a device's: by kernels where they lie; else on the host, with copies, which is said once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from refgrad import foreign_arrays
from refgrad.backends.cuda.device import Device, device_of, of_cupy
from refgrad.errors import NoKernel, OnHostWarning
from refgrad.foreign_arrays import is_foreign, leaves, mapped

#: what says what runs on a device
_WRITTEN = {"at_device", "device_module"}
#: the rules, and the methods, of which it was said that they run on the host
_SAID: set[tuple[str, str]] = set()


def call(
    rule: Any,
    function: Callable[..., Any],
    args: Sequence[Any],
    keywords: Mapping[str, Any],
    names: Sequence[str],
    writes: Collection[str],
) -> Any:
    """A method of a rule, of whose arrays the first one lies on a device.

    Args:
        rule: the rule.
        function: the method.
        args: what it is called with.
        keywords: the same by name.
        names: what the method calls ``args``.
        writes: the arguments that it writes into.

    Returns:
        What the method returns, its arrays on the device.

    Raises:
        ArgumentError: what the method says, or arrays lie on several devices.
        DeviceError: the device cannot be used.
    """
    arrays = [a for each in (*args, *keywords.values()) for a in leaves(each) if is_foreign(a)]
    device = device_of(arrays[0])
    assert device is not None
    with device.running(arrays):
        try:
            _check_own(type(rule), function.__name__)
            return rule.at_device(function.__name__, device, *args, **keywords)
        except NoKernel as missing:
            reason = missing.reason
        result = _on_host(rule, function, args, keywords, names, writes, device)
    _say(rule, function.__name__, reason)
    return result


def takes_foreign(kind: Any) -> bool:
    """True if arrays of another library on a card can be read there: CuPy is installed, and the library takes arrays by DLPack.

    Args:
        kind: one of the arrays.
    """
    try:
        foreign_arrays.package_of(kind)
    except StopIteration:
        return False
    return of_cupy() is not None


def call_foreign(
    rule: Any,
    function: Callable[..., Any],
    args: Sequence[Any],
    keywords: Mapping[str, Any],
    names: Sequence[str],
    writes: Collection[str],
    kind: Any,
) -> Any:
    """The same of arrays of another library's, such as torch's tensors: CuPy reads them where they are, on that library's stream.

    Args:
        rule: the rule.
        function: the method.
        args: what it is called with.
        keywords: the same by name.
        names: what the method calls ``args``.
        writes: the arguments that it writes into.
        kind: one of the arrays, such as results are to be.

    Returns:
        What the method returns, its arrays of that library, in the memory of the card.
    """
    device, package = of_cupy(), foreign_arrays.package_of(kind)
    assert device is not None

    def read(leaf: Any, path: str) -> Any:
        if not is_foreign(leaf):
            return leaf
        return device.read(leaf.detach() if hasattr(leaf, "detach") else leaf)

    def back(leaf: Any, path: str = "") -> Any:
        return package.from_dlpack(leaf) if is_foreign(leaf) and type(leaf) is not type(kind) else leaf

    given = [*zip(names, args, strict=False), *keywords.items()]
    with _stream_of(package, kind, device):
        copies = [mapped(value, read) for _, value in given]
        before = [dict(each) if isinstance(each, dict) else each for each in copies]
        own = dict(zip(keywords, copies[len(args) :], strict=True))
        result = call(rule, function, copies[: len(args)], own, names[: len(args)], writes)
        for (name, value), new, old in zip(given, copies, before, strict=True):
            if name in writes and isinstance(value, dict):
                value.update({n: mapped(each, back) for n, each in new.items() if each is not old.get(n)})
        return mapped(result, back)


def _stream_of(package: Any, kind: Any, device: Device) -> AbstractContextManager[Any]:
    """The stream that a library, such as torch, puts its own work into now; CuPy's current one of others."""
    current = getattr(getattr(package, "cuda", None), "current_stream", None)
    return nullcontext() if current is None else device.borrowed(int(current(kind.device).cuda_stream))


def _check_own(cls: type, method: str) -> None:
    """That no class below the one that says what runs on a device has the method anew."""
    below = cls.__mro__[: next(i for i, each in enumerate(cls.__mro__) if _WRITTEN & vars(each).keys())]
    changed = next((each for each in below if method in vars(each)), None)
    if changed is not None:
        raise NoKernel(f"{changed.__name__} has a {method} of its own")


def _say(rule: Any, method: str, reason: str) -> None:
    name = type(rule).__name__
    if (name, method) not in _SAID:
        _SAID.add((name, method))
        what = f"{name}.{method} runs on the host, and copies there and back, because {reason} (docs/cuda.md)"
        warnings.warn(what, OnHostWarning, stacklevel=5)


def _on_host(
    rule: Any,
    function: Callable[..., Any],
    args: Sequence[Any],
    keywords: Mapping[str, Any],
    names: Sequence[str],
    writes: Collection[str],
    device: Device,
) -> Any:
    """The method on copies of the arrays on the host; what it wrote is written to the arrays themselves at the end."""

    def read(leaf: Any, path: str) -> Any:
        return device.get(leaf) if _is_of_device(leaf) else leaf

    def put(leaf: Any, path: str = "") -> Any:
        return device.put(leaf) if isinstance(leaf, np.ndarray) else leaf

    given = [*zip(names, args, strict=True), *keywords.items()]
    copies = [mapped(value, read) for _, value in given]
    before = [dict(each) if isinstance(each, dict) else each for each in copies]
    result = function(rule, *copies[: len(args)], **dict(zip(keywords, copies[len(args) :], strict=True)))
    for (name, value), new, old in zip(given, copies, before, strict=True):
        if name in writes:
            _write_back(value, new, old, device, put)
    return mapped(result, put)


def _is_of_device(leaf: Any) -> bool:
    return is_foreign(leaf) and foreign_arrays.library(leaf) in foreign_arrays.DEVICES


def _write_back(value: Any, new: Any, old: Any, device: Device, put: Callable[..., Any]) -> None:
    """Arrays that were written, and entries of a dict that are others now."""
    for leaf, copy in zip(leaves(value), leaves(new), strict=True):
        if _is_of_device(leaf):
            device.write(leaf, copy)
    if isinstance(value, dict):
        value.update({name: mapped(each, put) for name, each in new.items() if each is not old.get(name)})
