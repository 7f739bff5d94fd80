"""Reverse mode: a body runs as it stands on values that are recorded, and its gradient is run backwards over the record.

What is recorded are operations on whatever the body was handed: on floats the gradient is a number, on values with a bound an
acceptance set, and on values that are recorded themselves a second derivative.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from refgrad.arithmetic import adjoints, left_out, picking, subgradients
from refgrad.arithmetic.body_mutations import Origin, derived_of
from refgrad.arithmetic.dtypes import whole_numbers
from refgrad.arithmetic.left_out import NONE, Marks, Receives
from refgrad.arithmetic.operations import OPERATIONS, UFUNCS
from refgrad.arithmetic.operations.op import Value
from refgrad.arithmetic.replacing import BY_ELEMENT
from refgrad.arithmetic.shaped import MOVES, WRITTEN, Shaped, axes_of, checked_spec, mean, variance
from refgrad.arithmetic.stored_places import stored
from refgrad.errors import TraceError

_DO: Mapping[str, Callable[..., Any]] = {**BY_ELEMENT, "xor": operator.xor}
_LEVELS = itertools.count()


class Entry(NamedTuple):
    """One operation of a record.

    Attributes:
        shape: that of its value.
        parents: for each operand that is recorded, its entry's number, and what it receives of the value's gradient.
        origin: where in the body's text it stands.
    """

    shape: tuple[int, ...]
    parents: Sequence[tuple[int, Receives]]
    origin: Origin | None = None


class Record:
    """The operations of one run of a body.

    Args:
        texts: where the body's text stands, so that an operation of the gradient can be said by its place; none to leave that.
    """

    def __init__(self, texts: tuple[str, ...] = ()) -> None:
        self.level, self.texts, self.entries = next(_LEVELS), texts, list[Entry]()

    def variable(self, inner: Any) -> Recorded:
        """A value of which a gradient is asked."""
        self.entries.append(Entry(adjoints.shape_of(inner), ()))
        return Recorded(inner, self, len(self.entries) - 1)

    def noted(self, inner: Any, receives: Sequence[tuple[Any, Receives]]) -> Any:
        """The value of an operation: ``receives`` are operands, each with what it gets of the value's gradient."""
        if isinstance(inner, tuple | list | str):
            return inner
        parents = [(x.entry, get) for x, get in receives if self.has(x) and x.entry is not None]
        if not parents:
            return Recorded(inner, self, None)
        origin = Origin.here(self.texts) if self.texts else None
        self.entries.append(Entry(adjoints.shape_of(inner), parents, origin))
        return Recorded(inner, self, len(self.entries) - 1)

    def has(self, x: Any) -> bool:
        """True of a value of this record."""
        return isinstance(x, Recorded) and x.record is self

    def plain(self, x: Any) -> Any:
        """What stands behind a value of this record; any other as it is."""
        if isinstance(x, list | tuple):
            return type(x)(map(self.plain, x))
        return x.inner if self.has(x) else x

    def gradients(self, outputs: Sequence[tuple[Any, Any]], wanted: Sequence[Recorded]) -> list[Any]:
        """What variables receive.

        Args:
            outputs: values, each with the gradient that reaches it.
            wanted: the variables.

        Returns:
            A gradient for each; zeros where nothing depends on it.
        """
        received: dict[int, Any] = {}
        marks: dict[int, Marks] = {}
        for output, upstream in outputs:
            if self.has(output) and output.entry is not None:
                _receive(received, output.entry, upstream)
                marks[output.entry] = NONE
        for number in range(len(self.entries) - 1, -1, -1):
            entry = self.entries[number]
            if number not in received or not entry.parents:
                continue
            upstream, given = received.pop(number), marks.pop(number)
            with derived_of(entry.origin):
                for parent, get in entry.parents:
                    _receive(received, parent, get.of(upstream, given))
                    own = get.marks(given)
                    marks[parent] = marks[parent].met(own) if parent in marks else own
        return [
            received[x.entry] if x.entry in received else np.zeros_like(x.inner) for x in wanted if x.entry is not None
        ]


