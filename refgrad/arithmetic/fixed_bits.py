"""Arrays on which NumPy's functions have the same bits everywhere: what the body of a formula computes with.

Elementary functions are refgrad's sequences of float64 operations, sums and products of matrices go along refgrad's tree, and
systems of few unknowns are eliminated in one order, and sorts are stable, so that a body gives what kernels of it give
(`refgrad.formula_kernels`). What refgrad has no operation for, such as an arcsine, is NumPy's own.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from refgrad.arithmetic import contractions, folding, matrices, systems
from refgrad.arithmetic.operations import OPERATIONS, UFUNCS
from refgrad.arithmetic.shaped import MOST_FACTORS, WRITTEN, axes_of, counted, mean, variance
from refgrad.arithmetic.working import Working
from refgrad.axes import EACH_ROW

#: NumPy's elementary functions that refgrad has as operations of its own
FUNCTIONS: Mapping[np.ufunc, str] = {
    np.exp: "exp",
    np.log: "log",
    np.expm1: "expm1",
    np.log1p: "log1p",
    np.exp2: "exp2",
    np.log2: "log2",
    np.tanh: "tanh",
    np.sin: "sin",
    np.cos: "cos",
    np.sinh: "sinh",
    np.cosh: "cosh",
    np.arctan: "arctan",
    np.arctan2: "arctan2",
    np.hypot: "hypot",
}
#: functions of SciPy's that refgrad has, by name, so that it need not be imported
SPECIAL = frozenset({"erf"})


def known(ufunc: np.ufunc) -> str | None:
    """The operation that a function of NumPy's or SciPy's means; None if there is none.

    >>> known(np.exp), known(np.add), known(np.arcsin)
    ('exp', 'add', None)
    """
    return UFUNCS.get(ufunc) or FUNCTIONS.get(ufunc) or (ufunc.__name__ if ufunc.__name__ in SPECIAL else None)


def expit(x: Any) -> Any:
    """The logistic function, as it is computed: one over one more than an exponential."""
    return 1.0 / (1.0 + np.exp(-x))


def factors(base: Any, exponent: Any) -> tuple[list[Any], bool] | None:
    """A power as the numbers whose product it is, and whether it is one over that; None of an exponent that is no half.

    Args:
        base: what is raised.
        exponent: a number.
    """
    if not isinstance(exponent, int | float | np.number) or not math.isfinite(exponent):
        return None
    whole, rest = divmod(abs(float(exponent)), 1.0)
    if rest not in (0.0, 0.5) or whole > MOST_FACTORS:
        return None
    return [base] * int(whole) + ([np.sqrt(base)] if rest else []), bool(exponent < 0)


def power(base: Any, exponent: Any) -> Any:
    """A whole or half power of an array as a product; None of another one."""
    found = factors(base, exponent)
    if found is None or not found[0]:
        return None
    product = functools.reduce(operator.mul, found[0])
    return 1.0 / product if found[1] else product


class FixedBits(Working):
    """An array of a body: of floats of the working dtype, of truth values, or of labels.

    >>> x = as_fixed(np.float32([[0.1, 0.2, 0.3]]), np.dtype(np.float32))
    >>> np.sum(x, axis=-1).dtype, np.exp(x).dtype
    (dtype('float32'), dtype('float32'))
    """

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **how: Any) -> Any:
        if not all(isinstance(x, np.ndarray | np.generic | int | float) for x in inputs):
            return NotImplemented  # a carrier takes over
        if method == "__call__" and not how and not out:
            composed = self._composed(ufunc, inputs)
            if composed is not None:
                return composed
        plain = self._as_floats([_plain(x) for x in inputs], ufunc is np.true_divide)
        own: Callable[..., Any] = getattr(ufunc, method)
        op = known(ufunc)
        if method == "__call__" and op and ufunc not in UFUNCS and all(_dtype(x) == self.working for x in plain):
            operation = OPERATIONS[op]
            own = lambda *arrays: operation.on(arrays)  # noqa: E731
        found = own(*plain, **how)
        if out:
            np.copyto(_plain(out[0]), found, casting="same_kind")
            return out[0]
        return self._each(found)

    def _composed(self, ufunc: np.ufunc, inputs: Any) -> Any:
        """The result of a function that is written by others; None of one that is not."""
        if ufunc is np.power:
            return power(*inputs)
        if ufunc.__name__ == "expit":
            return expit(inputs[0])
        if ufunc is np.matmul:
            return product(*inputs)
        return WRITTEN[ufunc](*inputs) if ufunc in (np.reciprocal, np.logaddexp) else None

    def _as_floats(self, given: list[Any], divided: bool = False) -> list[Any]:
        """Operands, of which all are of the working dtype that meet floats, or are divided by each other."""
        if not divided and not any(isinstance(x, float) or _dtype(x).kind == "f" for x in given):
            return given
        return [x.astype(self.working) if isinstance(x, np.ndarray | np.generic) else x for x in given]

    def _number(self, x: Any) -> Any:
        """What is chosen, floats in the working dtype."""
        found = super()._number(x)
        return found.astype(self.working) if isinstance(found, np.ndarray) and found.dtype.kind == "f" else found

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if not all(issubclass(t, np.ndarray) for t in types):
            return NotImplemented  # a carrier takes over
        if function in REDUCED and set(kwargs) <= {"axis", "keepdims", "ddof", "initial"}:
            return REDUCED[function](*args, **kwargs)
        if function in REDUCED:  # called with more: such as a number that a maximum begins with, or a dtype
            return self._each(function(*map(_plain_array, args), **{n: _plain_array(x) for n, x in kwargs.items()}))
        if function in COMPOSED:
            return WRITTEN[function](*args, **kwargs)
        if function is np.dot and len(args) == 2 and not kwargs and all(np.ndim(x) in (1, 2) for x in args):
            return product(*args)
        if function is np.einsum and not contractions.repeats(args[0]):
            return contractions.contracted(*args)
        if function in _OF_FEW and 0 < args[0].shape[-1] <= systems.MOST and not kwargs:
            return _OF_FEW[function](*args)
        if function in (np.sort, np.argsort):  # which of equal numbers comes first is then the same everywhere
            kwargs = {**kwargs, "kind": "stable"}
        return self._each(super().__array_function__(function, types, args, kwargs))

    def _each(self, found: Any) -> Any:
        """A result, or several, as such arrays."""
        if isinstance(found, tuple | list):
            return type(found)(map(self._each, found))
        if isinstance(found, np.ndarray | np.generic) and (found.dtype == self.working or found.dtype.kind in "iub"):
            return np.asarray(found).view(type(self))
        return found


def _dtype(x: Any) -> np.dtype:
    return np.asarray(x).dtype


def _plain(x: Any) -> Any:
    """An array as NumPy's own; a float64 number, which would widen all that it meets, as Python's."""
    if isinstance(x, Working):
        return x.view(np.ndarray)
    return x.item() if isinstance(x, np.floating) else x


def _plain_array(x: Any) -> Any:
    return x.view(np.ndarray) if isinstance(x, Working) else x


_CLASSES: Mapping[np.dtype, type[FixedBits]] = {
    dtype: type(f"FixedBits{dtype.itemsize * 8}", (FixedBits,), {"working": dtype, "scalars": "float64"})
    for dtype in (np.dtype(np.float32), np.dtype(np.float64))
}


def as_fixed(x: np.ndarray, working: np.dtype) -> Any:
    """An array as a body gets it.

    Args:
        x: an array of the working dtype, or of whole numbers.
        working: float32 or float64.

    Returns:
        The same memory.
    """
    return x.view(_CLASSES[working])


def unfixed(found: Any) -> Any:
    """The results of a body as NumPy's own arrays."""
    if isinstance(found, Mapping):
        return {name: unfixed(x) for name, x in found.items()}
    if isinstance(found, tuple | list):
        return type(found)(map(unfixed, found))
    return found.view(np.ndarray)[()] if isinstance(found, Working) else found


