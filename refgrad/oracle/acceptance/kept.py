"""What was judged before: while one question is answered the same bits are judged once, however often they are asked about.

A search judges a run under hundreds of hypotheses, of which many differ in nothing that a step, a case or a score is computed
from; and what explains a run is judged again as a whole, beside its control, and as a claim of its own. Results are kept by
all that they follow from: the operations of a graph, the numbers that it reads, the bits of arrays, and the policy. Where
these agree, so does every bit of the result, so that what is kept is never out of date; the kept arrays are copies, which
nobody can write to.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from refgrad.arithmetic.graph import Graph
from refgrad.arithmetic.running_error import Bounded
from refgrad.arithmetic.scalar_math import names_in
from refgrad.derived import derived
from refgrad.tracing import Plan

Value = TypeVar("Value")

#: bytes of arrays that are kept in all, and of one result at most
MOST, LARGEST = 2**26, 2**22
#: numbers of an array above which its results are not kept
FEW = 32768
#: bytes of an array from which on a digest stands for them
DIGESTED = 256


@dataclass(eq=False)
class Kept:
    """Results by what they follow from, up to a number of bytes; those that were not asked for longest are dropped first.

    Attributes:
        most: bytes that are kept.
        largest: bytes of one result, above which it is not kept.
        size: bytes that are kept now.

    >>> kept = Kept()
    >>> kept.made("one", lambda: (np.arange(3),)), kept.made("one", lambda: (np.arange(4),)), kept.size
    ((array([0, 1, 2]),), (array([0, 1, 2]),), 24)
    """

    most: int = MOST
    largest: int = LARGEST
    size: int = 0
    _results: OrderedDict[Hashable, tuple[Any, int]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def made(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """A result, made if it is not kept.

        Args:
            key: all that it follows from.
            make: gives it: tuples, nested as they are, of arrays and of what cannot be changed.

        Returns:
            The result, whose arrays are read-only; as it was made, if it is too large to be kept.
        """
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
                found: Value = self._results[key][0]
                return found
        result = make()
        size = _size(result)
        if size > self.largest:
            return result
        own: Value = _owned(result)
        with self._lock:
            if key not in self._results:  # else another thread came first
                self._results[key] = own, size
                self.size += size
            while self.size > self.most:
                _, (_, dropped) = self._results.popitem(last=False)
                self.size -= dropped
        return own


def _parts(result: Any) -> Iterable[Any]:
    if isinstance(result, tuple):
        for part in result:
            yield from _parts(part)
    else:
        yield result


def _size(result: Any) -> int:
    return sum(part.nbytes for part in _parts(result) if isinstance(part, np.ndarray))


def _owned(result: Any) -> Any:
    """A result with arrays of its own, which are read-only."""
    if isinstance(result, tuple):
        parts = map(_owned, result)
        return result._make(parts) if hasattr(result, "_make") else tuple(parts)
    if not isinstance(result, np.ndarray):
        return result
    own = np.array(result)
    own.flags.writeable = False
    return own


#: that of the question which is being answered
_KEPT: ContextVar[Kept | None] = ContextVar("kept", default=None)


@contextlib.contextmanager
def keeping() -> Iterator[None]:
    """While this lasts what is judged is kept, and given up with it; within another, what that keeps is used."""
    if _KEPT.get() is not None:
        yield
        return
    token = _KEPT.set(Kept())
    try:
        yield
    finally:
        _KEPT.reset(token)


def made(size: int, key: Callable[[], Hashable], make: Callable[[], Value]) -> Value:
    """A result, made if none is kept; nothing is where no question is being answered, or of many numbers.

    Args:
        size: how many numbers there are.
        key: gives all that the result follows from.
        make: gives the result, as for `Kept.made`.

    Returns:
        The result.
    """
    store = _KEPT.get()
    return make() if store is None or size > FEW else store.made(key(), make)


class Structure:
    """What a graph computes: equal for graphs of the same operations in the same order, of whichever rule they were traced.

    Args:
        graph: a rule's graph, or a part of it.
    """

    __slots__ = ("_hash", "_parts")

    def __init__(self, graph: Graph) -> None:
        place = {node.index: i for i, node in enumerate(graph.nodes)}
        # of attributes the text besides, because numbers are equal that are not the same: zeros of either sign
        nodes = tuple(
            (n.op, n.attribute, repr(n.attribute), n.axes, tuple(place[a.index] for a in n.args)) for n in graph.nodes
        )
        outputs = tuple((name, place[node.index]) for name, node in graph.outputs.items())
        self._parts = nodes, outputs, tuple(graph.small.items())
        self._hash = hash(self._parts)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Structure) and self._hash == other._hash and self._parts == other._parts


@derived
def _structure(plan: Plan) -> tuple[Structure, tuple[str, ...]]:
    """What a plan's graph computes, and the names that its scalars read."""
    return Structure(plan.graph), tuple(sorted({n for e in plan.graph.scalars() for n in names_in(e)}))


def computed(plan: Plan, free: Mapping[str, float]) -> Hashable:
    """What a plan's graph computes, with the numbers that it reads.

    Args:
        plan: the traced rule.
        free: the values of the plan's free names.
    """
    structure, read = _structure(plan)
    names = plan.names(free)
    return structure, plan.rule.scalars, struct.pack(f"{len(read)}d", *(names[n] for n in read))


def bits(array: np.ndarray | float | None) -> Hashable:
    """An array bit by bit, or if it is not small a digest of it; two arrays of the same bits are the same.

    Args:
        array: numbers of any dtype; or None.
    """
    if array is None:
        return None
    array = np.asarray(array)
    whole = array.tobytes()
    shown = whole if len(whole) < DIGESTED else hashlib.blake2b(whole, digest_size=32).digest()
    return array.shape, array.dtype, shown


def bits_of(number: Bounded) -> Hashable:
    """All that is known of a number, bit by bit.

    Args:
        number: an array with bounds.
    """
    return tuple(map(bits, number))
