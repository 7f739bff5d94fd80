"""Faults of shapes: a program that is right for whole blocks, for few elements, for contiguous arrays, and not beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from refgrad.strength.situations.fault import Arrays, At, Fault, only, spoilt

TAILS = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
ROW_TAILS = (4, 8, 32, 128)
#: from here on an index of 16 bits is another
FAR = 2**16

#: from a result and what stood before to what is left of it
Cut = Callable[[np.ndarray, np.ndarray], np.ndarray]


CONTIGUOUS = "candidates of this kind are functions of NumPy, which are handed contiguous arrays"


def faults(outputs: tuple[str, ...], strided: bool) -> Iterator[Fault]:
    """Every fault of shapes, of all results together and of each alone.

    Args:
        outputs: the names of the results.
        strided: whether candidates of the kind are handed arrays that are not contiguous.
    """
    for kind, name, cut in _cuts():
        for names in (frozenset[str](), *(frozenset({n}) for n in outputs if len(outputs) > 1)):
            yield Fault("shape", kind, f"{name}{_of(names)}", result=only(names, _applied(cut)))
    yield Fault(
        "shape",
        "strides ignored",
        "an array that is not contiguous is read as if it were",
        given=_unstrided,
        reach="" if strided else CONTIGUOUS,
    )


def _of(names: frozenset[str]) -> str:
    return "".join(f", of {n}" for n in sorted(names))


def _applied(cut: Cut) -> Callable[[np.ndarray, np.ndarray, At], np.ndarray]:
    return lambda new, old, at: cut(new, old) if new.ndim and new.size else new


def _cuts() -> Iterator[tuple[str, str, Cut]]:
    for k in TAILS:
        yield "tail", f"the last n % {k} of n elements left out", _tail(k)
    for k in ROW_TAILS:
        yield "row tail", f"the last n % {k} of a row's n elements left out", _row_tail(k)
    yield "beyond 2^16", f"elements from {FAR} on wrong", _far
    yield "first row", "the first row of a matrix alone", _first_row
    yield "one element", "an array of one element left out", lambda new, old: old if new.size == 1 else new
    yield (
        "axes",
        "of more than two axes the first of the first alone",
        lambda new, old: np.concatenate([new[:1], old[1:]]) if new.ndim > 2 else new,
    )


def _tail(k: int) -> Cut:
    def cut(new: np.ndarray, old: np.ndarray) -> np.ndarray:
        whole, flat = new.size // k * k, new.reshape(-1).copy()
        flat[whole:] = old.reshape(-1)[whole:]
        return flat.reshape(new.shape)

    return cut


def _row_tail(k: int) -> Cut:
    def cut(new: np.ndarray, old: np.ndarray) -> np.ndarray:
        whole, kept = new.shape[-1] // k * k, new.copy()
        kept[..., whole:] = old[..., whole:]
        return kept

    return cut


def _far(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    flat = new.reshape(-1).copy()
    flat[FAR:] = spoilt(flat[FAR:])
    return flat.reshape(new.shape)


def _first_row(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    return np.concatenate([new[:1], old[1:]]) if new.ndim == 2 else new


def _unstrided(given: Arrays) -> Arrays:
    """The numbers as they lie in memory, row by row."""
    return {n: a if a.flags.c_contiguous else _memory(a) for n, a in given.items()}


def _memory(array: np.ndarray) -> np.ndarray:
    """What a program sees that goes through memory from the first element on, without strides."""
    base = array.base if isinstance(array.base, np.ndarray) else np.asfortranarray(array).T
    flat = np.concatenate([base.ravel(order="K"), array.ravel()])
    return flat[: array.size].reshape(array.shape).copy()
