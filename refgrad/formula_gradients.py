"""The backward of a formula: a formula too, whose body is the reverse mode of the one that was written."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic import written_lines
from refgrad.arithmetic.body_mutations import texts_of
from refgrad.arithmetic.reverse import run_backwards
from refgrad.errors import ArgumentError

#: what the gradient of the only result is called where it comes in, and that of an array where it comes out
UPSTREAM, GRADIENT = "grad_output", "grad_{}"


class NoGradient(ArgumentError, AttributeError):
    """A formula was asked for a backward that it does not have."""


class Derived:
    """An attribute of a formula: the formula of its gradient, and on a rule, that with the rule's hyperparameters.

    Args:
        forward: whether the results of the formula come first.
    """

    def __init__(self, forward: bool) -> None:
        self.forward, self.name = forward, ""
        self._made: dict[type, type] = {}

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, rule: Any, owner: Any) -> Any:
        if not owner.shapes:  # the base of formulas
            return self
        if owner not in self._made:
            self._made[owner] = _made(owner, self.name, self.forward)
        made = self._made[owner]
        return made if rule is None else made(**rule.hyperparameters())


def _made(owner: Any, name: str, forward: bool) -> type:
    """The class of a gradient."""
    if not owner.wrt:
        legal = f'the arrays whose gradients are meant, as in @refgrad.formula(..., wrt="{" ".join(owner.shapes)}")'
        raise NoGradient(f"{owner.__name__} has no {name}; legal: {legal}")
    results = result_axes(owner)
    upstreams = {_upstream(result, results): axes for result, axes in results.items()}
    for taken in upstreams.keys() & owner.shapes.keys():
        raise NoGradient(
            f"{owner.__name__} takes an array {taken!r}, as its {name} calls a gradient; legal: another name"
        )
    body = {
        "__module__": owner.__module__,
        "__qualname__": f"{owner.__qualname__}.{name}",
        "__doc__": f"The gradient of {owner.__name__} with respect to {', '.join(owner.wrt)}.",
        "__annotations__": inspect.get_annotations(owner),
        **{number: getattr(owner, number) for number in inspect.get_annotations(owner)},
        "function": staticmethod(functools.wraps(owner.function)(_function(owner, forward))),
        "shapes": {**owner.shapes, **upstreams},
        "lengths": owner.lengths
        | {axis: int(axis) for text in results.values() for axis in text.split() if axis.isdigit()},
        "in_order": True,
        "gradient_of": owner,
        "with_results": forward,
        "result_names": (*(_output(name) for name in results if forward), *map(GRADIENT.format, owner.wrt)),
    }
    return type(f"{owner.__name__}.{name}", (owner.__mro__[1],), body)


def _upstream(result: str, results: Mapping[str, str]) -> str:
    """What the gradient of a result is called."""
    if len(results) == 1:
        return UPSTREAM
    return f"{UPSTREAM}_{result[7:-1]}" if result.startswith("result[") else GRADIENT.format(result)


def _output(result: str) -> str:
    """What a formula's result is called where its gradients come after it."""
    return f"output_{result[7:-1]}" if result.startswith("result[") else "output" if result == "result" else result


def _function(owner: Any, forward: bool) -> Callable[..., Any]:
    def function(*arrays: Any, **numbers: Any) -> dict[str, Any]:
        return gradient(owner(**numbers), arrays, forward)

    return function


def gradient(rule: Any, arrays: Sequence[Any], forward: bool, body: Callable[..., Any] | None = None) -> dict[str, Any]:
    """The gradients of a formula's results.

    Args:
        rule: the formula, with its hyperparameters.
        arrays: those that it takes, then the gradient of each of its results.
        forward: whether its results are given too.
        body: what stands for the formula's body.

    Returns:
        Results if they are asked for, then gradients of the arrays of the formula's ``wrt``, by name.
    """
    own = dict(zip(rule.shapes, arrays, strict=False))
    upstreams = arrays[len(own) :]

    def reached(found: Any) -> list[tuple[Any, Any]]:
        results = list(
            found.values() if isinstance(found, Mapping) else found if isinstance(found, tuple | list) else [found]
        )
        return list(zip(results, upstreams, strict=True))

    found, gradients = run_backwards(body or rule.apply, own, rule.wrt, reached, texts_of(rule))
    results: dict[str, Any] = {}
    if forward:
        if isinstance(found, Mapping):
            results = dict(found)
        elif isinstance(found, tuple | list):
            results = {f"output_{i}": each for i, each in enumerate(found)}
        else:
            results = {"output": found}
    return results | {GRADIENT.format(name): each for name, each in zip(rule.wrt, gradients, strict=True)}


