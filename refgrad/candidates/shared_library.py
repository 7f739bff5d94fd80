"""A function of a shared library as a candidate, called by ctypes with a signature that is declared in a line."""

from __future__ import annotations

import ctypes
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from refgrad.candidates.names import EXTRAS, GRADIENT, PARAMETER, STEP
from refgrad.candidates.numpy_function import Binding, bind
from refgrad.errors import ArgumentError, CandidateError, bad_argument, shown

#: what an argument may be declared as, besides a pointer
TYPES: Mapping[str, Any] = {
    "int32": ctypes.c_int32,
    "int64": ctypes.c_int64,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
}
#: the name that stands for the number of elements
COUNT = "n"
LEGAL = "names in the order of the C function: p*, g, slots with *, n, t, hyperparameters, with a type as lr:float if need be"


class Argument(NamedTuple):
    """One argument: its name, whether the function writes it, and its type; None for an array."""

    name: str
    written: bool
    type: Any


def arguments_of(signature: str) -> list[Argument]:
    """The arguments that a signature declares.

    A name with ``*`` is an array that is read and written; the gradient and extra inputs are arrays that are read; ``n`` is the
    number of elements and ``t`` the step, whole numbers of 64 bits (which a C ``int`` takes too, in a register or a slot of its
    own); all others are ``double``. ``name:type`` declares another type.

    Args:
        signature: such as ``"p*,g,m*,v*,n,t,lr,beta1,beta2,eps,weight_decay"``.

    Raises:
        ArgumentError: a name twice, none, or a type that there is not.

    >>> [a.name for a in arguments_of("p*,g,n,lr:float") if a.type is None]
    ['p', 'g']
    """
    read = {*GRADIENT, *(word for words in EXTRAS.values() for word in words), *EXTRAS}
    found: list[Argument] = []
    for part in signature.split(","):
        word, _, kind = part.strip().partition(":")
        name = word.removesuffix("*").strip()
        array = word.endswith("*") or (name in read and not kind)
        wrong = _wrong(name, kind, word.endswith("*"), array, [a.name for a in found])
        if wrong:
            raise bad_argument("signature", signature, f"{LEGAL}; {wrong}")
        whole = name == COUNT or name in STEP
        type_ = None if array else TYPES[kind] if kind else ctypes.c_int64 if whole else ctypes.c_double
        found.append(Argument(name, word.endswith("*"), type_))
    for names, written in ((PARAMETER, True), (GRADIENT, False)):
        wrong = _lacks(names[0], written, next((a for a in found if a.name in names), None))
        if wrong:
            raise bad_argument("signature", signature, f"{LEGAL}; {wrong}")
    return found


def _wrong(name: str, kind: str, starred: bool, array: bool, before: list[str]) -> str:
    """What is wrong with one argument; empty if nothing is."""
    if not name.isidentifier():
        return f"{name!r} is no name"
    if name in before:
        return f"{name} stands there twice"
    if starred and (name == COUNT or name in STEP or name in GRADIENT):
        what = "an array that is read alone" if name in GRADIENT else "a whole number"
        return f"{name}* must be {name}, since it is {what}"
    if kind and kind not in TYPES:
        return f"{kind!r} of {name} is none of the types {', '.join(TYPES)}"
    return (
        f"{name}{'*' * starred} is an array, which has no type of its own"
        if kind and (array or name in GRADIENT)
        else ""
    )


def _lacks(name: str, written: bool, found: Argument | None) -> str:
    """What is wrong with the parameter or the gradient; empty if nothing is."""
    word = f"{name}*" if written else name
    if found is None:
        return f"{word} is missing"
    return f"{found.name} must be {found.name}*, since it is written" if written and not found.written else ""