def _folded(op: str, x: Any, axis: Any, keepdims: bool) -> Any:
    """An array with some of its axes folded along the tree, in their order."""
    axes = axes_of(x, axis)
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    left = [i for i in range(x.ndim) if i not in axes]
    terms = np.transpose(_plain(x), [*left, *sorted(axes)])
    rows = np.ascontiguousarray(terms).reshape(math.prod(x.shape[i] for i in left), counted(x, axis))
    fold = OPERATIONS[op].fold
    assert fold is not None, op
    found = folding.tree(rows, EACH_ROW, fold)
    return found.reshape(kept if keepdims else [x.shape[i] for i in left]).view(type(x))


def product(a: Any, b: Any) -> Any:
    """The product of matrices, or of stacks of them, whose sums go along the tree.

    Args:
        a: an array of the body, or NumPy's own; of one axis it is a row.
        b: another one; of one axis it is a column.
    """
    kind = next(type(x) for x in (a, b) if isinstance(x, FixedBits))
    left, right = (np.asarray(_plain(x), kind.working) for x in (a, b))
    if not (left.ndim and right.ndim) or left.shape[-1] != right.shape[max(right.ndim - 2, 0)]:
        return np.matmul(left, right)  # which says what does not fit
    rows, columns = left[None] if left.ndim == 1 else left, right[:, None] if right.ndim == 1 else right
    stacked = np.broadcast_shapes(rows.shape[:-2], columns.shape[:-2])
    rows, columns = (np.broadcast_to(x, (*stacked, *x.shape[-2:])) for x in (rows, columns))
    found = matrices.product(rows, columns)
    gone = tuple(axis for axis, x in ((-2, left), (-1, right)) if x.ndim == 1)
    return np.squeeze(found, gone).view(kind)


