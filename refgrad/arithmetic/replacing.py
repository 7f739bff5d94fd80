"""Values through which a rule's body runs as it stands, but for one operation of its text that is replaced by another."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.arithmetic.body_mutations import BodyMutation, place_of, replaced, replacements, texts_of
from refgrad.arithmetic.carrier import Carrier
from refgrad.arithmetic.dtypes import whole_numbers
from refgrad.arithmetic.folding import terms
from refgrad.arithmetic.left_out import dropped, surely, surely_less, surely_zero, unsettled
from refgrad.arithmetic.operations import OPERATIONS, UFUNCS
from refgrad.arithmetic.subgradients import top_k
from refgrad.rule import Rule

#: an operation's name -> what does it to whatever stands for arrays, element by element
BY_ELEMENT: Mapping[str, Callable[..., Any]] = {
    **{op: ufunc for ufunc, op in UFUNCS.items()},
    **{
        op.name: getattr(operator, op.operator)
        for op in OPERATIONS.values()
        if op.operator and op.operator not in ("and", "or")
    },
    "and": operator.and_,
    "or": operator.or_,
    "not": operator.invert,
    "neg": operator.neg,
    "abs": operator.abs,
    "square": lambda x, exponent=2: x**exponent,  # of x**2 both are operands
    "sqrt": np.sqrt,
    "where": np.where,
}
_DO: Mapping[str, Callable[..., Any]] = {
    **BY_ELEMENT,
    "matmul": operator.matmul,
    "solve": np.linalg.solve,
    "cholesky": np.linalg.cholesky,
    "top_k": top_k,
}


@dataclass(eq=False)
class Replacing:
    """One run of a rule's body.

    Attributes:
        rule: whose body.
        mutation: the operation that is replaced, and by what; None to run it as it stands.
        met: filled with every mutation that can be made of the operations that are run; None to leave that.
    """

    rule: Rule
    mutation: BodyMutation | None = None
    met: dict[BodyMutation, None] | None = None

    def __post_init__(self) -> None:
        self._texts = texts_of(self.rule)

    def __call__(self, *arrays: Any) -> Any:
        """What the body gives of arrays, or of what stands for them."""
        return self.of(self.rule.apply, arrays)  # type: ignore[attr-defined]

    def of(self, body: Callable[..., Any], arrays: Sequence[Any]) -> Any:
        """The same of another body, such as a form's."""
        found = body(*(array if whole_numbers(array) else Standing(_own(array), self) for array in arrays))
        if isinstance(found, dict):
            return {name: plain(value) for name, value in found.items()}
        return tuple(map(plain, found)) if isinstance(found, tuple | list) else plain(found)

    def do(self, op: str, function: Callable[..., Any], args: Sequence[Any], how: Mapping[str, Any]) -> Any:
        """One operation, noted in ``met``, or replaced if it is the mutation's."""
        inner = [list(map(plain, arg)) if isinstance(arg, list) else plain(arg) for arg in args]
        place = place_of(op, self._texts)
        moved = _moved(op, args) | _other(op, function, inner, how)
        if self.met is not None:
            self.met |= dict.fromkeys(BodyMutation(place, by) for by in (*replacements(op, inner), *moved))
        if self.mutation is None or place != self.mutation.place:
            return standing(function(*inner, **how), self, (op, inner))
        by = self.mutation.by
        return standing(moved[by]() if by in moved else replaced(self, by, op, inner, how), self)

    def unchanged(self, op: str, *args: Any, **how: Any) -> Any:
        """One operation by name."""
        function = _DO.get(op) or getattr(np, op)
        return function(*args, **how)

    def array(self, values: Any) -> Any:
        """A value of this run."""
        return values

    def operand(self, value: Any) -> Any:
        """A value of this run, with a shape."""
        return np.asarray(value, np.float64) if isinstance(value, int | float) else value


def _own(array: Any) -> Any:
    """An array that a body may write to; what stands for one is its run's already."""
    return array.copy() if isinstance(array, np.ndarray) else array


class Work(Replacing):
    """A run that counts operations, and the elements of what comes of them.

    Attributes:
        ops, size: how many of either.
        names: those of the operations.
        gave: whether what came of the run had elements, which is said by who ran it.
    """

    def __post_init__(self) -> None:
        self.ops, self.size, self.names, self.gave = 0, 0, set[str](), True

    def do(self, op: str, function: Callable[..., Any], args: Sequence[Any], how: Mapping[str, Any]) -> Any:
        """One operation, counted."""
        inner = [list(map(plain, arg)) if isinstance(arg, list) else plain(arg) for arg in args]
        found = function(*inner, **how)
        self.ops, self.size = self.ops + 1, self.size + int(np.size(found))
        self.names.add(op)
        return standing(found, self)


class Losing(Replacing):
    """A run in which numbers below the smallest normal one become zero, as a library's function may lose them."""

    def __post_init__(self) -> None:
        self._texts = ()

    def do(self, op: str, function: Callable[..., Any], args: Sequence[Any], how: Mapping[str, Any]) -> Any:
        """One operation, and what is left of it."""
        inner = [list(map(plain, arg)) if isinstance(arg, list) else plain(arg) for arg in args]
        return standing(_without_subnormals(function(*inner, **how)), self)


