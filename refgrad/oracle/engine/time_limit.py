"""Waiting for a candidate, but not for ever.

A candidate runs on one daemon thread of its own. If it does not return in time it is not stopped, since no thread can
be stopped from outside; it is only no longer waited for, and it does not keep the program from ending. No signal is used,
so that this works off the main thread too. Code that holds Python's global lock for ever cannot be given up on.
"""

from __future__ import annotations

import contextvars
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import bad_argument
from refgrad.float_environment import foreign
from refgrad.legal import as_number
from refgrad.signals import pass_on

#: seconds that one step may take where nothing else is said
TIME_LIMIT = 60.0

#: what ends a program where nobody catches it: raised by a candidate it is the candidate's fault, not the caller's end
ENDING = (SystemExit, GeneratorExit, KeyboardInterrupt)

#: runs an action, named for the message, and returns what it returns; `CandidateFault` "hung" if it takes too long
Call = Callable[[Callable[[], Any], str], Any]


def check_time_limit(value: Any) -> float:
    """Seconds as a float; `ArgumentError` unless positive. Infinity is no limit."""
    seconds = as_number(value)
    if not seconds > 0:
        raise bad_argument("time_limit", value, "a positive number of seconds, or infinity for no limit")
    return seconds


@contextmanager
def watched(seconds: float) -> Iterator[Call]:
    """A way to call that gives up after so many seconds; without a limit, plain calls on the caller's own thread."""
    if seconds == math.inf:
        yield _called
        return
    asked: SimpleQueue[Any] = SimpleQueue()
    answered: SimpleQueue[Any] = SimpleQueue()
    # one thread a run: frameworks build a pool of threads for each thread that calls them
    threading.Thread(target=_serve, args=(asked, answered), name="refgrad candidate", daemon=True).start()

    def call(action: Callable[[], Any], what: str) -> Any:
        # NumPy's error state and the like are the caller's
        job = object()
        asked.put((job, contextvars.copy_context(), action))
        try:
            result, error = _answer_to(job, answered, seconds)
        except Empty:
            raise CandidateFault("hung", f"{what} did not return within {seconds:g} s") from None
        # a user interrupts the main thread, which waits: on the other it is the candidate's own
        if isinstance(error, ENDING):
            raise _ended(error, what)
        if error is not None:
            raise error
        return result

    try:
        yield call
    finally:
        asked.put(None)


def _answer_to(job: object, answered: SimpleQueue[Any], seconds: float) -> tuple[Any, BaseException | None]:
    """What came of a job; what comes late, of one that nobody waits for any more, is left.

    Raises:
        Empty: nothing comes of it in so many seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        left = max(deadline - time.monotonic(), 0.0)
        of, result, error = answered.get(timeout=min(left, threading.TIMEOUT_MAX))
        if of is job:
            return result, error


def _called(action: Callable[[], Any], what: str) -> Any:
    """A plain call; an interrupt may be the user's there, and stays one."""
    try:
        with foreign():
            return action()
    except (SystemExit, GeneratorExit) as error:
        pass_on(error)
        raise _ended(error, what) from None


def _ended(error: BaseException, what: str) -> CandidateFault:
    told = f": {error}" if str(error) else ""
    return CandidateFault("crashed", f"{what} raised {type(error).__name__}{told}, which ends a program")


def _foreign(action: Callable[[], Any]) -> Any:
    with foreign():
        return action()


def _serve(asked: SimpleQueue[Any], answered: SimpleQueue[Any]) -> None:
    while (job := asked.get()) is not None:
        number, context, action = job
        try:
            answer: tuple[Any, Any, Any] = (number, context.run(_foreign, action), None)
        except BaseException as error:  # handed to the caller, who raises it
            answer = (number, None, error)
        answered.put(answer)
        del job, number, context, action, answer  # nothing of a candidate is kept alive while waiting
