"""Arrays of any shape that carry a bound on their error: a transform's body, run as it stands, in the enclosure's arithmetic.

Each operation is charged as in `refgrad.arithmetic.running_error`, sums and products of matrices by the bound for any order.
Where a comparison may go either way, `numpy.where` takes the hull of both sides, and a choice that the body makes by it (an
order, a mask, a branch) is put to the `Explorer`, which is asked again for each of the ways.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

import numpy as np

from refgrad.arithmetic import (
    array_error,
    dtypes,
    infinities,
    left_out,
    nan_choices,
    stored_places,
    subgradients,
)
from refgrad.arithmetic import running_error as bounds
from refgrad.arithmetic.decisions import near
from refgrad.arithmetic.explorer import Explorer
from refgrad.arithmetic.operations import BOOLEAN, OPERATIONS, UFUNCS
from refgrad.arithmetic.running_error import Bounded, Model
from refgrad.arithmetic.shaped import MOVES, WRITTEN, Shaped, axes_of, checked_spec, counted
from refgrad.axes import places, terms
from refgrad.errors import TraceError

#: units in the last place that a library's power may be off by
LIBRARY = 8
#: operations that choose by what they are handed
CHOOSING = BOOLEAN | {"maximum", "minimum", "sign"}


class Ranged(Shaped):
    """An array of centres and bounds."""

    __slots__ = ("explorer", "known", "model")

    def __init__(self, known: Bounded, model: Model, explorer: Explorer) -> None:
        self.known, self.model, self.explorer = known, model, explorer

    def of(self, known: Bounded) -> Self:
        """Another value of the same run."""
        return type(self)(infinities.settled(known), self.model, self.explorer)

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        shape = np.shape(self.known.value)
        if (
            self.known.error is None or np.shape(self.known.error) == shape
        ):  # which is asked of every operation of a loop
            return shape
        return np.broadcast_shapes(shape, np.shape(self.known.error))

    def rearranged(self, function: Callable[[np.ndarray], np.ndarray]) -> Self:
        """The same numbers in other places."""
        shape = self.shape
        value = function(np.broadcast_to(self.known.value, shape))
        error = None if self.known.error is None else function(np.broadcast_to(self.known.error, shape))
        return self.of(Bounded(value, error))

    def joined(self, parts: Sequence[Any], function: Callable[[list[np.ndarray]], np.ndarray]) -> Self:
        """The numbers of several arrays, of which this is one, in one array."""
        known = [_whole(p) if isinstance(p, Ranged) else self.lift(p) for p in parts]
        return self.of(Bounded(function([k.value for k in known]), function([k.bound() for k in known])))

    def filled(self, value: float) -> Self:
        """An array of this shape with one number everywhere."""
        return self.of(Bounded(np.full(self.shape, value), np.zeros(self.shape)))

    def __setitem__(self, key: Any, value: Any) -> None:
        new = self.lift(value)
        if self.known.error is None or not self.known.value.flags.writeable or not self.known.error.flags.writeable:
            whole = _whole(self)
            self.known = Bounded(whole.value.copy(), np.array(whole.bound()))
        self.known.value[key] = new.value
        assert self.known.error is not None
        self.known.error[key] = new.bound()

    def __matmul__(self, other: Any) -> Ranged:
        return self.of(array_error.product(self.known, self.lift(other), self.model))

    def __rmatmul__(self, other: Any) -> Ranged:
        return self.of(array_error.product(self.lift(other), self.known, self.model))

    def multiplied(self, factors: list[Any], inverse: bool) -> Ranged:
        """A power: its factors in any order, or what a library has for it, which is a few units in the last place off."""
        if not factors:
            return self.filled(1.0)
        known = [self.lift(factor) for factor in factors]
        one = Bounded(np.asarray(1.0))
        above, below = ([one], known) if inverse else (known, [])
        found = bounds.product(1, above, below, self.model)
        room = LIBRARY * self.model.unit_roundoff * (np.abs(found.value) + found.bound()) + self.model.underflow
        usual = np.isfinite(found.value) & (found.value != 0.0)
        return self.of(Bounded(found.value, found.bound() + np.where(usual, room, 0.0)))

    def __float__(self) -> float:
        raise TraceError(
            "a number is made of an array, as by float(x), math.sqrt(x), x.item() or where an array of numpy.zeros is filled; "
            "write numpy's functions, and numpy.stack of what is computed"
        )

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise TraceError(
            "numbers are made of an array, as by numpy.asarray or a function of another library; write numpy.stack of arrays, "
            "numpy's functions, refgrad.softmax or refgrad.logsumexp"
        )

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"an array's {name} is not known to refgrad; write numpy's function of that name")

    def __getitem__(self, key: Any) -> Self:
        for each in key if isinstance(key, tuple) else (key,):
            if isinstance(each, Ranged):
                raise TraceError("an array of floats is an index; give one-hot rows, and a product with them")
            if isinstance(each, Decision):
                raise TraceError(
                    "an array is taken where a condition holds, x[x > 0]; write numpy.where(x > 0, x, 0.0)"
                )
        return super().__getitem__(key)

    def __floordiv__(self, other: Any) -> Any:
        raise TraceError(_unknown("floor_divide"))

    def __mod__(self, other: Any) -> Any:
        raise TraceError(_unknown("remainder"))

    __rfloordiv__, __rmod__ = __floordiv__, __mod__

    def __bool__(self) -> bool:
        if not self.model.nan_open:
            self.explorer.look(self.known)
        open_ = _open(self.model, self.known, Bounded(np.asarray(0.0)))
        return bool(Decision(self.known.value != 0.0, open_, self.explorer))

    def astype(self, dtype: Any) -> Self:
        """The array itself: in which dtypes a program computes is the policy's to say, and where it rounds, a named place's.

        Raises:
            TraceError: numbers would be rounded, which a program of the formula need not do.
        """
        wanted = np.dtype(dtype)
        if dtypes.is_float(wanted) and dtypes.format_of(wanted).unit_roundoff > self.model.unit_roundoff:
            raise TraceError(
                f"an array is rounded to {wanted}; write refgrad.stored(x, 'a name') there, and the policy "
                f"stored={{'a name': '{wanted}'}} of programs that round at this place"
            )
        return self

    def lift(self, value: Any) -> Bounded:
        """An operand: another value, or numbers, which are rounded to the working dtype as they meet it."""
        if isinstance(value, Ranged):
            return value.known
        if isinstance(value, Decision):
            value = value.settled()
        numbers = np.asarray(value, dtype=np.float64)
        error = np.where(bounds.is_working(numbers, self.model) | ~np.isfinite(numbers), 0.0, np.abs(numbers))
        return Bounded(
            numbers, None if not error.any() else self.model.scalar_roundings * self.model.unit_roundoff * error
        )

    def _apply(self, op: str, *args: Any, **attributes: Any) -> Any:
        if op == "where":
            return _where(self, *args)
        if op == "length":
            return terms(attributes["over"], self.shape)
        known, model = [self.lift(a) for a in args], self.model
        record = OPERATIONS.get(op)
        if record is not None and record.kind == "reduction":
            axes = places(attributes["over"], self.ndim)
            return REDUCTIONS[op](self.of(known[0]), axes, True)
        if op in CHOOSING and not model.nan_open:
            self.explorer.look(*known)
        if op in BOOLEAN and record is not None and record.decide is not None:
            return Decision(record.on([k.value for k in known]), _open(model, *known), self.explorer)
        if record is None or record.error is None or record.kind != "element" or record.attributed or record.boolean:
            raise TraceError(f"{op} has no bound in refgrad; what has one is in docs/formula.md")
        return self.of(record.error(*known, model))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and ufunc is np.matmul:
            return self.of(array_error.product(self.lift(inputs[0]), self.lift(inputs[1]), self.model))
        if method == "__call__" and ufunc is np.isnan:
            return np.isnan(self.known.value)
        if ufunc is np.fmin:
            self.explorer.look(*(self.lift(a) for a in inputs))
        if method == "__call__" and ufunc in _MORE and not kwargs:
            return self.of(_MORE[ufunc](*(self.lift(a) for a in inputs), self.model))
        if method == "__call__" and ufunc.__name__ in _SPECIAL and not kwargs:
            return self.of(_SPECIAL[ufunc.__name__](self.known, ufunc(self.known.value), self.model))
        if method == "__call__" and ufunc in WRITTEN:
            return WRITTEN[ufunc](*inputs)
        if ufunc is np.power or ufunc in UFUNCS:
            return super().__array_ufunc__(ufunc, method, *inputs, **kwargs)
        raise TraceError(_unknown(ufunc.__name__))

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.where:
            return _where(self, *args)
        if function not in FUNCTIONS:
            raise TraceError(_unknown(function.__name__))
        return FUNCTIONS[function](*args, **kwargs)


#: what to write for what has no bound
INSTEAD: Mapping[str, str] = {
    "all": "numpy.where with the condition",
    "floor_divide": "a number of the text, or x.shape",
    "remainder": "a number of the text, or x.shape",
    "median": "numpy.sort",
    "take_along_axis": "refgrad.take(x, labels)",
    "bincount": "refgrad.segment_sum(x, labels, count)",
    "inv": "numpy.linalg.solve",
    "diff": "x[..., 1:] - x[..., :-1]",
    "prod": "numpy.exp of a sum of logarithms, or a product of slices",
}


def _unknown(name: str) -> str:
    instead = f"write {INSTEAD[name]}" if name in INSTEAD else "what has one is in docs/formula.md"
    return f"numpy.{name} has no bound in refgrad; {instead}"


def _open(model: Model, *operands: Bounded) -> np.ndarray:
    """Where a comparison may go either way."""
    found = near(*operands)
    return found | nan_choices.unknown(*operands) if model.nan_open else found


#: functions that join truth values
JOINED: Mapping[Any, Any] = {
    **{f: f for f in (np.logical_and, np.logical_or, np.logical_xor)},
    np.bitwise_and: np.logical_and,
    np.bitwise_or: np.logical_or,
    np.bitwise_xor: np.logical_xor,
}


class Decision:
    """Truth values, some of which may be either; used as an array of numbers or a condition, they are chosen."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Truth values joined, or numbers of them that are chosen."""
        if method == "__call__" and ufunc in (np.logical_not, np.invert):
            return ~self
        if method == "__call__" and ufunc in JOINED:
            other = inputs[1] if inputs[0] is self else inputs[0]
            return self._with(other, JOINED[ufunc])
        plain = [a.settled() if isinstance(a, Decision) else a for a in inputs]
        return getattr(ufunc, method)(*plain, **kwargs)

    def __init__(self, likely: Any, open_: Any, explorer: Explorer) -> None:
        self.likely, self.open, self.explorer = np.asarray(likely), np.asarray(open_), explorer
        self._settled: np.ndarray | None = None

    def settled(self) -> np.ndarray:
        """Truth values, those that are open chosen once."""
        if self._settled is None:
            self._settled = self.explorer.settle(self.likely, np.broadcast_to(self.open, self.likely.shape))
        return self._settled

    def __bool__(self) -> bool:
        return bool(self.settled())

    def all(self, axis: Any = None, keepdims: bool = False) -> np.ndarray:
        """As NumPy's, of truth values that are chosen."""
        return np.asarray(self.settled().all(axis=axis, keepdims=keepdims))

    def any(self, axis: Any = None, keepdims: bool = False) -> np.ndarray:
        """As NumPy's, of truth values that are chosen."""
        return np.asarray(self.settled().any(axis=axis, keepdims=keepdims))

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.likely.shape

    def _with(self, other: Any, join: Callable[..., np.ndarray]) -> Decision:
        """Joined with other truth values; open where either is."""
        if isinstance(other, Decision):
            return Decision(join(self.likely, other.likely), self.open | other.open, self.explorer)
        return Decision(join(self.likely, np.asarray(other, bool)), self.open, self.explorer)

    def __and__(self, other: Any) -> Decision:
        return self._with(other, np.logical_and)

    def __or__(self, other: Any) -> Decision:
        return self._with(other, np.logical_or)

    def __xor__(self, other: Any) -> Decision:
        return self._with(other, np.logical_xor)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __invert__(self) -> Decision:
        return Decision(~self.likely.astype(bool), self.open, self.explorer)

    def astype(self, dtype: Any) -> np.ndarray:
        """As numbers."""
        return self.settled().astype(dtype)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self.settled(), dtype)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """`numpy.where` takes the hull where it is open; all else sees truth values."""
        if function is np.where and len(args) == 3:
            ranged = next((a for a in args[1:] if isinstance(a, Ranged)), None)
            if ranged is not None:
                return _where(ranged, *args)
        if function is np.select:
            return WRITTEN[np.select](*args, **kwargs)
        if function is left_out.surely:
            return (self.likely.astype(bool) == args[1]) & ~self.open
        plain = [a.settled() if isinstance(a, Decision) else a for a in args]
        return function(*plain, **kwargs)


