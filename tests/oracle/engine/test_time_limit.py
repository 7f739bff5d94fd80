"""Candidates that do not come back, and candidates that come back while they are watched."""

from __future__ import annotations

import math
import threading
import time

import numpy as np
import pytest

import refgrad
from refgrad import Inputs
from refgrad.candidates.protocol import CandidateFault, Observation
from refgrad.errors import ArgumentError
from refgrad.examples.numpy_adamw import adamw
from refgrad.optimizers import AdamW
from refgrad.oracle.acceptance.findings import FAULTS
from refgrad.oracle.engine.time_limit import watched

INPUTS = Inputs.of([1.0, 2.0], [[0.5, 1.0], [0.25, -1.0], [1.0, 1.0]])


class Sleeper:
    """Right, until one of its parts waits for an event that never comes."""

    name = "sleeper"

    def __init__(self, where: str, step: int = 2) -> None:
        self.where, self.at, self.taken, self.never = where, step, 0, threading.Event()

    def start(self, rule: AdamW, params: list[np.ndarray]) -> Sleeper:
        self.hang("start")
        self.rule, self.params, self.state = rule, params, rule.init(params)
        return self

    def step(self, grads: list[np.ndarray]) -> None:
        self.taken += 1
        self.hang("step")
        self.rule.step_(self.params, grads, self.state, backend="numpy")

    def observe(self) -> Observation:
        self.hang("observe")
        return Observation(self.params, [{n: self.state[n][0] for n in ("m", "v")}])

    def hang(self, where: str) -> None:
        if where == self.where and (where == "start" or self.taken == self.at):
            self.never.wait()


@pytest.mark.parametrize(("where", "step"), [("start", 0), ("step", 1), ("step", 2), ("observe", 3)])
def test_a_candidate_that_hangs_gets_a_verdict(where: str, step: int) -> None:
    sleeper = Sleeper(where, step)
    verdict = refgrad.verify(sleeper, AdamW(), inputs=INPUTS, time_limit=0.1)
    sleeper.never.set()
    assert [(f.kind, f.step) for f in verdict.faults] == [("hung", step)]
    assert "sleeper did not return within 0.1 s" in verdict.faults[0].message
    assert "hung" in FAULTS
    assert verdict.steps == max(step - 1, 0)
    assert verdict.total.outside == 0
    assert verdict.exit_code == 1


def test_it_works_off_the_main_thread() -> None:
    found = []
    sleeper = Sleeper("step")
    watching = threading.Thread(
        target=lambda: found.append(refgrad.verify(sleeper, AdamW(), inputs=INPUTS, time_limit=0.1))
    )
    watching.start()
    watching.join()
    sleeper.never.set()
    assert [f.kind for f in found[0].faults] == ["hung"]


def test_the_limit_is_for_one_step() -> None:
    def slow(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
        time.sleep(0.1)
        return adamw(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay)

    assert refgrad.verify(slow, AdamW(), inputs=INPUTS, time_limit=0.25).conforms


def test_a_run_has_one_thread_which_ends_with_it() -> None:
    threads = set()

    def seen(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
        threads.add(threading.current_thread())
        return adamw(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay)

    assert refgrad.verify(seen, AdamW(), inputs=INPUTS).conforms
    (thread,) = threads
    assert thread.daemon
    thread.join(10.0)
    assert not thread.is_alive()
    threads.clear()
    assert refgrad.verify(seen, AdamW(), inputs=INPUTS, time_limit=math.inf).conforms
    assert threads == {threading.current_thread()}


def test_what_an_action_raises_reaches_the_caller_and_the_next_action_runs() -> None:
    with watched(10.0) as call:
        with pytest.raises(CandidateFault, match="it raised KeyboardInterrupt"):
            call(lambda: (_ for _ in ()).throw(KeyboardInterrupt()), "it")
        with np.errstate(all="raise"), pytest.raises(FloatingPointError):
            call(lambda: np.float32(1.0) / np.float32(0.0), "it")
        assert call(lambda: 3, "it") == 3


def test_faults_are_exceptions_that_can_be_hashed() -> None:
    assert len({CandidateFault("hung", "a"), CandidateFault("hung", "a")}) == 2


@pytest.mark.parametrize("limit", [0, -1.0, math.nan, True, "60"])
def test_bad_limits(limit: object) -> None:
    with pytest.raises(ArgumentError, match="legal: a positive number of seconds"):
        refgrad.verify(adamw, AdamW(), time_limit=limit)


def test_a_limit_longer_than_threads_can_wait_is_waited_for_as_long_as_they_can() -> None:
    with watched(1e300) as call:
        assert call(lambda: 3, "three") == 3


def test_what_takes_longer_than_was_said_is_given_up_though_it_would_end_by_itself() -> None:
    ended = threading.Event()
    with watched(0.15) as call:
        with pytest.raises(CandidateFault, match=r"it did not return within 0\.15 s"):
            call(lambda: ended.wait(1.0), "it")
        ended.set()


@pytest.mark.parametrize("ending", [SystemExit(0), SystemExit(), GeneratorExit(), KeyboardInterrupt()])
@pytest.mark.parametrize("seconds", [60.0, math.inf])
def test_what_ends_a_program_is_a_fault_of_the_candidate(ending: BaseException, seconds: float) -> None:
    def step(p: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, t: int) -> None:
        raise ending

    if seconds == math.inf and isinstance(ending, KeyboardInterrupt):  # it may be the user's
        with pytest.raises(KeyboardInterrupt):
            refgrad.verify(step, AdamW(), inputs=INPUTS, time_limit=seconds)
        return
    verdict = refgrad.verify(step, AdamW(), inputs=INPUTS, time_limit=seconds)
    assert [(f.kind, f.step) for f in verdict.faults] == [("crashed", 1)]
    assert f"raised {type(ending).__name__}" in verdict.faults[0].message
    assert "crashed" in FAULTS
    assert verdict.exit_code == 1
