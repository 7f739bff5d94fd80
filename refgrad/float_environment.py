"""What a thread does to floating-point numbers: rounding, and whether subnormal numbers are kept.

A processor rounds to nearest and keeps subnormal numbers unless a thread is told otherwise. Some libraries tell it so, when
they are imported (built with ``-ffast-math``) or called (``torch.set_flush_denormal``), and from then on every program on
that thread, and on the threads that it starts, computes other numbers. Rules, kernels and the oracle compute in the
`standard` environment wherever they are called; a candidate computes in its own, that of its caller, as long as it is
judged (`guarding`, `foreign`).

Environments are saved and set by C's ``fegetenv`` and ``fesetenv``. Where these are not found (`settable`), an environment
is recognized and named, and left as it is.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")

#: bytes that hold an environment on any platform; the largest is 32
SIZE = 64
#: operands, kept where no compiler of Python folds what is done with them
ONE, LITTLE, HALF = 1.0, 2.0**-60, 0.5
SMALLEST_NORMAL = sys.float_info.min

#: the attribute of functions that compute in the standard environment wherever they are called
MARK = "computes_in_standard"

#: what is not standard, as reports say it
FLUSHED, UP, DOWN, CUT = "flush-to-zero", "rounding up", "rounding down", "rounding toward zero"


def is_standard() -> bool:
    """True if this thread rounds to nearest and keeps subnormal numbers.

    >>> is_standard()
    True
    """
    return ONE + LITTLE == ONE - LITTLE and SMALLEST_NORMAL * HALF != 0.0


def deviations() -> tuple[str, ...]:
    """What this thread does otherwise than a standard one: of `FLUSHED`, and `UP`, `DOWN` or `CUT`.

    >>> deviations()
    ()
    """
    flushed = (FLUSHED,) if SMALLEST_NORMAL * HALF == 0.0 else ()
    if ONE + LITTLE > ONE:
        return (*flushed, UP)
    if ONE - LITTLE < ONE:
        return (*flushed, CUT if -ONE - LITTLE == -ONE else DOWN)
    return flushed


class _Library:
    """C's functions for the environment, and its standard one."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)  # the process itself, which has the mathematical library loaded
        self.get, self.set = library.fegetenv, library.fesetenv
        self.get.argtypes = self.set.argtypes = [ctypes.c_void_p]
        if sys.platform == "darwin":
            self.standard = ctypes.addressof(ctypes.c_char.in_dll(library, "_FE_DFL_ENV"))
        else:  # glibc and musl
            self.standard = ctypes.c_void_p(-1).value or 0


@functools.cache
def _library() -> _Library | None:
    try:
        return _Library()
    except (OSError, AttributeError, TypeError, ValueError):  # another C library
        return None


def settable() -> bool:
    """True if environments can be saved and set here."""
    return _library() is not None


def saved() -> bytes:
    """This thread's environment, for `restore`; empty where it cannot be had."""
    library, buffer = _library(), ctypes.create_string_buffer(SIZE)
    return buffer.raw if library is not None and library.get(buffer) == 0 else b""


def restore(environment: bytes) -> None:
    """Make an environment that was `saved`, perhaps by another thread, this thread's."""
    library = _library()
    if library is not None and environment:
        library.set(ctypes.create_string_buffer(environment, SIZE))


def make_standard() -> None:
    """Make this thread round to nearest, keep subnormal numbers, and stop at no exception."""
    library = _library()
    if library is not None:
        library.set(library.standard)


@contextmanager
def standard() -> Iterator[None]:
    """The standard environment within, the one that was found afterwards."""
    found = saved()
    make_standard()
    try:
        yield
    finally:
        restore(found)


