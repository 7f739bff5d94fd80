"""Kernels of a formula for arrays of given lengths: its body as a tape, printed in every dialect.

What `refgrad.formula_kernels` has no graph of rows and columns for has one of these: products of matrices, numbers in other
places, sorts, loops over an axis. The text is for the lengths that it was made for, and for no others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from refgrad.arithmetic.tape import FLOATS, Packed, Tape
from refgrad.arithmetic.taped import TRUTH, Taped
from refgrad.arithmetic.taped_functions import of_arrays
from refgrad.backends import tape_text
from refgrad.errors import ArgumentError, TraceError, bad_argument

#: numbers between steps, and terms of all its folds, that a tape has at most
MOST = 1 << 24


class NoFormulaKernel(ArgumentError):
    """A formula has no kernel; the text says which of its operations none has."""


@dataclass(frozen=True, eq=False)
class FormulaTape:
    """A formula as steps for arrays of given lengths.

    Args:
        tape: the steps.
        name: what drivers are called.
        labels: the names of results, as the body has them.
        gives: "one", "several" or "named": what the body returns.
        truth: which results are truth values.
    """

    tape: Packed
    name: str
    labels: tuple[str, ...]
    gives: str
    truth: tuple[bool, ...]

    def text(self, title: Sequence[str], language: str) -> str:
        """The kernels as one text.

        Args:
            title: the first lines of its head.
            language: "c", "numba" or "cuda".
        """
        return tape_text.text(self.tape, self.name, title, language)

    def found(self, results: Sequence[np.ndarray]) -> Any:
        """The results, as the body returns them.

        Args:
            results: what a driver gave, in order.
        """
        every = [(r.astype(bool) if t else r)[()] for r, t in zip(results, self.truth, strict=True)]
        if self.gives == "named":
            return dict(zip(self.labels, every, strict=True))
        return tuple(every) if self.gives == "several" else every[0]

    def in_python(self, compiled: bool = True) -> Callable[..., Any]:
        """The driver, by Numba, or as Python has it.

        Args:
            compiled: False for Python's own steps, one number after the other.
        """
        names: dict[str, Any] = {}
        source = self.text([self.name], "numba")
        if not compiled:
            source = source.replace(
                "from numba import float32, float64, int32, int64, njit, uint8",
                "from numpy import float32, float64, int32, int64, uint8",
            )
            source = source.replace('function = njit(error_model="numpy", fastmath=False)', "function = lambda f: f")
        exec(compile(source, f"<refgrad kernel of {self.name}>", "exec"), names)  # the text was made by this package
        driver = names[self.name]

        def run(*arrays: np.ndarray) -> Any:
            found = driver(*tape_text.arrays_of(self.tape, arrays))
            return self.found(found if isinstance(found, tuple) else (found,))

        return run


def tape_of(rule: Any, given: Mapping[str, np.ndarray], working: np.dtype) -> FormulaTape:
    """The tape of a formula, or of another function of arrays.

    Args:
        rule: the formula, the gradient of one, or a rule of the kind "transform".
        given: arrays by name; their shapes are what the tape is made for.
        working: float32 or float64.

    Raises:
        NoFormulaKernel: it has an operation that kernels do not have; the text says which.

    >>> from refgrad.examples.formulas import linear
    >>> arrays = {"x": np.ones((2, 3)), "weight": np.ones((4, 3)), "bias": np.ones(4)}
    >>> [step.kind for step in tape_of(linear(), arrays, np.dtype(np.float32)).tape.steps]
    ['fold', 'element']
    """
    name = type(rule).__name__
    if rule.kind != "transform" or rule.variant == "opaque" or not rule.by_steps:
        raise NoFormulaKernel(f"{name} has no kernel: it has no steps that kernels could take")
    tape = Tape(np.dtype(working))
    named = {tape_text.free_name(n): a for n, a in given.items()}
    try:
        with np.errstate(all="ignore"):
            found = rule.apply(*of_arrays(tape, named))
        return _with_results(tape, found, name, set(named))
    except (TraceError, ArgumentError) as error:
        raise NoFormulaKernel(f"{name} has no kernel: {error}") from error
    except (TypeError, ValueError, AttributeError, IndexError, NotImplementedError) as error:
        said = f"its body raised {type(error).__name__} ({error}) of what stands for arrays"
        raise NoFormulaKernel(f"{name} has no kernel: {said}") from error


def tape_for(rule: Any, lengths: Mapping[str, int], working: np.dtype) -> FormulaTape:
    """The tape of a formula for axes of some lengths.

    Args:
        rule: the formula, the gradient of one, or a rule of the kind "transform".
        lengths: how long axes are; of an axis that is not there, what the rule has for it (`Formula.lengths`).
        working: float32 or float64.

    Raises:
        ArgumentError: an axis is none of the rule's.
        NoFormulaKernel: it has an operation that kernels do not have; the text says which.
    """
    known = dict(rule.lengths)
    for axis in lengths:
        if axis not in known or axis.isdigit():
            raise bad_argument(
                "lengths", axis, f"axes of {type(rule).__name__}: {', '.join(a for a in known if not a.isdigit())}"
            )
    every = {axis: int(axis) if axis.isdigit() else n for axis, n in {**known, **lengths}.items()}
    given = rule.drawn(every, np.random.Generator(np.random.Philox(0)))
    return tape_of(rule, given, working)


@lru_cache(maxsize=64)
def _driver(rule: Any, shapes: tuple[tuple[str, tuple[int, ...], str], ...], working: np.dtype) -> Callable[..., Any]:
    return tape_of(rule, {name: np.zeros(shape, kind) for name, shape, kind in shapes}, working).in_python()


def run(rule: Any, given: Mapping[str, np.ndarray], working: np.dtype) -> Any:
    """What a formula makes of arrays, by Numba: compiled for their lengths.

    Args:
        rule: the formula.
        given: its arrays, by name.
        working: float32 or float64.

    Raises:
        NoFormulaKernel: it has an operation that kernels do not have.
    """
    shapes = tuple((name, a.shape, a.dtype.str) for name, a in given.items())
    return _driver(rule, shapes, working)(*given.values())


def _with_results(tape: Tape, found: Any, name: str, taken: set[str]) -> FormulaTape:
    if isinstance(found, Mapping):
        gives, several = "named", {str(n): x for n, x in found.items()}
    elif isinstance(found, tuple | list):
        gives, several = "several", {f"result[{i}]": x for i, x in enumerate(found)}
    else:
        gives, several = "one", {"result": found}
    results: dict[str, tuple[str, np.ndarray]] = {}
    truth = list[bool]()
    like = next((x for x in several.values() if isinstance(x, Taped)), None)
    if like is None:
        raise TraceError("no result is computed from arrays, which kernels do not have")
    for label, x in several.items():
        value = like.lifted(x)
        own = tape_text.free_name(label.replace("[", "_").replace("]", ""))
        while own in taken:
            own += "_given"
        taken.add(own)
        known = any(m == value.memory and p.size and p.flat[0] == value.places.flat[0] for m, p in results.values())
        if known or not tape.writes(value.memory, value.places):
            value = value._step("same", [value], value.kind)
        results[own] = (value.memory, value.places)
        truth.append(value.kind == TRUTH)
    sizes = sum(max(p.size for _, p in s.reads) for s in tape.steps)
    if sizes > MOST or tape.lengths[FLOATS] > MOST:
        raise TraceError(f"its steps have more than {MOST:,} terms, which kernels do not have")
    own_name = tape_text.free_name(name)
    packed = tape.without_unused(results)
    return FormulaTape(packed, own_name, tuple(several), gives, tuple(truth))
