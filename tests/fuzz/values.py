"""What is handed to a public function in place of what it takes: other layouts, subclasses, kinds, shapes, dtypes and numbers.

Each change has a name, so that a call is told and made again by names and seeds alone; `changes` draws some for arguments.
"""

from __future__ import annotations

import decimal
import enum
import fractions
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

#: where an argument is in a call: names, and names within dicts
Path = tuple[str, ...]


class Loud(np.ndarray):
    """A subclass whose arithmetic is another: sums are differences, products are matrix products."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        raise AssertionError("the subclass's own arithmetic was called")

    def __mul__(self, other: Any) -> Any:
        raise AssertionError("the subclass's own product was called")


def _strided(x: np.ndarray) -> np.ndarray:
    """The same numbers as every second of an array."""
    if not x.ndim:
        return np.repeat(x, 2)[::2].reshape(())
    return np.repeat(x, 2, axis=-1)[..., ::2]


def _backwards(x: np.ndarray) -> np.ndarray:
    return np.flip(np.flip(x, 0).copy(), 0) if x.ndim else x.copy()


def _unaligned(x: np.ndarray) -> np.ndarray:
    """The same numbers, one byte behind a multiple of their size."""
    memory = np.zeros(x.nbytes + 1, np.uint8)
    found = memory[1 : 1 + x.nbytes].view(x.dtype).reshape(x.shape)
    found[...] = x
    return found


def _read_only(x: np.ndarray) -> np.ndarray:
    found = x.copy()
    found.flags.writeable = False
    return found


def hostile(*fails: str) -> Any:
    """What fails where Python asks it something.

    Args:
        fails: the names of the methods that raise.
    """
    return type("Hostile", (), dict.fromkeys(fails, _raises))()


def _raises(*args: Any, **keywords: Any) -> Any:
    raise RuntimeError("asked in vain")


class Indexed:
    """A whole number of a library that Python does not know."""

    def __index__(self) -> int:
        return 3


class Three(enum.IntEnum):
    """A whole number that has a name."""

    THREE = 3


class Text(str):
    """A text of a class of its own."""


class Sparse:
    """A matrix of a library that would have to be asked for its zeros, as those of SciPy are."""

    def __init__(self, x: np.ndarray) -> None:
        self.shape, self.dtype, self.ndim, self.size = x.shape, x.dtype, x.ndim, x.size

    def __len__(self) -> int:
        raise TypeError("sparse array length is ambiguous; use getnnz()")


class Lazy:
    """An array of a library that computes once it is asked, and fails then.

    Args:
        x: what it looks like.
        answer: what it gives when it is asked; None where it fails.
    """

    def __init__(self, x: np.ndarray, answer: Any = None) -> None:
        self.shape, self.dtype, self.ndim, self.size, self._answer = x.shape, x.dtype, x.ndim, x.size, answer

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if self._answer is None:
            raise RuntimeError("the device is gone")
        return self._answer


class Ring(list):
    """A list that may hold itself."""


def _ringed() -> Ring:
    """A list that holds itself."""
    found = Ring()
    found.append(found)
    return found


def _overlapping(x: np.ndarray, step: int) -> np.ndarray:
    """An array of which several places are one element, to be written too: all of them, or rows that overlap."""
    if not x.size:
        return x
    memory = np.array(x.reshape(-1))
    strides = [step * x.itemsize] * x.ndim
    need = 1 + sum((length - 1) * step for length in x.shape)
    memory = np.resize(memory, max(need, 1))
    return np.lib.stride_tricks.as_strided(memory, x.shape, strides, writeable=True)


def _field(x: np.ndarray) -> np.ndarray:
    """The same numbers as a field of records, between others."""
    found = np.zeros(x.shape, [("before", "u1"), ("x", x.dtype), ("after", "u1")])
    found["x"] = x
    return found["x"]


#: the same numbers otherwise in memory, or of a subclass: right as the plain ones are, or refused
PRESENTED: Mapping[str, Callable[[np.ndarray], Any]] = {
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder()),
    "fortran": lambda x: np.array(x, order="F"),
    "strided": _strided,
    "backwards": _backwards,
    "unaligned": _unaligned,
    "read-only": _read_only,
    "matrix": lambda x: np.matrix(x) if x.ndim == 2 else x.view(Loud),
    "loud": lambda x: x.view(Loud),
    "record": lambda x: x.view(np.recarray),
    "scalar": lambda x: x[()] if not x.ndim else x.copy(),
}

#: of no dtype or kind that computes: never a result
REFUSED: Mapping[str, Callable[[np.ndarray], Any]] = {
    "none": lambda x: None,
    "text": lambda x: "0.5",
    "bytes": lambda x: b"0.5",
    "object": lambda x: object(),
    "set": lambda x: {1.0},
    "complex": lambda x: x.astype(np.complex64),
    "whole": lambda x: np.ones(x.shape, np.int32),
    "objects": lambda x: np.asarray(x).astype(object),  # of a scalar else a number of Python
    "texts": lambda x: np.full(x.shape, "a"),
    "dates": lambda x: np.zeros(x.shape, "M8[s]"),
    "structured": lambda x: np.zeros(x.shape, [("a", np.float32)]),
    "long double": lambda x: x.astype(np.longdouble),
    "masked": lambda x: np.ma.masked_array(x, mask=np.zeros(x.shape, bool)),
    "a rule": lambda x: np.ndarray,
    "generator": lambda x: iter(()),
    "nested": lambda x: [[1.0], [1.0, 2.0]],
    "float": lambda x: 0.5,
    "int": lambda x: 3,
    "true": lambda x: True,
    "empty dict": lambda x: {},
    "sparse": Sparse,
    "lazy": Lazy,
    "liar": lambda x: Lazy(x, [1.0]),
    "memoryview": lambda x: memoryview(np.ones(x.shape, np.float32)),
    "bytearray": lambda x: bytearray(8),
    "range": lambda x: range(3),
    "byte strings": lambda x: np.full(x.shape, b"a"),
    "voids": lambda x: np.zeros(x.shape, "V4"),
    "decimals": lambda x: np.full(x.shape, decimal.Decimal("0.5")),
    "texts of any length": lambda x: np.full(x.shape, "a", np.dtypes.StringDType()),
    "masked constant": lambda x: np.ma.masked,
    "list of itself": lambda x: _ringed(),
    "no comparison": lambda x: hostile("__eq__", "__ne__"),
    "no hash": lambda x: hostile("__hash__"),
    "no truth": lambda x: hostile("__bool__"),
    "no length": lambda x: hostile("__len__"),
    "no text": lambda x: hostile("__repr__", "__str__"),
    "no attribute": lambda x: hostile("__getattr__"),
}

#: of another shape or dtype, or of other numbers: right as it stands, or refused
OTHER: Mapping[str, Callable[[np.ndarray], Any]] = {
    "no axis": lambda x: np.ones((), x.dtype),
    "no element": lambda x: np.ones((0,), x.dtype),
    "no row": lambda x: np.ones((0, 4), x.dtype),
    "no column": lambda x: np.ones((4, 0), x.dtype),
    "one": lambda x: np.ones((1,), x.dtype),
    "an axis more": lambda x: x[None],
    "an axis less": lambda x: x.reshape(-1),
    "turned": lambda x: x.T,
    "shorter": lambda x: x[1:] if x.ndim else x,
    "five axes": lambda x: np.ones((2, 1, 2, 1, 2), x.dtype),
    "float64": lambda x: x.astype(np.float64),
    "float32": lambda x: x.astype(np.float32),
    "float16": lambda x: x.astype(np.float16),
    "bfloat16": lambda x: x.astype(ml_dtypes.bfloat16),
    "float8": lambda x: x.astype(ml_dtypes.float8_e4m3fn),
    "nan": lambda x: np.full(x.shape, np.nan).astype(x.dtype),
    "infinite": lambda x: np.full(x.shape, np.inf).astype(x.dtype),
    "subnormal": lambda x: (x * np.asarray(2.0**-140)).astype(x.dtype),
    "huge": lambda x: (np.sign(x) * float(ml_dtypes.finfo(x.dtype).max)).astype(x.dtype),
    "zero": lambda x: np.zeros(x.shape, x.dtype),
    "negative zero": lambda x: np.full(x.shape, -0.0).astype(x.dtype),
    "equal": lambda x: np.ones(x.shape, x.dtype),
    "negative": lambda x: -np.abs(x),
    "one element everywhere": lambda x: _overlapping(x, 0),
    "windows": lambda x: _overlapping(x, 1),
    "broadcast": lambda x: np.broadcast_to(x.reshape(-1)[0] if x.size else x, x.shape),
    "field": lambda x: _field(x),
    "memory map": lambda x: x.view(np.memmap),
}

#: for numbers, names and whatever else is no array; `FITS` says which are legal where
NUMBERS: Mapping[str, Callable[[], Any]] = {
    "-5": lambda: -5,
    "-1": lambda: -1,
    "0": lambda: 0,
    "1": lambda: 1,
    "3": lambda: 3,
    "2.7": lambda: 2.7,
    "3.0": lambda: 3.0,
    "0.5": lambda: 0.5,
    "true": lambda: True,
    "numpy true": lambda: np.True_,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "-inf": lambda: -float("inf"),
    "text 3": lambda: "3",
    "text": lambda: "\x1b[31mred",
    "empty text": lambda: "",
    "bytes": lambda: b"1",
    "10**9": lambda: 10**9,
    "10**18": lambda: 10**18,
    "10**400": lambda: 10**400,
    "-10**400": lambda: -(10**400),
    "none": lambda: None,
    "list": list,
    "list of one": lambda: [3],
    "dict": dict,
    "dict of junk": lambda: {1: 2},
    "set": set,
    "object": object,
    "type": lambda: int,
    "complex": lambda: 1 + 2j,
    "int64": lambda: np.int64(3),
    "float32": lambda: np.float32(0.5),
    "array": lambda: np.asarray(3),
    "array of two": lambda: np.asarray([1.0, 2.0]),
    "fraction": lambda: fractions.Fraction(1, 3),
    "date": lambda: np.datetime64("2020-01-01"),
    "lambda": lambda: lambda: 1,
    "decimal": lambda: decimal.Decimal("0.5"),
    "decimal 3": lambda: decimal.Decimal(3),
    "decimal nan": lambda: decimal.Decimal("sNaN"),
    "fraction 3": lambda: fractions.Fraction(3),
    "float16": lambda: np.float16(0.5),
    "bfloat16": lambda: ml_dtypes.bfloat16(0.5),
    "long double": lambda: np.longdouble(0.5),
    "uint8": lambda: np.uint8(3),
    "int8": lambda: np.int8(3),
    "enum": lambda: Three.THREE,
    "index": Indexed,
    "array of a float": lambda: np.asarray(0.5),
    "read-only array": lambda: _read_only(np.asarray(3)),
    "array of a text": lambda: np.asarray("3"),
    "array of true": lambda: np.asarray(True),
    "array of an object": lambda: np.asarray(object()),
    "numpy text": lambda: np.str_("3"),
    "numpy bytes": lambda: np.bytes_(b"3"),
    "own text": lambda: Text("3"),
    "void": lambda: np.zeros(1, "V4")[0],
    "complex64": lambda: np.complex64(3),
    "masked constant": lambda: np.ma.masked,
    "timedelta": lambda: np.timedelta64(3, "s"),
    "generator": lambda: (each for each in ()),
    "memoryview": lambda: memoryview(b"3"),
    "bytearray": lambda: bytearray(b"3"),
    "range": lambda: range(3),
    "ellipsis": lambda: ...,
    "list of itself": _ringed,
    "sparse": lambda: Sparse(np.ones((2, 2))),
    "lazy": lambda: Lazy(np.asarray(3.0)),
    "no comparison": lambda: hostile("__eq__", "__ne__"),
    "no hash": lambda: hostile("__hash__"),
    "no truth": lambda: hostile("__bool__"),
    "no length": lambda: hostile("__len__"),
    "no text": lambda: hostile("__repr__", "__str__"),
    "no number": lambda: hostile("__float__", "__int__", "__index__"),
    "no attribute": lambda: hostile("__getattr__"),
}
#: numbers that are legal where another is
ALIKE: Mapping[str, str] = {
    "decimal": "float32",
    "float16": "float32",
    "bfloat16": "float32",
    "long double": "float32",
    "array of a float": "float32",
    "decimal 3": "3.0",
    "fraction 3": "3.0",
    "uint8": "int64",
    "int8": "int64",
    "enum": "int64",
    "index": "int64",
    "read-only array": "array",
}


#: what Python itself asks for by name
POSITIONAL = ("p", "g", "x", "w", "cotangent", "mask", "prefer")


@dataclass(frozen=True)
class Change:
    """One argument that is another than it should be.

    Attributes:
        path: which argument.
        family: "presented", "refused", "other", "number", "missing", "unknown" or "aliased".
        name: of the change within its family; of "aliased" the other argument, its parts joined by a dot.
    """

    path: Path
    family: str
    name: str = ""

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.family} {self.name}".rstrip()


FAMILIES: Mapping[str, Mapping[str, Any]] = {
    "presented": PRESENTED,
    "refused": REFUSED,
    "other": OTHER,
    "number": NUMBERS,
}
NAMES: Mapping[str, list[str]] = {family: sorted(changes) for family, changes in FAMILIES.items()}


def applied(change: Change, arguments: dict[str, Any]) -> None:
    """Make a change to the arguments of a call, in place.

    Args:
        change: the change.
        arguments: by name; dicts among them are gone into.
    """
    *before, last = change.path
    holder = arguments
    for name in before:
        holder = holder[name]
    if change.family == "missing":
        del holder[last]
    elif change.family == "unknown":
        holder["surplus"] = 1.0
    elif change.family == "aliased":
        value: Any = arguments
        for name in change.name.split("."):
            value = value[name]
        holder[last] = value
    elif change.family == "number":
        holder[last] = NUMBERS[change.name]()
    else:
        with np.errstate(all="ignore"):
            holder[last] = FAMILIES[change.family][change.name](holder[last])


def changes(
    arrays: list[Path], numbers: list[Path], written: bool, draw: random.Random, required: frozenset[str] = frozenset()
) -> list[Change]:
    """Up to two changes of the arguments of a call.

    Args:
        arrays: where arrays are.
        numbers: where anything else is.
        written: whether the call writes into arrays, so that arrays that are one matter.
        draw: draws them.
        required: names that Python itself asks for.
    """
    options: list[str] = ["presented", "refused", "other"] if arrays else []
    droppable = [path for path in arrays if len(path) > 1 or path[0] not in {*POSITIONAL, *required}]
    options += ["missing"] if droppable else []
    options += ["aliased"] * (1 + 2 * written) if len(arrays) > 1 else []
    options += ["number"] * 2 if numbers else []
    found: dict[Path, Change] = {}
    for _ in range(draw.choice((0, 1, 1, 1, 2, 2))):
        family = draw.choice(options)
        path = draw.choice(numbers if family == "number" else droppable if family == "missing" else arrays)
        if family == "missing":
            change = Change(path, family)
        elif family == "aliased":
            change = Change(path, family, ".".join(draw.choice(arrays)))
        else:
            change = Change(path, family, draw.choice(NAMES[family]))
        found.setdefault(path, change)
    return list(found.values())
