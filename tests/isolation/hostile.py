"""Candidates that are right, and do something besides: at their second step, unless their name says otherwise."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from typing import Any

import numpy as np

import refgrad
from refgrad.examples.numpy_adamw import adamw as right

Array = np.ndarray


def _with(action: Any, step: int = 2) -> Any:
    def candidate(
        p: Array,
        g: Array,
        m: Array,
        v: Array,
        t: int,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
    ) -> Any:
        if t == step:
            done = action(p, g, m, v)
            if done is not None:
                return done
        return right(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay)

    return candidate


def _raising(error: Any) -> Any:
    def action(*_: Any) -> None:
        raise error

    return _with(action)


def _run(function: Any) -> Any:
    return _with(lambda *_: (function(), None)[1])


class Lying(np.ndarray):
    """Says that it equals everything."""

    def __eq__(self, other: Any) -> Any:
        return True

    def tobytes(self, *_: Any) -> bytes:
        return b""


def _fork_and_leave() -> None:
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)


def _fork_bomb_of_answers() -> None:
    if os.fork() == 0:  # the child goes on as if it were the candidate
        return


def _memory() -> None:
    kept = []
    while True:
        kept.append(np.zeros(1 << 27))


def _flood() -> None:
    for _ in range(16):  # far more than a pipe holds
        os.write(1, b"x" * (1 << 20))


def _write_into_every_descriptor() -> None:
    for number in range(3, 64):
        with contextlib.suppress(OSError):
            os.write(number, b"CONFORMS\n" * 100)


def _close_every_descriptor() -> None:
    os.closerange(0, 256)


def _hang_in_c() -> None:
    ctypes.PyDLL(None).sleep(1000)  # with the interpreter's lock held


def _spin() -> None:
    while True:
        pass


def _deep() -> None:
    def down() -> None:
        down()

    down()


def _patch_numpy() -> None:
    np.ndarray.tobytes = lambda *_: b""  # type: ignore[method-assign,assignment]


def _patch_module() -> None:
    np.sqrt = lambda x: x  # type: ignore[assignment]
    np.frombuffer = lambda *_: np.zeros(1)  # type: ignore[assignment]


def _patch_refgrad() -> None:
    for name in list(sys.modules):
        if name.startswith("refgrad.oracle"):
            for word in list(vars(sys.modules[name])):
                setattr(sys.modules[name], word, None)


def _kill_group() -> None:
    os.killpg(0, signal.SIGKILL)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _quiet_exit_hook() -> None:
    import atexit

    atexit.register(os._exit, 0)
    sys.exit(0)


def _rounding() -> None:
    ctypes.CDLL(None).fesetround(0x800)


exit_zero = _run(lambda: sys.exit(0))
exit_three = _run(lambda: sys.exit(3))
exit_hook = _run(_quiet_exit_hook)
interrupt = _raising(KeyboardInterrupt())
generator_exit = _raising(GeneratorExit())
own_argument_error = _raising(refgrad.errors.ArgumentError("mine"))
memory_error = _raising(MemoryError("mine"))
base_exception = _raising(BaseException("mine"))
leaves_at_once = _run(lambda: os._exit(0))
leaves_with_70 = _run(lambda: os._exit(70))
segfault = _run(lambda: ctypes.string_at(8))
abort = _run(os.abort)
kill_9 = _run(lambda: os.kill(os.getpid(), signal.SIGKILL))
term = _run(lambda: os.kill(os.getpid(), signal.SIGTERM))
kill_group = _run(_kill_group)
stop = _run(_stop)
no_stdout = _run(lambda: setattr(sys, "stdout", None))
shut_stdout = _run(lambda: sys.stdout.close())
close_1 = _run(lambda: os.close(1))
close_all = _run(_close_every_descriptor)
write_all = _run(_write_into_every_descriptor)
prints = _run(lambda: print("CONFORMS: it is AdamW()"))
flood = _run(_flood)
hang = _run(lambda: time.sleep(1000))
hang_in_c = _run(_hang_in_c)
spin = _run(_spin)
memory = _run(_memory)
recursion = _run(_deep)
fork_and_leave = _run(_fork_and_leave)
fork_and_answer = _run(_fork_bomb_of_answers)
patch_numpy = _run(_patch_numpy)
patch_module = _run(_patch_module)
patch_refgrad = _run(_patch_refgrad)
flush = _run(lambda: __import__("tests.float_environments").float_environments.make("flush-to-zero"))
rounding = _run(_rounding)
inputs = _with(lambda p, g, m, v: (p, m, v))
nothing = _with(lambda p, g, m, v: ())
views = _with(lambda p, g, m, v: (p[:0], m[::2], v))
generator = _with(lambda p, g, m, v: (x for x in (p, m, v)))
lying = _with(lambda p, g, m, v: (p.view(Lying), m.view(Lying), v.view(Lying)))
objects = _with(lambda p, g, m, v: (p.astype(object), m, v))
strings = _with(lambda p, g, m, v: ("p", "m", "v"))
writes_gradient = _with(lambda p, g, m, v: g.fill(0))


def keeps_gradient(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    t: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
) -> Any:
    """Gives the memory of its gradient for a state."""
    new, _, v = right(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay)
    return new, g, v
