"""An array on a device as a value of a body: its shape, its moves, what the host asks of it, and operations on its elements."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.arithmetic import folding
from refgrad.arithmetic.dtypes import is_float
from refgrad.arithmetic.fixed_bits import FUNCTIONS as ELEMENTARY
from refgrad.arithmetic.fixed_bits import SPECIAL, expit, power
from refgrad.arithmetic.operations import UFUNCS
from refgrad.arithmetic.operations.op import Number
from refgrad.arithmetic.scalar_math import TABLES, Scope
from refgrad.arithmetic.shaped import MOVES, WRITTEN, Shaped
from refgrad.backends.cuda import array_source as kernels
from refgrad.backends.cuda import top_k
from refgrad.backends.cuda.device import Device, grid
from refgrad.backends.cuda.staged_source import copy_source
from refgrad.errors import NoKernel, TraceError

#: how many axes kernels are printed for; those between have further axes of one
_AXES = (1, 2, 3, kernels.MOST_AXES)
#: NumPy's functions of elements that are exact, besides those in the table of operations
_UFUNCS: Mapping[np.ufunc, str] = {
    np.isnan: "isnan",
    np.isfinite: "isfinite",
    np.isinf: "isinf",
    np.square: "square",
    np.floor_divide: "floordiv",
    np.remainder: "mod",
    np.bitwise_xor: "xor",
    np.logical_xor: "ne",
    np.right_shift: "shift right",
    np.left_shift: "shift left",
    np.signbit: "signbit",
    np.copysign: "copysign",
    np.fmax: "fmax",
    np.fmin: "fmin",
    np.positive: "copy",
    np.trunc: "trunc",
}


#: what is done with functions of NumPy's, and with operations that see more than an element (`refgrad.backends.cuda.arrays`)
FUNCTIONS: dict[Any, Callable[..., Any]] = {}
SEEN_WHOLE: dict[str, Callable[..., Any]] = {}


def refused(what: str) -> NoKernel:
    """The error for what no kernel does."""
    return NoKernel(f"{what}, which no kernel does")


@dataclass(frozen=True, eq=False)
class Body:
    """What the arrays of one run share.

    Args:
        device: where they lie.
        working: the dtype that is worked in.
        fixed: True if sums, products and elementary functions are refgrad's, of fixed bits; if not they are refused, because
            NumPy's own are meant.
        scalars: the precision of numbers that are made of lengths; "" where they are Python's.
    """

    device: Device
    working: np.dtype
    fixed: bool = True
    scalars: str = ""

    def array(self, data: Any) -> DeviceArray:
        """An array of the device as a value of the body; one of NumPy's is copied there."""
        return DeviceArray(
            self.device.put(np.asarray(data)) if isinstance(data, np.ndarray | np.generic) else data, self
        )

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Room on the device."""
        return self.device.empty(shape, np.dtype(dtype))

    def launch(
        self,
        source: Any,
        size: int,
        integers: Sequence[int],
        arrays: Sequence[Any],
        numbers: Any = (),
        shape: tuple[int, int] | None = None,
    ) -> None:
        """A kernel over some elements, if there are any; by a thread an element, unless the shape of the grid is said."""
        if size:
            given = [size, *integers, *map(self.device.address, arrays), *numbers]
            self.device.launch(source, *(shape or grid(size)), given, self.device.stream())

    def elements(
        self,
        op: str,
        operands: Sequence[Any],
        attribute: Any = None,
        result: Any = None,
        shape: tuple[int, ...] | None = None,
    ) -> DeviceArray:
        """An operation on elements, of arrays that are broadcast against each other.

        Args:
            op: the operation.
            operands: arrays of the device or of NumPy's, and numbers.
            attribute: that of the operation, if it has one.
            result: the dtype that is stored, where it is not that of the operation.
            shape: that of the result, where operands do not say it.
        """
        values = [self._operand(x) for x in operands]
        kind = self._kind(op, values)
        op = _named(op, kind)
        narrow = [x.dtype for x in values if isinstance(x, DeviceArray) and not _is_plain(x.dtype)]
        if narrow or not _is_plain(kind):
            raise refused(f"numbers of {(*narrow, kind)[0]} are computed with")
        if not kernels.knows(op, kind.name, attribute):
            raise refused(f"{op} of {kind} is called")
        given = np.dtype(result or (np.bool_ if op in kernels.BOOLEANS else kind))
        arrays = [x for x in values if isinstance(x, DeviceArray)]
        whole = np.broadcast_shapes(*(x.shape for x in arrays)) if shape is None else shape
        out, size = self.empty(whole, given), math.prod(whole)
        lengths, steps = _together(whole, [_steps(x.data, whole) for x in arrays])
        kinds = tuple(x.dtype.name if isinstance(x, DeviceArray) else "" for x in values)
        source = kernels.elements_source(op, kinds, kind.name, given.name, len(lengths), attribute)
        numbers = [float(x) for x in values if not isinstance(x, DeviceArray)]
        self.launch(
            source, size, [*lengths, *(n for each in steps for n in each)], [*(x.data for x in arrays), out], numbers
        )
        return DeviceArray(out, self)

    def _operand(self, x: Any) -> Any:
        """An operand as an array of the device, or as a number of Python's."""
        if isinstance(x, Number):
            x = x.value
        if isinstance(x, DeviceArray | bool | int | float):
            return x
        if isinstance(x, np.generic) or (isinstance(x, np.ndarray) and not x.ndim):
            weak = self.fixed or x.dtype in (np.float32, np.bool_)
            return x.item() if weak else self.array(np.asarray(x))
        if isinstance(x, np.ndarray) and x.dtype.kind in "fiub":
            return self.array(x)
        raise refused(f"a {type(x).__name__} meets an array")

    def _kind(self, op: str, values: Sequence[Any]) -> np.dtype:
        """The dtype that an operation is computed in."""
        meant = values[1:] if op == "where" else values
        types: list[Any] = [x.dtype if isinstance(x, DeviceArray) else x for x in meant]
        if op in ("where", "copy") and all(isinstance(x, float) for x in types):
            return self.working if self.fixed else np.dtype(np.float64)
        floats = [x for x in types if isinstance(x, float) or (isinstance(x, np.dtype) and x.kind == "f")]
        if self.fixed and floats:  # what meets floats is of the working dtype there, be it wide, whole or a truth value
            return self.working
        found = np.result_type(*types) if types else self.working
        if op in ("div", "sqrt", "exp", "log") and found.kind in "iub":
            return self.working if self.fixed else np.dtype(np.float64)
        return np.dtype(found)


