"""What adapters check of a candidate, in one voice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import CandidateError, RefgradError, with_article
from refgrad.signals import pass_on
from refgrad.tensor_memory import resolved, unreadable


@contextmanager
def building(name: str) -> Iterator[None]:
    """An exception while a candidate is built becomes a `CandidateError` that names it."""
    try:
        yield
    except RefgradError:
        raise
    except Exception as error:
        pass_on(error)
        raise CandidateError(f"building {name} raised {type(error).__name__}: {error}") from error


@contextmanager
def stepping(name: str) -> Iterator[None]:
    """An exception in a candidate's step becomes the fault ``raised``."""
    try:
        yield
    except RefgradError:
        raise
    except Exception as error:
        pass_on(error)
        check_fit(error, name)
        raise CandidateFault("raised", f"{name} raised {type(error).__name__}: {error}") from error


#: what Python says where a function is called with other arguments than it has
MISFIT = re.compile(
    r"missing \d+ required|takes (no|exactly|at most|at least|from)? ?(\d+|keyword|arguments|positional)|"
    r"got an unexpected keyword argument|got multiple values for argument|got some positional-only"
)


def check_fit(error: BaseException, name: str) -> None:
    """`CandidateError` if an error is that a candidate takes other arguments than it is called with, which it never gets to see.

    Args:
        error: what calling it raised.
        name: how errors call it.
    """
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    inside = "" if step is None else str(step.tb_frame.f_globals.get("__name__", ""))
    if type(error) is TypeError and inside.partition(".")[0] == "refgrad" and MISFIT.search(str(error)):
        legal = "arguments that `refgrad show` names of the rule, and others with a default or --set NAME=VALUE"
        raise CandidateError(f"the arguments of {name} do not fit the rule: {error}; legal: {legal}") from error


def returned_array(value: Any, what: str) -> np.ndarray:
    """What a candidate returned for an array, as NumPy's.

    Args:
        value: an array of any library, or what NumPy makes an array of.
        what: what messages call it.

    Raises:
        CandidateFault: it is a tensor without memory, of which NumPy would read what lies there.
    """
    why = unreadable(value)
    if why:
        raise CandidateFault("structure", f"{what} is {with_article(type(value).__name__)} that cannot be read ({why})")
    return np.asarray(resolved(value))


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    """True if two arrays of one shape and dtype hold the same bytes, NaN and signed zero included."""
    return one.tobytes() == other.tobytes()


def copies(arrays: Mapping[str, np.ndarray], as_they_lie: bool = False) -> dict[str, np.ndarray]:
    """The arrays anew, as a candidate is handed them: in C order, or as they lie in memory."""
    return {n: np.array(a, order="K" if as_they_lie else "C", copy=True) for n, a in arrays.items()}


def check_kept(handed: Mapping[str, np.ndarray], given: Mapping[str, np.ndarray], name: str) -> None:
    """`CandidateFault` if what a candidate was handed no longer has the bits of what it was copied from."""
    for argument, array in handed.items():
        if not same_bits(array, given[argument]):
            raise CandidateFault("mutated", f"{name} changed its argument {argument!r}; legal: new arrays")


def check_like(value: np.ndarray, reference: np.ndarray, what: str) -> np.ndarray:
    """The value; a fault unless it has the shape and the dtype of the array that it takes the place of."""
    if value.shape != reference.shape:
        raise CandidateFault("shape", f"{what} has shape {value.shape}; legal: {reference.shape}, as it came in")
    if value.dtype != reference.dtype:
        raise CandidateFault("dtype", f"{what} has dtype {value.dtype}; legal: {reference.dtype}, as it came in")
    return value
