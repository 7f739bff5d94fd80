"""A body that has run is written down again: every operation with its operands, as lines of NumPy.

Where a formula is derived there is no text of it to show. So the body is run on `Written` values, once for each of two sets of
lengths: a number that differs between the runs is a length, and is written by the names of axes.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np

from refgrad.arithmetic import moved_places
from refgrad.arithmetic.dtypes import whole_numbers
from refgrad.arithmetic.replacing import BY_ELEMENT
from refgrad.arithmetic.written import Node, Written, nodes_of
from refgrad.errors import RefgradError, TraceError

#: how tightly operations bind that are written between their operands
SUM, PRODUCT, PREFIX, POWER, ATOM = range(5)
INFIX: Mapping[str, tuple[str, int]] = {
    "add": ("+", SUM),
    "sub": ("-", SUM),
    "mul": ("*", PRODUCT),
    "div": ("/", PRODUCT),
    "matmul": ("@", PRODUCT),
    "power": ("**", POWER),
}
#: comparisons, which always stand in brackets
COMPARED: Mapping[str, str] = {
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "eq": "==",
    "ne": "!=",
    "and": "&",
    "or": "|",
}
#: from so many characters on an operand gets a line of its own
LONGEST = 96
#: the name of a broadcast that is written, and functions of SciPy's on elements
BROADCAST, SPECIAL = "broadcast", ("erf", "expit")
#: what is written as an array of zeros, and a statement that sets or adds up a part of it
PLACED = frozenset({"placed", "added"})
#: constants of so many numbers are written out
LISTED = 32
#: functions that a reader need not see: what is added or multiplied is broadcast anyway
UNSEEN = frozenset({"broadcast_to", "copy", "stop_gradient", "astype"})


def lines(
    body: Callable[..., Mapping[str, Any]], runs: Sequence[tuple[Mapping[str, Any], Mapping[str, int]]]
) -> list[str]:
    """A body as assignments, in an order in which they can be computed.

    Args:
        body: of arrays in order; it gives results by name.
        runs: two runs: the arrays by name, and how long axes are.

    Returns:
        A line for each result, and one before them for each operand that is used again.

    Raises:
        Unlike: the operations of the two runs differ.

    >>> arrays = {"x": np.ones(3), "y": np.ones(3)}
    >>> def body(x, y):
    ...     total = x + y
    ...     return {"z": np.exp(total) * total / float(x.shape[0])}
    >>> longer = {name: np.ones(5) for name in arrays}
    >>> lines(body, [(arrays, {"n": 3}), (longer, {"n": 5})])
    ['a = x + y', 'z = np.exp(a) * a / n']
    """
    try:  # labels have their names, unless the body asks for more than what stands for them can do
        found = [body(*(Written(a, name) for name, a in arrays.items())) for arrays, _ in runs]
    except (RefgradError, AttributeError, TypeError, ValueError):
        handed = [[a if whole_numbers(a) else Written(a, name) for name, a in arrays.items()] for arrays, _ in runs]
        found = [body(*arrays) for arrays in handed]
    if not all(_alike(found[0][name], found[1][name]) for name in found[0]):
        raise Unlike("the body does another thing for other lengths, as in a loop over an axis")
    whole = {name: (a, runs[1][0][name]) for name, a in runs[0][0].items() if whole_numbers(a)}
    lengths = list(zip(*(lengths.items() for _, lengths in runs), strict=True))
    writer = _Writer(lengths, set(runs[0][0]) | set(found[0]), whole)
    return writer.lines({name: tuple(nodes_of(each[name]) for each in found) for name in found[0]})


class Unlike(TraceError):
    """Two runs of a body have other operations."""


def _alike(one: Any, other: Any) -> bool:
    """True if two values came by the same operations."""
    stack, seen = [(nodes_of(one), nodes_of(other))], set[int]()
    while stack:
        first, second = stack.pop()
        if isinstance(first, list | tuple) and isinstance(second, list | tuple):
            if any(isinstance(x, Node) for x in (*first, *second)):
                if len(first) != len(second):
                    return False
                stack += zip(first, second, strict=True)
        elif isinstance(first, Node) and isinstance(second, Node) and id(first) not in seen:
            seen.add(id(first))
            if (first.op, len(first.args)) != (second.op, len(second.args)):
                return False
            stack += zip(first.args, second.args, strict=True)
        elif isinstance(first, Node) != isinstance(second, Node):
            return False
    return True


class _Writer:
    """What turns two runs into text.

    Args:
        lengths: pairs of an axis and its length in each of the runs.
        taken: names that are no operand's.
        whole: arrays of whole numbers that are handed in, in each of the runs.
    """

    def __init__(
        self,
        lengths: Sequence[tuple[tuple[str, int], tuple[str, int]]],
        taken: set[str],
        whole: Mapping[str, tuple[np.ndarray, np.ndarray]],
    ) -> None:
        self.whole = whole
        self.lengths = {name: (first, second) for (name, first), (_, second) in lengths}
        every = itertools.chain(ascii_lowercase, (f"x{i}" for i in itertools.count(1)))
        self.letters = (name for name in every if name not in taken)
        self.names: dict[int, str] = {}
        self.uses: Counter[int] = Counter()
        self.shapes: dict[int, tuple[int, ...]] = {}
        self.found: list[str] = []

    def lines(self, results: Mapping[str, tuple[Any, Any]]) -> list[str]:
        """The assignments of some results."""
        seen: set[int] = set()
        for first, _ in results.values():
            self._count(first, seen)
        for name, pair in results.items():
            one, other = (_seen(each) if isinstance(each, Node) else each for each in pair)
            if isinstance(one, Node) and one.op in PLACED and id(one) not in self.names:
                self._placed(one, other, name)
            else:
                text, _ = self._written(self._whole(pair), top=True)
                self.found.append(f"{name} = {text}")
        return self.found

    def _count(self, value: Any, seen: set[int]) -> None:
        stack = [value]
        while stack:
            each = stack.pop()
            if isinstance(each, list | tuple):
                stack += each
            elif isinstance(each, Node):
                each = _seen(each)
                self.uses[id(each)] += 1
                if id(each) not in seen:
                    seen.add(id(each))
                    stack += [*each.args, *each.how.values()]

    def _written(self, pair: tuple[Any, Any], top: bool = False) -> tuple[str, int]:
        """A value's text, and how tightly it binds."""
        if not isinstance(pair[0], Node):
            return self._plain(*pair), ATOM
        one, other = map(_seen, pair)
        if id(one) in self.names:
            return self.names[id(one)], ATOM
        if not one.args:
            return (one.op, ATOM) if one.op != "full" else (f"{one.value.flat[0]:g}", ATOM)
        if one.op in PLACED:
            return self._placed(one, other), ATOM
        text, binds = self._operation(one, other)
        bare = one.op in ("T", "item") and not getattr(one.args[0], "args", True)
        if not top and not bare and (self.uses[id(one)] > 1 or len(text) > LONGEST):
            name = next(self.letters)
            self.found.append(f"{name} = {text}")
            self.names[id(one)] = name
            return name, ATOM
        return text, binds

    def _operation(self, one: Node, other: Node) -> tuple[str, int]:
        args = list(zip(one.args, other.args, strict=True))
        if (folded := _folded(one)) is not None:
            axes = _axes(folded.how["axis"])
            terms = self._whole((folded.args[0], _seen(other.args[0]).args[0]))
            return self._call("sum", [terms], {"axis": (axes, axes)})
        if not _is_by_element(one.op) and one.op != BROADCAST:
            args = list(map(self._whole, args))
        if one.op == "neg":
            return f"-{self._within(args[0], PREFIX)}", PREFIX
        if one.op in COMPARED:
            left, right = (self._within(arg, ATOM) for arg in args)
            return f"({left} {COMPARED[one.op]} {right})", ATOM
        if one.op in INFIX:
            sign, binds = INFIX[one.op]
            left, right = self._within(args[0], binds), self._within(args[1], binds + 1)
            return f"{left} {sign} {right}", binds
        if one.op == "T" or (one.op == "swapaxes" and one.args[0].value.ndim == 2):
            return f"{self._within(args[0], ATOM)}.T", ATOM
        if one.op == "item":
            return f"{self._within(args[0], ATOM)}[{self._key(args[1], one.args[0].shape, other.args[0].shape)}]", ATOM
        if one.op == BROADCAST:
            return f"np.broadcast_to({self._written(args[0])[0]}, {self._written(args[1])[0]})", ATOM
        if one.op == "placed_at":
            numbers, labels, count = (self._within(arg, ATOM) for arg in args)
            return f"np.where(one_hot({labels}, {count}) == 1, {numbers}[..., None], 0)", ATOM
        if one.op == "square":
            return f"{self._within(args[0], ATOM)}**2", POWER
        return self._call(one.op, args, {n: (_axes(x), _axes(other.how[n])) for n, x in one.how.items()})

    def _call(self, op: str, args: Sequence[tuple[Any, Any]], how: Mapping[str, tuple[Any, Any]]) -> tuple[str, int]:
        words = [self._written(arg)[0] for arg in args]
        words += [f"{name}={self._written(pair)[0]}" for name, pair in how.items() if pair[0] is not False]
        return f"{'np.' if hasattr(np, op) else ''}{op}({', '.join(words)})", ATOM

    def _whole(self, pair: tuple[Any, Any]) -> tuple[Any, Any]:
        """A value as it is, with its whole shape, where its text would leave it to be broadcast."""
        one, other = pair
        if not isinstance(one, Node) or self._shape_of_text(one) == one.shape:
            return pair
        return Node(one.value, BROADCAST, (one, one.shape)), Node(other.value, BROADCAST, (other, other.shape))

    def _shape_of_text(self, node: Node) -> tuple[int, ...]:
        """The shape that what is written of a value has: where a reader need not see a broadcast, a smaller one."""
        node = _seen(node)
        if node.op == "full":
            return ()
        if not node.args or not _is_by_element(node.op):
            return node.shape
        if id(node) not in self.shapes:
            operands = (self._shape_of_text(a) if isinstance(a, Node) else _shape_of_constant(a) for a in node.args)
            self.shapes[id(node)] = np.broadcast_shapes(*operands)
        return self.shapes[id(node)]

    def _within(self, pair: tuple[Any, Any], least: int) -> str:
        text, binds = self._written(pair)
        return text if binds >= least else f"({text})"

    def _placed(self, one: Node, other: Node, name: str = "") -> str:
        """The name of an array of zeros of which a part is assigned, after the lines that make it."""
        given, key, shape = zip(one.args, other.args, strict=True)
        text, _ = self._written(given)
        name = name or next(self.letters)
        self.found.append(f"{name} = np.zeros({self._plain(*shape)})")
        index = self._key(key, *shape)
        if one.op == "added":
            self.found.append(f"np.add.at({name}, np.s_[{index}], {text})")
        else:
            self.found.append(f"{name}[{index}] = {text}")
        self.names[id(one)] = name
        return name

    def _key(self, keys: tuple[Any, Any], *shapes: tuple[int, ...]) -> str:
        """An index as it is written, of arrays of two shapes."""
        ones, others = (key if isinstance(key, tuple) else (key,) for key in keys)
        plain = len(ones) == len(shapes[0]) and all(isinstance(part, int | slice) for part in ones)
        whole = list(zip(*shapes, strict=True)) if plain else [(None, None)] * len(ones)
        return ", ".join(itertools.starmap(self._index, zip(ones, others, whole, strict=True)))

    def _index(self, one: Any, other: Any, whole: tuple[Any, Any]) -> str:
        """The index along an axis of two lengths, where these are known."""
        if one is None or one is Ellipsis:
            return "None" if one is None else "..."
        if isinstance(one, slice):
            backward = one.step is not None and one.step < 0
            start = (
                ""
                if one.start in (None, 0) and one.start == other.start and not backward
                else self._end(one.start, other.start)
            )
            stop = "" if (one.stop, other.stop) == whole and not backward else self._end(one.stop, other.stop)
            step = "" if one.step in (None, 1) else f":{self._end(one.step, other.step)}"
            return f"{start}:{stop}{step}"
        return self._end(one, other) if isinstance(one, int | np.integer) else self._written((one, other))[0]

    def _end(self, one: Any, other: Any) -> str:
        """A whole number of an index, which may be a length; nothing where there is none."""
        if one is None or other is None or one == other:
            return "" if one is None else str(one)
        return self._number(float(one), float(other))

    def _array(self, one: np.ndarray, other: np.ndarray) -> str:
        """An array that is none of the body's: one that was handed in, one that a function makes of lengths, or a word for it."""
        if one.size == 1:
            return f"{one.item():g}"
        for name, (first, second) in self.whole.items():
            if np.array_equal(one, first) and np.array_equal(other, second):
                return name
        for made in moved_places.makers(one) if one.size else ():
            if all(np.array_equal(made.array(a.shape), a, equal_nan=a.dtype.kind == "f") for a in (one, other)):
                lengths = [self._number(*pair) for pair in zip(one.shape, other.shape, strict=True)]
                return made.text.format(*lengths, all=", ".join(lengths) + "," * (one.ndim == 1))
        if one.size <= LISTED and np.array_equal(one, other):
            return f"np.array({one.tolist()})"
        return "places" if one.dtype.kind in "iub" else "numbers"

    def _plain(self, one: Any, other: Any) -> str:
        """A number, which may be a length; a shape; or whatever Python writes."""
        if isinstance(one, list | tuple):
            texts = [self._written(pair)[0] for pair in zip(one, other, strict=True)]
            return (
                f"[{', '.join(texts)}]" if isinstance(one, list) else f"({', '.join(texts)}{',' * (len(texts) == 1)})"
            )
        if isinstance(one, np.ndarray):
            return self._array(one, other)
        if isinstance(one, bool | str) or one is None:
            return repr(one)
        if isinstance(one, int | float | np.number):
            return self._number(float(one), float(other))
        return getattr(one, "__name__", repr(one))

    def _number(self, one: float, other: float) -> str:
        """A number that is the same in both runs, or else a product of lengths, or one less than that."""
        if not math.isfinite(one):
            return f"{'-' if one < 0 else ''}np.{abs(one)}"
        if one == other:
            return f"{one:g}" if float(f"{one:g}") == one else repr(one)
        names = list(self.lengths)
        for count in range(1, len(names) + 1):
            for chosen in itertools.combinations(names, count):
                lengths = [math.prod(self.lengths[name][run] for name in chosen) for run in (0, 1)]
                if [one, other] == lengths:
                    return " * ".join(chosen) if count == 1 else f"({' * '.join(chosen)})"
                if [one - lengths[0]] == [other - lengths[1]] and abs(one - lengths[0]) <= 2:
                    return f"({' * '.join(chosen)} {one - lengths[0]:+g})"
        return f"{one:.12g}"


