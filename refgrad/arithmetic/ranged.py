"""Arrays of any shape that carry a bound on their error: a transform's body, run as it stands, in the enclosure's arithmetic.

Each operation is charged as in `refgrad.arithmetic.running_error`, sums and products of matrices by the bound for any order.
Where a comparison may go either way, `numpy.where` takes the hull of both sides, and a choice that the body makes by it (an
order, a mask, a branch) is put to the `Explorer`, which is asked again for each of the ways.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from refgrad.arithmetic import infinities, nan_choices
from refgrad.arithmetic import running_error as bounds
from refgrad.arithmetic.carrier import Carrier
from refgrad.arithmetic.decisions import near
from refgrad.arithmetic.operations import BOOLEAN, OPERATIONS, UFUNCS
from refgrad.arithmetic.running_error import Bounded, Model
from refgrad.axes import places, terms
from refgrad.errors import TraceError

#: operations that choose by what they are handed
CHOOSING = BOOLEAN | {"maximum", "minimum", "sign"}


class OpenChoice(Exception):  # not an error: a fork that has not been taken yet
    """A choice that may go either way was met for the first time."""


class Explorer:
    """One way through a body's choices, in the order in which they are met.

    Attributes:
        forced: how the first choices go.
        met_nan: whether NaN was sorted, or compared where that is not left open: programs settle it in several ways.
    """

    def __init__(self, forced: Sequence[bool] = ()) -> None:
        self.forced, self._met, self.met_nan = tuple(forced), 0, False

    def look(self, *operands: Bounded) -> None:
        """Note whether what a choice is made by is NaN somewhere."""
        self.met_nan = self.met_nan or any(bool(np.isnan(x.value).any()) for x in operands)

    def choose(self) -> bool:
        """How the next choice goes; `OpenChoice` if that has not been said."""
        if self._met == len(self.forced):
            raise OpenChoice
        self._met += 1
        return self.forced[self._met - 1]

    def settle(self, likely: np.ndarray, open_: np.ndarray) -> np.ndarray:
        """Truth values with those that may be either chosen."""
        result = np.array(likely, dtype=bool)
        for at in np.argwhere(open_):
            result[tuple(at)] = self.choose()
        return result


class Shaped(Carrier):
    """A carrier with NumPy's names for an array's shape, and for its numbers in other places; a subclass says how they move."""

    __slots__ = ()

    dtype = np.dtype(np.float64)  # what choices are turned into

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        raise NotImplementedError

    def rearranged(self, function: Callable[[np.ndarray], np.ndarray]) -> Self:
        """The same numbers in other places."""
        raise NotImplementedError

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(np.prod(self.shape))

    @property
    def T(self) -> Self:  # NumPy's name
        """The transpose."""
        return self.rearranged(np.transpose)

    def reshape(self, *shape: Any) -> Self:
        """As NumPy's."""
        return self.rearranged(lambda a: a.reshape(*shape))

    def transpose(self, *axes: int) -> Self:
        """As NumPy's."""
        return self.rearranged(lambda a: a.transpose(*axes))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Self:
        return self.rearranged(lambda a: a[key])


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
        return np.broadcast_shapes(np.shape(self.known.value), np.shape(self.known.bound()))

    def rearranged(self, function: Callable[[np.ndarray], np.ndarray]) -> Self:
        """The same numbers in other places."""
        shape = self.shape
        value = function(np.broadcast_to(self.known.value, shape))
        error = None if self.known.error is None else function(np.broadcast_to(self.known.error, shape))
        return self.of(Bounded(value, error))

    def __setitem__(self, key: Any, value: Any) -> None:
        new = self.lift(value)
        self.known.value[key] = new.value
        assert self.known.error is not None
        self.known.error[key] = new.bound()

    def __matmul__(self, other: Any) -> Ranged:
        return self.of(product(self.known, self.lift(other), self.model))

    def __rmatmul__(self, other: Any) -> Ranged:
        return self.of(product(self.lift(other), self.known, self.model))

    def __float__(self) -> float:
        raise TraceError("a transform's body makes a Python float of an array; return the array")

    def __bool__(self) -> bool:
        if not self.model.nan_open:
            self.explorer.look(self.known)
        open_ = _open(self.model, self.known, Bounded(np.asarray(0.0)))
        return bool(Decision(self.known.value != 0.0, open_, self.explorer))

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
            raise TraceError(f"{op} is not an operation that a transform is judged through")
        return self.of(record.error(*known, model))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and ufunc is np.matmul:
            return self.of(product(self.lift(inputs[0]), self.lift(inputs[1]), self.model))
        if method == "__call__" and ufunc is np.isnan:
            return np.isnan(self.known.value)
        if ufunc is np.fmin:
            self.explorer.look(*(self.lift(a) for a in inputs))
        if method == "__call__" and ufunc in _MORE and not kwargs:
            return self.of(_MORE[ufunc](*(self.lift(a) for a in inputs), self.model))
        if ufunc is np.power or ufunc in UFUNCS:
            return super().__array_ufunc__(ufunc, method, *inputs, **kwargs)
        raise TraceError(f"numpy.{ufunc.__name__} is not an operation that a transform is judged through")

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.where:
            return _where(self, *args)
        if function not in FUNCTIONS:
            raise TraceError(f"numpy.{function.__name__} is not an operation that a transform is judged through")
        return FUNCTIONS[function](*args, **kwargs)


