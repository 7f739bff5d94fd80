"""Values through which the body of a formula becomes the graph of a kernel: elements, rows, columns, and folds of these.

A kernel sees an array as a matrix of rows ``i`` and columns ``j`` (`refgrad.axes`). The axes of a formula are dealt out to these:
the first few of its widest array are rows, and the others columns. A value then is one number an element, a row, a column, or one
of all; an array that has some of the rows' axes alone is handed to the kernel repeated. What moves numbers to other places, and
what is a product of matrices, is no part of such a graph, and is said by its name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refgrad.arithmetic import left_out, picking, subgradients
from refgrad.arithmetic.fixed_bits import expit, known, power
from refgrad.arithmetic.graph import Builder, Node
from refgrad.arithmetic.length_numbers import Length, of
from refgrad.arithmetic.operations import ELEMENTWISE
from refgrad.arithmetic.scalar_math import Scope, name
from refgrad.arithmetic.shaped import MOVES, WRITTEN, Shaped, axes_of, mean, variance
from refgrad.arithmetic.stored_places import stored
from refgrad.axes import COLUMN, ELEMENT, ONE, ROW, TENSOR, Axes
from refgrad.errors import TraceError

#: operations whose operands are truth values
LOGICAL = frozenset({"and", "or", "not"})


def refused(what: str) -> TraceError:
    """The error for what no kernel has."""
    return TraceError(f"{what}, which kernels do not have")


def length_name(axis: str) -> str:
    """What expressions of scalars call the length of an axis."""
    return f"length_of_{axis}"


@dataclass
class Frame:
    """What the values of one run share.

    Args:
        lengths: those of the axes, by name, all of them different; in the frame each is a `Length`, if no number fixes it.
        rows: the axes that are rows of the kernel's matrix.
        columns: those that are its columns.
        builder: collects the graph's nodes.
        counted: the axes of which places are asked.
    """

    lengths: dict[str, Any]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    builder: Builder = field(default_factory=lambda: Builder(Scope(), 2))
    counted: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        scope = self.builder.scope
        self.lengths = {
            a: n if a.isdigit() else Length(n, name(length_name(a)), scope) for a, n in self.lengths.items()
        }

    @property
    def every(self) -> tuple[str, ...]:
        """All axes, in the order of the widest array."""
        return self.rows + self.columns

    def products(self) -> list[Length]:
        """The lengths of axes, those of rows, of columns and of all together, and one and two less: degrees of freedom."""
        every: list[Any] = [n for n in self.lengths.values() if isinstance(n, Length)]
        every += [math.prod(self.lengths[a] for a in part) for part in (self.rows, self.columns, self.every) if part]
        of_axes: list[Any] = [n for n in every if isinstance(n, Length)]
        return [n - less for less in range(3) for n in of_axes]

    def axes(self, names: Sequence[str]) -> Axes:
        """The axes in the kernel of an array that has these."""
        own = {name for name in names if name != ONE}
        # of one axis alone, rows or columns are all there is: elements
        known = {frozenset(self.rows): ROW, frozenset(self.columns): COLUMN, frozenset(self.every): ELEMENT}
        return TENSOR if not own else known.get(frozenset(own), ELEMENT)

    def repeats(self, names: Sequence[str]) -> bool:
        """True if an array of some axes is handed to a kernel repeated along others."""
        return self.axes(names) == ELEMENT and {n for n in names if n != ONE} != set(self.every)

    def input(self, name: str, axes: Sequence[str]) -> InRows:
        """An array that the formula takes."""
        return InRows(self.builder.node("input", (), name, self.axes(axes)), tuple(axes), self)

    def places(self, axis: str) -> InRows:
        """The numbers of the places along an axis, which a kernel is handed as an array."""
        self.counted.add(axis)
        return self.input(f"places_of_{axis}", (axis,))

    def widened(self, node: Node) -> Node:
        """The same numbers, one for each element."""
        element = next((n for n in self.builder.nodes if n.op == "input" and n.axes == ELEMENT), None)
        if element is None:
            raise refused("what is folded has not the axes of any array")
        same = self.builder.node("eq", (element, element))
        return node if node.axes == ELEMENT else self.builder.node("where", (same, node, node))


class InRows(Shaped):
    """Stands for an array of a formula's body.

    Args:
        node: its node in the graph.
        axes: the names of its axes, in order; of a place of length one, `refgrad.axes.ONE`.
        frame: what all values share.
    """

    __slots__ = ("axes", "frame", "node")
    #: it stands for an array of any numbers, of which a condition may hold somewhere (`refgrad.arithmetic.left_out`)
    any_numbers = True

    def __init__(self, node: Node, axes: tuple[str, ...], frame: Frame) -> None:
        self.node, self.axes, self.frame = node, axes, frame

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return tuple(1 if name == ONE else self.frame.lengths[name] for name in self.axes)

    def filled(self, value: float) -> Any:
        """An array of this shape with one number everywhere."""
        return InRows(self.frame.builder.lift(of(value)), self.axes, self.frame)

    def rearranged(self, function: Callable[[np.ndarray], np.ndarray]) -> Any:
        """The same numbers with their axes in another order, or with axes of length one, or repeated along an axis."""
        numbers = np.arange(int(self.size)).reshape(self.shape)
        moved = np.asarray(function(numbers))
        names = {length: name for name, length in self.frame.lengths.items()}
        if all(length == 1 or length in names for length in moved.shape):
            axes = tuple(ONE if length == 1 else names[length] for length in moved.shape)
            if len({a for a in axes if a != ONE}) == sum(a != ONE for a in axes) and self._is(numbers, moved, axes):
                return InRows(self.node, axes, self.frame)
        raise refused("numbers are moved to other places, as by a slice")

    def _is(self, numbers: np.ndarray, moved: np.ndarray, axes: tuple[str, ...]) -> bool:
        """True if numbers that were moved are where some axes say."""
        own = [name for name in self.axes if name != ONE]
        if not set(own) <= set(axes):
            return False
        plain = numbers.reshape([self.frame.lengths[name] for name in own])
        ordered = np.transpose(plain, sorted(range(len(own)), key=lambda i: axes.index(own[i])))
        shape = [self.frame.lengths[name] if name in own else 1 for name in axes]
        return bool((ordered.reshape(shape) == moved).all())

    def joined(self, parts: Sequence[Any], function: Callable[[list[np.ndarray]], np.ndarray]) -> Any:
        """Refused: the parts would be other elements."""
        raise refused("arrays are joined")

    def gathered(self, sources: np.ndarray, shape: tuple[int, ...], key: Any = None) -> Any:
        """The gradient of numbers whose axes are in another order, or were repeated."""
        size = math.prod(shape)
        if sources.size == size and (np.sort(sources.ravel()) == np.arange(size)).all():
            back = np.argsort(sources.ravel(), kind="stable")
            return self.rearranged(lambda a: a.ravel()[back].reshape(shape))
        raise refused("numbers are moved to other places, whose gradients are added up")

    def any(self, *args: Any, **how: Any) -> Any:
        """Of a body's own condition nothing is known."""
        raise refused("whether a condition holds anywhere is asked")

    def astype(self, dtype: Any) -> Any:
        """The array itself; of truth values, numbers."""
        return self._number()

    def __bool__(self) -> bool:
        raise refused("a branch depends on the values of an array")

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise refused("a function of another library is called")

    def __getitem__(self, key: Any) -> Any:
        if any(isinstance(part, InRows) for part in (key if isinstance(key, tuple) else (key,))):
            raise refused("numbers are read at labels, but by refgrad.take")
        return super().__getitem__(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise refused("a part of an array is assigned")

    def __matmul__(self, other: Any) -> Any:
        raise refused("matrices are multiplied, by @")

    __rmatmul__ = __matmul__

    def _power(self, base: Any, exponent: Any) -> Any:
        found = power(base, exponent)
        if found is None:
            raise refused("a power has an exponent that is no half")
        return found

    def _number(self) -> InRows:
        """The array; of truth values, ones and zeros."""
        return np.where(self, 1.0, 0.0) if self.node.is_boolean else self  # type: ignore[return-value, call-overload]

    def _apply(self, op: str, *args: Any, **attributes: Any) -> Any:
        if op == "square":
            return self._apply("mul", args[0], args[0])
        if attributes or op not in ELEMENTWISE:
            raise refused(f"{op} is called")
        values = [self._operand(x, op, place) for place, x in enumerate(args)]
        node = self.frame.builder.node(op, tuple(value.node for value in values))
        return InRows(node, _aligned([value.axes for value in values]), self.frame)

    def _operand(self, x: Any, op: str, place: int) -> InRows:
        """An operand: a number of an operation on numbers, and a truth value of one on these."""
        if isinstance(x, np.ndarray) and x.size == 1 and not x.ndim:
            x = x.item()
        if isinstance(x, np.ndarray):
            raise refused("an array is made in the body")
        value = x if isinstance(x, InRows) else InRows(self.frame.builder.lift(of(x)), (), self.frame)
        if op in LOGICAL or (op == "where" and place == 0):
            return value if value.node.is_boolean else value._apply("ne", value, 0.0)
        if value.node.is_boolean and op == "add":
            raise refused("truth values are added, of which NumPy makes truth values")
        return value._number()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs:
            if ufunc is np.power:
                return self._power(*inputs)
            if ufunc in WRITTEN:
                return WRITTEN[ufunc](*inputs)
            if ufunc.__name__ == "expit":
                return expit(inputs[0])
            op = known(ufunc)
            if op is not None:
                return self._apply(op, *inputs)
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        raise refused(f"numpy.{name} is called")

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        for table in (_FUNCTIONS, WRITTEN, MOVES):
            if function in table:
                return table[function](*args, **kwargs)
        module = "numpy" if (getattr(function, "__module__", "") or "").startswith("numpy") else "refgrad"
        raise refused(f"{module}.{function.__name__} is called")


def _aligned(many: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The axes of what is computed element by element."""
    count = max(map(len, many))
    found = []
    for place in zip(*((ONE,) * (count - len(axes)) + axes for axes in many), strict=True):
        names = tuple(dict.fromkeys(name for name in place if name != ONE))
        if len(names) > 1:
            raise refused(f"the axes {' and '.join(names)} meet in one place")
        found.append(names[0] if names else ONE)
    if len(set(found) - {ONE}) < sum(name != ONE for name in found):
        raise refused("an array has an axis twice")
    return tuple(found)


def _folded(op: str, x: InRows, axis: Any, keepdims: bool) -> InRows:
    """An array with some of its axes folded: all rows, all columns, or both."""
    frame, folded = x.frame, axes_of(x, axis)
    names = [x.axes[i] for i in sorted(folded) if x.axes[i] != ONE]
    kept = tuple(ONE if i in folded else name for i, name in enumerate(x.axes))
    axes = kept if keepdims else tuple(name for i, name in enumerate(x.axes) if i not in folded)
    node = x._number().node
    if not names:
        return InRows(node, axes, frame)
    whole = {frame.columns: ("j",), frame.rows: ("i",), frame.every: ELEMENT}
    over = whole.get(tuple(names))
    if over is None:
        raise refused(
            f"a fold is over {', '.join(names)}, beside {', '.join(a for a in frame.every if a not in names)}"
        )
    if not set(over) <= set(node.axes):
        if {name for name in x.axes if name != ONE} != set(
            frame.every
        ):  # one number of each row would be one of each element
            raise refused("one number, repeated along some of the axes alone, is folded")
        node = frame.widened(node)
    return InRows(frame.builder.node(op, (node,), over), axes, frame)


def _sum(x: InRows, axis: Any = None, keepdims: bool = False) -> InRows:
    return _folded("sum", x, axis, keepdims)


def _max(x: InRows, axis: Any = None, keepdims: bool = False) -> InRows:
    return _folded("max", x, axis, keepdims)


def _where(condition: Any, a: Any, b: Any) -> Any:
    like = next(x for x in (condition, a, b) if isinstance(x, InRows))
    return like._apply("where", condition, a, b)


def _largest_shares(x: InRows, axis: tuple[int, ...]) -> Any:
    largest = np.where(x == np.max(x, axis=axis, keepdims=True), 1.0, 0.0)  # type: ignore[call-overload]
    return largest / np.sum(largest, axis=axis, keepdims=True)


def _dropped(x: InRows, places: Any) -> Any:
    return np.where(places & ~(np.abs(x) < math.inf), 0.0, x)  # type: ignore[call-overload]


def _placed(upstream: Any, labels: InRows, count: int) -> Any:
    axis = next(name for name, length in labels.frame.lengths.items() if length == count)
    return np.where(labels[..., None] == labels.frame.places(axis), upstream[..., None], 0.0)  # type: ignore[call-overload]


def _taken(x: InRows, labels: InRows) -> Any:
    at = labels[..., None] == labels.frame.places(x.axes[-1])
    return np.max(np.where(at, x, -math.inf), axis=-1)  # type: ignore[call-overload]


_FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    np.sum: _sum,
    np.max: _max,
    np.min: lambda x, axis=None, keepdims=False: -_max(-x, axis, keepdims),
    np.mean: mean,
    np.var: variance,
    np.where: _where,
    stored: lambda x, place: x,
    picking.take: _taken,
    picking.placed_at: _placed,
    picking.one_hot: lambda labels, count: _placed(labels.filled(1.0), labels, count),
    subgradients.largest_shares: _largest_shares,
    subgradients.between: lambda a, b: 0.5 * a + 0.5 * b,
    left_out.dropped: _dropped,
    left_out.unsettled: lambda x, places: x,
    left_out.surely: lambda condition, truth: condition if truth else ~condition,
    left_out.surely_less: lambda a, b: a < b,
    left_out.surely_zero: lambda x: x == 0.0,
}
