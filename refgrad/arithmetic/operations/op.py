"""What an operation is: one record, that says what it means under every arithmetic and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from refgrad.axes import Axes

if TYPE_CHECKING:
    from refgrad.arithmetic.decisions import Decision
    from refgrad.arithmetic.folding import Fold
    from refgrad.arithmetic.operations.scalar_bounds import Pair, Precision

#: how tightly an expression of a formula binds
COMPARE, SUM, PRODUCT, PREFIX, ATOM = range(5)


class Value:
    """Base of what stands for an array without being one: an operation on it is the value's own affair."""

    __slots__ = ()

    def _apply(self, op: str, *args: Any, **attributes: Any) -> Any:
        raise NotImplementedError


class BodyArray(np.ndarray):
    """Base of arrays that know the body that they are in: what an operation gives of one knows it too."""


class Number:
    """Base of numbers that know more than their value."""

    __slots__ = ("value",)
    value: Any


class Writer(Protocol):
    """What an operation writes itself down with, in the words of a dialect.

    Expressions are texts. An operation may set variables of its own, whose names begin with `result`, before it gives the
    expression of its value. ``zero`` and ``one`` are constants of the working dtype.
    """

    #: the working dtype
    kind: str
    #: what the operation's value will be called
    result: str

    def do(self, statement: str) -> None:
        """A statement."""

    def set(self, name: str, value: str, kind: str | None = None) -> str:
        """A variable with a value, of the working dtype unless a type is said; gives its name."""

    def table(self, values: Sequence[float], kind: str | None = None) -> str:
        """The name of a table of constants, which is indexed as arrays are."""

    def index(self, place: str) -> str:
        """A place in a table, which is not negative."""

    def select(self, condition: str, yes: str, no: str) -> str:
        """One of two values."""

    def both(self, a: str, b: str) -> str:
        """True where two conditions are."""

    def either(self, a: str, b: str) -> str:
        """True where one of two conditions is."""

    def negation(self, a: str) -> str:
        """True where a condition is not."""

    def cast(self, kind: str, x: str) -> str:
        """A value as another type."""

    def bits(self, kind: str, x: str, as_kind: str) -> str:
        """The bits of a value of one type as one of another."""

    def number(self, value: float, kind: str | None = None) -> str:
        """A constant, of the working dtype unless a type is said."""

    def plain(self, value: float) -> str:
        """A float64 constant."""

    def call(self, function: str, *args: str, kind: str | None = None) -> str:
        """A function that every dialect has: "sqrt", "abs" or "copysign"."""

    def whole(self, op: str, x: str, result: str | None = None) -> str:
        """The whole number that "rint", "floor" or "ceil" gives."""

    def step(self, x: str, record: Any) -> str:
        """What a function of `refgrad.arithmetic.steps` gives."""


class Symbol(NamedTuple):
    """How formulas write an operation.

    Args:
        shape: "call", "infix", "prefix", "product", "quotient", "power" or "cases".
        text: the sign between its operands in plain text.
        latex: that in LaTeX; of a call, what stands around its operands, as ``%s``.
        binds: how tightly it binds.
        right: how tightly what stands on the right of an infix sign must bind.
    """

    shape: str = "call"
    text: str = ""
    latex: str = ""
    binds: int = ATOM
    right: int = SUM


@dataclass(frozen=True, eq=False)
class OnNumbers:
    """An operation on numbers alone: hyperparameters, the step count, and what is computed of these.

    Args:
        name: what scalar expressions call it; of a function, what Python source calls it too.
        float64: of Python floats.
        bound: of a precision and pairs of a number and a bound, a pair.
        ufuncs: NumPy's functions that mean it.
        infix: Python's sign, if it has one.
        float32: of float32 numbers, where that is not float64's result rounded.
        exact: of mpmath (the module) and its numbers, where it is no operator.
        compares: True of a comparison, whose result is true or false.
    """

    name: str
    float64: Callable[..., Any]
    bound: Callable[..., Pair]
    ufuncs: tuple[np.ufunc, ...] = ()
    infix: str = ""
    float32: Callable[..., Any] | None = None
    exact: Callable[..., Any] | None = None
    compares: bool = False

    def bounded(self, precision: Precision) -> Callable[..., Pair]:
        """The operation on pairs, in a precision."""
        return lambda *pairs: self.bound(precision, *pairs)