def _where(like: Ranged, condition: Any, a: Any, b: Any) -> Ranged:
    first, second = like.lift(a), like.lift(b)
    if isinstance(condition, Ranged):
        condition = condition != 0.0
    likely = condition.likely if isinstance(condition, Decision) else np.asarray(condition)
    chosen = bounds.select(likely, first, second)
    if not isinstance(condition, Decision) or not condition.open.any():
        return like.of(chosen)
    if like.model.nan_open and condition.open.size == 1:  # one choice for all: each way by itself, and not their hull
        return like.of(bounds.select(condition.settled(), first, second))
    ends = np.broadcast_arrays(first.value, first.bound(), second.value, second.bound())
    both = bounds.hull([Bounded(ends[0], ends[1]), Bounded(ends[2], ends[3])])
    unknown = condition.open & ~(np.isfinite(ends[0]) & np.isfinite(ends[2]))  # an infinity or a number, say
    value = np.where(condition.open, np.where(unknown, 0.0, both.value), chosen.value)
    error = np.where(condition.open, np.where(unknown, np.inf, both.bound()), chosen.bound())
    return like.of(Bounded(value, error))


def _reduced(x: Ranged, known: Bounded, axes: tuple[int, ...], keepdims: bool) -> Ranged:
    result = x.of(known)
    return result if keepdims else result.rearranged(lambda a: np.squeeze(a, axes))


