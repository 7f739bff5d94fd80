"""Pytrees: dicts, lists and tuples (named ones too) of arrays, nested; a leaf is whatever is none of these."""

from __future__ import annotations

from typing import Any

from refgrad.errors import ArgumentError, with_article


def leaves(tree: Any, path: str = "") -> list[tuple[str, Any]]:
    """Every leaf with its path.

    Args:
        tree: a pytree.
        path: what the paths begin with.

    Returns:
        Pairs of a path, such as ``"['block'][0]"``, and a leaf; dicts in their own order.

    >>> leaves({"w": 1, "b": [2, 3]})
    [("['w']", 1), ("['b'][0]", 2), ("['b'][1]", 3)]
    """
    if isinstance(tree, dict):
        return [pair for key, value in tree.items() for pair in leaves(value, f"{path}[{key!r}]")]
    if isinstance(tree, (list, tuple)):
        return [pair for index, value in enumerate(tree) for pair in leaves(value, f"{path}[{index}]")]
    return [(path, tree)]


def matching(reference: Any, other: Any, name: str, path: str = "") -> list[Any]:
    """The leaves of one tree in the order of another's.

    Args:
        reference: the tree that gives structure and order.
        other: a tree of the same structure; its dicts may have another order, and lists may stand for tuples.
        name: what errors call ``other``.
        path: where in the trees these two stand.

    Returns:
        The leaves of ``other``, each at the place of its counterpart in `leaves` of ``reference``.

    Raises:
        ArgumentError: the structures differ; the error says where, and what is legal there.

    >>> matching({"w": 1, "b": 2}, {"b": 20, "w": 10}, "g")
    [10, 20]
    """
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
    """A tree of the same structure with other leaves.

    Args:
        tree: the tree that gives the structure.
        new: as many leaves as it has, in the order of `leaves`.

    Returns:
        The new tree; its dicts, lists and tuples are of the same types.

    >>> rebuild({"w": 1, "b": [2, 3]}, [10, 20, 30])
    {'w': 10, 'b': [20, 30]}
    """
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
    return ArgumentError(f"{name}{path} is {with_article(type(other).__name__)}; legal: {legal}, as in the parameters")
