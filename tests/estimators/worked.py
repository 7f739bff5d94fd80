"""A worked example of every estimator: value and gradients at six numbers, by the formulas that tests restate in fifty digits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from refgrad.axes import axes_shape
from refgrad.estimators.base import Estimator
from refgrad.rule import find
from tests.estimators import test_paper, test_paper_tensors
from tests.used import NUMBERS
from tests.worked.example import Example, G, X

#: parameters that are handed over, by rule, where they are not one number of `tests.used.NUMBERS`
HANDED: Mapping[str, Mapping[str, Any]] = {
    "LSQ": {"scale": 0.5},
    "LSQPlus": {"scale": 0.5, "offset": 0.125},
    "HardConcrete": {"u": ((0.125, 0.5, 0.75), (0.25, 0.875, 0.375))},
    "StochasticBinarization": {"u": ((0.125, 0.5, 0.75), (0.25, 0.875, 0.375))},
    "GumbelSoftmax": {"e": ((0.5, 1.0, 2.0), (0.25, 1.5, 0.75))},
    "StraightThroughGumbel": {"e": ((0.5, 1.0, 2.0), (0.25, 1.5, 0.75))},
    "ReinMax": {"sample": ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0))},
    "RotationTrick": {"q": ((0.5, -1.0, 1.0), (1.0, -1.0, 0.5))},
    "MovementGradient": {"s": ((0.5, -1.0, 2.0, 1.0), (0.25, 1.5, -0.75, -2.0))},
    "VectorQuantization": {"codebook": ((1.0, -1.0, 1.0), (0.5, -1.5, 0.5))},
}
#: hyperparameters, where at the rule's own no code of these numbers is saturated
NARROW: Mapping[str, Mapping[str, Any]] = {
    "LSQ": {"negative": 2.0, "positive": 1.0},
    "LSQPlus": {"high": 3.0},
    "RoundingSTE": {"scale": 0.25, "low": -4.0, "high": 3.0},
}
#: x and the cotangent in groups of four
GROUPS = (
    np.asarray(((1.0, -0.5, 2.0, 0.25), (-1.5, 0.75, 0.125, -3.0))),
    np.asarray(((0.5, -0.25, 1.0, 2.0), (-0.25, 1.0, 0.5, -1.5))),
)


def given(rule: Estimator, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """What an estimator is handed besides x and the cotangent."""
    own: Mapping[str, Any] = HANDED.get(type(rule).__name__, {})
    assert set(own) <= set(rule.handed()), f"{type(rule).__name__} is handed {', '.join(rule.handed())}"
    found = {}
    for name in rule.handed():
        if name in rule.tables:
            found[name] = np.asarray(own[name], np.float64)
            continue
        value = own.get(name, next(n for n in NUMBERS if n in rule.parameters[name].legal))
        found[name] = np.broadcast_to(
            np.asarray(value, np.float64), axes_shape(rule.parameter_axes()[name], shape)
        ).copy()
    return found


def elementwise(rule: Any, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The value of each number, and its cotangent times the factor."""
    forward, factor = test_paper.RESTATED[type(rule).__name__]
    each = lambda f: np.frompyfunc(lambda x: f(x, rule), 1, 1)(arrays["x"])  # noqa: E731
    return {"y": each(forward), "x_grad": arrays["cotangent"] * each(factor)}


def of_tensors(rule: Any, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Value and gradients of the whole array."""
    function = test_paper_tensors.RESTATED[type(rule).__name__]
    values = function(rule, arrays["cotangent"], arrays["x"], *(arrays[n] for n in rule.handed()))
    return dict(zip(rule.results(), values, strict=True))


def ours(rule: Any, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Value and gradients by refgrad."""
    handed = {n: a for n, a in arrays.items() if n not in ("x", "cotangent")}
    found = rule.both(arrays["cotangent"], arrays["x"], **handed)
    return {n: found[n] for n in rule.results()}


def examples() -> Iterator[Example]:
    """One of each estimator."""
    for name in sorted({*test_paper.RESTATED, *test_paper_tensors.RESTATED}):
        cls: Any = find(name)
        rule = cls(**NARROW.get(name, {}))
        x, g = GROUPS if "pattern" in rule.hyperparameters() else (np.asarray(X), np.asarray(G))
        arrays = {"cotangent": g, "x": x, **given(rule, x.shape)}
        if name in test_paper.RESTATED:
            yield Example(rule, arrays, elementwise, ours, test_paper.RESTATED[name])
        else:
            shown: tuple[Callable[..., Any], ...] = (test_paper_tensors.RESTATED[name],)
            yield Example(rule, arrays, of_tensors, ours, shown)


EXAMPLES = tuple(examples())
