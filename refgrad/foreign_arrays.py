"""Arrays of other libraries at a rule's entry points: read where they lie, and given back as they came.

They are read by DLPack, and given back by the array API or by DLPack. No framework is imported for that: an array is asked
itself, or the package that its type is of, which is loaded where there is an array of it. DLPack has bfloat16 and float8, but
NumPy's reader of it has not: their bits cross as unsigned integers.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping
from typing import Any

import ml_dtypes
import numpy as np

from refgrad import tensor_memory, trees
from refgrad.errors import ArgumentError, with_article

#: the packages whose arrays lie on a device, and the modules that run rules on them; the modules are loaded by these names
DEVICES: Mapping[str, str] = {"cupy": "refgrad.backends.cuda.doors"}
#: DLPack's devices whose memory a processor reads: its own, and what is pinned for a GPU
READABLE = (1, 3)
#: DLPack's devices of CUDA: memory of a card, and memory that it shares with the host
CUDA = (2, 13)
#: what Python's dataclasses have, of which the records of arrays are: nothing else is asked for its arrays
RECORD = "__dataclass_fields__"
#: the argument whose entries a step in place replaces, such as the count of steps, besides writing into its arrays
ENTRIES = "state"


def is_foreign(value: Any) -> bool:
    """True if a value is an array of another library than NumPy, which hands out its memory by DLPack.

    Args:
        value: any value.
    """
    return hasattr(type(value), "__dlpack__") and not isinstance(value, np.ndarray | np.generic)


def called_with(
    function: Callable[..., Any],
    writes: Collection[str],
    rule: Any,
    args: tuple[Any, ...],
    keywords: Mapping[str, Any],
) -> Any:
    """What a method of a rule returns of arrays of any library: such as the first of them is.

    Where the first array is NumPy's nothing changes. Arrays on a device go to the module that `DEVICES` names.

    Args:
        function: the method, which takes NumPy's arrays, alone or in trees.
        writes: the arguments that it writes into.
        rule: the rule.
        args: what the method is handed by position.
        keywords: what it is handed by name.
    """
    first = args[0] if args else None
    held = (
        getattr(first, "arrays", None) if hasattr(type(first), RECORD) else None
    )  # what a quantizer made, which is told at once
    held = held.values() if type(held) is dict else _held(first)
    if held and isinstance(next(iter(held)), np.ndarray):  # the common case: that, or a tree
        return function(rule, *args, **keywords)
    try:
        kind = _first((*args, *keywords.values()))
    # a tree that holds itself, which the function refuses by its own words
    except RecursionError:  # pragma: no cover - what counts lines is lost where recursion ends
        kind = None
    if kind is None:
        return function(rule, *args, **keywords)
    names = [*_positions(function), *(f"argument {i + 1}" for i in range(len(args)))]
    if library(kind) in DEVICES:
        door = importlib.import_module(DEVICES[library(kind)])
        return door.call(rule, function, args, keywords, [n for n, _ in zip(names, args, strict=False)], writes)
    if _is_on_cuda(kind):
        door = importlib.import_module(DEVICES["cupy"])
        if door.takes_foreign(kind):
            return door.call_foreign(rule, function, args, keywords, names, writes, kind)
    given = [*zip(names, args, strict=False), *keywords.items()]
    for name, value in given:
        if isinstance(value, Mapping):
            trees.check_entries(value, name, name == ENTRIES and name in writes)
    read = [mapped(value, _read_to_write if name in writes else read_array, name) for name, value in given]
    before = [dict(each) if isinstance(each, dict) else each for each in read]
    result = function(rule, *read[: len(args)], **dict(zip(keywords, read[len(args) :], strict=True)))
    for (name, value), new, old in zip(given, read, before, strict=True):
        if name in writes:
            _write_back(value, new, old, kind)
    return mapped(result, lambda leaf, path: like(leaf, kind) if isinstance(leaf, np.ndarray) else leaf)


def _is_on_cuda(value: Any) -> bool:
    """True of an array of another library in the memory of a CUDA device, which CuPy reads where it is."""
    try:
        return value.__dlpack_device__()[0] in CUDA
    except Exception:  # whatever another library raises of what has no memory: the function says so
        return False


@functools.cache
def _positions(function: Callable[..., Any]) -> list[str]:
    """What a method calls the arguments that it takes by position, itself left out."""
    known = inspect.signature(function).parameters.values()
    return [p.name for p in known if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][1:]


def _first(values: Iterable[Any]) -> Any:
    """The first array in some trees if it is foreign; None if it is NumPy's, or there is none."""
    for value in values:
        for leaf in (value,) if isinstance(value, np.ndarray) else leaves(value):
            if isinstance(leaf, np.ndarray):
                return None
            if is_foreign(leaf):
                return leaf
    return None


def leaves(node: Any) -> Iterator[Any]:
    """The leaves of what `mapped` takes, in order.

    Args:
        node: as there.
    """
    held = _held(node)
    if held is None:
        yield node
        return
    for each in held:
        if isinstance(each, np.ndarray):
            yield each
        else:
            yield from leaves(each)


def _held(node: Any) -> Iterable[Any] | None:
    """What a tree holds; None of a leaf."""
    if isinstance(node, list | tuple):
        return node
    if isinstance(node, Mapping):
        return node.values()
    if _holds(node):
        return node.arrays.values()
    found = trees.branch(node)
    return None if found is None else found.children


def _holds(node: Any) -> bool:
    """True for a record of arrays by name, such as what a quantizer makes."""
    return dataclasses.is_dataclass(node) and isinstance(getattr(node, "arrays", None), Mapping)


