"""The base of functions of gradients that are not updates of one parameter: aggregations, tests, layers' own gradients.

Such a rule has typed hyperparameters, a citation and a body in NumPy's vocabulary, as an optimizer has; but its arrays
differ in shape (several workers' gradients, a batch of examples), so that it is run as it stands; where they are large, by the
kernel of its body, if it has one.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from refgrad.arithmetic.arrays import as_array, plain_array
from refgrad.arithmetic.dtypes import working
from refgrad.axes import Axes
from refgrad.errors import ArgumentError, bad_argument
from refgrad.rule import Rule

#: elements of an array from which on a kernel is asked for, and the module that has it, which stands above rules and knows them
LARGE, KERNELS = 1 << 16, "refgrad.formula_kernels"
#: what labels may be
WHOLE = "a dtype of whole numbers, such as int64, or floats that are whole numbers"
#: what stands before the axis below whose length whole numbers are
BELOW = "below:"


class Transform(Rule):
    """A function of arrays by the rule's hyperparameters; calling the rule runs it.

    >>> import numpy as np
    >>> from refgrad.optimizers import WinsorizedMean
    >>> WinsorizedMean(percent=25.0)(np.array([[0.0], [1.0], [2.0], [99.0]]))
    array([1.5])
    """

    device_module = "refgrad.optimizers.transform_on_device"
    kind = "transform"
    #: the arrays that the rule takes, each with the names of its axes; after a plus sign, of numbers that are not negative;
    #: with ``below:class``, of whole numbers from 0 on below the length of that axis
    shapes: ClassVar[Mapping[str, str]] = {}
    computing: ClassVar[frozenset[str]] = frozenset({"__call__"})
    #: how long the axes are with which the rule is tried
    lengths: ClassVar[Mapping[str, int]] = {"n": 6, "d": 5}
    #: how long axes are at most with which it is tried, of those with whose square or more what is computed grows
    longest: ClassVar[Mapping[str, int]] = {}
    #: arrays that take any sign and in practice have none, such as what a rectifier gives: of both kinds is every second case
    magnitudes: ClassVar[frozenset[str]] = frozenset()
    #: arrays that are normal numbers in every second case, such as matrices of systems that may not be singular
    distinct: ClassVar[frozenset[str]] = frozenset()
    #: whether what it is lies in the steps of its body, so that these can be counted and replaced one by one
    by_steps: ClassVar[bool] = True
    #: the way in which it is judged, where that is not the one of its kind (`refgrad.kinds.table.VARIANTS`)
    variant: ClassVar[str] = ""
    #: whether the arrays may have any number of axes, all of them the same, whatever `shapes` says
    any_axes: ClassVar[bool] = False
    #: whether the rule is about NaN and infinities, so that it is tried with some
    about_nan: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "primary" not in vars(cls):
            cls.primary = next((name for name, text in cls.shapes.items() if not below(text)), Rule.primary)

    @classmethod
    def legal(cls) -> dict[str, Any]:
        """What each hyperparameter may be, by name; the precision of scalars is none of them: the body has plain numbers."""
        return {name: legal for name, legal in super().legal().items() if name != "scalars"}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scalars != "float64":
            raise bad_argument(f"{type(self).__name__}.scalars", self.scalars, "float64")

    def apply(self, *arrays: Any) -> Any:
        """The source's algorithm; a subclass writes it, with arguments of its own names.

        Args:
            arrays: those of `shapes`, in order, of the working dtype (float64 for float64, else float32).

        Returns:
            An array, a number, or a tuple or dict of these.
        """
        raise NotImplementedError

    def names(self) -> list[str]:
        """What the body calls the arrays, in order."""
        return list(inspect.signature(self.apply).parameters)

    def takes(self) -> dict[str, Axes]:
        """The arrays: name -> the names of their axes, as in `shapes`."""
        return {name: tuple(axes_named(text)) for name, text in self.shapes.items()}

    def check(self, *arrays: np.ndarray) -> None:
        """Check that shapes fit; a subclass writes it.

        Args:
            arrays: those of `shapes`, in order.

        Raises:
            ArgumentError: they do not.
        """

    def __call__(self, *arrays: Any) -> Any:
        """The transformed arrays; nothing that is handed in is changed.

        Args:
            arrays: those of `shapes`, in order, all of one float dtype; narrow ones are widened to float32.

        Returns:
            An array of the dtype that came in, rounded to it once; a Python float; or a tuple or dict of these.

        Raises:
            ArgumentError: too few or too many arrays, arrays of different dtypes, or shapes that do not fit.
        """
        return self.computed_by(self.computed, arrays)

    def sketched(self, *arrays: Any) -> Any:
        """As `__call__`, where the bits are no matter: by what is fastest.

        Args:
            arrays: as `__call__` takes them.

        Returns:
            As `__call__`, but for rounding.
        """
        return self(*arrays)

    def computed_by(self, body: Callable[..., Any], arrays: Sequence[Any]) -> Any:
        """What a body makes of arrays, which are checked, widened, and rounded back.

        Args:
            body: of copies of the arrays, of the dtype in which the rule computes.
            arrays: as `__call__` takes them.

        Returns:
            As `__call__`.
        """
        names = self.names()
        if len(arrays) != len(names):
            raise ArgumentError(
                f"{type(self).__name__} was called with {len(arrays)} arrays; legal: {', '.join(names)}"
            )
        whole = [bool(below(text)) for text in self.shapes.values()] or [False] * len(names)
        given = [
            _labels(array, name) if labels else as_array(array, name)
            for array, name, labels in zip(arrays, names, whole, strict=True)
        ]
        first = whole.index(False)
        dtype = given[first].dtype
        for array, name, labels in zip(given, names, whole, strict=True):
            if array.dtype != dtype and not labels:
                raise bad_argument(f"{name}.dtype", str(array.dtype), f"{dtype}, the dtype of {names[first]}")
        self.check(*given)
        if any(whole):
            self.check_labels(given)
        with np.errstate(all="ignore"):
            # in the order of C, whatever order they came in: NumPy adds in the order in which numbers lie in memory
            computed = [np.int64 if labels else self.computed_in(dtype) for labels in whole]
            wide = (np.array(a, each, order="C", copy=True) for a, each in zip(given, computed, strict=True))
            try:
                return _narrowed(body(*wide), dtype)
            except np.linalg.LinAlgError as error:
                raise ArgumentError(
                    f"{', '.join(names)}: {error}; legal: numbers of which its system is solved"
                ) from error
            except ArithmeticError as error:  # of Python's floats: arrays have infinities and NaN
                raise self.without_value(error) from error

    def without_value(self, error: ArithmeticError) -> ArgumentError:
        """The error that numbers which follow from the hyperparameters have no value.

        Args:
            error: what Python said of them.

        Returns:
            The error to be raised.
        """
        asked = ", ".join(f"{type(self).__name__}.{n}" for n in self.numbers()) or ", ".join(self.names())
        return ArgumentError(f"{asked}: {self} has no value ({error}); legal: numbers at which it has one")

    def computed(self, *arrays: np.ndarray) -> Any:
        """What the body makes of arrays.

        Args:
            arrays: copies of what was handed in, in order, of the dtype in which it computes.

        Returns:
            As `apply`.
        """
        if max((a.size for a in arrays), default=0) < LARGE:
            return self.apply(*arrays)
        return importlib.import_module(KERNELS).run_large(self, arrays)

    def computed_in(self, dtype: np.dtype) -> np.dtype:
        """The dtype in which it computes.

        Args:
            dtype: that of the arrays which are handed in.

        Returns:
            Float64 of float64, else float32.
        """
        return working(dtype)

    def check_labels(self, arrays: Sequence[np.ndarray]) -> None:
        """Check that every label is a place along the axis which it is below.

        Args:
            arrays: those of `shapes`, in order, of which values of labels alone are looked at.

        Raises:
            ArgumentError: one is not.
        """
        lengths: dict[str, int] = {}
        for array, text in zip(arrays, self.shapes.values(), strict=True):
            lengths |= zip(axes_named(text), array.shape, strict=False)
        for array, (name, text) in zip(arrays, self.shapes.items(), strict=True):
            most = below(text)
            if not most or not array.size:
                continue
            count = length_of(most, lengths)
            if not (0 <= array.min() and array.max() < count):
                wrong = array[(array < 0) | (array >= count)]
                raise bad_argument(
                    f"{name}'s labels", int(wrong[0]), f"whole numbers from 0 to {count - 1}, below {most}"
                )

    def drawn(self, lengths: Mapping[str, int], random: np.random.Generator) -> dict[str, np.ndarray]:
        """Arrays that the rule takes.

        Args:
            lengths: those of all axes.
            random: draws them.

        Returns:
            By name float64 from 0 to 1, and whole numbers.
        """
        found: dict[str, np.ndarray] = {}
        for name, text in self.shapes.items():
            shape, most = [lengths[axis] for axis in axes_named(text)], below(text)
            found[name] = random.integers(0, length_of(most, lengths), shape) if most else random.random(shape)
        return found


def named_results(result: Any) -> dict[str, Any]:
    """A transform's results by name: the names of a dict, "result[0]" and so on of a tuple, or "result".

    Args:
        result: what its body returned.

    Returns:
        Name -> result.

    >>> list(named_results((1.0, 2.0)))
    ['result[0]', 'result[1]']
    """
    if isinstance(result, Mapping):
        return {str(name): r for name, r in result.items()}
    if isinstance(result, tuple | list):
        return {f"result[{i}]": r for i, r in enumerate(result)}
    return {"result": result}


def axes_named(text: str) -> list[str]:
    """The names of an array's axes.

    Args:
        text: as in `Transform.shapes`, such as ``"batch feature"``; a plus sign at its end is no part of them.

    Returns:
        The names in order.
    """
    return [word for word in text.replace("+", "").split() if not word.startswith(BELOW)]


def below(text: str) -> str:
    """The axis, or the number, below whose length an array's whole numbers are.

    Args:
        text: as in `Transform.shapes`, such as ``"batch below:class"``.

    Returns:
        Its name, or the number as a text; empty of an array of floats.

    >>> below("batch below:class"), below("batch class")
    ('class', '')
    """
    return next((word.removeprefix(BELOW) for word in text.split() if word.startswith(BELOW)), "")


def length_of(axis: str, lengths: Mapping[str, int]) -> int:
    """How long an axis is, or what number it is.

    Args:
        axis: its name, or a number as a text.
        lengths: those of axes by name.

    Returns:
        The length.
    """
    return int(axis) if axis.isdigit() else lengths[axis]


def _labels(array: Any, name: str) -> np.ndarray:
    """An array of whole numbers as NumPy's own."""
    found = plain_array(array, name)
    if found.dtype.kind == "f" and bool((found == np.rint(found)).all()) and bool(np.isfinite(found).all()):
        return found.astype(np.int64)  # such as the patterns that another rule gives
    if found.dtype.kind not in "iu":
        raise bad_argument(f"{name}.dtype", str(found.dtype), WHOLE)
    return found


