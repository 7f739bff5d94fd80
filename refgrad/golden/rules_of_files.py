"""The rules that golden files are of: refgrad's own, and those of others as far as they are handed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refgrad.errors import bad_argument
from refgrad.golden.reading import NAME
from refgrad.rule import Rule, rules

#: classes of rules by the names that their files go by
Known = Mapping[str, type[Rule]]


def known_rules(own: Known | None = None) -> dict[str, type[Rule]]:
    """All rules by name; what a file names is looked for among these alone, and nothing is imported on its behalf.

    Args:
        own: those that are not refgrad's.
    """
    return {**rules(), **(own or {})}


def own_rules(classes: list[Any]) -> dict[str, type[Rule]]:
    """Rules that are not refgrad's, by the names of their files.

    Args:
        classes: of rules, refgrad's among them.

    Raises:
        ArgumentError: one is called as another rule is, or by a name that is none of a file.
    """
    found: dict[str, type[Rule]] = {}
    for cls in classes:
        name = cls.__name__
        if rules().get(name) is cls:
            continue
        if name in rules() or found.get(name, cls) is not cls:
            raise bad_argument("the name of the rule", name, "one that no other rule has: its files are called so")
        if not NAME.match(name):
            raise bad_argument("the name of the rule", name, "letters of ASCII, digits and _: its files are called so")
        found[name] = cls
    return found