def _is_by_element(op: str) -> bool:
    """True of an operation on elements, whose operands are broadcast against each other."""
    return (
        op in BY_ELEMENT
        or op in ("power", *SPECIAL)
        or (isinstance(getattr(np, op, None), np.ufunc) and op != "matmul")
    )


def _shape_of_constant(constant: Any) -> tuple[int, ...]:
    return np.shape(constant) if np.size(constant) > 1 else ()


def _seen(node: Node) -> Node:
    """What a reader sees in the place of a value: what it was before it was given the shape that it has, or broadcast."""
    while node.op in UNSEEN or (node.op == "reshape" and node.shape == node.args[0].shape):
        node = node.args[0]
    return node


def _folded(one: Node) -> Node | None:
    """The sum whose kept axes are taken off again, if it is that."""
    inner = _seen(one.args[0]) if one.op == "reshape" else None
    if inner is None or inner.op != "sum" or not inner.how.get("keepdims"):
        return None
    axes = inner.how["axis"] if isinstance(inner.how["axis"], tuple) else (inner.how["axis"],)
    left = tuple(n for i, n in enumerate(inner.shape) if i not in axes)
    return inner if one.shape == left else None


def _axes(axis: Any) -> Any:
    """An axis by itself where there is one."""
    return axis[0] if isinstance(axis, tuple) and len(axis) == 1 else axis
