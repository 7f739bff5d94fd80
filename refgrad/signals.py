"""What a handler of a signal raises: it is the caller's exception, whatever ran when the signal came.

A handler runs between any two instructions of the main thread: where refgrad waits for a candidate or within the candidate. What
it raises, such as the TimeoutError of an alarm, says nothing about the candidate, and passes through to the caller.
"""

from __future__ import annotations

import functools
import inspect
import signal
from collections.abc import Iterator
from types import CodeType
from typing import Any


def from_handler(error: BaseException) -> bool:
    """True if an exception was raised in a handler of a signal that is set now.

    Args:
        error: an exception with its traceback.
    """
    step = error.__traceback__
    if step is None:
        return False
    codes = set(_codes())
    while step is not None:
        if step.tb_frame.f_code in codes:
            return True
        step = step.tb_next
    return False


def pass_on(error: BaseException) -> None:
    """Raise an exception again if a handler of a signal raised it.

    Args:
        error: an exception with its traceback.
    """
    if from_handler(error):
        raise error


def _codes() -> Iterator[CodeType]:
    """The code of each handler that is set and is written in Python."""
    for number in signal.valid_signals():
        handler: Any = signal.getsignal(number)
        while isinstance(handler, functools.partial):
            handler = handler.func
        if callable(handler):  # a function, a method, or an object that is called
            each = handler if inspect.isroutine(handler) else type(handler).__call__
            code = getattr(getattr(each, "__func__", each), "__code__", None)
            if isinstance(code, CodeType):
                yield code
