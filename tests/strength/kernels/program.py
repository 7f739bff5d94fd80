"""A program of a formula: right, or with a fault that was planted."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refgrad.arithmetic.dtypes import as_dtype, whole_numbers
from refgrad.examples import formulas as gallery
from refgrad.formulas import Formula

FORMULAS = {n: f for n, f in vars(gallery).items() if isinstance(f, type) and issubclass(f, Formula)}
#: hyperparameters with which each of a formula's terms shows
SETTINGS: Mapping[str, Mapping[str, float]] = {
    "cross_entropy": {"z_loss": 1e-3},
    "cross_entropy_of_labels": {"smoothing": 0.1, "z_loss": 1e-3},
}
BACKWARD = "_backward"
#: where a program is tried
EVERYWHERE, SHAPES, ONE_SHAPE = "everywhere", "shapes", "one shape"


@dataclass(frozen=True)
class Program:
    """A program, and what it claims to be.

    Attributes:
        of: the formula's name in the gallery; with ``_backward`` after it, that of its gradients.
        language: what it is written in, and how it is compiled.
        name: what it does otherwise than others, or its fault.
        function: takes arrays in order, and hyperparameters by name.
        dtype: in which arrays it is tried.
        policy: the family that it belongs to, where it is another than the usual one.
        wrong: whether it has a fault.
        tried: `EVERYWHERE`, in every situation of a verdict; `SHAPES`, on ordinary cases and in a few shapes; `ONE_SHAPE`, as is
            one that is compiled anew for each.
    """

    of: str
    language: str
    name: str
    function: Callable[..., Any]
    dtype: str = "float32"
    policy: Mapping[str, Any] = field(default_factory=dict)
    wrong: bool = False
    tried: str = EVERYWHERE

    @property
    def id(self) -> str:
        """What it is called in the log."""
        return f"{'wrong' if self.wrong else 'right'}, {self.of}, {self.language}, {self.dtype}, {self.name}"

    @property
    def rule(self) -> Any:
        """What it claims to be."""
        return rule_of(self.of)


@functools.cache
def rule_of(name: str) -> Any:
    """The formula of a name, or the formula of its gradients, with hyperparameters that show.

    Args:
        name: as of `Program.of`.
    """
    formula = name.removesuffix(BACKWARD)
    rule = FORMULAS[formula](**SETTINGS.get(formula, {}))
    return rule.backward if name.endswith(BACKWARD) else rule


def written_in(module: Any, language: str, **how: Any) -> Iterator[Program]:
    """The programs of a module: functions whose names are those of formulas, perhaps with two underscores and more words.

    Args:
        module: where they stand.
        language: what they are written in.
        how: further arguments of `Program`.
    """
    for word, function in vars(module).items():
        of, _, name = word.partition("__")
        if inspect.isfunction(function) and of.removesuffix(BACKWARD) in FORMULAS:
            yield Program(of, language, name.replace("_", " ") or "as written", function, **how)


def narrow(function: Callable[..., Any], dtype: str = "bfloat16") -> Callable[..., Any]:
    """A function of float32 as one of narrower arrays, which are widened, and its results rounded once.

    Args:
        function: the function.
        dtype: the narrow one.
    """
    kept = as_dtype(dtype, "dtype")

    @functools.wraps(function)
    def called(*arrays: Any, **numbers: Any) -> Any:
        found = function(*(a if whole_numbers(a) else a.astype(np.float32) for a in arrays), **numbers)
        return (
            tuple(each.astype(kept) for each in found) if isinstance(found, tuple) else np.asarray(found).astype(kept)
        )

    # what a function is handed by name is read of its signature
    called.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return called


def candidate(program: Program) -> Callable[..., Any]:
    """A program as a function of arrays in order and of the hyperparameters that it takes, by name.

    Args:
        program: the program.
    """

    def function(*arrays: Any, **numbers: Any) -> Any:
        return program.function(*arrays, **numbers)

    own = inspect.signature(program.function).parameters
    names = [name for name in program.rule.hyperparameters() if name in own]
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("arrays", inspect.Parameter.VAR_POSITIONAL),
            *(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names),
        ]
    )
    return function


def called(program: Program, arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """What a program makes of arrays, with the hyperparameters of what it claims to be.

    Args:
        program: the program.
        arrays: what it takes, in order.
    """
    taken = inspect.signature(program.function).parameters
    numbers = {n: v for n, v in program.rule.hyperparameters().items() if n in taken}
    with np.errstate(all="ignore"):
        found = program.function(*(a.copy() for a in arrays.values()), **numbers)
    if isinstance(found, Mapping):
        return [np.asarray(each) for each in found.values()]
    return [np.asarray(each) for each in found] if isinstance(found, tuple | list) else [np.asarray(found)]
