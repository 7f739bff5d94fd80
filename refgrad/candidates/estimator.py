"""What can be checked as an estimator: something that is called with arrays and gives a value and gradients.

A torch.autograd.Function class, a torch module or function under autograd, a JAX function (custom_vjp or not), a pair of
NumPy functions ``(forward, backward)``, or an estimator of refgrad. The input goes first; parameters and hyperparameters
go by name. Which framework a plain function speaks is told by what its module has imported.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from refgrad.axes import ELEMENT, axes_shape
from refgrad.candidates.arguments import check_options, parameters_of, with_options
from refgrad.candidates.estimator_arguments import Arrays, Bound, bind, called
from refgrad.candidates.faults import building, check_kept, copies, returned_array, stepping
from refgrad.candidates.frameworks import adapter
from refgrad.candidates.protocol import CandidateFault
from refgrad.candidates.resolve import describe, load
from refgrad.errors import CandidateError, with_article
from refgrad.estimators.base import Estimator

LEGAL = (
    "a torch.autograd.Function class, a torch module or function, a JAX function, a pair of functions "
    "(forward, backward) on NumPy arrays, an estimator of refgrad, or a string 'package.module:name'"
)


class EstimatorCandidate(Protocol):
    """Something that claims to be an estimator."""

    @property
    def name(self) -> str:
        """How reports call it."""

    def start(self, rule: Estimator) -> Callable[[Arrays], dict[str, np.ndarray]]:
        """A function from the rule's arrays by name to ``y``, ``x_grad`` and the learned parameters' gradients by name."""


def resolve(thing: Any, options: Mapping[str, Any]) -> EstimatorCandidate:
    """The candidate that a thing is; `CandidateError` if it is nothing that can be checked as an estimator."""
    name = thing if isinstance(thing, str) else describe_pair(thing)
    thing = load(thing) if isinstance(thing, str) else thing
    if hasattr(thing, "start") and isinstance(getattr(thing, "name", None), str) and not isinstance(thing, type):
        return thing
    shown = with_options(name, options)
    if isinstance(thing, Estimator) or (isinstance(thing, type) and issubclass(thing, Estimator)):
        return Reference(shown, thing, options)
    pair = pair_of(thing)
    if pair is not None:
        return Pair(shown, *pair, options)
    framework = framework_of(thing)
    if framework is not None:
        found: EstimatorCandidate = adapter("estimator", framework).candidate(thing, shown, options)
        return found
    raise CandidateError(f"{name} is {with_article(type(thing).__name__)}; legal: {LEGAL}")


def describe_pair(thing: Any) -> str:
    """How reports call a thing; a pair by its first function."""
    return describe(thing[0]) if isinstance(thing, tuple) and thing else describe(thing)


def framework_of(thing: Any) -> str | None:
    """The framework that a callable belongs to: that of its type, or of what its module has imported."""
    kinds = inspect.getmro(thing if isinstance(thing, type) else type(thing))
    roots = {c.__module__.partition(".")[0] for c in kinds} & {"torch", "jax", "jaxlib"}  # of its type first
    if not callable(thing):
        return None
    if not roots:
        roots = {root for value in _spoken(inspect.unwrap(thing)) for root in _roots(value)}
    for name, framework in (("torch", "torch"), ("jax", "jax"), ("jaxlib", "jax")):
        if name in roots and framework in sys.modules:
            return framework
    if inspect.isroutine(thing):  # it names no framework: methods of its argument may be all that it calls
        return next((f for f in ("torch", "jax") if f in sys.modules), None)
    return None


def _spoken(function: Any) -> list[Any]:
    """What a function refers to: the globals and the enclosing variables that its code names."""
    code = getattr(function, "__code__", None)
    if code is None:
        return []
    codes = [code]
    for each in codes:
        codes.extend(c for c in each.co_consts if inspect.iscode(c))
    names = {name for each in codes for name in each.co_names}
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    return [v for n, v in function.__globals__.items() if n in names] + cells


def _roots(value: Any) -> set[str]:
    """The packages that a value comes from."""
    if inspect.ismodule(value):
        return {value.__name__.partition(".")[0]}
    kinds = inspect.getmro(value if isinstance(value, type) else type(value))
    modules = [getattr(value, "__module__", None), *(c.__module__ for c in kinds)]
    return {m.partition(".")[0] for m in modules if isinstance(m, str)}


def pair_of(thing: Any) -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    """A pair of functions: a tuple, or a thing with attributes ``forward`` and ``backward`` that no framework knows."""
    if isinstance(thing, tuple) and len(thing) == 2 and all(callable(f) for f in thing):
        return thing
    if framework_of(thing) is None and callable(getattr(thing, "forward", None)):
        backward = getattr(thing, "backward", None)
        return (thing.forward, backward) if callable(backward) else None
    return None


def check_outputs(results: Mapping[str, Any], rule: Estimator, arrays: Arrays, name: str) -> dict[str, np.ndarray]:
    """The outputs as arrays of the shapes that the rule gives them; a `CandidateFault` for another shape or dtype."""
    x, axes = arrays["x"], rule.gives()
    found = {}
    for output, value in results.items():
        array = returned_array(value, f"{output} of {name}")
        wanted = axes_shape(axes.get(output, ELEMENT), x.shape)
        if array.shape != wanted:
            if output not in axes or array.size != int(np.prod(wanted)):
                raise CandidateFault("shape", f"{output} of {name} has shape {array.shape}; legal: {wanted}")
            array = array.reshape(wanted)
        if array.dtype != x.dtype:
            raise CandidateFault("dtype", f"{output} of {name} has dtype {array.dtype}; legal: {x.dtype}, that of x")
        found[output] = array
    return found


@dataclass(frozen=True)
class Pair:
    """Two functions on NumPy arrays: ``forward(x, ...)`` gives y, ``backward(g, x, ...)`` the gradients.

    ``backward`` returns the gradient of x, a tuple that goes on with the learned parameters' in the order of its own
    arguments, or a dict by the names of its arguments.
    """

    name: str
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    options: Mapping[str, Any]

    def start(self, rule: Estimator) -> Callable[[Arrays], dict[str, np.ndarray]]:
        """The pair with the rule's hyperparameters."""
        ahead = bind(parameters_of(self.forward), rule, self.options, self.name)
        back = bind(parameters_of(self.backward), rule, self.options, self.name, ("cotangent", "x"))
        learned = [n for n in back.parameters(rule).values() if n in rule.learned()]

        def call(arrays: Arrays) -> dict[str, np.ndarray]:
            handed = copies(arrays)
            with stepping(self.name):
                y = called(self.forward, ahead, handed)
                grads = called(self.backward, back, handed)
            check_kept(handed, arrays, self.name)
            return {"y": y, **self._named(grads, back, learned)}

        return call

    def _named(self, grads: Any, back: Bound, learned: list[str]) -> dict[str, Any]:
        if isinstance(grads, Mapping):
            meanings = {**back.arrays, **{m: m for m in back.arrays.values()}}
            return {f"{meanings.get(n.removesuffix('_grad'), n)}_grad": v for n, v in grads.items()}
        values = list(grads) if isinstance(grads, tuple) else [grads]
        if len(values) > 1 + len(learned):
            raise CandidateFault(
                "structure",
                f"{self.name} returned {len(values)} gradients; legal: x, {', '.join(learned) or 'no other'}",
            )
        return dict(zip(["x_grad", *(f"{n}_grad" for n in learned)], values, strict=False))


@dataclass(frozen=True)
class Reference:
    """An estimator of refgrad; a class takes over the hyperparameters that it shares with the rule it is judged as."""

    name: str
    rule: Estimator | type[Estimator]
    options: Mapping[str, Any]

    def start(self, rule: Estimator) -> Callable[[Arrays], dict[str, np.ndarray]]:
        """The estimator with its kernels."""
        options = {n: v for n, v in self.options.items() if n != "backend"}
        check_options(options, self.rule.legal(), False, self.name)
        with building(self.name):
            if isinstance(self.rule, Estimator):
                mine = self.rule.replace(**options)
            else:
                legal = self.rule.legal()
                shared = {n: v for n, v in rule.hyperparameters().items() if str(legal.get(n)) == str(rule.legal()[n])}
                mine = self.rule(**{**shared, **options})
        backend = str(self.options.get("backend", "auto"))

        def call(arrays: Arrays) -> dict[str, np.ndarray]:
            given: dict[str, Any] = {n: a for n, a in arrays.items() if n in ("x", "cotangent", *mine.handed())}
            with stepping(self.name):
                return mine.both(given.pop("cotangent"), given.pop("x"), backend=backend, **given)

        return call
