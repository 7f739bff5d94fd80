"""The door for a function that cannot be traced: it is run in float64, and kernels are judged by how far errors carry."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from refgrad.arguments import is_a
from refgrad.citation import Citation
from refgrad.errors import ArgumentError, bad_argument, shown, with_article
from refgrad.formula_gradients import NoGradient
from refgrad.formula_signature import axes_of, lengths_of, parameters, types_of
from refgrad.formulas import Formula
from refgrad.legal import Choice, Range, as_text

#: what errors of inputs and results are relative to
ERRORS = Choice(element="to each number", array="to the largest number of each array")
#: names of the decorator's own arguments, which no array can have
_OWN = ("lengths", "citation", "errors", "times")


class NoBackward:
    """The attribute of an opaque function where a formula has its backward."""

    def __get__(self, rule: Any, owner: Any) -> Any:
        if not owner.shapes:  # the base
            return self
        raise NoGradient(
            f"{owner.__name__} cannot be traced, and has no gradient; legal: one more opaque function for it"
        )


class Opaque(Formula):
    """Base of the rules that `opaque` makes of functions."""

    on_host = "it is a function that cannot be traced"
    variant = "opaque"
    derived_names: ClassVar[tuple[str, ...]] = ()

    #: what errors are relative to
    errors_of: ClassVar[str] = "element"
    #: by how many times as much as is estimated a kernel may be off
    times: ClassVar[float] = 1.0
    backward = NoBackward()  # type: ignore[assignment]
    with_backward = NoBackward()  # type: ignore[assignment]

    @classmethod
    def form(cls, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Refuse: what is allowed of an opaque function is an estimate, which forms would not make surer."""
        raise ArgumentError(f"{cls.__name__} is judged by statistics; legal: forms of a refgrad.formula")

    def computed(self, *arrays: np.ndarray) -> Any:
        """The function as it stands."""
        return self.apply(*arrays)

    def computed_in(self, dtype: np.dtype) -> np.dtype:
        """Float64, whatever comes in."""
        return np.dtype(np.float64)

    def stored_places(self) -> frozenset[str]:
        """None: nothing is known of what is on the way."""
        return frozenset()


def opaque(
    function: Callable[..., Any] | None = None,
    /,
    *,
    lengths: Mapping[str, int] | None = None,
    errors: str = "element",
    times: float = 1.0,
    citation: Citation | None = None,
    **axes: str,
) -> Any:
    """A function in float64 that `refgrad.formula` cannot trace as a rule that kernels are judged by, statistically.

    It is run as it stands: a routine of SciPy, a loop until something converges, a table that is filled. What a kernel may be
    off by is estimated from many runs with random errors of the size of the working dtype's roundings, in the inputs and, where
    the function calls NumPy on its arrays, in every operation. Verdicts are labelled "statistical": they are no proof. What can
    be written as a `refgrad.formula` is judged by bounds, which is surer.

    Args:
        function: the function, where `opaque` is not used as a decorator, such as ``scipy.linalg.expm``. What it takes besides
            the arrays that are named keeps its default.
        lengths: how long the axes are with which kernels are tried, by name.
        errors: "element" where errors are relative to each number; "array" where they are relative to the largest number of an
            array, as they are in most algorithms of linear algebra and in transforms such as Fourier's.
        times: by how many times as much as is estimated kernels may be off, from 1 on: for those whose algorithm is another, and
            less accurate, than that of a routine which is not looked into.
        citation: where the function comes from.
        axes: for each array that the function takes, the names of its axes, as for `refgrad.formula`; two axes of one name, as in
            ``"row row"``, are of one length.

    Returns:
        The rule's class, or a decorator that gives it.

    Raises:
        ArgumentError: the function and what is said of it do not fit; the error says what to write.

    >>> import numpy as np
    >>> import refgrad
    >>> @refgrad.opaque(x="time")
    ... def smoothed(x, *, share: refgrad.Fraction = 0.5):
    ...     y = np.zeros(len(x))
    ...     for t, each in enumerate(x):
    ...         y[t] = share * each + (1 - share) * (y[t - 1] if t else 0.0)
    ...     return y
    >>> smoothed(share=0.5)(np.array([4.0, 0.0])).tolist()
    [2.0, 1.0]
    """
    for word, given in (("lengths", lengths), ("citation", citation)):
        if isinstance(given, str):
            raise ArgumentError(f"an array of the name {word!r} is taken by refgrad.opaque itself; legal: another name")
    ERRORS.check("errors", errors)
    judged = {"errors_of": errors, "times": float(Range(1.0, 1e6, open_low=False).check("times", times))}
    caller = sys._getframe(1).f_globals.get("__name__", "__main__")
    if function is not None:
        return _of_library(function, axes, dict(lengths or {}), judged, citation, caller)

    def decorate(function: Callable[..., Any]) -> type[Opaque]:
        if not inspect.isfunction(function):
            raise bad_argument("what is decorated", function, "a function, defined by `def`")
        arrays, numbers = parameters(function, Opaque, _OWN)
        body = {
            "__module__": function.__module__ or "__main__",
            "__qualname__": function.__qualname__,
            "__annotations__": types_of(function, numbers),
            **{number: parameter.default for number, parameter in numbers.items()},
        }
        return _made(function, function, arrays, axes, dict(lengths or {}), judged, citation, body)

    return decorate