def _without_subnormals(found: Any) -> Any:
    if not isinstance(found, np.ndarray | np.floating) or found.dtype.kind != "f":
        return found
    return np.where(np.abs(found) < np.finfo(found.dtype).smallest_normal, found.dtype.type(0.0), found)


#: an operation and what it was done to
Made = tuple[str, Sequence[Any]]


def _moved(op: str, args: Sequence[Any]) -> dict[str, Callable[[], Any]]:
    """An operation with the one before it in another order: a number under a root, or beside it."""
    made = [arg.made for arg in args if isinstance(arg, Standing) and arg.made is not None]
    number = lambda values: next((v for v in values if isinstance(v, int | float)), None)  # noqa: E731
    if op == "sqrt" and made and made[0][0] == "add":
        added = number(made[0][1])
        other = next((v for v in made[0][1] if not isinstance(v, int | float)), None)
        if added and other is not None:
            return {"outside the root": lambda: np.sqrt(other) + added}
    if op == "add" and made and made[0][0] == "sqrt":
        added = number(args)
        if added:
            return {"under the root": lambda: np.sqrt(made[0][1][0] + added)}
    return {}


#: sums along an axis, of which another axis is tried
ALONG = frozenset({"sum", "mean", "var", "cumsum"})


def _other(
    op: str, function: Callable[..., Any], args: Sequence[Any], how: Mapping[str, Any]
) -> dict[str, Callable[[], Any]]:
    """An operation along another axis, or with half of its number."""
    found: dict[str, Callable[[], Any]] = {}
    if op in ALONG and isinstance(how.get("axis"), int) and args[0].ndim > 1:
        count = args[0].ndim
        axis = how["axis"] % count
        other = axis - 1 if axis == count - 1 else axis + 1
        found["over the other axis"] = lambda: function(*args, **{**how, "axis": other})
    if op in ("add", "sub", "mul", "div") and any(isinstance(a, int | float) and a for a in args):
        halved = [a / 2 if isinstance(a, int | float) else a for a in args]
        found["number halved"] = lambda: function(*halved, **how)
    return found


class Standing(Carrier):
    """Stands for an array, or for what stands for one, in a run; ``made`` says by which operation it came, and from what."""

    __slots__ = ("inner", "made", "run")

    def __init__(self, inner: Any, run: Replacing, made: Made | None = None) -> None:
        self.inner, self.run, self.made = inner, run, made

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if not callable(found):
            return standing(found, self.run)
        function = getattr(np, name, None)
        if function is None or name in ("astype", "reshape", "transpose", "copy"):  # numbers in other places
            return lambda *args, **how: standing(found(*map(plain, args), **how), self.run)
        return lambda *args, **how: self.run.do(name, function, [self, *args], how)

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, key: Any) -> Any:
        return standing(self.inner[plain(key)], self.run)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.inner[plain(key)] = plain(value)

    def __bool__(self) -> bool:
        return bool(self.inner)

    def __float__(self) -> float:
        return float(self.inner)

    def __matmul__(self, other: Any) -> Any:
        return self.run.do("matmul", operator.matmul, [self, other], {})

    def __rmatmul__(self, other: Any) -> Any:
        return self.run.do("matmul", operator.matmul, [other, self], {})

    def _power(self, base: Any, exponent: Any) -> Any:
        return self.run.do("square" if exponent == 2 else "power", operator.pow, [base, exponent], {})

    def _apply(self, op: str, *args: Any, **attributes: Any) -> Any:
        if op == "length":
            return terms(attributes["over"], np.shape(plain(args[0])))
        if attributes or op not in _DO:  # one of refgrad's own primitives
            return standing(OPERATIONS[op](*map(plain, args), **attributes), self.run)
        return self.run.do(op, _DO[op], args, {})

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or ufunc is np.isnan:
            return getattr(ufunc, method)(*map(plain, inputs), **kwargs)
        return self.run.do(UFUNCS.get(ufunc, ufunc.__name__), ufunc, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in (np.stack, np.concatenate, np.vstack, np.hstack):
            args = ([plain(part) for part in args[0]], *args[1:])
        if function in (surely, surely_less, surely_zero):  # no operations of a text
            return function(*map(plain, args))
        if function in (dropped, unsettled):
            return standing(function(*map(plain, args)), self.run, self.made)
        return self.run.do(function.__name__, function, args, kwargs)


def plain(value: Any) -> Any:
    """What stands behind a value of a run; any other value as it is."""
    return value.inner if isinstance(value, Standing) else value


def standing(value: Any, run: Replacing, made: Made | None = None) -> Any:
    """A result as a value of a run: arrays and what stands for them; sizes, orders and Python's own as they are.

    Args:
        value: the result.
        run: the run.
        made: the operation that it came by.
    """
    if isinstance(value, list):
        return [standing(each, run) for each in value]
    if isinstance(value, np.ndarray | np.floating):
        stands = value.dtype.kind in "fb"
    else:
        stands = hasattr(type(value), "__array_function__")
    return Standing(value, run, made) if stands else value
