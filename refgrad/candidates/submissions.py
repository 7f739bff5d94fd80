"""Programs in the forms in which tasks for kernels are given, as plain functions on arrays.

Two forms are known by what they are made of, and nothing of anybody's harness is needed: a class such as ``ModelNew`` with a
method ``forward``, made with what the task's ``get_init_inputs`` returns; and a function such as ``custom_kernel`` of one
argument, which holds the task's tensors. A program that imports torch is handed tensors, any other arrays.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from refgrad.candidates.resolve import load, load_module
from refgrad.errors import CandidateError


def model(submission: str, task: str, arguments: Sequence[str]) -> Callable[..., Any]:
    """The forward pass of a model as a function on arrays.

    Args:
        submission: the class, as ``path/to/file.py:ModelNew`` or ``package.module:ModelNew``.
        task: the task's file or module; its ``get_init_inputs()``, if it has one, returns what the class is made with.
        arguments: the names that the arguments of the forward pass stand for, in its order.

    Raises:
        CandidateError: the class cannot be found, or has no method ``forward``.
    """
    cls = load(submission)
    forward = getattr(cls, "forward", None)
    if not isinstance(cls, type) or not callable(forward):
        raise CandidateError(f"{submission} is {cls!r}; legal: a class with a method forward")
    made = cls(*getattr(load_module(task), "get_init_inputs", list)())
    return _on_arrays(made if callable(made) else made.forward, forward, arguments, submission)


def kernel(submission: str, arguments: Sequence[str]) -> Callable[..., Any]:
    """A function of one argument, which holds the task's tensors in their order, as a function on arrays.

    Args:
        submission: the function, as ``path/to/file.py:custom_kernel`` or ``package.module:custom_kernel``.
        arguments: the names that the tensors stand for; one alone is handed as it is.

    Raises:
        CandidateError: the function cannot be found.
    """
    function = load(submission)
    if not callable(function):
        raise CandidateError(f"{submission} is {function!r}; legal: a function of one argument")
    one = len(arguments) == 1
    return _on_arrays(lambda *given: function(given[0] if one else given), function, arguments, submission)


def arrays_of(value: Any) -> Any:
    """Tensors, also within tuples, lists and dicts, as arrays; all else as it is."""
    if isinstance(value, tuple | list):
        return tuple(arrays_of(each) for each in value)
    if isinstance(value, Mapping):
        return {name: arrays_of(each) for name, each in value.items()}
    if any(cls.__module__.partition(".")[0] == "torch" for cls in type(value).__mro__):
        from refgrad.candidates.torch_optimizer import to_array

        return to_array(value)
    return value


def _on_arrays(run: Callable[..., Any], written: Any, arguments: Sequence[str], name: str) -> Callable[..., Any]:
    """A function of arrays by these names that runs a program on its own kind of them.

    Args:
        run: the program.
        written: the function that it consists of.
        arguments: the names.
        name: its target, by which reports call it.
    """
    known = getattr(inspect.unwrap(written), "__globals__", {}).values()
    torch = any(isinstance(v, ModuleType) and v.__name__.partition(".")[0] == "torch" for v in known)

    def submission(*args: Any, **keywords: Any) -> Any:
        given = signature.bind(*args, **keywords).arguments.values()
        return arrays_of(run(*(_tensor(each) if torch else each for each in given)))

    signature = inspect.Signature([inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in arguments])
    submission.__signature__ = signature  # type: ignore[attr-defined]
    submission.__module__, _, submission.__qualname__ = name.rpartition(":")
    return submission


def _tensor(value: Any) -> Any:
    from refgrad.candidates.torch_optimizer import to_tensor

    return to_tensor(value) if isinstance(value, np.ndarray) else value
