"""Pytrees: dicts, lists, tuples and dataclasses of arrays, nested, and what JAX or optree know as nodes; all else is a leaf."""

from __future__ import annotations

import copy
import dataclasses
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.errors import ArgumentError, with_article

#: what is a leaf without a look at anything else
PLAIN = (np.ndarray, np.generic, int, float, complex, str, bytes)


@dataclass(frozen=True)
class Branch:
    """What a node of a tree holds, and how a node of its type is made of other children."""

    #: of each child, what stands between the node's path and the child's: ``"['w']"``, ``"[0]"``, ``".w"``
    steps: Sequence[str]
    children: Sequence[Any]
    build: Callable[[list[Any]], Any]


def branch(node: Any) -> Branch | None:
    """What a node holds; None of a leaf.

    Nodes are dicts, lists and tuples of any class, dataclasses, and what is registered with JAX or optree, if one of these has
    been imported by somebody else. Arrays of every library are leaves.

    Args:
        node: a value in a tree.

    Returns:
        Its children, with the steps that lead to them; None if it is a leaf.

    >>> branch({"w": 1, "b": 2}).steps
    ["['w']", "['b']"]
    >>> branch(1.0)
    """
    kind = type(node)
    if kind is np.ndarray or (kind is not dict and _is_leaf(node)):
        return None
    if isinstance(node, dict):
        return Branch([f"[{key!r}]" for key in node], list(node.values()), lambda new: _dict_like(node, new))
    if isinstance(node, list | tuple):
        make = kind._make if hasattr(kind, "_make") else kind
        return Branch([f"[{index}]" for index in range(len(node))], node, make)
    return _registered(node) or _dataclass(node)


def _is_leaf(node: Any) -> bool:
    """True of a number, a text, and of what has an array's protocol."""
    return isinstance(node, PLAIN) or hasattr(type(node), "__array__") or hasattr(type(node), "__dlpack__")


def _dict_like(node: dict[Any, Any], new: list[Any]) -> dict[Any, Any]:
    """A dict of the same class, and with the same default factory or attributes, that holds other values."""
    pairs = zip(node, new, strict=True)
    if type(node) is dict:
        return dict(pairs)
    made = copy.copy(node)
    made.update(pairs)
    return made


def _registered(node: Any) -> Branch | None:
    """A node that JAX or optree know, if either has been imported."""
    jax = getattr(sys.modules.get("jax"), "tree_util", None)
    if jax is not None:
        found, shape = jax.tree_flatten_with_path(node, lambda at: at is not node)
        if not jax.treedef_is_leaf(shape):
            return Branch([jax.keystr(path) for path, _ in found], [value for _, value in found], shape.unflatten)
    optree = sys.modules.get("optree")
    if optree is not None:
        paths, values, shape = optree.tree_flatten_with_path(node, lambda at: at is not node)
        if not shape.is_leaf():
            return Branch([f"[{path[0]!r}]" for path in paths], values, shape.unflatten)
    return None


def _dataclass(node: Any) -> Branch | None:
    """A dataclass that somebody else than refgrad wrote: each of its fields is a child."""
    kind = type(node)
    if not dataclasses.is_dataclass(kind) or kind.__module__.partition(".")[0] == "refgrad":
        return None
    names = [field.name for field in dataclasses.fields(node)]
    return Branch([f".{n}" for n in names], [getattr(node, n) for n in names], lambda new: _replaced(node, names, new))


def _replaced(node: Any, names: Sequence[str], new: list[Any]) -> Any:
    """A copy of a dataclass with other fields; it is not made by its `__init__`, which may take something else."""
    made = copy.copy(node)
    for name, value in zip(names, new, strict=True):
        object.__setattr__(made, name, value)  # of a frozen one too
    return made


def leaves(tree: Any, path: str = "", name: str = "p") -> list[tuple[str, Any]]:
    """Every leaf with its path.

    Args:
        tree: a pytree; None in it stands for nothing, as in JAX.
        path: what the paths begin with.
        name: what errors call the tree.

    Returns:
        Pairs of a path, such as ``"['block'][0]"``, and a leaf; dicts in their own order.

    Raises:
        ArgumentError: a tree that holds itself, or is nested deeper than Python calls functions.

    >>> leaves({"w": 1, "b": [2, 3]})
    [("['w']", 1), ("['b'][0]", 2), ("['b'][1]", 3)]
    """
    try:
        return list(_leaves(tree, path, branch(tree)))
    except RecursionError:
        what = with_article(type(tree).__name__)
        raise ArgumentError(
            f"{name} is {what} that is nested too deep, or holds itself; legal: an array, or arrays in dicts, lists and tuples"
        ) from None


def _leaves(tree: Any, path: str, found: Branch | None) -> Iterator[tuple[str, Any]]:
    if found is None:
        yield path, tree
        return
    for step, child in zip(found.steps, found.children, strict=True):
        if child is not None:
            yield from _leaves(child, path + step, branch(child))


