"""What a handler of a signal raises passes through a verdict, and never becomes the candidate's fault."""

from __future__ import annotations

import functools
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.gradients import CoordinateMedian
from refgrad.oracle.engine.time_limit import watched
from refgrad.signals import from_handler


class Alarm(Exception):
    """What the handlers below raise: as TimeoutError an ordinary exception, which code may catch."""


def handle(*_: Any) -> None:
    raise TimeoutError("too long")


class Handler:
    def __call__(self, *_: Any) -> None:
        raise Alarm

    def method(self, *_: Any) -> None:
        raise ValueError("too long")


def exits(*_: Any) -> None:
    raise SystemExit(3)


HANDLERS: list[tuple[Any, type[BaseException]]] = [
    (handle, TimeoutError),
    (functools.partial(handle, 1), TimeoutError),
    (Handler(), Alarm),
    (Handler().method, ValueError),
    (exits, SystemExit),
]


@pytest.fixture
def alarm() -> Iterator[Callable[[Any, float], None]]:
    before = signal.getsignal(signal.SIGALRM)

    def started(handler: Any, seconds: float) -> None:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    yield started
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    signal.signal(signal.SIGALRM, before)


def median_that_waits(gradients: np.ndarray) -> np.ndarray:
    """Right, and so slow at its third call that an alarm goes off."""
    median_that_waits.calls += 1  # type: ignore[attr-defined]
    if median_that_waits.calls == 3:  # type: ignore[attr-defined]
        time.sleep(3.0)
    found: np.ndarray = np.median(gradients, axis=0).astype(gradients.dtype)
    return found


median_that_waits.calls = 0  # type: ignore[attr-defined]


def never_returns(gradients: np.ndarray) -> np.ndarray:
    time.sleep(30.0)
    return gradients


@pytest.mark.parametrize(("handler", "raised"), HANDLERS, ids=["function", "partial", "object", "method", "exit"])
@pytest.mark.parametrize("isolate", [False, True], ids=["here", "isolated"])
def test_what_a_handler_raises_while_a_candidate_is_waited_for_is_the_callers(
    alarm: Any, handler: Any, raised: type[BaseException], isolate: bool
) -> None:
    refgrad.verify(CoordinateMedian(), CoordinateMedian(), isolate=isolate, explain=False)  # all is imported
    alarm(handler, 0.7)
    with pytest.raises(raised):
        refgrad.verify(never_returns, CoordinateMedian(), isolate=isolate, explain=False)


@pytest.mark.parametrize("limit", [60.0, float("inf")])
def test_a_verdict_after_it_is_of_its_own_answers(alarm: Any, limit: float) -> None:
    alarm(handle, 0.3)
    with watched(limit) as call:
        with pytest.raises(TimeoutError):
            call(lambda: time.sleep(0.6), "one")
        assert [call(functools.partial(int, n), "the next") for n in (2, 3)] == [2, 3]


def test_an_alarm_in_the_middle_of_cases_asked_together_leaves_the_next_verdict_right(alarm: Any) -> None:
    alarm(handle, 0.7)
    with pytest.raises(TimeoutError):
        refgrad.verify(median_that_waits, CoordinateMedian(), isolate=True, explain=False, time_limit=5.0)
    verdict = refgrad.verify(CoordinateMedian(), CoordinateMedian(), isolate=True, explain=False)
    assert verdict.conforms


def test_only_what_a_handler_raised_is_told_so() -> None:
    with pytest.raises(TimeoutError) as own:
        raise TimeoutError
    assert not from_handler(own.value)
    assert not from_handler(TimeoutError())
