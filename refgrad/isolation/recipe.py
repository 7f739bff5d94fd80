"""A candidate by where it comes from, so that another process can make it again."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import machinery
from pathlib import Path
from typing import Any

import numpy as np

from refgrad.errors import CandidateError, RefgradError, with_article
from refgrad.isolation import program
from refgrad.rule import Rule

#: what crosses as data
PLAIN = (bool, int, float, str, np.ndarray, np.generic, Rule)


class NotMadeError(RefgradError):
    """A candidate cannot be made in another process; the text says why.

    Args:
        message: why.
        raised: the name of what making it raised.
    """

    def __init__(self, message: str, raised: str = "") -> None:
        super().__init__(message)
        self.raised = raised


class FailedThereError(CandidateError):
    """Making a candidate failed in another process, which has no say in where it is made.

    Args:
        error: what the process says.
        here: how it is made in this one.
    """

    def __init__(self, error: NotMadeError, here: str = "") -> None:
        super().__init__(f"the candidate cannot be made in a process of its own: {error}{here}")
        self.said, self.raised = str(error), error.raised


@dataclass(frozen=True, eq=False)
class Recipe:
    """What a module has under a name, or what a function there returns.

    Attributes:
        place: the dotted name of the module.
        file: its file, from which it is loaded where its name leads elsewhere; empty if it is not known.
        attribute: the name in it, with dots.
        arguments: those that it is called with, by name: data, rules and recipes; None if it is not called.
        here: makes the candidate in this process.
        why: why it cannot be made in another; empty if it can, as far as is known.
    """

    place: str
    file: str
    attribute: str
    arguments: Mapping[str, Any] | None
    here: Callable[[], Any]
    why: str = ""


def named(thing: Any) -> Recipe | None:
    """The recipe of what a module has under the name that the thing says; None if there is none.

    >>> import fractions
    >>> named(fractions.Fraction).attribute, named(fractions.Fraction(1)), named(lambda: 0)
    ('Fraction', None, None)
    """
    place, attribute = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    module = sys.modules.get(place) if isinstance(place, str) else None
    if module is None or not isinstance(attribute, str) or _found(module, attribute) is not thing:
        return None
    if place != program.STARTED:
        return Recipe(module.__name__, getattr(module, "__file__", None) or "", attribute, None, lambda: thing)
    name, file = program.place_of(module)
    why = "" if file else program.WITHOUT_FILE
    why = program.WITHOUT_GUARD if file and program.asks_as_it_is_loaded(module) else why
    return Recipe(name, file, attribute, None, lambda: thing, why)


def importable(recipe: Recipe) -> bool:
    """True if another process finds the module, by its file or by its name; a module that was only made here is not found."""
    top = recipe.place.partition(".")[0]
    # those of every process, and of packages that are installed from where they are written (setuptools)
    own: list[Any] = [each for each in sys.meta_path if getattr(each, "__module__", "").startswith("__editable__")]
    finders = (machinery.BuiltinImporter, machinery.FrozenImporter, machinery.PathFinder, *own)
    return Path(recipe.file).is_file() or any(finder.find_spec(top) is not None for finder in finders)


def handed(value: Any) -> Any:
    """An argument as it crosses: data and rules as they are, what has a name as a recipe.

    Raises:
        NotMadeError: it is neither.
    """
    if value is None or isinstance(value, PLAIN):
        return value
    if type(value) in (tuple, list):
        return type(value)(handed(each) for each in value)
    if type(value) is dict:
        return {name: handed(each) for name, each in value.items()}
    recipe = named(value)
    if recipe is None:
        raise NotMadeError(f"{with_article(type(value).__name__)} that has no name in a module")
    return recipe


def made(value: Any) -> Any:
    """What was handed, made here.

    Raises:
        Exception: whatever importing the module, finding the name or calling the function raises.
    """
    if isinstance(value, tuple | list):
        return type(value)(made(each) for each in value)
    if isinstance(value, Mapping):
        return {name: made(each) for name, each in value.items()}
    if not isinstance(value, Recipe):
        return value
    owner, _, last = value.attribute.rpartition(".")
    module = _module(value)
    if value.arguments is None:
        return _within(module, value.attribute)
    holder = _within(module, owner) if owner else module
    holder = holder() if isinstance(holder, type) else holder  # a method of a test's class
    return getattr(holder, last)(**{name: made(each) for name, each in value.arguments.items()})


def _found(module: Any, attribute: str) -> Any:
    try:
        return _within(module, attribute)
    except AttributeError:
        return None


def _within(thing: Any, attribute: str) -> Any:
    for part in attribute.split("."):
        thing = getattr(thing, part)
    return thing


def _module(recipe: Recipe) -> Any:
    """The module, imported by its name if that leads to its file, and else loaded from there."""
    known = sys.modules.get(recipe.place) or _imported(recipe.place)
    if known is not None and (not recipe.file or getattr(known, "__file__", None) == recipe.file):
        return known
    if not Path(recipe.file).is_file():
        raise NotMadeError(f"there is no module {recipe.place!r}")
    # a program may have any suffix
    loader = machinery.SourceFileLoader(recipe.place, recipe.file) if recipe.place == program.LOADED else None
    spec = importlib.util.spec_from_file_location(recipe.place, recipe.file, loader=loader)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[recipe.place] = module
    with program.loading():
        spec.loader.exec_module(module)
    return module


def _imported(place: str) -> Any:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name and (place == error.name or place.startswith(f"{error.name}.")):
            return None
        raise