def check_signature(
    signature: str,
    rule: Any,
    options: Mapping[str, Any] = MappingProxyType({}),
    stated: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """That each argument of a signature stands for something of a rule, and is declared as what it is handed.

    Args:
        signature: as `arguments_of` reads it.
        rule: what the function claims to be.
        options: values of arguments that the user names.
        stated: slot -> the argument that takes it, where the user says so.

    Raises:
        ArgumentError: one is declared as what it is not, or stands for nothing; or the signature is none.
    """
    declared = arguments_of(signature)
    if rule.kind != "optimizer":
        return
    try:
        binding = bind(_with_arguments(declared, lambda **_: None), rule, options, "the function", stated)
    except CandidateError as error:
        raise ArgumentError(f"signature is {shown(signature)}: {error}") from None
    for argument in declared:
        wrong = _misdeclared(argument, binding, rule)
        if wrong:
            raise bad_argument("signature", signature, f"{LEGAL}; {wrong}")


def _misdeclared(argument: Argument, binding: Binding, rule: Any) -> str:
    """What is wrong with what an argument is declared as; empty if nothing is."""
    name, slot = argument.name, binding.slots.get(argument.name)
    if name in PARAMETER or name in GRADIENT or name == COUNT or name in STEP:
        return ""
    if slot is not None:
        if slot in binding.scalar_values:
            return f"{name} is one number of the state, which a function in place cannot write: leave it out"
        return "" if argument.written else f"{name} must be {name}*, since {rule} writes it"
    if argument.written:
        return f"{name} must be {name}, since it is read alone"
    if name in binding.extras:
        scalar = rule.inputs()[binding.extras[name]].scalar
        return f"{name} must be {name}:double, since it is one number" if scalar and argument.type is None else ""
    value = binding.constants[name]
    if isinstance(value, int | float) and argument.type is not None:
        return ""
    return f"{name} is {value!r}, which is no one number that a C function takes"


def function(path: str, symbol: str, signature: str) -> Callable[..., None]:
    """A function of a shared library that works in place, as `refgrad.candidates.numpy_function` takes one.

    Args:
        path: the library's file.
        symbol: the function's name in it.
        signature: what it takes, as `arguments_of` reads it.

    Raises:
        CandidateError: there is no such file or symbol, or it is no library.
    """
    declared = arguments_of(signature)
    if not Path(path).is_file():
        raise CandidateError(f"there is no file {path!r} (from {str(Path.cwd())!r})")
    try:
        call = getattr(ctypes.CDLL(str(Path(path).resolve())), symbol)
    except AttributeError as error:
        raise CandidateError(f"{path}:{symbol} cannot be loaded: {error}") from None
    except OSError as error:
        legal = "a shared library of this system, as `cc -shared -fPIC` makes it"
        raise CandidateError(f"{path}:{symbol} cannot be loaded: {error}; legal: {legal}") from None
    call.restype = None
    call.argtypes = [ctypes.c_void_p if a.type is None else a.type for a in declared]

    def called(**given: Any) -> None:
        first = next(given[a.name] for a in declared if a.name in PARAMETER)
        if any(not given[a.name].flags.c_contiguous for a in declared if a.type is None):
            raise ValueError("an array is not contiguous")
        whole = (ctypes.c_int32, ctypes.c_int64)
        call(*[_passed(a, {COUNT: np.size(first), **given}[a.name], a.type in whole) for a in declared])

    _with_arguments(declared, called)
    called.__module__, called.__qualname__ = "builtins", f"{Path(path).name}:{symbol}"
    return called


def _with_arguments(declared: Sequence[Argument], function: Callable[..., None]) -> Callable[..., None]:
    """A function that takes what is declared by name; the number of elements is not handed over."""
    names = [a.name for a in declared if a.name != COUNT]
    keyword = inspect.Parameter.KEYWORD_ONLY
    function.__signature__ = inspect.Signature([inspect.Parameter(n, keyword) for n in names])  # type: ignore[attr-defined]
    return function


def _passed(argument: Argument, value: Any, whole: bool) -> Any:
    if argument.type is None:
        return value.ctypes.data
    return int(value) if whole else float(value)
