"""From what the user hands over to a candidate: by the type of the thing, importing nothing on the user's behalf."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.util
import inspect
import pkgutil
import reprlib
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from refgrad.candidates.arguments import looks_like_update, parameters_of, with_options
from refgrad.candidates.frameworks import candidate_of
from refgrad.candidates.numpy_function import NumpyFunction
from refgrad.candidates.protocol import Candidate
from refgrad.candidates.reference import Reference
from refgrad.candidates.targets import target_parts
from refgrad.errors import CandidateError, NotThereError, nearest, with_article
from refgrad.float_environment import foreign
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Rule, is_own

Options = Mapping[str, Any]

#: how files of shared libraries end
LIBRARIES = (".so", ".dylib", ".dll")
LEGAL = (
    "a torch.optim.Optimizer class, instance or function of the parameters; an optax.GradientTransformation or a "
    "function that returns one; a Keras optimizer class; a function f(p, g, *slots, t); a refgrad rule; or a string "
    "'package.module:name'"
)


def resolve(thing: Any, options: Options | None = None, stated: Mapping[str, str] | None = None) -> Candidate:
    """The candidate that a thing is.

    Args:
        thing: see docs/candidates.md; a string names it, as ``package.module:name`` or ``path/to/file.py:name``.
        options: extra keyword arguments for the thing's own constructor or function.
        stated: slot -> the name that it has in the candidate's state, where the tables do not tell.

    Raises:
        CandidateError: the thing cannot be found, or is nothing that can be checked.
    """
    options = dict(options or {})
    name = thing if isinstance(thing, str) else describe(thing)
    thing = load(thing) if isinstance(thing, str) else thing
    for adapter in (_ready, _refgrad, _framework, _function):
        candidate = adapter(thing, name, options)
        if candidate is not None:
            return _with_stated(candidate, stated) if stated else candidate
    takes = f" with arguments ({', '.join(parameters_of(thing))})" if callable(thing) else ""
    what = "class" if isinstance(thing, type) else type(thing).__name__
    raise CandidateError(f"{name} is {with_article(what)}{takes}; legal: {LEGAL}")


def _with_stated(candidate: Any, stated: Mapping[str, str]) -> Candidate:
    if "stated" not in getattr(candidate, "__dataclass_fields__", {}):
        raise CandidateError(f"{candidate.name} tells its state by the rule's own names; legal state_names: none")
    return dataclasses.replace(candidate, stated=dict(stated))


#: modules that are not named with what stands in them: the program, also as another process loads it
NAMELESS = (None, "builtins", "__main__", "__mp_main__")


def describe(thing: Any) -> str:
    """How reports call a thing."""
    if isinstance(thing, functools.partial):
        return with_options(describe(thing.func), thing.keywords)
    named = thing if isinstance(thing, type) or inspect.isroutine(thing) else type(thing)
    module = getattr(named, "__module__", None)
    if named is not thing and module == "builtins":  # a number, a string, a list
        return reprlib.repr(thing)
    # torch.optim.adamw.AdamW is known as torch.optim.AdamW: the shortest package that has it under its own name
    parts = (module or "").split(".")
    for length in range(1, len(parts)):
        package = sys.modules.get(".".join(parts[:length]))
        if getattr(package, named.__name__, None) is named:
            module = ".".join(parts[:length])
            break
    name = f"{module}.{named.__qualname__}" if module not in NAMELESS else named.__qualname__
    return name if named is thing else f"{name} instance"


def describe_rule(rule: Rule) -> str:
    """How reports call a rule that is a candidate itself; one of somebody else's as Python does, so that it is no target."""
    name, bracket, fields = str(rule).partition("(")
    return f"refgrad's {rule}" if is_own(type(rule)) else name.replace(":", ".") + bracket + fields


def load(target: str) -> Any:
    """What a string ``package.module:name`` or ``path/to/file.py:name`` refers to."""
    place, attribute = target_parts(target)
    module = load_module(place)
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            where = place if found is module else f"{place}:{getattr(found, '__qualname__', found)}"
            raise NotThereError(f"{where} has no {part!r}{nearest(part, _public(found))}")
        found = getattr(found, part)
    return found


