"""A graph, or a body as it stands, on masks of classes: where no program gives a number, and which class it may be of.

A sum that takes in an infinity and takes it out again is NaN as it is written, and a number in programs that leave both out. So
each value knows which of its operands it is made of by sums, products and choices alone: where two operands of a sum share
one that may not be finite, or a quotient has it above and below, the result may be a number.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from refgrad.arithmetic import classes, left_out
from refgrad.arithmetic.classes import ALL_CLASSES, FALSE, NUMBERS, TRUE, Mask
from refgrad.arithmetic.graph import Graph
from refgrad.arithmetic.operations import BOOLEAN, MATRIX, OPERATIONS, REDUCTIONS, UFUNCS
from refgrad.arithmetic.shaped import WRITTEN, Shaped
from refgrad.axes import ONE, places, terms
from refgrad.errors import RefgradError, TraceError

#: what NumPy calls by its own name, although a rule's graph would not have it so
FUNCTIONS_OF_ONE: Mapping[Any, str] = {
    **{op.sketch: op.name for op in OPERATIONS.values() if op.function and op.sketch},
    np.log1p: "log1p",
}
#: operations through which an operand can be told
THROUGH = frozenset({"add", "sub", "mul", "div", "neg", "abs", "maximum", "minimum", "where", "square"})
#: what a body may raise on what stands for an array and is none
UNKNOWN = (RefgradError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
#: numbers that mark operands
_MARKS = itertools.count()
Marks = frozenset[int]
NONE: Marks = frozenset()


class Classed(Shaped):
    """An array of masks of classes.

    ``above`` and ``below`` mark the operands that may not be finite and that it is made of, as factors or terms and as divisors;
    ``plain`` is what it is without a maximum that was taken from it, which a program may leave out before it exponentiates.
    """

    __slots__ = ("above", "below", "boolean", "is_largest", "mask", "plain")

    def __init__(self, mask: Any, above: Marks | None = None, below: Marks = NONE) -> None:
        self.mask = np.asarray(mask, np.uint8)
        finite = not (self.mask & ~NUMBERS).any()
        fresh: Marks = frozenset([next(_MARKS)])
        self.above, self.below = (NONE, NONE) if finite else (fresh if above is None else above, below)
        self.plain: Mask | None = None
        self.is_largest = False
        self.boolean = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.mask.shape

    def rearranged(self, function: Callable[[np.ndarray], np.ndarray]) -> Self:
        """The same classes in other places, where none stands beside what it stood beside."""
        found = type(self)(function(self.mask))
        found.boolean = self.boolean
        return found

    def numbers(self) -> Classed:
        """Truth values as the numbers one and zero; numbers as they are."""
        if not self.boolean:
            return self
        one, zero = (classes.of(np.asarray(number)) for number in (1.0, 0.0))
        return Classed(np.where(self.mask & TRUE, one, 0) | np.where(self.mask & FALSE, zero, 0))

    def __matmul__(self, other: Any) -> Classed:
        return Classed(classes.product(self.mask, lifted(other).mask))

    def __rmatmul__(self, other: Any) -> Classed:
        return Classed(classes.product(lifted(other).mask, self.mask))

    def __bool__(self) -> bool:
        if self.mask.size == 1 and self.mask.item() in (FALSE, TRUE):
            return bool(self.mask.item() == TRUE)
        raise TraceError("a branch depends on classes that are not known")

    def _apply(self, op: str, *args: Any, **attributes: Any) -> Any:
        if op == "length":
            return terms(attributes["over"], self.shape)
        found = [truth(a) if op == "where" and i == 0 else lifted(a) for i, a in enumerate(args)]
        if op not in ("where", "and", "or", "not"):
            found = [each.numbers() for each in found]
        if op in REDUCTIONS:
            return reduced(op, found[0], places(attributes["over"], self.ndim))
        return applied(op, found)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and ufunc is np.matmul:
            return lifted(inputs[0]) @ lifted(inputs[1])
        if method == "__call__" and ufunc in FUNCTIONS_OF_ONE and not kwargs:
            return applied(FUNCTIONS_OF_ONE[ufunc], [lifted(a) for a in inputs])
        if ufunc is np.power or ufunc in UFUNCS:
            return super().__array_ufunc__(ufunc, method, *inputs, **kwargs)
        raise TraceError(f"of numpy.{ufunc.__name__} classes are not known")

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function not in FUNCTIONS:
            raise TraceError(f"of numpy.{function.__name__} classes are not known")
        if isinstance(args[0], Classed) and function not in (np.where, np.any, left_out.surely):
            args = (args[0].numbers(), *args[1:])
        return FUNCTIONS[function](*args, **kwargs)


def lifted(value: Any) -> Classed:
    """A value, or numbers, by their classes."""
    return value if isinstance(value, Classed) else Classed(classes.of(value))


def truth(value: Any) -> Classed:
    """A condition: masks of truth values, or truth values."""
    return value if isinstance(value, Classed) else Classed(np.where(np.asarray(value, bool), TRUE, FALSE))


def applied(op: str, args: Sequence[Classed]) -> Classed:
    """An operation on elements.

    Args:
        op: its name.
        args: its operands; the first of "where" is a condition.
    """
    mask = classes.apply(op, [a.mask for a in args])
    if op in BOOLEAN or op not in THROUGH:
        if op == "exp" and args[0].plain is not None:
            mask = mask | classes.apply("exp", [args[0].plain])
        found = Classed(mask)
        found.boolean = op in BOOLEAN
        return found
    if op not in ("div", "mul"):
        told = args[1:] if op == "where" else args
        above = NONE.union(*(a.above for a in told))
        below = NONE.union(*(a.below for a in told))
        if op in ("add", "sub") and _all(args[0]) & _all(args[1]):
            mask = mask | NUMBERS
        found = Classed(mask, above, below)
        if op == "sub" and args[1].is_largest:
            found.plain = np.broadcast_to(args[0].mask, mask.shape)
        return found
    (a, b), over = args, op == "div"
    up, down = (b.below, b.above) if over else (b.above, b.below)
    if (a.above & down) | (a.below & up):
        mask = mask | NUMBERS
    return Classed(mask, a.above | up, a.below | down)


def _all(value: Classed) -> Marks:
    return value.above | value.below


def reduced(op: str, value: Classed, axes: tuple[int, ...]) -> Classed:
    """A reduction; the largest is known as such.

    Args:
        op: "sum" or "max".
        value: the terms.
        axes: that are folded, and kept with length one.
    """
    found = Classed(classes.folded({"sum": "add", "max": "maximum"}[op], value.mask, axes))
    found.is_largest = op == "max"
    return found


def evaluate(
    graph: Graph, inputs: Mapping[str, Mask], scalars: Sequence[float], observed: Mapping[str, Mask] | None = None
) -> dict[str, Mask]:
    """The classes of each output of a graph.

    Args:
        graph: the graph.
        inputs: masks of the arrays by name.
        scalars: the graph's scalars, in its order.
        observed: by name masks of outputs that were seen, from which others go on.
    """
    values: dict[int, Classed] = {}
    supply, seen = iter(scalars), observed or {}
    names = {node.index: name for name, node in graph.outputs.items()}
    found = {}
    for node in graph.nodes:
        args = [values[a.index] for a in node.args]
        if node.op == "scalar":
            values[node.index] = lifted(next(supply))
        elif node.op == "input":
            values[node.index] = Classed(inputs[node.attribute])
        elif node.op in REDUCTIONS:
            values[node.index] = reduced(node.op, args[0], places(node.attribute, args[0].ndim))
        elif node.op in MATRIX:
            raise TraceError(f"of {node.op} classes are not known")
        elif OPERATIONS[node.op].attributed:
            values[node.index] = Classed(np.full(args[0].shape, ALL_CLASSES))
        else:
            values[node.index] = applied(node.op, args)
        if node.index in names:
            found.update({n: values[node.index].mask for n, each in graph.outputs.items() if each is node})
            name = names[node.index]
            if name in seen and node.op != "input":
                values[node.index] = Classed(seen[name])
    return found


def certain(graph: Graph, scalars: Sequence[Any], of: str, value: float) -> frozenset[str]:
    """The outputs that are no number somewhere where one element of an input is NaN or infinite and all else is a number.

    Args:
        graph: the rule's.
        scalars: the graph's, in its order.
        of: the input's name.
        value: NaN, or an infinity.
    """
    given = {}
    for node in graph.nodes:
        if node.op == "input":
            given[node.attribute] = np.full([1 if axis == ONE else 2 for axis in node.axes], NUMBERS)
    if of not in given:
        return frozenset()
    given[of][..., -1:] = classes.of(np.asarray(value))
    try:
        found = evaluate(graph, given, [float(x) for x in scalars])
    except UNKNOWN:
        return frozenset()
    return frozenset(n for n, mask in found.items() if classes.no_number(mask).any())


def _axes(x: Classed, axis: Any) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis))


def _folding(op: str) -> Callable[..., Classed]:
    def fold(x: Classed, axis: Any = None, keepdims: bool = False) -> Classed:
        axes = _axes(x, axis)
        found = reduced(op, x, axes)
        if keepdims:
            return found
        squeezed = Classed(np.squeeze(found.mask, axes))
        squeezed.is_largest = found.is_largest
        return squeezed

    return fold


_sum, _largest = _folding("sum"), _folding("max")


def _mean(x: Classed, axis: Any = None, keepdims: bool = False) -> Any:
    return applied("div", [_sum(x, axis, keepdims), lifted(2.0)])  # or any positive number


def _variance(x: Classed, axis: Any = None, ddof: int = 0) -> Any:
    centred = x - _mean(x, axis, True)
    return _mean(centred * centred, axis)


def _where(condition: Any, a: Any, b: Any) -> Classed:
    return applied("where", [truth(condition), lifted(a), lifted(b)])


def _dropped(x: Classed, places_: np.ndarray) -> Classed:
    """What may be left out, may be zero."""
    zero = classes.of(np.zeros(()))
    return Classed(np.where(places_, x.mask | zero, x.mask), x.above, x.below) if np.any(places_) else x


def _may_be_less(a: Any, b: Any) -> np.ndarray:
    return _may_be(applied("lt", [lifted(a).numbers(), lifted(b).numbers()]), True)


def _may_be(condition: Classed, truth_: bool) -> np.ndarray:
    return (condition.mask & (TRUE if truth_ else FALSE)) != 0


#: what a body may call besides operations, of which classes are known
FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    np.where: _where,
    np.sum: _sum,
    np.max: _largest,
    np.min: lambda x, *args, **more: -_largest(-x, *args, **more),
    np.mean: _mean,
    np.var: _variance,
    np.clip: WRITTEN[np.clip],
    np.stack: lambda parts, *args: Classed(np.stack([lifted(p).mask for p in parts], *args)),
    np.split: lambda x, count: [x[i * (len(x) // count) : (i + 1) * (len(x) // count)] for i in range(count)],
    np.swapaxes: lambda x, a, b: x.rearranged(lambda y: np.swapaxes(y, a, b)),
    np.broadcast_to: lambda x, shape: x.rearranged(lambda y: np.broadcast_to(y, shape)),
    np.zeros_like: lambda x: lifted(np.zeros(x.shape)),
    np.ones_like: lambda x: lifted(np.ones(x.shape)),
    np.full_like: lambda x, value: lifted(np.full(x.shape, value)),
    left_out.dropped: _dropped,
    left_out.unsettled: _dropped,
    left_out.surely: _may_be,
    left_out.surely_less: _may_be_less,
    left_out.surely_zero: lambda x: (x.mask & classes.of(np.zeros(()))) != 0,
}
