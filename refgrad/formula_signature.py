"""What a function's signature says of it as a rule: which parameters are arrays, with which axes, and which hyperparameters."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from refgrad.errors import ArgumentError, bad_argument, nearest, shown
from refgrad.legal import Whole
from refgrad.optimizers.transform import BELOW, axes_named, below

#: how long axes are with which a formula is tried, in the order in which they are named first, where nothing is said
LENGTHS = (6, 37, 5, 11)
#: what a type of a hyperparameter may be, for errors
TYPES = (
    "a type with its legal values, such as refgrad.Positive, Annotated[float, refgrad.Range(0, 1)], "
    "Annotated[int, refgrad.Whole(1)], Annotated[bool, refgrad.Flag('what true means')] or "
    "Annotated[str, refgrad.Choice(a='what a means', b='what b means')]"
)
#: names that rules have besides their attributes
_OWN = ("self", "cls", "function")
#: where a parameter of a function stands that is an array
_ARRAYS = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def taken(what: str, by: str) -> str:
    """What is said of a name that means something else.

    Args:
        what: what has the name.
        by: what it belongs to.
    """
    return f"{what}: this name is taken by {by}; legal: another name"


def parameters(
    function: Callable[..., Any], base: type, own: tuple[str, ...] = ("lengths", "citation", "wrt")
) -> tuple[list[str], dict[str, inspect.Parameter]]:
    """The arrays that a function takes, and its hyperparameters.

    Args:
        function: as it is written.
        base: the class of such rules, whose names no hyperparameter can have.
        own: the words that the decorator takes itself.

    Raises:
        ArgumentError: it takes something else besides, or what is legal under another name.
    """
    name, arrays, numbers = function.__name__, list[str](), dict[str, inspect.Parameter]()
    for word, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and (hasattr(base, word) or word in _OWN):
            raise ArgumentError(taken(f"{name}'s {word}", "every rule"))
        if word in own:
            raise ArgumentError(taken(f"{name}'s {word}", "refgrad.formula itself"))
        if parameter.kind in _ARRAYS:
            if parameter.default is not inspect.Parameter.empty:
                legal = "arrays without defaults; hyperparameters after a star, as in def f(x, *, eps: refgrad.Positive = 1e-6)"
                raise bad_argument(f"the default of {name}'s {word}", parameter.default, legal)
            arrays.append(word)
        elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            if parameter.default is inspect.Parameter.empty:
                raise ArgumentError(
                    f"{name}'s {word} has no default; legal: one of its legal values, {word}: ... = 1.0"
                )
            numbers[word] = parameter
        else:
            raise ArgumentError(
                f"{name} takes {parameter}; legal: arrays by name, and hyperparameters by name after a star"
            )
    if not arrays:
        raise ArgumentError(f"{name} takes no array; legal: one at least, before a star")
    return arrays, numbers


def axes_of(name: str, arrays: list[str], axes: Mapping[str, str], square: bool = False) -> dict[str, str]:
    """The axes of each array, in the function's order.

    Args:
        name: the function's, for errors.
        arrays: what it takes.
        axes: what was said of each array.
        square: whether two axes of an array may have one name, and so one length.

    Raises:
        ArgumentError: an array is not told of, or not as axes are.
    """
    for word in axes:
        if word not in arrays:
            raise ArgumentError(f"{name} takes no array {word!r}{nearest(word, arrays)}; legal: {', '.join(arrays)}")
    for word in arrays:
        text = axes.get(word)
        if not isinstance(text, str):
            legal = f'the names of its axes, as in @refgrad.formula({word}="batch feature")'
            raise bad_argument(f"what is said of {name}'s {word}", text, legal)
        found = axes_named(text)
        names = [axis for axis in found if not (axis.isdigit() and int(axis))]
        _check_below(name, word, text, axes)
        if (
            not all(axis.isidentifier() for axis in names)
            or (len(set(names)) < len(names) and not square)
            or "+" in text[:-1]
        ):
            legal = "different names or lengths with spaces between, such as 'batch feature' or 'token 2'"
            raise bad_argument(f"what is said of {name}'s {word}", text, legal)
    if all(below(axes[word]) for word in arrays):
        raise ArgumentError(f"{name} takes whole numbers alone; legal: one array of floats at least")
    return {word: axes[word] for word in arrays}


def _check_below(name: str, word: str, text: str, axes: Mapping[str, str]) -> None:
    """What whole numbers are below is an axis that some array has, or a number."""
    wholes = [part for part in text.split() if part.startswith(BELOW)]
    if BELOW.rstrip(":") in text.split():  # no axis is called so: a colon was meant
        legal = f"{BELOW} and what follows without a space, such as 'token {BELOW}4096'"
        raise bad_argument(f"what is said of {name}'s {word}", text, legal)
    known = {axis for other in axes.values() if isinstance(other, str) for axis in axes_named(other)}
    most = below(text)
    if not wholes or (len(wholes) == 1 and "+" not in text and (most in known or (most.isdigit() and int(most)))):
        return
    legal = (
        f"one {BELOW} and an axis of an array or a number, such as 'batch {BELOW}class' where another has 'batch class'"
    )
    raise bad_argument(f"what is said of {name}'s {word}", text, legal)


def lengths_of(name: str, shapes: Mapping[str, str], given: Mapping[str, int]) -> dict[str, int]:
    """How long each axis is with which the formula is tried.

    Args:
        name: the function's, for errors.
        shapes: the axes of each array.
        given: the lengths that were said.

    Raises:
        ArgumentError: an axis that no array has, or a length that is none.
    """
    axes = dict.fromkeys(axis for text in shapes.values() for axis in axes_named(text))
    known = [axis for axis in axes if not axis.isdigit()]
    for axis, length in given.items():
        if axis not in known:
            raise ArgumentError(f"{name} has no axis {axis!r}{nearest(axis, known)}; legal: {', '.join(known)}")
        Whole(1).check(f"lengths of {name}: {axis}", length)
    fixed = {axis: int(axis) for axis in axes if axis.isdigit()}
    return fixed | {axis: given.get(axis, LENGTHS[i % len(LENGTHS)]) for i, axis in enumerate(known)}


def differentiable(name: str, shapes: Mapping[str, str], text: Any) -> tuple[str, ...]:
    """The arrays with respect to which a formula has a gradient, in the order in which that gives it.

    Args:
        name: the function's, for errors.
        shapes: the axes of each array.
        text: what was said.

    Raises:
        ArgumentError: one of them is no array of floats, or is named twice.
    """
    found = text.split() if isinstance(text, str) else list(text) if isinstance(text, list | tuple) else [text]
    floats = [array for array, axes in shapes.items() if not below(axes)]
    for word in found:
        if not isinstance(word, str) or word not in floats or found.count(word) > 1:
            close = nearest(word, floats) if isinstance(word, str) and word not in shapes else ""
            raise ArgumentError(f"wrt of {name} is {shown(text)}{close}; legal: some of {' '.join(floats)}, each once")
    return tuple(found)


def types_of(function: Callable[..., Any], numbers: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """The types of hyperparameters, each with its legal values.

    Args:
        function: whose they are.
        numbers: the hyperparameters.

    Raises:
        ArgumentError: a type does not say what is legal.
    """
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (
        Exception
    ):  # a name or an attribute that is nowhere, no Python, or what is no type, such as a Choice by itself
        hints = dict(inspect.get_annotations(function))
    for number in numbers:
        if typing.get_origin(hints.get(number)) is not Annotated:
            given = hints.get(number, "not said")
            raise bad_argument(f"the type of {function.__name__}.{number}", given, TYPES)
    return {number: hints[number] for number in numbers}
