"""The names of rules: a plain one for each of refgrad's own, and for any rule one that no other has.

It knows classes of rules by what they are called and where they stand; `refgrad.rule` has the questions that users ask.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import Any, NoReturn

from refgrad.errors import ArgumentError, bad_argument, meant_by, nearest, with_article
from refgrad.installed_rules import installed
from refgrad.installed_rules import names as installed_names
from refgrad.rooms import load

#: every rule that was defined so far, refgrad's own and those of others, by `qualified_name`
REGISTRY: dict[str, Any] = {}

#: the packages that hold refgrad's own rules
ROOMS = ("optimizers", "quantizers", "estimators", "sparsity", "gradients")


def is_own(cls: type) -> bool:
    """True if a rule is one of refgrad's own."""
    package, _, module = cls.__module__.partition(".")
    return package == "refgrad" and module.partition(".")[0] in ROOMS


def qualified_name(cls: type) -> str:
    """The name that no other rule has: ``refgrad.optimizers:SGD``, or ``module:Class`` of a rule that is not refgrad's."""
    place = ".".join(cls.__module__.split(".")[:2]) if is_own(cls) else cls.__module__
    return f"{place}:{cls.__qualname__}"


def short_name(cls: type) -> str:
    """The shortest name that no other rule has: the class's own, or the qualified one where another rule is called so too."""
    if is_own(cls):
        return cls.__name__
    alike = any(other.__name__ == cls.__name__ and other is not cls for other in REGISTRY.values())
    return qualified_name(cls) if alike else cls.__name__


def register(cls: type) -> None:
    """Enter a rule; one of the same module and name, such as that of a notebook's cell that is run again, takes its place."""
    name = qualified_name(cls)
    if is_own(cls):
        for other in map(REGISTRY.get, (f"refgrad.{room}:{cls.__name__}" for room in ROOMS)):
            if other is not None and other.__module__ != cls.__module__:
                places = f"in {other.__module__} and in {cls.__module__}"
                raise TypeError(f"two rules of refgrad are called {cls.__name__!r}, {places}; legal: one of a name")
    REGISTRY[name] = cls


def own_rules() -> dict[str, Any]:
    """All of refgrad's own rules by plain name, sorted; their modules are imported."""
    for room in ROOMS:
        load(f"refgrad.{room}")
    own = {cls.__name__: cls for cls in REGISTRY.values() if is_own(cls)}
    return {name: own[name] for name in sorted(own)}


def named(name: str, base: Any) -> Any:
    """The rule of a name; see `refgrad.rule.find`.

    Args:
        name: plain or qualified.
        base: the class that all rules have.
    """
    if not isinstance(name, str):
        raise bad_argument("the name of a rule", name, "a text such as 'AdamW'")
    if ":" in name:
        return _qualified(name, base)
    for room in ROOMS:
        if _has(f"refgrad.{room}", name) and f"refgrad.{room}:{name}" in REGISTRY:
            return REGISTRY[f"refgrad.{room}:{name}"]
    of_package = installed(name, base)
    if of_package is not None:
        return of_package
    others = [qualified for qualified, cls in REGISTRY.items() if cls.__name__ == name]
    if len(others) == 1:
        return REGISTRY[others[0]]
    if others:
        raise ArgumentError(f"{len(others)} rules are called {name!r}; legal: {', '.join(sorted(others))}")
    known = [*own_rules(), *installed_names()]
    raise ArgumentError(f"no rule is called {name!r}{nearest(name, known)}; `refgrad list` shows all")


def _has(room: str, name: str) -> bool:
    """True if a room has a name, whose module is imported then."""
    return hasattr(importlib.import_module(room), name)


def _attribute(module: Any, name: str) -> Any:
    """What a module has under a name such as ``attention.backward``; None if that is nothing."""
    first, *rest = name.split(".")
    found = vars(module).get(first)
    for word in rest:
        try:
            found = getattr(found, word)
        except ArgumentError:  # it says what is missing
            raise
        except AttributeError:
            return None
    return found


def _is_a(found: Any, base: type) -> bool:
    return isinstance(found, type) and issubclass(found, base)


def _names(module: Any, base: type) -> list[str]:
    """The rules that a module has, and those that they bring along, such as ``attention.backward``."""
    found: dict[str, Any] = {n: v for n, v in vars(module).items() if _is_a(v, base)}
    return [*found, *(f"{n}.{part}" for n, rule in found.items() for part in rule.derived_names)]


def _qualified(name: str, base: Any) -> Any:
    if name not in REGISTRY:
        module, _, own = name.partition(":")
        try:
            _has(module, own)
        except (Exception, SystemExit) as error:
            raised = f"importing {module!r} raised {type(error).__name__}: {error}"
            raise ArgumentError(f"the rule is {name!r}, but {raised}") from error
    found: Any = None if name in REGISTRY else _attribute(sys.modules[module], own)
    if _is_a(found, base) and found.kind != base.kind:  # one without a citation
        return found
    if name not in REGISTRY:
        own_rules()  # so that the nearest is found among all
        _none_such(sys.modules[module], own, base)
    return REGISTRY[name]


#: how many rules of a module an error lists
LISTED = 12


def _none_such(module: Any, own: str, base: Any) -> NoReturn:
    """`ArgumentError` that a module has no rule of a name: what it has under it, what may be meant, and what would be a rule."""
    names = _names(module, base)
    known = [n for n in names if "." not in n and vars(module)[n].kind != base.kind]
    waiting = [n.partition(":")[2] for n in REGISTRY if n.startswith(f"{module.__name__}:")]
    meant = meant_by(own, [*(n for n in names if n.partition(".")[0] in known), *waiting], cutoff=0.7)
    if meant and meant in names:
        _attribute(module, meant)  # what was meant may not be there either, and says why
    hint = f"; did you mean {f'{module.__name__}:{meant}'!r}?" if meant else ""
    there = [n for n in known if vars(module)[n].__module__ == module.__name__]
    those = f"{', '.join(there)}; " if 0 < len(there) <= LISTED else ""
    raise ArgumentError(
        f"{_place(module)} has no rule {own!r}{_instead(_attribute(module, own))}{hint}; legal: {those}{RULES}"
    )


#: what is a rule, in a file of one's own
RULES = "a class of a rule, or a function with @refgrad.formula(x='batch feature') above it"


def _place(module: Any) -> str:
    """A module as whoever asked for it knows it: the file of one that stands in no package."""
    file = getattr(module, "__file__", None)
    return repr(module.__name__) if file is None or "." in module.__name__ else f"{module.__name__!r} ({file})"


def _instead(found: Any) -> str:
    """What is there in the place of a rule."""
    if found is None:
        return ""
    if isinstance(found, type):
        return ": the class of that name is no rule"
    if inspect.isfunction(found):
        return ": the function of that name lacks @refgrad.formula"
    return f": what is called so is {with_article(type(found).__name__)}"
