"""Arrays of one working dtype, as a rule's body gets them: a number that meets one becomes a number of its dtype.

NumPy sees to that itself where a Python number meets an array of floats. Where it meets a condition alone, as in
``np.where(x > 0, 1.0, 0.0)``, NumPy gives float64, and so it does where a function of NumPy was applied to the number before,
as in ``x / np.sqrt(length(x))``; all that is computed from these would be in float64, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from refgrad.arithmetic.operations.op import BodyArray
from refgrad.arithmetic.scalar_math import TABLES, Scalar, Scope


class Working(BodyArray):
    """Base of arrays that know their body's working dtype; booleans that come of a comparison of them know it too.

    Attributes:
        working: the dtype.
        scalars: the precision of the rule's scalars, which the lengths of these arrays are.

    >>> x = as_working(np.asarray([-2.0, 3.0], np.float32), "float64")
    >>> np.where(x > 0, 1.0, 0.5).dtype
    dtype('float32')
    """

    working: ClassVar[np.dtype]
    scalars: ClassVar[str]

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is not np.where or len(args) != 3 or kwargs:
            return super().__array_function__(function, types, args, kwargs)
        condition, *chosen = args
        found = np.where(np.asarray(condition), *map(self._number, chosen))
        return found.view(type(self))

    def _number(self, x: Any) -> Any:
        """What is chosen, a number in the working dtype."""
        if isinstance(x, np.ndarray):
            return x.view(np.ndarray)
        value = float(x.value) if isinstance(x, Scalar) else x
        return value if isinstance(value, bool | np.bool_) else self.working.type(value)


def _of(dtype: np.dtype, scalars: str) -> type[Working]:
    return type(f"Working{dtype.itemsize * 8}", (Working,), {"working": dtype, "scalars": scalars})


_CLASSES: Mapping[tuple[np.dtype, str], type[Working]] = {
    (np.dtype(kind), scalars): _of(np.dtype(kind), scalars) for kind in (np.float32, np.float64) for scalars in TABLES
}


def as_working(x: np.ndarray, scalars: str) -> np.ndarray:
    """An array as a rule's body gets it.

    Args:
        x: an array of a working dtype; one of another dtype is returned as it is.
        scalars: the precision of the rule's scalars, "float64" or "float32".

    Returns:
        The same memory, as an array that knows the dtype.
    """
    kind = _CLASSES.get((x.dtype, scalars))
    return x if kind is None else x.view(kind)


def number_like(value: int, x: Any) -> Any:
    """A number of an array, such as its length, as a scalar of the body that the array is in; as it is in none.

    Zero, the length of nothing, stays as it is: arrays divide by it, scalars do not, and nothing is rounded.

    Args:
        value: the number.
        x: the array, or another.

    Returns:
        A scalar of the precision that the array's rule has, or the number.
    """
    return Scope(TABLES[x.scalars]).lift(value) if value and isinstance(x, Working) else value


def plain(x: Any) -> Any:
    """A result as NumPy's own array, if it is one of these.

    Args:
        x: an array, or anything else, which is returned as it is.

    Returns:
        The same memory.
    """
    return x.view(np.ndarray) if isinstance(x, Working) else x
