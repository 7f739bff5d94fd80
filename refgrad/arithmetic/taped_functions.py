"""NumPy's functions of arrays of a tape: folds, products, sorts, reads and writes at places that are computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic import contractions, left_out, picking, subgradients, systems
from refgrad.arithmetic.fixed_bits import expit, known
from refgrad.arithmetic.operations import UFUNCS as OPERATIONS_OF
from refgrad.arithmetic.shaped import MOVES, WRITTEN, axes_of, mean, variance
from refgrad.arithmetic.stored_places import stored
from refgrad.arithmetic.tape import FLOATS, WHOLE, Tape
from refgrad.arithmetic.taped import FLOAT, INTEGER, TRUTH, Taped, refused


class OnTape(Taped):
    """An array of a tape, with NumPy's functions."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        return _read_at(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        _set_at(self, key, value)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **how: Any) -> Any:
        found = (
            self._called(ufunc, inputs) if method == "__call__" and not how else _by_method(ufunc, method, inputs, how)
        )
        return out[0].in_place(found) if out else found

    def _apply(self, op: str, *args: Any, **attributes: Any) -> Any:
        if op in ("sum", "max") and set(attributes) == {"over"}:
            return _named(op, args[0], attributes["over"])
        return super()._apply(op, *args, **attributes)

    def _called(self, ufunc: np.ufunc, inputs: Sequence[Any]) -> Any:
        if ufunc is np.power:
            return self._power(*inputs)
        for table in (_UFUNCS, WRITTEN):
            if ufunc in table:
                return table[ufunc](*inputs)
        if ufunc.__name__ == "expit":
            return expit(inputs[0])
        op = OPERATIONS_OF.get(ufunc) or known(ufunc)
        if op is None:
            raise refused(f"numpy.{ufunc.__name__} is called")
        return self._apply(op, *inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in _ZEROS_BETWEEN:
            return args[0].filled_up(lambda a: function(a, *args[1:], **kwargs))
        for table in (_FUNCTIONS, WRITTEN, MOVES):
            if function in table:
                return table[function](*args, **kwargs)
        module = "numpy" if (getattr(function, "__module__", "") or "").startswith("numpy") else "refgrad"
        raise refused(f"{module}.{function.__name__} is called")


def of_arrays(tape: Tape, given: Mapping[str, np.ndarray]) -> list[OnTape]:
    """What stands for arrays that a body is handed.

    Args:
        tape: collects what is computed.
        given: the arrays by name: their shapes, and whether they hold floats, are looked at.
    """
    kinds = {"f": FLOAT, "i": INTEGER, "u": INTEGER, "b": TRUTH}
    found = []
    for name, array in given.items():
        kind = kinds[array.dtype.kind]
        found.append(OnTape(tape.taken(name, FLOATS if kind == FLOAT else WHOLE, array.shape), kind, tape))
    return found


# ------------------------------------------------------------------------------------------------------- folds


def _folded(op: str, x: OnTape, axis: Any, keepdims: bool, nothing: float) -> OnTape:
    """An array with some of its axes folded along the tree, in their order."""
    axes = sorted(axes_of(x, axis))
    left = [i for i in range(x.ndim) if i not in axes]
    terms = np.transpose(x.places, [*left, *axes])
    shape = tuple(x.shape[i] for i in left)
    count = math.prod(x.shape[i] for i in axes)
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape)) if keepdims else shape
    if count == 0:
        return x.like(np.full(kept, x.lifted(nothing).as_kind(x.kind).places))
    if count == 1:
        return x.like(terms.reshape(kept))
    found = x.tape.step("fold", op, [(x.memory, terms)], x.memory, shape)
    return x.like(found.reshape(kept))


def _sum(x: OnTape, axis: Any = None, keepdims: bool = False) -> OnTape:
    return _folded("sum", _numbers(x), axis, keepdims, 0.0)


