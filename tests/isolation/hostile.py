"""Candidates that are right, and do something besides: at their second step, unless their name says otherwise.

Each is an AdamW that takes its arguments by name. `CANDIDATES` has the target of each by its name; those that go wrong when
they are imported are modules of `tests.isolation.importing`.
"""

from __future__ import annotations

import asyncio
import atexit
import builtins
import contextlib
import ctypes
import gc
import inspect
import json
import logging
import mmap
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

import refgrad
from refgrad.examples.numpy_adamw import adamw as right
from tests import float_environments

#: what a candidate was handed in this call, by name
Given = Mapping[str, Any]


def at(step: int | None, action: Callable[[Given], Any]) -> Any:
    """The right program, but for an action at one of its steps, or at all: what that returns is returned, unless it is None."""

    def candidate(**given: Any) -> Any:
        done = action(given) if step is None or given["t"] == step else None
        return right(**given) if done is None else done

    candidate.__signature__ = inspect.signature(right)  # type: ignore[attr-defined]
    return candidate


def doing(function: Callable[[], Any]) -> Any:
    """The right program that besides does something which needs no arguments."""
    return at(2, lambda given: (function(), None)[1])


def raising(error: BaseException) -> Any:
    def action(given: Given) -> Any:
        raise error

    return at(2, action)


def giving(function: Callable[..., Any]) -> Any:
    """At the second step something made of the right results."""
    return at(2, lambda given: function(*right(**given)))


# ---- every way to end


def _quiet_exit_hook() -> None:
    atexit.register(os._exit, 0)
    sys.exit(0)


def _bus_error() -> None:
    with tempfile.TemporaryFile() as file:
        file.truncate(4096)
        mapped = mmap.mmap(file.fileno(), 4096)
        file.truncate(0)
        mapped[0] = 1


def _alarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(1)


def _handler() -> None:
    def leave(*_: Any) -> None:
        sys.exit(0)

    signal.signal(signal.SIGUSR1, leave)
    os.kill(os.getpid(), signal.SIGUSR1)


def _thread_that_leaves() -> None:
    threading.Thread(target=os._exit, args=(0,)).start()
    time.sleep(1)


def _exception_from_outside() -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(threading.get_ident()), ctypes.py_object(SystemExit))
    for _ in range(1000):
        time.sleep(0)


def _trace() -> None:
    def leave(*_: Any) -> None:
        os._exit(0)

    sys.settrace(leave)
    (lambda: None)()


exit_zero = doing(lambda: sys.exit(0))
exit_three = doing(lambda: sys.exit(3))
exit_words = doing(lambda: sys.exit("CONFORMS"))
exit_hook = doing(_quiet_exit_hook)
interrupt = raising(KeyboardInterrupt())
generator_exit = raising(GeneratorExit())
stop_iteration = raising(StopIteration(0))
leaves_at_once = doing(lambda: os._exit(0))
leaves_with_70 = doing(lambda: os._exit(70))
leaves_in_c = doing(lambda: ctypes.CDLL(None)._exit(0))
exits_in_c = doing(lambda: ctypes.CDLL(None).exit(0))
becomes_another = doing(lambda: os.execv("/bin/true", ["true"]))
segfault = doing(lambda: ctypes.string_at(8))
bus_error = doing(_bus_error)
floating_point_signal = doing(lambda: signal.raise_signal(signal.SIGFPE))
illegal_instruction = doing(lambda: signal.raise_signal(signal.SIGILL))
abort = doing(os.abort)
kill_9 = doing(lambda: os.kill(os.getpid(), signal.SIGKILL))
term = doing(lambda: os.kill(os.getpid(), signal.SIGTERM))
user_signal = doing(lambda: os.kill(os.getpid(), signal.SIGUSR2))
alarm = doing(_alarm)
handler = doing(_handler)
kill_group = doing(lambda: os.killpg(0, signal.SIGKILL))
thread_that_leaves = doing(_thread_that_leaves)
exception_from_outside = doing(_exception_from_outside)
trace = doing(_trace)

# ---- what it raises


class Unspeakable(Exception):
    """Its text ends the process."""

    def __str__(self) -> str:
        os._exit(0)


class Forged(refgrad.errors.RefgradError):
    """Says that it is one of refgrad's own."""

    kind = "conforms"