def _narrowed(result: Any, dtype: np.dtype) -> Any:
    if isinstance(result, tuple):
        return tuple(_narrowed(r, dtype) for r in result)
    if isinstance(result, dict):
        return {name: _narrowed(r, dtype) for name, r in result.items()}
    if isinstance(result, (np.ndarray, np.floating)):
        return result.astype(dtype) if np.ndim(result) else float(result)
    return result


def check_axes(array: np.ndarray, name: str, axes: int, meaning: str) -> None:
    """Check an array's number of axes.

    Args:
        array: the array.
        name: what errors call it.
        axes: how many axes it must have.
        meaning: what they are, for the error.

    Raises:
        ArgumentError: it has another number.
    """
    if array.ndim != axes:
        raise bad_argument(f"{name}.ndim", array.ndim, f"{axes}: {meaning}")


def check_count(array: np.ndarray, name: str, least: int, meaning: str) -> None:
    """Check that an array's first axis is long enough.

    Args:
        array: the array.
        name: what errors call it.
        least: how long it must be at least.
        meaning: what it runs over, for the error.

    Raises:
        ArgumentError: it is shorter, or there is none.
    """
    if array.ndim < 1 or array.shape[0] < least:
        raise bad_argument(f"{name}.shape", array.shape, f"at least {least} along the first axis: {meaning}")


def check_same(array: np.ndarray, name: str, shape: tuple[int, ...], meaning: str) -> None:
    """Check an array's shape.

    Args:
        array: the array.
        name: what errors call it.
        shape: the shape that it must have.
        meaning: why, for the error.

    Raises:
        ArgumentError: it has another.
    """
    if array.shape != shape:
        raise bad_argument(f"{name}.shape", array.shape, f"{shape}: {meaning}")