def _whole(x: Ranged) -> Bounded:
    """A value and a bound of the array's shape."""
    return Bounded(np.broadcast_to(x.known.value, x.shape), np.broadcast_to(x.known.bound(), x.shape))


def _sum(x: Any, axis: Any = None, keepdims: bool = False) -> Ranged:
    axes = axes_of(x, axis)
    return _reduced(x, bounds.add_up(_whole(x), axes, counted(x, axis), x.model), axes, keepdims)


def _largest(x: Any, axis: Any = None, keepdims: bool = False, initial: float = -np.inf) -> Ranged:
    axes = axes_of(x, axis)
    found = _reduced(x, bounds.largest(_whole(x), axes, x.model), axes, keepdims)
    return found if initial == -np.inf else found._apply("maximum", found, initial)


def _smallest(x: Any, axis: Any = None, keepdims: bool = False) -> Ranged:
    return -_largest(-x, axis, keepdims)


def _over(x: Ranged, count: int) -> Ranged:
    return x.of(bounds.product(1, [x.known], [Bounded(np.asarray(float(count)))], x.model))


def _mean(x: Any, axis: Any = None, keepdims: bool = False) -> Ranged:
    return _over(_sum(x, axis, keepdims), counted(x, axis))


def _variance(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Ranged:
    centred = x - _mean(x, axis, True)
    return _over(_sum(centred * centred, axis, keepdims), counted(x, axis) - ddof)


def _percentile(x: Any, percent: float, axis: int, method: Any) -> Ranged:
    x.explorer.look(x.known)
    low, high = x.known.value - x.known.bound(), x.known.value + x.known.bound()
    ends = [np.percentile(end, percent, axis=axis, method=method) for end in (low, high)]
    return x.of(bounds.hull([Bounded(end) for end in ends]) if np.any(ends[0] != ends[1]) else Bounded(ends[0]))


def _argsort(x: Any, kind: Any) -> np.ndarray:
    """An order of rising numbers; where bounds overlap, each is chosen to stand at the lower or at the upper end of its own.

    Every set of the smallest that some numbers within the bounds have comes out of one of these choices.
    """
    x.explorer.look(x.known)
    value, reach = x.known.value, np.where(np.isfinite(x.known.value), x.known.bound(), 0.0)
    low, high = value - reach, value + reach
    with np.errstate(invalid="ignore"):
        meets = (
            (low[:, None] <= high[None, :]) & (low[None, :] <= high[:, None]) & ((reach[:, None] + reach[None, :]) > 0)
        )
    np.fill_diagonal(meets, False)
    up = x.explorer.settle(np.zeros(len(value), bool), meets.any(axis=1))
    keys = np.where(meets.any(axis=1), np.where(up, high, low), value)
    return np.argsort(keys, kind=kind)


def _argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """The place of the least number of all, or of each row along an axis; of equal ones it is the first, as NumPy's."""
    x.explorer.look(x.known)
    value, reach = x.known.value, np.where(np.isfinite(x.known.value), x.known.bound(), 0.0)
    if axis is None:
        place = _least(value.ravel(), reach.ravel(), x.explorer)
        return np.full((1,) * value.ndim, place) if keepdims else place
    value, reach = (np.moveaxis(part, axis, -1) for part in (value, reach))
    rows = (part.reshape(-1, value.shape[-1]) for part in (value, reach))
    places = [_least(row, room, x.explorer) for row, room in zip(*rows, strict=True)]
    found = np.array(places, np.int64).reshape(value.shape[:-1])
    return np.expand_dims(found, axis) if keepdims else found


def _least(value: np.ndarray, reach: np.ndarray, explorer: Any) -> int:
    """The place of the least number; where bounds overlap, each that may be the least is chosen in one way, and no way twice."""
    first, exact = int(np.argmin(value)), reach == 0.0
    may = value - reach <= np.min(value + reach)
    # of numbers that are known exactly the first alone: the others are no less
    known = np.flatnonzero(may & exact)
    may[known[value[known] > value[known].min(initial=np.inf)]] = False
    may[np.flatnonzero(may & exact)[1:]] = False
    *others, last = np.flatnonzero(may).tolist() or [first]
    return next((place for place in others if explorer.choose()), last)


def _sorted(x: Any, axis: int = -1) -> Ranged:
    x.explorer.look(x.known)
    return x.of(array_error.ordered(_whole(x), axis % x.ndim))


def _cumulated(x: Any, axis: int | None = None) -> Ranged:
    x = x.reshape(-1) if axis is None else x
    return x.of(array_error.cumulated(_whole(x), (axis or 0) % x.ndim, x.model))


def _between(a: Any, b: Any) -> Ranged:
    like = _like(a, b)
    return like.of(bounds.hull([like.lift(a), like.lift(b)]))


def _stored(x: Any, place: str) -> Ranged:
    formats = dict(x.model.stored)
    return x.of(stored_places.rounded_or_not(_whole(x), formats[place])) if place in formats else x


def _shares(x: Any, axis: tuple[int, ...]) -> Ranged:
    x.explorer.look(x.known)
    return x.of(array_error.shares_of_largest(_whole(x), axis))


def _in_places(bound: Callable[[Bounded, Bounded, int], Bounded]) -> Callable[..., Ranged]:
    """Numbers that are moved to or from the places that those of another array have in their order."""

    def move(x: Any, numbers: Any, axis: int) -> Ranged:
        like = _like(x, numbers)
        order, own = (_whole(a) if isinstance(a, Ranged) else like.lift(a) for a in (x, numbers))
        like.explorer.look(order)
        return like.of(bound(order, own, axis))

    return move


def _top_k(x: Any, count: int) -> Decision:
    """The largest of each row; open of those of which it is open how many others are larger."""
    x.explorer.look(x.known)
    if np.isinf(x.known.value).any():  # what is not chosen is zero in a program that scatters, and 0/NaN in another
        x.explorer.met_nan = True
    known, length = _whole(x), x.shape[-1]
    likely = subgradients.top_k(known.value, count)
    if count >= length:
        return Decision(likely, np.zeros(x.shape, bool), x.explorer)
    low, high = known.lowest(), known.highest()
    # as many as are taken exceed it for certain; or no more than are taken may, itself among them
    out = high < np.sort(low, axis=-1)[..., length - count, None]
    taken = low > np.sort(high, axis=-1)[..., length - count - 1, None]
    return Decision(likely, ~out & ~taken, x.explorer)


def _without(error: float) -> Callable[[Ranged, np.ndarray], Ranged]:
    """What is not finite in some places is zero there, to within an error."""

    def without(x: Ranged, marked: np.ndarray) -> Ranged:
        known = _whole(x)
        bad = marked & ~(np.isfinite(known.value) & np.isfinite(known.bound()))
        return x.of(Bounded(np.where(bad, 0.0, known.value), np.where(bad, error, known.bound()))) if bad.any() else x

    return without


def _surely_less(a: Any, b: Any) -> np.ndarray:
    like = _like(a, b)
    one, other = like.lift(a), like.lift(b)
    return np.asarray((one.value < other.value) & ~_open(like.model, one, other))


def _like(*operands: Any) -> Ranged:
    return next(x for x in operands if isinstance(x, Ranged))


def _einsum(spec: str, *operands: Any, optimize: Any = None) -> Ranged:
    like = _like(*operands)
    whole = [_whole(x) if isinstance(x, Ranged) else like.lift(x) for x in operands]
    return like.of(array_error.einsum(checked_spec(spec, whole), whole, like.model))


def _step(function: Any, x: Bounded, model: Model) -> Bounded:
    """A whole number beside each number, which rises with it: where rounding may cross a step, any from one end to the other."""
    return bounds.rounded(lambda values, random: function(values), x)


#: what NumPy calls by its own name, although a rule's graph would not have it so: bits that the machine gives
_MORE: Mapping[Any, Callable[..., Bounded]] = {
    **{op.sketch: op.error for op in OPERATIONS.values() if op.function and op.rounds and op.sketch and op.error},
    np.fmin: array_error.fmin,
    **{step: partial(_step, step) for step in (np.rint, np.floor, np.ceil)},
}
#: functions of SciPy's, by name, so that it need not be imported
_SPECIAL: Mapping[str, Callable[..., Bounded]] = {"erf": array_error.erf, "expit": array_error.expit}
REDUCTIONS: Mapping[str, Callable[..., Ranged]] = {"sum": _sum, "max": _largest}
FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    **MOVES,
    **WRITTEN,
    np.sum: _sum,
    np.max: _largest,
    np.min: _smallest,
    np.mean: _mean,
    np.var: _variance,
    np.percentile: _percentile,
    np.argsort: _argsort,
    np.argmin: _argmin,
    np.argmax: lambda x, axis=None, keepdims=False: _argmin(-x, axis, keepdims),
    np.sort: _sorted,
    np.cumsum: _cumulated,
    np.einsum: _einsum,
    np.linalg.solve: lambda a, b: _like(a, b).of(
        array_error.solution(_like(a, b).lift(a), _like(a, b).lift(b), _like(a, b).model)
    ),
    np.linalg.cholesky: lambda a: a.of(array_error.cholesky(_whole(a), a.model)),
    np.any: lambda x: bool(np.any((x != 0.0).settled())),
    stored_places.stored: _stored,
    subgradients.between: _between,
    subgradients.largest_shares: _shares,
    subgradients.unsorted: _in_places(array_error.unsorted),
    subgradients.resorted: _in_places(array_error.resorted),
    subgradients.top_k: _top_k,
    left_out.dropped: _without(0.0),
    left_out.unsettled: _without(np.inf),
    left_out.surely: lambda condition, truth: left_out.surely(condition != 0.0, truth),
    left_out.surely_less: _surely_less,
    left_out.surely_zero: lambda x: (_whole(x).value == 0.0) & (_whole(x).bound() == 0.0),
}
