"""The gate of public functions that are no methods of rules: what each argument may be, by name, and what it becomes.

A record says what an argument may be, as one of `refgrad.legal` says it of a number or a name; here are those of arrays and of
what holds several things. `gated` takes one an argument, so that a function's body sees arrays of known dtypes, in the order of
C, and plain numbers alone, and every function refuses the same kinds of things in the same words.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec, Protocol, TypeVar, cast

import numpy as np

from refgrad.arguments import MOST, function_of_one, number, several
from refgrad.arithmetic.arrays import as_array, plain_array
from refgrad.arithmetic.dtypes import is_float, native
from refgrad.arithmetic.operations.op import Value
from refgrad.arithmetic.perturbed import Perturbed
from refgrad.arithmetic.working import Working
from refgrad.errors import ArgumentError, RefgradError, bad_argument, with_article
from refgrad.float_environment import in_standard
from refgrad.legal import Iterations, Range, Whole, as_whole

#: where a function has its gate
GATE = "_refgrad_gate"

P = ParamSpec("P")
R = TypeVar("R")

#: what numbers of public functions mostly are
REAL, POSITIVE, NOT_NEGATIVE = Range(), Range(0.0), Range(0.0, open_low=False)
#: shares
UNIT = Range(0.0, 1.0, open_low=False, open_high=False)
#: steps of what ends by itself, at most
ITERATIONS = Iterations()
#: counts of steps, words, bits or rows, which enter arithmetic of float64, and the same from one on
COUNT, AT_LEAST_ONE = Whole(0, 2**53), Whole(1, 2**53)
#: axes, of which an array has no more
AXIS = Whole(-64, 63)


class Legal(Protocol):
    """What an argument may be."""

    def check(self, name: str, value: object) -> Any:
        """The value as the function computes with it; `ArgumentError` if it is not legal.

        Args:
            name: what errors call it.
            value: what was handed in.
        """


@dataclass(frozen=True)
class Numbers:
    """Numbers as an array of float64: an array of floats or of whole numbers, lists of numbers within one another, a number.

    Args:
        axes: how many axes; None for any number.
        within: where each number lies; NaN and infinities are taken where it is None.
        least: how many there are at least.
        complex: True if complex numbers are taken too; those stay complex.
    """

    axes: int | None = None
    within: Range | None = None
    least: int = 0
    complex: bool = False

    def check(self, name: str, value: object) -> np.ndarray:
        """The numbers.

        Args:
            name: what errors call them.
            value: what was handed in.

        Raises:
            ArgumentError: they are no numbers, have another number of axes, are too few, or lie outside.
        """
        found = _shaped(name, _of_numbers(name, value), self.axes, self.least)
        if self.complex and found.dtype.kind == "c":
            return found.astype(np.complex128)
        if not (is_float(found.dtype) or found.dtype.kind in "iu"):
            raise bad_argument(f"{name}.dtype", str(found.dtype), "floats or whole numbers")
        found = found.astype(np.float64)
        if self.within is not None:
            low, high = self.within.low, self.within.high
            inside = (found > low if self.within.open_low else found >= low) & (
                found < high if self.within.open_high else found <= high
            )
            if not inside.all():
                raise bad_argument(name, float(found[~inside][0]), f"numbers in {self.within}")
        return found


@dataclass(frozen=True)
class Labels:
    """Whole numbers, or truths, as an array of int64, as `Numbers` takes floats.

    Args:
        low, high: the least and the largest that is legal.
        axes: how many axes; None for any number.
        least: how many there are at least.
    """

    low: int
    high: int
    axes: int | None = None
    least: int = 0

    def check(self, name: str, value: object) -> np.ndarray:
        """The whole numbers.

        Args:
            name: what errors call them.
            value: what was handed in.

        Raises:
            ArgumentError: they are none, have another number of axes, are too few, or lie outside.
        """
        found = _shaped(name, _of_numbers(name, value), self.axes, self.least)
        if found.dtype.kind not in "iub":
            raise bad_argument(f"{name}.dtype", str(found.dtype), "whole numbers")
        outside = found[(found < self.low) | (found > self.high)]
        if outside.size:
            raise bad_argument(name, int(outside[0]), f"whole numbers from {self.low} to {self.high}")
        return found.astype(np.int64)


@dataclass(frozen=True)
class Floats:
    """An array of a float dtype, which it keeps.

    Args:
        axes: how many axes; None for any number.
        least: how many numbers there are at least.
    """

    axes: int | None = None
    least: int = 0

    def check(self, name: str, value: object) -> np.ndarray:
        """The array.

        Args:
            name: what errors call it.
            value: what was handed in.

        Raises:
            ArgumentError: it is none, has another number of axes, or too few numbers.
        """
        return _shaped(name, _native(as_array(value, name)), self.axes, self.least)


@dataclass(frozen=True)
class Entries:
    """An array of any dtype of numbers or truths, which it keeps: of codes, words and bits as of floats.

    Args:
        axes: how many axes; None for any number.
        kinds: NumPy's letters of the kinds of dtypes that are legal besides floats.
    """

    axes: int | None = None
    kinds: str = "iub"

    def check(self, name: str, value: object) -> np.ndarray:
        """The array.

        Args:
            name: what errors call it.
            value: what was handed in.

        Raises:
            ArgumentError: it is none, or has another kind of dtype or number of axes.
        """
        found = _native(plain_array(value, name))
        if found.dtype.kind not in self.kinds and not is_float(found.dtype):
            raise bad_argument(f"{name}.dtype", str(found.dtype), "numbers")
        return _shaped(name, found, self.axes, 0)


@dataclass(frozen=True)
class Several:
    """A list, a tuple, or whatever else holds several things in order.

    Args:
        each: what each of them may be.
        least: how many there are at least.
        most: how many there are at most.
        kind: what they are handed on as.
    """

    each: Legal
    least: int = 0
    most: int = MOST
    kind: type = list

    def check(self, name: str, value: object) -> Any:
        """The things as `kind`.

        Args:
            name: what errors call them.
            value: what was handed in.

        Raises:
            ArgumentError: it does not hold several things, too few or too many, or one that is not legal.
        """
        found = several(name, value, "things", most=self.most)
        if len(found) < self.least:
            end = "" if self.most == MOST else f", {self.most} at most"
            raise bad_argument(name, value, f"a sequence of {self.least} at least{end}")
        return self.kind(self.each.check(f"{name}[{i}]", each) for i, each in enumerate(found))


@dataclass(frozen=True)
class OrNone:
    """What may be None too.

    Args:
        other: what else it may be.
    """

    other: Legal

    def check(self, name: str, value: object) -> Any:
        """None, or the other.

        Args:
            name: what errors call it.
            value: what was handed in.
        """
        return None if value is None else self.other.check(name, value)


@dataclass(frozen=True)
class Carried:
    """What stands for an array in a formula, too: it knows by itself what it takes.

    Args:
        other: what an array may be.
    """

    other: Legal

    def check(self, name: str, value: object) -> Any:
        """The value as it is, or the array.

        Args:
            name: what errors call it.
            value: what was handed in.
        """
        return value if _carries(value) else self.other.check(name, value)


def _carries(value: object) -> bool:
    """True of what stands for an array, and of arrays whose operations have errors, or bits of their own."""
    if isinstance(value, np.ndarray):
        return isinstance(value, Perturbed | Working)
    return isinstance(value, Value) or hasattr(type(value), "__array_function__")


@dataclass(frozen=True)
class Of:
    """What is of a type, such as the parts that another function gave.

    Args:
        type: the type.
    """

    type: type

    def check(self, name: str, value: object) -> Any:
        """The value.

        Args:
            name: what errors call it.
            value: what was handed in.

        Raises:
            ArgumentError: it is of another type.
        """
        if not isinstance(value, self.type):
            raise bad_argument(name, value, with_article(self.type.__name__))
        return value


class Function:
    """A function of one argument, no class."""

    def check(self, name: str, value: object) -> Any:
        """The function.

        Args:
            name: what errors call it.
            value: what was handed in.

        Raises:
            ArgumentError: it is none, or cannot be called with one argument.
        """
        return function_of_one(name, value, "one argument")


class AnyNumber:
    """A number, NaN and infinities too."""

    def check(self, name: str, value: object) -> float:
        """The number as a float.

        Args:
            name: what errors call it.
            value: what was handed in.

        Raises:
            ArgumentError: it is none.
        """
        return number(value, name)


def gated(**legal: Legal) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A public function that computes in the standard environment, from what its arguments may be.

    Args:
        legal: for each argument what it may be; what is left to a default is not looked at.

    Returns:
        Decorates the function, which then raises `ArgumentError` for an argument that is not legal, and TypeError, as Python
        does, where one is missing or has a name that there is none of.

    >>> from refgrad.legal import Whole
    >>> double = gated(n=Whole(0))(lambda n: 2 * n)
    >>> double(3)
    6
    """

    def decorated(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            bound = signature.bind(*args, **kwargs)
            for name, value in bound.arguments.items():
                if name in legal:
                    bound.arguments[name] = _checked(legal[name], name, value)
            try:
                with np.errstate(all="ignore"):
                    return function(*bound.args, **bound.kwargs)
            except np.linalg.LinAlgError as error:
                raise ArgumentError(
                    f"{', '.join(bound.arguments)}: {error}; legal: numbers of which it is none"
                ) from error

        setattr(run, GATE, legal)
        return in_standard(run)

    return decorated


def _checked(legal: Legal, name: str, value: object) -> Any:
    """What a value becomes; one that fails while it is looked at, by code of its own, is none that is legal."""
    try:
        return legal.check(name, value)
    except (RefgradError, MemoryError):
        raise
    except Exception as error:
        raise bad_argument(name, value, f"what can be looked at ({type(error).__name__})") from error


def gate_of(function: Callable[..., Any]) -> Mapping[str, Legal] | None:
    """What the arguments of a public function may be; None where it has no gate.

    Args:
        function: the function.

    >>> sorted(gate_of(gated(n=AT_LEAST_ONE)(abs)) or {})
    ['n']
    """
    return cast("Mapping[str, Legal] | None", getattr(function, GATE, None))


def _of_numbers(name: str, value: object) -> np.ndarray:
    """What was handed in as NumPy's own array of whatever dtype that makes."""
    if isinstance(value, np.ndarray | np.generic):
        return _native(plain_array(value, name))
    if isinstance(value, complex):
        return np.asarray(value)
    if not isinstance(value, list | tuple):
        whole = as_whole(value)
        return np.asarray(number(value, name, "numbers") if whole is None else whole)
    try:
        return np.asarray(value)
    except (TypeError, ValueError, OverflowError):
        raise bad_argument(name, value, "numbers in rows of one length") from None


def _native(array: np.ndarray) -> np.ndarray:
    """The same numbers in the byte order of the machine, and in the order of C: NumPy adds in the order of memory."""
    return np.asarray(array, native(array.dtype), order="C")


def _shaped(name: str, array: np.ndarray, axes: int | None, least: int) -> np.ndarray:
    if axes is not None and array.ndim != axes:
        raise bad_argument(f"{name}.ndim", array.ndim, str(axes))
    if array.size < least:
        raise bad_argument(f"{name}.shape", array.shape, f"at least {least} element{'s' if least > 1 else ''}")
    return array