def _open(model: Model, *operands: Bounded) -> np.ndarray:
    """Where a comparison may go either way."""
    found = near(*operands)
    return found | nan_choices.unknown(*operands) if model.nan_open else found


class Decision:
    """Truth values, some of which may be either; used as an array of numbers or a condition, they are chosen."""

    __array_ufunc__ = None

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


def product(a: Bounded, b: Bounded, model: Model) -> Bounded:
    """A product of matrices, or with a vector: sums of products in any order."""
    size_a, size_b = np.abs(a.value) + a.bound(), np.abs(b.value) + b.bound()
    magnitude = size_a @ size_b
    carried = a.bound() @ size_b + np.abs(a.value) @ b.bound()
    terms = a.value.shape[-1]
    relative = model.charge * 2 + max(terms - 1, 0) * model.unit_roundoff + terms * 2.0**-52
    some = (size_a != 0.0).astype(np.float64) @ (size_b != 0.0).astype(np.float64)  # a product with zero loses nothing
    return Bounded(a.value @ b.value, carried + relative * magnitude + some * model.underflow)


def solution(a: Bounded, b: Bounded, model: Model) -> Bounded:
    """The solution of a symmetric positive definite system, by elimination, a factorization or the inverse.

    With A x = b and an error dA, db of each, |x' - x| <= |A^-1| (|dA| |x'| + |db|). A method's own backward error is charged to
    |dA_ij| <= 3 n (n + 1) u sqrt(a_ii a_jj), the bound of Cholesky's factorization (Higham 2002, theorem 10.3) with room for
    elimination and for products with the inverse, and x' is |A^-1| |b|, by which the inverse's products are bounded too.
    """
    inverse = np.abs(np.linalg.inv(a.value))
    n = a.value.shape[-1]
    scale = np.sqrt(np.abs(np.diagonal(a.value)))
    own = 3 * n * (n + 1) * (model.unit_roundoff * model.roundings) * np.outer(scale, scale)
    perturbation = a.bound() + own
    first = inverse @ (np.abs(b.value) + b.bound())
    growth = np.max(np.sum(inverse @ perturbation, axis=-1), initial=0.0)
    error = inverse @ (perturbation @ first + b.bound() + model.charge * n * np.abs(b.value))
    error = error / (1.0 - growth) if growth < 0.5 else np.full(error.shape, np.inf)
    return Bounded(np.linalg.solve(a.value, b.value), error + n * model.underflow)


def _axes(x: Ranged, axis: Any) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis))


def _reduced(x: Ranged, known: Bounded, axes: tuple[int, ...], keepdims: bool) -> Ranged:
    result = x.of(known)
    return result if keepdims else result.rearranged(lambda a: np.squeeze(a, axes))


def _sum(x: Any, axis: Any = None, keepdims: bool = False) -> Ranged:
    axes = _axes(x, axis)
    count = int(np.prod([x.shape[a] for a in axes]))
    whole = Bounded(np.broadcast_to(x.known.value, x.shape), np.broadcast_to(x.known.bound(), x.shape))
    return _reduced(x, bounds.add_up(whole, axes, count, x.model), axes, keepdims)