def gradient_lines(rule: Any) -> list[str]:
    """What a derived gradient computes, as assignments in NumPy's words; lengths stand by the names of axes.

    Args:
        rule: the gradient of a formula.
    """
    axes = [axis for axis in rule.lengths if not axis.isdigit()]
    try:
        return _lines(rule, axes, {})
    except written_lines.Unlike:
        held = {axis: LOOPED for axis in axes if _loops(rule, axis)} or dict.fromkeys(axes, LOOPED)
        told = ", ".join(f"{axis} = {length}" for axis, length in held.items())
        return [f"# where {told}: what is computed is another for each length", *_lines(rule, axes, held)]


#: how long an axis is over which a body loops, where its derivation is printed
LOOPED = 3


def _loops(rule: Any, axis: str) -> bool:
    """True if what a gradient computes is another where one axis is longer."""
    held = {other: length for other, length in rule.lengths.items() if other != axis}
    try:
        _lines(rule, [axis], held)
    except written_lines.Unlike:
        return True
    return False


def _lines(rule: Any, axes: Sequence[str], held: Mapping[str, int]) -> list[str]:
    """The assignments, by two runs in which axes have two lengths, but for those that are held at one."""
    runs = []
    for more in (0, 1):
        lengths = {axis: length + more * (i + 1) for i, (axis, length) in enumerate(rule.lengths.items())} | dict(held)
        lengths = {axis: int(axis) if axis.isdigit() else length for axis, length in lengths.items()}
        arrays = rule.drawn(lengths, np.random.Generator(np.random.Philox(0)))
        runs.append((arrays, {axis: lengths[axis] for axis in axes if axis not in held}))
    with np.errstate(all="ignore"):
        return written_lines.lines(rule.apply, runs)


def result_axes(owner: Any) -> dict[str, str]:
    """The axes of a formula's results, by the names that its arrays' axes have.

    Found by running it: an axis of a result that is twice as long where one of the arrays is, is that one.

    Args:
        owner: the formula's class.

    Returns:
        A text for each result, as `Formula.shapes` has it for arrays.

    Raises:
        NoGradient: a result has an axis that is none of the arrays'.
    """
    usual = _result_shapes(owner, {})
    names: dict[str, list[str]] = {result: [str(n) for n in shape] for result, shape in usual.items()}
    for axis, length in owner.lengths.items():
        if axis.isdigit():
            continue
        longer = _result_shapes(owner, {axis: 2 * length})
        for result, shape in usual.items():
            for i, (before, after) in enumerate(zip(shape, longer[result], strict=True)):
                if before != after:
                    names[result][i] = axis if (before, after) == (length, 2 * length) else ""
    for result, found in names.items():
        if not all(found):
            legal = "results whose axes are axes of the arrays, or of one length"
            raise NoGradient(f"{owner.__name__}'s {result} has an axis that none of its arrays has; legal: {legal}")
    return {result: " ".join(found) for result, found in names.items()}


def _result_shapes(owner: Any, lengths: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    known = {**owner.lengths, **lengths}
    found = owner()(*owner().drawn(known, np.random.Generator(np.random.Philox(0))).values())
    if isinstance(found, Mapping):
        return {name: np.shape(x) for name, x in found.items()}
    if isinstance(found, tuple | list):
        return {f"result[{i}]": np.shape(x) for i, x in enumerate(found)}
    return {"result": np.shape(found)}