def _is_plain(dtype: np.dtype) -> bool:
    """True of the types that kernels of elements have: float32, float64, whole numbers and truth values."""
    return dtype.name in kernels.FLOATS or dtype.kind in "iub"


def _named(op: str, kind: np.dtype) -> str:
    """The operation as it is of truth values, or of whole numbers."""
    if kind.kind == "b":
        return {"add": "or", "mul": "and", "maximum": "or", "minimum": "and"}.get(op, op)
    if kind.kind in "iu":
        return {"and": "bits and", "or": "bits or"}.get(op, op)
    return op


def _steps(data: Any, shape: tuple[int, ...]) -> list[int]:
    """How many elements lie between neighbours along each axis of a shape that an array is broadcast to."""
    own = [step // data.dtype.itemsize if n > 1 else 0 for step, n in zip(data.strides, data.shape, strict=True)]
    return [0] * (len(shape) - len(own)) + own


def _together(shape: tuple[int, ...], steps: Sequence[Sequence[int]]) -> tuple[list[int], list[list[int]]]:
    """Lengths and steps in which axes that lie together in all arrays are one; as many as kernels are printed for."""
    lengths: list[int] = []
    found: list[list[int]] = [[] for _ in steps]
    for axis, length in enumerate(shape):
        if length == 1:
            continue
        if lengths and all(own[-1] == each[axis] * length for own, each in zip(found, steps, strict=True)):
            lengths[-1] *= length
            for own, each in zip(found, steps, strict=True):
                own[-1] = each[axis]
            continue
        lengths.append(length)
        for own, each in zip(found, steps, strict=True):
            own.append(each[axis])
    wanted = next((n for n in _AXES if n >= len(lengths)), None)
    if wanted is None:
        raise refused(f"an array has more than {kernels.MOST_AXES} axes that lie apart")
    more = wanted - len(lengths)
    return [1] * more + lengths, [[0] * more + own for own in found]


class DeviceArray(Shaped):
    """An array of a body that lies on a device.

    Args:
        data: the device's own array, contiguous or a view.
        body: what it shares with the others of its run.
    """

    __slots__ = ("body", "data")

    def __init__(self, data: Any, body: Body) -> None:
        self.data, self.body = data, body

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return tuple(self.data.shape)

    @property
    def dtype(self) -> np.dtype:  # type: ignore[override]
        """The dtype of its elements."""
        return np.dtype(self.data.dtype)

    @property
    def flat_data(self) -> Any:
        """The device's array, contiguous."""
        return self.data if self.data.flags.c_contiguous else self.copy().data

    # moves

    def viewed(self, data: Any) -> DeviceArray:
        """Another view of the same memory."""
        return DeviceArray(data, self.body)

    def copy(self) -> DeviceArray:
        """The same numbers in new memory, contiguous."""
        return self.body.elements("copy", [self], result=self.dtype)

    def rearranged(self, function: Callable[[np.ndarray], np.ndarray]) -> Any:
        """The same numbers in other places: where these were is found on the host, of the shape alone."""
        places = np.asarray(function(np.arange(1, self.size + 1).reshape(self.shape))) - 1
        return self.at_places(places)

    def at_places(self, places: np.ndarray) -> DeviceArray:
        """Elements at places in the flat array; zero where a place is negative."""
        out = self.body.empty(places.shape, self.dtype)
        if places.size:
            where = self.body.device.put(np.ascontiguousarray(places, np.int64))
            self.body.launch(kernels.gather_source(width_of(self.dtype)), places.size, [], [where, self.flat_data, out])
        return self.viewed(out)

    def at(self, places: DeviceArray) -> DeviceArray:
        """Elements at places in the flat array, which are on the device too."""
        out = self.body.empty(places.shape, self.dtype)
        given = [places.flat_data, self.flat_data, out]
        self.body.launch(kernels.gather_source(width_of(self.dtype)), places.size, [], given)
        return self.viewed(out)

    def joined(self, parts: Sequence[Any], function: Callable[[list[np.ndarray]], np.ndarray]) -> Any:
        """The numbers of several arrays in one."""
        held = [part if isinstance(part, DeviceArray) else self.body.array(np.asarray(part)) for part in parts]
        floats = [part.dtype for part in held if part.dtype.kind == "f"]
        dtype = np.result_type(*(floats if self.body.fixed and floats else [part.dtype for part in held]))
        ends = np.cumsum([0, *(part.size for part in held)])
        room = self.body.empty((int(ends[-1]),), dtype)
        for part, start, stop in zip(held, ends[:-1], ends[1:], strict=True):
            if part.size:
                flat = part.astype(dtype).flat_data.reshape(-1)
                where = self.body.device.put(np.arange(start, stop, dtype=np.int64))
                self.body.launch(kernels.scatter_source(width_of(dtype)), part.size, [], [where, flat, room])
        numbers = [np.arange(a, b).reshape(p.shape) for a, b, p in zip(ends[:-1], ends[1:], held, strict=True)]
        return self.viewed(room).at_places(np.asarray(function(numbers)))

    def filled(self, value: float) -> Any:
        """An array of this shape and dtype with one number everywhere."""
        return self.body.elements("copy", [value], result=self.dtype, shape=self.shape)

    @property
    def T(self) -> Any:
        """The transpose."""
        return self.viewed(self.data.transpose())

    def reshape(self, *shape: Any) -> Any:
        """As NumPy's."""
        wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
        return self.viewed(self.flat_data.reshape(tuple(int(n) for n in wanted)))

    def transpose(self, *axes: Any) -> Any:
        """As NumPy's."""
        if len(axes) == 1 and isinstance(axes[0], tuple | list):
            axes = tuple(axes[0])
        return self.viewed(self.data.transpose(*axes))

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """The same numbers in another dtype."""
        dtype = np.dtype(dtype)
        if dtype == self.dtype and not copy:
            return self
        if is_float(dtype) and is_float(self.dtype) and not {dtype.name, self.dtype.name} <= set(kernels.FLOATS):
            return self.viewed(converted(self.flat_data, dtype, self.body.device))
        if dtype.kind not in "fiub" or dtype.itemsize > 8 or dtype == np.float16:
            raise refused(f"numbers become {dtype}")
        if dtype.kind == "b":
            return self.body.elements("ne", [self, 0])
        return self.body.elements("copy", [self], result=dtype)

    def view(self, dtype: Any) -> Any:
        """The same bits as numbers of another type of their width."""
        if np.dtype(dtype).itemsize != self.dtype.itemsize:
            raise refused(f"bits become {np.dtype(dtype)}")
        return self.viewed(self.flat_data.view(np.dtype(dtype)))

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        if all(part is None or part is Ellipsis or isinstance(part, int | np.integer | slice) for part in parts):
            return self.viewed(self.data[parts if Ellipsis in parts else (*parts, Ellipsis)])
        given = tuple(part.on_host() if isinstance(part, DeviceArray) else part for part in parts)
        return self.at_places(np.arange(self.size).reshape(self.shape)[given])

    def __setitem__(self, key: Any, value: Any) -> None:
        if not self.data.flags.c_contiguous:
            raise refused("a part of a view is assigned")
        parts = key if isinstance(key, tuple) else (key,)
        given = tuple(part.on_host() if isinstance(part, DeviceArray) else part for part in parts)
        places = np.ascontiguousarray(np.arange(self.size).reshape(self.shape)[given])
        new = self.body.elements("copy", [value], result=self.dtype, shape=None if np.ndim(value) else places.shape)
        if new.shape != places.shape:
            new = new.viewed(self.body.device.spread(new.data, places.shape)).copy()
        if places.size:
            where = self.body.device.put(places)
            self.body.launch(
                kernels.scatter_source(width_of(self.dtype)), places.size, [], [where, new.flat_data, self.data]
            )

    def take(self, places: Any, axis: Any = None) -> Any:
        """As NumPy's, at places that the host knows."""
        return np.take(self, places, axis=axis)  # type: ignore[call-overload]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def largest(self, among: DeviceArray, k: int, ties: str, *then: Any) -> DeviceArray:
        """The ``k`` largest numbers among some, as truth values; all of these if there are fewer.

        Args:
            among: truth values.
            k: how many.
            ties: which of equal ones go first, as of `refgrad.backends.cuda.top_k.top_k`.
            then: further keys, of which there may be none here.
        """
        if then or bool(self.body.elements("isnan", [self]).any()):
            raise refused("several keys decide, or a number is NaN")
        count = min(max(k, 0), int(np.count_nonzero(among)))  # type: ignore[call-overload]
        ranked: Any = np.where(among, self, math.nan)  # type: ignore[call-overload]
        found = top_k.top_k(ranked.flat_data.reshape(1, -1), count, ties, "smallest", self.body.device)
        chosen: Any = self.viewed(found.reshape(self.shape))
        return chosen & among

    # what the host asks

    def on_host(self) -> np.ndarray:
        """A copy on the host, for which it waits."""
        return self.body.device.get(self.flat_data)

    def __bool__(self) -> bool:
        return bool(self.on_host())

    def __float__(self) -> float:
        return float(self.on_host().item())

    def __int__(self) -> int:
        return int(self.on_host().item())

    def __index__(self) -> int:
        return self.on_host().item().__index__()

    def item(self) -> Any:
        """Its one number, of Python's."""
        return self.on_host().item()

    def tolist(self) -> Any:
        """Its numbers, of Python's."""
        return self.on_host().tolist()

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise refused("a function of another library is called")

    # operations

    def _apply(self, op: str, *args: Any, **attributes: Any) -> Any:
        if op == "length":
            value = folding.terms(args[0].shape, attributes["over"])
            return Scope(TABLES[self.body.scalars]).lift(value) if value and self.body.scalars else value
        if op in SEEN_WHOLE:
            return SEEN_WHOLE[op](*args, *attributes.values())
        if op == "square":
            return self.body.elements("mul", [args[0], args[0]])
        return self.body.elements(op, args, *attributes.values())

    def _power(self, base: Any, exponent: Any) -> Any:
        number = isinstance(exponent, int | float | np.number)
        found = power(base, exponent) if number and (self.body.fixed or exponent in (1, 2, 0.5)) else None
        if found is None:
            raise refused(f"a power has exponent {exponent!r}")
        return found

    def __matmul__(self, other: Any) -> Any:
        return FUNCTIONS[np.matmul](
            self, other if isinstance(other, DeviceArray) else self.body.array(np.asarray(other))
        )

    def __rmatmul__(self, other: Any) -> Any:
        return FUNCTIONS[np.matmul](self.body.array(np.asarray(other)), self)

    def __mod__(self, other: Any) -> Any:
        return self.body.elements("mod", [self, other])

    def __floordiv__(self, other: Any) -> Any:
        return self.body.elements("floordiv", [self, other])

    def __rshift__(self, other: Any) -> Any:
        return self.body.elements("shift right", [self, other])

    def __xor__(self, other: Any) -> Any:
        return self.body.elements("xor" if self.dtype.kind in "iu" else "ne", [self, other])

    def any(self, axis: Any = None, keepdims: bool = False) -> Any:
        """True where one of the numbers is not zero."""
        return FUNCTIONS[np.any](self, axis, keepdims)

    def all(self, axis: Any = None, keepdims: bool = False) -> Any:
        """True where none of the numbers is zero."""
        return FUNCTIONS[np.all](self, axis, keepdims)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        if method == "reduce" and ufunc in _REDUCED_BY and not set(kwargs) - {"axis", "keepdims"}:
            return FUNCTIONS[_REDUCED_BY[ufunc]](*inputs, **{"axis": 0, **kwargs})
        if method != "__call__" or kwargs:
            raise refused(f"numpy.{name} is called")
        if ufunc is np.power:
            return self._power(*inputs)
        if ufunc is np.matmul:
            return inputs[0] @ inputs[1]
        op = UFUNCS.get(ufunc) or _UFUNCS.get(ufunc)
        if op is None and self.body.fixed:
            if ufunc.__name__ == "expit":
                return expit(inputs[0])
            if ufunc in (np.reciprocal, np.logaddexp):
                return WRITTEN[ufunc](*inputs)
            op = ELEMENTARY.get(ufunc) or (ufunc.__name__ if ufunc.__name__ in SPECIAL else None)
        if op is None:
            raise refused(f"numpy.{name} is called")
        return self.body.elements(op, inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        for table in (FUNCTIONS, WRITTEN, MOVES):
            if function in table:
                return _called(table[function], function.__name__, args, kwargs)
        module = (getattr(function, "__module__", "") or "").partition(".")[0]
        raise refused(f"{module}.{function.__name__} is called")


def _called(own: Callable[..., Any], name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """A function's result; refused if it is called with more than is known here."""
    try:
        inspect.signature(own).bind(*args, **kwargs)
    except TypeError:
        raise refused(f"numpy.{name} is called with {', '.join(kwargs) or 'more'}") from None
    return own(*args, **kwargs)


def width_of(dtype: np.dtype) -> str:
    """The name of a type of the same width, by which elements are copied."""
    return f"uint{8 * dtype.itemsize}"


def converted(array: Any, dtype: np.dtype, device: Device) -> Any:
    """A contiguous array of floats in another dtype, exact or rounded once; itself where it has that.

    Args:
        array: an array of the device.
        dtype: a float dtype that kernels store.
        device: the device.
    """
    if array.dtype == dtype:
        return array
    made = device.empty(array.shape, dtype)
    copied(array, made, device)
    return made


def copied(of: Any, to: Any, device: Device) -> None:
    """The elements of a contiguous array of floats copied into another one, rounded once where that is narrower.

    Args:
        of: an array of the device.
        to: another of as many elements.
        device: the device.
    """
    if to.size:
        source = copy_source(of.dtype.name, to.dtype.name)
        device.launch(source, *grid(to.size), [to.size, device.address(of), device.address(to)], device.stream())


def attempted(function: Callable[..., Any], *args: Any) -> Any:
    """What a body gives of arrays on a device.

    Only what was declared sends a body to the host: a `NoKernel`, which is raised where an operation has no form on a device, and
    a `TraceError`, by which a body itself says that it cannot be run on stand-ins for arrays. Any other error is one: of the
    caller's, which the host would have as well, or of a kernel's, which a run on the host would hide.

    Args:
        function: the body, or a part of it.
        args: what it takes.

    Raises:
        NoKernel: it does what no kernel does.
    """
    try:
        with np.errstate(all="ignore"):
            return function(*args)
    except TraceError as error:
        raise NoKernel(str(error).partition(";")[0]) from error


_REDUCED_BY: Mapping[np.ufunc, Any] = {
    np.add: np.sum,
    np.maximum: np.max,
    np.minimum: np.min,
    np.logical_and: np.all,
    np.logical_or: np.any,
}
