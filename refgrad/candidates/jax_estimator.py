"""JAX: a function of arrays, with a custom_vjp or without, judged by its vector-Jacobian product."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from refgrad.candidates.arguments import parameters_of
from refgrad.candidates.estimator_arguments import Arrays, bind
from refgrad.candidates.faults import stepping
from refgrad.estimators.base import Estimator


def candidate(thing: Any, name: str, options: Mapping[str, Any]) -> JaxEstimator:
    """The candidate that a function is which speaks JAX."""
    return JaxEstimator(name, thing, options)


@dataclass(frozen=True)
class JaxEstimator:
    """A function of JAX arrays as a candidate."""

    name: str
    function: Callable[..., Any]
    options: Mapping[str, Any]

    def start(self, rule: Estimator) -> Callable[[Arrays], dict[str, np.ndarray]]:
        """The function with the rule's hyperparameters."""
        bound = bind(parameters_of(self.function), rule, self.options, self.name)
        order = list(parameters_of(self.function))
        wanted = {a: m for a, m in bound.arrays.items() if m == "x" or m in rule.learned()}

        def call(arrays: Arrays) -> dict[str, np.ndarray]:
            wide = arrays["x"].dtype == np.float64
            with stepping(self.name), jax.enable_x64(wide):
                fixed = {a: jax.numpy.asarray(arrays[m]) for a, m in bound.arrays.items() if a not in wanted}

                def of_wanted(values: Mapping[str, Any]) -> Any:
                    # custom_vjp takes its arguments by position
                    known = {**values, **fixed, **bound.constants}
                    last = max(order.index(n) for n in known if n in order)
                    positional = [known.pop(n) for n in order[: last + 1] if n in known]
                    return self.function(*positional, **known)

                given = {a: jax.numpy.asarray(arrays[m]) for a, m in wanted.items()}
                y, pull = jax.vjp(of_wanted, given)
                (grads,) = pull(jax.numpy.asarray(arrays["cotangent"]))
                results = {"y": np.asarray(y)}
                return {**results, **{f"{m}_grad": np.asarray(grads[a]) for a, m in wanted.items()}}

        return call
