"""Pytrees: dicts, lists and tuples of arrays, nested; a leaf is whatever is none of these."""

from __future__ import annotations

from typing import Any

from refgrad.errors import ArgumentError


def leaves(tree: Any, path: str = "") -> list[tuple[str, Any]]:
    """Every leaf with its path, such as ``['block'][0]``; dicts in their own order."""
    if isinstance(tree, dict):
        return [pair for key, value in tree.items() for pair in leaves(value, f"{path}[{key!r}]")]
    if isinstance(tree, (list, tuple)):
        return [pair for index, value in enumerate(tree) for pair in leaves(value, f"{path}[{index}]")]
    return [(path, tree)]


def matching(reference: Any, other: Any, name: str, path: str = "") -> list[Any]:
    """The leaves of ``other`` in the order of ``reference``; `ArgumentError` where the structures differ."""
    if isinstance(reference, dict):
        if not isinstance(other, dict) or set(other) != set(reference):
            raise _differs(name, path, other, f"a dict with keys {sorted(map(repr, reference))}")
        return [leaf for key in reference for leaf in matching(reference[key], other[key], name, f"{path}[{key!r}]")]
    if isinstance(reference, (list, tuple)):
        if not isinstance(other, (list, tuple)) or len(other) != len(reference):
            raise _differs(name, path, other, f"a sequence of {len(reference)}")
        pairs = enumerate(zip(reference, other, strict=True))
        return [leaf for i, (a, b) in pairs for leaf in matching(a, b, name, f"{path}[{i}]")]
    if isinstance(other, (dict, list, tuple)):
        raise _differs(name, path, other, "an array")
    return [other]


def rebuild(tree: Any, new: list[Any]) -> Any:
    """A tree of the same structure with the leaves replaced, in order."""
    remaining = iter(new)

    def build(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: build(value) for key, value in node.items()}
        if isinstance(node, tuple) and hasattr(node, "_fields"):
            return type(node)(*(build(value) for value in node))
        if isinstance(node, (list, tuple)):
            return type(node)(build(value) for value in node)
        return next(remaining)

    return build(tree)


def _differs(name: str, path: str, other: Any, legal: str) -> ArgumentError:
    return ArgumentError(f"{name}{path} is a {type(other).__name__}; legal: {legal}, as in the parameters")
