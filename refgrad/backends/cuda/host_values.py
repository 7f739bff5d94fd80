"""An array of a device as checks of NumPy's arrays see it: its shape at once, its values copied where one looks at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from refgrad.backends.cuda.device import Device

#: what of an array is known without its values
_OF_SHAPE: Mapping[Any, Callable[[Any], Any]] = {
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: x.ndim,
    np.size: lambda x: x.size,
}


class HostValues(NDArrayOperatorsMixin):
    """Stands for an array of a device in code that takes NumPy's.

    Args:
        array: the array.
        device: where it lies.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: Any, device: Device) -> None:
        self._array, self._device = array, device
        self._values: np.ndarray | None = None

    @property
    def values(self) -> np.ndarray:
        """The values, as NumPy has them; the host waits for them once."""
        if self._values is None:
            self._values = self._device.get(self._array)
        return self._values

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return tuple(self._array.shape)

    @property
    def ndim(self) -> int:
        """The number of its axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of its elements."""
        return int(self._array.size)

    @property
    def dtype(self) -> np.dtype:
        """The dtype of its elements."""
        return np.dtype(self._array.dtype)

    @property
    def T(self) -> Any:
        """The transpose, whose values are looked at where it is."""
        return HostValues(self._array.transpose(), self._device)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.values, name)

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        if all(part is None or part is Ellipsis or isinstance(part, int | np.integer | slice) for part in parts):
            return HostValues(self._array[key], self._device)  # a view, of which the shape may be all that is asked for
        return self.values[_read(key)]

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.values)

    def __int__(self) -> int:
        return int(self.values)

    def __float__(self) -> float:
        return float(self.values)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(self.values, dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return getattr(ufunc, method)(*map(_read, inputs), **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if function in _OF_SHAPE and len(args) == 1 and not kwargs:
            return _OF_SHAPE[function](*args)
        return function(*map(_read, args), **{name: _read(each) for name, each in kwargs.items()})


def _read(x: Any) -> Any:
    """What stands for an array as the array; in a tuple or list too."""
    if isinstance(x, tuple | list):
        return type(x)(map(_read, x))
    return x.values if isinstance(x, HostValues) else x