def _solved(a: Any, b: Any) -> Any:
    """As `numpy.linalg.solve`; of what does not fit, the library says so."""
    if not (a.ndim > 1 and a.shape[-2] == a.shape[-1] == b.shape[max(b.ndim - 2, 0)]):
        return np.linalg.solve(_plain(a), _plain(b))
    kind = next(type(x) for x in (a, b) if isinstance(x, FixedBits))
    found, pivots = systems.solved(*(np.asarray(_plain(x), kind.working).view(kind) for x in (a, b)))
    if any((_plain(pivot) == 0.0).any() for pivot in pivots):
        raise np.linalg.LinAlgError("Singular matrix")
    return found


def _factor(a: Any) -> Any:
    """As `numpy.linalg.cholesky`."""
    if a.ndim < 2 or a.shape[-2] != a.shape[-1]:
        return np.linalg.cholesky(_plain(a))
    found, under = systems.factor(a)
    if not all((_plain(x) > 0.0).all() for x in under):
        raise np.linalg.LinAlgError("Matrix is not positive definite")
    return found


_OF_FEW: Mapping[Any, Callable[..., Any]] = {np.linalg.solve: _solved, np.linalg.cholesky: _factor}


def _sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    if x.dtype == np.bool_:  # truth values are counted
        x = np.asarray(x).astype(x.working).view(type(x))
    return _folded("sum", x, axis, keepdims)


def _max(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
    if not counted(x, axis) and initial is None:
        return np.max(_plain(x), axis=axis, keepdims=keepdims)  # which says that there is none
    found = _folded("max", x, axis, keepdims)
    return found if initial is None else np.maximum(found, initial)


REDUCED: Mapping[Any, Callable[..., Any]] = {
    np.sum: _sum,
    np.max: _max,
    np.min: lambda x, axis=None, keepdims=False: -_max(-x, axis, keepdims),
    np.mean: mean,
    np.var: variance,
}
#: functions that are written by others
COMPOSED = frozenset({np.std, np.linalg.norm, np.clip, np.select})


def _method(name: str) -> Callable[..., Any]:
    function = getattr(np, name)

    def method(self: FixedBits, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__name__, method.__doc__ = name, f"As `numpy.{name}`."
    return method


for _name in ("sum", "mean", "max", "min", "var", "std", "clip", "dot"):
    setattr(FixedBits, _name, _method(_name))
