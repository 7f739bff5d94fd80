"""`Inputs`: the short way to write the cases of an optimizer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from refgrad.arguments import by_name, several
from refgrad.errors import ArgumentError, bad_argument
from refgrad.float_environment import in_standard
from refgrad.oracle.inputs.cases import Cases, check_arrays
from refgrad.oracle.inputs.numbers import number_of, numbers


@in_standard
def of_steps(
    p: Sequence[np.ndarray],
    g: Sequence[Sequence[np.ndarray | None]],
    names: Sequence[str] = (),
    seed: int | None = None,
    extras: Sequence[Mapping[str, Any]] = (),
) -> Cases:
    """The cases of a kind with state from columns; see `Inputs`.

    Args:
        p: the parameters before the first step, one array a leaf.
        g: for each step the gradients, one array a leaf; None where a leaf has none.
        names: what each leaf is called in reports.
        seed: the seed that they were made from, if they were.
        extras: for each step the extra inputs by name: one array a leaf, or a number.

    Returns:
        The cases.

    Raises:
        ArgumentError: no leaf or no step, or shapes that are not those of the parameters.
    """
    p, g = several("p", p, "arrays, one a leaf"), several("g", g, "gradients, one list a step")
    g = [several(f"g[{t}]", grads, "arrays, one a leaf") for t, grads in enumerate(g)]
    extras = several("extras", extras, "dicts, one a step")
    if not p or not g:
        raise ArgumentError("inputs p or g are empty; legal: at least one leaf and one step")
    for t, step in enumerate(extras):
        by_name(f"extras[{t}]", step, "{'loss': 1.0}")
    for i, array in enumerate(p):
        check_arrays("inputs", {f"p[{i}]": _array(array)})
    absent = frozenset((t, i) for t, grads in enumerate(g) for i, each in enumerate(grads) if each is None)
    if absent:
        g = [[np.zeros_like(p[i]) if each is None and i < len(p) else each for i, each in enumerate(gs)] for gs in g]
    if extras and len(extras) != len(g):
        raise bad_argument("len(inputs.extras)", len(extras), f"{len(g)}, one a step")
    shapes = [np.shape(a) for a in p]
    rows: list[list[dict[str, np.ndarray]]] = []
    for t, grads in enumerate(g):
        columns = {"g": grads, **{n: v for n, v in (extras[t] if extras else {}).items() if not _is_number(v)}}
        for name, column in columns.items():
            _check_shapes(f"g[{t}]" if name == "g" else f"extras[{t}][{name!r}]", column, shapes)
        rows.append([{n: _array(column[i]) for n, column in columns.items()} for i in range(len(p))])
    single = [{n: float(v) for n, v in step.items() if _is_number(v)} for step in extras]
    return Cases([{"p": _array(a)} for a in p], names, seed, rows, single, absent)


class Inputs:
    """`Cases` of an optimizer, written shortly: calling this makes `Cases`.

    Args:
        p: the parameters before the first step, one array a leaf, all of one float dtype.
        g: for each step the gradients, one array a leaf, shaped like the parameters; None where a leaf has none at a step,
            which leaves it as it is.
        names: what each leaf is called in reports.
        seed: the seed that they were made from, if they were.
        extras: for each step the extra inputs of rules that have them, by name: one array a leaf, or a number.

    Raises:
        ArgumentError: no leaf or no step, or shapes that are not those of the parameters.
    """

    def __new__(  # type: ignore[misc]
        cls, p: Any, g: Any = (), names: Any = (), seed: Any = None, extras: Any = ()
    ) -> Cases:
        """The cases."""
        return of_steps(p, g, names, seed, extras)

    @staticmethod
    @in_standard
    def of(p: Any, g: Any, dtype: Any = "float32", **extras: Any) -> Cases:
        """One leaf, of an optimizer.

        Args:
            p: the parameter before the first step, of any shape: an array, which is cast, or numbers or hex strings.
            g: for each step a gradient shaped like ``p``, or None where there is none at that step.
            dtype: the float dtype of the parameter, the gradients and the extra inputs.
            extras: the rule's extra inputs by name: for each step an array shaped like ``p`` (one of unsigned integers, such as
                random bits, keeps its dtype), or a number, such as the loss.

        Returns:
            Cases of that leaf alone, and of as many steps as there are gradients.

        Raises:
            ArgumentError: there is no step, extra inputs are not given for each, or are of unequal length; a gradient of another
                size than ``p``; what is no number or no hex float.

        >>> Inputs.of([1.0, 2.0], [[0.5, -0.5]]).g
        [[array([ 0.5, -0.5], dtype=float32)]]
        """
        leaf, given = numbers(p, dtype, "p"), several("g", g, "gradients, one a step")
        columns = {name: several(name, column, "inputs, one a step") for name, column in extras.items()}
        for name, column in columns.items():
            if len(column) != len(given):
                raise bad_argument(f"len({name})", len(column), f"{len(given)}, one a step")
        steps = [{n: _extra(v[t], dtype, leaf.shape, n) for n, v in columns.items()} for t in range(len(given))]
        grads = [[None if each is None else _like(numbers(each, dtype, "g"), leaf.shape, "g")] for each in given]
        return of_steps([leaf], grads, [""], extras=steps if columns else ())


def _like(array: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    """An array of as many numbers as the parameter has, in its shape."""
    if array.size != math.prod(shape):
        raise bad_argument(f"{name}.shape", array.shape, f"{shape}, that of p")
    return array.reshape(shape)


def _check_shapes(place: str, arrays: Any, shapes: list[tuple[int, ...]]) -> None:
    arrays = several(place, arrays, "arrays, one a leaf")
    for i, array in enumerate(arrays):
        check_arrays("inputs", {f"{place}[{i}]": _array(array)})
    found = [np.shape(a) for a in arrays]
    if found != shapes:
        raise bad_argument(f"inputs.{place} shapes", found, f"{shapes}, those of p")


def _array(value: Any) -> Any:
    """NumPy makes numbers of arrays without axes; these are arrays again."""
    return np.asarray(value) if isinstance(value, np.generic) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int)


def _extra(value: Any, dtype: Any, shape: tuple[int, ...], name: str) -> Any:
    """One extra input of one leaf: numbers shaped like it, or one number."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "u":
        return [_like(value, shape, name)]
    if isinstance(value, list | tuple | np.ndarray) and np.shape(value) != ():
        return [_like(numbers(value, dtype, name), shape, name)]
    return number_of(value, name)