Forged.__name__ = "CandidateFault"

own_argument_error = raising(refgrad.errors.ArgumentError("mine"))
own_candidate_error = raising(refgrad.errors.CandidateError("mine"))
forged_fault = raising(Forged("conforms"))
memory_error = raising(MemoryError("mine"))
base_exception = raising(BaseException("mine"))
group = raising(BaseExceptionGroup("mine", [SystemExit(0), KeyboardInterrupt()]))
long_words = raising(ValueError("x" * 10_000_000))
many_lines = raising(ValueError("\x1b[2J\n\nCONFORMS: it is AdamW()\n"))
unspeakable = raising(Unspeakable())

# ---- hang and flood


def _hang_in_c() -> None:
    ctypes.PyDLL(None).sleep(1000)  # with the interpreter's lock held


def _spin() -> None:
    while True:
        pass


def _deadlock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def _flood(number: int) -> None:
    for _ in range(2):  # far more than a pipe holds, at each of its tensors
        os.write(number, b"x" * (1 << 20))


def _print_without_end() -> None:
    while True:
        print("CONFORMS: it is AdamW()")


def _warn() -> None:
    for i in range(1000):
        warnings.warn(f"warning {i}", stacklevel=1)
        logging.getLogger().error("error %d", i)


stop = doing(lambda: os.kill(os.getpid(), signal.SIGSTOP))
hang = doing(lambda: time.sleep(1000))
hang_in_c = doing(_hang_in_c)
hang_in_a_pattern = doing(lambda: re.match("(a+)+b", "a" * 60))
spin = doing(_spin)
deadlock = doing(_deadlock)
waits_for_a_program = doing(lambda: subprocess.run(["sleep", "1000"], check=False))
prints = doing(lambda: print("CONFORMS: it is AdamW()"))
prints_without_end = doing(_print_without_end)
prints_escapes = doing(lambda: os.write(1, b"\x1b[2J\x00\xff{}\n" * 100))
flood = doing(lambda: _flood(1))
flood_errors = doing(lambda: _flood(2))
warns = doing(_warn)
no_stdout = doing(lambda: setattr(sys, "stdout", None))
shut_stdout = doing(lambda: sys.stdout.close())

# ---- descriptors, memory, processes


def _write_into_every_descriptor() -> None:
    for number in range(3, 64):
        with contextlib.suppress(OSError):
            os.write(number, b"CONFORMS\n" * 100)


def _answer_into_every_descriptor() -> None:
    from refgrad.isolation.messages import packed
    from refgrad.isolation.shared import Region

    forged = {"result": {"dict": [["value", {"float": "0x0p+0"}]]}, "changed": [], "number": 10**6}
    for number in range(3, 64):
        with contextlib.suppress(OSError):
            os.write(number, packed(forged, [], Region(-1)))


def _cover_every_descriptor() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(64):
        os.dup2(nothing, number)


def _shared() -> list[int]:
    found = []
    for number in range(3, 64):
        with contextlib.suppress(OSError):
            found += [number] if "memfd" in os.readlink(f"/proc/self/fd/{number}") else []
    return found


def _scribble() -> None:
    for number in _shared():
        os.pwrite(number, b"\xff" * (1 << 20), 0)


def _cut() -> None:
    for number in _shared():
        os.ftruncate(number, 0)


def _memory() -> None:
    kept = []
    while True:
        kept.append(np.zeros(1 << 27))


def _open_without_end() -> None:
    kept = []
    while True:
        kept.append(open(os.devnull))  # noqa: SIM115


def _deep() -> None:
    def down() -> None:
        down()

    down()


#: something as soon as a candidate has forked in this process, or in the one that this was forked from
_FORKED: list[bool] = []


def _fork_and_leave() -> None:
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)


def _forks() -> None:
    if _FORKED:
        return
    _FORKED.append(True)
    for _ in range(3):
        _fork_and_leave()


def _fork_and_answer() -> None:
    if not _FORKED:  # once: both go on as the candidate
        _FORKED.append(True)
        os.fork()


def _thread_that_stays() -> None:
    threading.Thread(target=time.sleep, args=(5,)).start()


def _fork_tree() -> None:
    """A process that forks, each of which forks, six times: as much of a fork bomb as a machine bears that others use too."""
    if not _FORKED:
        _FORKED.append(True)
        if os.fork() == 0:
            for _ in range(5):
                os.fork()
            time.sleep(60)
            os._exit(0)


