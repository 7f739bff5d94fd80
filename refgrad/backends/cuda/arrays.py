"""Arrays on a device that a body computes with as it stands: each of its operations is a kernel, and nothing comes to the host.

It is one more arithmetic: where a graph has no kernel of its own, because it multiplies matrices, moves numbers or branches on them,
the body itself is run on these values. Elementary functions, sums and products have refgrad's fixed bits
(`refgrad.arithmetic.fixed_bits`); where a body means NumPy's own functions (`Body.fixed` is False) those that have none are refused.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.arithmetic import folding, matrices, picking, subgradients
from refgrad.arithmetic.dtypes import is_float
from refgrad.arithmetic.fixed_bits import FUNCTIONS, SPECIAL, expit, power
from refgrad.arithmetic.folding import BLOCK
from refgrad.arithmetic.operations import UFUNCS
from refgrad.arithmetic.operations.op import Number
from refgrad.arithmetic.scalar_math import TABLES, Scope
from refgrad.arithmetic.shaped import MOVES, WRITTEN, Shaped, axes_of, counted, mean, variance
from refgrad.backends.cuda import array_source as kernels
from refgrad.backends.cuda import top_k
from refgrad.backends.cuda.device import Device, grid
from refgrad.backends.cuda.staged_source import copy_source
from refgrad.errors import NoKernel, TraceError

#: how many axes kernels are printed for; those between have further axes of one
_AXES = (1, 2, 3, kernels.MOST_AXES)
#: rows of up to so many numbers are put in order by comparing all pairs
LONGEST_SORTED = 1 << 13

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
        return DeviceArray(self.device.put(data) if isinstance(data, np.ndarray | np.generic) else data, self)

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Room on the device."""
        return self.device.empty(shape, np.dtype(dtype))

    def launch(self, source: Any, size: int, integers: Sequence[int], arrays: Sequence[Any], numbers: Any = ()) -> None:
        """A kernel over some elements, if there are any."""
        if size:
            given = [size, *integers, *map(self.device.address, arrays), *numbers]
            self.device.launch(source, *grid(size), given, self.device.stream())

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
        self.launch(source, size, [*lengths, *(n for each in steps for n in each)], [*(x.data for x in arrays), out], numbers)
        return DeviceArray(out, self)

    def _operand(self, x: Any) -> Any:
        """An operand as an array of the device, or as a number of Python's."""
        if isinstance(x, Number):
            x = x.value
        if isinstance(x, DeviceArray) or isinstance(x, bool | int | float):
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
        if self.fixed and floats:  # whole numbers and truth values are floats of the working dtype there
            wide = [x for x in floats if isinstance(x, np.dtype)]
            others = [self.working] if len(floats) < len(types) or not wide else []
            return np.result_type(*wide, *others)
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
            self.body.launch(kernels.gather_source(_kind_of(self)), places.size, [], [where, self.flat_data, out])
        return self.viewed(out)

    def at(self, places: DeviceArray) -> DeviceArray:
        """Elements at places in the flat array, which are on the device too."""
        out = self.body.empty(places.shape, self.dtype)
        given = [places.flat_data, self.flat_data, out]
        self.body.launch(kernels.gather_source(_kind_of(self)), places.size, [], given)
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
                self.body.launch(kernels.scatter_source(_kind(dtype)), part.size, [], [where, flat, room])
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
            self.body.launch(kernels.scatter_source(_kind_of(self)), places.size, [], [where, new.flat_data, self.data])

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
        if then or bool((self != self).any()):
            raise refused("several keys decide, or a number is NaN")
        count = min(max(k, 0), int(np.count_nonzero(among)))  # type: ignore[call-overload]
        ranked = np.where(among, self, math.nan)  # type: ignore[call-overload]
        found = top_k.top_k(ranked.flat_data.reshape(1, -1), count, ties, "smallest", self.body.device)
        return self.viewed(found.reshape(self.shape)) & among

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
        if op in ("sum", "max"):
            return _over(op, args[0], attributes["over"])
        if op == "length":
            value = folding.terms(args[0].shape, attributes["over"])
            return Scope(TABLES[self.body.scalars]).lift(value) if value and self.body.scalars else value
        if op in _MATRICES:
            return _MATRICES[op](*args, *attributes.values())
        if op == "look_up":
            return _take(*args)
        if op == "square":
            return self.body.elements("mul", [args[0], args[0]])
        found = self.body.elements(op, args, *attributes.values())
        return found

    def _power(self, base: Any, exponent: Any) -> Any:
        found = power(base, exponent) if self.body.fixed or exponent in (1, 2, 0.5) else None
        if found is None:
            raise refused(f"a power has exponent {exponent!r}")
        return found

    def __matmul__(self, other: Any) -> Any:
        return product(self, other if isinstance(other, DeviceArray) else self.body.array(np.asarray(other)))

    def __rmatmul__(self, other: Any) -> Any:
        return product(self.body.array(np.asarray(other)), self)

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
        return _extreme("maximum", self != 0, axis, keepdims)

    def all(self, axis: Any = None, keepdims: bool = False) -> Any:
        """True where none of the numbers is zero."""
        return _extreme("minimum", self != 0, axis, keepdims)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        if method == "reduce" and ufunc in _REDUCED_BY and not set(kwargs) - {"axis", "keepdims"}:
            return _FUNCTIONS[_REDUCED_BY[ufunc]](*inputs, **{"axis": 0, **kwargs})
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
            op = FUNCTIONS.get(ufunc) or (ufunc.__name__ if ufunc.__name__ in SPECIAL else None)
        if op is None:
            raise refused(f"numpy.{name} is called")
        return self.body.elements(op, inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        for table in (_FUNCTIONS, WRITTEN, MOVES):
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


def _kind(dtype: np.dtype) -> str:
    """The name of a type of the same width, by which elements are copied."""
    return f"uint{8 * dtype.itemsize}"


def _kind_of(x: DeviceArray) -> str:
    return _kind(x.dtype)


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


# folds


def _rows(x: DeviceArray, axis: Any) -> tuple[DeviceArray, tuple[int, ...], list[int]]:
    """Terms as rows, with the shape of the result where folded axes are kept, and the axes that are left."""
    axes = axes_of(x, axis)
    left = [i for i in range(x.ndim) if i not in axes]
    moved = x.transpose((*left, *sorted(axes))) if x.ndim else x
    rows = moved.reshape(math.prod(x.shape[i] for i in left), math.prod(x.shape[i] for i in axes))
    return rows, tuple(1 if i in axes else n for i, n in enumerate(x.shape)), left


def fold(op: str, rows: DeviceArray, nothing: float) -> DeviceArray:
    """Each row folded to one number along the tree.

    Args:
        op: as of `array_source.fold_source`.
        rows: terms, of shape ``(rows, count)``.
        nothing: what is given of no terms.
    """
    body, (number, count), kind = rows.body, rows.shape, rows.dtype.name
    if not count or not number:
        return body.elements("copy", [nothing], result=rows.dtype, shape=(number,))
    blocks = -(-count // BLOCK)
    found = body.empty((number, blocks), rows.dtype)
    source = kernels.fold_source(op, kind)
    body.launch(source, number * blocks, [blocks, count, BLOCK], [rows.flat_data, found])
    left = blocks
    while left > BLOCK:  # by all threads of the card, until one thread a row may do the rest
        half = 1 << (left - 1).bit_length() - 1
        upper = left - half
        body.launch(kernels.halve_source(op, kind), number * upper, [upper, half, blocks], [found])
        left = half
    if blocks > 1:
        held = DeviceArray(found, body)[:, :left].copy() if left < blocks else DeviceArray(found, body)
        found = body.empty((number,), rows.dtype)
        body.launch(source, number, [1, left, left], [held.data, found])
    return DeviceArray(found.reshape(number), body)


def _folded(op: str, x: DeviceArray, axis: Any, keepdims: bool, nothing: float) -> DeviceArray:
    rows, kept, left = _rows(x, axis)
    found = fold(op, rows, nothing)
    return found.reshape(kept if keepdims else tuple(x.shape[i] for i in left))


def _over(op: str, x: DeviceArray, names: Any) -> DeviceArray:
    """A fold over the named axes of a parameter, as `folding.tree` has it."""
    if "j" not in names and x.shape[:1] == (1,):
        return x
    how, nothing = ("add", 0.0) if op == "sum" else ("maximum", -math.inf)
    if "i" in names and "j" in names:
        return _folded(how, x, None, True, nothing)
    if not x.ndim:
        folding.terms(x.shape, names)  # which refuses it
    if "j" in names:
        rows = x.reshape(x.shape[0], math.prod(x.shape[1:]))
        return fold(how, rows, nothing).reshape((x.shape[0], *(1,) * (x.ndim - 1)))
    return _folded(how, x, 0, True, nothing)


def _sum(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    if x.dtype.kind in "iub":  # exact in any order
        counts = x.astype(x.body.working if x.body.fixed and x.dtype.kind == "b" else np.int64)
        return _folded("add", counts, axis, keepdims, 0.0)
    if not x.body.fixed or dtype is not None:
        raise refused("numbers are added in NumPy's order")
    return _folded("add", x, axis, keepdims, 0.0)


def _extreme(op: str, x: DeviceArray, axis: Any, keepdims: bool) -> DeviceArray:
    if not counted(x, axis):
        if x.dtype.kind == "b":
            return _folded(op, x.astype(np.uint8), axis, keepdims, float(op == "minimum")).astype(np.bool_)
        np.max(np.empty(0))  # which says that there is none
    if x.dtype.kind == "b":
        return _folded(op, x.astype(np.uint8), axis, keepdims, 0.0).astype(np.bool_)
    return _folded(op, x, axis, keepdims, 0.0)


def _max(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
    if initial is not None:
        none = not counted(x, axis)
        return _begun(x, axis, keepdims, initial) if none else np.maximum(_max(x, axis, keepdims), initial)
    return _extreme("maximum", x, axis, keepdims)


def _begun(x: DeviceArray, axis: Any, keepdims: bool, initial: Any) -> DeviceArray:
    """What a fold of nothing begins with."""
    rows, kept, left = _rows(x, axis)
    found = rows.body.elements("copy", [initial], result=x.dtype, shape=(rows.shape[0],))
    return found.reshape(kept if keepdims else tuple(x.shape[i] for i in left))


def _min(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
    if initial is not None:
        none = not counted(x, axis)
        return _begun(x, axis, keepdims, initial) if none else np.minimum(_min(x, axis, keepdims), initial)
    if x.body.fixed and x.dtype.kind == "f":
        return -_max(-x, axis, keepdims)
    return _extreme("minimum", x, axis, keepdims)


def _where(condition: Any, *chosen: Any) -> Any:
    like = next(x for x in (condition, *chosen) if isinstance(x, DeviceArray))
    if not chosen:
        return tuple(like.body.array(each) for each in np.where(condition.on_host()))
    return like.body.elements("where", [condition, *chosen])


# order


def _last(x: DeviceArray, axis: int) -> tuple[DeviceArray, Callable[[DeviceArray], DeviceArray]]:
    """An axis as rows, and how results go back."""
    at = axis % x.ndim
    order = (*(i for i in range(x.ndim) if i != at), at)
    moved = x.transpose(order)
    back = tuple(int(i) for i in np.argsort(order))
    return moved.reshape(-1, x.shape[at]), lambda rows: rows.reshape(moved.shape).transpose(back)


def _ordered(x: DeviceArray) -> DeviceArray:
    """The places of each row's numbers in rising order."""
    x = x.astype(np.uint8) if x.dtype.kind == "b" else x
    if x.shape[1] > LONGEST_SORTED:
        raise refused(f"more than {LONGEST_SORTED} numbers are sorted")
    out = x.body.empty(x.shape, np.int64)
    x.body.launch(kernels.rank_source(x.dtype.name), x.size, [x.shape[1]], [x.flat_data, out])
    return DeviceArray(out, x.body)


def _taken_by(rows: DeviceArray, places: DeviceArray) -> DeviceArray:
    """Of each row the numbers at its places."""
    out = rows.body.empty(places.shape, rows.dtype)
    starts = rows.body.array(np.arange(rows.shape[0], dtype=np.int64)[:, None] * rows.shape[1])
    where = places + starts
    rows.body.launch(kernels.gather_source(_kind_of(rows)), places.size, [], [where.data, rows.flat_data, out])
    return DeviceArray(out, rows.body)


def _sort(x: Any, axis: Any = -1, **how: Any) -> Any:
    x, axis = (x.reshape(-1), 0) if axis is None else (x, axis)
    rows, back = _last(x, axis)
    return back(_taken_by(rows, _ordered(rows)))


def _argsort(x: Any, axis: Any = -1, **how: Any) -> Any:
    x, axis = (x.reshape(-1), 0) if axis is None else (x, axis)
    rows, back = _last(x, axis)
    return back(_ordered(rows))


def _median(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    flat = x.reshape(-1) if axis is None else x
    at = 0 if axis is None else axis % x.ndim
    ordered, n = _sort(flat, at), flat.shape[at]
    one = lambda i: ordered[(slice(None),) * at + (slice(i, i + 1),)]  # noqa: E731
    found = one(n // 2) if n % 2 else (one(n // 2 - 1) + one(n // 2)) / 2.0
    found = np.where(np.isnan(one(n - 1)), math.nan, found)
    if keepdims:
        return found if axis is not None else found.reshape((1,) * x.ndim)
    return found.reshape(tuple(m for i, m in enumerate(flat.shape) if i != at))


def _place_of(x: Any, axis: Any, keepdims: bool, extreme: Callable[..., Any]) -> Any:
    """Where the first largest or smallest number is; NaN counts as such."""
    x, at = (x.reshape(-1), 0) if axis is None else (x, axis % x.ndim)
    found = extreme(x, at, True)
    here = (x == found) | ((x != x) & (found != found))
    shape = [1] * x.ndim
    shape[at] = x.shape[at]
    places = x.body.array(np.arange(x.shape[at], dtype=np.int64).reshape(shape))
    plain = Body(x.body.device, x.body.working, fixed=False)
    first = plain.elements("where", [here, places, x.shape[at]])
    return DeviceArray(_min(first, at, keepdims).data, x.body)


def _cumsum(x: Any, axis: Any = None, dtype: Any = None) -> Any:
    x, axis = (x.reshape(-1), 0) if axis is None else (x, axis)
    x = x if dtype is None else x.astype(dtype, copy=False)
    x = x.astype(np.int64) if x.dtype.kind in "iub" else x
    rows, back = _last(x, axis)
    out = x.body.empty(rows.shape, x.dtype)
    x.body.launch(kernels.along_source(x.dtype.name), rows.shape[0], [rows.shape[1]], [rows.flat_data, out])
    return back(DeviceArray(out, x.body))


def _along_axis(x: Any, places: Any, axis: int = -1) -> Any:
    """As `numpy.take_along_axis`."""
    rows, _ = _last(x, axis)
    where, back = _last(places, axis)
    return back(_taken_by(rows, where.astype(np.int64, copy=False)))


def _take(x: Any, places: Any, axis: Any = None, **how: Any) -> Any:
    """As `numpy.take`; where the places are on the device they stay there."""
    if not isinstance(places, DeviceArray):
        return MOVES[np.take](x, places, axis=axis, **how)
    table = x if isinstance(x, DeviceArray) else places.body.array(np.asarray(x))
    if table.ndim != 1:
        raise refused("places on the device are looked up along an axis")
    where = places.astype(np.int64, copy=False)
    return table.at(np.where(where < 0, where + table.size, where) if places.dtype.kind == "i" else where)


def _largest_places(x: Any, count: int) -> Any:
    """As `refgrad.top_k`."""
    rows, back = _last(-x, -1)
    places = _ordered(rows)[:, :count]
    starts = x.body.array(np.arange(rows.shape[0], dtype=np.int64)[:, None] * rows.shape[1])
    where, found = (places + starts), x.body.elements("copy", [0], result=np.uint8, shape=rows.shape)
    ones = x.body.elements("copy", [1], result=np.uint8, shape=where.shape)
    x.body.launch(kernels.scatter_source("uint8"), where.size, [], [where.data, ones.data, found.data])
    return back(found != 0)


def _picked(x: Any, labels: Any) -> Any:
    """As `refgrad.take`: of each row the number at its label."""
    rows, _ = _last(x, -1)
    return _taken_by(rows, labels.reshape(-1, 1).astype(np.int64, copy=False)).reshape(labels.shape)


def _placed(numbers: Any, labels: Any, count: int) -> Any:
    """As `refgrad.arithmetic.picking.placed_at`."""
    return np.where(labels[..., None] == np.arange(count), numbers[..., None], 0.0)


def _searched(table: Any, x: Any, side: str = "left") -> Any:
    """As `numpy.searchsorted`, in a table that the host has."""
    if isinstance(table, DeviceArray) or not isinstance(x, DeviceArray):
        raise refused("places are searched for in an array of the device")
    ends = x.body.array(np.asarray(table, x.dtype))
    below = ends < x[..., None] if side == "left" else ends <= x[..., None]
    return (below | (x != x)[..., None]).astype(np.int64).sum(axis=-1)


def chosen(mask: DeviceArray, count: int) -> DeviceArray:
    """The places where a flat array is true, in rising order.

    Args:
        mask: truth values.
        count: how many there are, which the caller knows: the host does not ask.
    """
    body, flat = mask.body, mask.astype(np.uint8).flat_data.reshape(-1)
    length = 256
    stretches, out = -(-flat.size // length), body.empty((count,), np.int64)
    counts = body.empty((stretches,), np.int64)
    source = kernels.chosen_source()
    body.launch(source, stretches, [flat.size, length, -1], [flat, counts, counts])
    before = _cumsum(DeviceArray(counts, body), 0)
    body.launch(source, stretches, [flat.size, length, count], [flat, before.data, out])
    return DeviceArray(out, body)


# products


def product(a: DeviceArray, b: DeviceArray) -> DeviceArray:
    """The product of two matrices, or of matrices stacked along leading axes; terms are added along the tree.

    Args:
        a: of shape ``(..., rows, inner)``, or a vector.
        b: of shape ``(..., inner, columns)``, or a vector.
    """
    body = a.body
    if not body.fixed:
        raise refused("matrices are multiplied in NumPy's order")
    if a.ndim == 1 or b.ndim == 1:
        left, right = a.reshape(1, -1) if a.ndim == 1 else a, b.reshape(-1, 1) if b.ndim == 1 else b
        found = product(left, right)
        found = found.reshape(*found.shape[:-1]) if b.ndim == 1 else found
        return found.reshape(*found.shape[: -1 if b.ndim == 1 else -2], *found.shape[-1 if b.ndim > 1 else found.ndim :]) if a.ndim == 1 else found
    kind = np.result_type(a.dtype, b.dtype)
    if kind.kind != "f":
        kind = body.working
    a, b = a.astype(kind, copy=False), b.astype(kind, copy=False)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    (rows, inner), columns = a.shape[-2:], b.shape[-1]
    if b.shape[-2] != inner:
        np.matmul(np.empty(a.shape), np.empty(b.shape))  # which says that they do not fit
    if inner > BLOCK * BLOCK:
        raise refused(f"more than {BLOCK * BLOCK} terms of a product are added")
    a, b = (_stacked(x, batch) for x in (a, b))
    out, step = body.empty((*batch, rows, columns), kind), kind.itemsize
    integers = [rows, inner, columns, *(s // step for x in (a, b) for s in x.data.strides[-3:])]
    body.launch(kernels.product_source(kind.name), math.prod(out.shape), integers, [a.data, b.data, out])
    return DeviceArray(out, body)


def _stacked(x: DeviceArray, batch: tuple[int, ...]) -> DeviceArray:
    """Matrices with one axis of batches in front; copied only where several axes do not lie together."""
    if x.shape[:-2] != batch:
        x = x.viewed(x.body.device.spread(x.data, (*batch, *x.shape[-2:])))
    if len(batch) == 1:
        return x
    return x[None] if not batch else x.copy().reshape(-1, *x.shape[-2:])


def _newton_schulz(x: DeviceArray, *rest: Any) -> DeviceArray:
    *numbers, (degrees, precision) = rest
    if precision != "working":
        raise refused("an iteration is rounded to bfloat16")
    polynomials = matrices.gathered([n.value if isinstance(n, Number) else n for n in numbers], degrees)
    found = matrices.odd_polynomials(matrices.as_matrices(x), polynomials, multiply=product)  # type: ignore[arg-type]
    return found.reshape(x.shape)  # type: ignore[return-value]


def _gram(x: DeviceArray, side: str) -> DeviceArray:
    m = matrices.as_matrices(x)  # type: ignore[arg-type]
    return product(m, m.T) if side == "left" else product(m.T, m)  # type: ignore[arg-type, return-value]


_MATRICES: Mapping[str, Callable[..., Any]] = {"newton_schulz": _newton_schulz, "gram": _gram}


def _spread(x: Any, shape: Any) -> Any:
    return x.viewed(x.body.device.spread(x.data, tuple(shape)))


def _expanded(x: Any, axis: Any) -> Any:
    shape = list(np.expand_dims(np.empty(x.shape, bool), axis).shape)
    return x.viewed(x.data.reshape(shape)) if x.data.flags.c_contiguous else x.reshape(*shape)


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.sum: _sum,
    np.max: _max,
    np.min: _min,
    np.mean: mean,
    np.var: variance,
    np.where: _where,
    np.sort: _sort,
    np.argsort: _argsort,
    np.median: _median,
    np.argmax: lambda x, axis=None, keepdims=False: _place_of(x, axis, keepdims, _max),
    np.argmin: lambda x, axis=None, keepdims=False: _place_of(x, axis, keepdims, _min),
    np.cumsum: _cumsum,
    np.take: _take,
    np.searchsorted: _searched,
    np.take_along_axis: _along_axis,
    subgradients.top_k: _largest_places,
    subgradients.between: lambda a, b: 0.5 * a + 0.5 * b,
    picking.take: _picked,
    picking.placed_at: _placed,
    picking.one_hot: lambda labels, count: _placed(labels.filled(1.0).astype(labels.body.working), labels, count),
    np.any: lambda x, axis=None, keepdims=False: x.any(axis, keepdims),
    np.all: lambda x, axis=None, keepdims=False: x.all(axis, keepdims),
    np.count_nonzero: lambda x: int((x != 0).astype(np.int64).sum()),
    np.flatnonzero: lambda x: x.body.array(np.flatnonzero(x.on_host())),
    np.copy: lambda x: x.copy(),
    np.transpose: lambda x, axes=None: x.T if axes is None else x.transpose(tuple(axes)),
    np.swapaxes: lambda x, a, b: x.viewed(x.data.swapaxes(a, b)),
    np.broadcast_to: _spread,
    np.expand_dims: _expanded,
    np.reshape: lambda x, shape: x.reshape(shape) if isinstance(shape, int) else x.reshape(tuple(shape)),
    np.ravel: lambda x: x.reshape(-1),
    np.matmul: lambda a, b: a @ b,
    np.zeros_like: lambda x, dtype=None: x.body.elements("copy", [0.0], result=dtype or x.dtype, shape=x.shape),
    np.ones_like: lambda x, dtype=None: x.body.elements("copy", [1.0], result=dtype or x.dtype, shape=x.shape),
    np.isposinf: lambda x: x == math.inf,
    np.isneginf: lambda x: x == -math.inf,
}


def _known(x: Any, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """As `numpy.nan_to_num`."""
    most = float(np.finfo(x.dtype).max)
    high, low = most if posinf is None else float(posinf), -most if neginf is None else float(neginf)
    bounded = np.where(x == math.inf, high, np.where(x == -math.inf, low, x))
    return np.where(x != x, nan, bounded)


def attempted(function: Callable[..., Any], *args: Any) -> Any:
    """What a body gives of arrays on a device.

    Args:
        function: the body, or a part of it.
        args: what it takes.

    Raises:
        NoKernel: it does what no kernel does, or it raised what NumPy's arrays would not have led to.
    """
    try:
        with np.errstate(all="ignore"):
            return function(*args)
    except TraceError as error:
        raise NoKernel(str(error).partition(";")[0]) from error
    except (TypeError, AttributeError) as error:
        raise NoKernel(f"its body raised {type(error).__name__} of what stands for arrays") from error


_FUNCTIONS[np.nan_to_num] = _known
_REDUCED_BY: Mapping[np.ufunc, Any] = {
    np.add: np.sum,
    np.maximum: np.max,
    np.minimum: np.min,
    np.logical_and: np.all,
    np.logical_or: np.any,
}