def mapped(node: Any, action: Callable[[Any, str], Any], path: str = "") -> Any:
    """A tree of the same structure, each leaf another; dicts are new ones, all other mappings that are no pytrees dicts too.

    Args:
        node: a leaf, a pytree, or a record of arrays by name.
        action: of a leaf and its path, another leaf.
        path: what paths begin with.
    """
    if _holds(node):
        return dataclasses.replace(node, arrays=mapped(node.arrays, action, path))
    found = trees.branch(node)
    if found is not None:
        pairs = zip(found.steps, found.children, strict=True)
        return found.build([mapped(child, action, path + step) for step, child in pairs])
    if isinstance(node, Mapping):
        return {name: mapped(value, action, f"{path}[{name!r}]") for name, value in node.items()}
    return action(node, path)


def _write_back(value: Any, new: Any, old: Any, kind: Any) -> None:
    """What a step in place has changed besides the memory of arrays: entries of a mapping, and what a framework counts."""
    if isinstance(value, MutableMapping):
        for name, each in new.items():
            if each is not old.get(name):
                value[name] = mapped(
                    each, lambda leaf, path: like(leaf, kind) if isinstance(leaf, np.ndarray) else leaf
                )
    for leaf in leaves(value):
        if hasattr(leaf, "detach") and is_foreign(leaf):
            leaf.detach().reshape(-1)[:0].zero_()  # autograd learns that the tensor was written


def read_array(value: Any, name: str) -> Any:
    """A foreign array as NumPy's, of the same memory where that is possible; anything else as it is.

    Args:
        value: an array of another library, or any other value.
        name: what errors call it.

    Raises:
        ArgumentError: its memory is on a device, or cannot be read.
    """
    if not is_foreign(value):
        return value
    try:
        why = _without_values(value)
        if not why and hasattr(value, "detach"):
            kind, value = type(value), tensor_memory.resolved(value.detach())
            if type(value) is not kind:  # under a mode of torch that computes without numbers, it is another one's
                why = _without_values(value)
        if not why:
            device = value.__dlpack_device__()[0]
            if device in READABLE:
                return _narrow(value) if _narrow_dtype(value) is not None else np.from_dlpack(value)
            why = f"is on a device ({device!r})"
    except Exception as error:  # whatever another library raises, such as where there are no numbers yet
        why = f"cannot be read ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
    raise ArgumentError(
        f"{name} is {with_article(type(value).__name__)} that {why}; legal: an array in the processor's memory"
    )


def _without_values(value: Any) -> str:
    """Why an array of another library has no values that could be read, where its memory is no matter."""
    if getattr(value, "is_deleted", bool)():
        return "cannot be read (it was deleted, or donated to a function)"
    why = tensor_memory.unreadable(value)
    return f"cannot be read ({why})" if why else ""


def _read_to_write(value: Any, name: str) -> Any:
    """The same of an array that is written in place."""
    read = read_array(value, name)
    why = tensor_memory.unwritable(value)
    if why:
        what = with_article(type(value).__name__)
        raise ArgumentError(f"{name} is {what} that cannot be written in place ({why}); legal: the pure `step`")
    return read


def _narrow_dtype(value: Any) -> Any:
    """The dtype of an array, if it is one that NumPy itself has not, such as bfloat16; else None."""
    return getattr(ml_dtypes, str(value.dtype).rpartition(".")[2], None)


def _narrow(value: Any) -> np.ndarray:
    """An array of such a dtype, by its own `__array__` or by its bits."""
    dtype = np.dtype(_narrow_dtype(value))
    try:
        return np.asarray(value)
    except TypeError:
        bits = getattr(package_of(value), f"uint{8 * dtype.itemsize}")
        return np.from_dlpack(value.view(bits)).view(dtype)


def library(value: Any) -> str:
    """The name of the package that an array's type is of.

    Args:
        value: the array.
    """
    return type(value).__module__.partition(".")[0]


def package_of(value: Any) -> Any:
    """The loaded package that an array's type, or one that it derives from, is of, and that makes arrays by DLPack.

    Args:
        value: the array.
    """
    packages = (sys.modules.get(cls.__module__.partition(".")[0]) for cls in type(value).__mro__)
    return next(package for package in packages if hasattr(package, "from_dlpack"))


def like(array: np.ndarray, kind: Any) -> Any:
    """An array of NumPy's as another library's, of the same dtype and numbers.

    Args:
        array: the array.
        kind: an array of that library.

    Raises:
        ArgumentError: the library has no such dtype, or not as it is set.
    """
    package = library(kind)
    try:
        found = _made(array, kind)
    except (AttributeError, TypeError, StopIteration) as error:
        raise ArgumentError(f"a result is {array.dtype}, of which {package} makes no array ({error})") from None
    got = str(found.dtype).rpartition(".")[2]
    if got != array.dtype.name:
        raise ArgumentError(
            f"a result is {array.dtype}, of which {package} makes {got}; legal: 64 bits switched on there, or NumPy's arrays"
        )
    return found


def _made(array: np.ndarray, kind: Any) -> Any:
    if hasattr(kind, "__array_namespace__"):
        return kind.__array_namespace__().asarray(array, copy=True)
    package = package_of(kind)
    plain = array.flags.writeable and array.flags.c_contiguous and array.dtype.isnative
    array = array if plain else array.astype(array.dtype.type)
    if array.dtype.name in ml_dtypes.__all__:
        dtype = getattr(package, array.dtype.name)
        return package.from_dlpack(array.view(f"u{array.dtype.itemsize}")).view(dtype)
    return package.from_dlpack(array)
