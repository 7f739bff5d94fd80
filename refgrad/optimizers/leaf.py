"""One parameter of a step with its arrays: what fits together, what may be written in place, and what kernels take."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.arrays import as_it_is
from refgrad.axes import ELEMENT
from refgrad.errors import ArgumentError, bad_argument
from refgrad.rule import Slot


@dataclass
class Leaf:
    """One parameter with all that its update reads.

    Args:
        arrays: ``p``, ``g``, the extra inputs and the array slots by name.
        scalar_values: the scalar slots by name.
        read_only: the arrays that the update does not write.
    """

    arrays: dict[str, np.ndarray]
    scalar_values: dict[str, float]
    read_only: tuple[str, ...]

    def copied(self) -> Leaf:
        """The same with new arrays for all that a step writes."""
        kept = self.read_only
        arrays = {n: a if n in kept else np.array(a, order="C", copy=True) for n, a in self.arrays.items()}
        return Leaf(arrays, dict(self.scalar_values), kept)

    def write_back(self, arrays: Mapping[str, np.ndarray], narrow: Collection[str]) -> None:
        """What kernels wrote into copies, rounded to the dtypes of the arrays themselves.

        Args:
            arrays: what `working_copies` gave, with new values.
            narrow: the names of the copies.
        """
        for name in narrow:
            with np.errstate(over="ignore", under="ignore"):
                self.arrays[name][...] = arrays[name]

    def set_scalars(self, values: Sequence[float]) -> None:
        """Keep the scalar slots' new values.

        Args:
            values: they, in the order of the slots.
        """
        self.scalar_values = dict(zip(self.scalar_values, values, strict=True)) if self.scalar_values else {}


def check_fits(p: np.ndarray, array: np.ndarray, name: str, slot: Slot) -> None:
    """Check that an array has its slot's shape and a dtype that the working precision holds.

    Args:
        p: the parameter.
        array: the slot's array, or the gradient or an extra input.
        name: what errors call it.
        slot: what the slot is; one like the parameter for what is no slot.

    Raises:
        ArgumentError: it has another shape, or is float64 beside a narrower parameter.
    """
    shape = slot.shape(p.shape)
    if array.shape != shape:
        what = "the shape of its parameter" if slot.axes == ELEMENT else f"{slot.described()} of its parameter"
        raise bad_argument(f"{name}.shape", array.shape, f"{shape}, {what}")
    if dtypes.working(array.dtype) == np.float64 != dtypes.working(p.dtype):
        legal = f"float32 or narrower, because the parameter is {p.dtype}"
        raise bad_argument(f"{name}.dtype", "float64", legal)


def check_writeable(leaves: Sequence[Leaf], paths: Sequence[str]) -> None:
    """Check that a step in place may write the arrays of its parameters, one after the other.

    Args:
        leaves: each parameter with its arrays.
        paths: where in the tree each stands, for errors.

    Raises:
        ArgumentError: an array that is written is read-only, or overlaps itself or another, of the same parameter or another one.
    """
    named = [
        (f"{name}{path}", array, name not in leaf.read_only)
        for path, leaf in zip(paths, leaves, strict=True)
        for name, array in leaf.arrays.items()
    ]
    for name, array, written in named:
        if written and not array.flags.writeable:
            raise ArgumentError(f"{name} is read-only; legal: a writeable array, or the pure `step`")
        if written and overlaps_itself(array):
            raise ArgumentError(
                f"{name} has elements that share memory, in steps of {array.strides} bytes for shape {array.shape}; legal: "
                "an array of separate elements, or the pure `step`"
            )
    if alone([array for _, array, _ in named]):  # which saves the search in the common case
        return
    # an array overlaps one that is written only if it begins before some earlier one, in the order of memory, has ended
    placed = [(*np.lib.array_utils.byte_bounds(a), *each) for each in named if (a := each[1]).size]
    reaching: list[Any] = []
    for start, end, name, array, written in sorted(placed, key=lambda each: each[:2]):
        reaching = [each for each in reaching if each[0] > start]
        for _, other, second, also in reaching:
            if (written or also) and _overlap(array, second):
                raise ArgumentError(f"{other} and {name} share memory; legal: separate arrays")
        reaching.append((end, name, array, written))


def overlaps_itself(array: np.ndarray) -> bool:
    """True if two elements of an array share memory, as those of `broadcast_to` or `as_strided` may.

    Args:
        array: any array.

    Returns:
        False where each axis, from that of the least steps on, steps over all that those before it reach, as axes of slices
        do; of other arrays every element's place is looked at.
    """
    if array.flags.c_contiguous or array.flags.f_contiguous:
        return False
    reach = array.itemsize
    for stride, length in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n != 1):
        if stride < reach:
            return array.size > 0 and _have_places_in_common(array)
        reach += stride * (length - 1)
    return False


def _have_places_in_common(array: np.ndarray) -> bool:
    places = np.zeros((), np.int64)
    for stride, length in zip(array.strides, array.shape, strict=True):
        places = places[..., None] + np.arange(length) * stride
    return bool((np.diff(np.sort(places, axis=None)) < array.itemsize).any())


def alone(arrays: Collection[np.ndarray]) -> bool:
    """True if arrays are different ones that own their memory, so that none can overlap another.

    Args:
        arrays: the arrays.

    Returns:
        False for a view of another array, or where one array is there twice.
    """
    for array in arrays:
        if array.base is not None:
            return False
    return len(set(map(id, arrays))) == len(arrays)


def _overlap(a: np.ndarray, b: np.ndarray) -> bool:
    """True if two arrays share an element, or if that takes too long to tell."""
    try:
        return np.shares_memory(a, b, max_work=1000)  # type: ignore[arg-type]  # NumPy's types know no other than 0 and -1
    except np.exceptions.TooHardError:
        return True


def working_copies(leaf: Leaf) -> tuple[dict[str, np.ndarray], list[str]]:
    """A leaf's arrays as kernels take them.

    Args:
        leaf: the parameter with its arrays, of any float dtypes and strides.

    Returns:
        The arrays by name, contiguous and of the working dtype, copied where they are not so already; and the names of those
        outputs that were copied, to be written back.
    """
    dtype = dtypes.working(leaf.arrays["p"].dtype)
    ready, narrow = {}, []
    for name, array in leaf.arrays.items():
        fits = as_it_is(array, dtype)
        ready[name] = array if fits else np.array(array, dtype=dtype, order="C", copy=True)
        if not fits and name not in leaf.read_only:
            narrow.append(name)
    return ready, narrow