def _receive(received: dict[int, Any], number: int, gradient: Any) -> None:
    received[number] = _summed(received[number], gradient) if number in received else gradient


def _summed(received_elsewhere: Any, received_here: Any) -> Any:
    """Two gradients that reach one value."""
    return received_elsewhere + received_here


class Recorded(Shaped):
    """An array, or what stands for one, of which a record is kept.

    Args:
        inner: what stands behind it.
        record: the record.
        entry: the number of the operation that it came by; None of what no gradient reaches.
    """

    __slots__ = ("entry", "inner", "record")

    def __init__(self, inner: Any, record: Record, entry: int | None) -> None:
        self.inner, self.record, self.entry = inner, record, entry

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return tuple(adjoints.shape_of(self.inner))

    @property
    def T(self) -> Any:  # NumPy's name
        """The transpose."""
        return np.transpose(self)

    def reshape(self, *shape: Any) -> Any:
        """As NumPy's."""
        return np.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        """As NumPy's."""
        return np.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def astype(self, dtype: Any) -> Any:
        """The array itself; of truth values, numbers."""
        if self.entry is None and not isinstance(self.inner, Shaped):
            return Recorded(self.inner.astype(dtype), self.record, None)
        if isinstance(self.inner, Shaped):
            self.inner.astype(dtype)  # which refuses to round
        return self

    def copy(self) -> Any:
        """As NumPy's."""
        return np.copy(self)

    def all(self, *args: Any, **how: Any) -> Any:
        """As NumPy's, of truth values."""
        return self.inner.all(*args, **how)

    def any(self, *args: Any, **how: Any) -> Any:
        """As NumPy's, of truth values."""
        return self.inner.any(*args, **how)

    def __bool__(self) -> bool:
        return bool(self.inner)

    def __float__(self) -> float:
        raise TraceError(
            "a number is made of an array, as by float(x), math.sqrt(x), x.item() or where an array of numpy.zeros is filled; "
            "write numpy's functions, and numpy.stack of what is computed"
        )

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if self.entry is None and not isinstance(self.inner, Shaped):  # truth values, and what no gradient reaches
            return np.asarray(self.inner, dtype)
        raise TraceError(
            "numbers are made of an array, as by numpy.asarray or a function of another library; write numpy.stack of arrays, "
            "numpy's functions, refgrad.softmax or refgrad.logsumexp"
        )

    def __getitem__(self, key: Any) -> Any:
        key = self.record.plain(key)
        if isinstance(key, Value):
            return _rows_taken(self, key)
        return self._moved(operator.getitem, (key,), {})

    def __setitem__(self, key: Any, value: Any) -> None:
        record, key = self.record, self.record.plain(key)
        places = np.zeros(self.shape, bool)
        places[key] = True
        inner = np.copy(self.inner)
        inner[key] = record.plain(value)
        shape = adjoints.shape_of(record.plain(value))
        receives = [
            (self._same(), Receives.moved(lambda upstream: np.where(places, 0.0, upstream))),
            (value, Receives.moved(lambda upstream: adjoints.unbroadcast(upstream[key], shape))),
        ]
        found = record.noted(inner, receives)
        self.inner, self.entry = found.inner, found.entry

    def _same(self) -> Recorded:
        return Recorded(self.inner, self.record, self.entry)

    def __matmul__(self, other: Any) -> Any:
        return _matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return _matmul(other, self)

    def rearranged(self, function: Callable[[np.ndarray], np.ndarray]) -> Self:
        """The same numbers in other places."""
        raise TraceError("numbers are moved in a way of which refgrad has no gradient")

    def filled(self, value: float) -> Any:
        """An array of this shape with one number everywhere."""
        return Recorded(np.full_like(self.inner, value), self.record, None)

    def joined(self, parts: Sequence[Any], function: Callable[[list[np.ndarray]], np.ndarray]) -> Any:
        """The numbers of several arrays in one array."""
        raise TraceError("arrays are joined in a way of which refgrad has no gradient")

    def _moved(self, function: Callable[..., Any], args: Sequence[Any], how: Mapping[str, Any]) -> Any:
        """The same numbers in other places, by a function of NumPy's."""
        record, shape = self.record, self.shape
        inner = function(self.inner, *args, **how)
        if self.entry is None:
            return Recorded(inner, record, None)
        numbers = np.arange(1, int(self.size) + 1).reshape(shape)  # zero is a number that was not there, as of a pad
        sources = np.asarray(function(numbers, *args, **how)) - 1
        key = args[0] if function is operator.getitem else None
        receives = Receives.moved(lambda upstream: adjoints.gathered(upstream, sources, shape, key))
        return record.noted(inner, [(self, receives)])

    def _power(self, base: Any, exponent: Any) -> Any:
        if not isinstance(exponent, int | float | np.number):
            raise TraceError("an exponent is an array; write np.exp(y * np.log(x)) for x**y")
        if exponent in (2, 0.5):
            return self._apply("square" if exponent == 2 else "sqrt", base)
        return _element("power", operator.pow, [base, exponent])

    def _apply(self, op: str, *args: Any, **attributes: Any) -> Any:
        function = _DO.get(op) or (OPERATIONS.get(op) if adjoints.adjoints_of(op, [1.0, *args[1:]]) else None)
        if attributes or function is None:  # one of refgrad's own primitives
            raise TraceError(f"{op} has no gradient in refgrad; what has one is in docs/formula.md")
        return _element(op, function, args)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs:
            raise TraceError(f"numpy.{ufunc.__name__}.{method} with {', '.join(kwargs) or 'arrays'} has no gradient")
        if ufunc is np.matmul:
            return _matmul(*inputs)
        if ufunc is np.power:
            return self._power(*inputs)
        if ufunc in WRITTEN:
            return WRITTEN[ufunc](*inputs)
        return _element(UFUNCS.get(ufunc, ufunc.__name__), ufunc, inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in FUNCTIONS:
            return FUNCTIONS[function](*args, **kwargs)
        if function in JOINED:
            return _joined(function, *args, **kwargs)
        if function in WRITTEN:
            return WRITTEN[function](*args, **kwargs)
        if function in MOVES:
            return args[0]._moved(function, self.record.plain(args[1:]), kwargs)
        raise TraceError(f"numpy.{function.__name__} has no gradient in refgrad; what has one is in docs/formula.md")


def _record_of(args: Sequence[Any]) -> Record:
    """The record of an operation: the one that was begun last, for the values of others are numbers to it."""
    return max((x.record for x in args if isinstance(x, Recorded)), key=lambda record: record.level)


def _element(op: str, function: Callable[..., Any], args: Sequence[Any]) -> Any:
    """An operation on elements, with what its operands receive."""
    record = _record_of(args)
    inner = [record.plain(x) for x in args]
    value = function(*inner)
    if op in adjoints.CONSTANT:
        return record.noted(value, [])
    rules = adjoints.adjoints_of(op, inner)
    if rules is None:
        raise TraceError(f"numpy.{op} has no gradient in refgrad; what has one is in docs/formula.md")

    def received(which: int, rule: adjoints.Adjoint) -> Receives:
        shape, own_shape = adjoints.shape_of(value), adjoints.shape_of(inner[which])

        def reach(ones: np.ndarray) -> Any:
            return adjoints.unbroadcast(np.broadcast_to(ones, shape), own_shape)

        def own(given: Marks) -> Marks:
            return left_out.own_marks(op, which, inner, given.steep)

        def of(upstream: Any, given: Marks) -> Any:
            known = given.through(lambda ones: np.broadcast_to(ones, shape), own(given))
            return adjoints.unbroadcast(known.applied(rule(upstream, value, *inner)), own_shape)

        return Receives(of, lambda given: given.through(reach, own(given)))

    return record.noted(
        value, [(x, received(which, rule)) for which, (x, rule) in enumerate(zip(args, rules, strict=False))]
    )


def _matmul(a: Any, b: Any) -> Any:
    record = _record_of((a, b))
    left, right = record.plain(a), record.plain(b)
    one, other = np.ones(adjoints.shape_of(left)), np.ones(adjoints.shape_of(right))

    def received(which: int) -> Receives:
        return Receives.joined(
            lambda upstream: adjoints.of_matmul(upstream, left, right, which),
            lambda upstream: adjoints.of_matmul(upstream, one, other, which),
        )

    return record.noted(left @ right, [(a, received(0)), (b, received(1))])


def _solve(a: Any, b: Any) -> Any:
    record = _record_of((a, b))
    left, right = record.plain(a), record.plain(b)
    value = np.linalg.solve(left, right)

    def received(which: int) -> Receives:
        return Receives(lambda upstream, given: adjoints.of_solve(upstream, left, value, which), lambda given: NONE)

    return record.noted(value, [(a, received(0)), (b, received(1))])


def _cholesky(a: Any) -> Any:
    inner = a.inner
    value = np.linalg.cholesky(inner)
    receives = Receives(lambda upstream, given: adjoints.of_cholesky(upstream, inner, value), lambda given: NONE)
    return a.record.noted(value, [(a, receives)])


def _einsum(spec: str, *operands: Any, optimize: Any = None) -> Any:
    record = _record_of(operands)
    inner = [record.plain(x) for x in operands]
    spec = checked_spec(spec, inner)
    if any(len(set(names)) < len(names) for names in spec.partition("->")[0].split(",")):
        raise TraceError(f"numpy.einsum is called with {spec!r}, which takes a diagonal; write numpy.diagonal")
    ones = [np.ones(adjoints.shape_of(factor)) for factor in inner]

    def received(which: int) -> Receives:
        return Receives.joined(
            lambda upstream: adjoints.of_einsum(upstream, inner, spec, which),
            lambda upstream: adjoints.of_einsum(upstream, ones, spec, which),
        )

    return record.noted(np.einsum(spec, *inner), [(x, received(which)) for which, x in enumerate(operands)])


def _sum(x: Recorded, axis: Any = None, keepdims: bool = False) -> Any:
    shape, axes = x.shape, axes_of(x, axis)
    value = np.sum(x.inner, axis=axis, keepdims=keepdims)
    return x.record.noted(value, [(x, Receives.moved(lambda upstream: adjoints.spread(upstream, shape, axes)))])


def _largest(x: Recorded, axis: Any = None, keepdims: bool = False, **how: Any) -> Any:
    if how:
        raise TraceError(f"numpy.max with {', '.join(how)} has no gradient in refgrad; write numpy.maximum of it")
    inner = x.inner
    value = np.max(inner, axis=axis, keepdims=keepdims)
    shape, axes = x.shape, axes_of(x, axis)
    receives = Receives.joined(
        lambda upstream: adjoints.of_largest(upstream, inner, axis),
        lambda ones: adjoints.spread(ones, shape, axes),
        lambda: left_out.surely_less(inner, np.max(inner, axis=axes, keepdims=True)),
    )
    return x.record.noted(value, [(x, receives)])


def _smallest(x: Recorded, axis: Any = None, keepdims: bool = False, **how: Any) -> Any:
    return -_largest(-x, axis, keepdims, **how)


def _cumulated(x: Any, axis: int | None = None) -> Any:
    x = np.reshape(x, (-1,)) if axis is None else x
    along = (axis or 0) % x.ndim
    value = np.cumsum(x.inner, axis=along)
    return x.record.noted(value, [(x, Receives.moved(lambda upstream: adjoints.of_cumsum(upstream, along)))])


def _sorted(x: Recorded, axis: int = -1) -> Any:
    inner, along = x.inner, axis % x.ndim
    value = np.sort(inner, axis=along)
    return x.record.noted(
        value, [(x, Receives(lambda upstream, given: adjoints.of_sort(upstream, inner, along), lambda given: NONE))]
    )


def _joined(function: Callable[..., Any], parts: Sequence[Any], *args: Any, **how: Any) -> Any:
    record = _record_of(parts)
    inner = [record.plain(part) for part in parts]
    shapes = [adjoints.shape_of(part) for part in inner]
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    numbers = [np.arange(end - math.prod(shape), end).reshape(shape) for end, shape in zip(ends, shapes, strict=True)]
    sources = np.asarray(function(numbers, *args, **how))

    def received(which: int) -> Receives:
        end, shape = ends[which], shapes[which]
        first = end - math.prod(shape)
        own = np.where((sources >= first) & (sources < end), sources - first, -1)
        return Receives.moved(lambda upstream: adjoints.gathered(upstream, own, shape))

    receives = [(part, received(which)) for which, part in enumerate(parts) if record.has(part)]
    return record.noted(function(inner, *args, **how), receives)


def _stored(x: Recorded, place: str) -> Any:
    return x.record.noted(stored(x.inner, place), [(x, Receives.moved(lambda upstream: upstream))])


def _where(condition: Any, a: Any, b: Any) -> Any:
    return _element("where", np.where, (condition, a, b))


def _taken(x: Any, labels: Any) -> Any:
    """One number of each row, by labels that are no array."""
    record = _record_of((x, labels))
    inner, own = record.plain(x), record.plain(labels)
    count = adjoints.shape_of(inner)[-1]
    receives = Receives.moved(lambda upstream: picking.placed_at(upstream, own, count))
    return record.noted(picking.take(inner, own), [(x, receives)])


def _rows_taken(x: Recorded, labels: Any) -> Any:
    """Rows, by labels that are no array."""
    count = x.shape[0]
    receives = Receives.moved(lambda upstream: picking.rows_added(upstream, labels, count))
    return x.record.noted(x.inner[labels], [(x, receives)])


def _added_by_labels(x: Any, labels: Any, count: int) -> Any:
    record = _record_of((x, labels))
    own = record.plain(labels)
    receives = Receives.moved(lambda upstream: upstream[own])
    return record.noted(picking.segment_sum(record.plain(x), own, count), [(x, receives)])


def _rolled(x: Recorded, shift: Any, axis: Any = None) -> Any:
    back = tuple(-n for n in shift) if isinstance(shift, tuple | list) else -shift
    receives = Receives.moved(lambda upstream: np.roll(upstream, back, axis))
    return x.record.noted(np.roll(x.inner, shift, axis), [(x, receives)])


def _repeated(x: Recorded, repeats: Any, axis: int | None = None) -> Any:
    if not isinstance(repeats, int | np.integer):
        return x._moved(np.repeat, (repeats, axis), {})
    terms: Any = np.reshape(x, (-1,)) if axis is None else x  # type: ignore[call-overload]
    along = (axis or 0) % terms.ndim
    apart = (*terms.shape[: along + 1], int(repeats), *terms.shape[along + 1 :])
    receives = Receives.moved(lambda upstream: np.sum(np.reshape(upstream, apart), axis=along + 1))
    return x.record.noted(np.repeat(terms.inner, repeats, axis=along), [(terms, receives)])


def _tiled(x: Recorded, reps: Any) -> Any:
    counts = tuple(reps) if isinstance(reps, tuple | list) else (reps,)
    counts = (1,) * (x.ndim - len(counts)) + counts
    terms: Any = np.reshape(x, (1,) * (len(counts) - x.ndim) + x.shape)
    apart = tuple(n for pair in zip(counts, terms.shape, strict=True) for n in pair)
    axes = tuple(range(0, len(apart), 2))
    receives = Receives.moved(lambda upstream: np.sum(np.reshape(upstream, apart), axis=axes))
    return x.record.noted(np.tile(terms.inner, counts), [(terms, receives)])


def _constant(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose value no gradient is taken of."""

    def call(*args: Any, **how: Any) -> Any:
        record = _record_of(args)
        return record.noted(function(*map(record.plain, args), **how), [])

    return call


def _order(x: Recorded, **how: Any) -> Any:
    return np.argsort(x.inner, **how)


def _place(function: Callable[..., Any]) -> Callable[..., Any]:
    """The place of the largest or least number, which moves by steps: no gradient goes through it."""
    return lambda x, axis=None, keepdims=False: function(x.inner, axis=axis, keepdims=keepdims)


def _dropped(x: Any, places: np.ndarray) -> Any:
    receives = Receives.moved(lambda upstream: np.where(places, 0.0, upstream), lambda: places)
    return x.record.noted(left_out.dropped(x.inner, places), [(x, receives)])


def _unsorted(x: Any, sorted_: Any, axis: int) -> Any:
    """What `adjoints.of_sort` gives: numbers at the places of others; where those stand does not change with them."""
    record = _record_of((x, sorted_))
    order, numbers = record.plain([x, sorted_])
    receives = Receives(lambda upstream, given: subgradients.resorted(order, upstream, axis=axis), lambda given: NONE)
    return record.noted(subgradients.unsorted(order, numbers, axis=axis), [(sorted_, receives)])


def _resorted(x: Any, numbers: Any, axis: int) -> Any:
    record = _record_of((x, numbers))
    order, inner = record.plain([x, numbers])
    receives = Receives(lambda upstream, given: subgradients.unsorted(order, upstream, axis=axis), lambda given: NONE)
    return record.noted(subgradients.resorted(order, inner, axis=axis), [(numbers, receives)])


#: functions that join arrays
JOINED = frozenset({np.concatenate, np.hstack, np.stack, np.vstack})
FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    np.sum: _sum,
    np.mean: mean,
    np.var: variance,
    np.max: _largest,
    np.min: _smallest,
    np.cumsum: _cumulated,
    np.sort: _sorted,
    np.argsort: _order,
    np.einsum: _einsum,
    np.where: _where,
    np.linalg.solve: _solve,
    np.linalg.cholesky: _cholesky,
    np.argmax: _place(np.argmax),
    np.argmin: _place(np.argmin),
    np.split: MOVES[np.split],
    np.any: lambda x: np.any(x.inner),
    np.ndim: lambda x: x.ndim,
    np.shape: lambda x: x.shape,
    np.size: MOVES[np.size],
    **{function: _constant(function) for function in (np.empty_like, np.zeros_like, np.ones_like, np.full_like)},
    stored: _stored,
    picking.take: _taken,
    picking.one_hot: _constant(picking.one_hot),
    picking.segment_sum: _added_by_labels,
    np.roll: _rolled,
    np.repeat: _repeated,
    np.tile: _tiled,
    subgradients.stop_gradient: _constant(subgradients.stop_gradient),
    subgradients.largest_shares: _constant(subgradients.largest_shares),
    subgradients.top_k: _constant(subgradients.top_k),
    subgradients.unsorted: _unsorted,
    subgradients.resorted: _resorted,
    left_out.dropped: _dropped,
    left_out.unsettled: lambda x, places: x.record.noted(
        left_out.unsettled(x.inner, places), [(x, Receives.moved(lambda upstream: upstream))]
    ),
    left_out.surely: lambda condition, truth: left_out.surely(condition.inner, truth),
    left_out.surely_less: lambda a, b: left_out.surely_less(*_record_of((a, b)).plain([a, b])),
    left_out.surely_zero: lambda x: left_out.surely_zero(x.inner),
    subgradients.between: lambda a, b: 0.5 * a + 0.5 * b,
}


def run_backwards(
    function: Callable[..., Any],
    arrays: Mapping[str, Any],
    wrt: Sequence[str],
    upstreams: Callable[[Any], Sequence[tuple[Any, Any]]],
    texts: tuple[str, ...] = (),
) -> tuple[Any, list[Any]]:
    """A function's value, and the gradient of it.

    Args:
        function: of the arrays, in their order.
        arrays: by name, or what stands for them.
        wrt: the arrays of which a gradient is asked.
        upstreams: of what the function gave, its results, each with the gradient that reaches it.
        texts: where the function's text stands, as `refgrad.arithmetic.body_mutations.texts_of` has it.

    Returns:
        What the function gave, without its record, and a gradient for each of ``wrt``.
    """
    record = Record(texts)
    given = {
        name: record.variable(x) if name in wrt else x if whole_numbers(x) else Recorded(x, record, None)
        for name, x in arrays.items()
    }
    wanted = [Recorded(given[name].inner, record, given[name].entry) for name in wrt]  # a body may write to its arrays
    found = function(*given.values())
    gradients = record.gradients(upstreams(found), wanted)
    if isinstance(found, Mapping):
        return {name: record.plain(x) for name, x in found.items()}, gradients
    return record.plain(found), gradients