def _largest(x: Any, axis: Any = None, keepdims: bool = False, initial: float = -np.inf) -> Ranged:
    axes = _axes(x, axis)
    whole = Bounded(np.broadcast_to(x.known.value, x.shape), np.broadcast_to(x.known.bound(), x.shape))
    found = _reduced(x, bounds.largest(whole, axes, x.model), axes, keepdims)
    return found if initial == -np.inf else found._apply("maximum", found, initial)


def _smallest(x: Any, axis: Any = None, keepdims: bool = False) -> Ranged:
    return -_largest(-x, axis, keepdims)


def _over(x: Ranged, count: int) -> Ranged:
    return x.of(bounds.product(1, [x.known], [Bounded(np.asarray(float(count)))], x.model))


def _mean(x: Any, axis: Any = None, keepdims: bool = False) -> Ranged:
    count = int(np.prod([x.shape[a] for a in _axes(x, axis)]))
    return _over(_sum(x, axis, keepdims), count)


def _variance(x: Any, axis: Any = None, ddof: int = 0) -> Ranged:
    centred = x - _mean(x, axis, True)
    return _over(_sum(centred * centred, axis), int(np.prod([x.shape[a] for a in _axes(x, axis)])) - ddof)


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


def _stacked(parts: Sequence[Any], *args: Any) -> Ranged:
    like = next(p for p in parts if isinstance(p, Ranged))
    known = [like.lift(p) for p in parts]
    values = [np.broadcast_to(k.value, p.shape) for k, p in zip(known, parts, strict=True)]
    errors = [np.broadcast_to(k.bound(), p.shape) for k, p in zip(known, parts, strict=True)]
    return like.of(Bounded(np.stack(values, *args), np.stack(errors, *args)))


def _filled(x: Any, value: float) -> Ranged:
    return x.of(Bounded(np.full(x.shape, value), np.zeros(x.shape)))


def _log1p(x: Bounded, model: Model) -> Bounded:
    value, room = np.log1p(x.value), 1.0 + x.value - x.bound()
    carried = np.where(room > 0.0, x.bound() / room, np.where(x.bound() > 0.0, np.inf, 0.0))
    return Bounded(
        value, carried + (model.charge + 8 * model.unit_roundoff) * (np.abs(value) + carried) + model.underflow
    )


def _fmin(a: Bounded, b: Bounded, model: Model) -> Bounded:
    least = bounds.minimum(a, b, model)
    value = np.fmin(a.value, b.value)
    error = np.where(np.isnan(a.value), b.bound(), np.where(np.isnan(b.value), a.bound(), least.bound()))
    return Bounded(value, error)


#: what NumPy calls by its own name, although a rule's graph would not have it so: bits that the machine gives
_MORE: Mapping[Any, Callable[..., Bounded]] = {
    **{op.sketch: op.error for op in OPERATIONS.values() if op.function and op.rounds and op.sketch and op.error},
    np.log1p: _log1p,
    np.fmin: _fmin,
}
REDUCTIONS: Mapping[str, Callable[..., Ranged]] = {"sum": _sum, "max": _largest}
FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    np.sum: _sum,
    np.max: _largest,
    np.min: _smallest,
    np.mean: _mean,
    np.var: _variance,
    np.percentile: _percentile,
    np.argsort: _argsort,
    np.clip: lambda x, low, high: np.minimum(np.maximum(x, low), high),
    np.stack: _stacked,
    np.split: lambda x, count: [x[i * (len(x) // count) : (i + 1) * (len(x) // count)] for i in range(count)],
    np.swapaxes: lambda x, a, b: x.rearranged(lambda y: np.swapaxes(y, a, b)),
    np.pad: lambda x, widths: x.rearranged(lambda y: np.pad(y, widths)),
    np.lib.stride_tricks.sliding_window_view: lambda x, window, axis: x.rearranged(
        lambda y: np.lib.stride_tricks.sliding_window_view(y, window, axis)
    ),
    np.linalg.solve: lambda a, b: next(x for x in (a, b) if isinstance(x, Ranged)).of(
        solution(a.lift(a), a.lift(b), a.model)
    ),
    np.empty_like: lambda x: _filled(x, 0.0),
    np.zeros_like: lambda x: _filled(x, 0.0),
    np.ones_like: lambda x: _filled(x, 1.0),
    np.broadcast_to: lambda x, shape: x.rearranged(lambda y: np.broadcast_to(y, shape)),
    np.full_like: _filled,
    np.any: lambda x: bool(np.any((x != 0.0).settled())),
}
