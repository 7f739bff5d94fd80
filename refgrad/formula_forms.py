"""Forms of a formula: other functions that are the same in real arithmetic, and that programs may compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from refgrad.errors import ArgumentError, shown

#: by how much a form may differ from its formula in float64, as a share of the largest number
SAME = 1e-6


def bodies(rule: Any) -> list[Callable[..., Any]]:
    """What programs of a rule may compute: its body, and those of its forms.

    Args:
        rule: a rule without a graph.

    Returns:
        Functions of its arrays.
    """
    return [rule.apply, *(_body(rule, function) for function in getattr(type(rule), "forms", {}).values())]


def _body(rule: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    def body(*arrays: Any) -> Any:
        found = function(*arrays, **rule.hyperparameters())
        names = rule.result_names
        if names and isinstance(found, tuple | list):  # a gradient's results are named, and may be given in order
            return dict(zip(names, found, strict=True))
        return found

    return body


def check(rule: Any, name: str, function: Callable[..., Any]) -> None:
    """A form gives its formula's numbers, but for rounding.

    Args:
        rule: the formula.
        name: what the form is called.
        function: the form's.

    Raises:
        ArgumentError: it gives others.
    """
    arrays = rule.drawn(rule.lengths, np.random.Generator(np.random.Philox(0))).values()
    own, other = (_listed(body(*(a.copy() for a in arrays))) for body in (rule.apply, _body(rule, function)))
    what = f"the form {name!r} of {type(rule).__name__}"
    if own.keys() != other.keys():
        raise ArgumentError(f"{what} gives {', '.join(other)}; legal: {', '.join(own)}")
    for result, true in own.items():
        got = other[result]
        if got.shape != true.shape:
            raise ArgumentError(f"{what} gives a {result} of shape {shown(got.shape)}; legal: {true.shape}")
        largest = float(np.max(np.abs(true), initial=0.0))
        if not (np.abs(got - true) <= SAME * largest).all():
            apart = float(np.max(np.abs(got - true)))
            raise ArgumentError(
                f"{what} differs from it by {apart:.3g} of {largest:.3g}; legal: the same but for rounding"
            )


def _listed(found: Any) -> dict[str, np.ndarray]:
    if isinstance(found, Mapping):
        return {str(name): np.asarray(x) for name, x in found.items()}
    several = found if isinstance(found, tuple | list) else [found]
    return {f"result[{i}]": np.asarray(x) for i, x in enumerate(several)}
