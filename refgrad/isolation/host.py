"""The host: it asks a child, starts another where one is lost, and makes findings of what goes wrong.

A `Host` stands for one candidate's process over a verdict. Its `resolve` gives what a kind's own would, the candidate behind
the pipe, with the same attributes; engine and kinds do not see the difference. A child that ended is replaced when it is
needed again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import ArgumentError, CandidateError, RefgradError
from refgrad.isolation import messages
from refgrad.isolation.messages import MessageError
from refgrad.isolation.process import Child, Noise
from refgrad.isolation.recipe import NotMadeError

#: seconds that a child may take to import refgrad
STARTING = 120.0
#: bytes of memory that a child may take where nothing else is said
MEMORY = 8 << 30
#: attributes that are strings, several
WORDS = ("notes", "settings", "read", "extras_taken", "abilities")
#: processes that one verdict starts at most
MOST = 4
#: what is asked together with a step
AFTER = {"step": "observe"}


class Host:
    """A candidate's process over a verdict.

    Args:
        time_limit: seconds that one question may take.
        memory: bytes that the process may take; 0 for no limit.
        child: a process that waits, in place of a new one.
    """

    def __init__(self, time_limit: float, memory: int = MEMORY, child: Child | None = None) -> None:
        self._limit, self._memory, self._child = min(time_limit, 1e9), memory, child
        self._behaved, self._last = True, ""
        self._printed: list[Noise] = [] if child is None else [child.noise]

    def start(self) -> None:
        """Start a child, if there is none; it imports while the host goes on."""
        if self._child is None:
            if self.generation == MOST:
                raise CandidateFault("crashed", f"its process was lost {MOST} times, at last so: {self._last}")
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
        self,
        target: Any,
        rule: Any,
        options: Mapping[str, Any],
        state_names: Mapping[str, str] | None,
        replaced: Mapping[str, Any] | None = None,
    ) -> Remote:
        """The candidate that a target names, made in the child; as `refgrad.kinds.kind.Kind.resolve`.

        Args:
            target: a string, a recipe, or a rule.
            rule: what it claims to be.
            options: for its constructor.
            state_names: what its state calls the rule's slots.
            replaced: hyperparameters of its own, if it is a rule itself; None where that is not asked.

        Raises:
            CandidateError: there is none.
            NotMadeError: it cannot be made in another process.
        """
        given = (target, rule, dict(options), None if state_names is None else dict(state_names), replaced)
        try:
            return Remote(self, given)
        except CandidateFault as fault:  # later it would be a finding; here there is nothing to judge
            raise CandidateError(f"the candidate cannot be made: {fault}") from None

    def make(self, given: tuple[Any, ...]) -> Any:
        """What the child says of a candidate that was made in the child of now."""
        buffers: list[bytes] = []
        try:
            encoded = messages.encode(given, buffers)
        except MessageError as error:
            raise NotMadeError(str(error)) from None
        target = getattr(given[0], "attribute", given[0])
        found, _ = self.ask({"ask": "make", "given": encoded}, buffers, f"making {target}", STARTING)
        return found

    def ask(self, message: Mapping[str, Any], buffers: list[bytes], what: str, more: float = 0.0) -> Any:
        """The result of a question; whatever goes wrong is a `CandidateFault`, or what refgrad raised in the child."""
        self.start()
        child = self._child
        assert child is not None
        try:
            answer, found = child.ask(message, buffers, self._limit + more)
            return self._read(answer, found, what)
        except TimeoutError:
            raise self._lost("hung", f"{what} did not return within {self._limit + more:g} s") from None
        except EOFError:
            raise self._lost("crashed", f"{what}: {child.how_it_ended()}") from None
        except RefgradError:  # before what they are besides: an `ArgumentError` is a `ValueError`
            raise
        except (MessageError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._lost("crashed", f"{what}: its process answered what is no answer ({error})") from None
        except BaseException:  # an answer that nobody waited for would be taken for the next one
            self.close()
            raise

    def _read(self, answer: Mapping[str, Any], found: list[bytearray], what: str) -> tuple[Any, Any]:
        """The result in an answer, with the arrays that were changed; the answer to what was asked besides is in the result."""
        if answer.get("raised") is not None:
            self._behaved = False  # who knows what it left half done
            raise _raised(answer["raised"], what)
        result = messages.decode(answer["result"], found)
        changed = [(int(i), messages.decode(a, found)) for i, a in answer["changed"]]
        if not isinstance(result, dict):
            raise MessageError(f"{result!r:.40}")
        if "then" in answer:
            result["then"] = _then(answer["then"], found, what)
            self._behaved &= not isinstance(result["then"], Exception)
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

    def _lost(self, kind: str, message: str) -> CandidateFault:
        """Give the child up; the fault that says why."""
        self._behaved, self._last = False, message
        self.close()
        return CandidateFault(kind, message)


def _then(answer: Mapping[str, Any], found: list[bytearray], what: str) -> Any:
    """The value in an answer, or the exception."""
    if answer.get("raised") is not None:
        return _raised(answer["raised"], what)
    return messages.decode(answer["result"], found)["value"]


def _raised(told: Any, what: str) -> Exception:
    """What the child says was raised, as an exception."""
    if not isinstance(told, dict):
        return CandidateFault("crashed", f"{what}: its process answered what is no answer")
    kind, message, name = (str(told.get(n, "")) for n in ("kind", "message", "class"))
    known = {c.__name__: c for c in (ArgumentError, CandidateError, NotMadeError)}
    if name in known:
        return known[name](message)
    return CandidateFault(kind, f"{what} {message}" if kind == "crashed" else message)


class Remote:
    """Something in the child, by its number: its attributes are asked for, and its methods called there."""

    def __init__(
        self, host: Host, given: tuple[Any, ...] | None = None, found: Mapping[str, Any] | None = None, name: str = ""
    ) -> None:
        self._host, self._given, self._thing, self.name = host, given, -1, name
        self._generation = host.generation if given is None else -1
        self._lent: list[tuple[np.ndarray, bytes]] = []
        self._methods: set[str] = set()
        #: what was asked together with the last call: the value, or the exception
        self._ahead: list[Any] = []
        self.named: frozenset[str] = frozenset()
        #: True if it is a class or a rule itself, and follows the hyperparameters that it is told
        self.told = False
        if found is not None:
            self._know(found)
        if given is not None:
            self._number()

    def _number(self) -> int:
        """Its number in the child of now, in which a candidate is made again; a run is lost with its child."""
        if self._given is None and self._lost:
            raise CandidateFault("crashed", f"{self.name}: its process has ended")
        self._host.start()
        if self._generation != self._host.generation:
            assert self._given is not None
            found = self._host.make(self._given)
            self._generation = self._host.generation
            self._know(found)
            try:
                self.name, self.told = str(found["name"]), bool(found["told"])
                self.named = frozenset(map(str, found["named"]))
            except (KeyError, TypeError):
                raise _no_answer("the candidate") from None
        return self._thing

    def _know(self, found: Mapping[str, Any]) -> None:
        """Take its number, and the names of methods that it has."""
        try:
            self._thing = int(found["thing"])
            self._methods |= set(map(str, found["methods"]))
        except (KeyError, TypeError, ValueError):
            raise _no_answer("the candidate") from None

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
        ahead, self._ahead = ([] if self._overwrite() else self._ahead), []
        if ahead and name in AFTER.values() and not args and not keywords:
            return _given_ahead(ahead[0])
        buffers: list[bytes] = []
        message: dict[str, Any] = {"ask": "call", "thing": thing, "name": name}
        message["given"] = messages.encode([list(args), dict(keywords)], buffers)
        arrays = list(messages.arrays_in([args, keywords]))
        message["lends"] = bool(arrays)
        if AFTER.get(name) in self._methods:
            message["then"] = AFTER[name]
        what = f"building {self.name}" if name.startswith("start") else self.name
        found, changed = self._host.ask(message, buffers, what)
        try:
            for index, array in changed:
                arrays[index][...] = array
        except (IndexError, ValueError, TypeError):
            raise _no_answer(what) from None
        if arrays:
            self._lent = [(array, array.tobytes()) for array in arrays]
        if "then" in found:
            self._ahead = [found["then"]]
        if "fields" in found:
            rule = next(each for each in args if hasattr(each, "hyperparameters"))
            return _with(rule, found["fields"])
        return Remote(self._host, None, found, self.name) if "thing" in found else found.get("value")

    def _overwrite(self) -> bool:
        """What the caller wrote since into the arrays of the last step is written in the child too; True if there was any."""
        changed = [(i, array) for i, (array, before) in enumerate(self._lent) if array.tobytes() != before]
        if changed:
            buffers: list[bytes] = []
            arrays = [[i, messages.encode(array, buffers)] for i, array in changed]
            self._lent = [(array, array.tobytes()) for array, _ in self._lent]
            self._host.ask({"ask": "overwrite", "arrays": arrays}, buffers, self.name)
        return bool(changed)


def _given_ahead(value: Any) -> Any:
    if isinstance(value, Exception):
        raise value
    return value


def _no_answer(what: str) -> CandidateFault:
    return CandidateFault("crashed", f"{what}: its process answered what is no answer")


def _checked(name: str, value: Any, candidate: str) -> Any:
    """An attribute's value; a `CandidateFault` if it is not of the type that the protocol says."""
    words = isinstance(value, list | tuple | frozenset) and all(isinstance(each, str) for each in value)
    if name in WORDS and not words and (value is not None or name != "extras_taken"):
        raise CandidateFault("structure", f"{name} of {candidate} is {value!r:.60}; legal: strings")
    return value


def _with(rule: Any, fields: Mapping[str, Any]) -> Any:
    return rule.replace(**{n: _with(getattr(rule, n), v[0]) if isinstance(v, list) else v for n, v in fields.items()})
