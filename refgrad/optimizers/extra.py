"""The extra inputs of a step as they are handed: all that the rule asks for, no other, and each of them legal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from refgrad import trees
from refgrad.arguments import number
from refgrad.arithmetic import dtypes
from refgrad.arithmetic.arrays import as_array
from refgrad.errors import ArgumentError, bad_argument, nearest
from refgrad.rule import Extra


def separated(
    wanted: Mapping[str, Extra], extras: Mapping[str, Any], p: Any, owner: str
) -> tuple[dict[str, float], dict[str, Any]]:
    """The extra inputs of a step that are numbers, and those that are arrays or trees of arrays; bits become floats.

    Args:
        wanted: the extra inputs that the rule takes, by name.
        extras: what was handed, by name.
        p: the parameters: an array of any shape, or a tree of arrays.
        owner: what errors call the rule.

    Raises:
        ArgumentError: one is missing, unknown, no number, or holds what no such bits are.
    """
    for name in extras:
        if name not in wanted:
            legal = ", ".join(wanted) or "none"
            raise ArgumentError(
                f"{owner} takes no input {name!r}{nearest(name, wanted)}; legal besides p, g, state: {legal}"
            )
    missing = [name for name in wanted if name not in extras]
    if missing:
        what = wanted[missing[0]].facts.sentence
        raise ArgumentError(f"{owner}'s step needs {missing[0]}=, {what}")
    numbers = {n: number(extras[n], n) for n, extra in wanted.items() if extra.scalar}
    arrays = {n: extras[n] for n, extra in wanted.items() if not extra.scalar}
    return numbers, {n: _floats(a, n, wanted[n], p) if wanted[n].bits else a for n, a in arrays.items()}


def _floats(value: Any, name: str, extra: Extra, p: Any) -> Any:
    if isinstance(p, np.ndarray):
        return bits(value, name, extra, as_array(p, "p").dtype)
    leaves = zip(trees.leaves(p), trees.matching(p, value, name), strict=True)
    return trees.rebuild(
        p, [bits(a, f"{name}{path}", extra, as_array(leaf, f"p{path}").dtype) for (path, leaf), a in leaves]
    )


def bits(value: Any, name: str, extra: Extra, dtype: np.dtype) -> np.ndarray:
    """Whole numbers of so many bits as floats of the working dtype of a dtype, which holds them exactly."""
    legal = f"whole numbers from 0 to 2**{extra.bits} - 1, as unsigned integers or as floats"
    if not isinstance(value, np.ndarray) or not (value.dtype.kind == "u" or dtypes.is_float(value.dtype)):
        raise bad_argument(name, getattr(value, "dtype", type(value).__name__), legal)
    with np.errstate(invalid="ignore"):
        outside = ~((value >= 0) & (value < 2**extra.bits))
        if value.dtype.kind != "u":
            outside |= value != np.floor(value)
    if outside.any():
        raise bad_argument(name, value[outside].reshape(-1)[0], legal)
    return value.astype(dtypes.working(dtype), copy=False)  # so that a step in place sees what shares memory