def is_leaf(tree: Any) -> bool:
    """True if a tree is one leaf, such as an array.

    Args:
        tree: a pytree.

    Returns:
        True, or False of a node, also of one that holds nothing.
    """
    return branch(tree) is None


def matching(reference: Any, other: Any, name: str, path: str = "") -> list[Any]:
    """The leaves of one tree in the order of another's.

    Args:
        reference: the tree that gives structure and order.
        other: a tree of the same structure; its dicts may have another order, and be of another class, as its lists and tuples
            may; any other node is of the same class.
        name: what errors call ``other``.
        path: where in the trees these two stand.

    Returns:
        The leaves of ``other``, each at the place of its counterpart in `leaves` of ``reference``.

    Raises:
        ArgumentError: the structures differ, and the error says where, and what is legal there; or a leaf of ``reference``,
            which errors call ``p``, is something else that holds arrays.

    >>> matching({"w": 1, "b": 2}, {"b": 20, "w": 10}, "g")
    [10, 20]
    """
    wanted, found = branch(reference), branch(other)
    if wanted is None:
        if found is not None:
            _check_leaf(reference, f"p{path}")
            raise _differs(name, path, other, "an array")
        return [other]
    children = _children(reference, wanted, other, found)
    if children is None:
        raise _differs(name, path, other, _legal(reference, wanted))
    result = []
    for step, mine, its in zip(wanted.steps, wanted.children, children, strict=True):
        if mine is not None:
            result += matching(mine, its, name, path + step)
        elif its is not None:
            raise _differs(name, path + step, its, "None")
    return result


def _check_leaf(leaf: Any, name: str) -> None:
    """Refuse what holds arrays and is no node, such as a mapping that is no dict, before the tree beside it is blamed."""
    if isinstance(leaf, Collection) and not _is_leaf(leaf):
        what = with_article(type(leaf).__name__)
        raise ArgumentError(f"{name} is {what}; legal: an array, or a dict, list or tuple of them")


def _children(reference: Any, wanted: Branch, other: Any, found: Branch | None) -> Sequence[Any] | None:
    """The children of a node in the order of another's; None if they are not of one structure."""
    if found is None:
        return None
    if isinstance(reference, dict):
        fits = isinstance(other, dict) and set(other) == set(reference)
        return [other[key] for key in reference] if fits else None
    if isinstance(reference, list | tuple):
        return found.children if isinstance(other, list | tuple) and len(other) == len(reference) else None
    fits = type(other) is type(reference) and list(found.steps) == list(wanted.steps)
    return found.children if fits else None


def _legal(reference: Any, wanted: Branch) -> str:
    """What stands where a node stands."""
    if isinstance(reference, dict):
        return f"a dict with keys {sorted(map(repr, reference))}"
    if isinstance(reference, list | tuple):
        return f"a sequence of {len(reference)}"
    return f"{with_article(type(reference).__name__)} of {', '.join(wanted.steps)}"


def check_entries(node: Mapping[Any, Any], name: str, written: bool) -> None:
    """Check that a mapping of somebody else's class gives its entries, and takes them too.

    Args:
        node: the mapping; Python's own dicts are not looked at.
        name: what errors call it.
        written: True if entries of it are replaced: each is written once as it is, so that a mapping that refuses does it now.

    Raises:
        ArgumentError: it raises something.

    >>> from types import MappingProxyType
    >>> check_entries(MappingProxyType({"t": 0}), "state", False)
    """
    if type(node) is dict:
        return
    done = "read"
    try:
        found = {key: node[key] for key in node}
        done = "written"
        for key, value in found.items() if written else ():
            node[key] = value  # type: ignore[index]
    except Exception as error:  # whatever somebody's class raises
        why = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise ArgumentError(
            f"{name} is {with_article(type(node).__name__)} whose entries cannot be {done} ({why}); legal: a dict"
        ) from None


def rebuild(tree: Any, new: list[Any]) -> Any:
    """A tree of the same structure with other leaves.

    Args:
        tree: the tree that gives the structure.
        new: as many leaves as it has, in the order of `leaves`.

    Returns:
        The new tree; every node of it is of the same class as there.

    >>> rebuild({"w": 1, "b": [2, 3]}, [10, 20, 30])
    {'w': 10, 'b': [20, 30]}
    """
    remaining = iter(new)

    def build(node: Any) -> Any:
        found = branch(node)
        if found is None:
            return next(remaining)
        return found.build([None if child is None else build(child) for child in found.children])

    return build(tree)


def _differs(name: str, path: str, other: Any, legal: str) -> ArgumentError:
    return ArgumentError(f"{name}{path} is {with_article(type(other).__name__)}; legal: {legal}, as in the parameters")