def _of_library(
    function: Any,
    axes: Mapping[str, str],
    lengths: dict[str, int],
    judged: Mapping[str, Any],
    citation: Citation | None,
    module: str,
) -> type[Opaque]:
    """The class of a function that somebody else wrote."""
    try:
        name = as_text(function.__name__) or ""
        for word in functools.WRAPPER_ASSIGNMENTS:
            getattr(function, word, None)
    except Exception:  # that it has none, or whatever the code of others raises
        name = ""
    if not callable(function) or not name.isidentifier():
        raise bad_argument("what is opaque", function, "a function, such as scipy.linalg.expm")
    if is_a(function, type) or not axes:
        legal = "a function, and the axes of its arrays, as in refgrad.opaque(scipy.linalg.expm, A='row row')"
        raise bad_argument("what is opaque", function, legal)

    def called(*arrays: Any) -> Any:
        return function(*arrays)

    _check_taken(function, name, list(axes))
    functools.update_wrapper(called, function)
    body: dict[str, Any] = {"__module__": module, "__qualname__": name, "__annotations__": {}}
    return _made(function, called, list(axes), axes, lengths, judged, citation, body)


def _check_taken(function: Any, name: str, arrays: list[str]) -> None:
    """The arrays come first of what a function takes, in their order, as far as its signature says so."""
    try:
        taken = list(inspect.signature(function).parameters)
    except Exception:  # of what is compiled, or whatever the code of others raises
        return
    named = all(word in taken for word in arrays)
    if named and taken[: len(arrays)] != arrays:
        legal = ", ".join(taken[: len(arrays)])
        raise ArgumentError(f"{function.__name__} takes {legal} first; legal: axes of these, in this order")


def _made(
    function: Callable[..., Any],
    called: Callable[..., Any],
    arrays: list[str],
    axes: Mapping[str, str],
    lengths: dict[str, int],
    judged: Mapping[str, Any],
    citation: Citation | None,
    body: dict[str, Any],
) -> type[Opaque]:
    name = function.__name__
    shapes = axes_of(name, arrays, axes, square=True)
    body |= {
        "__doc__": function.__doc__ or f"The function {name}.",
        "function": staticmethod(_with_floats(called, name)),
        "shapes": shapes,
        "lengths": lengths_of(name, shapes, lengths),
        **judged,
    }
    if citation is not None:
        body["citation"] = citation
    made = type(name, (Opaque,), body)
    made()  # a default that is illegal is said here
    return made


def _with_floats(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A function whose results are arrays of floats, whichever numbers it gives."""

    @functools.wraps(function)
    def called(*arrays: Any, **numbers: Any) -> Any:
        found = function(*arrays, **numbers)
        if isinstance(found, dict):
            return {key: _floats(each, name) for key, each in found.items()}
        if isinstance(found, tuple | list):
            return tuple(_floats(each, name) for each in found)
        return None if found is None else _floats(found, name)

    return called


def _floats(found: Any, name: str) -> Any:
    if isinstance(found, np.ndarray) and found.dtype == np.float64:
        return found
    try:
        made = np.asarray(found)
    except (TypeError, ValueError):
        made = np.asarray(None)
    if made.dtype.kind == "c":
        raise ArgumentError(f"{name} returned complex numbers; legal: real ones, as in `return z.real, z.imag`")
    if made.dtype.kind not in "fiub":
        what = with_article(type(found).__name__) if isinstance(found, tuple | list | dict) else shown(found)
        raise ArgumentError(
            f"{name} returned {what} as a result; legal: an array of numbers, or a tuple or dict of arrays"
        )
    return made.astype(np.float64)
