"""Judging programs that were written for a task, by a person or a machine: whatever they try, there is a verdict.

The program is made in a fresh process, where nothing expected of it ever is. The task's own inputs are drawn from a seed that
is drawn when the program has been loaded.
"""

from __future__ import annotations

import dataclasses
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from refgrad.candidates import submissions
from refgrad.candidates.resolve import load_module
from refgrad.errors import ArgumentError, bad_argument
from refgrad.isolation.recipe import Recipe
from refgrad.oracle.engine.verdict import Verdict
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.written import Inputs
from refgrad.oracle.verify import verify
from refgrad.rule import Rule

#: how often a task's inputs are drawn
DRAWS = 3


def verify_model(
    submission: str, rule: Rule, *, task: str, name: str = "ModelNew", arguments: Sequence[str] = (), **keywords: Any
) -> Verdict:
    """Judge a class with a method ``forward`` against a rule, on the inputs of its task.

    Args:
        submission: the file, or the module, that has the class.
        rule: what the task asks for.
        task: its file or module: ``get_inputs()`` returns the arguments of the forward pass, and ``get_init_inputs()``, if it
            has one, those of the class. It is run in this process, and trusted.
        name: of the class; ``Model`` judges the task's own reference, if the submission is the task.
        arguments: what the arguments of the forward pass are, by the rule's names for its arrays; by default those in its order.
        keywords: what `refgrad.verify` takes besides; ``isolate`` is "fresh" and ``seed`` None where nothing is said.

    Returns:
        The verdict.

    Raises:
        CandidateError: the class cannot be found or made.
        ArgumentError: the task has no ``get_inputs``, or others than the rule takes.
    """
    names = list(arguments) or names_of(rule)
    given = {"submission": f"{submission}:{name}", "task": task, "arguments": names}
    draw = _function(task, "get_inputs")
    return _verify(submissions.model, given, rule, names, lambda seed: draw(), keywords)


def verify_kernel(
    submission: str,
    rule: Rule,
    *,
    task: str,
    name: str = "custom_kernel",
    sizes: Mapping[str, Any] | None = None,
    arguments: Sequence[str] = (),
    **keywords: Any,
) -> Verdict:
    """Judge a function of one argument against a rule, on the inputs of its task.

    Args:
        submission: the file, or the module, that has the function.
        rule: what the task asks for.
        task: its file or module: ``generate_input(**sizes, seed=...)`` returns the argument. It is run in this process, and
            trusted.
        name: of the function; ``ref_kernel`` judges the task's own reference, if the submission is the task.
        sizes: further arguments of ``generate_input``.
        arguments: what the tensors are, by the rule's names for its arrays; by default those in its order.
        keywords: what `refgrad.verify` takes besides; ``isolate`` is "fresh" and ``seed`` None where nothing is said.

    Returns:
        The verdict.

    Raises:
        CandidateError: the function cannot be found.
        ArgumentError: the task has no ``generate_input``, or one of other inputs than the rule takes.
    """
    names = list(arguments) or names_of(rule)
    given = {"submission": f"{submission}:{name}", "arguments": names}
    draw = _function(task, "generate_input")
    return _verify(submissions.kernel, given, rule, names, lambda seed: draw(**(sizes or {}), seed=seed), keywords)


def names_of(rule: Rule) -> list[str]:
    """The names of what a rule takes, in its order: a transform's arrays; parameter, gradient, state and step."""
    if rule.kind == "optimizer":
        return ["p", "g", *rule.slots(), "t"]  # type: ignore[attr-defined]
    if rule.kind == "transform":
        return list(rule.shapes)  # type: ignore[attr-defined]
    raise bad_argument("rule", rule, "an optimizer or a transform")


def _function(task: str, name: str) -> Callable[..., Any]:
    found = getattr(load_module(task), name, None)
    if not callable(found):
        raise ArgumentError(f"{task} has no function {name}; legal: the file of a task that has one")
    return found


def _verify(
    adapter: Callable[..., Any],
    given: Mapping[str, Any],
    rule: Rule,
    names: Sequence[str],
    draw: Callable[[int], Any],
    keywords: Mapping[str, Any],
) -> Verdict:
    def cases(seed: int) -> Cases:
        with _seeded(seed):
            drawn = cases_of(rule, names, [draw(seed + i) for i in range(DRAWS)])
        return dataclasses.replace(drawn, seed=seed)

    recipe = Recipe(adapter.__module__, "", adapter.__qualname__, given, lambda: adapter(**given))
    return verify(recipe, rule, inputs=cases, **{"isolate": "fresh", "seed": None, **keywords})


def cases_of(rule: Rule, names: Sequence[str], draws: Sequence[Any]) -> Cases:
    """A task's inputs, drawn several times, as cases; an optimizer takes the first parameter, and the gradients in turn.

    Raises:
        ArgumentError: there are others than the names say.
    """
    drawn = []
    for each in draws:
        values = submissions.arrays_of(each)
        values = values if isinstance(values, tuple) else (values,)
        if len(values) != len(names):
            raise ArgumentError(f"the task has {len(values)} inputs; legal: {len(names)}, for {', '.join(names)}")
        drawn.append({n: np.array(v) for n, v in zip(names, values, strict=True)})
    if rule.kind == "optimizer":
        return Inputs.of(drawn[0]["p"], [each["g"] for each in drawn], drawn[0]["p"].dtype)
    return Cases(drawn, [f"draw {i}" for i in range(len(drawn))])


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """The common generators of random numbers seeded within, and as they were after."""
    torch = sys.modules.get("torch")
    # a task draws from the common generator
    known = random.getstate(), np.random.get_state(), torch.get_rng_state() if torch else None  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    if torch is not None:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(known[0])
        np.random.set_state(known[1])  # noqa: NPY002
        if torch is not None:
            torch.set_rng_state(known[2])