@dataclass(frozen=True, eq=False)
class Op:
    """One operation.

    Operands come first, then the attribute if the operation has one: what a reduction runs over, a step function, a grid, or
    how matrices are multiplied.

    Args:
        name: what graphs call it.
        arity: the number of operands; None where there may be more or fewer.
        numpy: of arrays of a working dtype, with the bits that every backend gives.
        exact: of mpmath (the module) and its numbers; of an operation on matrices, `refgrad.arithmetic.exact_matrices` and
            arrays of such numbers. mpmath is not imported by the table.
        error: of `Bounded` values and a `Model`, the value with the bound of this operation by itself; sums and products are
            grouped by the enclosure. Of an operation on matrices: of operands, attribute, what was seen of its result, model
            and the number of axes along which matrices are stacked.
        decide: of `Bounded` values, what it may give of each element, where it decides.
        outcomes: how many results it decides between; 0 where it does not.
        write: of a `Writer` and the names of operands, the expression that gives it in a kernel. Of a selection: of the keys of
            a row, their type and the attribute; the names of the conditions, one an entry.
        function: of an elementary function, its sequence of float64 operations: of float64, and of a float32 widened to it.
        kind: "element", "reduction", "matrix", "selection" or "look-up".
        ufuncs: NumPy's functions that mean it.
        operator: the name of Python's operator, without underscores.
        sketch: of float64 arrays, by NumPy's own functions; by default `numpy`.
        boolean: True if its value is true or false.
        rounds: True if a program may round its result in its own way: an elementary function, or a root.
        attributed: True if it has an attribute.
        axes: of an operation on matrices or a look-up, the axes of its value from those of its operands and its attribute.
        judged: how its results are judged, for the notes of a verdict.
        unique: False if its result has no truth of its own, and is judged by the residuals of what was seen of it.
        fold: of a reduction, how it joins terms.
        scalar: its meaning on numbers alone.
        symbol: how formulas write it.
    """

    name: str
    arity: int | None = None
    numpy: Callable[..., Any] | None = None
    exact: Callable[..., Any] | None = None
    error: Callable[..., Any] | None = None
    decide: Callable[..., Decision] | None = None
    outcomes: int = 0
    write: Callable[..., str] | None = None
    function: tuple[Callable[..., Any], Callable[..., Any]] | None = None
    kind: str = "element"
    ufuncs: tuple[np.ufunc, ...] = ()
    operator: str = ""
    sketch: Callable[..., Any] | None = None
    boolean: bool = False
    rounds: bool = False
    attributed: bool = False
    axes: Callable[[Sequence[Axes], Any], Axes] | None = None
    judged: str = ""
    unique: bool = True
    fold: Fold | None = None
    scalar: OnNumbers | None = None
    symbol: Symbol = field(default_factory=Symbol)

    def __call__(self, *operands: Any, **attributes: Any) -> Any:
        """The operation on arrays and numbers, or on whatever stands for arrays.

        >>> from refgrad.arithmetic.operations.functions import exp
        >>> exp(np.zeros(2, np.float32))
        array([1., 1.], dtype=float32)
        """
        known: type | None = None
        arrays: Sequence[Any] = operands
        for x in operands:  # in one plain loop: a sum of few terms takes no longer than a handful of calls of Python
            if type(x) is np.ndarray:
                continue
            if isinstance(x, Value):
                return x._apply(self.name, *operands, **attributes)
            if isinstance(x, BodyArray):
                known = known or type(x)
            elif isinstance(x, Number):
                arrays = [x.value if isinstance(x, Number) else x for x in operands]
        result = self.on(arrays, *attributes.values())
        return result if known is None else result.view(known)

    def on(self, arrays: Sequence[Any], attribute: Any = None) -> Any:
        """The operation on arrays of a working dtype.

        Args:
            arrays: the operands.
            attribute: that of the node, if the operation has one.
        """
        assert self.numpy is not None, self.name
        return self.numpy(*arrays, attribute) if self.attributed else self.numpy(*arrays)

    def sketched(self, arrays: Sequence[Any], attribute: Any = None) -> Any:
        """The operation on float64 arrays, by NumPy's own functions: fast, without fixed bits.

        Args:
            arrays: the operands.
            attribute: that of the node, if the operation has one.
        """
        return self.in_numpy(*arrays, attribute) if self.attributed else self.in_numpy(*arrays)

    @property
    def in_numpy(self) -> Callable[..., Any]:
        """The operation by NumPy's own functions."""
        function = self.sketch or self.numpy
        assert function is not None, self.name
        return function

    def decided(self, values: Sequence[Any], attribute: Any = None) -> Decision:
        """What the operation may give of values with a bound, where it decides.

        Args:
            values: the operands.
            attribute: that of the node, if the operation has one.
        """
        assert self.decide is not None, f"{self.name} does not decide"
        return self.decide(*values, attribute) if self.attributed else self.decide(*values)

    def in_float64(self, dtype: Any) -> Callable[..., Any]:
        """The sequence of float64 operations of an elementary function, for arguments of a working dtype."""
        assert self.function is not None, self.name
        return self.function[np.dtype(dtype) != np.float64]