def in_standard(function: Callable[P, R]) -> Callable[P, R]:
    """The function, run in the standard environment; where that is the thread's own already, nothing is set."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if ONE + LITTLE == ONE - LITTLE and SMALLEST_NORMAL * HALF != 0.0:
            return function(*args, **kwargs)
        with standard():
            return function(*args, **kwargs)

    return marked(run)


def marked(function: Callable[P, R]) -> Callable[P, R]:
    """The function, known to compute in the standard environment."""
    setattr(function, MARK, True)
    return function


def is_marked(function: Callable[..., Any]) -> bool:
    """True of a function that computes in the standard environment wherever it is called.

    >>> is_marked(in_standard(abs)), is_marked(abs)
    (True, False)
    """
    return bool(getattr(function, MARK, False))


class Guest:
    """The environment of a candidate: that of whoever asked, and then whatever the candidate makes of it.

    Attributes:
        before: the deviations of whoever asked.
        after: those that the candidate left when it last returned.
        errors: what NumPy does there at errors of floats.
    """

    def __init__(self) -> None:
        self.before = self.after = deviations()
        self._own = saved()
        host = _GUEST.get()
        self.errors: dict[str, Any] = _unwarned() if host is None else host.errors

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Its own environment within, on whichever thread; the standard one afterwards."""
        restore(self._own)
        try:
            yield
        finally:
            self.after, self._own = deviations(), saved()
            make_standard()

    def notes(self) -> Iterator[str]:
        """What a verdict says of it."""
        if self.before:
            yield f"the candidate ran with {' and '.join(self.before)}, as its caller does; it was judged without"
        for each in self.after:
            if each not in self.before:
                yield f"the candidate left {each} on; it ran on with it, was judged without, and it was undone"
        gone = [each for each in self.before if each not in self.after]
        if gone:
            yield f"the candidate ended {' and '.join(gone)}; its caller's was put back"
        if not is_standard():
            yield f"this thread has {' and '.join(deviations())}, which cannot be changed here: the verdict may be wrong"


_GUEST: ContextVar[Guest | None] = ContextVar("refgrad_guest", default=None)


def _unwarned() -> dict[str, Any]:
    """What NumPy is asked to do at errors of floats, but for warnings."""
    return {name: "ignore" if how == "warn" else how for name, how in np.geterr().items()}


class _SaidOfNothing:
    """What NumPy's functions say, in words of their own, of arrays without elements or with NaN alone, as candidates are handed.

    It stands in a filter of warnings in the place of a pattern, and matches while a candidate is judged in this context: what
    other threads are told meanwhile is not changed, as it would be by filters that are put in and taken out again.
    """

    beginnings = ("Mean of empty slice", "Degrees of freedom", "All-NaN")
    #: as of a regular expression: packages read the filters, and hand them to threads of their own (scikit-learn)
    pattern = "|".join(beginnings)
    flags = 0

    def match(self, text: str) -> bool:
        """True if the text is one of these, and a candidate is judged."""
        return _GUEST.get() is not None and text.startswith(self.beginnings)


_UNSAID: Any = ("ignore", _SaidOfNothing(), RuntimeWarning, None, 0)


def _leave_unsaid() -> None:
    """See that the filter is the first of those of now, of which programs and pytest make others."""
    filters: list[Any] = warnings.filters  # type: ignore[assignment]
    if filters[:1] != [_UNSAID]:
        with suppress(ValueError):
            filters.remove(_UNSAID)
        filters.insert(0, _UNSAID)


@contextmanager
def guarding() -> Iterator[Guest]:
    """The standard environment within, for the oracle; candidates are called in `foreign`, and the caller's is put back.

    What a candidate answers may be any bits, also those of a signalling NaN, of which NumPy warns, or raises, wherever it is
    converted: within, NumPy is silent.
    """
    found, guest = saved(), Guest()
    token = _GUEST.set(guest)
    make_standard()
    _leave_unsaid()
    try:
        with np.errstate(all="ignore"):
            yield guest
    finally:
        _GUEST.reset(token)
        restore(found)


@contextmanager
def foreign() -> Iterator[None]:
    """The candidate's own environment within, for calls of its code; nothing is set outside of `guarding`.

    NumPy warns there of no overflow and no NaN, which come of the infinities and the numbers near them that a candidate is
    handed: they are no fault of its own. Where the caller, or the candidate, has asked NumPy to raise, it does.
    """
    guest = _GUEST.get()
    if guest is None:
        with np.errstate(**_unwarned()):
            yield
    else:
        with np.errstate(**guest.errors), guest.entered():
            yield


def guarded(function: Callable[P, R]) -> Callable[P, R]:
    """The function, run within `guarding`."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with guarding():
            return function(*args, **kwargs)

    return marked(run)


def of_candidate() -> tuple[str, ...]:
    """The deviations of the candidate's environment within `guarding`; elsewhere those of this thread."""
    guest = _GUEST.get()
    return deviations() if guest is None else guest.after


def candidate_notes() -> tuple[str, ...]:
    """What a verdict says of the candidate's environment; nothing outside of `guarding`."""
    guest = _GUEST.get()
    return () if guest is None else tuple(guest.notes())
