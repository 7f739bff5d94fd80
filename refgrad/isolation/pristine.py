"""Whether a process is as it was before a candidate: what the next candidate and refgrad rely on, compared by identity.

A program that means harm can make this lie: it runs in the same process.
"""

from __future__ import annotations

import _thread
import builtins
import functools
import operator
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, MappingProxyType, ModuleType
from typing import Any

#: packages of which all loaded modules, their classes and their functions are compared
WHOLE = ("refgrad", "numpy")
#: further modules whose attributes, classes and functions are compared
SINGLE = ("builtins", "functools", "importlib", "json", "math", "operator", "os", "pickle", "struct", "sys")
#: what Python itself sets in a class when it is asked for
PASSING = frozenset({"__annotations__", "__annotations_cache__", "__abstractmethods__", "__doc__"})
#: what a module counts in a name of its own
STATE = ("refgrad.backends.thread_pool", "_last")
#: what makes a function what it is
PARTS = tuple(map(operator.attrgetter, ("__code__", "__defaults__", "__kwdefaults__")))
#: types of values in which there is no function of Python's
PLAIN = frozenset({str, int, float, bool, tuple, list, dict, type(None), ModuleType, BuiltinFunctionType})
#: a type whose attributes can be set
HEAP = 1 << 9


class Snapshot:
    """What stood in modules, classes and functions when they were first looked at."""

    def __init__(self) -> None:
        self._modules: dict[str, Any] = {}
        self._namespaces: list[tuple[Mapping[str, Any], list[str], list[Any], int]] = []
        self._functions: list[FunctionType] = []
        self._parts: list[list[Any]] = [[] for _ in PARTS]
        self._known: set[int] = set()
        self._sys = _interpreter()
        self.extend()

    def extend(self) -> None:
        """Look at the modules that were loaded since."""
        for name, module in list(sys.modules.items()):
            top = name.partition(".")[0]
            if name in self._modules or not (top in WHOLE or top in SINGLE) or not hasattr(module, "__dict__"):
                continue
            self._modules[name] = module
            self._add(vars(module), top)

    def _add(self, space: Mapping[str, Any], top: str) -> None:
        held = dict(space)
        if space.get("__name__") == STATE[0]:
            held.pop(STATE[1], None)
        if type(space) is MappingProxyType:
            for name in PASSING:
                held.pop(name, None)
        self._namespaces.append((space, list(held), list(held.values()), len(space)))
        for value in held.values():
            if type(value) in PLAIN or id(value) in self._known:
                continue
            if issubclass(type(value), type):
                if value.__flags__ & HEAP and str(value.__module__).partition(".")[0] == top:
                    self._known.add(id(value))
                    self._add(vars(value), top)
            else:
                for function in _functions_of(value):
                    if id(function) not in self._known and str(function.__module__).partition(".")[0] == top:
                        self._known.add(id(function))
                        self._functions.append(function)
                        for kept, part in zip(self._parts, PARTS, strict=True):
                            kept.append(part(function))

    def same(self) -> bool:
        """True if nothing of it was replaced, and no thread, hook or trace function is there that was not."""
        if _interpreter() != self._sys or _threads_left():
            return False
        if not all(map(operator.is_, map(sys.modules.get, self._modules), self._modules.values())):
            return False
        for space, names, values, size in self._namespaces:
            if not all(map(operator.is_, map(space.get, names), values)):
                return False
            if len(space) != size and _added(space, names):
                return False
        return all(
            all(map(operator.is_, map(part, self._functions), kept))
            for part, kept in zip(PARTS, self._parts, strict=True)
        )


def _added(space: Mapping[str, Any], names: list[str]) -> bool:
    """True if a class was given an attribute, or a module a name that hides one of Python's own."""
    new = set(space).difference(names)
    hiding = new.intersection(vars(builtins)) - {"__doc__"}
    return bool(new - PASSING if type(space) is MappingProxyType else hiding)


def _functions_of(value: Any) -> Iterator[FunctionType]:
    """The functions of Python that are in a value of a module or a class."""
    kind = type(value)
    if kind is FunctionType:
        yield value
    elif kind in (staticmethod, classmethod):
        yield from _functions_of(value.__func__)
    elif kind is property:
        yield from (each for each in (value.fget, value.fset, value.fdel) if type(each) is FunctionType)
    elif kind is functools.cached_property:
        yield from _functions_of(value.func)
    elif type(getattr(kind, "__dict__", None)) is MappingProxyType and kind.__module__ in ("functools", "numpy"):
        inner = getattr(value, "__wrapped__", None)
        if type(inner) is FunctionType:
            yield inner


def _interpreter() -> tuple[Any, ...]:
    """The hooks of imports, traces and profiles, by identity; what they hold is kept, so that none is taken for another.

    And what the system holds of the process: its limits, and the folder where it stands.
    """
    hooks = [*map(_Same, sys.meta_path)], [*map(_Same, sys.path_hooks)]
    return *hooks, _Same(sys.gettrace()), _Same(sys.getprofile()), _limits(), _folder()


def _limits() -> list[tuple[int, int]]:
    """How much of each resource the process may take; nothing where the system does not say."""
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows
        return []
    return [
        resource.getrlimit(getattr(resource, name)) for name in sorted(vars(resource)) if name.startswith("RLIMIT_")
    ]


def _folder() -> str:
    """Where the process stands; nothing where that folder is gone."""
    try:
        return os.getcwd()
    except OSError:
        return ""


class _Same:
    """A thing that equals itself alone."""

    def __init__(self, thing: Any) -> None:
        self._thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other._thing is self._thing

    __hash__ = None  # type: ignore[assignment]


def _threads_left() -> bool:
    """True if Python started a thread that is still there, and none of those that kernels run on."""
    own = sum(type(each).__module__.partition(".")[0] == "refgrad" for each in threading.enumerate())
    return _thread._count() > own
