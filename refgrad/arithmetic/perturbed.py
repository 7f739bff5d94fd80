"""Arrays on which every operation is off at random, by about what a rounding to a narrower format does.

A function that is run on them many times shows how far roundings carry: `runs` gives what it made of each run. That is an
estimate and no bound. What has no operation of NumPy's on the way, such as a routine in C, is told of errors of its inputs alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from refgrad.arithmetic.dtypes import whole_numbers
from refgrad.errors import ArgumentError

#: ufuncs whose result is one of their operands, or a number that no format rounds
EXACT = frozenset(
    {
        "absolute",
        "negative",
        "positive",
        "maximum",
        "minimum",
        "fmax",
        "fmin",
        "sign",
        "copysign",
        "floor",
        "ceil",
        "trunc",
        "rint",
        "fabs",
        "heaviside",
        "signbit",
    }
)
#: ufuncs that a library has to a few units in the last place, and not to half of one
ELEMENTARY = frozenset(
    {
        "exp",
        "exp2",
        "expm1",
        "log",
        "log2",
        "log10",
        "log1p",
        "sin",
        "cos",
        "tan",
        "arcsin",
        "arccos",
        "arctan",
        "arctan2",
        "sinh",
        "cosh",
        "tanh",
        "power",
        "cbrt",
        "erf",
        "expit",
    }
)
#: modules of NumPy whose functions leave its array classes, and single functions that do
FAR = ("numpy.linalg", "numpy.fft")
PRODUCTS = frozenset({"dot", "vdot", "inner", "einsum", "convolve", "correlate", "interp", "tensordot"})


#: products of two matrices, up to which every partial sum is looked at
FEW_PRODUCTS = 200_000

#: operations of a run at most, where nothing else is said
MOST = 1_000_000


class EndlessError(ArgumentError):
    """A run with errors goes on far longer than the one without."""


@dataclass(frozen=True)
class Noise:
    """Random errors.

    Attributes:
        random: draws them.
        unit: the largest relative error of one rounding; 0 for none.
    """

    random: np.random.Generator
    unit: float
    #: operations that may still be done, and that were; a loop that waits for a difference to vanish never ends among errors
    left: int = MOST
    met: list[int] = field(default_factory=lambda: [0])
    #: the largest relative error of a rounding at places of a formula (`refgrad.stored`) that programs may round at
    places: Mapping[str, float] = field(default_factory=dict)

    def count(self) -> None:
        """Count an operation.

        Raises:
            EndlessError: there were too many.
        """
        self.met[0] += 1
        if self.met[0] > self.left:
            raise EndlessError(f"a run with errors did not end within {self.left} operations; legal: a loop that does")

    def of(self, size: Any, times: float = 1.0, of: Any = None) -> np.ndarray:
        """Errors relative to some sizes, of either sign; equal numbers are rounded alike, so that their errors add up.

        Args:
            size: what the errors are relative to.
            times: how many roundings one is.
            of: the numbers that are rounded, where these are not the sizes.
        """
        numbers, places = np.unique(np.abs(size if of is None else of), return_inverse=True)
        drawn = self.random.uniform(-1.0, 1.0, numbers.shape)[places].reshape(np.shape(size))
        return np.asarray(drawn * np.asarray(size) * (self.unit * times))


class Perturbed(np.ndarray):
    """An array of float64 whose operations are off at random."""

    noise: Noise | None

    @classmethod
    def of(cls, array: Any, noise: Noise | None) -> Self:
        """The numbers of an array."""
        found = np.asarray(array).view(cls)
        found.noise = noise
        return found

    def __array_finalize__(self, origin: Any) -> None:
        self.noise = getattr(origin, "noise", None)

    def at_place(self, place: str) -> Perturbed:
        """The array as it is kept at a place, with the errors of a rounding there, if there is one."""
        unit = 0.0 if self.noise is None else self.noise.places.get(place, 0.0)
        if self.noise is None or not unit:
            return self
        plain = self.view(np.ndarray)
        return Perturbed.of(plain + self.noise.of(plain, unit / self.noise.unit), self.noise)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **how: Any) -> Any:
        noise = _noise(*inputs, *(out or ()))
        if noise is not None:
            noise.count()
        plain = [_plain(each) for each in inputs]
        how = {name: _plain(each) for name, each in how.items()}
        if method == "at":
            return ufunc.at(*plain, **how)  # type: ignore[call-overload]
        with np.errstate(all="ignore"):
            result = getattr(ufunc, method)(*plain, **how)
            if noise is not None and noise.unit:
                result = _off(ufunc, method, plain, how, result, noise)
        if out is not None:
            for place, each in zip(out, result if isinstance(result, tuple) else (result,), strict=True):
                if place is not None:
                    np.copyto(_plain(place), each, casting="unsafe")
            return out[0] if len(out) == 1 else out
        return _wrapped(result, noise)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        noise = _noise(*_leaves(args), *_leaves(kwargs.values()))
        name, module = getattr(function, "__name__", ""), getattr(function, "__module__", "") or ""
        if not (module.startswith(FAR) or name in PRODUCTS) or noise is None:
            found = super().__array_function__(function, (Perturbed,), args, kwargs)
            return _wrapped(found, noise)
        handed = [_each(args, lambda a: _plain(a) + noise.of(_plain(a)) if _is_float(a) else _plain(a))]
        found = function(*handed[0], **{key: _plain(each) for key, each in kwargs.items()})
        return _wrapped(_each(found, lambda a: a + noise.of(a) if _is_float(a) else a), noise)


def runs(
    function: Callable[..., Any],
    arrays: Sequence[np.ndarray],
    unit: float,
    count: int,
    of_inputs: Callable[[np.ndarray, Noise], np.ndarray] | None = None,
    most: int = MOST,
    places: Mapping[str, float] = MappingProxyType({}),
) -> list[Any]:
    """What a function makes of some arrays when everything is off at random.

    Args:
        function: takes arrays of float64, and whole numbers, by their places.
        arrays: what it takes.
        unit: the largest relative error of one rounding.
        count: how often it is run.
        of_inputs: the errors that inputs have besides; None for none.
        most: operations of a run.
        places: as of `Noise`.

    Returns:
        What each run gave: a list of `Perturbed`, or of what holds these.

    Raises:
        EndlessError: a run has more operations.
    """
    random, found = np.random.Generator(np.random.Philox(arrays[0].size)), []
    for _ in range(count):
        noise = Noise(random, unit, most, places=places)
        given = [
            a.copy() if whole_numbers(a) else Perturbed.of(a + (of_inputs(a, noise) if of_inputs else 0.0), noise)
            for a in arrays
        ]
        found.append(function(*given))
    return found


def _off(ufunc: Any, method: str, plain: list[Any], how: Any, result: Any, noise: Noise) -> Any:
    """The result of an operation with the errors that roundings of it have."""
    if isinstance(result, tuple):
        return tuple(_off(ufunc, method, plain, how, each, noise) for each in result)
    if not _is_float(result) or ufunc.__name__ in EXACT:
        return result
    if ufunc is np.add and method == "reduce":
        return result + noise.of(_walked(plain[0], how, result))
    if ufunc is np.add and method == "accumulate":
        return result + np.cumsum(noise.of(result), axis=how.get("axis", 0))
    if ufunc is np.matmul:
        return result + noise.of(_products_walked(*plain))
    return result + noise.of(result, 4.0 if ufunc.__name__ in ELEMENTARY else 1.0)


def _walked(terms: Any, how: Any, result: Any) -> np.ndarray:
    """How large the error of a sum may be: every sum on the way is rounded, and these roundings are independent."""
    axis = how.get("axis", 0)
    axes = tuple(range(np.ndim(terms))) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    folded = np.moveaxis(np.asarray(terms), axes, range(-len(axes), 0))
    folded = folded.reshape(*folded.shape[: folded.ndim - len(axes)], -1)
    size = np.sqrt(np.sum(np.square(np.cumsum(folded, axis=-1)), axis=-1))
    return np.reshape(size, np.shape(result))


def _products_walked(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The same of sums of products; of large matrices as it is where all terms have one sign."""
    if a.ndim == b.ndim == 2 and a.shape[0] * a.shape[1] * b.shape[1] <= FEW_PRODUCTS:
        terms = a[:, None, :] * b.T[None, :, :]
        return np.sqrt(np.sum(np.square(np.cumsum(terms, axis=-1)) + np.square(terms), axis=-1))
    return np.asarray(np.matmul(np.abs(a), np.abs(b)) * math.sqrt(np.shape(a)[-1]))


def _is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fc"


def _plain(value: Any) -> Any:
    return _each(value, lambda a: a.view(np.ndarray) if isinstance(a, Perturbed) else a)


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """A value with all in it changed."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_each(each, change) for each in value))
    if isinstance(value, tuple | list):
        return type(value)(_each(each, change) for each in value)
    return change(value)


def _leaves(values: Any) -> list[Any]:
    found = []
    for each in values:
        found += _leaves(each) if isinstance(each, tuple | list) else [each]
    return found


def _noise(*values: Any) -> Noise | None:
    return next((each.noise for each in values if isinstance(each, Perturbed) and each.noise is not None), None)


def _wrapped(value: Any, noise: Noise | None) -> Any:
    return _each(value, lambda a: Perturbed.of(a, noise) if _is_float(a) and a.dtype.kind == "f" else _plain(a))