def _thread_that_goes_on() -> None:
    def spin() -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            time.sleep(0.0001)

    threading.Thread(target=spin, daemon=True).start()


def _caller() -> Any:
    """The frame of refgrad's loop that answers in this process; None where there is none."""
    frame: Any = sys._getframe()
    while frame is not None and not (frame.f_code.co_name == "serve" and "answers" in frame.f_locals):
        frame = frame.f_back
    return frame


def forge(**told: Any) -> None:
    """Answer the question in hand, by its own number, before refgrad's part of the process does."""
    from refgrad.isolation.messages import packed
    from refgrad.isolation.shared import Region

    if (frame := _caller()) is not None:
        forged = packed({**told, "number": frame.f_locals["message"]["number"]}, [], Region(-1))
        frame.f_locals["answers"].write(forged)
        frame.f_locals["answers"].flush()


def _promise_much() -> None:
    for number in range(3, 64):
        with contextlib.suppress(OSError):
            os.write(number, b"\x00\x00\x10\x00\x00\x00\x00\x00" * 2)  # lengths of a message
    time.sleep(1000)


def _shrink_pipes() -> None:
    import fcntl

    for number in range(3, 64):
        with contextlib.suppress(OSError):
            fcntl.fcntl(number, fcntl.F_SETPIPE_SZ, 4096)


def _ignore_signals() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)