def load_module(place: str) -> ModuleType:
    """What a string ``package.module`` or ``path/to/file.py`` refers to; `CandidateError` if that cannot be loaded."""
    if Path(place).suffix in LIBRARIES and Path(place).is_file():
        legal = "--signature 'p*,g,...' on the command line, or a function of Python that calls it"
        raise CandidateError(f"{place} is a shared library, which does not say what its functions take; legal: {legal}")
    return _load_file(Path(place)) if place.endswith(".py") else _load_module(place)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise NotThereError(f"there is no file {str(path)!r} (from {str(Path.cwd())!r})")
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    loader = spec.loader
    sys.path.insert(0, str(path.resolve().parent))  # so that the file can import its neighbours
    try:
        _guarded(str(path), lambda: loader.exec_module(module))
    finally:
        sys.path.pop(0)
    return module


def import_file(place: str) -> str:
    """Import a file as the module that Python calls it, so that what it defines is found by that name in other processes too.

    Args:
        place: ``path/to/file.py``; its folder comes first among those that modules are looked for in.

    Returns:
        The module's name.

    Raises:
        CandidateError: there is no such file, another module has its name, or importing it raised.
    """
    path = Path(place).resolve()
    if not path.is_file():
        raise NotThereError(f"there is no file {place!r} (from {str(Path.cwd())!r})")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    found = _load_module(path.stem).__file__
    if found is None or Path(found).resolve() != path:
        raise CandidateError(
            f"{place} would be the module {path.stem}, which is {found}; legal: a file of another name"
        )
    return path.stem


def _load_module(name: str) -> ModuleType:
    return _guarded(name, lambda: importlib.import_module(name))


def _guarded(name: str, action: Callable[[], Any]) -> Any:
    """Import a module; whatever goes wrong in it is a `CandidateError`."""
    try:
        with foreign():  # a library may change the environment when it is imported
            return action()
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name == missing or name.startswith(f"{missing}."):
            hint = nearest(missing.rpartition(".")[2], _modules_beside(missing), cutoff=0.7)
            legal = hint or "; legal: one that is installed here, or a file, as path/to/file.py:name"
            raise NotThereError(f"there is no module {missing!r}{legal}") from None
        raise NotThereError(f"{name} needs a module {missing!r}, which is not installed") from error
    except (Exception, SystemExit) as error:
        raise NotThereError(f"importing {name} raised {type(error).__name__}: {error}") from error


def _modules_beside(missing: str) -> Iterable[str]:
    parent = sys.modules.get(missing.rpartition(".")[0])
    return [m.name for m in pkgutil.iter_modules(getattr(parent, "__path__", None))]


def _public(thing: Any) -> list[str]:
    """What a thing has of its own: a module that it imports is nothing to be judged."""
    return [n for n in dir(thing) if not n.startswith("_") and not inspect.ismodule(getattr(thing, n, None))]


def _ready(thing: Any, name: str, options: Options) -> Candidate | None:
    """A candidate already, by the protocol."""
    if isinstance(thing, type) or not (hasattr(thing, "start") and isinstance(getattr(thing, "name", None), str)):
        return None
    if options:
        raise CandidateError(f"{name} is a candidate already; legal options: none, not {', '.join(options)}")
    return thing


def _refgrad(thing: Any, name: str, options: Options) -> Candidate | None:
    if not (isinstance(thing, Optimizer) or (isinstance(thing, type) and issubclass(thing, Optimizer))):
        return None
    known = describe_rule(thing) if isinstance(thing, Optimizer) else name
    return Reference(with_options(known, options), thing, options)


def _framework(thing: Any, name: str, options: Options) -> Candidate | None:
    return candidate_of("optimizer", thing, name, options)


def _function(thing: Any, name: str, options: Options) -> Candidate | None:
    if isinstance(thing, type) or not callable(thing) or not looks_like_update(thing):
        return None
    return NumpyFunction(with_options(name, options), thing, options)
