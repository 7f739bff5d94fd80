"""Groups of parameters in optax: names for the leaves, and what a state keeps for each group of them.

`optax.multi_transform` and masks go by a function of the parameters' tree, which looks at shapes or at keys. So the leaves stand
in a dict of layers, ``{"layer_0": {"kernel": ...}, "layer_1": {"bias": ...}}``, in their own order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

#: what leaves are called in turn: a matrix that comes first is a kernel, a vector that does is a bias
NAMES = ("kernel", "bias", "scale")


def leaf_name(index: int, axes: int, names: Sequence[str] = NAMES) -> str:
    """What a leaf is called within its layer.

    Args:
        index: of the leaf, from 0.
        axes: how many it has; of `NAMES` a leaf with fewer than two begins at the second.
        names: of the leaves, in turn; a ``/`` in one makes it a path.

    >>> [leaf_name(i, 2) for i in range(4)], leaf_name(0, 1)
    (['kernel', 'bias', 'scale', 'kernel'], 'bias')
    """
    return names[(index + (names is NAMES and axes < 2)) % len(names)]


def tree_of(leaves: Sequence[Any], names: Sequence[str] = NAMES) -> dict[str, Any]:
    """The leaves as a dict of layers, in which JAX finds them in the same order.

    >>> tree_of([np.zeros((2, 2)), np.zeros(2)])["layer_1"].keys()
    dict_keys(['scale'])
    """
    width = len(str(len(leaves) - 1))
    tree: dict[str, Any] = {}
    for i, leaf in enumerate(leaves):
        value = leaf
        for key in reversed(leaf_name(i, np.ndim(leaf), names).split("/")):
            value = {key: value}
        tree[f"layer_{i:0{width}}"] = value
    return tree


def groups_of(transform: Any, state: Any, params: Any) -> list[tuple[str | None, list[int]]]:
    """The groups that a transformation's state has, each with its leaves; without groups one, called None, of all leaves.

    A state says by `optax.MaskedNode` which leaves are in other groups. Where it has no arrays of leaves, only numbers
    (`optax.inject_hyperparams` of plain SGD), the leaves are those whose update is NaN when these numbers are.

    Args:
        transform: what the state is of.
        state: before the first step.
        params: the tree of parameters that it is of.

    Returns:
        Labels and indices of leaves; last the leaves, if there are such, of whose group the state says nothing, under ``""``.
    """
    count = len(jax.tree.leaves(params))
    found = [v for n, v in named(state) if n == GROUPS]
    if len(found) != 1 or not isinstance(found[0], dict):
        return [(None, list(range(count)))]
    rows = {
        label: _unmasked(inner, params) or _probed(transform, state, params, label) for label, inner in found[0].items()
    }
    groups: list[tuple[str | None, list[int]]] = [(n, [i for i in range(count) if row[i]]) for n, row in rows.items()]
    return [*groups, ("", [i for i in range(count) if not any(row[i] for row in rows.values())])]


#: the field of `optax.multi_transform`'s state that has the states of its groups by label
GROUPS = "inner_states"


def named(node: Any, label: str | None = None) -> Iterator[tuple[str, Any]]:
    """Every field of the named tuples in a state, with its name, and every tree in its dicts, with its key.

    Of groups only the one of a label, if one is given.
    """
    if isinstance(node, tuple) and hasattr(node, "_fields"):
        for name, value in zip(node._fields, node, strict=True):
            yield name, value
            one = name == GROUPS and label is not None and isinstance(value, dict)
            yield from named({n: v for n, v in value.items() if n == label} if one else value, label)
    elif isinstance(node, (tuple, list)):
        for value in node:
            yield from named(value, label)
    elif isinstance(node, dict):
        for key, value in node.items():
            if isinstance(key, str) and isinstance(
                value, (dict, list, tuple)
            ):  # what is no tree is a parameter's own array
                yield key, value
            yield from named(value, label)


def entries(value: Any) -> list[Any]:
    """The arrays of a field of a state; `optax.MaskedNode` in the place of a leaf of another group."""
    return jax.tree.leaves(value, is_leaf=_is_masked)


def _unmasked(inner: Any, params: Any) -> list[bool] | None:
    """For each leaf, True if it is in the group that a state is of; None if the state has no arrays of leaves."""
    structure: Any = jax.tree.structure(params)
    for _, value in named(inner):
        if jax.tree.structure(value, is_leaf=_is_masked) == structure:
            return [not _is_masked(leaf) for leaf in entries(value)]
    return None


def _probed(transform: optax.GradientTransformation, state: Any, params: Any, label: str) -> list[bool]:
    """For each leaf, True if its update is NaN when the numbers of a group are; all False where that cannot be told."""
    spoilt_any = []

    def spoilt(path: Any, value: Any) -> Any:
        keys = [getattr(key, "name", getattr(key, "key", None)) for key in path]
        within = (GROUPS, label) in itertools.pairwise(keys)
        if not within or not jnp.issubdtype(value.dtype, jnp.floating):
            return value
        spoilt_any.append(path)
        return jnp.full_like(value, jnp.nan)

    changed, nowhere = jax.tree_util.tree_map_with_path(spoilt, state), [False] * len(jax.tree.leaves(params))
    if not spoilt_any:
        return nowhere
    try:
        updates, _ = transform.update(jax.tree.map(jnp.ones_like, params), changed, params)
    except Exception:  # whatever a user's function raises: it will again, in the first step
        return nowhere
    return [bool(jnp.isnan(u).any()) for u in jax.tree.leaves(updates)]


def _is_masked(node: Any) -> bool:
    return isinstance(node, optax.MaskedNode)