def _lift_limits() -> None:
    import resource

    for what in (resource.RLIMIT_DATA, resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(what, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def _leave_files() -> None:
    os.umask(0o777)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # which is gone when the candidate returns


def _end_when_collected() -> None:
    class Last:
        def __del__(self) -> None:
            os._exit(0)

    Last()


def _reads_shared(given: Given) -> Any:
    """Whatever the shared memory holds, as an answer."""
    for number in _shared():
        data = os.pread(number, given["p"].nbytes, 0)
        if len(data) == given["p"].nbytes:
            return np.frombuffer(data, given["p"].dtype).reshape(given["p"].shape).copy(), given["m"], given["v"]
    return given["p"], given["m"], given["v"]


close_1 = doing(lambda: os.close(1))
close_all = doing(lambda: os.closerange(0, 256))
cover_all = doing(_cover_every_descriptor)
write_all = doing(_write_into_every_descriptor)
answer_all = doing(_answer_into_every_descriptor)
scribbles_shared = doing(_scribble)
cuts_shared = doing(_cut)
reads_shared = at(2, _reads_shared)
memory = doing(_memory)
memory_at_once = doing(lambda: np.ones(1 << 42))
opens_without_end = doing(_open_without_end)
recursion = doing(_deep)
fork_and_leave = doing(_fork_and_leave)
forks = doing(_forks)
fork_and_answer = doing(_fork_and_answer)
fork_tree = doing(_fork_tree)
thread_that_goes_on = doing(_thread_that_goes_on)
forges_the_last = doing(lambda: forge(layout="[[], []]", changed=[], kept=True, last=True))
forges_infinity = doing(lambda: forge(layout="[[], []]", changed=[["gradient", float("inf")]], kept=True))
promises_much = doing(_promise_much)
shrinks_pipes = doing(_shrink_pipes)
ignores_signals = doing(_ignore_signals)
lifts_limits = doing(_lift_limits)
leaves_files = doing(_leave_files)
ends_when_collected = doing(_end_when_collected)
exit_hook_that_hangs = doing(lambda: atexit.register(time.sleep, 1000))
starts_a_program = doing(lambda: subprocess.Popen(["sleep", "60"]))
thread_that_stays = doing(_thread_that_stays)

# ---- the process, its libraries and its environment


def _patch_module() -> None:
    np.sqrt = lambda x: x  # type: ignore[assignment]
    np.frombuffer = lambda *_: np.zeros(1)  # type: ignore[assignment]


def _patch_refgrad() -> None:
    for name in list(sys.modules):
        if name.startswith("refgrad.oracle"):
            for word in list(vars(sys.modules[name])):
                setattr(sys.modules[name], word, None)


def _patch_verdicts() -> None:
    from refgrad.oracle.engine.tally import Tally
    from refgrad.oracle.engine.verdict import Verdict

    Tally.outside = property(lambda _: 0)  # type: ignore[assignment,misc]
    Verdict.exit_code = property(lambda _: 0)  # type: ignore[assignment,misc]
    Verdict.conforms = property(lambda _: True)  # type: ignore[assignment,misc]


def _patch_and_return(given: Given) -> Any:
    _patch_verdicts()
    return given["p"], given["m"], given["v"]


def _rounding() -> None:
    ctypes.CDLL(None).fesetround(0x800)


patch_numpy = doing(lambda: setattr(np.ndarray, "tobytes", lambda *_: b""))
patch_module = doing(_patch_module)
patch_equality = doing(lambda: setattr(np, "array_equal", lambda *_: True))
patch_builtins = doing(lambda: setattr(builtins, "isinstance", lambda *_: True))
patch_json = doing(lambda: setattr(json, "dumps", lambda *_, **__: '{"outcome": "conforms"}'))
patch_refgrad = doing(_patch_refgrad)
patch_identity = doing(lambda: setattr(os, "getpid", lambda: 0))
patch_pickle = doing(lambda: setattr(pickle, "loads", lambda *_: []))
patch_verdicts = at(2, _patch_and_return)
no_modules = doing(lambda: sys.modules.clear())
no_numpy = doing(lambda: sys.modules.update({"numpy": None}))  # type: ignore[dict-item]
few_frames = doing(lambda: sys.setrecursionlimit(60))
raises_on_inexact = doing(lambda: np.seterr(all="raise"))
elsewhere = doing(lambda: os.chdir("/"))
no_variables = doing(lambda: os.environ.clear())
no_collection = doing(lambda: (gc.disable(), gc.freeze()))
flush = doing(lambda: float_environments.make("flush-to-zero"))
rounding = doing(_rounding)

# ---- what it returns


class Lying(np.ndarray):
    """Says that it equals everything."""

    def __eq__(self, other: Any) -> Any:
        return True

    def tobytes(self, *_: Any) -> bytes:
        return b""


class Changing:
    """Another array each time."""

    def __init__(self, array: np.ndarray) -> None:
        self._array, self._asked = array, 0

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        self._asked += 1
        return self._array * self._asked


class Bomb:
    """Runs a program where somebody unpickles it."""

    def __reduce__(self) -> Any:
        return os._exit, (0,)


async def _later() -> None:
    await asyncio.sleep(0)


def _reversed(array: np.ndarray) -> np.ndarray:
    return array[..., ::-1].copy()[..., ::-1] if array.ndim else array


def _read_only(p: np.ndarray, m: np.ndarray, v: np.ndarray) -> Any:
    for array in (p, m, v):
        array.flags.writeable = False
    return p, m, v


def _keeps_gradient(given: Given) -> Any:
    new, _, v = right(**given)
    return new, given["g"], v


inputs = at(2, lambda given: (given["p"], given["m"], given["v"]))
nothing = giving(lambda p, m, v: ())
too_many = giving(lambda p, m, v: (p, m, v, v))
other_names = giving(lambda p, m, v: {"p": p, "m": m, "w": v})
views = giving(lambda p, m, v: (p[:0], m[::2], v))
backwards = giving(lambda p, m, v: (_reversed(p), _reversed(m), v))
read_only = giving(_read_only)
generator = giving(lambda p, m, v: (x for x in (p, m, v)))
coroutine = giving(lambda p, m, v: _later())
lying = giving(lambda p, m, v: ((p + 1).view(Lying), m.view(Lying), v.view(Lying)))
changing = giving(lambda p, m, v: (Changing(p), m, v))
bomb = giving(lambda p, m, v: (Bomb(), m, v))
masked = giving(lambda p, m, v: (np.ma.masked_array(p, np.ones(p.shape, bool)), m, v))
objects = giving(lambda p, m, v: (p.astype(object), m, v))
strings = giving(lambda p, m, v: ("p", "m", "v"))
lists = giving(lambda p, m, v: (p.tolist(), m, v))
wide = giving(lambda p, m, v: (p.astype(np.float64), m, v))
other_bytes = giving(lambda p, m, v: (p.astype(p.dtype.newbyteorder()), m, v))
complex_numbers = giving(lambda p, m, v: (p.astype(np.complex64), m, v))
records = giving(lambda p, m, v: (np.zeros(p.shape, [("x", np.float32)]), m, v))
another_axis = giving(lambda p, m, v: (p[None], m, v))
enormous = giving(lambda p, m, v: (np.zeros(1 << 29, np.float32), m, v))
no_numbers = giving(lambda p, m, v: (p * np.float32(np.nan), m, v))
one_array_twice = giving(lambda p, m, v: (p, v, v))
writes_gradient = at(2, lambda given: given["g"].fill(0))
keeps_gradient = at(None, _keeps_gradient)

# ---- late, by time, by what it knows


_KEPT: list[Any] = []


def _late(given: Given) -> Any:
    """What it returned is overwritten when it has returned."""
    found = right(**given)
    threading.Timer(0.002, lambda: [array.fill(7) for array in found]).start()
    return found


def _late_inputs(given: Given) -> None:
    handed = [given[name] for name in ("p", "g", "m", "v")]
    threading.Timer(0.002, lambda: [array.fill(7) for array in handed]).start()


def _cached(given: Given) -> Any:
    """What it said of another call."""
    _KEPT.append(right(**given))
    return next((kept for kept in _KEPT if kept[0].shape == given["p"].shape), None)


def _timed(given: Given) -> None:
    """Slower where somebody waits longer."""
    began = time.perf_counter()
    while time.perf_counter() - began < 0.02:
        pass


def _generated() -> Iterator[bytes]:
    """The parameters that refgrad generates where no seed is told."""
    rule = refgrad.optimizers.AdamW()
    from refgrad.kinds.table import kind_of

    yield from (a["p"].tobytes() for a in kind_of(rule).generate(rule, 3, np.dtype(np.float32), 0).arrays)


def _knows_inputs(given: Given) -> Any:
    """Right on the inputs of the usual seed alone."""
    if not _KEPT:
        _KEPT.extend(_generated())
        _KEPT.append(b"none")
    if given["t"] == 1:
        given["p"].tobytes() in _KEPT or _KEPT.append(None)
    return (given["p"], given["m"], given["v"]) if None in _KEPT else None


def _looks_up(given: Given) -> Any:
    """The numbers that are expected of it, if the frames that call it know them."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        for value in list(frame.f_locals.values()):
            if type(value).__name__ in ("Tally", "Judged", "Record"):
                return right(**given)
    return given["p"], given["m"], given["v"]


late = at(2, _late)
late_inputs = at(2, _late_inputs)
late_words = doing(lambda: threading.Timer(0.002, lambda: os.write(1, b"CONFORMS\n")).start())
says_it_again = at(None, _cached)
takes_its_time = at(2, _timed)
knows_inputs = at(None, _knows_inputs)
looks_up = at(2, _looks_up)
the_rule_itself = at(None, lambda given: None)

#: name -> the candidate's target
CANDIDATES: Mapping[str, str] = {
    **{
        name: f"{__name__}:{name}"
        for name, value in list(vars().items())
        if getattr(value, "__name__", "") == "candidate"
    },
    **{
        name: f"tests.isolation.importing.{name}:candidate"
        for name in (
            "exits_when_imported",
            "crashes_when_imported",
            "raises_when_imported",
            "prints_when_imported",
            "forges_when_imported",
        )
    },
}

#: those that write when they have returned: whether that is seen in time depends on the clock
TIMED = frozenset(["late", "late_inputs"])
_RIGHT = """
prints prints_escapes flood flood_errors warns no_stdout shut_stdout scribbles_shared cuts_shared fork_and_leave forks
starts_a_program thread_that_stays patch_equality patch_refgrad few_frames elsewhere no_variables no_collection rounding
fork_tree thread_that_goes_on shrinks_pipes ignores_signals lifts_limits leaves_files exit_hook_that_hangs
fork_and_answer no_modules no_numpy backwards read_only late_words takes_its_time the_rule_itself prints_when_imported
"""
#: those whose numbers are right whatever else they do, so that they conform: all others are wrong or do not answer
RIGHT = frozenset(_RIGHT.split())
#: the same as programs that are asked over a pipe: some break what they run on, others have nobody there to forge answers to
RIGHT_AS_PROGRAMS = RIGHT - {"no_modules", "no_numpy", "read_only"} | {
    *("forges_the_last", "forges_infinity", "forges_when_imported", "patch_pickle", "generator")
}
