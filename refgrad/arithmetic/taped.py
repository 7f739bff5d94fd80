"""Values through which a body of arrays of known lengths becomes a tape: what is computed, and from which places.

They do what `FixedBits` does: numbers that meet an array are of its dtype, sums and products of matrices go along refgrad's tree,
sorts are stable. What depends on the numbers themselves, such as a branch, or how many there are of a kind, is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from refgrad.arithmetic.fixed_bits import power
from refgrad.arithmetic.operations import ELEMENTWISE, OPERATIONS
from refgrad.arithmetic.shaped import Shaped
from refgrad.arithmetic.tape import FLOATS, WHOLE, Tape
from refgrad.errors import TraceError

#: what an element is: a float of the working dtype, a whole number, or a truth value
FLOAT, INTEGER, TRUTH = "float", "integer", "truth"
#: operations whose operands, and whose value, are truth values
LOGICAL = frozenset({"and", "or", "not"})
#: operations that whole numbers have, too
OF_WHOLE = frozenset(
    {"add", "sub", "mul", "neg", "lt", "le", "gt", "ge", "eq", "ne", "where", "same", "maximum", "minimum"}
)


def refused(what: str) -> TraceError:
    """The error for what no kernel has."""
    return TraceError(f"{what}, which kernels do not have")


class Taped(Shaped):
    """Stands for an array of a body, by the places of its numbers.

    Args:
        places: where each element lies.
        kind: `FLOAT`, `INTEGER` or `TRUTH`.
        tape: collects what is computed.
    """

    __slots__ = ("kind", "places", "tape")
    #: it stands for an array of any numbers, of which a condition may hold somewhere (`refgrad.arithmetic.left_out`)
    any_numbers = True

    def __init__(self, places: np.ndarray, kind: str, tape: Tape) -> None:
        self.places, self.kind, self.tape = np.asarray(places), kind, tape

    @property
    def memory(self) -> str:
        """Where it lies."""
        return FLOATS if self.kind == FLOAT else WHOLE

    @property
    def dtype(self) -> np.dtype:  # type: ignore[override]
        """As NumPy's."""
        return {FLOAT: self.tape.working, INTEGER: np.dtype(np.int64), TRUTH: np.dtype(bool)}[self.kind]

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.places.shape

    @property
    def read(self) -> tuple[str, np.ndarray]:
        """Its places, as a step reads them."""
        return self.memory, self.places

    def like(self, places: Any, kind: str | None = None) -> Self:
        """Another value of the tape."""
        return type(self)(places, kind or self.kind, self.tape)

    def lifted(self, x: Any) -> Taped:
        """A value of the tape, of whatever stands among its operands."""
        if isinstance(x, Taped):
            return x
        numbers = np.asarray(x)
        kind = {"f": FLOAT, "b": TRUTH, "i": INTEGER, "u": INTEGER}.get(numbers.dtype.kind)
        if kind is None:
            raise refused(f"{x!r} is no number")
        return self.like(self.tape.constant(FLOATS if kind == FLOAT else WHOLE, numbers), kind)

    def as_kind(self, kind: str) -> Taped:
        """The same numbers as another kind of them."""
        if self.kind == kind:
            return self
        if kind == FLOAT:
            return self._step("as_float", [self], FLOAT)
        if kind == TRUTH:
            return self._apply("ne", self, 0)
        if self.kind == TRUTH:
            return self.like(self.places, INTEGER)
        raise refused("floats are made whole numbers")

    def _step(self, op: str, operands: Sequence[Taped], kind: str) -> Taped:
        """One operation on each element."""
        shape = np.broadcast_shapes(*(x.shape for x in operands))
        reads = [(x.memory, np.broadcast_to(x.places, shape)) for x in operands]
        memory = FLOATS if kind == FLOAT else WHOLE
        truth = [x.kind == TRUTH for x in operands]
        return self.like(self.tape.step("element", op, reads, memory, shape, truth), kind)

    def _apply(self, op: str, *args: Any, **attributes: Any) -> Any:
        if op == "square":
            op, args = "mul", (args[0], args[0])
        if attributes or op not in ELEMENTWISE or OPERATIONS[op].attributed:
            raise refused(f"{op} is called")
        values = [self.lifted(x) for x in args]
        if op in LOGICAL:
            return self._step(op, [x.as_kind(TRUTH) for x in values], TRUTH)
        if op == "where":
            return self._chosen(values, args)
        kinds = {x.kind for x in values}
        if FLOAT in kinds or op not in OF_WHOLE:
            values = [x.as_kind(FLOAT) for x in values]
        elif kinds == {TRUTH} and op in ("add", "mul"):  # as NumPy has it
            return self._step("or" if op == "add" else "and", values, TRUTH)
        kind = TRUTH if OPERATIONS[op].boolean else FLOAT if FLOAT in kinds or op not in OF_WHOLE else INTEGER
        return self._step(op, values, kind)

    def _chosen(self, values: Sequence[Taped], given: Sequence[Any]) -> Taped:
        condition, *chosen = values
        plain = [
            isinstance(x, int | float) and not isinstance(x, bool) for x in given[1:]
        ]  # floats, as a body has them
        kinds = {FLOAT if number else x.kind for number, x in zip(plain, chosen, strict=True)}
        kind = FLOAT if FLOAT in kinds else INTEGER if INTEGER in kinds else TRUTH
        return self._step("where", [condition.as_kind(TRUTH), *(x.as_kind(kind) for x in chosen)], kind)

    def filled(self, value: float) -> Self:
        """An array of this shape with one number everywhere."""
        return self.like(np.full(self.shape, self.lifted(value).as_kind(self.kind).places), self.kind)

    def rearranged(self, function: Callable[[np.ndarray], np.ndarray]) -> Self:
        """The same numbers in other places; as of NumPy's arrays, what is assigned to a view is assigned to the array."""
        return self.like(function(self.places))

    def filled_up(self, function: Callable[[np.ndarray], np.ndarray]) -> Self:
        """The same numbers in other places by a function that sets zeros between them."""
        zero = int(self.tape.constant(self.memory, np.zeros(())))
        moved = np.asarray(function(self.places + 1)) - 1
        return self.like(np.where(moved < 0, zero, moved))

    def joined(self, parts: Sequence[Any], function: Callable[[list[np.ndarray]], np.ndarray]) -> Self:
        """The numbers of several arrays in one array."""
        values = [self.lifted(part) for part in parts]
        kinds = {x.kind for x in values}
        kind = FLOAT if FLOAT in kinds else INTEGER if INTEGER in kinds else TRUTH
        return self.like(function([x.as_kind(kind).places for x in values]), kind)

    def astype(self, dtype: Any) -> Taped:
        """The array itself as another kind of numbers; which floats, is the working dtype's to say."""
        return self.as_kind({"f": FLOAT, "b": TRUTH, "i": INTEGER, "u": INTEGER}[np.dtype(dtype).kind])

    def copy(self) -> Taped:
        """As NumPy's."""
        return self.like(self.places.copy())

    def any(self, axis: Any = None, keepdims: bool = False) -> Any:
        """As NumPy's."""
        return np.any(self, axis=axis, keepdims=keepdims)

    def all(self, axis: Any = None, keepdims: bool = False) -> Any:
        """As NumPy's."""
        return np.all(self, axis=axis, keepdims=keepdims)

    def __bool__(self) -> bool:
        raise refused("a branch depends on the values of an array")

    def __float__(self) -> float:
        raise refused("a number of Python's is made of an array")

    __int__ = __index__ = __float__  # type: ignore[assignment]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise refused("a function of another library is called")

    def __floordiv__(self, other: Any) -> Any:
        return np.floor_divide(self, other)

    def __matmul__(self, other: Any) -> Any:
        return np.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return np.matmul(other, self)

    def _power(self, base: Any, exponent: Any) -> Any:
        found = power(base, exponent)
        if found is None:
            raise refused("a power has an exponent that is no half")
        return found

    def in_place(self, value: Taped) -> Taped:
        """The array itself, with other numbers; arrays that share its places share these."""
        self.places[...] = value.as_kind(self.kind).places
        return self


def _in_place(name: str) -> Callable[[Taped, Any], Taped]:
    def change(self: Taped, other: Any) -> Taped:
        found: Taped = getattr(self, f"__{name}__")(other)
        return self.in_place(found)

    return change


for _name in ("add", "sub", "mul", "truediv"):
    setattr(Taped, f"__i{_name}__", _in_place(_name))
