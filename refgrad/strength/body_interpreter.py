"""Transforms have no graph: their bodies are run as they stand, on arrays that round at random, or with one operation altered.

A legal program here rounds each operation as its style says, adds sums and products of matrices in random orders, contracts
products into FMA, and takes reciprocals. A mutant has one operation of the rule's text, wherever it is run, replaced.
"""

from __future__ import annotations

import dataclasses
import itertools
import linecache
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import refgrad.optimizers
from refgrad.arithmetic.carrier import UFUNCS
from refgrad.arithmetic.enclosure import COMPARE
from refgrad.arithmetic.ranged import Shaped
from refgrad.errors import TraceError
from refgrad.kinds.transform import named
from refgrad.optimizers.transform import Transform
from tests.oracle.attack import ROUNDED, Rounding

Array = np.ndarray
TEXTS = str(Path(refgrad.optimizers.__file__).parent)
#: what stands for real arithmetic, and the relative difference from which two results are two in it
REAL = np.longdouble
DIFFERENCE = 1e-9


@dataclass(frozen=True)
class Altered:
    """One operation of a rule's text, and what stands for it."""

    file: str
    at: int
    line: int
    piece: str
    op: str
    by: str

    @property
    def name(self) -> str:
        """The alteration, and the piece of the text that it is made in."""
        return f"{self.by} for {self.op} in {self.piece}"

    @property
    def sentence(self) -> str:
        """The same, as a sentence."""
        return f"{self.by} stands for {self.op}, line {self.line} of {Path(self.file).name}"


