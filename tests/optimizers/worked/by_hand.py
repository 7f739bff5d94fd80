"""Three steps by an equation that stands in a test, in sixty digits, from the start; and the same by refgrad in float64.

The equations (``paper(p, g, state, t, h)``) are those that the tests hold rules' graphs against; they are Python on mpmath
numbers, and here they are followed freely, each step from what the equation itself gave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from refgrad.optimizers.base import Optimizer
from tests.optimizers.exact_tensors import exactly
from tests.optimizers.made_up import extras
from tests.optimizers.test_paper import DIGITS, Hyperparameters

#: the parameter, and the gradient of each step
P = (1.0, -0.5, 2.0)
GRADIENTS = ((0.5, -0.25, 1.0), (-0.25, 1.0, 0.5), (1.0, 0.5, -0.25))

#: slots that start as a copy of the parameter, and other starts than zero: a number, or the hyperparameter that is it
COPIES = ("average", "far", "previous", "slow", "start", "there", "z")
STARTS: Mapping[str, Mapping[str, Any]] = {
    "ASGD": {"eta": "lr", "mu": 1},
    "AdaGradNorm": {"s": "initial"},
    "COCOB": {"largest": "eps"},
    "DAdaptAdam": {"d": "d0"},
    "DoWG": {"square": "initial_square"},
    "LBFGS": {"scale": 1},
    "Mechanic": {**{f"s{i}": "initial_s" for i in range(1, 7)}, **{f"m{i}": "initial_m" for i in range(1, 7)}},
    "NAdam": {"mu_product": 1},
    "NAdamW": {"mu_product": 1},
    "PSGDKron": {"diagonal": 1},
    "Prodigy": {"d": "d0"},
    "ReduceOnPlateau": {"scale": 1, "best_value": "inf"},
    "Rprop": {"step_size": "lr"},
    "Shampoo": {"left": "identity", "right": "identity"},
}

Paper = Callable[..., Any]


@dataclass(frozen=True)
class Example:
    """A rule and the equation that says what it does.

    Args:
        rule: the rule with its hyperparameters.
        paper: the equation; it replaces what it changes in the state.
        of: what the equation takes: "number", "vector" (an object array of three), "row" (one of 1 x 3), "lists" (a list of
            such a row), or "matrix" (mpmath's, 1 x 3).
        rates: the learning rate of each step, where it is not the rule's.
        dtype: the dtype that refgrad's parameter has.
        gradients: the gradient of each step, where these are not `GRADIENTS`.
        start: the parameter before the first step, where it is not `P`.
        rows: how many rows it has as a matrix.
    """

    rule: Optimizer
    paper: Paper
    of: str
    rates: tuple[float, ...] = ()
    dtype: Any = field(default=np.float64)
    gradients: tuple[tuple[float, ...], ...] = GRADIENTS
    start: tuple[float, ...] = P
    rows: int = 1

    @property
    def name(self) -> str:
        """The rule's name."""
        return type(self.rule).__name__

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of refgrad's parameter."""
        size = len(self.start)
        return (self.rows, size // self.rows) if self.of in ("row", "lists", "matrix") else (size,)

    def at(self, t: int) -> Optimizer:
        """The rule at a step."""
        return self.rule.replace(lr=self.rates[t - 1]) if self.rates else self.rule


#: from an object array to what an equation takes, and back
INTO: Mapping[str, Callable[[np.ndarray], Any]] = {
    "vector": lambda a: a,
    "row": lambda a: a,
    "lists": lambda a: a.tolist(),
    "matrix": lambda a: mpmath.matrix(a.tolist()),
}


def back(x: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A result of an equation as an object array of a shape."""
    flat = np.asarray(list(x) if isinstance(x, mpmath.matrix) else x, dtype=object)
    return np.broadcast_to(flat.reshape(shape) if flat.size == np.prod(shape) else flat, shape)


def started(example: Example, h: Any, p: np.ndarray) -> dict[str, Any]:
    """The state before the first step, as arrays."""
    own, found = STARTS.get(example.name, {}), {}
    for name, slot in example.rule.slots().items():
        start = own.get(name, 0)
        shape = () if slot.scalar else slot.shape(p.shape)
        if name in COPIES:
            found[name] = p.copy()
        elif start == "identity":
            found[name] = h.eps * exactly(np.eye(shape[0]))
        else:
            value = mpf("inf") if start == "inf" else mpf(getattr(h, start) if isinstance(start, str) else start)
            found[name] = np.full(shape, value, dtype=object)
    return found


def follow(example: Example) -> list[list[Any]]:
    """The numbers after each step, by the equation alone."""
    with mpmath.workdps(DIGITS):
        if example.of == "number":
            columns = [_follow(example, np.asarray([i])) for i in range(len(example.start))]
            return [[column[t][0] for column in columns] for t in range(len(example.gradients))]
        return _follow(example, np.arange(len(example.start)))


def _follow(example: Example, which: np.ndarray) -> list[list[Any]]:
    """The numbers at some places, after each step."""
    shape = (1,) if example.of == "number" else example.shape
    p = exactly(example.start)[which].reshape(shape)
    state, found = started(example, Hyperparameters(example.rule), p), []
    for t, gradient in enumerate(example.gradients, 1):
        g = np.asarray(gradient)[which].reshape(shape)
        h = Hyperparameters(example.at(t))
        given = {n: exactly(v) if np.ndim(v) else mpf(float(v)) for n, v in extras(example.rule, g).items()}
        into = (lambda a: a.item()) if example.of == "number" else INTO[example.of]
        vars(h).update({n: into(v) if isinstance(v, np.ndarray) else v for n, v in given.items()})
        shapes = {n: np.shape(v) for n, v in state.items()}
        said = {n: v.item() if not v.shape or example.of == "number" else into(v) for n, v in state.items()}
        p = back(example.paper(into(p), into(exactly(g)), said, t, h), shape)
        state = {n: back(said[n], shapes[n]) for n in shapes}
        found.append(list(p.ravel()))
    return found


def by_refgrad(example: Example) -> list[list[float]]:
    """The numbers after each step, by the rule on NumPy arrays."""
    p = np.asarray(example.start, example.dtype).reshape(example.shape)
    state, found = example.rule.init(p), []
    for t, gradient in enumerate(example.gradients, 1):
        g = np.asarray(gradient, example.dtype).reshape(example.shape)
        p, state = example.at(t).step(p, g, state, **extras(example.rule, g))
        found.append([float(x) for x in p.ravel()])
    return found
