"""The host: it starts a child, asks it, limits it, and says how it ended.

A `Host` stands for one candidate's process over a verdict. Its `resolve` gives what a kind's own would, the candidate behind
the pipe, with the same attributes; engine and kinds do not see the difference. A child that ended is replaced when it is
needed again.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from refgrad import child_process
from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import ArgumentError, CandidateError
from refgrad.isolation import messages
from refgrad.isolation.messages import MessageError

#: seconds that a child may take to import refgrad
STARTING = 120.0
#: bytes of memory that a child may take where nothing else is said
MEMORY = 8 << 30
#: bytes of what a child prints that are kept from the beginning, and from the end
KEPT = 2000
#: bytes that are read or written at a time
CHUNK = 1 << 20
#: attributes that are strings, several
WORDS = ("notes", "settings", "read", "extras_taken", "abilities")
#: processes that one verdict starts at most
MOST = 4


class Noise:
    """What a child prints, read as it comes so that it never waits; its beginning and its end are kept."""

    def __init__(self, pipe: Any) -> None:
        self._pipe, self.first, self.last, self.count = pipe, b"", b"", 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while chunk := os.read(self._pipe.fileno(), CHUNK):
                self.count += len(chunk)
                self.first += chunk[: KEPT - len(self.first)]
                self.last = (self.last + chunk)[-KEPT:]

    def end(self) -> str:
        """The last words of a child that has ended."""
        self._thread.join(1.0)  # a process that it started may hold the pipe
        return self.last.decode("utf-8", "replace")


class Child:
    """One process, asked one question at a time."""

    def __init__(self, memory: int) -> None:
        code = "from refgrad.isolation.child import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._asked = 0
        self._in, self._out = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        self.noise = Noise(self.process.stderr)

    def ask(self, message: Mapping[str, Any], buffers: list[bytes], seconds: float) -> tuple[Any, list[bytearray]]:
        """The answer to a question.

        Raises:
            TimeoutError: there is none in so many seconds.
            EOFError: the process has ended.
            MessageError: what it said is no answer.
        """
        deadline, self._asked = time.monotonic() + seconds, self._asked + 1
        self._write(messages.packed({**message, "number": self._asked}, buffers), deadline)
        answer, found = messages.read(lambda count: self._take(count, deadline))
        if answer.get("number") != self._asked:
            raise MessageError("it is one to another question")
        return answer, found

    def _write(self, data: bytes, deadline: float) -> None:
        rest = memoryview(data)
        while rest:
            _wait([], [self._in], deadline)
            try:
                rest = rest[os.write(self._in, rest[:CHUNK]) :]
            except BlockingIOError:
                continue
            except OSError:
                raise EOFError from None

    def _take(self, count: int, deadline: float) -> bytearray:
        found = bytearray()
        while len(found) < count:
            _wait([self._out], [], deadline)
            try:
                chunk = os.read(self._out, min(CHUNK, count - len(found)))
            except BlockingIOError:
                continue
            if not chunk:
                raise EOFError
            found += chunk
        return found

    def end(self) -> None:
        """End it, and what it started."""
        child_process.end(self.process, group=True)

    def how_it_ended(self) -> str:
        """In words, once its pipe is closed."""
        try:
            code = self.process.wait(5.0)
        except subprocess.TimeoutExpired:
            self.end()
            return "its process closed the pipe of its answers"
        return child_process.ended(code, self.noise.end())


def _wait(reading: list[int], writing: list[int], deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0 or not any(select.select(reading, writing, [], min(left, 1e6))):
        raise TimeoutError


class Host:
    """A candidate's process over a verdict.

    Args:
        time_limit: seconds that one question may take.
        memory: bytes that the process may take; 0 for no limit.
        child: a process that waits, in place of a new one.
    """

    def __init__(self, time_limit: float, memory: int = MEMORY, child: Child | None = None) -> None:
        self._limit, self._memory, self._child = min(time_limit, 1e9), memory, child
        self._behaved = True
        self._printed: list[Noise] = [] if child is None else [child.noise]

    def start(self) -> None:
        """Start a child, if there is none; it imports while the host goes on."""
        if self._child is None:
            if self.generation == MOST:
                raise CandidateFault("crashed", f"its process was lost {MOST} times, and is not started again")
            self._child = Child(self._memory)
            self._printed.append(self._child.noise)

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def released(self) -> Child | None:
        """The child, if it behaved and another candidate may be made in it; else it is ended."""
        child = self._child
        if child is None or not self._behaved:
            self.close()
            return None
        try:
            self.ask({"ask": "forget"}, [], "the candidate's process")
        except CandidateFault:
            return None
        child.noise.count, child.noise.first = 0, b""
        self._child = None
        return child

    def resolve(
        self, target: str, rule: Any, options: Mapping[str, Any], state_names: Mapping[str, str] | None
    ) -> Remote:
        """The candidate that a target names, made in the child; as `refgrad.kinds.kind.Kind.resolve`."""
        given = (target, rule, dict(options), None if state_names is None else dict(state_names))
        return Remote(self, given)

    def make(self, given: tuple[Any, ...]) -> Any:
        """The number, name and named hyperparameters of a candidate, made in the child of now."""
        buffers: list[bytes] = []
        try:
            encoded = messages.encode(given, buffers)
        except MessageError as error:
            raise CandidateError(f"the candidate cannot be made in a process of its own: {error}") from None
        return self.ask({"ask": "make", "given": encoded}, buffers, f"making {given[0]}", STARTING)

    def ask(self, message: Mapping[str, Any], buffers: list[bytes], what: str, more: float = 0.0) -> Any:
        """The result of a question; whatever goes wrong is a `CandidateFault`, or what refgrad raised in the child."""
        self.start()
        child = self._child
        assert child is not None
        try:
            answer, found = child.ask(message, buffers, self._limit + more)
            told = answer.get("raised")
            result = None if told is not None else messages.decode(answer["result"], found)
            changed = [] if told is not None else [(int(i), messages.decode(a, found)) for i, a in answer["changed"]]
            if told is None and not isinstance(result, dict):
                raise MessageError(f"{result!r:.40}")
        except TimeoutError:
            self._lost()
            raise CandidateFault("hung", f"{what} did not return within {self._limit + more:g} s") from None
        except EOFError:
            how = child.how_it_ended()
            self._lost()
            raise CandidateFault("crashed", f"{what}: {how}") from None
        except (MessageError, KeyError, TypeError, ValueError, AttributeError) as error:
            self._lost()
            raise CandidateFault("crashed", f"{what}: its process answered what is no answer ({error})") from None
        except BaseException:  # an answer that nobody waited for would be taken for the next one
            self.close()
            raise
        if told is not None:
            self._behaved = False  # who knows what it left half done
            raise _raised(told, what)
        return result, changed

    @property
    def alive(self) -> bool:
        """True if there is a child."""
        return self._child is not None

    @property
    def generation(self) -> int:
        """How many children there have been."""
        return len(self._printed)

    def surroundings(self) -> tuple[dict[str, str], list[str]]:
        """The environment of the candidate, and notes on it and on what it printed."""
        environment: dict[str, str] = {}
        notes: list[str] = []
        if self._child is not None:
            with contextlib.suppress(CandidateFault):
                told, _ = self.ask({"ask": "surroundings"}, [], "the candidate's process")
                if isinstance(told.get("environment"), dict) and isinstance(told.get("notes"), list):
                    environment = {str(n): str(v) for n, v in told["environment"].items()}
                    notes = [str(each) for each in told["notes"]]
                    self._behaved &= not notes  # what it made of its process is not for the next one
        count = sum(noise.count for noise in self._printed)
        if count:
            text = self._printed[0].first.decode("utf-8", "replace")
            first = next((line.strip() for line in text.splitlines() if line.strip()), "")
            notes.append(f"the candidate printed {count} bytes; they begin: {first[:200]}")
        return environment, notes

    def _lost(self) -> None:
        self._behaved = False
        self.close()


def _raised(told: Any, what: str) -> Exception:
    """What the child says was raised, as an exception."""
    if not isinstance(told, dict):
        return CandidateFault("crashed", f"{what}: its process answered what is no answer")
    kind, message, name = (str(told.get(n, "")) for n in ("kind", "message", "class"))
    if name in ("ArgumentError", "CandidateError"):
        return (ArgumentError if name == "ArgumentError" else CandidateError)(message)
    return CandidateFault(kind, f"{what} {message}" if kind == "crashed" else message)


class Remote:
    """Something in the child, by its number: its attributes are asked for, and its methods called there."""

    def __init__(self, host: Host, given: tuple[Any, ...] | None = None, thing: int = -1, name: str = "") -> None:
        self._host, self._given, self._thing, self.name = host, given, thing, name
        self._generation = host.generation if given is None else -1
        self._lent: list[tuple[np.ndarray, bytes]] = []
        self._methods: set[str] = set()
        self.named: frozenset[str] = frozenset()
        if given is not None:
            self._number()

    def _number(self) -> int:
        """Its number in the child of now, in which a candidate is made again; a run is lost with its child."""
        if self._given is None and self._lost:
            raise CandidateFault("crashed", f"{self.name}: its process has ended")
        self._host.start()
        if self._generation != self._host.generation:
            assert self._given is not None
            found, _ = self._host.make(self._given)
            self._generation = self._host.generation
            try:
                self._thing, self.name = int(found["thing"]), str(found["name"])
                self.named = frozenset(map(str, found["named"]))
            except (KeyError, TypeError, ValueError):
                raise CandidateFault("crashed", "the candidate's process answered what is no answer") from None
        return self._thing

    @property
    def _lost(self) -> bool:
        """True if the child that it was in is gone."""
        return self._generation != self._host.generation or not self._host.alive

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or (self._given is None and self._lost):
            raise AttributeError(name)
        if name in self._methods:
            return lambda *args, **keywords: self._called(name, args, keywords)
        found, _ = self._host.ask({"ask": "get", "thing": self._number(), "name": name}, [], self.name)
        if found.get("missing"):
            raise AttributeError(name)
        if not found.get("callable"):
            return _checked(name, found.get("value"), self.name)
        self._methods.add(name)
        return lambda *args, **keywords: self._called(name, args, keywords)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return self._called("", args, keywords)

    def _called(self, name: str, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
        thing = self._number()
        self._overwrite()
        buffers: list[bytes] = []
        given = messages.encode([list(args), dict(keywords)], buffers)
        arrays = list(messages.arrays_in([args, keywords]))
        message = {"ask": "call", "thing": thing, "name": name, "given": given, "lends": bool(arrays)}
        what = f"building {self.name}" if name.startswith("start") else self.name
        found, changed = self._host.ask(message, buffers, what)
        try:
            for index, array in changed:
                arrays[index][...] = array
        except (IndexError, ValueError, TypeError):
            raise CandidateFault("crashed", f"{what}: its process answered what is no answer") from None
        if arrays:
            self._lent = [(array, array.tobytes()) for array in arrays]
        if "fields" in found:
            rule = next(each for each in args if hasattr(each, "hyperparameters"))
            return _with(rule, found["fields"])
        return Remote(self._host, None, int(found["thing"]), self.name) if "thing" in found else found.get("value")

    def _overwrite(self) -> None:
        """What the caller wrote since into the arrays of the last step is written in the child too."""
        changed = [(i, array) for i, (array, before) in enumerate(self._lent) if array.tobytes() != before]
        if changed:
            buffers: list[bytes] = []
            arrays = [[i, messages.encode(array, buffers)] for i, array in changed]
            self._lent = [(array, array.tobytes()) for array, _ in self._lent]
            self._host.ask({"ask": "overwrite", "arrays": arrays}, buffers, self.name)


def _checked(name: str, value: Any, candidate: str) -> Any:
    """An attribute's value; a `CandidateFault` if it is not of the type that the protocol says."""
    words = isinstance(value, list | tuple | frozenset) and all(isinstance(each, str) for each in value)
    if name in WORDS and not words and (value is not None or name != "extras_taken"):
        raise CandidateFault("structure", f"{name} of {candidate} is {value!r:.60}; legal: strings")
    return value


def _with(rule: Any, fields: Mapping[str, Any]) -> Any:
    return rule.replace(**{n: _with(getattr(rule, n), v[0]) if isinstance(v, list) else v for n, v in fields.items()})
