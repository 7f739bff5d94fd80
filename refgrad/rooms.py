"""The names of a room of rules without its modules: a module is imported when one of its names is first asked for.

A room's ``__init__`` imports its names for type checkers alone. What it imports from where is read from there, so that a name
stands in one place; the classes of all rules take longer to make than all else that a program imports.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any


@functools.cache
def names_of(room: str) -> Mapping[str, str]:
    """The module that has each name of a room; of a module of the room, itself.

    Args:
        room: the dotted name of a package that imports its names under ``if TYPE_CHECKING:``.

    >>> names_of("refgrad.optimizers")["AdamW"]
    'refgrad.optimizers.adam'
    """
    found: dict[str, str] = {}
    for block in ast.parse(inspect.getsource(sys.modules[room])).body:
        for node in block.body if isinstance(block, ast.If) else ():
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                inside = node.module != room
                found |= {each.name: node.module if inside else f"{room}.{each.name}" for each in node.names}
    return found


def on_demand(room: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A room's ``__getattr__`` and ``__dir__``."""

    def get(name: str) -> Any:
        if name.startswith("__") or name not in names_of(room):
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        place = names_of(room)[name]
        module = importlib.import_module(place)
        found = module if place == f"{room}.{name}" else getattr(module, name)
        setattr(sys.modules[room], name, found)
        return found

    return get, lambda: sorted({*vars(sys.modules[room]), *names_of(room)})


def load(room: str) -> None:
    """Import all modules of a room that have a name in it."""
    importlib.import_module(room)
    for place in dict.fromkeys(names_of(room).values()):
        importlib.import_module(place)