@dataclass
class Run:
    """One run of a body: how it rounds (or that it does not), what is altered, and which operations were met."""

    rounding: Rounding | None = None
    altered: Altered | None = None
    met: dict[Altered, None] | None = None
    random: np.random.Generator = field(default_factory=lambda: np.random.Generator(np.random.Philox(0)))

    def results(self, rule: Transform, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """A body's results by name."""
        given = [Loose(a.astype(self.kind), self) for a in arrays.values()]
        with np.errstate(all="ignore"):
            found = named(rule.apply(*given))
            return {n: np.asarray(r.values if isinstance(r, Loose) else r) for n, r in found.items()}

    @property
    def kind(self) -> Any:
        """What numbers are kept in: float32 numbers as float64, or as near to real ones as there are."""
        return REAL if self.rounding is None else np.float64

    def coin(self) -> bool:
        """Whether to do what only a rewritten program does."""
        return self.rounding is not None and self.rounding.style.rewrites and bool(self.random.random() < 0.5)

    def round(self, exact: Any) -> Array:
        """A result of this run."""
        return np.asarray(exact, REAL) if self.rounding is None else self.rounding(exact)

    def do(self, op: str, *args: Any, **how: Any) -> Any:
        """One operation, noted, or altered if it is the one."""
        if self.met is None and self.altered is None:
            return self.plainly(op, *args, **how)
        frame = _frame()
        here = (frame.f_code.co_filename, frame.f_lasti, frame.f_lineno, _piece(frame), op)
        if self.met is not None:
            self.met |= dict.fromkeys(Altered(*here, by) for by in _ways(op, args))
        if self.altered is None or here != dataclasses.astuple(self.altered)[:-1]:
            return self.plainly(op, *args, **how)
        return _instead(self, self.altered.by, op, args, how)

    def plainly(self, op: str, *args: Any, **how: Any) -> Any:
        """One operation as the text says."""
        if op in COMPARE:
            return COMPARE[op](*(_values(a) for a in args))
        if op in ("add", "sub"):
            return Loose(self.summed(args[0], args[1], 1 if op == "add" else -1), self)
        if op == "mul":
            factors = [self.lift(a) for a in args]
            return Loose(None, self, (factors[0], factors[1]))
        raw = [self.lift(a) for a in args]
        if op == "div":
            return Loose(self.divided(*raw), self)
        return Loose(OPERATIONS[op](self, *raw, **how), self)

    def lift(self, value: Any) -> Array:
        """An operand; a number of the text is rounded where it meets an array."""
        if isinstance(value, Loose):
            return value.values
        numbers = np.asarray(value, self.kind)
        return self.round(numbers) if not isinstance(value, np.ndarray) else numbers

    def summed(self, a: Any, b: Any, sign: int) -> Array:
        """A sum; a product that stands open is fused into it or not."""
        pair = (a, b)
        standing = [i for i, each in enumerate(pair) if isinstance(each, Loose) and each.open is not None]
        fused = int(self.random.choice(standing)) if standing and self.coin() else None
        parts = [each.open[0] * each.open[1] if i == fused else self.lift(each) for i, each in enumerate(pair)]
        return self.round(parts[0] + sign * parts[1])

    def divided(self, a: Array, b: Array) -> Array:
        """A quotient, or a product with a reciprocal."""
        return self.round(a * self.round(1.0 / b)) if self.coin() else self.round(a / b)

    def added(self, x: Array, axes: tuple[int, ...], keepdims: bool = False) -> Array:
        """A declared sum in a random order, each addition rounded to nearest: the bound counts one rounding each."""
        if self.rounding is None:
            return np.asarray(np.sum(x, axis=axes, keepdims=keepdims))
        kept = np.moveaxis(x, axes, range(-len(axes), 0))
        terms = kept.reshape(*kept.shape[: kept.ndim - len(axes)], -1)
        terms = terms[..., self.random.permutation(terms.shape[-1])].astype(np.float32)
        in_turn = terms.shape[-1] and self.random.random() < 0.5
        total = np.cumsum(terms, axis=-1)[..., -1] if in_turn else np.add.reduce(terms, axis=-1)
        total = total.astype(np.float64)
        return np.expand_dims(total, axes) if keepdims else total

    def multiplied(self, a: Array, b: Array) -> Array:
        """A product of matrices, or with a vector: rounded products, added in a random order."""
        left = a[None, :] if a.ndim == 1 else a
        right = b[:, None] if b.ndim == 1 else b
        terms = self.round(left[..., :, :, None] * right[..., None, :, :])
        found = self.added(terms, (terms.ndim - 2,))
        found = found[..., 0] if b.ndim == 1 else found
        return found[..., 0, :] if a.ndim == 1 and b.ndim > 1 else found[..., 0] if a.ndim == 1 else found


class Loose(Shaped):
    """An array of a run; a product stands open until it is looked at."""

    __slots__ = ("_closed", "open", "run")

    def __init__(self, values: Any, run: Run, factors: tuple[Array, Array] | None = None) -> None:
        self.run, self.open = run, factors
        self._closed = None if values is None else np.asarray(values)

    @property
    def values(self) -> Array:
        """The numbers."""
        if self._closed is None:
            assert self.open is not None
            self._closed, self.open = self.run.round(self.open[0] * self.open[1]), None
        return self._closed

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return np.broadcast_shapes(*(f.shape for f in self.open)) if self.open else self.values.shape

    def moved(self, function: Callable[[Array], Array]) -> Loose:
        """The same numbers in other places."""
        return Loose(function(self.values), self.run)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.values[key] = self.run.lift(value)

    def __matmul__(self, other: Any) -> Any:
        return self.run.do("matmul", self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return self.run.do("matmul", other, self)

    def __bool__(self) -> bool:
        return bool(self.values)

    def _apply(self, op: str, *args: Any, **attributes: Any) -> Any:
        if op == "length":
            return {"tensor": self.size, "row": self.size // max(len(self), 1), "column": len(self)}[attributes["over"]]
        if op in ("sum", "max"):
            every = tuple(range(self.ndim))
            axes = {"tensor": every, "row": every[1:], "column": every[:1]}[attributes["over"]]
            return self.run.do(op, self, axis=axes, keepdims=True)
        return self.run.do(op, *args)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs:
            raise TraceError(f"numpy.{ufunc.__name__}.{method} is not an operation of a transform")
        if ufunc is np.isnan:
            return np.isnan(self.values)
        if ufunc is np.power:
            return self._power(*inputs)
        return self.run.do(UFUNCS.get(ufunc, ufunc.__name__), *inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in STRUCTURE:
            return STRUCTURE[function](*args, **kwargs)
        if function is np.argsort:  # an order is no array of the run
            return self.run.do("argsort", *args, **kwargs).values
        if function.__name__ not in OPERATIONS:
            raise TraceError(f"numpy.{function.__name__} is not an operation of a transform")
        return self.run.do(function.__name__, *args, **kwargs)


def _values(x: Any) -> Array:
    return x.values if isinstance(x, Loose) else np.asarray(x)


def _frame() -> FrameType:
    """Where in the rules' texts an operation is asked for."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and not frame.f_code.co_filename.startswith(TEXTS):
        frame = frame.f_back
    assert frame is not None
    return frame


def _piece(frame: FrameType) -> str:
    """The text of the operation that a frame is at."""
    line, last, start, end = next(itertools.islice(frame.f_code.co_positions(), frame.f_lasti // 2, None))
    text = linecache.getline(frame.f_code.co_filename, line or frame.f_lineno)
    return text[start:end].strip() if line == last else text[start:].strip()


# operations on float64 arrays that hold float32 numbers


def _axes(x: Array, axis: Any) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis))


def _sum(run: Run, x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    return run.added(x, _axes(x, axis), keepdims)


def _mean(run: Run, x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    count = int(np.prod([x.shape[a] for a in _axes(x, axis)]))
    return run.divided(_sum(run, x, axis, keepdims), np.asarray(float(count)))


def _variance(run: Run, x: Array, axis: Any = None, ddof: int = 0) -> Array:
    centred = run.round(x - _mean(run, x, axis, True))
    count = int(np.prod([x.shape[a] for a in _axes(x, axis)])) - ddof
    return run.divided(_sum(run, run.round(centred * centred), axis), np.asarray(float(count)))


def _solve(run: Run, a: Array, b: Array) -> Array:
    """A symmetric positive definite system by elimination, the inverse, or a factorization."""
    if run.rounding is None:
        return np.linalg.solve(a.astype(np.float64), b.astype(np.float64)).astype(REAL)
    a, b, way = a.astype(np.float32), b.astype(np.float32), int(run.random.integers(3))
    if way == 0:
        return np.linalg.solve(a, b).astype(np.float64)
    if way == 1:
        return (np.linalg.inv(a) @ b).astype(np.float64)
    try:
        lower = np.linalg.cholesky(a)
    except np.linalg.LinAlgError:  # so near to singular that rounding decides
        return np.linalg.solve(a, b).astype(np.float64)
    return np.linalg.solve(lower.T, np.linalg.solve(lower, b)).astype(np.float64)


def _rounded(function: Callable[..., Any]) -> Callable[..., Array]:
    return lambda run, *args: run.round(function(*args))


def _plain(function: Callable[..., Any]) -> Callable[..., Array]:
    return lambda run, *args, **how: np.asarray(function(*args, **how))


OPERATIONS: Mapping[str, Callable[..., Array]] = {
    **{name: _rounded(function) for name, function in ROUNDED.items()},
    **{name: _rounded(getattr(np, name)) for name in ("log1p", "square")},
    **{f.__name__: _plain(f) for f in (np.maximum, np.minimum, np.fmin, np.sign, np.where, np.percentile, np.argsort)},
    **{name: _plain(f) for name, f in {"max": np.max, "min": np.min, "abs": np.abs, "neg": np.negative}.items()},
    **{name: _plain(getattr(np, name)) for name in ("clip",)},
    "sum": _sum,
    "mean": _mean,
    "var": _variance,
    "matmul": lambda run, a, b: run.multiplied(a, b),
    "solve": _solve,
}
#: what moves numbers, or makes arrays of one
STRUCTURE: Mapping[Any, Callable[..., Any]] = {
    np.stack: lambda parts, *args: Loose(np.stack([_values(p) for p in parts], *args), _run(parts)),
    np.split: lambda x, count: [Loose(part, x.run) for part in np.split(x.values, count)],
    np.swapaxes: lambda x, a, b: x.moved(lambda y: np.swapaxes(y, a, b)),
    np.pad: lambda x, widths: x.moved(lambda y: np.pad(y, widths)),
    np.broadcast_to: lambda x, shape: x.moved(lambda y: np.broadcast_to(y, shape)),
    np.lib.stride_tricks.sliding_window_view: lambda x, window, axis: x.moved(
        lambda y: np.lib.stride_tricks.sliding_window_view(y, window, axis)
    ),
    np.empty_like: lambda x: Loose(np.zeros(x.shape), x.run),
    np.zeros_like: lambda x: Loose(np.zeros(x.shape), x.run),
    np.ones_like: lambda x: Loose(np.ones(x.shape), x.run),
    np.full_like: lambda x, value: Loose(np.full(x.shape, value), x.run),
    np.any: lambda x: bool(np.any(x.values != 0.0)),
}


def _run(parts: Sequence[Any]) -> Run:
    return next(p.run for p in parts if isinstance(p, Loose))


# alterations

#: operations that stand for one another; "first", "second", "double", "minus" and "number twice" are made of any
OTHERS: Mapping[str, tuple[str, ...]] = {
    "add": ("sub", "first", "second"),
    "sub": ("add", "first", "second"),
    "mul": ("div", "first", "second"),
    "div": ("mul", "first"),
    "maximum": ("minimum", "first", "second"),
    "minimum": ("maximum", "first", "second"),
    "fmin": ("maximum", "first", "second"),
    **dict.fromkeys(("sqrt", "exp", "log", "log1p", "square", "abs", "neg"), ("first",)),
    "lt": ("le", "gt"),
    "le": ("lt", "ge"),
    "gt": ("ge", "lt"),
    "ge": ("gt", "le"),
    "eq": ("ne",),
    "where": ("exchanged",),
    "sum": ("mean", "max"),
    "mean": ("sum", "max"),
    "max": ("min", "sum"),
    "min": ("max", "sum"),
    "var": ("another divisor",),
    "percentile": ("the other end",),
    "argsort": ("reversed",),
}
DOUBLED = {
    "add",
    "sub",
    "mul",
    "div",
    "sqrt",
    "exp",
    "log",
    "log1p",
    "sum",
    "mean",
    "var",
    "matmul",
    "solve",
    "max",
    "min",
}


def _ways(op: str, args: Sequence[Any]) -> Iterator[str]:
    yield from OTHERS.get(op, ())
    if op in DOUBLED:
        yield from ("double", "minus")
    if op not in ("where", "mul", "div") and len(args) == 2 and any(isinstance(a, int | float) and a for a in args):
        yield "number twice"


def _instead(run: Run, by: str, op: str, args: Sequence[Any], how: Mapping[str, Any]) -> Any:
    """What an altered operation gives."""
    if by == "number twice":
        return run.plainly(op, *(2 * a if isinstance(a, int | float) else a for a in args), **how)
    if by == "exchanged":
        return run.plainly(op, args[0], args[2], args[1])
    if by == "another divisor":
        return run.plainly(op, *args, **{**how, "ddof": 1 - how.get("ddof", 0)})
    if by == "the other end":
        return run.plainly(op, args[0], 100 - args[1], **how)
    if by not in ("first", "second", "double", "minus", "reversed"):
        return run.plainly(by, *args, **how)
    found = run.plainly(op, *args, **how)
    if by in ("first", "second"):
        values = np.broadcast_to(run.lift(args[by == "second"]), found.shape)
        return Loose(values.copy(), run)
    values = found.values
    if by == "reversed":
        return Loose(values[::-1].copy(), run)
    return Loose(2 * values if by == "double" else -values, run)


def alterations(rule: Transform, cases: Sequence[Mapping[str, Array]]) -> list[Altered]:
    """Every alteration that gives other real numbers than the rule on some case."""
    met: dict[Altered, None] = {}
    truths = [Run(met=met).results(rule, case) for case in cases]
    return [a for a in met if any(_differs(rule, a, c, t) for c, t in zip(cases, truths, strict=True))]


def _differs(rule: Transform, altered: Altered, case: Mapping[str, Array], truth: Mapping[str, Array]) -> bool:
    try:
        other = Run(altered=altered).results(rule, case)
    except (ArithmeticError, ValueError, IndexError, TypeError):
        return False
    for name, true in truth.items():
        values = np.asarray(other[name], REAL)
        if values.shape != true.shape:
            return False
        with np.errstate(all="ignore"):
            same = (values == true) | (np.abs(values - true) <= DIFFERENCE * (np.abs(values) + np.abs(true)))
        if not (same | (np.isnan(values) & np.isnan(true))).all():
            return True
    return False