def _numbers(x: OnTape) -> OnTape:
    """The array, of which truth values are counted as floats, as a body does."""
    return x.as_kind(FLOAT) if x.kind == TRUTH else x  # type: ignore[return-value]


def _max(x: OnTape, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
    if x.kind == TRUTH:
        raise refused("the largest of truth values is asked")
    found = _folded("max", x, axis, keepdims, -math.inf)
    return found if initial is None else np.maximum(found, initial)


def _named(op: str, x: OnTape, over: Sequence[str]) -> Any:
    """A fold of rows, of columns or of all, as rules of one parameter name it (`refgrad.arithmetic.primitives`)."""
    axes = tuple(range(x.ndim)) if set(over) >= {"i", "j"} else tuple(range(1, x.ndim)) if "j" in over else (0,)
    return {"sum": _sum, "max": _max}[op](x, axes, True)


def _truth(op: str, nothing: bool) -> Callable[..., OnTape]:
    def fold(x: OnTape, axis: Any = None, keepdims: bool = False) -> OnTape:
        return _folded(op, x.as_kind(TRUTH), axis, keepdims, nothing)  # type: ignore[arg-type]

    return fold


_any, _all = _truth("any", False), _truth("all", True)


def _product(a: Any, b: Any) -> OnTape:
    """The product of matrices, or of stacks of them."""
    like = next(x for x in (a, b) if isinstance(x, OnTape))
    left, right = (like.lifted(x).as_kind(FLOAT).places for x in (a, b))
    rows, columns = left[None] if left.ndim == 1 else left, right[:, None] if right.ndim == 1 else right
    gone = tuple(axis for axis, x in ((-2, left), (-1, right)) if x.ndim == 1)
    np.matmul(np.empty(left.shape, bool), np.empty(right.shape, bool))  # which says what does not fit
    one, other = np.broadcast_arrays(rows[..., :, None, :], np.swapaxes(columns, -1, -2)[..., None, :, :])
    shape, count = one.shape[:-1], one.shape[-1]
    if count == 0:
        zero = like.tape.constant(FLOATS, np.zeros(()))
        return OnTape(np.squeeze(np.full(shape, zero), gone), FLOAT, like.tape)
    reads = [(FLOATS, one.reshape(*shape, count)), (FLOATS, other.reshape(*shape, count))]
    return OnTape(np.squeeze(like.tape.step("fold", "sum", reads, FLOATS, shape), gone), FLOAT, like.tape)


def _einsum(spec: str, *operands: Any, **how: Any) -> Any:
    if how or contractions.repeats(spec):
        raise refused(f"numpy.einsum is called with {spec!r}")
    return contractions.contracted(spec, *operands)


# ------------------------------------------------------------------------------------- along an axis, in its order


def _along(kind: str, op: str, x: OnTape, axis: int, memory: str, own: str) -> OnTape:
    """A step on each row along an axis that gives as many numbers."""
    rows = np.moveaxis(x.places, axis, -1)
    found = x.tape.step(kind, op, [x.like(rows).read], memory, rows.shape)
    return x.like(np.moveaxis(found, -1, axis), own)


def _cumsum(x: OnTape, axis: int | None = None) -> OnTape:
    x = _numbers(x)
    x = x if axis is not None else x.reshape(-1)
    return _along("scan", "add", x, axis or 0, FLOATS, FLOAT)


def _order(x: OnTape, axis: int | None = -1, kind: Any = None, stable: Any = None) -> OnTape:
    """The places in which the numbers of each row ascend, NaN last; of equal numbers the first comes first."""
    x = x.reshape(-1) if axis is None else x
    return _along("order", "", x, -1 if axis is None else axis, WHOLE, INTEGER)


def _sorted(x: OnTape, axis: int | None = -1, kind: Any = None) -> OnTape:
    x, axis = (x.reshape(-1), -1) if axis is None else (x, axis)
    return _taken_along(x, _order(x, axis), axis)


def _place(op: str) -> Callable[..., OnTape]:
    def place(x: OnTape, axis: int | None = None, keepdims: bool = False) -> OnTape:
        rows = x.places.reshape(1, -1) if axis is None else np.moveaxis(x.places, axis, -1)
        found = x.tape.step("place", op, [x.like(rows).read], WHOLE, rows.shape[:-1])
        if axis is None:
            return x.like(found.reshape((1,) * x.ndim if keepdims else ()), INTEGER)
        return x.like(np.expand_dims(found, axis) if keepdims else found, INTEGER)

    return place


# --------------------------------------------------------------------------- places that are computed


def _in_a_row(x: OnTape) -> OnTape:
    """The array, whose numbers lie one after the other in its memory."""
    flat = x.places.ravel()
    if flat.size and np.array_equal(flat, np.arange(flat[0], flat[0] + flat.size)):
        return x
    return x._step("same", [x], x.kind)  # type: ignore[return-value]


def _has_computed(key: Any) -> bool:
    return any(isinstance(part, Taped) for part in (key if isinstance(key, tuple) else (key,)))


def _flat_places(x: OnTape, key: Any) -> OnTape:
    """Which number of an array, counted in its order, each element is that a key with computed places takes."""
    parts = [*(key if isinstance(key, tuple) else (key,))]
    if any(isinstance(part, Taped) and part.kind == TRUTH for part in parts):
        raise refused("numbers are taken where a condition holds, as many as there are")
    if Ellipsis in [p for p in parts if not isinstance(p, np.ndarray | Taped)]:
        at = next(i for i, p in enumerate(parts) if p is Ellipsis)
        taken = sum(p is not None and p is not Ellipsis for p in parts)
        parts[at : at + 1] = [slice(None)] * (x.ndim - taken)
    indices = [part for part in parts if isinstance(part, Taped | np.ndarray | list)]
    shape = np.broadcast_shapes(*(np.shape(part) if not isinstance(part, Taped) else part.shape for part in indices))
    plain = [np.zeros(part.shape, int) if isinstance(part, Taped) else part for part in parts]
    base = np.arange(x.size).reshape(x.shape)[tuple(plain)]
    found: Any = x.lifted(base)
    strides = [math.prod(x.shape[i + 1 :]) for i in range(x.ndim)]
    axes = [i for i, part in enumerate(p for p in parts if p is not None)]
    named = [part for part in parts if part is not None]
    first = True
    for axis, part in zip(axes, named, strict=False):
        if isinstance(part, Taped):
            which = _which(x.shape, parts, indices, shape)
            own = (
                np.broadcast_to(part.places, shape).ravel()[which]
                if shape
                else np.broadcast_to(part.places, which.shape)
            )
            part_of: Any = x.like(own, INTEGER)
            found = found + part_of * strides[axis]
            first = False
    assert not first, "a key without computed places was taken for one with them"
    return found


def _which(lengths: Sequence[int], parts: Sequence[Any], indices: Sequence[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Which of the broadcast indices each element is taken by."""
    count, axis, seen = math.prod(shape), 0, False
    made = list[Any]()
    numbers = []
    for part in parts:
        if part is None:
            made.append(part)
            continue
        if any(part is each for each in indices) or isinstance(part, int | np.integer):
            length = 1 if seen or isinstance(part, int | np.integer) else count
            made.append(
                0
                if isinstance(part, int | np.integer)
                else np.zeros(shape, int)
                if seen
                else np.arange(count).reshape(shape)
            )
            seen = seen or not isinstance(part, int | np.integer)
            numbers.append(length)
        else:
            made.append(part)
            numbers.append(lengths[axis])
        axis += 1
    rest = tuple(lengths[axis:])
    first = next(i for i, n in enumerate(p for p in parts if p is not None) if any(n is each for each in indices))
    along = np.arange(count).reshape([-1 if i == first else 1 for i in range(len(numbers) + len(rest))])
    return np.broadcast_to(along, (*numbers, *rest))[tuple(made)]


def _gathered(x: OnTape, flat: Any) -> OnTape:
    """The numbers of an array at places that are computed, counted in its order."""
    held = _in_a_row(x)
    found = x.tape.step("gather", "", [held.read, flat.read], x.memory, flat.shape, [x.kind == TRUTH])
    return x.like(found)


def _read_at(x: OnTape, key: Any) -> OnTape:
    key = tuple(key) if isinstance(key, list) and _has_computed(tuple(key)) else key
    return _gathered(x, _flat_places(x, key)) if _has_computed(key) else x.rearranged(lambda a: a[key])  # type: ignore[return-value]


def _set_at(x: OnTape, key: Any, value: Any) -> None:
    given = x.lifted(value).as_kind(x.kind)
    if isinstance(key, Taped) and key.kind == TRUTH:
        apart = key.reshape(*key.shape, *(1,) * (x.ndim - key.ndim))
        x.in_place(_where(apart, given, x))
    elif _has_computed(key):
        x.in_place(_scattered(x, _flat_places(x, key), given))
    else:
        x.places[key] = given.places


def _scattered(x: OnTape, flat: OnTape, value: Taped) -> OnTape:
    """The array in which some numbers, counted in its order, are others; the last of several stays."""
    numbers = np.broadcast_to(value.places, flat.shape)
    reads = [x.read, flat.read, x.like(numbers).read]
    return x.like(x.tape.step("scatter", "", reads, x.memory, x.shape))


def _along_axis(x: OnTape, places: Any, axis: int) -> OnTape:
    """Which number of an array, counted in its order, each is that places along an axis say."""
    axis %= x.ndim
    shape = tuple(n if i == axis else max(n, x.shape[i]) for i, n in enumerate(places.shape))
    places = np.broadcast_to(places, shape)
    strides = [math.prod(x.shape[i + 1 :]) for i in range(x.ndim)]
    grid = np.indices(shape, sparse=True)
    base = sum(strides[i] * (0 if i == axis else grid[i]) for i in range(x.ndim)) + np.zeros(shape, int)
    return x.lifted(base) + strides[axis] * places  # type: ignore[no-any-return]


def _taken_along(x: OnTape, places: Any, axis: int = -1) -> OnTape:
    if not isinstance(places, Taped):
        return x.rearranged(lambda a: np.take_along_axis(a, places, axis))  # type: ignore[return-value]
    x = x if isinstance(x, OnTape) else places.lifted(x)  # type: ignore[assignment]
    return _gathered(x, _along_axis(x, places, axis))


def _put_along(x: Any, places: Any, values: Any, axis: int = -1) -> None:
    if not isinstance(x, OnTape):
        raise refused("an array of NumPy's own is written to at places that are computed")
    given = x.lifted(values).as_kind(x.kind)
    x.in_place(_scattered(x, _along_axis(x, x.lifted(places), axis), given))


def _taken(x: Any, places: Any, axis: int | None = None) -> OnTape:
    if not isinstance(places, Taped):
        return x.rearranged(lambda a: np.take(a, places, axis))  # type: ignore[no-any-return]
    x = x if isinstance(x, OnTape) else places.lifted(x)
    x, axis = (x.reshape(-1), 0) if axis is None else (x, axis % x.ndim)
    return x[(*(slice(None),) * axis, places)]  # type: ignore[no-any-return]


def _copied_to(to: OnTape, of: Any, where: Any = True) -> None:
    given = to.lifted(of).as_kind(to.kind)
    if isinstance(where, Taped):
        to.in_place(_where(where, given, to))
    else:
        np.copyto(to.places, given.places, where=where)


def _of_few(function: Callable[..., tuple[Any, Any]], name: str) -> Callable[..., Any]:
    """A system that is solved step by step, of few unknowns."""

    def solve(a: Any, *b: Any) -> Any:
        like = next(x for x in (a, *b) if isinstance(x, Taped))
        if not 0 < np.shape(a)[-1] <= systems.MOST:
            raise refused(f"{name} of more than {systems.MOST} unknowns, or of none, is asked")
        return function(*(like.lifted(x).as_kind(FLOAT) for x in (a, *b)))[0]

    return solve


# ------------------------------------------------------------------------------------------------------- labels


def _picked(x: Any, labels: Any) -> Any:
    return x[(*np.indices(labels.shape, sparse=True), labels)]


def _placed(numbers: Any, labels: Any, count: int) -> Any:
    return np.where(labels[..., None] == np.arange(count), numbers[..., None], 0.0)


def _by_segment(x: Any, labels: OnTape, count: int) -> OnTape:
    """The sums of the rows of each label."""
    x = labels.lifted(x).as_kind(FLOAT)
    rows = x.reshape(labels.size, math.prod(x.shape[labels.ndim :]))
    reads = [rows.read, labels.reshape(-1).read]
    found = labels.tape.step("segments", "sum", reads, FLOATS, (count, rows.shape[1]))
    return OnTape(found.reshape(count, *x.shape[labels.ndim :]), FLOAT, labels.tape)


def _rows_added(x: Any, labels: OnTape, count: int) -> Any:
    """The same where every label has as many terms as the most frequent one: zeros, which take the sign off minus zero."""
    found = _by_segment(x, labels, count)
    flat, shape = labels.reshape(-1), (count, *(1,) * (found.ndim - 1))
    each = _folded("sum", (flat == np.arange(count)[:, None]).as_kind(INTEGER), -1, False, 0)  # type: ignore[attr-defined]
    most = _folded("max", each, None, False, 0)
    whole: Any = each == most
    sums: Any = found
    return np.where(whole.reshape(*shape), sums, sums + 0.0)


def _top_k(x: OnTape, count: int) -> OnTape:
    chosen = _order(-x)[..., :count]
    found = x.like(np.full(x.shape, x.lifted(False).places), TRUTH)
    _put_along(found, chosen, True, -1)
    return found


# --------------------------------------------------------------------------------------------- what is written by others


def _unsorted(x: Any, sorted_: Any, axis: int) -> Any:
    found = np.empty_like(sorted_)
    np.put_along_axis(found, np.argsort(x, axis=axis, kind="stable"), sorted_, axis)
    return found


def _where(*args: Any) -> Any:
    if len(args) != 3:
        raise refused("numpy.where gives places")
    like = next(x for x in args if isinstance(x, Taped))
    return like._apply("where", *args)


def _largest_shares(x: OnTape, axis: tuple[int, ...]) -> Any:
    largest = x == np.max(x, axis=axis, keepdims=True)
    return largest / np.sum(largest, axis=axis, keepdims=True)


def _not_finite(x: Any) -> Any:
    return ~(np.abs(x) < math.inf)


def _pieces(x: OnTape, parts: Any, axis: int = 0) -> list[OnTape]:
    every = np.array_split(np.arange(x.shape[axis]), parts)
    return [x.rearranged(lambda a, own=own: np.take(a, own, axis)) for own in every]  # type: ignore[misc]


def _divided(a: Any, b: Any) -> Any:
    like = next(x for x in (a, b) if isinstance(x, Taped))
    return like._apply("div", like.lifted(a).as_kind(FLOAT), like.lifted(b).as_kind(FLOAT))


def _quotient(a: Any, b: Any) -> Any:
    """The whole quotient of whole numbers that are not negative."""
    like = next(x for x in (a, b) if isinstance(x, Taped))
    operands = [like.lifted(x) for x in (a, b)]
    if {x.kind for x in operands} != {INTEGER}:
        raise refused("numpy.floor_divide is called")
    return like._step("quotient", operands, INTEGER)


#: NumPy's functions of elements that refgrad has no operation for
_UFUNCS: Mapping[np.ufunc, Callable[..., Any]] = {
    np.matmul: _product,
    np.floor_divide: _quotient,
    np.isnan: lambda x: x != x,
    np.isfinite: lambda x: np.abs(x) < math.inf,
    np.isinf: lambda x: np.abs(x) == math.inf,
    np.true_divide: _divided,
    np.positive: lambda x: x,
    np.fmax: lambda a, b: np.where(b != b, a, np.where(a != a, b, np.maximum(a, b))),
    np.fmin: lambda a, b: np.where(b != b, a, np.where(a != a, b, np.minimum(a, b))),
}
#: functions that set zeros between numbers
_ZEROS_BETWEEN = frozenset({np.pad, np.tril, np.triu})
_FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    np.sum: _sum,
    np.max: _max,
    np.amax: _max,
    np.min: lambda x, axis=None, keepdims=False: -_max(-x, axis, keepdims),
    np.any: _any,
    np.all: _all,
    np.mean: mean,
    np.var: variance,
    np.where: _where,
    np.einsum: _einsum,
    np.linalg.solve: _of_few(systems.solved, "numpy.linalg.solve"),
    np.linalg.cholesky: _of_few(systems.factor, "numpy.linalg.cholesky"),
    np.cumsum: _cumsum,
    np.sort: _sorted,
    np.argsort: _order,
    np.argmax: _place("max"),
    np.argmin: _place("min"),
    np.take: _taken,
    np.take_along_axis: _taken_along,
    np.put_along_axis: _put_along,
    np.copyto: _copied_to,
    np.array_split: _pieces,
    np.empty_like: lambda x, dtype=None, **how: (x if dtype is None else x.astype(dtype)).filled(0),
    np.zeros_like: lambda x, dtype=None: (x if dtype is None else x.astype(dtype)).filled(0),
    np.ones_like: lambda x, dtype=None: (x if dtype is None else x.astype(dtype)).filled(1),
    np.diff: lambda x, axis=-1: np.swapaxes(
        np.swapaxes(x, axis, -1)[..., 1:] - np.swapaxes(x, axis, -1)[..., :-1], axis, -1
    ),
    stored: lambda x, place: x,
    picking.take: _picked,
    picking.placed_at: _placed,
    picking.one_hot: lambda labels, count: _placed(labels.lifted(np.ones(labels.shape, np.float32)), labels, count),
    picking.segment_sum: _by_segment,
    picking.rows_added: _rows_added,
    subgradients.top_k: _top_k,
    subgradients.largest_shares: _largest_shares,
    subgradients.between: lambda a, b: 0.5 * a + 0.5 * b,
    subgradients.unsorted: _unsorted,
    subgradients.resorted: lambda x, numbers, axis: _taken_along(numbers, np.argsort(x, axis=axis), axis),
    left_out.dropped: lambda x, places: np.where(places & _not_finite(x), 0.0, x),
    left_out.unsettled: lambda x, places: x,
    left_out.surely: lambda condition, truth: condition if truth else ~condition,
    left_out.surely_less: lambda a, b: a < b,
    left_out.surely_zero: lambda x: x == 0.0,
}


def _by_method(ufunc: np.ufunc, method: str, inputs: Sequence[Any], how: Mapping[str, Any]) -> Any:
    """A fold that is asked for as a method of NumPy's function."""
    by: Mapping[Any, Callable[..., Any]] = {np.add: _sum, np.maximum: _max, np.logical_or: _any, np.logical_and: _all}
    if method == "reduce" and ufunc in by and not set(how) - {"axis", "keepdims", "dtype"}:
        return by[ufunc](inputs[0], axis=how.get("axis", 0), keepdims=how.get("keepdims", False))
    if method == "accumulate" and ufunc is np.add:
        return _cumsum(inputs[0], axis=how.get("axis", 0))
    name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
    raise refused(f"numpy.{name} is called" + (f" with {', '.join(how)}" if method == "__call__" else ""))
